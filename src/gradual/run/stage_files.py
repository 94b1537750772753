"""What the files of a finished stage say: its counts, its epochs, and which validation facts were right after each.

Reads `stage.json` and `epochs.jsonl` of a run; counts nothing but what became of the validation facts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.typed_json import FilePart, checked
from gradual.run.folder import RunDir
from gradual.statistics.intervals import PairedCounts, paired_counts


class StageFile(FilePart):
    """`stage.json`: what a stage trained on and how it ended."""

    strategy: str = ""
    select: str = ""
    num_new: int = 0
    new_shortfall: int = 0
    num_replay: int = 0
    replay_shortfall: int = 0
    promoted_trained: int = 0
    best_epoch: int = 0
    improved: bool = True
    stopped_early: bool = False
    optimism: float | None = None
    steps: float = 0.0
    tokens: float = 0.0


class EpochLine(FilePart):
    """A line of `epochs.jsonl`."""

    epoch: int
    loss: float | None = None
    eval_accuracy: float
    """Of the facts that choose the epoch."""
    validation_accuracy: float | None = None
    """Of the validation facts; there only where test facts choose."""
    verdicts: Annotated[str, Field(pattern="^[01]*$")] = ""
    """A digit for each validation fact, by id: 1 where it was right. Empty where none were kept."""
    steps: float = 0.0
    tokens: float = 0.0


def read_stage(run: RunDir, number: int) -> StageFile:
    """What `stage.json` says of a stage.

    Raises:
        RunDirError: it is damaged.
    """
    path = run.stage_summary(number)
    return checked(storage.read_json(path), StageFile, where=str(path))


def read_epochs(run: RunDir, number: int) -> tuple[EpochLine, ...]:
    """What `epochs.jsonl` says of a stage, a line for each epoch.

    Raises:
        RunDirError: it is damaged.
    """
    path = run.epochs(number)
    lines = enumerate(storage.read_json_lines(path), start=1)
    return tuple(checked(line, EpochLine, where=f"{path}:{place}") for place, line in lines)


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
    found = {}
    for line in epochs:
        if line.verdicts and len(line.verdicts) != len(ids):
            told = f"expected {len(ids)} verdicts, found {len(line.verdicts)}"
            raise RunDirError(f"{where}: epoch {line.epoch}: {told}; make the run again")
        if line.verdicts:
            found[line.epoch] = {fact: digit == "1" for fact, digit in zip(ids, line.verdicts, strict=True)}
    return found


def validation_counts(run: RunDir, number: int, facts: Iterable[str]) -> PairedCounts:
    """What became of the validation facts in a stage: from before it to the epoch that was kept.

    Raises:
        RunDirError: the verdicts were not kept, or are damaged.
    """
    verdicts = verdicts_by_epoch(read_epochs(run, number), facts, run.epochs(number))
    kept = read_stage(run, number).best_epoch
    for epoch in (0, kept):
        if epoch not in verdicts:
            raise RunDirError(f"{run.epochs(number)}: epoch {epoch}: expected verdicts, found none; make the run again")
    return paired_counts(verdicts[0], verdicts[kept])
