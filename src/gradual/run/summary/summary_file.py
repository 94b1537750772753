"""The types of `summary.json`: every number that the report and the console show of a run.

Lists "per probe" have one entry for each knowledge map made so far, the base model's first. `run.summary` counts
the numbers; what a file of an older version lacks has its default.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, JsonValue

from gradual.files.typed_json import FilePart
from gradual.knowledge.levels import Level
from gradual.run.stage_files import EpochNumbers, StageFile
from gradual.run.summary.quality_file import QualityFile, WrongAnswers
from gradual.run.summary.refusals_file import Refusals
from gradual.run.summary.transfer_file import Bystanders, StageDrift, StageScores, Transfer

Counts = Mapping[Level, int]


class AccuracyShare(FilePart):
    """An accuracy in [0, 1] with its 95 % interval; None where nothing was asked."""

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    correct: int | None = None
    total: int | None = None


class StageAccuracy(AccuracyShare):
    """Test accuracy after a stage."""

    stage: int | None = None
    token_f1: float | None = None
    """Mean token F1 of the greedy answers; None where they were not written out."""


class LevelMoves(FilePart):
    """Facts by level in one map (outer key) and level in a later one (inner key)."""

    start: int = Field(validation_alias="from", serialization_alias="from")
    end: int = Field(validation_alias="to", serialization_alias="to")
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


class McNemar(FilePart):
    """Test facts answered rightly only after (gained) or only before (lost), with the exact p-value."""

    start: int = Field(validation_alias="from", serialization_alias="from")
    end: int = Field(validation_alias="to", serialization_alias="to")
    gained: int
    lost: int
    p_value: float | None = None


class GroupScores(FilePart):
    """Test accuracy of one group of facts, one entry for each stage evaluated."""

    total: int = 0
    stages: list[AccuracyShare] = []


class LevelScores(GroupScores):
    """Test accuracy of the facts that had one level at the start."""

    level: Level


class RelationScores(GroupScores):
    """Test accuracy of one relation."""

    relation: str


class HighlyKnownGrowth(FilePart):
    """The growth of HighlyKnown training facts per probe, read in two ways and split by what was trained on."""

    counts: list[int] = []
    reading_a: float | None = None
    reading_b: float | None = None
    split: dict[str, list[int]] = {}


class RelationLevels(FilePart):
    """Levels of one relation's training facts, one entry per probe."""

    relation: str
    total: int = 0
    levels: list[dict[Level, int]] = []


class StageSummary(StageFile):
    """One round of selection and training: its `stage.json` and its epochs; verdicts stay in `epochs.jsonl`."""

    epochs: list[EpochNumbers] = []


class ExampleFact(FilePart):
    """One fact with its level and greedy answer at every probe."""

    id: str = ""
    relation: str = ""
    question: str = ""
    answers: list[str] = []
    levels: list[Level] = []
    greedy: list[str | None] = []


class Summary(FilePart):
    """`summary.json`."""

    absent_when_none = frozenset(
        {"answer_quality", "refusals", "wrong_answers", "transfer", "bystanders", "drift", "benchmarks"}
    )

    seed: int | None = None
    model: str | None = None
    num_facts: dict[str, int] = {}
    """By split."""
    dropped_for_overlap: int = 0
    levels: list[dict[Level, int]] = []
    """Training facts, per probe."""
    transitions: list[LevelMoves] = []
    """From each probe to the next, and last from the base model to the last where there are more than two."""
    test_accuracy: list[StageAccuracy] = []
    test_by_level: list[LevelScores] = []
    test_by_relation: list[RelationScores] = []
    mcnemar: list[McNemar] = []
    answer_quality: QualityFile | None = None
    """None where the run did not ask how sure the model is (`evaluation.confidence`)."""
    refusals: Refusals | None = None
    """None where the run did not ask for refusals (`evaluation.refusals`)."""
    wrong_answers: WrongAnswers | None = None
    """None before the first stage too."""
    transfer: Transfer | None = None
    """None before the first stage too, and where no other form was asked (`evaluation.transfer`)."""
    bystanders: Bystanders | None = None
    """None before the first stage too, and without relations that are only scored (`out_of_distribution`)."""
    drift: list[StageDrift] | None = None
    """One entry for each stage; None where it was not measured (`evaluation.drift`)."""
    benchmarks: list[StageScores] | None = None
    """The base model's scores, then those after each stage; None where no task was named (`evaluation.lm_eval`)."""
    highly_known: HighlyKnownGrowth = HighlyKnownGrowth()
    relations: list[RelationLevels] = []
    stages: list[StageSummary] = []
    examples: dict[str, list[ExampleFact]] = {}
    """Of facts `promoted`, `lost` and `stuck`."""
    settings: dict[str, JsonValue] = {}
    """By dotted path."""
    fingerprint: dict[str, JsonValue] = {}
    warnings: list[str] = []

    def transition(self, start: int, end: int) -> LevelMoves | None:
        """The transitions between two probes, where the folder has them."""
        return next((t for t in self.transitions if (t.start, t.end) == (start, end)), None)

    def paired_test(self, start: int, end: int) -> McNemar | None:
        """The paired test between two evaluations, where the folder has it."""
        return next((test for test in self.mcnemar if (test.start, test.end) == (start, end)), None)
