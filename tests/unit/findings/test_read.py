"""The numbers of a comparison's folder, every one worked out by hand from `tests/support/comparisons.py`."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from tests.support.comparisons import ARMS, BASE, known, verdicts, write_folder, write_noise, write_run

from gradual.errors import RunDirError
from gradual.files.storage import canonical_json, read_json, write_json
from gradual.findings.read import read_comparison, write_comparison
from gradual.findings.record import ArmFindings, Comparison, Contrast
from gradual.knowledge.map import write_map
from gradual.statistics.intervals import holm, wilson


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    write_noise(path)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> Comparison:
    return read_comparison(folder)


def arm(comparison: Comparison, name: str) -> ArmFindings:
    one = comparison.arm(name)
    assert one is not None
    return one


def contrast(comparison: Comparison, kind: str, name: str, stage: int | None = None) -> Contrast:
    one = comparison.contrast(kind, name, stage)
    assert one is not None
    return one


def test_arms_keep_the_order_of_the_plan_and_seeds_are_those_that_finished(found: Comparison) -> None:
    seeds = {one.name: one.seeds for one in found.arms}
    assert seeds == {"base": (1, 2), "same_steps": (1, 2), "S5": (1, 2), "worse": (1,), "S2": ()}
    assert found.num_facts == {"train": 8, "test": 4, "validation": 4, "ood": 2}


def test_accuracy_by_stage_is_the_mean_over_seeds_with_wilson_for_one_seeds_facts(found: Comparison) -> None:
    s5 = arm(found, "S5")
    assert [measure.value for measure in s5.test] == [0.25, 0.375, 0.75]
    assert s5.test[1].values == (0.5, 0.25)
    assert s5.test[1].sd == pytest.approx(0.25 / math.sqrt(2))
    assert (s5.result.low, s5.result.high) == wilson(3, 4)


def test_the_base_arm_is_stage_0_of_the_same_seed(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    for name in ("same_steps", "S5", "worse"):  # as where exemplars are drawn anew with each seed
        write_map(verdicts(("t1", "t2", "t3", "t4"), {"t1", "t2", "t3"}), path / f"runs/{name}/2/evaluation/0")
    assert arm(read_comparison(path), "base").result.values == (0.25, 0.75)


def test_an_arm_that_trains_is_no_base_whatever_its_name(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out", arms=[{"name": "base", "num_stages": 1}, *ARMS[2:3]])
    write_run(path, "base", 1, ["HHMWHHUU"], [{"t1", "t2"}], [{"b": "M"}])
    found = arm(read_comparison(path), "base")
    assert (found.is_base, found.seeds, found.result.value) == (False, (1,), 0.5)


def test_highly_known_gained_and_lost(found: Comparison) -> None:
    s5 = arm(found, "S5")
    assert [measure.value for measure in s5.highly_known] == [2.0, 3.5, 6.0]
    assert [run.highly_known.lost for run in s5.runs] == [(0, 0, 0), (0, 1, 0)]
    assert (s5.gained.value, s5.lost.value) == (4.0, 0.0)
    assert (arm(found, "worse").gained.value, arm(found, "worse").lost.value) == (0.0, 2.0)


def test_highly_known_by_what_was_trained_on(found: Comparison) -> None:
    first, second = (run.highly_known for run in arm(found, "S5").runs)
    assert first.split == {
        "trained_stage_1": (0, 2, 3),
        "trained_later_only": (1, 1, 2),
        "never_trained": (1, 1, 1),
    }
    assert second.split["trained_later_only"] == (1, 0, 2)
    assert first.split_totals == {"trained_stage_1": 3, "trained_later_only": 2, "never_trained": 3}
    for run in (first, second):
        assert [sum(counts) for counts in zip(*run.split.values(), strict=True)] == list(run.counts)


def test_transitions_go_from_probe_to_probe_and_from_first_to_last(found: Comparison) -> None:
    moved = {(each.start, each.end): each.counts for each in arm(found, "S5").runs[0].transitions}
    assert list(moved) == [(0, 1), (1, 2), (0, 2)]
    # b, c, f were MaybeKnown: b and f are HighlyKnown now, c is not.
    assert moved[0, 1]["MaybeKnown"] == {"HighlyKnown": 2, "MaybeKnown": 1, "WeaklyKnown": 0, "Unknown": 0}


def test_what_a_stage_trained_on_and_its_best_epoch(found: Comparison) -> None:
    stage = arm(found, "S5").runs[0].stages[1]
    assert stage.trained_levels == {"HighlyKnown": 1, "MaybeKnown": 2, "WeaklyKnown": 0, "Unknown": 0}
    assert (stage.num_new, stage.num_replay, stage.steps, stage.best_epoch) == (2, 1, 6, 1)
    assert [(epoch.validation.count, epoch.validation.total) for epoch in stage.epochs] == [(1, 4), (3, 4)]
    assert [measure.value for measure in arm(found, "S5").validation] == [0.5, 0.75]


def test_a_level_that_falls_is_flagged(found: Comparison) -> None:
    worse = {group.name: group for group in arm(found, "worse").by_level}
    assert (worse["HighlyKnown"].change.value, worse["HighlyKnown"].falls) == (-1.0, "yes")
    assert worse["Unknown"].falls == "no"
    # Relation r1: right were t1 of t1, t2; then t1, t2 with seed 1 and t1 with seed 2.
    r1 = arm(found, "S5").by_relation[0]
    assert (r1.name, r1.total, r1.base.value, r1.result.value, r1.change.value) == ("r1", 2.0, 0.5, 0.75, 0.25)


def test_the_main_arms_lead_is_split_by_relation(found: Comparison) -> None:
    first, second = found.by_relation
    # Of t3 and t4 S5 has one more with either seed, of t1 and t2 as many.
    assert (first.name, first.num_test_facts, first.test.values) == ("r2", 2, (1.0, 1.0))
    assert (second.name, second.num_test_facts, second.test.values) == ("r1", 2, (0.0, 0.0))
    assert (first.highly_known.values, second.highly_known.values) == ((0.0, 1.0), (2.0, 1.0))
    (held,) = [each for each in found.contrasts if (each.kind, each.against) == ("main", "same_steps")]
    assert held.test.value == pytest.approx(sum(each.test.value or 0.0 for each in found.by_relation) / 4)
    assert held.validation is not None
    in_all = sum(each.validation.value or 0.0 for each in found.by_relation)
    assert held.validation.value == pytest.approx(in_all / sum(each.num_validation_facts for each in found.by_relation))
    assert held.highly_known.value == sum(each.highly_known.value or 0.0 for each in found.by_relation) == 2.0


def test_an_arm_held_against_itself_is_not_split(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out")
    plan = tmp_path / "out" / "comparison_plan.json"
    write_json(plan, {**read_json(plan), "reference": "S5"})  # type: ignore[dict-item]
    assert read_comparison(tmp_path / "out").by_relation == ()


def test_other_relations_over_the_seeds_that_have_them(found: Comparison) -> None:
    ood = arm(found, "S5").ood
    assert ood is not None
    assert (ood.seeds, ood.num_facts, ood.base.value, ood.result.value, ood.change.value) == ((1,), 2, 0.5, 1.0, 0.5)
    assert (ood.right_at_start.value, ood.lost.value) == (1.0, 0.0)  # o2 stays right
    assert arm(found, "S5").zero_shot is None


def test_against_the_reference_by_hand(found: Comparison) -> None:
    held = contrast(found, "reference", "S5")
    # Only t3 differs: relation r1 gives 0, r2 1 of 2 facts, with both seeds: 0, 1/4 or 1/2.
    assert (held.test.value, held.test.low, held.test.high, held.test.values) == (0.25, 0.0, 0.5, (0.25, 0.25))
    assert held.p_value == pytest.approx(0.5, abs=0.02)
    assert [(test.gained, test.lost, test.p_value) for test in held.mcnemar] == [(1, 0, 1.0)] * 2
    # 6 against 4 with both seeds. By relation 2 and 0 more with seed 1, 1 and 1 with seed 2: 0, 2 or 4 of eight facts.
    assert (held.highly_known.value, held.highly_known.low, held.highly_known.high) == (2.0, 0.0, 4.0)
    # (4 + 4) / (2 + 2) - 1; 3 and 1 gained by relation, 2 and 2, of 1 and 1: changes of 2, 1 or 0.
    assert (held.reading_b.value, held.reading_b.low, held.reading_b.high) == (1.0, 0.0, 2.0)
    assert held.reading_b.values == (1.0, 1.0)
    assert held.reading_a.value == pytest.approx(12 / 8 - 1)


def test_reading_b_is_undefined_where_the_gain_it_is_a_share_of_may_be_nothing(found: Comparison) -> None:
    held = contrast(found, "stage", "S5", 2)
    # With seed 2 stage 1 gained nothing in r2: an eighth of the resamples has no gain below.
    assert (held.reading_b.value, held.reading_b.low) == (None, None)
    assert held.reading_b.values == (4 / 2 - 1, 4 / 1 - 1)
    assert held.reading_b.note.startswith("undefined")
    assert held.test.value == 0.375  # 3 - 2 of 4 with seed 1, 3 - 1 with seed 2


def test_holm_over_the_arms_held_against_the_same_thing(found: Comparison) -> None:
    tested = [each for each in found.contrasts if each.kind == "base" and each.p_value is not None]
    assert [each.arm for each in tested] == ["same_steps", "S5", "worse"]
    smallest = min(tested, key=lambda each: each.p_value or 0.0)
    assert smallest.p_holm == pytest.approx(min(1.0, 3 * (smallest.p_value or 0.0)))
    assert all((each.p_holm is None) == (each.stage == 1) for each in found.contrasts if each.kind == "stage")
    later = [each for each in found.contrasts if each.kind == "stage" and each.stage != 1]
    assert [each.p_holm for each in later] == pytest.approx(holm([each.p_value or 0.0 for each in later]))


def test_with_one_seed_the_exact_test_speaks_and_the_lack_is_told(found: Comparison) -> None:
    held = contrast(found, "base", "worse")
    assert (held.seeds, held.p_value, held.p_from) == ((1,), 1.0, "exact McNemar")  # one fact lost, none gained
    assert "nothing is tested across seeds" in held.note
    assert "worse: one finished seed, so nothing is tested across seeds" in found.problems


def test_the_main_arm_is_held_against_every_other(found: Comparison) -> None:
    against = {each.against: each for each in found.contrasts if each.kind == "main"}
    assert list(against) == ["same_steps", "worse", "S2"]
    assert against["worse"].test.values == (0.75,)
    assert (against["S2"].seeds, against["S2"].test.value) == ((), None)


def test_what_is_missing_or_left_out_is_told(found: Comparison) -> None:
    assert "S2, seeds 1 and 2: no run yet" in found.problems
    left_out = "ended with nothing to train on after 0 of 1 stage; left out of what is said of the arm"
    assert f"worse, seed 2: {left_out}" in found.problems
    assert arm(found, "worse").runs[1].note == left_out


def test_an_unfinished_run_is_shown_and_left_out(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    shutil.rmtree(path / "runs/S5/2/probes/2")
    write_json(path / "runs/S5/2/run.json", {"status": "running"})
    s5 = arm(read_comparison(path), "S5")
    assert (s5.seeds, s5.runs[1].status) == ((1,), "running")
    assert s5.runs[1].highly_known.counts == (2, 3)
    assert "1 of 2 stages measured so far" in s5.runs[1].note


def test_the_cost_of_the_whole_counts_shared_steps_once_and_each_arm_in_full(found: Comparison) -> None:
    # Base: map 10 s, test 1 s, levels 5 s. A stage with its map and test: 7 or 3 s, 20 s, 2 s. Noise: 1 s each.
    assert arm(found, "S5").seconds.value == (10 + 1 + 5) + (7 + 20 + 2) + (3 + 20 + 2)
    assert found.cost.seconds == 16 + 2 * 29 + 2 * (29 + 25) + 29 + 2
    assert (arm(found, "S5").steps.value, found.cost.steps) == (12.0, 2 * 6 + 2 * 12 + 6)
    shared = {part.name: part.shared for part in arm(found, "S5").runs[0].cost.parts}
    assert (shared["probe 0"], shared["probe 1"]) == (True, False)


def test_retests_by_hand(found: Comparison) -> None:
    again, exemplars = found.retests
    assert (again.kind, again.num_facts, again.changed.count, again.came_within_reach.total) == ("again", 4, 0, 1)
    assert exemplars.num_facts == 8
    assert [each.count for each in (exemplars.changed, exemplars.promoted, exemplars.demoted)] == [2, 1, 1]
    reach = exemplars.came_within_reach  # d of d, g, h
    assert (reach.count, reach.total, (reach.low, reach.high)) == (1, 3, wilson(1, 3))


def test_promotions_net_of_the_retest_are_paired_by_fact(found: Comparison) -> None:
    again, exemplars = found.promotions
    # Of d, g, h stage 1 brings d within reach with seed 1 and g with seed 2; the retest brings d.
    assert again.observed.value == pytest.approx(1 / 3)
    assert (again.num_facts, again.observed_retested.value, again.net.value) == (1, 0.5, 0.5)
    assert (exemplars.num_facts, exemplars.net.value, exemplars.retest.count) == (3, 0.0, 1)


def test_power_is_told_in_a_sentence_for_what_the_main_arm_is_held_against(found: Comparison) -> None:
    assert [sentence.split(":")[0] for sentence in found.power] == [
        "S5 against base",
        "S5 against same_steps",
        "S5, stage 2 against 1",
    ]
    assert "with 4 test facts, 25.0\N{NO-BREAK SPACE}% of which" in found.power[1]


def test_the_file_holds_everything_and_is_the_same_each_time(folder: Path, found: Comparison) -> None:
    path = write_comparison(found, folder)
    before = path.read_bytes()
    assert write_comparison(read_comparison(folder), folder).read_bytes() == before
    assert json.loads(before) == json.loads(canonical_json(found.as_dict()))


def test_a_folder_without_runs_is_told_as_such(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    shutil.rmtree(path / "runs")
    found = read_comparison(path)
    assert found.num_facts == {}
    assert "S5, seeds 1 and 2: no run yet" in found.problems


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RunDirError, match=r"expected a comparison's folder, found none \(comparison_plan.json is missing"
    ):
        read_comparison(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": [*ARMS, ARMS[2]]}, "field `arms`: 'S5' occurs twice"),
        ({"seeds": [1, 1]}, "field `seeds`: 1 occurs twice"),
        ({"arms": [{"name": "../../etc"}]}, "field `arms.0.name`"),
        ({"main": None}, "field `main`"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = write_folder(tmp_path / "out") / "comparison_plan.json"
    write_json(path, read_json(path) | change)  # type: ignore[arg-type]
    with pytest.raises(RunDirError, match=message):
        read_comparison(path.parent)


def test_runs_on_other_facts_are_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    write_map(known(BASE[:7]), path / "runs/S5/2/probes/0")
    with pytest.raises(RunDirError, match=r"runs/S5/2: expected the same training facts .* such as 'h'"):
        read_comparison(path)


def test_three_stages_are_each_held_against_the_one_before(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out", arms=[*ARMS, {"name": "three_stages", "doc": "", "num_stages": 3}])
    for seed in (1, 2):
        write_run(
            path,
            "three_stages",
            seed,
            ["HHMWHHUU", "HHHWHHMU", "HHHHHHMU"],
            [set(), {"t1"}, {"t1", "t2"}],
            [{"b": "M"}] * 3,
        )
    found = read_comparison(path)
    steps = [contrast(found, "stage", "three_stages", stage) for stage in (1, 2, 3)]
    assert [step.test.value for step in steps] == [-0.25, 0.25, 0.25]
    assert [step.highly_known.value for step in steps] == [2.0, 1.0, 1.0]
