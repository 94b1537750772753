"""Which split a file, a folder or a row belongs to, by its name."""

from __future__ import annotations

import re
from pathlib import PurePath

from gradual.facts.problems import data_error, quote

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "eval": "validation", "evaluation": "validation",
    "test": "test", "exemplars": "exemplars",
}  # fmt: skip
"""How splits are called in the wild, and here."""

_WORD = re.compile(r"[a-z]+")


def split_in_name(name: str) -> str:
    """The split that stands as a word in a name (NQ-open.dev, split=train, zsre_train); empty for none or several."""
    splits = {SPLIT_NAMES[word] for word in _WORD.findall(name.lower()) if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else ""


def split_of_path(relative: PurePath) -> str:
    """The split that the name of a file says, or else of the nearest folder above it; empty if none does."""
    return next((split for part in reversed(relative.parts) if (split := split_in_name(part))), "")


def known_split(name: str, split: str) -> str:
    """A split of a data set by our name for it.

    Raises:
        DataError: it is called otherwise; `name` is the data set's.
    """
    known = SPLIT_NAMES.get(split.lower())
    if known is None:
        expected = "splits called train, validation, test or exemplars"
        raise data_error(
            name, expected=expected, found=quote(split), remedy="rename the split, or save one split alone"
        )
    return known
