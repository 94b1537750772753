"""The tables, drawings and page of a comparison: how `findings` looks. Works out no number."""
