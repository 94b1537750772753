"""What a run comes to: every number of `summary.json`, counted from the run folder, and their types.

The types are in `summary_file` beside this package, those of answers and confidence in `quality_file`.
"""
