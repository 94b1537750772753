"""Where facts come from: files, folders, the Hugging Face Hub and the embedded atlas, each opened into parts of rows.

Layouts are told apart by suffix and by what a folder holds, never by content. Knows nothing of what the columns mean
(`columns`); text formats are read by `rows`. Works without a network, except for `hf:`.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradual.facts.problems import Problems, data_error, printable, shown, shown_names
from gradual.facts.rows import Part, Row, parts_from_bytes

if TYPE_CHECKING:
    import pyarrow

ATLAS = "atlas"
"""Names the embedded facts."""
HUB_PREFIX = "hf:"
TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
SUFFIXES = (".parquet", *TEXT_SUFFIXES)

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "exemplars": "exemplars",
}  # fmt: skip
"""How splits are called in the wild, and here."""

_ARCHIVE_SUFFIXES = (".gz", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^@:]+))?(?:@(?P<revision>[^@:]+))?")
_SPLIT_IN_NAME = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?![a-z])")
_ENTITY_QUESTIONS = re.compile(r"(?P<relation>[^.]+)\.(?P<split>train|dev|test)\.json")
_METADATA = {"dataset_infos.json", "dataset_info.json", "state.json", "dataset_dict.json"}
_BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """An opened source: its name in messages and its parts, at least one."""

    name: str
    parts: list[Part]
    is_published: bool = False
    """A data set that its user did not write and cannot be asked to correct."""


def open_source(source: str | Path, problems: Problems) -> Source:
    """The rows of a source, not yet understood; see `loading.load_facts` for what a source can be.

    Broken rows are added to `problems`.

    Raises:
        DataError: there is nothing at that place, it is of an unknown kind, or it cannot be read as its kind.
    """
    written = str(source)
    if written == ATLAS:
        return Source(ATLAS, _atlas(problems))
    if written.startswith(HUB_PREFIX):
        return Source(written, _hub(written), is_published=True)
    path = Path(source)
    name = printable(written)
    try:
        if path.is_dir():
            return _open_folder(path, name, problems)
        return Source(name, _open_file(path, name, problems))
    except OSError as error:
        found = printable(error.strerror or type(error).__name__)
        raise data_error(name, expected="a readable file", found=found, remedy="check its path and rights") from None


def _open_file(path: Path, name: str, problems: Problems) -> list[Part]:
    suffix = path.suffix.lower()
    if "\0" in str(path) or not path.exists():
        raise data_error(name, expected="a file of facts", found="nothing there", remedy="check the path")
    if suffix in _ARCHIVE_SUFFIXES:
        raise data_error(name, expected="an unpacked file", found=f"an archive ({suffix})", remedy="unpack it first")
    if suffix not in SUFFIXES:
        found = f"the ending {shown(suffix)}" if suffix else "a name without an ending"
        raise data_error(name, expected=f"a file ending in {', '.join(SUFFIXES)}", found=found, remedy="convert it")
    if not path.is_file():
        raise data_error(name, expected="a file", found="a device or pipe", remedy="write the facts into a file")
    if suffix == ".parquet":
        return [_parquet(path, name)]
    return parts_from_bytes(name, suffix, path.read_bytes(), problems)


def _atlas(problems: Problems) -> list[Part]:
    file = resources.files("gradual") / "data" / "atlas.jsonl.gz"
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError):
        found = "none in the installed package"
        raise data_error(ATLAS, expected="the embedded facts", found=found, remedy="install gradual again") from None
    return parts_from_bytes(ATLAS, ".jsonl", content, problems)


# Folders


def _open_folder(path: Path, name: str, problems: Problems) -> Source:
    if (path / "dataset_dict.json").is_file():
        return Source(name, _with_splits(_saved_dict(path, name)))
    if (path / "state.json").is_file():
        return Source(name, [_saved(path, name)])
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.name not in _METADATA
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        remedy = "name a file, or a folder that holds files"
        raise data_error(
            name, expected=f"data files ({', '.join(SUFFIXES)})", found="none in the folder", remedy=remedy
        )
    published = _entity_questions(path, files, problems)
    if published:
        return Source(name, published, is_published=True)
    kinds = sorted({file.suffix.lower() for file in files})
    if len(kinds) > 1:
        found = ", ".join(f"{sum(file.suffix.lower() == kind for file in files)} {kind}" for kind in kinds)
        raise data_error(name, expected="data files of one kind", found=found, remedy="name the file to read")
    splits = [_split_of(file.relative_to(path)) for file in files]
    unsplit = [file for file, split in zip(files, splits, strict=True) if not split]
    if any(splits) and unsplit:
        expected, remedy = "a split (train, validation, test) in every file name", "rename it, or name the file to read"
        raise data_error(name, expected=expected, found=shown(unsplit[0].name), remedy=remedy)
    parts: list[Part] = []
    for file, split in zip(files, splits, strict=True):
        parts += [replace(part, split=split) for part in _open_file(file, printable(str(file)), problems)]
    return Source(name, _with_splits(parts))


def _entity_questions(path: Path, files: Iterable[Path], problems: Problems) -> list[Part]:
    """The parts of EntityQuestions as published: train/P17.train.json, dev/P17.dev.json, test/P17.test.json ..."""
    matches = [(file, _ENTITY_QUESTIONS.fullmatch(file.name)) for file in files]
    parts: list[Part] = []
    for file, match in matches:
        if match is None or file.parent.name != match["split"] or file.parent.parent != path:
            continue
        for part in _open_file(file, printable(str(file)), problems):
            parts.append(replace(part, relation=match["relation"], split=SPLIT_NAMES[match["split"]]))
    return parts


def _split_of(relative: Path) -> str:
    """The split that a file's name or one of its folders begins with; empty if none does."""
    for part in reversed(relative.parts):
        match = _SPLIT_IN_NAME.match(part.lower())
        if match:
            return SPLIT_NAMES[match[1]]
    return ""


def _with_splits(parts: list[Part]) -> list[Part]:
    """The parts; a split that all of them share says nothing and is left out."""
    if len({part.split for part in parts}) == 1:
        return [replace(part, split="") for part in parts]
    return parts


# Arrow


def _parquet(path: Path, name: str) -> Part:
    import pyarrow
    from pyarrow import parquet

    if path.stat().st_size == 0:
        raise data_error(name, expected="at least one fact", found="an empty file", remedy="write facts into it")
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the file's
        found = f"something else ({_first_line(error)})"
        raise data_error(name, expected="a Parquet file", found=found, remedy="write it again") from None
    return _arrow_part(name, schema, lambda: file.iter_batches(batch_size=_BATCH_ROWS))


def _saved_dict(path: Path, name: str) -> list[Part]:
    """The splits of a data set saved by `datasets.DatasetDict.save_to_disk`."""
    splits = _saved_json(path / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(split, str) for split in splits):
        where = f"{name}/dataset_dict.json"
        raise data_error(where, expected='a list in "splits"', found=shown(splits), remedy="save the data set again")
    return [replace(_saved(path / split, f"{name}/{split}"), split=_known_split(name, split)) for split in splits]


def _known_split(name: str, split: str) -> str:
    known = SPLIT_NAMES.get(split.lower())
    if known is None:
        expected = "splits called train, validation, test or exemplars"
        raise data_error(
            name, expected=expected, found=shown(split), remedy="rename the split, or save one split alone"
        )
    return known


def _saved(path: Path, name: str) -> Part:
    """The rows of a data set saved by `datasets.Dataset.save_to_disk`, read without that library."""
    import pyarrow
    from pyarrow import ipc

    state = _saved_json(path / "state.json")
    listed = state.get("_data_files")
    names = [file.get("filename") for file in listed if isinstance(file, dict)] if isinstance(listed, list) else []
    files = [path / file for file in names if isinstance(file, str)]
    if not files or state.get("_indices_data_files"):
        where, remedy = f"{name}/state.json", "save the data set again with a current `datasets`"
        raise data_error(where, expected="the data files of a saved data set", found="none", remedy=remedy)

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for file in files:
            with pyarrow.memory_map(str(file)) as stream:
                yield from ipc.open_stream(stream)

    try:
        with pyarrow.memory_map(str(files[0])) as stream:
            schema = ipc.open_stream(stream).schema
    except (pyarrow.ArrowException, ValueError) as error:
        found = f"something else ({_first_line(error)})"
        raise data_error(name, expected="a saved data set", found=found, remedy="save it again") from None
    return _arrow_part(name, schema, batches)


def _saved_json(path: Path) -> dict[str, object]:
    name = printable(str(path))
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise data_error(name, expected="a JSON object", found="broken JSON", remedy="save the data set again")
    return value


def _arrow_part(name: str, schema: pyarrow.Schema, batches: Any) -> Part:
    """A part that turns only the columns asked for into Python values, batch by batch."""
    columns = tuple(schema.names)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise data_error(
            name, expected="each column once", found=f"{shown(twice[0])} twice", remedy="rename one of them"
        )

    def read(wanted: Sequence[str]) -> Iterator[Row]:
        import pyarrow

        number = 0
        try:
            for batch in batches():
                lists = [batch.column(batch.schema.get_field_index(column)).to_pylist() for column in wanted]
                for values in zip(*lists, strict=True):
                    number += 1
                    yield Row(f"{name}: row {number}", dict(zip(wanted, values, strict=True)))
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            where, found = f"{name}: row {number + 1}", f"damaged data ({_first_line(error)})"
            raise data_error(where, expected="a readable row", found=found, remedy="write the file again") from None

    return Part(name, columns, read)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return printable(lines[0][:120]) if lines else type(error).__name__


# The Hub


def _hub(source: str) -> list[Part]:
    """The splits of a data set on the Hugging Face Hub (or in its local cache), through the `datasets` library."""
    match = _HUB_NAME.fullmatch(source)
    if match is None:
        expected, remedy = "hf:owner/name, hf:owner/name:config or hf:owner/name@revision", "correct the name"
        raise data_error(printable(source), expected=expected, found=shown(source), remedy=remedy)
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
        found = f"{type(error).__name__} ({_first_line(error)})"
        is_offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        remedy = "allow the network (--online)" if is_offline else "check the name, the configuration and the network"
        raise data_error(
            source, expected="a data set on the Hub", found=found, remedy=f"{remedy}, or name a local file"
        ) from None
    return _with_splits(_hub_parts(source, loaded))


def _hub_parts(source: str, splits: Mapping[str, Any]) -> list[Part]:
    """The parts of a loaded `datasets.DatasetDict`."""

    def rows(name: str, dataset: Any) -> Any:
        def read(wanted: Sequence[str]) -> Iterator[Row]:
            for number, values in enumerate(dataset.select_columns(list(wanted)), start=1):
                yield Row(f"{name}: row {number}", values)

        return read

    parts: list[Part] = []
    for split, dataset in splits.items():
        name = f"{source}[{split}]"
        # A lone split may be called anything: its name is not used.
        known = _known_split(source, split) if len(splits) > 1 else ""
        parts.append(Part(name, tuple(dataset.column_names), rows(name, dataset), split=known))
    if not parts:
        found = f"the splits {shown_names(list(splits))}"
        raise data_error(source, expected="a data set with splits", found=found, remedy="name another")
    return parts
