"""A run as curves over its stages, counted from its maps."""

from __future__ import annotations

from pathlib import Path

from tests.support.comparisons import verdicts
from tests.support.small_run import small_run

from gradual.knowledge.map import read_map, write_map
from gradual.run.folder import RunDir
from gradual.run.measures.curves import curve_points


def test_a_run_has_a_point_for_the_base_model_and_one_for_each_stage(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", stages=2)
    points = curve_points(run)
    assert len(points) == 3
    for stage, point in enumerate(points):
        test, train = read_map(run.evaluation(stage)), read_map(run.probe(stage))
        assert (len(test), len(train)) == (2, 2)  # so every share is a half or none or all
        assert point["test_accuracy"] == [fact.p_greedy > 0 for fact in test].count(True) / 2
        assert point["highly_known"] == [str(fact.level) for fact in train].count("HighlyKnown") / 2
    (run.evaluation(2) / "map.json").unlink()
    assert curve_points(RunDir(tmp_path / "run")) == points[:2]


def test_confident_errors_are_a_share_of_all_test_facts(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write_map(verdicts(["x", "y"], {"x"}), run.probe(0))
    sure = {"a": 0.9, "b": 0.6, "c": 0.2, "d": 0.5}
    write_map(verdicts(list(sure), {"a"}, confidence=sure), run.evaluation(0))
    (point,) = curve_points(run)
    assert point["test_confidently_wrong"] == 2 / 4  # b and d: wrong, and at 0.5 or above
    assert (point["test_accuracy"], point["highly_known"]) == (1 / 4, 1 / 2)
    write_map(verdicts(list(sure), {"a"}), run.evaluation(0))
    assert "test_confidently_wrong" not in curve_points(run)[0]  # confidence was not asked
