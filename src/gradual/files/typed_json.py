"""JSON files with types: what a file says, checked against what it should be, and written from the same type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from gradual.errors import RunDirError
from gradual.files import storage

_Model = TypeVar("_Model", bound=BaseModel)


class FilePart(BaseModel):
    """A part of a file. Fields it doesn't know are left unread, and null means not there: the default holds."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)
    absent_when_none: ClassVar[frozenset[str]] = frozenset()
    """Fields that are left out of the file where they are None; others are written as null."""

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: object) -> object:
        return {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value

    @model_serializer(mode="wrap")
    def _leave_out(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: part for key, part in dump(self).items() if part is not None or key not in self.absent_when_none}

    def as_json(self) -> dict[str, storage.Json]:
        """The part as the file holds it."""
        return self.model_dump(mode="json", by_alias=True)


def check_content(content: Mapping[str, storage.Json], model: type[_Model], *, where: str) -> _Model:
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


def read_typed(path: Path, model: type[_Model]) -> _Model:
    """What a JSON file says.

    Raises:
        RunDirError: it is missing or damaged, or a field is missing or of another kind.
    """
    return check_content(storage.read_json(path), model, where=str(path))


def read_typed_if_there(path: Path, model: type[_Model]) -> _Model | None:
    """As `read_typed`; None where there is no such file."""
    return read_typed(path, model) if path.is_file() else None


def read_typed_lines(path: Path, model: type[_Model]) -> list[_Model]:
    """What each finished line of a file of JSON lines says; none where there is no such file.

    Raises:
        RunDirError: a line is damaged, or a field is missing or of another kind; the message gives file:line.
    """
    lines = enumerate(storage.read_json_lines(path), start=1)
    return [check_content(line, model, where=f"{path}:{number}") for number, line in lines]
