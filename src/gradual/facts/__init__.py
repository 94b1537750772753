"""Facts: where they come from, what a right answer is, how they are divided, and how a question is put.

Knows texts and files of facts; no model, level or run.
"""

__all__ = [
    "concerns",
    "describe",
    "entities",
    "fact",
    "loading",
    "matching",
    "prepare",
    "problems",
    "prompts",
    "refusal_checks",
    "transfer",
]
