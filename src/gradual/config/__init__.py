"""Every setting, its default, its help text, and the YAML that settings are written in.

Knows what values are allowed; what a setting brings about is for the package that reads it.
"""

__all__ = ["base", "cluster", "model", "run", "schema", "stage", "yaml_file"]
