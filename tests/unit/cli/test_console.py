"""Progress is told with rates and times, and a run's numbers stand in the tables as they are in its summary."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as RichConsole
from tests.support.maps import make_map
from tests.support.runs import make_summary, write_run

from gradual.cli import console
from gradual.cli.console import Console, Meter
from gradual.cli.results import diff_parts, estimate_parts, map_parts, next_steps, plan_parts, run_parts, stage_line
from gradual.comparison.estimate import ArmEstimate, ComparisonEstimate
from gradual.knowledge.diff import compare_maps
from gradual.knowledge.levels import Level
from gradual.reporting.table import Table, as_rich
from gradual.run.cost import StageCost
from gradual.run.planning.plan import RunPlan, StagePlan, TokenLine
from gradual.run.record import read_run
from gradual.run.summary.summary_file import StageSummary

HOSTILE = " [bold]x[/bold] \x1b[31m"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(parts: Iterable[Table | str]) -> str:
    screen = RichConsole(file=io.StringIO(), width=120, markup=False, highlight=False)
    for part in parts:
        screen.print(part if isinstance(part, str) else as_rich(part))
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_rate_and_remaining_time_come_from_what_was_done() -> None:
    clock = Clock()
    meter = Meter(100, clock)
    assert (meter.rate, meter.remaining) == (None, None)
    clock.now = 4.0
    meter.advance(20)
    assert (meter.rate, meter.remaining) == (5.0, 16.0)


def test_rate_follows_the_recent_past() -> None:
    clock = Clock()
    meter = Meter(1000, clock)
    for _ in range(10):
        clock.now += 1.0
        meter.advance(50)
    for _ in range(40):
        clock.now += 1.0
        meter.advance(1)
    assert meter.rate == pytest.approx(1.0, abs=0.1)


def test_without_a_terminal_a_bar_is_told_in_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with Console().bar("probe", 30, "facts") as advance:
        advance(10)
        advance(20)
    first, middle, last = capsys.readouterr().out.splitlines()
    assert first == "probe: 30 facts"
    assert re.fullmatch(r"probe: 10/30 facts, [\d.,]+ facts/s, [\d.]+\xa0s left", middle)
    assert re.fullmatch(r"probe: 30 facts in [\d.]+\xa0s \([\d.,]+ facts/s\)", last)


def test_lines_are_told_every_few_seconds_only(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().bar("probe", 1000, "facts") as advance:
        for _ in range(1000):
            advance(1)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_work_that_ends_early_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().bar("stage-1", 48, "steps") as advance:
        advance(30)
    assert "stage-1: 30 of at most 48 steps in" in capsys.readouterr().out


def test_bar_is_drawn_on_a_terminal_with_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with (shows := Console()).bar("probe", 30, "facts") as advance:
        advance(10)
        shows.say("warning: [red] is text")
        with shows.bar("inner", 2, "steps") as advance_inner:
            advance_inner(2)
        advance(20)
    text = terminal.getvalue()
    assert "warning: [red] is text" in text
    assert "30/30 facts" in text
    assert "inner: 2 steps in" in text


def test_for_json_everything_but_the_result_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Console(as_json=True)
    with screen.working(), screen.bar("probe", 1, "facts") as advance:
        print("a library prints")
        advance(1)
        screen.say("a remark")
    screen.show("a table")
    screen.end({"p": 0.5}, ["a line"])
    out, err = capsys.readouterr()
    assert out == '{\n  "p": 0.5\n}\n'
    assert all(text in err for text in ("a library prints", "a remark", "a table", "probe: 1 facts"))


def test_run_is_shown_with_the_numbers_of_its_summary(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, make_summary()))
    text = shown(run_parts(run))
    summary = run.summary
    for level in Level:
        for counts in summary.levels:
            assert f"{counts[level]} (" in text
    for share in summary.test_accuracy:
        assert f"{share.correct} of {share.total}" in text
        assert share.low is not None
        assert f"[{100 * share.low:.1f}, " in text
    assert "When it does not know: wrong test answers by confidence" in text
    assert summary.answer_quality is not None
    for stage in summary.answer_quality.stages:
        share = stage.all_facts.confidently_wrong.share
        assert share is not None
        assert f"{100 * share:.1f} %" in text
    moved = summary.transition(0, 1)
    assert moved is not None
    row = moved.row(Level.MAYBE_KNOWN)
    number = row[Level.HIGHLY_KNOWN]
    assert f"{number} ({100 * number / sum(row.values()):.1f} %)" in text
    assert "reading (a) HK2 / HK1 - 1: +" in text
    assert "reading (b) (HK2 - HK0) / (HK1 - HK0) - 1: +" in text
    assert (
        "stage 2 (S5): 182 new facts of which 61 promoted, 36 replayed, 4 fewer than wanted, 7 Unknown left out" in text
    )


def test_anchors_and_refusals_of_a_stage_are_told_where_it_has_them() -> None:
    stage = StageSummary(strategy="all", num_new=5, promoted_trained=2, num_replay=1, best_epoch=3, steps=4)
    plain = "stage 1 (all): 5 new facts of which 2 promoted, 1 replayed"
    for found, told in (
        ({}, ""),
        ({"num_anchor": 28, "num_abstain": 18}, "; 28 facts anchored, 18 refusals taught"),
        ({"num_anchor": 1}, "; 1 fact anchored"),
        ({"num_abstain": 0}, "; 0 refusals taught"),
    ):
        line = stage_line(1, stage.model_copy(update=found), StageCost(seconds=60))
        assert line.startswith(f"{plain}{told}; kept epoch 3; 4 steps in ")


@pytest.mark.parametrize("probes", [1, 2])
def test_partial_run_is_shown_as_far_as_it_goes(tmp_path: Path, probes: int) -> None:
    text = shown(run_parts(read_run(write_run(tmp_path, make_summary(probes)))))
    assert "reading (a)" not in text
    assert "not there: stage 2: not trained yet" in text


def test_texts_of_others_are_not_taken_for_markup(tmp_path: Path) -> None:
    text = shown(run_parts(read_run(write_run(tmp_path, make_summary(hostile=HOSTILE)))))
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text


def test_long_lists_of_moved_facts_are_cut() -> None:
    ids = [f"fact-{number:02}" for number in range(30)]
    found = compare_maps(make_map(dict.fromkeys(ids, Level.UNKNOWN)), make_map(dict.fromkeys(ids, Level.HIGHLY_KNOWN)))
    text = shown(diff_parts(found))
    assert "promoted: 30 facts" in text
    assert "fact-19: Unknown -> HighlyKnown" in text
    assert "fact-20" not in text
    assert "and 10 more; --json lists them all" in text


def test_map_is_shown_with_levels_and_means() -> None:
    text = shown(map_parts(make_map({"a": Level.HIGHLY_KNOWN, "b": Level.UNKNOWN})))
    assert "1 (50.0 %)" in text
    assert "mean p_greedy 0.5000" in text


def test_after_the_demo_a_fact_of_the_run_is_proposed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "my run", make_summary())
    text = "\n".join(next_steps(folder))
    assert f"gradual show '{folder}' promoted-0" in text


def test_plan_shows_the_work_of_each_stage_and_which_tokens_carry_loss() -> None:
    stage = StagePlan("stage 1", "now == MaybeKnown", "none", 12, ("loss weighted by p",), True, 30, 4_500, 61.0)
    tokens = (TokenLine(7, "A:", has_loss=False), TokenLine(8, " Paris", has_loss=True))
    plan = RunPlan("m", {"train": 40}, 3, ("few exemplars",), {"MaybeKnown": 12}, "all training facts", "Q: q\nA:", tokens, (stage,), 900, 20.0, 61.0, 3_000_000)  # fmt: skip  # noqa: E501
    text = shown(plan_parts(plan))
    assert re.search(r"stage 1 +about 12 +30 +4,500 +1 min 01 s", text)
    assert re.search(r"probes +– +– +900 +20.0 s", text)
    assert "*       8  ' Paris'" in text
    assert "warning: few exemplars" in text
    assert "in all about 1 min 21 s, 3 MB of disk" in text
    assert "own answers" not in text
    drawing = replace(plan, drawing_tokens=700, drawing_seconds=9.0)
    assert re.search(r"own answers +– +– +700 +9.0 s", shown(plan_parts(drawing)))


def test_estimate_of_a_comparison_is_shown_arm_by_arm() -> None:
    text = shown(estimate_parts(ComparisonEstimate((ArmEstimate("S5", 240, 90.0),), 3, 30.0, 300.0)))
    assert re.search(r"once for all +– +30.0 s", text)
    assert re.search(r"S5 +240 +1 min 30 s", text)
    assert "in all about 5 min 00 s for 3 seeds" in text
