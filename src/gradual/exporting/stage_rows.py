"""What each stage of a run trained on, as rows of prompt and completion that other toolkits can train on.

Shots are drawn once for each row, by the run's seed: other toolkits read the same rows in every epoch, where gradual
draws shots anew.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.config.run import ProbeConfig, RunConfig
from gradual.config.stage import StageConfig
from gradual.errors import ExportError
from gradual.facts.fact import Fact, by_relation
from gradual.facts.prompts import PlainPrompts
from gradual.files.storage import Json
from gradual.knowledge.levels import Level
from gradual.run.folder import RunDir, read_facts
from gradual.run.stage_files import read_selection, read_stage
from gradual.selection.strategies import TAUGHT
from gradual.text import plural


@dataclass(frozen=True)
class StageRow:
    """A fact as a stage trained on it."""

    fact: Fact
    role: str
    """new, replay or abstain."""
    now: Level
    target: str
    shots: tuple[Fact, ...]

    def prompt(self, settings: ProbeConfig) -> str:
        """The text before the answer, in plain prompts."""
        return PlainPrompts.from_settings(settings).render_prompt(self.shots, self.fact.question)

    def completion(self, settings: ProbeConfig) -> str:
        """The answer with the end of its line."""
        return PlainPrompts.from_settings(settings).render_completion(self.target)

    def messages(self, settings: ProbeConfig) -> list[dict[str, str]]:
        """The turns before the answer, shots among them."""
        turns = [{"role": "system", "content": settings.system_prompt}] if settings.system_prompt else []
        for shot in self.shots:
            turns += [_turn("user", shot.question), _turn("assistant", shot.answers[0])]
        return [*turns, _turn("user", self.fact.question)]

    def answer(self) -> dict[str, str]:
        """The turn with the answer."""
        return _turn("assistant", self.target)

    def plain(self, settings: ProbeConfig) -> dict[str, Json]:
        """Everything, with no toolkit in mind."""
        return {
            "id": self.fact.id,
            "relation": self.fact.relation,
            "role": self.role,
            "level": str(self.now),
            "question": self.fact.question,
            "answers": list(self.fact.answers),
            "target": self.target,
            "prompt": self.prompt(settings),
            "completion": self.completion(settings),
        }


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@dataclass(frozen=True)
class StageData:
    """A finished stage: its rows, its settings, and what of it no toolkit can be told."""

    number: int
    settings: StageConfig
    num_epochs: int
    rows: tuple[StageRow, ...]
    not_carried: tuple[str, ...]


def stage_data(run: RunDir, config: RunConfig, number: int) -> StageData:
    """The rows of a finished stage, by id.

    Raises:
        ExportError: a fact that was trained on is not in the run's facts.
        RunDirError: a file is missing or damaged.
    """
    facts = {fact.id: fact for fact in read_facts(run.facts)}
    exemplars = by_relation(fact for fact in facts.values() if fact.split == "exemplars")
    stage = config.stages[number - 1]
    rows, num_anchors = [], 0
    for row in read_selection(run.selection(number)):
        if row.role not in (*TAUGHT, "abstain"):
            num_anchors += 1
            continue
        fact = facts.get(row.id)
        if fact is None:
            raise ExportError(
                f"{run.selection(number)}: fact {row.id!r} is not in {run.facts.name}; make the run again"
            )
        is_refusal = row.role == "abstain" and stage.abstain is not None
        target = stage.abstain.answer if is_refusal and stage.abstain is not None else fact.answers[0]
        shots = _shots(fact, exemplars, stage.num_shots, f"export/{config.seed_of_training}/{number}/{fact.id}")
        rows.append(StageRow(fact, row.role, row.now, target, shots))
    best, epochs = read_stage(run, number).best_epoch, stage.num_train_epochs
    if best is not None and stage.lr_scheduler_type.startswith("constant"):
        epochs = max(1, best)  # 0: no epoch was better than none, and toolkits know no such number
    return StageData(number, stage, epochs, tuple(rows), tuple(_losses_of_export(stage, num_anchors)))


def _shots(fact: Fact, exemplars: Mapping[str, Sequence[Fact]], number: int, seed: str) -> tuple[Fact, ...]:
    pool = sorted(exemplars.get(fact.relation, ()), key=lambda each: each.id)
    others = [each for each in pool if each.question != fact.question]
    return tuple(random.Random(seed).sample(others, min(number, len(others))))


def _losses_of_export(stage: StageConfig, num_anchors: int) -> list[str]:
    texts = []
    if stage.num_shots:
        texts.append("shots are drawn once for each fact, not anew in every epoch")
    if stage.anchor is not None:
        texts.append(f"the anchor ({stage.anchor.kind}) is left out, with {plural(num_anchors, 'fact')}")
    if stage.keep_epoch != "last":
        texts.append("no epoch is chosen by accuracy: the number of epochs is that of the epoch that gradual kept")
    return texts
