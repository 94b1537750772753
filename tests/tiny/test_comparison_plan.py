"""Which runs a comparison makes, without making them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gradual.comparison import arm_work, open_comparison
from gradual.comparison import compare as comparison
from gradual.comparison.compare import compare, plan_comparison
from gradual.comparison.folder import ComparisonFolder
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import DataError, RunDirError, TrainingError
from gradual.facts.prepare import RunFacts, prepare
from gradual.files.storage import write_json
from gradual.run.folder import RunDir
from gradual.testing import toy_facts

pytestmark = pytest.mark.tiny


@pytest.fixture
def run_facts() -> RunFacts:
    facts = toy_facts(2, 30)
    return RunFacts(
        train=tuple(facts[:20] + facts[30:50]),
        validation=tuple(facts[20:22] + facts[50:52]),
        test=tuple(facts[22:26] + facts[52:56]),
        exemplars={"toy-0": tuple(facts[26:30]), "toy-1": tuple(facts[56:60])},
        dropped_for_overlap=0,
        warnings=(),
    )


def config(**compare_settings: Any) -> RunConfig:
    return parse_config({"model": "m", "facts": "f", "compare": {"num_retested": 0, **compare_settings}})


class Made:
    """Stands for training: keeps what each run would be made of, and says that it took some steps."""

    def __init__(self, steps: int) -> None:
        self.configs: list[tuple[str, RunConfig]] = []
        self.said: list[str] = []
        self._steps = steps

    def fit(self, config: RunConfig, run_facts: RunFacts, loaded: object, out: Path, **_: Any) -> RunDir:
        self.configs.append((f"{out.parent.name}/{out.name}", config))
        return RunDir(out)

    def steps(self, run: RunDir) -> int:
        return self._steps if any(name.endswith(run.path.name) for name, _ in self.configs) else 0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made(steps=70)
    monkeypatch.setattr(open_comparison, "fit_loaded", made.fit)
    monkeypatch.setattr(comparison, "load_to_train", lambda *_: SimpleNamespace(fingerprint={"weights": "w"}))
    monkeypatch.setattr(arm_work, "_num_steps", made.steps)
    return made


def test_every_seed_trains_every_arm_and_measures_come_last(made: Made, run_facts: RunFacts, tmp_path: Path) -> None:
    request = plan_comparison(config(arms=["base", "same_steps", "S5"], num_seeds=2), run_facts)
    compare(request, tmp_path / "c")
    assert [name for name, _ in made.configs] == ["S5/42", "same_steps/42", "S5/43", "same_steps/43"]
    assert [run.training_seed for _, run in made.configs] == [42, 42, 43, 43]
    assert {run.seed for _, run in made.configs} == {42}
    assert {run.exemplar_seed for _, run in made.configs} == {None}
    control = made.configs[1][1].stages
    assert [stage.max_steps for stage in control] == [70]
    assert [stage.strategy for stage in control] == ["maybe_known"]


def test_exemplars_are_drawn_anew_where_that_is_asked(made: Made, run_facts: RunFacts, tmp_path: Path) -> None:
    request = plan_comparison(config(arms=["S5"], num_seeds=2, redraw_exemplars=True), run_facts)
    compare(request, tmp_path / "c")
    assert [run.exemplar_seed for _, run in made.configs] == [42, 43]
    assert [run.evaluation.exemplar_seed for _, run in made.configs] == [42, 43]


def test_an_arm_whose_measure_trained_nothing_is_left_out(made: Made, run_facts: RunFacts, tmp_path: Path) -> None:
    made._steps = 0
    said: list[str] = []
    progress: Any = SimpleNamespace(say=said.append)
    request = plan_comparison(config(arms=["same_steps", "S5"], num_seeds=1), run_facts)
    compare(request, tmp_path, progress=progress)
    assert [name for name, _ in made.configs] == ["S5/42"]
    assert "arm same_steps, seed 42: left out, as S5 has trained nothing" in said


def test_an_arm_that_cannot_be_trained_stops_no_other(
    made: Made, run_facts: RunFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(config: RunConfig, run_facts: RunFacts, loaded: object, out: Path, **others: Any) -> RunDir:
        if out.parent.name == "one_stage":
            raise TrainingError("step 3: expected a finite loss, found nan")
        return made.fit(config, run_facts, loaded, out, **others)

    monkeypatch.setattr(open_comparison, "fit_loaded", fit)
    with pytest.raises(TrainingError) as caught:
        compare(plan_comparison(config(arms=["one_stage", "S5"], num_seeds=2), run_facts), tmp_path)
    assert [name for name, _ in made.configs] == ["S5/42", "S5/43"]
    assert str(caught.value).splitlines() == [
        f"arm one_stage, seed {seed}: step 3: expected a finite loss, found nan" for seed in (42, 43)
    ]


def test_seeds_that_the_command_gives_count(run_facts: RunFacts) -> None:
    request = plan_comparison(config(arms=["S5"]), run_facts, num_seeds=2, arms=["S1", "base"])
    assert list(request.seeds) == [42, 43]
    assert [arm.name for arm in request.arms] == ["S1", "base"]
    assert request.config.compare.num_seeds == 2


def test_a_limit_keeps_the_same_share_of_every_part(run_facts: RunFacts) -> None:
    request = plan_comparison(config(), run_facts, limit=10)
    kept = request.run_facts
    assert [len(part) for part in (kept.train, kept.validation, kept.test)] == [10, 1, 2]
    assert [fact.relation for fact in kept.train].count("toy-0") == 5
    assert plan_comparison(config(), run_facts, limit=1000).run_facts.digest() == run_facts.digest()


def test_other_settings_than_the_folder_was_made_with_are_refused_before_anything_is_done(
    made: Made, run_facts: RunFacts, tmp_path: Path
) -> None:
    compare(plan_comparison(config(arms=["S5"], num_seeds=1), run_facts), tmp_path / "c")
    compare(plan_comparison(config(arms=["S1"], num_seeds=2), run_facts), tmp_path / "c")
    assert len(made.configs) == 3
    other = config(arms=["S2"]).model_copy(update={"seed": 7})
    with pytest.raises(RunDirError, match=r"config\.seed: '42' in the folder, '7' now"):
        compare(plan_comparison(other, run_facts), tmp_path / "c")
    with pytest.raises(RunDirError, match=r"facts\.digest"):
        compare(plan_comparison(config(arms=["S2"]), run_facts, limit=10), tmp_path / "c")
    assert len(made.configs) == 3


def test_a_folder_of_something_else_is_refused(made: Made, run_facts: RunFacts, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunDirError, match=r"is no comparison's folder and not empty \(it holds 'run\.json'\)"):
        compare(plan_comparison(config(arms=["S5"]), run_facts), tmp_path)
    assert made.configs == []


def test_runs_are_found_with_those_of_rounds(tmp_path: Path) -> None:
    folder = ComparisonFolder(tmp_path)
    for run in (folder.run("S5", 1), folder.round("rounds", 2, 1)):
        run.path.mkdir(parents=True)
        write_json(run.info, {})
    (tmp_path / "report.html").touch()
    assert {run.path.relative_to(tmp_path).as_posix() for run in folder.runs()} == {"runs/S5/1", "rounds/rounds/2/1"}


def test_relations_that_are_only_scored_are_kept_apart(
    tmp_path: Path, toys_writer: Callable[[Path, int, int], Path]
) -> None:
    path = toys_writer(tmp_path / "toys.jsonl", 3, 40)
    facts = {"path": str(path), "relations": ["toy-0"], "out_of_distribution": ["toy-2"]}
    splits = {"exemplars_per_relation": 6, "max_test_per_relation": 5}
    found = prepare(parse_config({"model": "m", "facts": facts | {"splits": splits}}))
    assert {fact.relation for fact in (*found.train, *found.validation, *found.test)} == {"toy-0"}
    assert {fact.relation for fact in found.out_of_distribution} == {"toy-2"}
    assert len(found.out_of_distribution) == 5
    assert len(found.exemplars["toy-2"]) == 6
    assert not {fact.id for fact in found.exemplars["toy-2"]} & {fact.id for fact in found.out_of_distribution}
    typo = facts | {"relations": None, "out_of_distribution": ["toy-22"], "splits": splits}
    with pytest.raises(
        DataError, match=r"facts\.out_of_distribution: found no facts of relation 'toy-22'; did you mean"
    ):
        prepare(parse_config({"model": "m", "facts": typo}))
    without = prepare(parse_config({"model": "m", "facts": {**facts, "out_of_distribution": None, "splits": splits}}))
    assert [fact.id for fact in without.train] == [fact.id for fact in found.train]
