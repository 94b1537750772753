"""The types of what `summary.json` says of what holds beyond the wording, and of what else training changed.

`run.summary.transfer` and `run.summary.side_effects` work them out; docs/transfer.md says what each number counts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gradual.files.typed_json import FilePart
from gradual.knowledge.levels import Level
from gradual.run.measures.benchmarks import ScoresFile
from gradual.run.measures.drift import DriftFile
from gradual.run.summary.quality_file import FactShare

Form = Literal["usual", "rewordings", "reverse", "zero_shot", "chat"]
"""`usual`: as facts are trained on and scored; the others are those of `evaluation.transfer`."""
Group = Literal["became_highly_known", "became_and_trained", "became_not_trained", "highly_known_all_along", "test"]


class FormAnswers(FilePart):
    """How some facts were answered in one form at one time."""

    right: FactShare = FactShare()
    """Facts answered rightly in every prompt of the form: greedy, under the fixed exemplar set."""
    share_of_prompts: float | None = None
    """Mean over facts of the share of their prompts answered rightly; as `right` where a form has one prompt a fact."""
    p: float | None = None
    """Mean over facts and prompts of the chance that a sampled answer is right."""


class FormScores(FilePart):
    """The same facts in one form, under the base model and after the last stage."""

    form: Form
    before: FormAnswers = FormAnswers()
    after: FormAnswers = FormAnswers()
    left_out: int = 0
    """Facts of the group that are not counted in this form: nothing asks them so, or their reverse was trained on."""


class TransferGroup(FilePart):
    """Facts of one kind in every form that was asked; the usual form first."""

    group: Group
    num_facts: int = 0
    forms: list[FormScores] = []


class Transfer(FilePart):
    """What holds in other forms than the one that is trained."""

    groups: list[TransferGroup] = []


class BystanderLoss(FilePart):
    """Facts of relations that are never trained on, and what became of their answers."""

    level: Level | None = None
    """Under the base model; None for HighlyKnown and MaybeKnown together."""
    num_facts: int = 0
    lost: FactShare = FactShare()
    """Right under the base model and wrong after the last stage, out of those right under the base model."""
    gained: int = 0
    """Wrong under the base model and right after the last stage."""


class Bystanders(FilePart):
    """What training lost of relations that it never saw."""

    known: BystanderLoss = BystanderLoss()
    """Of facts that the base model knew: HighlyKnown or MaybeKnown."""
    by_level: list[BystanderLoss] = []
    """Of each level that there is, best first."""
    p_value: float | None = None
    """McNemar's exact test of lost against gained, over all facts, two-sided."""


class StageScores(ScoresFile):
    """What the model after a stage scores on other people's tasks; stage 0 is the base model."""

    stage: int = Field(ge=0)


class StageDrift(DriftFile):
    """How far the model after a stage is from the base model."""

    stage: int = Field(ge=1)
