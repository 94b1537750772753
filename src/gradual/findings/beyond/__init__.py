"""What a comparison found beyond the test in its usual form: other forms of a question, other relations, drift."""
