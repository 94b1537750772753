"""The ladder: the recipes that tuning goes through, as data, the likeliest first, a part for each stage.

Knows settings only. What is not said here is as the config's own stages say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradual.comparison.arms import resolved_stages
from gradual.config.run import ArmConfig, RunConfig
from gradual.config.stage import AbstainConfig, AnchorConfig, ReplayConfig, StageConfig

Goal = Literal["accuracy", "few_confident_errors", "none_lost"]
"""What a recipe is chosen for. accuracy: most validation facts right. few_confident_errors: the smallest area under
their risk-coverage curve, where accuracy is not below the base model's beyond the interval. none_lost: most right,
where no validation facts that are HighlyKnown at the start are lost beyond the interval."""

_LOW = 1 / 3


@dataclass(frozen=True)
class Recipe:
    """One way to train one stage."""

    name: str
    doc: str
    change: StageConfig = StageConfig()  # noqa: RUF009 - frozen
    """What differs from the config's stage of that place."""
    rate: float = 1.0
    """Times the config's learning rate."""
    only_for: Goal | None = None
    """None: whatever the goal."""


FIRST_STAGES = (
    Recipe("as_configured", "the config's first stage"),
    Recipe("all_facts", "every fact", StageConfig(strategy="all")),
    Recipe("low_rate", "the config's first stage at a third of its rate", rate=_LOW),
    Recipe("all_facts_low_rate", "every fact at a third of the rate", StageConfig(strategy="all"), rate=_LOW),
    Recipe(
        "abstain",
        "the config's first stage, and to say so where facts are Unknown",
        StageConfig(abstain=AbstainConfig()),
        only_for="few_confident_errors",
    ),
    Recipe(
        "own_answers",
        "the config's first stage, and the model's own answers for what it hardly knows",
        StageConfig(anchor=AnchorConfig(kind="own_answers")),
    ),
    Recipe("replay", "the config's first stage with a replay of HighlyKnown facts", StageConfig(replay=ReplayConfig())),
    Recipe(
        "kl_anchor",
        "the config's first stage, held to the base model (kl) where it hardly knows",
        StageConfig(anchor=AnchorConfig(kind="kl")),
    ),
)
"""Ways to train the first stage."""
SECOND_STAGES = (
    Recipe("as_configured", "the config's second stage"),
    Recipe("S5", "all that is MaybeKnown now, with replay", StageConfig(strategy="S5")),
    Recipe("S5_low_rate", "S5 at a third of the rate", StageConfig(strategy="S5"), rate=_LOW),
    Recipe(
        "S5_abstain",
        "S5, and to say so where facts are Unknown still",
        StageConfig(strategy="S5", abstain=AbstainConfig()),
        only_for="few_confident_errors",
    ),
    Recipe(
        "maybe_and_weakly_known",
        "all that is MaybeKnown or WeaklyKnown now, with replay",
        StageConfig(strategy="maybe_and_weakly_known"),
    ),
    Recipe("S4", "all that is MaybeKnown now, without replay", StageConfig(strategy="S4")),
)
"""Ways to train a second stage, on top of the best first one."""


@dataclass(frozen=True)
class Candidate:
    """A recipe for a whole run, worked out for a config."""

    name: str
    doc: str
    stages: tuple[StageConfig, ...]
    """All of them; the last one is the candidate's own."""

    @property
    def number(self) -> int:
        """The number of its own stage, from 1."""
        return len(self.stages)


def first_candidates(config: RunConfig, goal: Goal) -> list[Candidate]:
    """The recipes of one stage, the likeliest first; those that come to the same settings once."""
    return _once(
        [Candidate(each.name, each.doc, _stages([each], config, goal)) for each in FIRST_STAGES if _suits(each, goal)]
    )


def second_candidates(config: RunConfig, goal: Goal, first: Candidate) -> list[Candidate]:
    """The recipes of two stages whose first one is `first`."""
    found = []
    for each in SECOND_STAGES:
        if not _suits(each, goal) or (each.name == "as_configured" and len(config.stages) < 2):
            continue
        _, second = _stages([Recipe("", ""), each], config, goal)
        found.append(Candidate(f"{first.name}_then_{each.name}", each.doc, (*first.stages, second)))
    return _once(found)


def _suits(recipe: Recipe, goal: Goal) -> bool:
    return recipe.only_for in (None, goal)


def _stages(recipes: Sequence[Recipe], config: RunConfig, goal: Goal) -> tuple[StageConfig, ...]:
    """The stages of the recipes: epochs are counted and kept as the goal has it, not as the config says."""
    plain = resolved_stages(ArmConfig(name="recipe", stages=[each.change for each in recipes]), config)
    keep = "best_risk_coverage" if goal == "few_confident_errors" else "best_accuracy"
    return tuple(
        stage.model_copy(
            update={"learning_rate": _times(stage.learning_rate, each.rate), "keep_epoch": keep, "max_steps": None}
        )
        for stage, each in zip(plain, recipes, strict=True)
    )


def _times(learning_rate: float, factor: float) -> float:
    """The product as people write it: to six digits."""
    return float(f"{learning_rate * factor:.6g}")


def _once(candidates: Sequence[Candidate]) -> list[Candidate]:
    found: list[Candidate] = []
    for each in candidates:
        if each.stages not in [other.stages for other in found]:
            found.append(each)
    return found
