"""Models from third parties: their files are checked, they are loaded, adapters are put on, chat templates run apart.

Loads torch and its kind. Knows how to hold a model, not how to ask or train it.
"""

from gradual.models.threads import let_threads_sleep

__all__ = ["adapters", "chat_templates", "checks", "load", "memory", "ranks", "shapes", "threads"]

let_threads_sleep()  # before a module of this package loads torch
