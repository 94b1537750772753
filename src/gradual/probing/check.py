"""A user's proof on their own model: the exact probe against sampling, fact by fact.

Knows both methods only through `probe`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import computed_field

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.facts.fact import Fact, spread
from gradual.files.typed_json import FilePart
from gradual.probing.probe import probe_facts
from gradual.probing.runner import Runner
from gradual.progress import Progress, Silent
from gradual.text import percent, signed_decimal

CONFIDENCE = 0.99
"""Where all is right, this share of the sampled counts lies in its interval."""


class Check(FilePart):
    """`check.json`: how well sampling agrees with the exact probe."""

    num_facts: int
    num_answers: int
    """Pairs of a fact and an exemplar set."""
    samples_per_answer: int
    greedy_agree: int
    """Pairs with the same greedy verdict."""
    near_ties: int
    """Pairs whose greedy verdicts differ and hang on a near-tie."""
    inside: int
    """Pairs whose sampled count lies in the binomial interval around [p_lower, p_upper]."""
    expected_inside: float
    """The least share of pairs that should be inside."""
    mean_exact: float
    mean_sampled: float
    z: float
    """How far the sampled mean lies outside the exact bounds of the mean, in standard errors of sampling."""

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def is_passed(self) -> bool:
        """Whether verdicts agree but for near-ties, enough counts are inside, and the means do not differ."""
        enough = self.inside >= self.expected_inside * self.num_answers - 3 * math.sqrt(self.num_answers) * 0.1
        return self.greedy_agree + self.near_ties == self.num_answers and enough and abs(self.z) < 4.0

    def lines(self) -> list[str]:
        """The check for people."""
        level, z = percent(CONFIDENCE, digits=0), signed_decimal(self.z, 2)
        return [
            f"checked {self.num_facts} facts, {self.num_answers} prompts, {self.samples_per_answer} samples each",
            f"greedy verdicts agree: {self.greedy_agree} of {self.num_answers} ({self.near_ties} differ at near-ties)",
            f"sampled counts inside their {level} interval: {self.inside} of {self.num_answers}",
            f"mean probability: exact {self.mean_exact:.4f}, sampled {self.mean_sampled:.4f} (z = {z})",
            "the two methods agree" if self.is_passed else "THE TWO METHODS DISAGREE: please report this model",
        ]


def check_against_sampling(
    facts: Sequence[Fact],
    exemplars: Mapping[str, Sequence[Fact]],
    engine: Engine | Runner,
    settings: ProbeConfig,
    *,
    seed: int,
    num_facts: int,
    num_samples: int = 200,
    progress: Progress | None = None,
) -> Check:
    """Probes `num_facts` of the facts by both methods and compares.

    A count k of n samples is inside if the binomial two-sided tail probability is at least 1 - CONFIDENCE under the p
    in [p_lower, p_upper] that suits it best.
    """
    progress = progress or Silent()
    chosen = spread(facts, num_facts)
    exact_settings = settings.model_copy(
        update={"method": "exact", "levels_only": False, "confidence": False, "refusals": []}
    )
    sampled_settings = exact_settings.model_copy(update={"method": "sampled", "num_samples": num_samples})
    with progress.bar("check: exact", len(chosen), "facts") as advance:
        exact = probe_facts(chosen, exemplars, engine, exact_settings, seed=seed, progress=advance)
    with progress.bar("check: sampled", len(chosen), "facts") as advance:
        sampled = probe_facts(chosen, exemplars, engine, sampled_settings, seed=seed, progress=advance)
    pairs = [(a, b) for fact in exact for a, b in zip(fact.sets, sampled[fact.id].sets, strict=True)]
    variance = sum(a.p * (1 - a.p) for a, _ in pairs) / num_samples
    # Against the nearer bound: a search may stop a tolerance away from the truth, which is no disagreement.
    low, high = sum(a.p_lower for a, _ in pairs), sum(a.p_upper for a, _ in pairs)
    seen = sum(b.p for _, b in pairs)
    difference = seen - min(max(seen, low), high)
    near = max(settings.near_tie_margin, engine.noise)
    return Check(
        num_facts=len(chosen),
        num_answers=len(pairs),
        samples_per_answer=num_samples,
        greedy_agree=sum(a.greedy_correct == b.greedy_correct for a, b in pairs),
        near_ties=sum(a.greedy_correct != b.greedy_correct and a.margin < near for a, b in pairs),
        inside=sum(is_inside(b.n_right or 0, num_samples, a.p_lower, a.p_upper) for a, b in pairs),
        expected_inside=CONFIDENCE,
        mean_exact=sum(a.p for a, _ in pairs) / len(pairs),
        mean_sampled=sum(b.p for _, b in pairs) / len(pairs),
        z=difference / math.sqrt(variance) if variance else 0.0,
    )


def is_inside(right: int, samples: int, p_lower: float, p_upper: float) -> bool:
    """Whether a count of samples lies in the binomial interval around the probability within the bounds nearest to it.

    The two-sided tail probability is at least 1 - CONFIDENCE.
    """
    from scipy.stats import binomtest

    p = min(max(right / samples, p_lower), p_upper)
    return bool(binomtest(right, samples, p).pvalue >= 1 - CONFIDENCE)
