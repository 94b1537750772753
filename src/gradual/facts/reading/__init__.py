"""What rows mean: which column is which, the layouts of published data sets, and how a cell becomes an answer.

Knows rows, not the files that they stood in (`gradual.facts.sources`).
"""
