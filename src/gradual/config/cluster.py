"""Where a probe's units run, if not in this process; no part of what is probed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from gradual.config.base import Settings
from gradual.errors import ConfigError


class RayConfig(Settings):
    """A Ray cluster that is up, and how many workers are wanted of it."""

    address: str
    """host:port of the cluster's head, or auto: that which this machine belongs to."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Each loads the model once; null: as many as there are GPUs for, or one on each machine without GPUs."""
    gpus_per_worker: Annotated[float, Field(ge=0.0)] | None = None
    """Several for a model spread by `model.device_map`, 0.5 for two workers on one; null: 1 where there are GPUs."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if address != "auto" and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/@]+):\d{1,5}", address):
            raise ConfigError(f'expected auto or host:port, as `ray start` tells it, found "{address}"')
        return address

    @field_validator("gpus_per_worker")
    @classmethod
    def _is_whole_above_one(cls, share: float | None) -> float | None:
        if share is not None and share > 1 and share != int(share):
            raise ConfigError(f"expected a whole number of GPUs, or a share of one, found {share:g}")
        return share
