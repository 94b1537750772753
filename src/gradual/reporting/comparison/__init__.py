"""The tables, drawings and page of a comparison."""
