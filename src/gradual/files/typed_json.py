"""JSON files with types: what a file says, checked against what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gradual.errors import RunDirError
from gradual.files import storage

_Model = TypeVar("_Model", bound=BaseModel)


class FilePart(BaseModel):
    """A part of a file whose other fields are left unread."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def checked(content: Mapping[str, storage.Json], model: type[_Model], *, where: str) -> _Model:
    """The content of a file as what it should be.

    Raises:
        RunDirError: a field is missing or of another kind; says where.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RunDirError(f"{where}: field `{name}`: {first['msg']}, found {first['input']!r:.80}") from error
