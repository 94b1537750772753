"""All about one fact comes out of a map or a run: the level and why, and every prompt as it was asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.support.maps import MODEL, PROBE, known_fact, make_map, write_run

from gradual.errors import DataError, RunDirError
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap, MapInfo, SetAnswer, write_map
from gradual.run.fact_view import show_fact, why

INFO = MapInfo(probe=PROBE, model=MODEL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_map(make_map({"a": Level.MAYBE_KNOWN, "b": Level.UNKNOWN}), tmp_path / "map")
    return tmp_path / "map"


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level.HIGHLY_KNOWN, "greedy is right under all of 2 exemplar sets"),
        (Level.MAYBE_KNOWN, "greedy is right under 1 of 2 exemplar sets"),
        (
            Level.WEAKLY_KNOWN,
            "greedy is never right under 2 exemplar sets, yet 16 samples under each would show a right answer with "
            "chance 0.750 (at least 0.5)",
        ),
        (
            Level.UNKNOWN,
            "greedy is never right under 2 exemplar sets, and 16 samples under each would show a right answer with "
            "chance 0.125 (less than 0.5)",
        ),
    ],
)
def test_level_is_explained(level: Level, words: str) -> None:
    assert why(known_fact("a", level), INFO) == words


@pytest.mark.parametrize(
    ("level", "num_right", "words"),
    [
        (Level.WEAKLY_KNOWN, (1, 2), "yet 3 of 32 sampled answers are right"),
        (Level.WEAKLY_KNOWN, (1, 0), "yet 1 of 32 sampled answers is right"),
        (Level.UNKNOWN, (0, 0), "and none of 32 sampled answers is right"),
    ],
)
def test_level_of_a_sampled_map_is_explained_by_counts(level: Level, num_right: tuple[int, int], words: str) -> None:
    sets = tuple(SetAnswer(each, False, None, 0.0, 0.0, 1.0, num_right[each], 16) for each in (0, 1))
    fact = dataclasses.replace(known_fact("a", level), sets=sets)
    assert why(fact, INFO) == f"greedy is never right under 2 exemplar sets, {words}"


def test_prompt_comes_back_byte_for_byte(folder: Path) -> None:
    prompts = [each.prompt for each in show_fact(folder, "a").sets]
    assert prompts == [f"Q: shot {each}\nA: it\nQ: What is the capital of a?\nA:" for each in (0, 1)]


def test_a_fact_among_the_shots_is_shown_with_its_own_prompt(folder: Path) -> None:
    one, two = show_fact(folder, "b").sets
    assert (one.exemplar_ids, two.exemplar_ids) == (("x",), ("spare",))
    assert two.prompt == "Q: spare\nA: it\nQ: What is the capital of b?\nA:"


def test_json_has_the_evidence_and_no_infinite_number(folder: Path) -> None:
    shown = json.loads(json.dumps(show_fact(folder, "a").as_dict(), allow_nan=False))
    assert (shown["id"], shown["level"], shown["p_greedy"], shown["near_tie"]) == ("a", "MaybeKnown", 0.5, True)
    assert shown["sets"][0] == {
        "set": 0,
        "prompt": "Q: shot 0\nA: it\nQ: What is the capital of a?\nA:",
        "greedy_correct": True,
        "greedy_answer": "Bern",
        "p_lower": 0.25,
        "p_upper": 0.75,
        "p": 0.5,
        "confidence_lower": None,
        "confidence_upper": None,
        "confidence": None,
        "confidence_t1_lower": None,
        "confidence_t1_upper": None,
        "confidence_t1": None,
        "greedy_refused": None,
        "p_refuse_lower": None,
        "p_refuse_upper": None,
        "p_refuse": None,
        "margin": None,
        "near_tie": False,
        "exemplar_ids": ["x"],
    }
    assert shown["sets"][1]["near_tie"] is True


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    fact = known_fact("a", Level.UNKNOWN)
    known = make_map({"a": Level.UNKNOWN})
    answer = dataclasses.replace(fact.sets[0], greedy_answer="\x1b[2J\u202e")
    write_map(
        KnowledgeMap((dataclasses.replace(fact, sets=(answer,), question="a\x07?"),), known.prompts, known.info),
        tmp_path,
    )
    shown = show_fact(tmp_path, "a")
    assert all(line.isprintable() for line in shown.lines())
    assert "\x07" in shown.sets[0].prompt


def test_unknown_fact_names_a_near_one(tmp_path: Path) -> None:
    write_map(make_map({"capital-of-chad": Level.UNKNOWN, "capital-of-peru": Level.UNKNOWN}), tmp_path)
    with pytest.raises(DataError, match="unknown fact \"capital-of-cha\"; did you mean 'capital-of-chad'"):
        show_fact(tmp_path, "capital-of-cha")


def test_run_shows_the_newest_probe_in_full_and_all_in_short(tmp_path: Path) -> None:
    write_run(tmp_path)
    shown = show_fact(tmp_path, "a")
    assert shown.level is Level.HIGHLY_KNOWN
    assert [(each.probe, each.level) for each in shown.probes] == [(0, Level.MAYBE_KNOWN), (1, Level.HIGHLY_KNOWN)]
    assert [(each.stage, each.role) for each in shown.trained] == [(1, "new")]
    assert show_fact(tmp_path, "a", probe=0).level is Level.MAYBE_KNOWN
    assert show_fact(tmp_path, "b").trained == ()


def test_run_shows_test_facts_from_its_evaluations(tmp_path: Path) -> None:
    write_run(tmp_path)
    shown = show_fact(tmp_path, "t")
    assert (shown.source, shown.level) == ("test fact, base model", Level.UNKNOWN)


@pytest.mark.parametrize(
    ("fact_id", "probe", "error"),
    [
        ("v", None, "expected a fact of train or test, found one of validation"),
        ("zzz", None, "unknown fact \"zzz\"; expected one of 4 ids such as 'a'"),
        ("a", 2, "--probe 2: expected 0 to 1"),
    ],
)
def test_run_says_what_it_cannot_show(tmp_path: Path, fact_id: str, probe: int | None, error: str) -> None:
    write_run(tmp_path)
    with pytest.raises(DataError, match=error):
        show_fact(tmp_path, fact_id, probe=probe)


def test_confidence_is_shown_where_it_was_asked(tmp_path: Path) -> None:
    sure = SetAnswer(
        0,
        False,
        "Rome",
        0.0,
        0.0,
        1.0,
        confidence_lower=0.5,
        confidence_upper=0.75,
        confidence_t1_lower=0.25,
        confidence_t1_upper=0.5,
    )
    fact = dataclasses.replace(known_fact("a", Level.UNKNOWN), sets=(sure,), confidence=0.625, confidence_t1=0.375)
    write_map(dataclasses.replace(make_map({}), facts=(fact,)), tmp_path)
    shown = show_fact(tmp_path, "a")
    [told] = json.loads(json.dumps(shown.as_dict()))["sets"]
    assert (told["confidence"], told["confidence_lower"], told["confidence_upper"]) == (0.625, 0.5, 0.75)
    assert (told["confidence_t1"], shown.confidence, shown.confidence_t1) == (0.375, 0.625, 0.375)
    assert "confidence 0.6250, at temperature 1 0.3750" in str(shown)


def test_refusals_are_shown_where_they_were_asked(tmp_path: Path) -> None:
    answer = SetAnswer(0, False, "No idea", 0.0, 0.0, 1.0, greedy_refused=True, p_refuse_lower=0.5, p_refuse_upper=0.75)
    fact = dataclasses.replace(known_fact("a", Level.UNKNOWN), sets=(answer,), p_greedy_refuse=1.0, p_refuse=0.625)
    write_map(dataclasses.replace(make_map({"a": Level.UNKNOWN}), facts=(fact,)), tmp_path)
    shown = show_fact(tmp_path, "a")
    assert (shown.p_greedy_refuse, shown.p_refuse, shown.as_dict()["p_refuse"]) == (1.0, 0.625, 0.625)
    assert (shown.sets[0].greedy_refused, shown.sets[0].p_refuse_lower, shown.sets[0].p_refuse) == (True, 0.5, 0.625)
    assert "greedy refused, “No idea”; p 0.0000; p_refuse 0.6250" in str(shown)


def test_nothing_is_said_of_confidence_where_it_was_not_asked(folder: Path) -> None:
    shown = show_fact(folder, "a")
    assert (shown.confidence, shown.sets[0].confidence) == (None, None)
    assert "confidence" not in str(shown)


def test_probe_number_needs_a_run(folder: Path) -> None:
    with pytest.raises(DataError, match="--probe 0: expected a run folder"):
        show_fact(folder, "a", probe=0)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="expected a knowledge map or a run folder, found a folder without"):
        show_fact(tmp_path, "a")
    with pytest.raises(RunDirError, match="found no folder"):
        show_fact(tmp_path / "none", "a")
