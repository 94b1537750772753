"""What a run comes to: every number of `summary.json`, counted from the run folder, and their types.

The types are in `summary_file`, those of answers and confidence in `quality_file`, of refusals in `refusals_file`, of
other wordings and drift in `transfer_file`. Knows run folders; no page and no model.
"""
