"""What may be said of a comparison follows from its intervals and tests, and no further."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.comparison_pages import (
    EMPTY,
    SEEDS,
    make_comparison,
    make_contrast,
    make_relation,
    measure,
    told,
    with_contrast,
)

from gradual.findings.verdict import claim, stance
from gradual.statistics.measures import Measure


def test_verdict_says_the_numbers_with_their_intervals() -> None:
    words = told(make_comparison())
    assert words.startswith(
        "S5 against same_steps: no difference is shown, neither in test accuracy nor in the number of HighlyKnown"
    )
    assert (
        "On 600 test facts S5 is right 1.9 points more often than same_steps (95 % interval [-0.2, +4.0], "
        "Holm p = 0.15; three seeds): the interval holds 0, so no difference is shown."
    ) in words
    assert (
        "7.8 points more often than the base model (95 % interval [+5.2, +10.4], Holm p = 0.01; three seeds): " in words
    )
    assert "169 were HighlyKnown at the start and 359 at the end of S5, against 340 with same_steps: +18.7" in words
    assert (
        "the gain over the base model is 22.6 % larger [+6.6, +38.6], beyond what chance would give; the paper" in words
    )
    assert "lost 5 of the 169 that were (mean of three seeds)" in words
    assert "S5 falls where they were HighlyKnown (-5.0 points [-7.0, -3.0])" in words
    assert "test accuracy is shown to be higher for none and lower for natural_mix." in words
    assert (
        "On 240 facts of relations never trained on, S5 changes by +2.6 points [-0.4, +5.6], no more than chance"
        in words
    )
    assert "a difference under 3.2 points can't be counted on to be seen" in words


@pytest.mark.parametrize(
    ("relations", "said"),
    [
        (
            (("a", 8.0, 3.0), ("b", 3.4, 5.0)),
            "a differs most: +8 test facts; all others together +3.4.",
        ),
        ((("a", 3.0, 1.0), ("b", -8.0, 1.0)), "b differs most: -8 test facts; all others together +3."),
        ((("a", 8.0, 9.0), ("b", 3.4, 5.0)), ""),  # within its own interval
        ((("a", 4.0, 1.0), ("b", 4.0, 1.0)), ""),
        ((("a", 4.0, 1.0), ("b", -4.0, 1.0)), ""),
        ((("a", 1.0, 0.5), ("b", -1 / 3, 0.1), ("c", -2 / 3, 0.1)), ""),  # 5.6e-17 in floating point
        ((("a", 8.0, 1.0),), ""),
        (
            (("a", 3.7, 1.0), ("b", 0.1, 1.0), ("c", -0.1, 1.0)),
            "a differs most: +3.7 test facts; all others together 0.",
        ),
        ((), ""),
    ],
)
def test_a_relation_that_makes_most_of_the_difference_is_named(
    relations: tuple[tuple[str, float, float], ...], said: str
) -> None:
    found = replace(make_comparison(), by_relation=tuple(make_relation(*each) for each in relations))
    words = told(found)
    assert said in words
    assert ("differs most" in words) == bool(said)


@pytest.mark.parametrize(
    ("found", "p_holm", "seeds", "said"),
    [
        (measure(0.05, 0.02), 0.01, SEEDS, "more than chance would give"),
        (measure(-0.05, 0.02), 0.01, SEEDS, "more than chance would give"),
        (measure(0.05, 0.02), 0.3, SEEDS, "the interval leaves out 0, but adjusted for all that were made"),
        (measure(0.05, 0.05), 0.01, SEEDS, "the interval holds 0, so no difference is shown"),
        (measure(0.05, 0.06), 0.01, SEEDS, "the interval holds 0, so no difference is shown"),
        (measure(0.05, None), None, SEEDS, "how much of it is chance is not known"),
        (measure(0.05, 0.02, number=1), 0.01, (42,), "what another seed would give is not known"),
    ],
)
def test_a_difference_is_claimed_only_as_firmly_as_its_interval_and_test(
    found: Measure, p_holm: float | None, seeds: tuple[int, ...], said: str
) -> None:
    assert said in claim(make_contrast("reference", "S5", "same_steps", found, p_holm=p_holm, seeds=seeds))


def test_loss_on_other_relations_is_said() -> None:
    whole = make_comparison()
    main = whole.arm("S5")
    assert main is not None
    assert main.ood is not None
    worse = replace(main, ood=replace(main.ood, change=measure(-0.065, 0.03)))
    words = told(replace(whole, arms=tuple(worse if arm.name == "S5" else arm for arm in whole.arms)))
    assert "S5 changes by -6.5 points [-9.5, -3.5], beyond what chance would give." in words


def test_interval_that_ends_at_0_shows_no_difference() -> None:
    assert stance(Measure(0.1, 0.0, 0.2, None, ())) == "open"
    assert stance(Measure(0.1, 1e-9, 0.2, None, ())) == "above"
    assert stance(Measure(-0.1, -0.2, 0.0, None, ())) == "open"
    assert stance(Measure(-0.1, -0.2, -1e-9, None, ())) == "below"
    assert stance(Measure(0.1, None, None, None, ())) == "unknown"


def test_headline_follows_interval_and_adjusted_test() -> None:
    whole = make_comparison()
    higher = with_contrast(whole, "reference", "S5", test=measure(0.05, 0.02), p_holm=0.01, highly_known=measure(20, 9))
    assert told(higher).startswith(
        "S5 against same_steps: test accuracy is higher, and more training facts are HighlyKnown."
    )
    adjusted = with_contrast(higher, "reference", "S5", p_holm=0.07)
    assert told(adjusted).startswith("S5 against same_steps: no difference in test accuracy is shown, and more")
    lower = with_contrast(
        whole, "reference", "S5", test=measure(-0.05, 0.02), p_holm=0.01, highly_known=measure(-20, 9)
    )
    assert told(lower).startswith(
        "S5 against same_steps: test accuracy is lower, and fewer training facts are HighlyKnown."
    )


@pytest.mark.parametrize(
    ("reading", "test", "said"),
    [
        (
            measure(0.31, 0.06),
            measure(0.05, 0.02),
            "[+25.0, +37.0], so it is reached. Test accuracy, +5.0 points",
        ),
        (measure(0.11, 0.12), measure(0.05, 0.02), "[-1.0, +23.0], so it is not reached. Test accuracy, +5.0 points"),
        (measure(0.11, 0.14), measure(0.05, 0.02), "so whether it is reached is open: 24 % lies in the interval."),
        (EMPTY, measure(0.05, 0.02), "reading (b) against same_steps is not defined (no finished run), so whether"),
        (measure(0.31, 0.06), measure(0.05, 0.02), "+5.0 points [+3.0, +7.0], is higher beyond its interval."),
        (measure(0.31, 0.06), measure(0.02, 0.02), "is not higher beyond its interval."),
        (measure(0.31, 0.06), measure(-0.05, 0.02), "is lower beyond its interval."),
    ],
)
def test_the_bar_is_held_against_the_reference(reading: Measure, test: Measure, said: str) -> None:
    words = told(with_contrast(make_comparison(), "reference", "S5", reading_b=reading, test=test))
    assert "The bar is the paper's 24 % more gain: " in words
    assert said in words
