"""What all settings have in common: strict types, nothing unknown, help texts from the docstrings under the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gradual.errors import ConfigError

ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonEmptyText = Annotated[str, Field(min_length=1)]


def _one_line(text: str) -> str:
    if text.strip() != text or len(text.splitlines()) != 1:
        raise ConfigError(f"expected one line without white space around it, found {text!r}")
    return text


OneLine = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
"""A text that can be a whole answer."""


class Settings(BaseModel):
    """A section of settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    EARLIER: ClassVar[Mapping[str, object]] = {}
    """For settings younger than some folders: the value that leaves results as they were before."""
    FORMER: ClassVar[Mapping[str, object]] = {}
    """Settings that are gone, and the value at which they changed nothing: with it they may stand in a file."""
    IN_THEIR_PLACE: ClassVar[Mapping[str, str]] = {}
    """Of those that are gone because another one does the same: what to write."""

    @model_validator(mode="before")
    @classmethod
    def _drop_former_settings(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        names = [name for name, value in cls.FORMER.items() if data.get(name, value) != value]
        for name in names:
            if name in cls.IN_THEIR_PLACE:
                raise ConfigError(f"`{name}: {data[name]}`: no longer a setting; write `{cls.IN_THEIR_PLACE[name]}`")
        if lines := [f"{name}: {data[name]}" for name in names]:
            raise ConfigError(
                f"`{'`, `'.join(lines)}`: removed, as it helped nowhere; leave it out, or use a version from before "
                "December 2026"
            )
        return {name: value for name, value in data.items() if name not in cls.FORMER}


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
    match = re.fullmatch(r"(?:config\.)?stages\.(\d+)\.(.+)", path)
    return (int(match[1]), match[2]) if match else None


def settings_that_matter(settings: Settings, *, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """As `flat_settings`, but as folders of any age have it: what a folder's results were made with.

    Younger settings that change nothing are left out, and former ones stand as they did. So a folder from before there
    was a setting, or from when there still was, is gone on with, unless the setting is used.
    """
    sections = list(_sections(settings, leave_out=leave_out))
    unused = [
        f"{path}{name}"
        for path, section in sections
        for name, value in section.EARLIER.items()
        if getattr(section, name) == value
    ]
    former = {f"{path}{name}": value for path, section in sections for name, value in section.FORMER.items()}
    return former | {
        path: value
        for path, value in flat_settings(settings.model_dump(mode="json", exclude=set(leave_out))).items()
        if not any(path == each or path.startswith(f"{each}.") for each in unused)
    }


def _sections(settings: Settings, path: str = "", leave_out: Sequence[str] = ()) -> Iterator[tuple[str, Settings]]:
    """Every section with what the paths of its settings begin with."""
    yield path, settings
    for name, value in settings:
        for index, part in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(part, Settings) and name not in leave_out:
                below = f"{path}{name}.{index}." if isinstance(value, list) else f"{path}{name}."
                yield from _sections(part, below)
