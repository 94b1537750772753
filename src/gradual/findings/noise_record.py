"""What looking again at the untrained model showed: the types of a comparison's retests.

Types only; `comparison_noise` fills them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.statistics.measured import LevelCounts, Measure, Share

RETESTS = ("again", "exemplars", "numerics")
"""What is changed when the base model is probed once more.

again: nothing but the seed of sampled answers. exemplars: other exemplars. numerics: another number format. The last
two also ask other facts beside a fact; they draw sampled answers with the same seed.
"""


@dataclass(frozen=True, slots=True)
class Retest:
    """The untrained model probed twice: what changes with nothing learned."""

    kind: str
    """One of `RETESTS`."""
    method: str
    """How both were probed: `exact` or `sampled`; empty where unknown."""
    dtype: str
    """Number format of the model in the retest; empty where unknown."""
    base_dtype: str
    """The same in the map that it is held against."""
    num_facts: int
    """Training facts probed both times, which everything here counts."""
    transitions: dict[str, LevelCounts]
    changed: Share
    """Facts whose level is another."""
    promoted: Share
    """Facts whose level is a better one."""
    demoted: Share
    came_within_reach: Share
    """Of the facts that were out of reach (`statistics.came_within_reach`)."""


@dataclass(frozen=True, slots=True)
class NetPromotion:
    """Facts that came within reach after stage 1 of the main arm, net of what a retest shows without training.

    Within reach: WeaklyKnown or Unknown under the base model, MaybeKnown or HighlyKnown after it.
    """

    arm: str
    kind: str
    """Of the retest."""
    seeds: tuple[int, ...]
    observed: Measure
    """Share of all WeaklyKnown and Unknown facts of the run."""
    num_facts: int
    """WeaklyKnown and Unknown facts that were also retested; the numbers below are of these."""
    observed_retested: Measure
    retest: Share
    net: Measure
    """`observed_retested` minus `retest`, paired by fact."""
