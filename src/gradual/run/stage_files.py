"""The files of a stage as types: `stage.json`, `epochs.jsonl` and `times.jsonl`, written and read through them.

Counts nothing but what became of the validation facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gradual.config.stage import StageConfig
from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table
from gradual.files.typed_json import FilePart, read_typed, read_typed_lines
from gradual.knowledge.levels import Level
from gradual.run.folder import RunDir
from gradual.selection.strategies import TAUGHT, SelectedFact, Selection
from gradual.statistics.intervals import PairedCounts, paired_counts

if TYPE_CHECKING:
    from gradual.training.epochs import EpochRecord


_SELECTION = tuple(Column(name, "text") for name in ("id", "role", "first", "before", "now", "reason"))


class StageFile(FilePart):
    """`stage.json`: what a stage trained on and how it ended; None where a file of an older version doesn't say."""

    absent_when_none = frozenset({"num_abstain", "num_anchor", "optimism"})
    strategy: str = ""
    select: str = ""
    num_new: int | None = None
    num_replay: int | None = None
    replay_wanted: int | None = None
    replay_shortfall: int = 0
    num_anchor: int | None = None
    """Facts that held the stage to a reference; left out where it has no anchor."""
    num_abstain: int | None = None
    """Facts that were trained on with a refusal; left out where none are taught."""
    new_shortfall: int = 0
    """New facts that are missing for the size asked for."""
    promoted_trained: int | None = None
    unknown_left_out: int = 0
    best_epoch: int | None = None
    """The epoch that was kept."""
    stopped_early: bool = False
    improved: bool = True
    """The epoch kept is better than none on the facts that choose it."""
    tokens: float | None = None
    steps: float | None = None
    optimism: float | None = None
    """By how much choosing the epoch on the test facts flatters; left out of the file where validation facts choose."""


class EpochNumbers(FilePart):
    """One epoch of a stage; 0 is before training."""

    absent_when_none = frozenset({"eval_area", "validation_accuracy"})
    epoch: int
    loss: float | None = None
    eval_accuracy: float
    """Of the facts that choose the epoch."""
    eval_p: float = 0.0
    """Mean lower bound of p on the same facts."""
    eval_area: float | None = None
    """Area under the risk-coverage curve of the same facts; left out of the file unless the epoch is kept by it."""
    learning_rate: float | None = None
    tokens: int = 0
    steps: int = 0
    validation_accuracy: float | None = None
    """Of the validation facts; left out of the file unless test facts choose."""


class EpochLine(EpochNumbers):
    """A line of `epochs.jsonl`: the same however often the stage was interrupted."""

    verdicts: Annotated[str, Field(pattern="^[01]*$")] = ""
    """A digit for each validation fact, by id: 1 where it was right. Empty where none were kept."""


class EpochTimes(FilePart):
    """A line of `times.jsonl`: what an epoch took, one line for each time it was done."""

    epoch: int = 0
    seconds: float = 0.0
    """Of training alone."""
    eval_seconds: float = 0.0
    """Of scoring."""
    steps: int = 0


def append_epoch(run: RunDir, number: int, record: EpochRecord) -> None:
    """Keeps what an epoch of a stage came to and what it took, at once: an interrupted stage goes on behind it.

    Raises:
        RunDirError: the disk refused.
    """
    whole = record._asdict()
    storage.append_json_line(run.times(number), EpochTimes.model_validate(whole).as_json())
    storage.append_json_line(run.epochs(number), EpochLine.model_validate(whole).as_json())


def write_stage(
    run: RunDir,
    number: int,
    selection: Selection,
    config: StageConfig,
    epochs: Sequence[EpochLine],
    *,
    best_epoch: int,
    stopped_early: bool,
    optimism: float | None,
) -> StageFile:
    """What `stage.json` says of a stage that has ended; written, and its epochs once each.

    Raises:
        RunDirError: the disk refused.
    """
    by_epoch = {each.epoch: each for each in epochs}
    stage = StageFile(
        strategy=selection.strategy.name,
        select=selection.strategy.select,
        num_new=selection.num_new,
        num_replay=selection.num_replay,
        replay_wanted=selection.replay_wanted,
        replay_shortfall=selection.replay_shortfall,
        new_shortfall=selection.new_shortfall,
        num_anchor=selection.num_anchor if config.anchor is not None else None,
        num_abstain=selection.num_abstain if config.abstain is not None else None,
        promoted_trained=selection.num_promoted,
        unknown_left_out=selection.num_left_out,
        best_epoch=best_epoch,
        stopped_early=stopped_early,
        improved=_is_better(by_epoch[best_epoch], by_epoch[0]),
        tokens=sum(each.tokens for each in epochs),
        steps=sum(each.steps for each in epochs),
        optimism=optimism,
    )
    storage.write_text(run.epochs(number), "".join(f"{storage.canonical_json(each.as_json())}\n" for each in epochs))
    storage.write_json(run.stage_summary(number), stage.as_json())
    return stage


def _is_better(epoch: EpochNumbers, start: EpochNumbers) -> bool:
    """By the area under the risk-coverage curve where there is one, else by accuracy."""
    if epoch.eval_area is not None and start.eval_area is not None:
        return epoch.eval_area < start.eval_area
    return epoch.eval_accuracy > start.eval_accuracy


def read_stage(run: RunDir, number: int) -> StageFile:
    """What `stage.json` says of a stage.

    Raises:
        RunDirError: it is missing or damaged.
    """
    return read_typed(run.stage_summary(number), StageFile)


def read_epochs(run: RunDir, number: int) -> tuple[EpochLine, ...]:
    """The epochs of a stage in order; one that was done twice, because of a kill, is as it was done last.

    Raises:
        RunDirError: `epochs.jsonl` is damaged.
    """
    lines = read_typed_lines(run.epochs(number), EpochLine)
    return tuple({line.epoch: line for line in lines}.values())


def read_epoch_times(run: RunDir, number: int) -> list[EpochTimes]:
    """What each epoch of a stage took, one entry for each time it was done.

    Raises:
        RunDirError: `times.jsonl` is damaged.
    """
    return read_typed_lines(run.times(number), EpochTimes)


def verdicts_by_epoch(epochs: Iterable[EpochLine], facts: Iterable[str], where: Path) -> dict[int, dict[str, bool]]:
    """Whether each validation fact was right, by epoch and id; of the epochs whose verdicts were kept.

    Args:
        epochs: those of a stage.
        facts: ids of the validation facts.
        where: file that the epochs are from, for errors.

    Raises:
        RunDirError: there are more or fewer verdicts than facts.
    """
    ids = sorted(facts)
    verdicts = {}
    for line in epochs:
        if line.verdicts and len(line.verdicts) != len(ids):
            fault = f"expected {len(ids)} verdicts, found {len(line.verdicts)}"
            raise RunDirError(f"{where}: epoch {line.epoch}: {fault}; make the run again")
        if line.verdicts:
            verdicts[line.epoch] = {fact: digit == "1" for fact, digit in zip(ids, line.verdicts, strict=True)}
    return verdicts


def validation_counts(run: RunDir, number: int, facts: Iterable[str]) -> PairedCounts:
    """What became of the validation facts in a stage: from before it to the epoch that was kept.

    Raises:
        RunDirError: the verdicts were not kept, or are damaged.
    """
    verdicts = verdicts_by_epoch(read_epochs(run, number), facts, run.epochs(number))
    best = read_stage(run, number).best_epoch or 0
    for epoch in (0, best):
        if epoch not in verdicts:
            raise RunDirError(f"{run.epochs(number)}: epoch {epoch}: expected verdicts, found none; make the run again")
    return paired_counts(verdicts[0], verdicts[best])


def write_selection(selection: Selection, path: Path) -> None:
    """Keeps what a stage trains on, and why, as a table.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(path.parent)
    rows = selection.rows
    write_table(path, _SELECTION, {c.name: [str(getattr(row, c.name)) for row in rows] for c in _SELECTION})


def read_taught(path: Path) -> list[SelectedFact]:
    """What a stage trained on with its own targets: no refusals, and nothing that only holds it to a reference.

    Raises:
        RunDirError: as `read_selection`.
    """
    return [row for row in read_selection(path) if row.role in TAUGHT]


def read_selection(path: Path) -> list[SelectedFact]:
    """What a stage trained on, and why, by id.

    Raises:
        RunDirError: the file is missing or damaged, lacks a column, or names a level that there is not.
    """
    columns = read_table(path, _SELECTION)
    levels = {name: _levels(path, name, columns[name]) for name in ("first", "before", "now")}
    rows = zip(*((columns | levels)[column.name] for column in _SELECTION), strict=True)
    return [SelectedFact(*row) for row in rows]


def _levels(path: Path, column: str, names: Iterable[str]) -> list[Level]:
    try:
        return [Level(name) for name in names]
    except ValueError as error:
        raise RunDirError(f"{path}: column {column!r}: {error}; make the run again") from None
