"""Which steps of two runs are the same."""

from __future__ import annotations

import pytest

from gradual.comparison.folder import step_fingerprint
from gradual.run.steps import Step

FINGERPRINT = {
    "config.probe.num_shots": "4",
    "config.lora.r": "16",
    "config.training_seed": "1",
    "config.stages.0.learning_rate": "1",
    "config.stages.1.learning_rate": "2",
    "config.stages.10.learning_rate": "3",
    "facts.digest": "x",
}


@pytest.mark.parametrize(
    ("step", "left_out"),
    [
        (Step("facts"), {"lora.r", "training_seed", "stages.0.learning_rate", "stages.1.learning_rate"}),
        (Step("probe", 0), {"lora.r", "training_seed", "stages.0.learning_rate", "stages.1.learning_rate"}),
        (Step("stage", 1), {"stages.1.learning_rate"}),
        (Step("zero_shot", 1), {"stages.1.learning_rate"}),
        (Step("evaluation", 2), set()),
    ],
)
def test_a_step_depends_on_nothing_that_comes_later(step: Step, left_out: set[str]) -> None:
    found = step_fingerprint(FINGERPRINT, step)
    assert FINGERPRINT.keys() - found.keys() == {f"config.{name}" for name in left_out | {"stages.10.learning_rate"}}
