"""Two maps of one model, counted by hand: what changed with nothing learned."""

from __future__ import annotations

from gradual.findings.evidence import MapEvidence
from gradual.findings.noise import retest
from gradual.knowledge.levels import Level

HIGHLY, MAYBE, WEAKLY, UNKNOWN = Level.HIGHLY_KNOWN, Level.MAYBE_KNOWN, Level.WEAKLY_KNOWN, Level.UNKNOWN


def evidence(levels: dict[str, Level], dtype: str) -> MapEvidence:
    return MapEvidence(levels, {}, dict.fromkeys(levels, "r"), dtype=dtype, method="exact")


def test_a_retest_counts_the_facts_that_both_maps_have() -> None:
    base = {"a": HIGHLY, "b": MAYBE, "c": WEAKLY, "d": UNKNOWN, "only before": HIGHLY}
    again = {"a": HIGHLY, "b": WEAKLY, "c": MAYBE, "d": WEAKLY, "only after": UNKNOWN}
    found = retest("numerics", evidence(base, "bfloat16"), evidence(again, "float32"))
    assert (found.num_facts, found.base_dtype, found.dtype) == (4, "bfloat16", "float32")
    counts = {name: getattr(found, name) for name in ("changed", "promoted", "demoted", "came_within_reach")}
    assert {name: (share.count, share.total) for name, share in counts.items()} == {
        "changed": (3, 4),  # b, c, d
        "promoted": (2, 4),  # c and d
        "demoted": (1, 4),  # b
        "came_within_reach": (1, 2),  # of c and d, which were out of it: c
    }
