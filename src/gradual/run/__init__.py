"""A run as steps: its folder and files, the pipeline that makes them, the plan before and the summary after.

Puts facts, probing, selection and training together; knows of no other run.
"""

__all__ = [
    "best_stage",
    "checks",
    "cost",
    "fact_view",
    "folder",
    "measures",
    "pipeline",
    "planning",
    "record",
    "stage_files",
    "stage_selection",
    "starter",
    "steps",
    "summary",
]
