"""How large a plan takes a stage to be, counted by hand."""

from __future__ import annotations

from tests.support.maps import make_map

from gradual.config.stage import AbstainConfig, AnchorConfig, StageConfig
from gradual.knowledge.levels import Level
from gradual.run.planning.timing import StageSize, first_stage_size, later_stage_size, scorings, select_first_stage

LEVELS = [Level.MAYBE_KNOWN] * 4 + [Level.UNKNOWN] * 3 + [Level.WEAKLY_KNOWN] * 2 + [Level.HIGHLY_KNOWN]
KNOWN = make_map({f"f{number}": level for number, level in enumerate(LEVELS)})
ANCHORED = AnchorConfig(kind="kl", select="now <= WeaklyKnown")


def test_a_first_stage_is_counted_by_role_and_scaled_from_the_sample() -> None:
    stage = StageConfig(strategy="maybe_known", anchor=ANCHORED, abstain=AbstainConfig(select="now == Unknown"))
    assert first_stage_size(KNOWN, stage, 10) == StageSize(num_new=4, num_replay=0, num_beside=3 + 2)
    size = first_stage_size(KNOWN, stage, 30)
    assert size == StageSize(num_new=12, num_replay=0, num_beside=15)
    assert size.num_facts == 27
    assert len(select_first_stage(KNOWN, stage).rows) == 9


def test_a_later_stage_does_not_grow_by_the_anchors_of_the_one_before() -> None:
    first = first_stage_size(KNOWN, StageConfig(strategy="maybe_known", anchor=ANCHORED), 100)
    assert first == StageSize(num_new=40, num_replay=0, num_beside=50)
    later = later_stage_size(KNOWN, StageConfig(strategy="S5"), 100, num_new=first.num_new)
    assert later == StageSize(num_new=40, num_replay=8, num_beside=0)


def test_anchors_of_a_later_stage_count_for_that_stage() -> None:
    stage = StageConfig(strategy="S5", anchor=ANCHORED)
    assert later_stage_size(KNOWN, stage, 100, num_new=20) == StageSize(num_new=20, num_replay=4, num_beside=50)


def test_a_scoring_with_confidence_counts_for_more() -> None:
    assert scorings(StageConfig(strategy="S5"), 3) == 4.0
    assert scorings(StageConfig(strategy="S5", keep_epoch="best_risk_coverage"), 3) == 5.0
