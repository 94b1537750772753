"""Opens a source, whatever it is: a file, several, a pattern, a folder, a saved data set, the Hub or the atlas.

What a file holds is told by its content, its ending being a hint. Works without a network, except for `hf:`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import glob, has_magic
from importlib import resources
from pathlib import Path

from gradual.config.run import FactsConfig
from gradual.facts.problems import Problems, data_error, printable, quote, shown_names
from gradual.facts.sources.arrow import parquet_part, saved_part, saved_splits
from gradual.facts.sources.atlas import AtlasWordings, with_transfer
from gradual.facts.sources.content import (
    PACKED_SUFFIXES,
    Content,
    begins_with,
    content_of_bytes,
    content_of_file,
)
from gradual.facts.sources.delimited import delimited_part
from gradual.facts.sources.hub import hub_parts
from gradual.facts.sources.json_rows import json_parts
from gradual.facts.sources.part import Part
from gradual.facts.sources.split_names import SPLIT_NAMES, split_of_path

ATLAS = "atlas"
"""Names the embedded facts."""
HUB_PREFIX = "hf:"
LINE_SUFFIXES = (".jsonl", ".ndjson")
DELIMITED_SUFFIXES = (".csv", ".tsv")
TEXT_SUFFIXES = (*LINE_SUFFIXES, ".json", *DELIMITED_SUFFIXES)
SUFFIXES = (".parquet", *TEXT_SUFFIXES)

_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".7z", ".rar")
_ENTITY_QUESTIONS = re.compile(r"(?P<relation>[^.]+)\.(?P<split>train|dev|test)\.json")
_METADATA = {"dataset_infos.json", "dataset_info.json", "state.json", "dataset_dict.json"}


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source: its name in messages and its parts, at least one."""

    name: str
    parts: list[Part]
    is_published: bool = False
    """A data set that its user did not write and cannot be asked to correct."""
    remarks: tuple[str, ...] = ()
    """How it was understood, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How text files are to be read."""

    config: FactsConfig
    usual_names: frozenset[str]
    problems: Problems


def open_source(config: FactsConfig, usual_names: frozenset[str], problems: Problems) -> Source:
    """The rows of a source, not yet understood; see `loading.load_facts` for what a source can be.

    Broken rows are added to `problems`; `usual_names` are those of columns, by which separators are found.

    Raises:
        DataError: there is nothing at that place, it is of an unknown kind, or it cannot be read as its kind.
    """
    setting = config.path
    reading = _Reading(config, usual_names, problems)
    if isinstance(setting, list):
        return _open_files([path for each in setting for path in _matches(each)], shown_source(setting), reading)
    if setting == ATLAS:
        return Source(ATLAS, _atlas(reading))
    if setting.startswith(HUB_PREFIX):
        return Source(setting, _with_splits(hub_parts(setting)), is_published=True)
    path, name = Path(setting).expanduser(), printable(setting)
    with _name_disk_errors(name):
        if has_magic(setting) and not os.path.lexists(path):
            return _open_files(_matches(setting), name, reading)
        if path.is_dir():
            return _open_folder(path, name, reading)
        return Source(name, _with_splits(_open_file(path, name, reading)))


def shown_source(path: str | list[str]) -> str:
    """A source as messages call it."""
    return printable(path if isinstance(path, str) else ", ".join(path))


@contextmanager
def _name_disk_errors(name: str) -> Iterator[None]:
    """Says in one line what the disk refused."""
    try:
        yield
    except OSError as error:
        fault = printable(error.strerror or type(error).__name__)
        raise data_error(name, expected="a readable file", found=fault, remedy="check its path and rights") from None


def _matches(pattern: str) -> list[Path]:
    """The files of a pattern, sorted; a plain path is itself."""
    expanded = os.path.expanduser(pattern)
    if not has_magic(pattern) or os.path.lexists(expanded):
        return [Path(expanded)]
    paths = [Path(each) for each in sorted(glob(expanded, recursive=True)) if not os.path.isdir(each)]
    if not paths:
        name = printable(pattern)
        raise data_error(name, expected="files of that pattern", found="none", remedy="check the pattern")
    return paths


def _open_files(paths: Sequence[Path], name: str, reading: _Reading) -> Source:
    """Several files as one source; splits in their names count as those in a folder do."""
    if not paths:
        raise data_error("facts.path", expected="at least one file", found="an empty list", remedy="name the files")
    common = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    relative = [path.absolute().relative_to(common) for path in paths]
    splits, remarks = _splits_of_files(name, relative)
    parts: list[Part] = []
    for path, split in zip(paths, splits, strict=True):
        shown_path = printable(str(path))
        with _name_disk_errors(shown_path):
            parts += [_in_split(part, split) for part in _open_file(path, shown_path, reading)]
    return Source(name, _with_splits(parts), remarks=remarks)


def _open_file(path: Path, name: str, reading: _Reading) -> list[Part]:
    if "\0" in str(path) or not path.exists():
        raise data_error(name, expected="a file of facts", found="nothing there", remedy="check the path")
    suffix = kind_of_name(path.name)
    if path.suffix.lower() in _ARCHIVE_SUFFIXES:
        fault = f"an archive ({path.suffix.lower()})"
        raise data_error(name, expected="an unpacked file", found=fault, remedy="unpack it first")
    if suffix not in SUFFIXES:
        fault = f"the ending {quote(suffix)}" if suffix else "a name without an ending"
        raise data_error(name, expected=f"a file ending in {', '.join(SUFFIXES)}", found=fault, remedy="convert it")
    if not path.is_file():
        raise data_error(name, expected="a file", found="a device or pipe", remedy="write the facts into a file")
    if begins_with(path, b"PAR1"):
        return [parquet_part(path, name)]
    content = content_of_file(path, name, reading.config.encoding)
    return [parquet_part(path, name)] if suffix == ".parquet" else _text_parts(content, suffix, reading)


def kind_of_name(name: str) -> str:
    """The ending of a file's name in lower case, without that of its packing: .jsonl of Facts.JSONL.gz."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix


def _text_parts(content: Content, suffix: str, reading: _Reading) -> list[Part]:
    if suffix in DELIMITED_SUFFIXES:
        config = reading.config
        part = delimited_part(
            content,
            reading.problems,
            delimiter=config.delimiter,
            has_header=not config.columns.are_numbers,
            usual_names=reading.usual_names,
        )
        return [part]
    return json_parts(content, reading.problems, has_lines=suffix in LINE_SUFFIXES)


def _atlas(reading: _Reading) -> list[Part]:
    file = resources.files("gradual") / "data" / "atlas.jsonl.gz"
    with resources.as_file(file) as path:
        try:
            data = b"".join(piece.encode() for piece in content_of_file(path, ATLAS, None).pieces())
        except OSError:
            fault = "none in the installed package"
            raise data_error(
                ATLAS, expected="the embedded facts", found=fault, remedy="install gradual again"
            ) from None
    table = _atlas_wordings()
    return [with_transfer(part, table) for part in _text_parts(content_of_bytes(ATLAS, data), ".jsonl", reading)]


def _atlas_wordings() -> AtlasWordings:
    table = json.loads((resources.files("gradual") / "data" / "atlas_wordings.json").read_text(encoding="utf-8"))
    return AtlasWordings({name: tuple(each) for name, each in table["wordings"].items()}, table["reverses"])


# Folders


def _open_folder(path: Path, name: str, reading: _Reading) -> Source:
    if (path / "dataset_dict.json").is_file():
        return Source(name, _with_splits(saved_splits(path, name)))
    if (path / "state.json").is_file():
        return Source(name, [saved_part(path, name)])
    files = sorted(_data_files(path))
    if not files:
        remedy = "name a file, or a folder that holds files"
        raise data_error(
            name, expected=f"data files ({', '.join(SUFFIXES)})", found="none in the folder", remedy=remedy
        )
    published = _entity_questions(path, files, reading)
    if published:
        return Source(name, published, is_published=True)
    kinds = sorted({kind_of_name(file.name) for file in files})
    if len(kinds) > 1:
        fault = ", ".join(f"{sum(kind_of_name(file.name) == kind for file in files)} {kind}" for kind in kinds)
        raise data_error(name, expected="data files of one kind", found=fault, remedy="name the file to read")
    splits, remarks = _splits_of_files(name, [file.relative_to(path) for file in files])
    parts: list[Part] = []
    for file, split in zip(files, splits, strict=True):
        parts += [_in_split(part, split) for part in _open_file(file, printable(str(file)), reading)]
    return Source(name, _with_splits(parts), remarks=remarks)


def _data_files(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, links followed, each folder once; hidden ones are left out."""
    real_paths: set[str] = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in real_paths:
            folders.clear()
            continue
        real_paths.add(real)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in names:
            if kind_of_name(name) in SUFFIXES and name not in _METADATA and not name.startswith("."):
                yield Path(where) / name


def _entity_questions(path: Path, files: Iterable[Path], reading: _Reading) -> list[Part]:
    """The parts of EntityQuestions as published: train/P17.train.json, dev/P17.dev.json, test/P17.test.json ..."""
    matches = [(file, _ENTITY_QUESTIONS.fullmatch(file.name)) for file in files]
    parts: list[Part] = []
    for file, match in matches:
        if match is None or file.parent.name != match["split"] or file.parent.parent != path:
            continue
        for part in _open_file(file, printable(str(file)), reading):
            parts.append(replace(part, relation=match["relation"], split=SPLIT_NAMES[match["split"]]))
    return parts


def _splits_of_files(name: str, files: Sequence[Path]) -> tuple[list[str], tuple[str, ...]]:
    """The split of each file by its name, and what to tell of them.

    Raises:
        DataError: some names say a split and others do not.
    """
    splits = [split_of_path(file) for file in files]
    unsplit = [str(file) for file, split in zip(files, splits, strict=True) if not split]
    if any(splits) and unsplit:
        raise data_error(
            name,
            expected="a split (train, validation, test) in every file name",
            found=f"none in {shown_names(unsplit)}",
            remedy="rename them, or name the files to read (facts.path may be a list)",
        )
    if len(set(splits)) < 2:
        return splits, ()
    texts = [
        f"{split} ({', '.join(str(file) for file, each in zip(files, splits, strict=True) if each == split)})"
        for split in dict.fromkeys(splits)
    ]
    return splits, (f"{name}: splits told from the names of files: {printable(', '.join(texts))}",)


def _in_split(part: Part, split: str) -> Part:
    return replace(part, split=split) if split else part


def _with_splits(parts: list[Part]) -> list[Part]:
    """The parts; a split that all of them share says nothing and is left out."""
    if len({part.split for part in parts}) == 1:
        return [replace(part, split="") for part in parts]
    return parts
