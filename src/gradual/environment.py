"""What is set before libraries for models are loaded: no network unless asked, and no bars but our own.

Knows names of environment variables and of packages; loads none of them itself.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import util

from gradual.errors import ModelError

PROBE_PACKAGES = ("torch", "transformers")
"""What reading a model takes."""
SERVER_PACKAGES = ("transformers", "httpx", "tenacity")
"""What asking a server takes."""
TRAIN_PACKAGES = (*PROBE_PACKAGES, "accelerate", "datasets", "peft", "trl")
"""What training takes."""

LM_EVAL_PACKAGES = ("lm_eval",)
"""What `evaluation.lm_eval` takes besides."""
RAY_PACKAGES = ("ray", *PROBE_PACKAGES)
"""What a Ray cluster takes, besides what is done there."""
_EXTRAS: dict[tuple[str, ...], str] = {SERVER_PACKAGES: "server", RAY_PACKAGES: "ray", LM_EVAL_PACKAGES: "lm-eval"}
"""The extras that bring packages, where it is not `train`."""

_QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_OFFLINE = "HF_HUB_OFFLINE"
_GIVEN_UP_NAMES = ("is_gradient_checkpointing", "gradient_checkpointing")
"""Names that transformers gave up and that PEFT and TRL still use: no news for our users."""


def prepare_environment(*, online: bool) -> None:
    """Tells the Hugging Face libraries whether they may use the network, and to keep quiet; for the whole process.

    Variables of `_QUIET` that the user has set stay as they are; `HF_HUB_OFFLINE` follows `online` in every case.
    Libraries that are loaded already are set as well, for they read their environment only once.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in _GIVEN_UP_NAMES:
        warnings.filterwarnings("ignore", message=f"`{name}` is deprecated", category=FutureWarning)
    os.environ[_OFFLINE] = "0" if online else "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            setattr(sys.modules[name], _OFFLINE, not online)
    if "transformers" in sys.modules:
        from transformers.utils import logging

        logging.disable_progress_bar()


def environment_of_workers() -> dict[str, str]:
    """The variables that `prepare_environment` has set, for processes on other machines."""
    return {name: os.environ[name] for name in (*_QUIET, _OFFLINE)}


def require_packages(packages: Sequence[str]) -> None:
    """Finds out, without loading them, whether packages are installed.

    Raises:
        ModelError: one is not; the message says how to install it.
    """
    missing = [name for name in packages if util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"expected the packages {', '.join(packages)}, found no {missing[0]} - "
            f"pip install 'gradual-learning[{_EXTRAS.get(tuple(packages), 'train')}]'"
        )
