"""What tuning keeps of its work: `tuning/tuning.json`, its types, and how it is read."""

from __future__ import annotations

from pathlib import Path

from gradual.files.typed_json import FilePart, read_typed
from gradual.tuning.ladder import Goal

TUNING_FOLDER = "tuning"
"""In the folder of the run that tuning makes."""
TUNING_FILE = "tuning.json"
BASE = "base"
"""The recipe that trains nothing."""


class Difference(FilePart):
    """One recipe less another on the same validation facts, with its 95 % interval.

    In accuracy, or in area under the risk-coverage curve where the goal is few_confident_errors (less is better then).
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


class RecipeResult(FilePart):
    """How a recipe did on the validation facts."""

    name: str
    doc: str = ""
    stage: int = 0
    """The number of its own stage; 0 of the base model."""
    learning_rate: float | None = None
    epochs: int = 0
    """Epochs that its own stage had."""
    kept_epoch: int | None = None
    accuracy: float | None = None
    """At the epoch kept, in [0, 1]."""
    area: float | None = None
    """Under the risk-coverage curve, in [0, 1], where the goal goes by it."""
    lost: int | None = None
    """HighlyKnown validation facts that are wrong now, where the goal goes by it."""
    is_admissible: bool = True
    """It keeps what the goal asks to keep."""
    is_finalist: bool = False
    """It was trained to its end."""
    seconds: float = 0.0
    """Of its own stage, scoring included."""
    note: str = ""
    """Why it could not be trained."""


class TuningFile(FilePart):
    """`tuning.json`: what was tried, what was chosen, and how sure that is."""

    fingerprint: dict[str, str]
    """Everything that can change the choice, by field."""
    goal: Goal
    num_recipes: tuple[int, int]
    """Recipes of the ladder that are gone through: of one stage, of two."""
    estimated_seconds: float | None = None
    """Of all, where there was a budget."""
    num_validation: int = 0
    num_highly_known: int | None = None
    """Validation facts that are HighlyKnown at the start, where the goal goes by them."""
    results: tuple[RecipeResult, ...] = ()
    """The base model, and every recipe tried, in the ladder's order; empty until the choice is made."""
    best: str = ""
    """The best trained recipe, which the run beside is made by."""
    keeps_base: bool = False
    """Nothing beats the base model, so that it is to be kept."""
    to_base: Difference = Difference()
    """The best recipe less the base model."""
    runner_up: str = ""
    to_runner_up: Difference = Difference()
    """The best recipe less the runner-up."""
    facts_to_tell: int | None = None
    """Validation facts by which the two could be told apart, if they differ by as much as was found."""
    seconds: float = 0.0
    """Of all tuning, without the test."""

    def result(self, name: str) -> RecipeResult:
        """The result of a recipe."""
        return next(each for each in self.results if each.name == name)


def tuning_path(folder: Path) -> Path:
    """Where tuning keeps its record, by the folder of its run."""
    return folder / TUNING_FOLDER / TUNING_FILE


def read_tuning(folder: Path) -> TuningFile | None:
    """What tuning kept in the folder of its run; None where the run is of no tuning, or nothing is chosen yet.

    Raises:
        RunDirError: the file is damaged.
    """
    path = tuning_path(folder)
    if not path.is_file():
        return None
    found = read_typed(path, TuningFile)
    return found if found.results else None
