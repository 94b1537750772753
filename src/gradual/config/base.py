"""What all settings have in common: strict types, nothing unknown, help texts from the docstrings under the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonEmptyText = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """A section of settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    EARLIER: ClassVar[Mapping[str, object]] = {}
    """For settings younger than some folders: the value that leaves results as they were before."""


def flat_settings(settings: Any, path: str = "") -> dict[str, Any]:
    """Every setting of settings as JSON has them, by its dotted path; list positions are part of the path."""
    if isinstance(settings, dict):
        parts = list(settings.items())
    elif isinstance(settings, list) and any(isinstance(part, dict) for part in settings):
        parts = list(enumerate(settings))
    else:
        return {path: settings}
    return {
        below: value
        for name, part in parts
        for below, value in flat_settings(part, f"{path}.{name}" if path else str(name)).items()
    }


def setting_of_stage(path: str) -> tuple[int, str] | None:
    """Which stage, from 0, and which setting of it a path of settings or of a fingerprint is; None for all others."""
    found = re.fullmatch(r"(?:config\.)?stages\.(\d+)\.(.+)", path)
    return (int(found[1]), found[2]) if found else None


def settings_that_matter(settings: Settings, *, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """As `flat_settings`, but without younger settings that change nothing: what a folder's results were made with.

    So a folder from before there was a setting is gone on with, unless the setting is used.
    """
    unused = tuple(_unused_paths(settings))
    return {
        path: value
        for path, value in flat_settings(settings.model_dump(mode="json", exclude=set(leave_out))).items()
        if not any(path == each or path.startswith(f"{each}.") for each in unused)
    }


def _unused_paths(settings: Settings, path: str = "") -> Iterator[str]:
    for name, value in settings:
        if name in settings.EARLIER and value == settings.EARLIER[name]:
            yield f"{path}{name}"
        for index, part in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(part, Settings):
                yield from _unused_paths(
                    part, f"{path}{name}.{index}." if isinstance(value, list) else f"{path}{name}."
                )
