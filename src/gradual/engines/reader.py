"""What forests need to read with a loaded model, and what reading has cost so far.

Knows the model and how much of it goes into a pass; how a forest is read is for `tree_forest` and `path_forest`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradual.engines.engine import ReadCost
from gradual.engines.tree_attention import MaskKinds

TOKENS_PER_PASS = {"cpu": 512, "cuda": 16384}
"""Most tokens of one forward pass by kind of device, padding included: on a CPU what its caches hold is fastest."""


@dataclass
class Reader:
    """A model as forests see it."""

    model: Any
    masks: MaskKinds
    pad_token: int
    tokens_per_pass: int
    cost: ReadCost = field(default=ReadCost(0, 0, 0, 0.0))

    def add_cost(self, tokens: int, padded_tokens: int, seconds: float) -> None:
        """Counts one forward pass."""
        old = self.cost
        self.cost = ReadCost(
            old.tokens + tokens, old.padded_tokens + padded_tokens, old.forward_passes + 1, old.seconds + seconds
        )
