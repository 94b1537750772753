"""What all settings have in common: strict types, nothing unknown, help texts from the docstrings under the fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonEmptyText = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """A section of settings."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def flat_settings(settings: Settings, *, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Every setting by its dotted path; list positions are part of the path."""
    flat: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                walk(part, f"{path}.{name}" if path else name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, part in enumerate(value):
                walk(part, f"{path}.{index}")
        else:
            flat[path] = value

    walk(settings.model_dump(mode="json", exclude=set(leave_out)), "")
    return flat
