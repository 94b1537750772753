"""A run as steps: its folder and files, the pipeline that makes them, the plan before and the summary after.

Puts facts, probing, selection and training together; knows of no other run.
"""

__all__ = [
    "choice",
    "cost",
    "folder",
    "measures",
    "pipeline",
    "planning",
    "record",
    "show",
    "stage_files",
    "stages",
    "starter",
    "steps",
    "summary",
]
