"""Trackers that are not there are told before a run, and TensorBoard's curves outlive the checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from transformers.integrations import integration_utils

from gradual.errors import ConfigError
from gradual.training.trackers import check_trackers, curves_beside

pytestmark = pytest.mark.tiny


def test_unknown_and_missing_trackers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_trackers([])
    with pytest.raises(ConfigError, match=r"report_to: tensorbord is not supported, only .*tensorboard"):
        check_trackers(["tensorbord"])
    monkeypatch.setattr(integration_utils, "is_tensorboard_available", lambda: False)
    with pytest.raises(ConfigError, match="report_to: TensorBoardCallback requires tensorboard to be installed"):
        check_trackers(["tensorboard"])


def test_curves_lie_beside_the_checkpoints_unless_the_user_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    with curves_beside(tmp_path / "stages" / "1"):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "stages" / "1" / "tensorboard")
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "mine")
    with curves_beside(tmp_path):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"
