"""Trackers that are not there are told before a run, curves outlive the checkpoints, and stay on this machine."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from transformers.integrations import integration_utils

from gradual.errors import ConfigError
from gradual.training.trackers import check_trackers, curves_beside, send_curves

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


def test_nothing_is_sent_where_no_tracker_is_named(tmp_path: Path) -> None:
    send_curves([], tmp_path / "run", [{"test_accuracy": 0.5}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("default")  # trackio's own libraries
def test_trackio_keeps_the_curves_of_a_run_by_stage_in_files_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read as the package is loaded
    monkeypatch.delenv("TRACKIO_SPACE_ID", raising=False)
    pytest.importorskip("trackio", reason="make test-extras runs it, with the extra track")
    check_trackers(["trackio"])
    before, after = {"test_accuracy": 0.25, "test_confidently_wrong": 0.5}, {"test_accuracy": 0.75, "highly_known": 0.5}
    send_curves(["trackio"], tmp_path / "my-run", [before, after])
    with sqlite3.connect(tmp_path / "trackio" / "gradual.db") as found:
        rows = found.execute("select run_name, metrics from metrics order by step").fetchall()
    points = [json.loads(metrics) for _, metrics in rows]
    assert {name for name, _ in rows} == {"my-run"}
    assert [(point["test/accuracy"], point["train/global_step"]) for point in points] == [(0.25, 0), (0.75, 1)]
    assert (points[0]["test/confidently_wrong"], points[1]["train/highly_known"]) == (0.5, 0.5)
