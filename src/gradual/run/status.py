"""How a run stands: the words that its folder and what is said of it use."""

from __future__ import annotations

from typing import Literal

RunStatus = Literal["running", "complete", "nothing_to_train"]
SeedStatus = RunStatus | Literal["missing"]
"""Of a run that a comparison asks for, which may not be there."""
