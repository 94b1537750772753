"""What is said of a stage before it is trained."""

from __future__ import annotations

import pytest

from gradual.config.stage import StageConfig
from gradual.run.stage_selection import warm_up_warning


def test_a_stage_that_ends_within_its_warm_up_is_told() -> None:
    told = warm_up_warning(StageConfig(strategy="all"), 3)
    assert told.startswith("all 3 steps lie within warmup_steps 3")
    assert told.endswith("lower warmup_steps, or take more epochs or facts")


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        (StageConfig(strategy="all"), 4),
        (StageConfig(strategy="all", warmup_steps=0), 1),
        (StageConfig(strategy="all", lr_scheduler_type="constant"), 1),
    ],
)
def test_nothing_is_said_of_a_stage_whose_rate_reaches_its_peak(stage: StageConfig, steps: int) -> None:
    assert warm_up_warning(stage, steps) == ""
