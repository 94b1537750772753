"""The command line: commands, options, what the console shows.

Each command calls one function of `gradual.api`.
"""

__all__ = ["app"]
