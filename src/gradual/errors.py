"""The errors a user can cause, one class per kind; each message says what was expected, found, where, and what to do.

Knows nothing of models or files. The command line prints a `GradualError` as one line and exits with code 2;
anything else is a bug and keeps its traceback.
"""

from __future__ import annotations


class GradualError(Exception):
    """Root of everything that `gradual` raises on purpose; `str(error)` is one readable line (or a list of lines)."""


class ConfigError(GradualError, ValueError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(GradualError, ValueError):
    """A file of facts cannot be used as it is: the message names the file and the line or field."""


class ModelError(GradualError, ValueError):
    """A model, tokenizer or adapter cannot be loaded, or lacks what the probe needs."""


class ProbeError(GradualError, RuntimeError):
    """A probe cannot be done or gave numbers that cannot be right (NaN logits, a bound that broke)."""


class OutOfMemoryError(ProbeError):
    """A forest does not fit into memory, however little of it is read at once; fewer facts may."""


class TrainingError(GradualError, RuntimeError):
    """A stage cannot train: nothing to learn from, no supervised token, or a loss that is not a number."""


class ExportError(GradualError, RuntimeError):
    """What was to be carried away is not what was trained, or cannot be converted or published."""


class RunDirError(GradualError, OSError):
    """A run folder cannot be used: held by another process, made with other settings, or not writable."""


class LaunchError(GradualError, RuntimeError):
    """Several processes were launched that can't do one run together, or one of them has ended."""
