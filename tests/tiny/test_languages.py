"""Facts in Chinese, German, Arabic and Korean go through a whole run, report included, with their own spellings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gradual
from gradual.config.run import FactsConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.loading import load_facts
from gradual.files import storage
from gradual.knowledge.map import read_map
from gradual.progress import Silent

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::UserWarning")]

# Two questions about thirty stars each, in invented names. Bounds may stay wide: a random model spreads over all bytes.
GERMAN_ENDS, ARABIC_ENDS = ("ra", "ns", "tis", "gel", "bor"), ("دن", "لم", "رق", "فت", "حس")
LANGUAGES: dict[str, dict[str, Any]] = {
    "zh": {
        "ask": ("{}星是什么颜色？", "{}星有多大？"),
        "names": [first + second for first in "甲乙丙丁戊己" for second in "子丑寅卯辰"],
        "answers": (("红", "黄", "蓝", "白"), ("大", "小", "中")),
        "relations": {"_星是什么颜色", "_星有多大"},
        "prompt": {"question": "问：", "answer": "答："},
    },
    "de": {
        "ask": ("Welche Farbe hat der Stern {}?", "Wie groß ist der Stern {}?"),
        "names": [first + second for first in ("Al", "Be", "Ko", "Du", "Mi", "Zu") for second in GERMAN_ENDS],
        "answers": (("rot", "gelb", "blau", "weiß"), ("groß", "klein", "mittel")),
        "relations": {"welche farbe hat der stern _", "wie groß ist der stern _"},
        "prompt": {"question": "Frage:", "answer": "Antwort:"},
    },
    "ar": {
        "ask": ("ما لون نجم {}؟", "ما حجم نجم {}؟"),
        "names": [first + second for first in ("سا", "نو", "با", "كي", "را", "مي") for second in ARABIC_ENDS],
        "answers": (("أحمر", "أصفر", "أزرق"), ("كبير", "صغير")),
        "relations": {"ما لون نجم _", "ما حجم نجم _"},
        "prompt": {"question": "سؤال:", "answer": "جواب:"},
    },
    "ko": {
        "ask": ("{}의 색은 무엇입니까?", "{}의 크기는 무엇입니까?"),
        "names": [first + second for first in "가나다라마바" for second in "별빛달샘돌"],
        "answers": (("빨강", "노랑", "파랑"), ("큼", "작음")),
        "relations": {"_의 색은 무엇입니까", "_의 크기는 무엇입니까"},
        "prompt": {"question": "문:", "answer": "답:"},
    },
}  # fmt: skip


def write_facts(path: Path, about: dict[str, Any]) -> Path:
    rows = [
        {"question": question.format(name), "answer": answers[place % len(answers)]}
        for question, answers in zip(about["ask"], about["answers"], strict=True)
        for place, name in enumerate(about["names"])
    ]
    assert len(rows) == 60
    rows.append({"question": about["ask"][0].format("X"), "answer": "N/A"})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", LANGUAGES)
def test_whole_run_in_a_language(language: str, tiny_folder: Path, tmp_path: Path) -> None:
    about = LANGUAGES[language]
    facts = write_facts(tmp_path / "facts.jsonl", about)
    loaded = load_facts(FactsConfig(path=str(facts), on_bad_row="skip"), num_shots=2)
    assert {fact.relation for fact in loaded} == about["relations"]
    assert {fact.subject for fact in loaded} == set(about["names"])
    config = parse_config(
        {
            "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
            # Answers are few and shared by many facts: each subject is a fact's only link.
            "facts": {"path": str(facts), "on_bad_row": "skip", "splits": {"exemplars_per_relation": 4}},
            "probe": {
                "num_exemplar_sets": 1, "num_shots": 2, "max_new_tokens": 4, "tolerance": 0.9,
                "matching": "unicode", "language": language, "prompt": about["prompt"],
            },
            "evaluation": {"confidence": False},
            "lora": {"r": 4},
            "stages": [{"strategy": "all", "num_train_epochs": 1, "num_shots": 2, "batch_size": 8}],
        }
    )  # fmt: skip
    run = gradual.fit(config, tmp_path / "run")
    (left_out,) = storage.read_json_lines(run.path / "facts_left_out.jsonl")
    assert left_out["where"] == f"{facts}:61"
    known = read_map(run.probe(1))
    assert known.info.probe["matching"] == "unicode"
    assert known.info.probe["prompt.question"] == about["prompt"]["question"]
    assert any(each.before.startswith(about["prompt"]["question"]) for each in known.prompts)
    page = gradual.report(run.path).read_text(encoding="utf-8")
    assert any(fact.question in page for fact in loaded)


class Listening(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_run_says_once_what_only_its_matching_makes_wrong(tiny_folder: Path, tmp_path: Path) -> None:
    parts = ["exemplars"] * 3 + ["train"] * 6 + ["validation", "test"]
    rows = [
        {"id": str(n), "question": f"Who is {n}?", "answer": f"person {n}", "relation": "who", "split": part}
        for n, part in enumerate(parts)
    ]
    facts = tmp_path / "facts.jsonl"

    def fit(name: str) -> tuple[Path, list[str]]:
        facts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        settings = {
            "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
            "facts": {"path": str(facts)},
            "probe": {"num_exemplar_sets": 1, "num_shots": 2, "max_new_tokens": 4, "tolerance": 0.9},
            "evaluation": {"confidence": False},
            "lora": {"r": 4},
            "stages": [{"strategy": "all", "num_train_epochs": 1, "num_shots": 2, "batch_size": 8}],
        }  # fmt: skip
        heard = Listening()
        run = gradual.fit(parse_config(settings), tmp_path / name, progress=heard)
        return run.probe(0), [line for line in heard.lines if "takes for right" in line]

    probe, said = fit("first")
    assert said == []
    answers = {fact.id: fact.sets[0].greedy_answer or "" for fact in read_map(probe)}
    chosen = next(name for name, answer in answers.items() if any(char.isascii() and char.isalnum() for char in answer))
    wide = {char: chr(ord(char) + 0xFEE0) for char in map(chr, range(ord("!"), ord("~") + 1))}
    # What the model says, as a Japanese keyboard has it: the rule unicode takes full-width letters for the same.
    rows[int(chosen)]["answer"] = answers[chosen].translate(str.maketrans(wide)).strip()
    _, said = fit("second")
    assert len(said) == 1
    assert said[0].startswith("warning: facts with a wrong answer that probe.matching: unicode takes for right: 1, ")
