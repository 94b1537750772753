"""Two maps are compared on the facts they share, and what makes them hard to compare is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.support.maps import PROBE, make_map, write_run

from gradual.errors import DataError, RunDirError
from gradual.knowledge.diff import Move, compare_maps, open_map
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap

UNKNOWN, WEAKLY, MAYBE, HIGHLY = Level


def test_facts_of_both_maps_are_counted_and_the_others_too() -> None:
    before = make_map({"a": UNKNOWN, "b": MAYBE, "c": HIGHLY, "d": HIGHLY})
    after = make_map({"a": WEAKLY, "b": UNKNOWN, "c": HIGHLY, "e": MAYBE, "f": MAYBE})
    found = compare_maps(before, after)
    assert (found.num_facts, found.only_in_a, found.only_in_b) == (3, 1, 2)
    assert found.promoted == (Move("a", UNKNOWN, WEAKLY),)
    assert found.demoted == (Move("b", MAYBE, UNKNOWN),)
    assert found.levels == (
        {UNKNOWN: 1, WEAKLY: 0, MAYBE: 1, HIGHLY: 1},
        {UNKNOWN: 1, WEAKLY: 1, MAYBE: 0, HIGHLY: 1},
    )
    assert found.transitions[HIGHLY] == {UNKNOWN: 0, WEAKLY: 0, MAYBE: 0, HIGHLY: 1}
    assert found.warnings == ()


def test_open_levels_are_no_moves_and_are_said() -> None:
    """The evidence of both facts is p between 0.01 and 0.51, or 0.25 and 0.75, with 16 samples under each of 2 sets.

    0.01 makes one of 32 samples right with chance 0.28, all else with more than 1/2: Unknown may be WeaklyKnown.
    """
    probe = PROBE | {"tolerance": 0.001, "num_samples": 16}

    def with_bounds(known: KnowledgeMap) -> KnowledgeMap:
        return dataclasses.replace(known, info=dataclasses.replace(known.info, probe=probe))

    before, after = (with_bounds(make_map({"a": level, "b": UNKNOWN})) for level in (UNKNOWN, WEAKLY))
    assert before.open_levels("a") == (UNKNOWN, WEAKLY)
    assert after.open_levels("a") is None
    found = compare_maps(before, after)
    assert (found.promoted, found.demoted) == ((), ())
    assert any("the level of 2 facts is open in a map" in text for text in found.warnings)
    certain = compare_maps(before, with_bounds(make_map({"a": HIGHLY, "b": UNKNOWN})))
    assert certain.promoted == (Move("a", UNKNOWN, HIGHLY),)


def test_json_names_levels_and_ids() -> None:
    found = compare_maps(make_map({"a": UNKNOWN}), make_map({"a": HIGHLY})).as_dict()
    assert found["promoted"] == ["a"]
    assert found["levels"][1] == {"Unknown": 0, "WeaklyKnown": 0, "MaybeKnown": 0, "HighlyKnown": 1}  # type: ignore[index,call-overload]


def test_maps_without_a_common_fact_are_refused() -> None:
    with pytest.raises(DataError, match="expected two maps with facts in common"):
        compare_maps(make_map({"a": UNKNOWN}), make_map({"b": UNKNOWN}))


def test_other_probe_settings_are_warned_of() -> None:
    other = make_map({"a": UNKNOWN}, probe={**PROBE, "seed": 7, "facts_digest": "f"})
    (warning,) = compare_maps(make_map({"a": UNKNOWN}, probe={**PROBE, "facts_digest": "e"}), other).warnings
    assert warning == "the maps were made with other probe settings: seed (42, then 7)"


def test_another_rule_of_matching_is_warned_of_though_a_map_keeps_it_only_where_it_is_set() -> None:
    by_unicode = make_map({"a": UNKNOWN}, probe={**PROBE, "matching": "unicode", "prompt.question": "问："})
    (warning,) = compare_maps(make_map({"a": UNKNOWN}), by_unicode).warnings
    assert warning == (
        'the maps were made with other probe settings: matching (not set, then "unicode"), '
        'prompt.question (not set, then "问：")'
    )
    (warning,) = compare_maps(by_unicode, make_map({"a": UNKNOWN}, probe=PROBE | {"matching": "squad"})).warnings
    assert 'matching ("unicode", then "squad")' in warning
    assert compare_maps(by_unicode, by_unicode).warnings == ()


def test_other_draws_of_sampled_answers_are_warned_of() -> None:
    sampled = {**PROBE, "method": "sampled"}
    base, again = (make_map({"a": UNKNOWN}, probe=probe) for probe in (sampled, sampled | {"sampling_seed": 7}))
    assert compare_maps(base, base).warnings == ()
    (warning,) = compare_maps(base, again).warnings
    assert warning == "the maps were made with other probe settings: sampling_seed (42, then 7)"


def test_other_exemplars_are_warned_of() -> None:
    (warning,) = compare_maps(make_map({"a": UNKNOWN}), make_map({"a": UNKNOWN}, shots=("y",))).warnings
    assert warning == "the maps ask 1 of 1 fact with other exemplars"


def test_another_question_under_the_same_id_is_warned_of() -> None:
    known = make_map({"a": UNKNOWN})
    reworded = KnowledgeMap((dataclasses.replace(known["a"], question="?"),), known.prompts, known.info)
    (warning,) = compare_maps(known, reworded).warnings
    assert "another question" in warning


def test_other_arithmetic_is_warned_of() -> None:
    known = make_map({"a": UNKNOWN})
    info = dataclasses.replace(known.info, model={**known.info.model, "dtype": "bfloat16"})
    (warning,) = compare_maps(known, KnowledgeMap(known.facts, known.prompts, info)).warnings
    assert "another dtype" in warning


def test_a_run_folder_is_refused_with_the_names_of_its_maps(tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(RunDirError, match=r"found a run folder; its maps are .*probes/0, .*probes/1"):
        open_map(tmp_path)
    with pytest.raises(RunDirError, match="found nothing there"):
        open_map(tmp_path / "none")
