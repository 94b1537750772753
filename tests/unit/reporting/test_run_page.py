"""The report is whole, honest, the same every time, and safe whatever texts a run holds."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.pages import BENIGN, CHROMIUM, HOSTILE, REQUESTING, Skeleton, browse
from tests.support.runs import make_summary, write_run

from gradual.errors import RunDirError
from gradual.knowledge.levels import Level
from gradual.reporting.run_page import report
from gradual.reporting.run_story import tell, verdict
from gradual.run.record import read_run
from gradual.run.summary.summary_file import AccuracyShare, McNemar
from gradual.text import percent


def page_of(folder: Path) -> str:
    return report(folder).read_text(encoding="utf-8")


def words_of(folder: Path) -> str:
    return Skeleton(page_of(folder)).text


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", make_summary())


def counted_summary() -> dict[str, object]:
    """Numbers small enough to follow by hand: 10 facts, one promoted and one lost; 3 of 20 test facts gained."""
    return {
        "model": "tiny",
        "levels": [
            {"HighlyKnown": 4, "MaybeKnown": 3, "Unknown": 3},
            {"HighlyKnown": 4, "MaybeKnown": 3, "Unknown": 3},
        ],
        "transitions": [
            {
                "from": 0,
                "to": 1,
                "counts": {
                    "HighlyKnown": {"HighlyKnown": 3, "MaybeKnown": 1},
                    "MaybeKnown": {"HighlyKnown": 1, "MaybeKnown": 2},
                    "Unknown": {"Unknown": 3},
                },
            }
        ],
        "test_accuracy": [
            {"accuracy": 0.25, "low": 0.11, "high": 0.47, "correct": 5, "total": 20},
            {"accuracy": 0.40, "low": 0.22, "high": 0.61, "correct": 8, "total": 20},
        ],
        "mcnemar": [{"from": 0, "to": 1, "gained": 3, "lost": 0, "p_value": 0.25}],
        "stages": [{"num_new": 3, "epochs": [{"epoch": 1, "loss": 1.5, "eval_accuracy": 0.5}]}],
        "settings": {"stages.0.strategy": "maybe_known"},
    }


def test_full_run_has_every_section_and_nothing_missing(run: Path) -> None:
    page = page_of(run)
    assert read_run(run).missing == ()
    assert "Not in this folder" not in page
    assert "7 Unknown facts left out" in page
    for section in (
        "flow",
        "test",
        "confidence",
        "levels",
        "transitions",
        "highly",
        "by-level",
        "relations",
        "examples",
        "training",
        "cost",
        "settings",
        "glossary",
    ):
        assert f'<section id="{section}">' in page
    assert len(page.encode()) < 200_000


def test_same_folder_gives_same_bytes(run: Path) -> None:
    assert page_of(run) == page_of(run)


def test_only_the_page_is_left_in_the_folder(run: Path) -> None:
    before = set(run.iterdir())
    assert report(run) == run / "report.html"
    assert set(run.iterdir()) == before | {run / "report.html"}


def test_story_is_six_sentences_with_the_numbers_of_the_folder(run: Path) -> None:
    record = read_run(run)
    sentences = tell(record)
    assert len(sentences) == 6
    summary = record.summary
    assert f"knew {summary.levels[0][Level.HIGHLY_KNOWN]} highly" in sentences[0]
    assert str(summary.levels[2][Level.HIGHLY_KNOWN]) in sentences[1]
    assert percent(summary.test_accuracy[2].accuracy) in sentences[3]


def test_numbers_computed_by_hand(tmp_path: Path) -> None:
    words = words_of(write_run(tmp_path, counted_summary()))
    assert "Of 10 training facts the base model knew 4 highly, 3 maybe and 0 weakly, and 3 not at all." in words
    assert "It knew 4 highly after one stage." in words
    assert "1 fact became HighlyKnown, and 1 of the 4 that were HighlyKnown at the start no longer are" in words
    assert (
        "Test accuracy on 20 facts that were never trained on rose from 25.0 % [11, 47] to 40.0 % [22, 61]; "
        "3 gained, 0 lost, exact McNemar p = 0.25: no more than chance could give."
    ) in words
    assert "3 (75.0 %)" in words  # HighlyKnown facts that stayed: share of the row, and their number


def quality_summary() -> dict[str, object]:
    """The same run with confidence: 4 of 20 test answers confidently wrong, then 9, and 4 refused in the end."""

    def stage(number: int, right: int, sure: int, very_sure: int, unsure: int) -> dict[str, object]:
        def share(number: int) -> dict[str, object]:
            return {"count": number, "total": 20, "share": number / 20, "low": 0.05, "high": 0.75}

        scores = {
            "right": share(right),
            "confidently_wrong": share(sure),
            "very_confidently_wrong": share(very_sure),
            "unsure_and_wrong": share(unsure),
            "refused": share(20 - right - sure - unsure),
            "auroc": 0.875,
            "area_under_risk_coverage": 0.25,
        }
        unknown = {"confidently_wrong": {"count": 3, "total": 8, "share": 0.375, "low": 0.14, "high": 0.69}}
        return {
            "stage": number,
            "all_facts": scores,
            "by_level": {"Unknown": unknown},
            "at_temperature_1": {"calibration_error": 0.125, "calibration_error_if_calibrated": 0.0625},
            "risk_coverage": [{"coverage": 0.5, "risk": 0.4}, {"coverage": 1, "risk": 0.6}],
        }

    answer = {
        "id": "t",
        "question": "Capital of Peru?",
        "answers": ["Lima"],
        "before": {"answer": "Lima", "confidence": 0.61, "is_right": True},
        "after": {"answer": "Quito", "confidence": 0.93},
        "taught_question": "Capital of Ecuador?",
    }
    became = {"total": 5, "taught_elsewhere": 3, "taught_elsewhere_before": 1, "shown": [answer]}
    return {
        **counted_summary(),
        "answer_quality": {
            "stages": [stage(0, 5, 4, 1, 11), stage(1, 5, 9, 6, 2)],
            "change": {"became": 6, "no_longer": 1, "p_value": 0.13},
        },
        "wrong_answers": {"became": became},
    }


def refusals_summary() -> dict[str, object]:
    """Of 20 test facts 2 are refused at first and 8 after a stage, 1 of them known at the start."""

    def share(number: int, total: int = 20) -> dict[str, object]:
        return {"count": number, "total": total, "share": number / total, "low": 0.05, "high": 0.75}

    def stage(number: int, right: int, refused: int, harm: int) -> dict[str, object]:
        scores = [{"target": 0.5, "value": 0.5 - number, "low": -0.75, "high": 0.75}]
        answered = 20 - refused
        replies = {"right": share(right), "refused": share(refused), "coverage": share(answered)}
        return {
            "stage": number,
            "all_facts": replies | {"accuracy_of_answered": share(right, answered)},
            "by_level": {"Unknown": {"refused": share(5 * number, 8)}},
            "known_refused": share(harm, 10),
            "scores": scores,
        }

    return {**counted_summary(), "refusals": {"stages": [stage(0, 6, 2, 0), stage(1, 9, 8, 1)]}}


def test_refusals_are_told_in_words_and_in_a_table(tmp_path: Path) -> None:
    words = words_of(write_run(tmp_path, refusals_summary()))
    assert (
        "It says that it does not know on 8 of 20 test facts, the base model on 2; 75.0 % of the 12 that it answers "
        "are right; it refuses 1 of 10 that were HighlyKnown or MaybeKnown at the start."
    ) in words
    assert "What it refuses" in words
    row = "after stage 1 60.0 % [5.0, 75.0] 75.0 % [5.0, 75.0] 10.0 % [5.0, 75.0] 62.5 % [5.0, 75.0]"
    assert f"{row} −0.50 [−0.75, +0.75]" in words


def test_who_never_refuses_is_not_said_to(tmp_path: Path) -> None:
    summary = refusals_summary()
    assert "does not know on" not in words_of(write_run(tmp_path, {**summary, "refusals": {"stages": []}}))


def test_confidently_wrong_answers_are_told_in_words_numbers_and_examples(tmp_path: Path) -> None:
    words = words_of(write_run(tmp_path, quality_summary()))
    assert (
        "Confidently wrong answers (confidence at least 0.5) rose from 4 to 9 of 20 test facts; 6 became so, "
        "1 no longer are, exact McNemar p = 0.13: no more than chance could give."
    ) in words
    assert "4 refused" in words  # of the bar after stage 1; the base model's has none
    assert "45.0 % [5.0, 75.0]" in words  # 9 of 20
    assert "37.5 % [14.0, 69.0]" in words  # of Unknown facts
    assert "0.125 (chance 0.062)" in words
    assert "3 wrong, 0.5 to 0.9" in words  # 9 without the 6 of at least 0.9
    assert re.search("base model Lima ✓ confidence 0.61 last stage Quito confidence 0.93", words)
    assert "Of 5 answers, 3 are the answer of another fact that a stage trained on" in words
    assert "1 were wrong and such an answer already" in words
    assert "Taught as the answer to Capital of Ecuador?" in words
    assert "Remained confidently wrong" not in words  # there is none


@pytest.mark.parametrize("name", ["answer_quality", "wrong_answers"])
def test_a_summary_without_confidence_is_shown_as_before(tmp_path: Path, name: str) -> None:
    old = {key: part for key, part in quality_summary().items() if key not in ("answer_quality", "wrong_answers")}
    page = page_of(write_run(tmp_path / "old" / "run", old))
    assert "When it does not know" not in page
    assert "onfidently wrong" not in page
    part = {**old, name: quality_summary()[name]}
    words = words_of(write_run(tmp_path / "part" / "run", part))
    assert ("When it does not know" in words) == (name == "answer_quality")


@pytest.mark.parametrize(
    ("after", "p", "claim"),
    [
        (AccuracyShare(accuracy=0.4, low=0.3, high=0.5), 0.3, "no more than chance could give"),
        (AccuracyShare(accuracy=0.4, low=0.3, high=0.5), 0.01, "the intervals overlap, but the paired test tells"),
        (AccuracyShare(accuracy=0.7, low=0.6, high=0.8), 0.01, "more than chance would give"),
        (AccuracyShare(accuracy=0.4, low=0.3, high=0.5), None, "within the intervals, so no change can be claimed"),
        (AccuracyShare(accuracy=0.7, low=0.6, high=0.8), None, "beyond both intervals"),
        (AccuracyShare(accuracy=0.7), None, "how much of it is chance is not known"),
    ],
)
def test_a_difference_is_claimed_only_as_firmly_as_the_evidence(
    after: AccuracyShare, p: float | None, claim: str
) -> None:
    before = AccuracyShare(accuracy=0.35, low=0.25, high=0.45)
    test = None if p is None else McNemar(start=0, end=1, gained=1, lost=0, p_value=p)
    assert verdict(before, after, test).startswith(claim)


@pytest.mark.parametrize("probes", [1, 2])
def test_partial_run_says_what_is_missing(tmp_path: Path, probes: int) -> None:
    words = words_of(write_run(tmp_path, make_summary(probes), status="running"))
    assert "This run is not complete." in words
    assert "stage 2: not trained yet" in words
    assert "probe 2 (after stage 2): the levels of the training facts" in words
    assert ("stage 1: not trained yet" in words) == (probes == 1)


def test_any_part_of_the_summary_may_be_missing(tmp_path: Path) -> None:
    whole = make_summary()
    for name in whole:
        for absent in ({key: value for key, value in whole.items() if key != name}, {**whole, name: None}):
            assert "The four levels" in words_of(write_run(tmp_path, absent))


def test_run_without_summary_is_read_from_its_other_files(tmp_path: Path) -> None:
    write_run(tmp_path, {}, status="running")
    (tmp_path / "summary.json").unlink()
    (tmp_path / "probes" / "0").mkdir(parents=True)
    about = {"schema": 1, "probe": {}, "model": {}, "num_facts": 7, "files": {}}
    about["levels"] = {"HighlyKnown": 2, "Unknown": 5}
    (tmp_path / "probes" / "0" / "map.json").write_text(json.dumps(about))
    (tmp_path / "stages" / "1").mkdir(parents=True)
    (tmp_path / "stages" / "1" / "epochs.jsonl").write_text(
        '{"epoch": 0, "eval_accuracy": 0.25, "loss": null}\n{"epoch": 1, "eval_accuracy": 0.5, "loss": 1.25}\n{"ep'
    )
    (tmp_path / "config.yaml").write_text("seed: 7\nstages:\n- strategy: maybe_known\n- strategy: S5\n")
    record = read_run(tmp_path)
    assert record.summary.settings["stages.1.strategy"] == "S5"
    assert len(record.summary.stages[0].epochs) == 2
    words = words_of(tmp_path)
    assert "summary.json: the run has not been summed up yet" in words
    assert "Of 7 training facts the base model knew 2 highly" in words


def test_run_with_nothing_to_train_ends_in_order(tmp_path: Path) -> None:
    words = words_of(write_run(tmp_path, make_summary(1), status="nothing_to_train"))
    assert "This run ended early: there was nothing to train on." in words
    assert "No fact met the selection of stage 1" in words
    assert "not trained yet" not in words


def test_hostile_texts_change_no_tag(tmp_path: Path) -> None:
    benign = Skeleton(page_of(write_run(tmp_path / "a" / "run", make_summary(hostile=BENIGN))))
    hostile = Skeleton(page_of(write_run(tmp_path / "b" / "run", make_summary(hostile=HOSTILE))))
    assert hostile.tags == benign.tags
    assert "<script>alert(1)</script></svg>" in hostile.text
    assert "{{7*7}}" in hostile.text
    assert r"\u202e\u0000\u0085\u2028\ud800" in hostile.text


def test_page_loads_nothing_and_runs_nothing(run: Path) -> None:
    page = page_of(run)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<img|\ssrc=|\son\w+=|javascript:", page)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', page))


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine: its address, and the paths that were asked for."""
    paths: list[str] = []

    class Counting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", paths
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_report_of_hostile_texts_makes_no_request_in_a_browser(tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    address, paths = asked
    (tmp_path / "control.html").write_text(f'<img src="{address}control">')
    browse(tmp_path / "control.html", tmp_path / "profile")
    assert paths == ["/control"], "the browser would not ask at all"
    hostile = REQUESTING.replace("U", address)
    page = report(write_run(tmp_path / "run", make_summary(hostile=hostile)))
    assert page.read_text().count("127.0.0.1") > 50
    shown = browse(page, tmp_path / "profile")
    assert paths == ["/control"]
    assert "What happened" in shown
    harmless = Skeleton(page_of(write_run(tmp_path / "other" / "run", make_summary(hostile=BENIGN))))
    assert Skeleton(page.read_text()).tags == harmless.tags


def test_every_drawing_has_a_title(run: Path) -> None:
    drawings = re.findall(r"<svg[^>]*>(<title>[^<]+</title>)?", page_of(run))
    assert len(drawings) > 10
    assert all(drawings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "expected a JSON object"),
        ('{"levels": [{"SortOfKnown": 3}]}', "field `levels.0.SortOfKnown"),
        ('{"test_accuracy": 0.3}', "field `test_accuracy`"),
    ],
)
def test_damaged_summary_is_named_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(RunDirError, match=re.escape(words)) as caught:
        report(tmp_path)
    assert "summary.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="not a run folder"):
        report(tmp_path)
    with pytest.raises(RunDirError, match="found nothing"):
        report(tmp_path / "absent")


def test_a_stage_tells_what_it_trained_on_besides_targets_and_the_area_that_kept_its_epoch(tmp_path: Path) -> None:
    epochs = [{"epoch": each, "loss": 1.5, "eval_accuracy": 0.5, "eval_area": 0.4 - 0.1 * each} for each in (0, 1)]
    stage = {"num_new": 3, "num_anchor": 28, "num_abstain": 18, "best_epoch": 1, "epochs": epochs}
    summary = {**counted_summary(), "stages": [stage]}
    words = words_of(write_run(tmp_path, summary))
    assert "28 facts held it to what the model said before." in words
    assert "A refusal was taught for 18 facts." in words
    assert "Area under the risk-coverage curve by epoch, the lower the better" in words
    assert "training time tokens steps seconds per step facts anchored refusals taught" in words
    plain = words_of(write_run(tmp_path, counted_summary()))
    assert "facts anchored" not in plain
    assert "Area under the risk-coverage curve by epoch" not in plain
