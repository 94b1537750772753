"""The page of a comparison is whole, honest, the same every time, and safe whatever texts it holds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.comparison_pages import (
    EMPTY,
    make_arm,
    make_comparison,
    make_contrast,
    measure,
    told,
    with_contrast,
)
from tests.support.comparisons import write_folder
from tests.support.pages import CHROMIUM, HOSTILE, REQUESTING, Skeleton, browse

from gradual.findings.read import read_comparison
from gradual.findings.record import Comparison
from gradual.reporting.comparison.page import render_comparison, write_comparison_page
from gradual.reporting.comparison.write import write_results
from gradual.statistics.measure_text import count_change_text
from gradual.statistics.measures import Measure
from gradual.text import MINUS

SECTIONS = ("arms", "highly", "readings", "transitions", "by-level", "entities", "other", "cost", "tables", "methods")


def page_of(comparison: Comparison) -> str:
    return render_comparison(comparison, name="mine")


def words_of(comparison: Comparison) -> str:
    return Skeleton(page_of(comparison)).text.replace(MINUS, "-")


def skeleton_of(text: str) -> Skeleton:
    """The page when `text` stands at the end of all that users and models write."""
    return Skeleton(render_comparison(make_comparison(text), name="a" + text))


def test_the_page_tells_confidence_only_where_maps_hold_it(tmp_path: Path) -> None:
    page = page_of(read_comparison(write_folder(tmp_path / "new")))
    assert '<section id="confidence">' in page
    assert '<a href="#confidence">When it does not know</a>' in page
    assert "Confidently wrong: " in page  # the drawing's text alternative
    old = page_of(read_comparison(write_folder(tmp_path / "old", confidence={})))
    assert "#confidence" not in old
    assert "When it does not know" not in old
    assert "AUROC" not in old


def test_whole_comparison_has_every_section_and_nothing_missing() -> None:
    page = page_of(make_comparison())
    assert "Not in this folder" not in page
    assert "This comparison is not complete" not in page
    for section in SECTIONS:
        assert f'<section id="{section}">' in page
        assert f'href="#{section}"' in page


def test_page_is_written_into_the_folder_and_is_the_same_every_time(tmp_path: Path) -> None:
    first = write_comparison_page(make_comparison(), tmp_path)
    content = first.read_bytes()
    assert first == tmp_path / "report.html"
    assert write_comparison_page(make_comparison(), tmp_path).read_bytes() == content


def test_whole_differences_have_no_decimals() -> None:
    assert str(count_change_text(measure(178.0, 50.0))) == "+178 [+128, +228]"
    assert str(count_change_text(measure(18.7, 22.0))).replace(MINUS, "-") == "+18.7 [-3.3, +40.7]"


def test_undefined_reading_is_said_to_be_undefined() -> None:
    none = Measure(
        None, None, None, None, (None, 4.0, None), "undefined: the interval of what it is a share of reaches 0"
    )
    comparison = with_contrast(make_comparison(), "stage", "S5", reading_b=none)
    assert "the change in the gain is not defined (the interval of what it is a share of reaches 0)" in told(comparison)
    assert "S5, stage 2 against 1: (b) undefined: the interval" in words_of(comparison)


def test_seeds_and_reference_that_are_missing_are_named() -> None:
    whole = make_comparison()
    some = make_arm("S5", stages=2, gain=0.078, highly=359, lost=5, seeds=(42, 44))
    none = make_arm("same_steps", stages=1, gain=0.06, highly=340, lost=9, seeds=())
    arms = tuple({"S5": some, "same_steps": none}.get(arm.name, arm) for arm in whole.arms)
    contrasts = tuple(
        replace(each, test=EMPTY, highly_known=EMPTY, reading_a=EMPTY, reading_b=EMPTY, seeds=(), p_holm=None)
        if each.kind == "reference"
        else each
        for each in whole.contrasts
    )
    partial = replace(whole, arms=arms, contrasts=contrasts, problems=("same_steps, seed 42: no run yet",))
    words = words_of(partial)
    assert "This comparison is not complete." in words
    assert "S5: seed 43 not finished" in words
    assert "same_steps: seeds 42, 43 and 44 not finished" in words
    assert "S5 against same_steps cannot be told yet" in words
    assert "S5 (main arm): not finished with seed 43, and told without." in words
    assert "same_steps (reference arm): no seed is finished." in words
    assert "same_steps, seed 42: no run yet" in words
    assert "against same_steps, points" not in page_of(partial).split('id="arms"')[1].split("<table")[0]


def test_comparison_of_nothing_finished_says_so_in_every_section() -> None:
    empty = make_arm("S5", stages=2, gain=0.0, highly=0, lost=0, seeds=())
    comparison = replace(
        make_comparison(), arms=(empty,), contrasts=(), retests=(), promotions=(), entities=None, power=()
    )
    words = Skeleton(render_comparison(comparison, name="mine")).text
    assert "Nothing can be said of S5 yet: none of its runs is finished." in words
    assert "same_steps: the reference arm is not here" in words
    assert words.count("Not in this folder") >= 8


def test_main_arm_that_is_not_in_the_comparison_is_named() -> None:
    words = words_of(replace(make_comparison(), main="S9"))
    assert "Nothing can be said of S9 yet" in words
    assert "S9 (main arm) is not in this comparison." in words


def test_one_seed_is_never_more_than_one_seed() -> None:
    seeds = (42,)
    arms = tuple(
        make_arm(name, stages=stages, gain=0.05, highly=340, lost=5, seeds=seeds, plan=seeds)
        for name, stages in (("same_steps", 1), ("S5", 2))
    )
    one = measure(0.05, 0.02, number=1)
    more = measure(20, 9, number=1)
    contrasts = (make_contrast("reference", "S5", "same_steps", one, highly=more, seeds=seeds),)
    words = words_of(replace(make_comparison(), arms=arms, contrasts=contrasts, seeds=seeds))
    assert "S5 against same_steps, with one seed: test accuracy is higher" in words
    assert "beyond what chance would give (one seed)" in words
    assert "One seed: differences that training alone makes cannot be told from those between arms." in words


def test_tables_of_the_page_have_the_numbers() -> None:
    words = words_of(make_comparison())
    assert "S5 3 44.8 % [41.0, 48.6] +7.8 [+5.2, +10.4] 0.01 (0.01) +1.9 [-0.2, +4.0] 0.15 (0.15)" in words
    assert "S5 359 [321, 397] +18.7 [-3.3, +40.7] +11.0 % [-2.0, +24.0] 195 [175, 215] 5 [1, 9]" in words
    assert "42 169 324 359 8.8 % 17.6 %" in words  # HighlyKnown by probe and both readings of seed 42
    assert "113 (54.9 %)" in words  # MaybeKnown facts that became HighlyKnown: share of the row and number
    assert "28.0 % [23.0, 33.0] 28.0 % [23.0, 33.0] +23.5 [+17.5, +29.5]" in words
    assert "all 1,800 2,000,000 1 h 30 min" in words


def test_entity_tables_stand_in_their_section() -> None:
    words = words_of(make_comparison()).split("share entities with trained ones")[1].split("Other relations, and")[0]
    row = "0 41 13 31.7 % [17.7, 45.7] 20.0 % 15.0 % [10.0, 20.0] 0.04, \N{EN DASH}, < 0.0001 few"
    assert row in words
    assert "facts of one relation 1.62 [0.50, \N{INFINITY}] 0.3 open" in words
    assert "next to a trained fact 60 30.0 % [20.0, 40.0] 40.0 % [30.0, 50.0] 0.02" in words
    assert "Paths." in words


def test_results_of_a_folder_come_with_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradual.reporting.comparison.write.entity_rows", lambda folder: None)
    folder = write_folder(tmp_path / "mine")
    write_results(folder)
    words = Skeleton((folder / "report.html").read_text(encoding="utf-8")).text
    assert "S2: seeds 1 and 2 not finished" in words
    assert "worse: seed 2 not finished" in words
    assert "On 4 test facts S5 is right" in words
    assert "Table 12. " in words


def test_levels_that_fall_are_flagged() -> None:
    page = page_of(make_comparison())
    rows = page.split('id="by-level"')[1].split("</section>")[0].split("<tr>")
    flags = {
        name: ("▼ falls" in row, "▽ perhaps" in row)
        for row in rows
        for name in ("natural_<wbr>mix", "S5<")
        if name in row
    }
    assert flags == {"natural_<wbr>mix": (True, False), "S5<": (True, False)}
    assert "▽ perhaps" in next(row for row in rows if "one_<wbr>stage" in row)


def test_hostile_texts_change_no_tag() -> None:
    hostile = skeleton_of(HOSTILE)
    assert (
        hostile.tags == skeleton_of("x" * len(HOSTILE)).tags
    )  # as long: the room for labels decides how many ticks fit
    assert "<script>alert(1)</script></svg>" in hostile.text
    assert r"\u202e\u0000\u0085\u2028\ud800" in hostile.text


def test_page_loads_nothing_and_runs_nothing() -> None:
    page = page_of(make_comparison())
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<img|\ssrc=|\son\w+=|javascript:", page)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', page))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_page_of_hostile_texts_is_shown_whole_in_a_browser(tmp_path: Path) -> None:
    hostile = REQUESTING.replace("U", "http://127.0.0.1:9/")
    path = write_comparison_page(make_comparison(hostile), tmp_path)
    shown = browse(path, tmp_path / "profile")
    assert "None: every run of the plan is finished" in shown
    assert Skeleton(path.read_text()).tags == skeleton_of("x" * len(hostile)).tags


def test_every_drawing_says_what_it_shows() -> None:
    drawings = re.findall(r"<svg[^>]*>(<title>[^<]+</title>)?", page_of(make_comparison()))
    assert len(drawings) == 11  # five for wide and narrow screens, and the levels for wide ones
    assert all(drawings)
