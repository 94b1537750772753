"""Files beside the package, scripts and examples, loaded as modules without being on any path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load_script(name: str) -> ModuleType:
    """The module of `scripts/NAME.py`."""
    return load_file(ROOT / "scripts" / f"{name}.py")


def load_file(path: Path) -> ModuleType:
    """The file as a module named by its stem; its `main` is not called."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
