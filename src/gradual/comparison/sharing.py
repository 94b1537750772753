"""Which steps of two runs are the same, so that one of them need not be done.

Knows the names in a run's fingerprint and the order of its steps, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def step_fingerprint(fingerprint: Mapping[str, str], step: str) -> dict[str, str]:
    """What of a run's fingerprint can change the result of a step: nothing of the stages that come after it.

    Two runs with equal ones do the step in the same way. What is measured before any training depends on no setting of
    training either.
    """
    index = int(step.rpartition("-")[2]) if "-" in step else 0
    of_training = ("config.stages.", "config.lora.", "config.training_seed", "config.evaluation.protocol")

    def counts(name: str) -> bool:
        stage = re.match(r"config\.stages\.(\d+)\.", name)
        if stage is not None:
            return int(stage.group(1)) < index
        return index > 0 or not name.startswith(of_training)

    return {name: value for name, value in fingerprint.items() if counts(name)}
