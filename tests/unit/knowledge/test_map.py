"""A map comes back from its folder as it was, byte for byte the same each time, and damage is named."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from gradual.errors import ProbeError, RunDirError
from gradual.knowledge.levels import Level
from gradual.knowledge.map import (
    Cost,
    FactKnowledge,
    KnowledgeMap,
    MapInfo,
    Prompt,
    SetAnswer,
    read_map,
    write_map,
)

FILES = ["answers.parquet", "facts.parquet", "map.json", "prompts.parquet"]


def fact(fact_id: str, level: Level, sets: tuple[SetAnswer, ...] = ()) -> FactKnowledge:
    return FactKnowledge(
        id=fact_id,
        relation="capital",
        question=f"What is the capital of {fact_id}?",
        answers=("Bern", "Berne"),
        level=level,
        p_greedy=0.5,
        p_sampled=0.25,
        p_any_sample=0.75,
        level_probability=1.0,
        near_tie=False,
        min_margin=0.125,
        greedy_answer=None,
        sets=sets,
    )


EXACT = SetAnswer(set=0, greedy_correct=True, greedy_answer=None, p_lower=0.25, p_upper=0.75, margin=math.inf)
SAMPLED = SetAnswer(1, False, "Genf 🇨🇭", 0.5, 0.5, 0.0, n_right=8, n_samples=16)
PROMPT = Prompt("capital", 0, "", ("x", "y"), "Q: a\nA: b\nQ: ", "\nA:")
INFO = MapInfo(
    probe={"method": "exact", "tolerance": 1e-3, "top_p": 1.0, "levels_only": False},
    model={"weights": "abc"},
    cost=Cost(seconds=1.5, tokens_read=10, forward_passes=2, host_share=0.25),
)


def example(*, cost: Cost = INFO.cost) -> KnowledgeMap:
    facts = (fact("b", Level.UNKNOWN, (EXACT, SAMPLED)), fact("a", Level.HIGHLY_KNOWN), fact("ç", Level.UNKNOWN))
    return KnowledgeMap(facts, (PROMPT,), dataclasses.replace(INFO, cost=cost))


def test_facts_are_sorted_and_found_by_id() -> None:
    knowledge = example()
    assert [f.id for f in knowledge] == ["a", "b", "ç"]
    assert knowledge["b"].sets == (EXACT, SAMPLED)
    assert knowledge.level_of("a") is Level.HIGHLY_KNOWN
    assert "a" in knowledge
    assert "d" not in knowledge
    assert len(knowledge) == 3


def test_level_counts_hold_all_levels_worst_first() -> None:
    counts = example().levels()
    assert list(counts.items()) == [
        (Level.UNKNOWN, 2),
        (Level.WEAKLY_KNOWN, 0),
        (Level.MAYBE_KNOWN, 0),
        (Level.HIGHLY_KNOWN, 1),
    ]


def test_probability_is_the_middle_of_its_bounds() -> None:
    assert EXACT.p == 0.5


def test_order_and_cost_make_no_difference() -> None:
    knowledge = example()
    other = KnowledgeMap(knowledge.facts[::-1], knowledge.prompts, dataclasses.replace(INFO, cost=Cost()))
    assert other == knowledge


def test_id_twice_is_refused() -> None:
    with pytest.raises(ProbeError, match="'a' is twice"):
        KnowledgeMap((fact("a", Level.UNKNOWN), fact("a", Level.UNKNOWN)), (), INFO)
    with pytest.raises(ProbeError, match="'capital#0' is twice"):
        KnowledgeMap((), (PROMPT, PROMPT), INFO)


def test_round_trip(tmp_path: Path) -> None:
    write_map(example(), tmp_path / "probes" / "0")
    back = read_map(tmp_path / "probes" / "0")
    assert back == example()
    assert back.info.cost == INFO.cost
    assert sorted(path.name for path in (tmp_path / "probes" / "0").iterdir()) == sorted([*FILES, "cost.json"])


def test_empty_map_round_trip(tmp_path: Path) -> None:
    empty = KnowledgeMap((), (), INFO)
    write_map(empty, tmp_path)
    assert read_map(tmp_path) == empty


def test_equal_maps_give_equal_bytes_but_for_the_cost(tmp_path: Path) -> None:
    write_map(example(), tmp_path / "one")
    write_map(example(cost=Cost(seconds=99.0)), tmp_path / "two")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert read_map(tmp_path / "two").info.cost.seconds == 99.0


def test_map_without_its_cost_is_read(tmp_path: Path) -> None:
    write_map(example(), tmp_path)
    (tmp_path / "cost.json").unlink()
    assert read_map(tmp_path) == example()


def test_cost_that_is_no_number_is_named(tmp_path: Path) -> None:
    write_map(example(), tmp_path)
    (tmp_path / "cost.json").write_text('{"seconds": "long"}')
    with pytest.raises(RunDirError, match=r"cost.json: field `seconds`: .* valid number.*, found 'long'"):
        read_map(tmp_path)


def test_map_json_tells_the_counts(tmp_path: Path) -> None:
    write_map(example(), tmp_path)
    told = json.loads((tmp_path / "map.json").read_text())
    assert told["schema"] == 1
    assert told["num_facts"] == 3
    assert told["levels"] == {"Unknown": 2, "WeaklyKnown": 0, "MaybeKnown": 0, "HighlyKnown": 1}
    assert told["probe"] == INFO.probe
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost == {"seconds": 1.5, "tokens_read": 10, "forward_passes": 2, "host_share": 0.25}


SURE = dataclasses.replace(
    EXACT, confidence_lower=0.25, confidence_upper=0.75, confidence_t1_lower=0.125, confidence_t1_upper=0.375
)


def with_confidence() -> KnowledgeMap:
    known = dataclasses.replace(fact("a", Level.UNKNOWN, (SURE, SAMPLED)), confidence=0.5, confidence_t1=0.25)
    return KnowledgeMap((known, fact("b", Level.UNKNOWN, (SAMPLED,))), (PROMPT,), INFO)


def test_confidence_is_the_middle_of_its_bounds_and_nothing_where_it_was_not_asked() -> None:
    assert (SURE.confidence, SURE.confidence_t1) == (0.5, 0.25)
    assert (SAMPLED.confidence, SAMPLED.confidence_t1) == (None, None)


def test_a_map_with_confidence_comes_back_as_it_was(tmp_path: Path) -> None:
    write_map(with_confidence(), tmp_path)
    assert read_map(tmp_path) == with_confidence()
    short = read_map(tmp_path, with_answers=False)
    assert (short["a"].confidence, short["a"].confidence_t1, short["b"].confidence) == (0.5, 0.25, None)
    assert json.loads((tmp_path / "map.json").read_text())["schema"] == 2


@pytest.mark.parametrize("confidence", [0.5, None])
def test_a_map_with_refusals_comes_back_as_it_was_with_confidence_or_without(
    tmp_path: Path, confidence: float | None
) -> None:
    bounds = dict.fromkeys(("confidence_lower", "confidence_upper"), confidence)
    answer = dataclasses.replace(EXACT, greedy_refused=True, p_refuse_lower=0.25, p_refuse_upper=0.75, **bounds)
    known = dataclasses.replace(
        fact("a", Level.UNKNOWN, (answer,)), confidence=confidence, p_greedy_refuse=1.0, p_refuse=0.5
    )
    info = dataclasses.replace(INFO, probe={"refusals": ["I don't know", "No idea"]})
    written = KnowledgeMap((known,), (PROMPT,), info)
    write_map(written, tmp_path)
    again = read_map(tmp_path)
    assert again == written
    assert again["a"].sets[0].p_refuse == 0.5
    assert again.has_refusals
    assert again.has_confidence is (confidence is not None)
    assert json.loads((tmp_path / "map.json").read_text())["schema"] == 3


def test_a_map_without_confidence_has_the_columns_and_the_version_that_it_always_had(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_map(example(), tmp_path)
    assert json.loads((tmp_path / "map.json").read_text())["schema"] == 1
    for name in ("facts.parquet", "answers.parquet"):
        assert not [column for column in pq.read_table(tmp_path / name).column_names if "confidence" in column]
    assert not read_map(tmp_path).has_confidence


def test_answers_point_to_prompts_that_exist(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_map(example(), tmp_path)
    assert pq.read_table(tmp_path / "answers.parquet").column("prompt_ref").to_pylist() == ["capital#0", None]


def test_nan_is_refused(tmp_path: Path) -> None:
    bad = fact("a", Level.UNKNOWN, (dataclasses.replace(EXACT, p_upper=math.nan),))
    with pytest.raises(RunDirError, match=r"answers.parquet: column 'p_upper', row 0: expected a number, found NaN"):
        write_map(KnowledgeMap((bad,), (), INFO), tmp_path)
    with pytest.raises(RunDirError, match="no finished knowledge map"):
        read_map(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_map(example(), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RunDirError, match=name):
        read_map(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="nowhere holds no finished knowledge map"):
        read_map(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["answers.parquet", "facts.parquet", "prompts.parquet"])
def test_changed_table_is_named(tmp_path: Path, name: str) -> None:
    write_map(example(), tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[30] ^= 4
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RunDirError, match=f"{name} was changed or damaged"):
        read_map(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schema", 4, "expected format 1 to 3, found 4"),
        ("files", None, "field `files`"),
        ("model", 3, "field `model`"),
        ("probe", {"a": [1]}, "field `probe.a."),
    ],
)
def test_bad_field_of_map_json_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    write_map(example(), tmp_path)
    told = json.loads((tmp_path / "map.json").read_text())
    (tmp_path / "map.json").write_text(json.dumps(told | {field: value}))
    with pytest.raises(RunDirError, match=message):
        read_map(tmp_path)


def test_half_replaced_map_is_not_read_as_a_mixture(tmp_path: Path) -> None:
    write_map(example(), tmp_path / "old")
    write_map(KnowledgeMap((fact("a", Level.UNKNOWN),), (), INFO), tmp_path / "new")
    (tmp_path / "new" / "facts.parquet").replace(tmp_path / "old" / "facts.parquet")
    with pytest.raises(RunDirError, match=r"facts.parquet was changed or damaged"):
        read_map(tmp_path / "old")
