"""A probe's folder is made once, goes on after a kill, and is never mixed with another probe or somebody's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.maps import known_fact

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.errors import RunDirError
from gradual.facts.fact import by_relation
from gradual.facts.problems import LeftOut
from gradual.files import storage
from gradual.files.lock import single_writer
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap, MapInfo, read_map
from gradual.probing import probe as probing
from gradual.probing.folder import ProbeRequest, make_map, say_missed_spellings
from gradual.progress import Silent
from gradual.testing import FakeEngine, FakeForest, toy_facts

FACTS = tuple(toy_facts(num_relations=2, facts_per_relation=6))
SETTINGS = ProbeConfig(method="sampled", num_exemplar_sets=10, num_shots=1, num_samples=2, max_new_tokens=2)
REQUEST = ProbeRequest(ModelConfig(name_or_path="fake"), FACTS, by_relation(FACTS), SETTINGS, seed=1)


@pytest.fixture
def unit_by_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each relation is a unit of its own, however few its facts."""
    monkeypatch.setattr(probing, "PROMPTS_PER_UNIT", 1)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Dying(FakeEngine):
    """An engine that is interrupted when it is asked for its second forest, so after the first of two relations."""

    def __init__(self) -> None:
        super().__init__()
        self.forests = 0

    def new_forest(self, num_rows: int, *, top_k: int) -> FakeForest:
        self.forests += 1
        if self.forests > 1:
            raise KeyboardInterrupt
        return super().new_forest(num_rows, top_k=top_k)


class Counting(FakeEngine):
    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.forests = 0

    def new_forest(self, num_rows: int, *, top_k: int) -> FakeForest:
        self.forests += 1
        return super().new_forest(num_rows, top_k=top_k)


def probe(
    request: ProbeRequest, out: Path | None, engine: Engine | None = None, said: Said | None = None
) -> KnowledgeMap:
    return make_map(request, out, open_engine=lambda _: engine or FakeEngine(), progress=said or Said())


def files(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("run.lock", "owner.json"))


def no_model(_: ModelConfig) -> Engine:
    pytest.fail("the model was loaded")


def test_map_is_written_and_units_are_gone(tmp_path: Path) -> None:
    known = probe(REQUEST, tmp_path / "map")
    assert read_map(tmp_path / "map") == known
    assert files(tmp_path / "map") == ["answers.parquet", "cost.json", "facts.parquet", "map.json", "prompts.parquet"]


def test_rows_left_out_are_kept_beside_the_map_and_are_no_part_of_it(tmp_path: Path) -> None:
    bad = LeftOut("facts.jsonl:3", "expected an answer, found null", {"question": "Who is it?", "answer": None})
    with_bad = dataclasses.replace(REQUEST, left_out=(bad,))
    assert probe(with_bad, tmp_path) == probe(REQUEST, None)
    kept = tmp_path / "facts_left_out.jsonl"
    assert storage.read_json_lines(kept) == [
        {
            "where": "facts.jsonl:3",
            "reason": "expected an answer, found null",
            "row": '{"question": "Who is it?", "answer": null}',
        }
    ]
    kept.unlink()  # as where a kill came between the map and this file
    engine = Counting()
    probe(with_bad, tmp_path, engine)
    assert (kept.is_file(), engine.forests) == (True, 0)


def test_rows_of_a_source_that_was_mended_are_no_longer_kept(tmp_path: Path) -> None:
    probe(dataclasses.replace(REQUEST, left_out=(LeftOut("facts.jsonl:3", "expected an answer", {}),)), tmp_path)
    probe(REQUEST, tmp_path)
    assert "facts_left_out.jsonl" not in files(tmp_path)


def test_map_without_a_folder_is_the_same(tmp_path: Path) -> None:
    assert probe(REQUEST, None) == probe(REQUEST, tmp_path / "map")


def test_order_of_facts_makes_no_difference(tmp_path: Path) -> None:
    probe(REQUEST, tmp_path)
    said = Said()
    probe(dataclasses.replace(REQUEST, facts=FACTS[::-1]), tmp_path, said=said)
    assert "finished; nothing is computed again" in said.lines[0]


def test_finished_map_is_not_made_again(tmp_path: Path) -> None:
    known = probe(REQUEST, tmp_path)
    engine = Counting()
    assert probe(REQUEST, tmp_path, engine) == known
    assert engine.forests == 0


def test_interrupted_probe_goes_on_where_it_was(tmp_path: Path, unit_by_unit: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        probe(REQUEST, tmp_path / "killed", Dying())
    assert files(tmp_path / "killed") == ["units"]
    # An engine's name is part of what it is; the one that goes on must be the same.
    engine = Counting()
    probe(REQUEST, tmp_path / "killed", engine)
    assert engine.forests == 1
    assert read_map(tmp_path / "killed") == probe(REQUEST, tmp_path / "unbroken")
    assert "units" not in files(tmp_path / "killed")


def test_units_of_another_seed_are_not_used(tmp_path: Path, unit_by_unit: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        probe(REQUEST, tmp_path, Dying())
    engine = Counting()
    probe(dataclasses.replace(REQUEST, seed=2), tmp_path, engine)
    assert engine.forests == 2


def test_units_left_by_a_kill_behind_the_map_are_removed(tmp_path: Path) -> None:
    probe(REQUEST, tmp_path)
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "left").touch()
    probe(REQUEST, tmp_path)
    assert "units" not in files(tmp_path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (dataclasses.replace(REQUEST, seed=2), "probe.seed: 1 in the folder, 2 now"),
        (
            dataclasses.replace(REQUEST, settings=SETTINGS.model_copy(update={"temperature": 0.7})),
            "probe.temperature: 0.5 in the folder, 0.7 now",
        ),
        (dataclasses.replace(REQUEST, facts=FACTS[:-1]), "probe.facts_digest: "),
        (
            dataclasses.replace(REQUEST, facts=(dataclasses.replace(FACTS[0], system="Be brief."), *FACTS[1:])),
            "probe.facts_digest: ",
        ),
        (dataclasses.replace(REQUEST, exemplars=by_relation(FACTS[1:])), "probe.exemplars_digest: "),
    ],
    ids=["seed", "temperature", "facts", "system", "exemplars"],
)
def test_map_of_another_probe_is_refused_before_the_model_is_loaded(
    tmp_path: Path, changed: ProbeRequest, named: str
) -> None:
    probe(REQUEST, tmp_path)
    with pytest.raises(RunDirError) as error:
        make_map(changed, tmp_path, open_engine=no_model, progress=Silent())
    first, *middle, last = str(error.value).splitlines()
    assert first.endswith("holds the knowledge map of another probe:")
    assert [line.strip().startswith(named) for line in middle] == [True]
    assert last == "use another --out for a new map"


def test_map_of_another_model_is_refused(tmp_path: Path) -> None:
    probe(REQUEST, tmp_path)
    with pytest.raises(RunDirError, match=r"model\.seed: '0' in the folder, '5' now"):
        probe(REQUEST, tmp_path, Counting(seed=5))


@pytest.mark.parametrize("name", ["notes.txt", "facts.parquet", "run.json"])
def test_folder_of_something_else_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunDirError, match="use another --out"):
        make_map(REQUEST, tmp_path, open_engine=no_model, progress=Silent())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with single_writer(tmp_path), pytest.raises(RunDirError, match="in use by"):
        make_map(REQUEST, tmp_path, open_engine=no_model, progress=Silent())


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "squad",
            [
                "warning: facts with a wrong answer that probe.matching: unicode takes for right: 1, "
                'such as "Strasse" for "Straße"'
            ],
        ),
        ("unicode", []),
    ],
)
def test_answers_that_only_matching_makes_wrong_are_said_once(rule: str, said: list[str]) -> None:
    """Both exemplar sets of the fact have the answer Strasse; the fact beside it has none written out."""
    fact = known_fact("a", Level.UNKNOWN)
    sets = tuple(dataclasses.replace(each, greedy_answer="Strasse") for each in fact.sets)
    road = dataclasses.replace(fact, answers=("Straße",), sets=sets)
    progress = Said()
    known = KnowledgeMap((road, known_fact("b", Level.UNKNOWN)), (), MapInfo(probe={}, model={}))
    say_missed_spellings(known, SETTINGS.model_copy(update={"matching": rule}), progress)
    assert progress.lines == said
