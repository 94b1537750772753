"""Bytes on disk: durable and atomic writes, Parquet, JSON, YAML, finished units, who may write into a folder.

Knows no fact, no model and no step of a run; what a file says is for the package that owns it.
"""

__all__ = ["folder_guard", "lock", "parquet", "storage", "strict_yaml", "typed_json", "units"]
