"""How good a recipe is for a goal, by the validation facts alone, and whether one is better than another.

Numbers in, numbers out: epochs come from the files of a stage, answers from maps of the validation facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.facts.fact import Fact
from gradual.run.stage_files import EpochLine, verdicts_by_epoch
from gradual.statistics.calibration import AnsweredFact, difference_in_area
from gradual.statistics.intervals import facts_to_see, paired_counts
from gradual.statistics.resampling import resampled_mean
from gradual.tuning.halving import Score
from gradual.tuning.ladder import Goal
from gradual.tuning.record import Difference

POWER = 0.8
_VISIBLE = 0.05
"""The difference in accuracy that validation facts should be able to show."""
_DISCORDANT = 0.15
"""Share of facts that two recipes are taken to answer differently, before it is known."""


@dataclass(frozen=True)
class Outcome:
    """What the validation facts say of a model."""

    epoch: int
    """The epoch kept so far; 0: the base model."""
    accuracy: float
    p: float
    """Mean lower bound of the probability of a right sampled answer: breaks ties of accuracy."""
    area: float | None
    right: Mapping[str, bool]
    """Whether each fact was answered rightly."""


def outcome_of(lines: Sequence[EpochLine], facts: Sequence[Fact], where: Path) -> Outcome:
    """The best of some epochs, as training keeps it: by area where it is told, else by accuracy, ties by p.

    Raises:
        RunDirError: verdicts are damaged.
    """
    has_area = all(line.eval_area is not None for line in lines)
    best = max(
        lines,
        key=lambda line: (
            -(line.eval_area or 0.0) if has_area else line.eval_accuracy + 1e-6 * line.eval_p,
            -line.epoch,
        ),
    )
    right = verdicts_by_epoch([best], [fact.id for fact in facts], where)[best.epoch]
    return Outcome(best.epoch, best.eval_accuracy, best.eval_p, best.eval_area, right)


@dataclass(frozen=True)
class Judge:
    """Says how good an outcome is for the goal."""

    goal: Goal
    base: Outcome
    groups: Mapping[str, str]
    """The relation of each validation fact."""
    highly_known: frozenset[str] = frozenset()
    """Validation facts that are HighlyKnown at the start; asked for by the goal none_lost alone."""

    def score(self, outcome: Outcome) -> Score:
        """The higher the better; what keeps what the goal asks to keep comes before all that does not."""
        value = -(outcome.area or 0.0) if self.goal == "few_confident_errors" else outcome.accuracy
        return float(self.is_admissible(outcome)), value, outcome.p

    def is_admissible(self, outcome: Outcome) -> bool:
        """Whether it keeps what the goal asks to keep: the interval of the loss against the base model reaches 0."""
        if self.goal == "accuracy":
            return True
        facts = self.highly_known if self.goal == "none_lost" else self.groups.keys()
        if not facts:
            return True
        loss = self._in_accuracy(outcome, self.base, facts=frozenset(facts))
        return loss.high is None or loss.high >= 0.0

    def lost(self, outcome: Outcome) -> int | None:
        """HighlyKnown facts that are answered wrongly now, and were not at the start; None for other goals."""
        if self.goal != "none_lost":
            return None
        return sum(self.base.right[fact] and not outcome.right[fact] for fact in self.highly_known)

    def difference(
        self,
        one: Outcome,
        other: Outcome,
        answers: tuple[Mapping[str, AnsweredFact], Mapping[str, AnsweredFact]] | None = None,
    ) -> Difference:
        """One less the other on the same facts, with an interval of resampled relations, as in a comparison.

        Args:
            one: what was chosen.
            other: what it is held against.
            answers: what both answer, where the goal goes by the area under the risk-coverage curve.
        """
        if answers is None:
            return self._in_accuracy(one, other, facts=frozenset(one.right))
        found = difference_in_area([answers[1]], [answers[0]], self.groups)
        return Difference(value=found.value, low=found.low, high=found.high)

    def is_better(self, difference: Difference) -> bool:
        """Whether what was chosen is better beyond the interval."""
        if self.goal == "few_confident_errors":
            return difference.high is not None and difference.high < 0.0
        return difference.low is not None and difference.low > 0.0

    def facts_to_tell(self, one: Outcome, other: Outcome) -> int | None:
        """Validation facts that could tell two accuracies apart that differ as these do; None where they are equal."""
        counts = paired_counts(other.right, one.right)
        changed, difference = counts.gained + counts.lost, abs(counts.gained - counts.lost)
        if not difference:
            return None
        return facts_to_see(difference / counts.total, changed / counts.total, power=POWER)

    def _in_accuracy(self, one: Outcome, other: Outcome, *, facts: frozenset[str]) -> Difference:
        changes = {fact: float(one.right[fact]) - float(other.right[fact]) for fact in facts}
        found = resampled_mean([changes], self.groups)
        return Difference(value=found.value, low=found.low, high=found.high)


def few_facts_warning(num_facts: int) -> str:
    """What to say where there are fewer validation facts than can tell two recipes apart; empty where there are not."""
    needed = facts_to_see(_VISIBLE, _DISCORDANT, power=POWER)
    if num_facts >= needed:
        return ""
    return (
        f"{num_facts} validation facts can't tell two recipes apart that differ by {100 * _VISIBLE:.0f} points: with "
        f"{100 * _DISCORDANT:.0f} % of the answers changed that takes {needed} (facts.splits.validation); of recipes "
        "that are alike the choice is a matter of chance"
    )
