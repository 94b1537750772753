"""What `import gradual` offers is there under its name, and stays there whichever modules are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradual


@pytest.mark.parametrize("name", gradual.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(gradual, name)


def test_no_module_bears_a_public_name() -> None:
    # Loading a module puts it into the package under its name, in place of whatever is there.
    modules = {file.stem for file in Path(gradual.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules & set(gradual.__all__) == set()


def test_dir_lists_the_public_names() -> None:
    assert set(gradual.__all__) <= set(dir(gradual))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'gradual' has no attribute 'prob'"):
        _ = gradual.prob
