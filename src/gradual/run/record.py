"""A run folder as a report needs it: its summary and cost, finished or not, and what of it is missing.

Checks the shape of the files and fills nothing in; every number comes from the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue

from gradual.config.base import flat_settings, setting_of_stage
from gradual.errors import ConfigError, RunDirError
from gradual.files import storage
from gradual.files.strict_yaml import read_yaml
from gradual.files.typed_json import read_typed_if_there, read_typed_lines
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, read_map_file
from gradual.run.cost import RunCost, StageCost
from gradual.run.folder import Attempt, RunDir, RunInfo
from gradual.run.stage_files import EpochNumbers
from gradual.run.steps import possible_steps
from gradual.run.summary.summary_file import StageSummary, Summary
from gradual.text import stage_name

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run folder as the report sees it. `missing` says in plain words what a finished run would have besides."""

    name: str
    status: str
    created: str
    version: str
    summary: Summary
    cost: RunCost
    """Empty where `cost.json` is not there."""
    missing: tuple[str, ...]

    def stage_cost(self, number: int) -> StageCost:
        """What stage `number`, from 1, took; empty where that is not known."""
        return self.cost.stages[number - 1] if number <= len(self.cost.stages) else StageCost()


def read_run(folder: Path) -> RunRecord:
    """The run folder's record, whole or partial; without `summary.json` it is pieced together from the other files.

    Raises:
        RunDirError: the folder is not there or holds no part of a run, or a file in it has another shape.
    """
    if not folder.is_dir():
        raise RunDirError(f"{folder}: expected a run folder, found {'a file' if folder.exists() else 'nothing'}")
    if not any((folder / part).exists() for part in ("run.json", "summary.json", "probes")):
        raise RunDirError(f"{folder}: not a run folder: neither run.json nor summary.json nor probes/ is in it")
    about = read_typed_if_there(folder / "run.json", RunInfo)
    summary_file = read_typed_if_there(folder / "summary.json", Summary)
    status = about.status if about else "unknown"
    summary = summary_file or Summary(levels=_levels_of_probes(folder), stages=_stages_of_files(RunDir(folder)))
    settings = summary.settings or _settings_of_config_file(folder / "config.yaml")
    fingerprint = summary.fingerprint or (about.fingerprint if about else {})
    summary = summary.model_copy(
        update={"settings": flat_settings(settings), "fingerprint": flat_settings(fingerprint)}
    )
    attempts = read_typed_lines(folder / "attempts.log", Attempt)
    return RunRecord(
        name=folder.resolve().name,
        status=status,
        created=attempts[0].time if attempts else "",
        version=about.gradual_version if about else "",
        summary=summary,
        cost=read_typed_if_there(folder / "cost.json", RunCost) or RunCost(),
        missing=_missing_parts(summary, has_summary=summary_file is not None, ended=status == "nothing_to_train"),
    )


def _missing_parts(summary: Summary, *, has_summary: bool, ended: bool) -> tuple[str, ...]:
    numbers = {match[0] for key in summary.settings if (match := setting_of_stage(key))}
    trained = len(summary.stages)
    last = trained if ended else max(len(numbers), trained, len(summary.levels) - 1)
    missing = [] if has_summary else ["summary.json: the run has not been summed up yet"]
    if ended and trained < len(numbers):
        missing.append(f"stage {trained + 1}: no fact met its selection, so there was nothing to train on")
    if not has_summary and not numbers:
        missing.append("config.yaml: the settings are not known, nor how many stages were meant")
    for step in possible_steps(last):
        where = f"{step.label} ({stage_name(step.stage)})"
        if step.kind == "stage" and step.stage > trained:
            missing.append(f"{step.label}: not trained yet")
        elif step.kind == "stage" and not summary.stages[step.stage - 1].epochs:
            missing.append(f"{step.label}: the record of its epochs (training curves)")
        elif step.kind == "probe" and step.stage >= len(summary.levels):
            missing.append(f"{where}: the levels of the training facts")
        elif step.kind == "evaluation" and step.stage >= len(summary.test_accuracy):
            missing.append(f"{where}: the test accuracy")
    return tuple(missing)


def _levels_of_probes(folder: Path) -> list[dict[Level, int]]:
    """Level counts of probes 0, 1, ... up to the first that is not there."""
    levels: list[dict[Level, int]] = []
    while ((path := folder / "probes" / str(len(levels))) / MAP_FILE).is_file():
        levels.append(read_map_file(path).levels)
    return levels


def _stages_of_files(run: RunDir) -> list[StageSummary]:
    """Stages 1, 2, ... up to the first without a record."""
    stages: list[StageSummary] = []
    while True:
        number = len(stages) + 1
        epochs = read_typed_lines(run.epochs(number), EpochNumbers)
        summary = read_typed_if_there(run.stage_summary(number), StageSummary)
        if summary is None and not epochs:
            return stages
        stages.append((summary or StageSummary()).model_copy(update={"epochs": epochs}))


def _settings_of_config_file(path: Path) -> dict[str, JsonValue]:
    if not path.is_file():
        return {}
    try:
        settings = read_yaml(storage.read_bytes(path).decode(), str(path))
    except (ConfigError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path}: expected the settings of the run, found something else ({error})") from error
    return settings if isinstance(settings, dict) else {}
