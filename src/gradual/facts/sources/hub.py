"""Data sets of the Hugging Face Hub, or of its local cache, through the `datasets` library."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradual.facts.problems import data_error, printable, quote, shown_names
from gradual.facts.sources.arrow import first_line
from gradual.facts.sources.part import Part, Row
from gradual.facts.sources.split_names import known_split

_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@:]+))?(?:@(?P<revision>[^@:]+))?")


def hub_parts(source: str) -> list[Part]:
    """The splits of a data set on the Hugging Face Hub (or in its local cache), through the `datasets` library."""
    match = _HUB_NAME.fullmatch(source)
    if match is None:
        expected, remedy = "hf:owner/name, hf:owner/name:config or hf:owner/name@revision", "correct the name"
        raise data_error(printable(source), expected=expected, found=quote(source), remedy=remedy)
    try:
        import datasets
    except ImportError:
        remedy = "run `pip install datasets`, or name a local file"
        raise data_error(
            source, expected="the package `datasets`", found="it is not installed", remedy=remedy
        ) from None
    try:
        loaded = datasets.load_dataset(match["name"], match["config"], revision=match["revision"])
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        fault = f"{type(error).__name__} ({first_line(error)})"
        is_offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        remedy = "allow the network (--online)" if is_offline else "check the name, the configuration and the network"
        raise data_error(
            source, expected="a data set on the Hub", found=fault, remedy=f"{remedy}, or name a local file"
        ) from None
    return _parts(source, loaded)


def _parts(source: str, splits: Mapping[str, Any]) -> list[Part]:
    """The parts of a loaded `datasets.DatasetDict`."""

    def rows(name: str, dataset: Any) -> Any:
        def read(names: Sequence[str]) -> Iterator[Row]:
            for number, values in enumerate(dataset.select_columns(list(names)), start=1):
                yield Row(f"{name}: row {number}", values)

        return read

    parts: list[Part] = []
    for split, dataset in splits.items():
        name = f"{source}[{split}]"
        # A lone split may be called anything: its name is not used.
        known = known_split(source, split) if len(splits) > 1 else ""
        parts.append(Part(name, tuple(dataset.column_names), rows(name, dataset), split=known))
    if not parts:
        fault = f"the splits {shown_names(list(splits))}"
        raise data_error(source, expected="a data set with splits", found=fault, remedy="name another")
    return parts
