"""What the report reads from a run folder: its types, and what of it is missing.

Checks the shape of the files and fills nothing in; every number comes from the folder. Knows neither HTML
(`report_page`) nor sentences (`report_story`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from gradual.errors import ConfigError, RunDirError
from gradual.files import storage
from gradual.files.strict_yaml import read_yaml
from gradual.files.typed_json import checked
from gradual.knowledge.levels import Level
from gradual.text import stage_name

Counts = Mapping[Level, int]


_Model = TypeVar("_Model", bound=BaseModel)


class _Part(BaseModel):
    """A part of the folder's JSON; what the report does not show is ignored, and null means not there."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: object) -> object:
        return {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value


class Share(_Part):
    """An accuracy in [0, 1] with its 95 % interval."""

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    correct: int | None = None
    total: int | None = None
    stage: int | None = None


class Transition(_Part):
    """Facts by level in one map (outer key) and level in a later one (inner key)."""

    start: int = Field(alias="from")
    end: int = Field(alias="to")
    counts: dict[Level, dict[Level, int]]

    def row(self, level: Level) -> dict[Level, int]:
        """Where the facts of one level went; levels that nothing went to are left out."""
        return self.counts.get(level, {})

    def gained(self, level: Level) -> int:
        """Facts that reached the level."""
        return sum(row.get(level, 0) for start, row in self.counts.items() if start != level)

    def lost(self, level: Level) -> int:
        """Facts that left the level."""
        return sum(number for end, number in self.row(level).items() if end != level)


class McNemar(_Part):
    """Test facts answered rightly only after (gained) or only before (lost), with the exact p-value."""

    start: int = Field(alias="from")
    end: int = Field(alias="to")
    gained: int
    lost: int
    p_value: float | None = None


class Scores(_Part):
    """The test accuracy of one group of facts, one entry per stage evaluated."""

    total: int = 0
    stages: list[Share] = []


class LevelScores(Scores):
    """Test accuracy of the facts that had one level at the start."""

    level: Level


class RelationScores(Scores):
    """Test accuracy of one relation."""

    relation: str


class HighlyKnown(_Part):
    """The growth of HighlyKnown training facts, read in two ways and split by what was trained on."""

    counts: list[int] = []
    reading_a: float | None = None
    reading_b: float | None = None
    split: dict[str, list[int]] = {}


class RelationLevels(_Part):
    """Levels of one relation's training facts, one entry per probe."""

    relation: str
    total: int = 0
    levels: list[dict[Level, int]] = []


class Epoch(_Part):
    """One epoch of a stage; 0 is before training."""

    epoch: float
    loss: float | None = None
    eval_accuracy: float | None = None


class StageCost(_Part):
    """What one stage of training took."""

    seconds: float | None = None
    seconds_per_step: float | None = None


class Stage(_Part):
    """One round of selection and training."""

    strategy: str | None = None
    select: str | None = None
    num_new: int | None = None
    num_replay: int | None = None
    replay_wanted: int | None = None
    replay_shortfall: int = 0
    promoted_trained: int | None = None
    unknown_left_out: int = 0
    best_epoch: float | None = None
    stopped_early: bool | None = None
    tokens: int | None = None
    steps: int | None = None
    cost: StageCost = StageCost()
    epochs: list[Epoch] = []


class Example(_Part):
    """One fact with its level and greedy answer at every probe."""

    id: str = ""
    relation: str = ""
    question: str = ""
    answers: list[str] = []
    levels: list[Level] = []
    greedy: list[str | None] = []


class CostStep(_Part):
    """What one step of the run took."""

    name: str
    seconds: float | None = None
    tokens: int | None = None


class Cost(_Part):
    """`cost.json`: what the run took."""

    total_seconds: float | None = None
    steps: list[CostStep] = []
    stages: list[StageCost] = []


class Summary(_Part):
    """`summary.json`: lists "per probe" have one entry per knowledge map made so far."""

    seed: int | None = None
    model: str | None = None
    num_facts: dict[str, int] = {}
    dropped_for_overlap: int = 0
    levels: list[dict[Level, int]] = []
    transitions: list[Transition] = []
    test_accuracy: list[Share] = []
    test_by_level: list[LevelScores] = []
    test_by_relation: list[RelationScores] = []
    mcnemar: list[McNemar] = []
    highly_known: HighlyKnown = HighlyKnown()
    relations: list[RelationLevels] = []
    stages: list[Stage] = []
    examples: dict[str, list[Example]] = {}
    cost: Cost = Cost()
    settings: dict[str, JsonValue] = {}
    fingerprint: dict[str, JsonValue] = {}
    warnings: list[str] = []

    def transition(self, start: int, end: int) -> Transition | None:
        """The transitions between two probes, where the folder has them."""
        return next((t for t in self.transitions if (t.start, t.end) == (start, end)), None)

    def paired_test(self, start: int, end: int) -> McNemar | None:
        """The paired test between two evaluations, where the folder has it."""
        return next((test for test in self.mcnemar if (test.start, test.end) == (start, end)), None)


class _RunFile(_Part):
    gradual_version: str = ""
    status: str = "unknown"
    fingerprint: dict[str, JsonValue] = {}


class _Attempt(_Part):
    time: str = ""


class _MapFile(_Part):
    levels: dict[Level, int] = {}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run folder as the report sees it. `missing` says in plain words what a finished run would have besides."""

    name: str
    status: str
    created: str
    version: str
    summary: Summary
    missing: tuple[str, ...]


def read_run(folder: Path) -> RunRecord:
    """The run folder's record, whole or partial; without `summary.json` it is pieced together from the other files.

    Raises:
        RunDirError: the folder is not there or holds no part of a run, or a file in it has another shape.
    """
    if not folder.is_dir():
        raise RunDirError(f"{folder}: expected a run folder, found {'a file' if folder.exists() else 'nothing'}")
    if not any((folder / part).exists() for part in ("run.json", "summary.json", "probes")):
        raise RunDirError(f"{folder}: not a run folder: neither run.json nor summary.json nor probes/ is in it")
    about = _read(folder / "run.json", _RunFile) or _RunFile()
    found = _read(folder / "summary.json", Summary)
    summary = found or Summary(levels=_levels_of_probes(folder), stages=_stages(folder))
    settings = summary.settings or _settings(folder / "config.yaml")
    fingerprint = summary.fingerprint or about.fingerprint
    cost = _read(folder / "cost.json", Cost) or Cost()
    taken = [*cost.stages, *(StageCost() for _ in summary.stages)]
    stages = [stage.model_copy(update={"cost": one}) for stage, one in zip(summary.stages, taken, strict=False)]
    changes = {"settings": _flat(settings), "fingerprint": _flat(fingerprint), "cost": cost, "stages": stages}
    summary = summary.model_copy(update=changes)
    attempts = _lines(folder / "attempts.log", _Attempt)
    return RunRecord(
        name=folder.resolve().name,
        status=about.status,
        created=attempts[0].time if attempts else "",
        version=about.gradual_version,
        summary=summary,
        missing=_missing(summary, has_summary=found is not None, ended=about.status == "nothing_to_train"),
    )


def _missing(summary: Summary, *, has_summary: bool, ended: bool) -> tuple[str, ...]:
    planned = {int(match[1]) for key in summary.settings if (match := re.match(r"stages\.(\d+)", key))}
    trained = len(summary.stages)
    last = trained if ended else max(len(planned), trained, len(summary.levels) - 1)
    missing = [] if has_summary else ["summary.json: the run has not been summed up yet"]
    if ended and trained < len(planned):
        missing.append(f"stage {trained + 1}: no fact met its selection, so there was nothing to train on")
    if not has_summary and not planned:
        missing.append("config.yaml: the settings are not known, nor how many stages were meant")
    for stage in range(last + 1):
        if stage > trained:
            missing.append(f"stage {stage}: not trained yet")
        elif stage and not summary.stages[stage - 1].epochs:
            missing.append(f"stage {stage}: the record of its epochs (training curves)")
        if stage >= len(summary.levels):
            missing.append(f"probe {stage} ({stage_name(stage)}): the levels of the training facts")
        if stage >= len(summary.test_accuracy):
            missing.append(f"evaluation {stage} ({stage_name(stage)}): the test accuracy")
    return tuple(missing)


def _read(path: Path, model: type[_Model]) -> _Model | None:
    """The file as a model, or None where there is no such file."""
    return checked(storage.read_json(path), model, where=str(path)) if path.is_file() else None


def _levels_of_probes(folder: Path) -> list[dict[Level, int]]:
    """Level counts of probes 0, 1, ... up to the first that is not there."""
    levels: list[dict[Level, int]] = []
    while (found := _read(folder / "probes" / str(len(levels)) / "map.json", _MapFile)) is not None:
        levels.append(found.levels)
    return levels


def _stages(folder: Path) -> list[Stage]:
    """Stages 1, 2, ... up to the first without a record."""
    stages: list[Stage] = []
    while True:
        stage_folder = folder / "stages" / str(len(stages) + 1)
        epochs = _lines(stage_folder / "epochs.jsonl", Epoch)
        found = _read(stage_folder / "stage.json", Stage)
        if found is None and not epochs:
            return stages
        stages.append((found or Stage()).model_copy(update={"epochs": epochs}))


def _lines(path: Path, model: type[_Model]) -> list[_Model]:
    """The lines of a file as models; none where there is no such file."""
    lines = enumerate(storage.read_json_lines(path), start=1)
    return [checked(line, model, where=f"{path}:{number}") for number, line in lines]


def _settings(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        return {}
    try:
        settings = read_yaml(storage.read_bytes(path).decode(), str(path))
    except (ConfigError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path}: expected the settings of the run, found something else ({error})") from error
    return settings if isinstance(settings, dict) else {}


def _flat(value: JsonValue, prefix: str = "") -> dict[str, JsonValue]:
    """Nested settings as dotted keys; a list of plain values stays one value."""
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        children = [(str(position), part) for position, part in enumerate(value)]
    else:
        return {prefix: value}
    dotted: dict[str, JsonValue] = {}
    for key, child in children:
        dotted |= _flat(child, f"{prefix}.{key}" if prefix else str(key))
    return dotted
