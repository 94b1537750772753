"""A whole comparison on a tiny random model: arms, seeds, what runs share, going on, and rounds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradual.comparison.compare import compare, plan_comparison
from gradual.comparison.estimate import estimate_comparison
from gradual.comparison.folder import ComparisonFolder
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import RunDirError, TrainingError
from gradual.facts.prepare import prepare
from gradual.files import storage
from gradual.knowledge.map import KnowledgeMap, read_map
from gradual.probing.probe import probe_facts
from gradual.progress import Silent
from gradual.run.folder import RunDir

pytestmark = pytest.mark.tiny

TWO_STAGES: Any = {"name": "two_stages", "stages": [{}, {}]}
AS_LONG: Any = {"name": "as_long", "stages": [{}], "same_steps_as": "two_stages"}
NEVER: Any = {"name": "never", "stages": [{"select": "now == HighlyKnown"}]}  # a random model knows nothing
ARMS = ["base", "one_stage", "as_long", "two_stages", "never"]


@pytest.fixture(scope="module")
def facts_file(tmp_path_factory: pytest.TempPathFactory, toys_writer: Callable[[Path, int, int], Path]) -> Path:
    return toys_writer(tmp_path_factory.mktemp("facts") / "toys.jsonl", 3, 20)


def make_config(model: Path, facts: Path, /, **changes: Any) -> RunConfig:
    stage = {"num_shots": 2, "batch_size": 8, "learning_rate": 0.01, "num_train_epochs": 1}
    settings: dict[str, Any] = {
        "model": {"name_or_path": str(model), "dtype": "float32", "device": "cpu"},
        "facts": {
            "path": str(facts),
            "relations": ["toy-0", "toy-1"],
            "out_of_distribution": ["toy-2"],
            "splits": {"exemplars_per_relation": 6},
        },
        "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4, "tolerance": 0.1},
        "evaluation": {"zero_shot": True},
        "lora": {"r": 4, "lora_dropout": 0.1},
        "stages": [{"strategy": "all", **stage}, {"select": "trained", **stage}],
        "compare": {
            "arms": ["base", "one_stage"],
            "own_arms": [AS_LONG, TWO_STAGES, NEVER],
            "num_seeds": 2,
            "num_retested": 8,
            "main": "two_stages",
            "reference": "as_long",
        },
    }
    return parse_config(settings | changes)


def run_comparison(config: RunConfig, out: Path, **options: Any) -> ComparisonFolder:
    return compare(plan_comparison(config, prepare(config), **options), out)


@pytest.fixture(scope="module")
def made(tiny_folder: Path, facts_file: Path, tmp_path_factory: pytest.TempPathFactory) -> ComparisonFolder:
    return run_comparison(make_config(tiny_folder, facts_file), tmp_path_factory.mktemp("compare") / "all")


class Said(Silent):
    """Keeps what is said."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def say(self, line: str) -> None:
        self.said.append(line)


def is_same_file(one: Path, other: Path) -> bool:
    return one.stat().st_ino == other.stat().st_ino


def test_every_arm_has_a_run_for_every_seed(made: ComparisonFolder) -> None:
    plan = storage.read_json(made.plan)
    assert [arm["name"] for arm in plan["arms"]] == ARMS  # type: ignore[index, call-overload, union-attr]
    assert plan["seeds"] == [42, 43]
    for name in ARMS[1:-1]:
        assert [made.run(name, seed).status for seed in (42, 43)] == ["complete"] * 2
    assert made.run("never", 42).status == "nothing_to_train"


def test_runs_share_what_they_do_in_the_same_way(made: ComparisonFolder) -> None:
    one, main, other_seed = made.run("one_stage", 42), made.run("two_stages", 42), made.run("two_stages", 43)
    weights = "adapter_model.safetensors"
    assert is_same_file(one.adapter(1) / weights, main.adapter(1) / weights)
    assert is_same_file(one.probe(1) / "facts.parquet", main.probe(1) / "facts.parquet")
    assert is_same_file(main.probe(0) / "facts.parquet", other_seed.probe(0) / "facts.parquet")
    assert (main.adapter(1) / weights).read_bytes() != (other_seed.adapter(1) / weights).read_bytes()


def test_as_many_steps_are_taken_as_by_the_arm_that_is_named(made: ComparisonFolder) -> None:
    for seed in (42, 43):
        main, control = made.run("two_stages", seed), made.run("as_long", seed)
        steps = [int(storage.read_json(main.stage_summary(index))["steps"]) for index in (1, 2)]  # type: ignore[arg-type]
        summary = storage.read_json(control.stage_summary(1))
        per_epoch = int(storage.read_json_lines(control.epochs(1))[1]["steps"])  # type: ignore[arg-type]
        assert 0 <= int(summary["steps"]) - sum(steps) < per_epoch  # type: ignore[arg-type]
        assert summary["stopped_early"] is False


def test_other_relations_and_questions_without_shots_are_scored(made: ComparisonFolder) -> None:
    run = made.run("two_stages", 42)
    others = read_map(run.ood_evaluation(2))
    assert {fact.relation for fact in others} == {"toy-2"}
    bare = read_map(run.zero_shot_evaluation(2))
    assert {fact.id for fact in bare} == {fact.id for fact in read_map(run.evaluation(2))}
    assert {prompt.exemplar_ids for prompt in bare.prompts} == {()}


def test_asking_the_same_again_gives_the_same(made: ComparisonFolder) -> None:
    base = read_map(made.run("two_stages", 42).probe(0))
    again = read_map(made.retest("again"))
    assert [fact.sets for fact in again] == [base[fact.id].sets for fact in again]
    others = read_map(made.retest("exemplars"))
    assert [fact.p_sampled for fact in others] != pytest.approx([base[fact.id].p_sampled for fact in others], abs=1e-6)
    assert read_map(made.retest("numerics")).info.model["dtype"] == "bfloat16"


def test_going_on_does_nothing_twice_and_takes_further_arms(
    made: ComparisonFolder, tiny_folder: Path, facts_file: Path
) -> None:
    times = made.run("two_stages", 42).times(1).read_bytes()
    config = make_config(tiny_folder, facts_file)
    run_comparison(config, made.path, arms=["S1"], num_seeds=1)
    plan: Any = storage.read_json(made.plan)
    assert [arm["name"] for arm in plan["arms"]] == [*ARMS, "S1"]
    assert plan["seeds"] == [42, 43]
    assert made.run("two_stages", 42).times(1).read_bytes() == times
    assert is_same_file(made.run("S1", 42).times(1), made.run("two_stages", 42).times(1))


def test_other_settings_are_refused(made: ComparisonFolder, tiny_folder: Path, facts_file: Path) -> None:
    with pytest.raises(RunDirError, match=r"config\.lora\.r: '4' in the folder, '2' now"):
        run_comparison(make_config(tiny_folder, facts_file, lora={"r": 2}), made.path)


def test_an_arm_that_has_changed_is_refused_before_anything_is_written(
    made: ComparisonFolder, tiny_folder: Path, facts_file: Path
) -> None:
    plan = made.plan.read_bytes()
    changed = TWO_STAGES | {"stages": [{}, {"learning_rate": 0.5}]}
    compare_settings = {"arms": ["one_stage"], "own_arms": [AS_LONG, changed], "main": "two_stages"}
    config = make_config(tiny_folder, facts_file, compare=compare_settings)
    with pytest.raises(RunDirError) as caught:
        run_comparison(config, made.path)
    begun = [str(made.path / "runs" / name) for name in ("two_stages", "as_long")]
    assert str(caught.value).splitlines() == [
        f"{made.path}: nothing was changed or trained:",
        'arm "two_stages" was begun with other settings:',
        "  stages.1.learning_rate: '0.01' in the folder, '0.5' now",
        f"give it another name, or its earlier settings; or, to begin anew, delete {' and '.join(begun)}",
    ]
    assert made.plan.read_bytes() == plan


def test_names_that_differ_in_case_share_no_folder(made: ComparisonFolder, tiny_folder: Path, facts_file: Path) -> None:
    own = {"arms": ["one_stage"], "own_arms": [TWO_STAGES | {"name": "Two_Stages"}], "main": "one_stage"}
    with pytest.raises(RunDirError, match=r'arm "Two_Stages" differs from "two_stages", which is there, in case alone'):
        run_comparison(make_config(tiny_folder, facts_file, compare=own | {"reference": "one_stage"}), made.path)


def test_an_arm_whose_measure_takes_other_steps_now_fails_alone(
    made: ComparisonFolder, tiny_folder: Path, facts_file: Path, tmp_path: Path
) -> None:
    longer = TWO_STAGES | {"stages": [{}, {"num_train_epochs": 2}]}
    settings = {"arms": ["one_stage"], "own_arms": [AS_LONG, longer], "num_seeds": 1, "num_retested": 0}
    config = make_config(tiny_folder, facts_file, compare=settings | {"main": "two_stages", "reference": "as_long"})
    copy = ComparisonFolder(tmp_path / "copy")
    shutil.copytree(made.path, copy.path)
    shutil.rmtree(copy.path / "runs" / "two_stages")
    with pytest.raises(TrainingError, match=r"as_long.42 was begun with \d+ steps, as two_stages took them then"):
        run_comparison(config, copy.path)
    assert copy.run("two_stages", 42).status == "complete"
    shutil.rmtree(copy.path / "runs" / "as_long")
    run_comparison(config, copy.path)
    assert copy.run("as_long", 42).status == "complete"


def test_a_retest_has_the_exemplars_of_the_map_it_is_held_against(
    tiny_folder: Path, facts_file: Path, tmp_path: Path
) -> None:
    settings = {"arms": ["one_stage"], "num_seeds": 1, "num_retested": 8, "redraw_exemplars": True}
    config = make_config(tiny_folder, facts_file, compare=settings, training_seed=7)
    made = run_comparison(config, tmp_path / "redrawn")
    base, again = read_map(made.run("one_stage", 7).probe(0)), read_map(made.retest("again"))
    assert base.info.probe["seed"] == again.info.probe["seed"] == 7
    assert [fact.sets for fact in again] == [base[fact.id].sets for fact in again]


def test_one_thing_changes_in_each_retest(
    tiny_folder: Path, facts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[tuple[int, int]] = []

    def recorded(*args: Any, seed: int, sampling_seed: int, **options: Any) -> KnowledgeMap:
        seeds.append((seed, sampling_seed))
        return probe_facts(*args, seed=seed, sampling_seed=sampling_seed, **options)

    monkeypatch.setattr("gradual.comparison.retests.probe_facts", recorded)
    probe = {"method": "sampled", "num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4, "num_samples": 2}
    config = make_config(tiny_folder, facts_file, probe=probe)
    made = run_comparison(config, tmp_path / "sampled", arms=["one_stage"], num_seeds=1)
    again, exemplars, numerics = seeds
    assert (again[0], numerics) == (42, (42, 42))
    assert exemplars[0] != 42 == exemplars[1]
    assert again[1] != 42
    assert read_map(made.retest("numerics")).info.model["dtype"] == "bfloat16"
    assert read_map(made.retest("again")).info.probe["sampling_seed"] == again[1]


def test_retests_of_another_number_of_facts_are_kept_and_told(
    made: ComparisonFolder, tiny_folder: Path, facts_file: Path
) -> None:
    more = make_config(tiny_folder, facts_file).compare.model_copy(update={"num_retested": 9})
    config = make_config(tiny_folder, facts_file).model_copy(update={"compare": more})
    before = (made.retest("again") / "facts.parquet").read_bytes()
    said: list[str] = []
    compare(plan_comparison(config, prepare(config)), made.path, progress=Said(said))
    kept = f"warning: {made.retest('exemplars')} holds 8 facts asked with seed"
    assert any(line.startswith(kept) for line in said)
    assert (made.retest("again") / "facts.parquet").read_bytes() == before


def test_fewer_facts_are_taken_of_each_part(tiny_folder: Path, facts_file: Path) -> None:
    config = make_config(tiny_folder, facts_file)
    whole = prepare(config)
    request = plan_comparison(config, whole, limit=len(whole.train) // 2)
    assert len(request.run_facts.train) == len(whole.train) // 2
    assert len(request.run_facts.test) == -(-len(whole.test) * (len(whole.train) // 2) // len(whole.train))
    assert {fact.relation for fact in request.run_facts.train} == {"toy-0", "toy-1"}


def test_a_comparison_is_estimated_with_shared_steps_counted_once(
    tiny_folder: Path, facts_file: Path, made: ComparisonFolder
) -> None:
    config = make_config(tiny_folder, facts_file)
    found = estimate_comparison(plan_comparison(config, prepare(config)))
    arms = {arm.name: arm for arm in found.arms}
    # An arm that only begins as another one does adds nothing; what is done of two stages is the second alone.
    assert [arm.name for arm in found.arms] == ["one_stage", "two_stages", "never", "as_long"]
    assert arms["two_stages"].num_steps == 2 * arms["one_stage"].num_steps
    assert arms["as_long"].num_steps == arms["two_stages"].num_steps
    assert 0 < arms["two_stages"].seconds < 2 * arms["one_stage"].seconds
    assert found.total_seconds == pytest.approx(found.once_seconds + 2 * sum(arm.seconds for arm in found.arms))
    taken: Any = storage.read_json(made.run("one_stage", 42).stage_summary(1))
    assert taken["steps"] == arms["one_stage"].num_steps


def test_rounds_end_where_nothing_is_gained(tiny_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    stage = {"num_shots": 2, "batch_size": 8, "learning_rate": 1e-6, "num_train_epochs": 1}
    config = make_config(
        tiny_folder,
        facts_file,
        stages=[{"strategy": "all", **stage}, {"select": "trained", **stage}],
        compare={
            "arms": [],
            "own_arms": [{"name": "again", "stages": [{}, {}], "max_stages": 4}],
            "num_seeds": 1,
            "num_retested": 8,
            "main": "again",
            "reference": "again",
        },
    )
    made = run_comparison(config, tmp_path / "rounds")
    run = made.run("again", 42)
    assert RunDir(run.path).status == "complete"
    # A rate of 1e-6 promotes nothing: one look after the second stage, and no third.
    assert run.is_done("stage-2")
    assert not run.is_done("stage-3")
    assert is_same_file(run.probe(2) / "facts.parquet", made.round("again", 2, 42).probe(2) / "facts.parquet")
