"""The command line: commands, options, what the console shows.

Each command calls one function of `gradual.api`. Knows no facts, models or folders.
"""

__all__ = ["app"]
