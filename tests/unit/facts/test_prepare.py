"""What is warned of before any computing, from the facts alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gradual.config.yaml_file import parse_config
from gradual.facts.prepare import prepare


def warned_of(path: Path, rows: list[dict[str, Any]]) -> list[str]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = prepare(parse_config({"model": "m", "facts": str(path), "probe": {"num_shots": 2}})).warnings
    return [warning for warning in found if "how often the model says so" in warning]


def rows_of(test_answers: list[str], train_answers: list[str]) -> list[dict[str, Any]]:
    parts = {
        "exemplars": [f"shot {n}" for n in range(6)],
        "validation": ["held out"],
        "test": test_answers,
        "train": train_answers,
    }
    return [
        {
            "question": f"Where is {split} {n}?",
            "answer": answer,
            "relation": "origin",
            "split": split,
            "subject": f"{split} {n}",
        }
        for split, answers in parts.items()
        for n, answer in enumerate(answers)
    ]


def test_test_facts_of_one_answer_that_is_never_trained_on_are_warned_of(tmp_path: Path) -> None:
    told = warned_of(
        tmp_path / "facts.jsonl", rows_of(["USA"] * 6 + ["Oman", "Peru", "Fiji", "Mali"], ["Cuba", "Iran"])
    )
    assert told == [
        'relation "origin": 6 of 10 test facts have the answer "USA", and no training fact has; their accuracy tells '
        "how often the model says so, not what it knows",
    ]


def test_the_remedy_is_named_where_answers_were_kept_apart_here(tmp_path: Path) -> None:
    rows = [
        {
            "question": f"Where is {n}?",
            "answer": "Italy" if n < 40 else f"land {n}",
            "relation": "origin",
            "subject": f"s{n}",
        }
        for n in range(100)
    ]
    (told,) = warned_of(tmp_path / "facts.jsonl", rows)
    assert told.endswith("not what it knows; facts.splits.keep_apart: subjects lets it stand on both sides")


def test_nothing_is_said_of_an_answer_that_is_trained_on_or_not_frequent_or_of_few_facts(tmp_path: Path) -> None:
    others = ["Oman", "Peru", "Fiji", "Mali", "Laos"]
    assert warned_of(tmp_path / "a.jsonl", rows_of(["USA"] * 6 + others[:4], ["USA", "Iran"])) == []
    assert warned_of(tmp_path / "b.jsonl", rows_of(["USA"] * 5 + others, ["Cuba", "Iran"])) == []
    assert warned_of(tmp_path / "c.jsonl", rows_of(["USA"] * 5, ["Cuba", "Iran"])) == []


def test_turn_of_the_system_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    def digest(system: str) -> str:
        turns = [{"role": "system", "content": system}] if system else []
        rows = [
            [*turns, {"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]
            for row in rows_of([f"town {n}" for n in range(30)], [f"city {n}" for n in range(30)])
        ]
        path = tmp_path / "facts.jsonl"
        path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), encoding="utf-8")
        run_facts = prepare(parse_config({"model": "m", "facts": str(path), "probe": {"num_shots": 2}}))
        assert {fact.system for fact in run_facts.all_facts()} == {system}
        return run_facts.digest()

    assert len({digest(system) for system in ("", "Be brief.", "Rhyme.")}) == 3
