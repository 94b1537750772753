"""What a comparison shows, in plain sentences: a verdict, and what cannot be said.

Says a difference only as firmly as its interval and its adjusted p-value allow. Knows the record, no HTML and no files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradual.findings.answer_record import AnswerDifference
from gradual.findings.record import ArmFindings, Comparison, Contrast
from gradual.statistics.calibration import CONFIDENT
from gradual.statistics.measure_text import accuracy_text, change_text, count_change_text, points_text
from gradual.statistics.measures import Measure
from gradual.text import (
    NBSP,
    count_change_estimate,
    join_words,
    mean_count,
    number_word,
    p_equals,
    percent,
    plural,
    signed_decimal,
)

SIGNIFICANCE = 0.05
"""A test with a smaller adjusted p-value counts as more than chance."""
PAPER_GAIN = 0.24
"""What a second stage adds to the gain in HighlyKnown facts by the paper's headline (arXiv 2410.05802)."""

_POINTS = f"{NBSP}points"
_ROUNDING = 1e-9
"""Means over seeds that add up to less are 0."""

Stance = Literal["above", "below", "open", "unknown"]

_ACCURACY_CLAIMS: dict[Stance, str] = {
    "above": "test accuracy is higher",
    "below": "test accuracy is lower",
    "open": "no difference in test accuracy is shown",
    "unknown": "the difference in test accuracy is not known",
}
_HIGHLY_CLAIMS: dict[Stance, str] = {
    "above": "more training facts are HighlyKnown",
    "below": "fewer training facts are HighlyKnown",
    "open": "no difference in the number of HighlyKnown training facts is shown",
    "unknown": "the difference in HighlyKnown training facts is not known",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be said of a comparison."""

    headline: str
    sentences: tuple[str, ...]
    """In order: against the reference, the relation that makes most of that, against the base model, how often it is
    confidently wrong, relations never trained on, HighlyKnown facts, the bar, lost facts, other arms."""
    limits: tuple[str, ...]
    """What cannot be said, and why."""


def tell_comparison(comparison: Comparison) -> Verdict:
    """The verdict on the main arm; of a partial comparison it says what is not known yet."""
    main = comparison.arm(comparison.main)
    if main is None or not main.seeds:
        headline = f"Nothing can be said of {comparison.main} yet: none of its runs is finished."
        return Verdict(headline, (), tuple(_limit_sentences(comparison)))
    base = comparison.contrast("base", main.name)
    reference = comparison.contrast("reference", main.name)
    sentences = (
        _test_sentence(reference),
        _relation_sentence(comparison),
        _test_sentence(base),
        _confidently_wrong_sentence(main, base),
        _other_relations_sentence(main),
        _highly_known_sentence(comparison, main, reference, base),
        paper_bar_sentence(reference),
        _second_stage_sentence(comparison.contrast("stage", main.name, 2)),
        _lost_sentence(main),
        _falling_levels_sentence(main),
        _other_arms_sentence(comparison),
    )
    return Verdict(
        _headline(comparison, reference, base),
        tuple(sentence for sentence in sentences if sentence),
        tuple(_limit_sentences(comparison)),
    )


def stance(measure: Measure | None) -> Stance:
    """Where the whole interval of a difference lies: above 0, below it, or `open` where 0 is in it or on its edge."""
    if measure is None or measure.value is None or measure.low is None or measure.high is None:
        return "unknown"
    return "above" if measure.low > 0 else "below" if measure.high < 0 else "open"


def accuracy_stance(contrast: Contrast | None) -> Stance:
    """As `stance`, of the difference in test accuracy; `open` too where the adjusted test does not tell it from 0."""
    if contrast is None:
        return "unknown"
    return _tested_stance(contrast.test, contrast)


def _tested_stance(measure: Measure, test: Contrast | AnswerDifference) -> Stance:
    side = stance(measure)
    p = test.p_value if test.p_holm is None else test.p_holm
    return "open" if side in ("above", "below") and p is not None and p >= SIGNIFICANCE else side


def claim(contrast: Contrast) -> str:
    """How firmly the difference in test accuracy may be stated, as a clause."""
    return _claim(contrast.test, contrast, contrast.note)


def _claim(measure: Measure, test: Contrast | AnswerDifference, note: str = "") -> str:
    side = stance(measure)
    if side == "unknown":
        return f"how much of it is chance is not known{_because(note)}"
    if side == "open":
        return "the interval holds 0, so no difference is shown"
    if _tested_stance(measure, test) == "open":
        adjustment = "adjusted for all that were made, " if test.p_holm is not None else ""
        return f"the interval leaves out 0, but {adjustment}the test does not tell the difference from chance"
    if len(test.seeds) == 1:
        return "more than the choice of facts would give; what another seed would give is not known"
    return "more than chance would give"


def _headline(comparison: Comparison, reference: Contrast | None, base: Contrast | None) -> str:
    """The answer in one sentence: against the reference where there is one, else against the base model."""
    contrast = reference if reference is not None and reference.seeds else base
    if contrast is None or not contrast.seeds:
        return f"What {comparison.main} changes is not known yet."
    accuracy, highly = accuracy_stance(contrast), stance(contrast.highly_known)
    if accuracy == highly == "open":
        outcome = "no difference is shown, neither in test accuracy nor in the number of HighlyKnown training facts"
    else:
        outcome = f"{_ACCURACY_CLAIMS[accuracy]}, and {_HIGHLY_CLAIMS[highly]}"
    against = "the base model" if contrast.kind == "base" else contrast.against
    how_often = ", with one seed" if len(contrast.seeds) == 1 else ""
    gap = "" if contrast is reference else f"; {comparison.main} against {comparison.reference} cannot be told yet"
    return f"{contrast.arm} against {against}{how_often}: {outcome}{gap if _has_other_reference(comparison) else ''}."


def _has_other_reference(comparison: Comparison) -> bool:
    return comparison.reference not in ("", comparison.main)


def _test_sentence(contrast: Contrast | None) -> str:
    if contrast is None or contrast.test.value is None:
        return ""
    against = "the base model" if contrast.kind == "base" else contrast.against
    return (
        f"On {plural(contrast.num_test_facts, 'test fact')} {contrast.arm} is right {_how_often(contrast.test)} "
        f"{against} ({_tests(contrast.test, contrast)}): {claim(contrast)}."
    )


def _confidently_wrong_sentence(main: ArmFindings, base: Contrast | None) -> str:
    """How often the main arm hallucinates, against the base model."""
    if main.answers is None or base is None or base.answers is None:
        return ""
    share, difference = main.answers.confidently_wrong, base.answers.confidently_wrong
    if share.value is None or difference.value is None:
        return ""
    sentence = (
        f"{main.name} is confidently wrong (its answer is wrong and has a probability of at least {CONFIDENT}) on "
        f"{percent(share.value)} of {plural(main.answers.num_facts, 'test fact')}, {_how_often(difference)} the base "
        f"model ({_tests(difference, base.answers)}): {_claim(difference, base.answers)}"
    )
    unknown = main.answers.unknown_confidently_wrong.value
    of_unknown = "" if unknown is None else f"; on {percent(unknown)} of those that were Unknown at the start"
    return f"{sentence}{of_unknown}."


def _how_often(difference: Measure) -> str:
    value = difference.value or 0.0
    if abs(value) < _ROUNDING:
        return "as often as"
    size = f"{signed_decimal(abs(100 * value)).lstrip('+')}{NBSP}points"
    return f"{size} {'more' if value > 0 else 'less'} often than"


def _tests(difference: Measure, test: Contrast | AnswerDifference) -> str:
    interval = points_text(difference).interval
    text = f"95{NBSP}% interval {interval}" if interval else "no interval"
    holm = f", Holm {p_equals(test.p_holm)}" if test.p_holm is not None else ""
    return f"{text}{holm}; {_seeds(test)}"


def _relation_sentence(comparison: Comparison) -> str:
    """Names a relation that makes more than half of the difference to the reference, beyond its own interval."""
    rows = [(each.test.value or 0.0, each) for each in comparison.by_relation if each.num_test_facts]
    whole = math.fsum(value for value, _ in rows)
    side: Stance = "above" if whole > 0 else "below"
    sure = [(value, each.name) for value, each in rows if stance(each.test) == side]
    most, name = max(sure, key=lambda one: abs(one[0]), default=(0.0, ""))
    if abs(whole) < _ROUNDING or len(rows) < 2 or 2 * abs(most) <= abs(whole) + _ROUNDING:
        return ""
    own, rest = (count_change_estimate(number, None, None).number for number in (most, whole - most))
    return f"By relation, {name} differs most: {own} test facts; all others together {rest}."


def _seeds(test: Contrast | AnswerDifference) -> str:
    number = len(test.seeds)
    return f"{number_word(number)} seed" + ("" if number == 1 else "s")


def _highly_known_sentence(
    comparison: Comparison, main: ArmFindings, reference: Contrast | None, base: Contrast | None
) -> str:
    start = main.highly_known[0].value if main.highly_known else None
    total = comparison.num_facts.get("train")
    of_all = f"Of {plural(total, 'training fact')} " if total else ""
    sentence = (
        f"{of_all}{mean_count(start)} were HighlyKnown at the start and {mean_count(main.highly_known_result.value)} "
    )
    sentence += f"at the end of {main.name}"
    sentence = sentence[0].upper() + sentence[1:]
    if reference is None or not reference.seeds:
        return f"{sentence}{_of_chance(base)}."
    other = comparison.arm(reference.against)
    with_other = f", against {mean_count(other.highly_known_result.value)} with {other.name}" if other else ""
    return f"{sentence}{with_other}{_of_chance(reference)}. By reading (b), {_reading_b(reference)}."


def _of_chance(contrast: Contrast | None) -> str:
    if contrast is None or not contrast.seeds:
        return ""
    return f": {count_change_text(contrast.highly_known)}, {_within(contrast.highly_known)}"


def paper_bar_sentence(contrast: Contrast | None) -> str:
    """The main arm against the reference beside the paper's claim: 24 % more gain, and higher test accuracy.

    Reached where the whole interval of reading (b) lies at 24 % or above, missed where it lies below, open where 24 %
    is in it; accuracy counts as higher where its whole interval lies above 0. Empty without a common seed.
    """
    if contrast is None or not contrast.seeds:
        return ""
    paper, reading = percent(PAPER_GAIN, digits=0), contrast.reading_b
    if reading.value is None or reading.low is None or reading.high is None:
        answer = f"reading (b) against {contrast.against} is not defined{_because(reading.reason)}"
        answer += ", so whether it is reached is open"
    else:
        reading_text = f"reading (b) against {contrast.against} is {change_text(reading)}"
        if reading.low >= PAPER_GAIN:
            answer = f"{reading_text}, so it is reached"
        elif reading.high < PAPER_GAIN:
            answer = f"{reading_text}, so it is not reached"
        else:
            answer = f"{reading_text}, so whether it is reached is open: {paper} lies in the interval"
    accuracy = {
        "above": "is higher beyond its interval",
        "below": "is lower beyond its interval",
        "open": "is not higher beyond its interval",
        "unknown": "has no interval to tell by",
    }[stance(contrast.test)]
    how_often = " (one seed)" if len(contrast.seeds) == 1 else ""
    at = f"{points_text(contrast.test, unit=_POINTS)}, " if contrast.test.value is not None else ""
    return f"The bar is the paper's {paper} more gain{how_often}: {answer}. Test accuracy, {at}{accuracy}."


def _second_stage_sentence(contrast: Contrast | None) -> str:
    """Stage 2 against stage 1 of the main arm, with the paper's headline beside it."""
    if contrast is None or not contrast.seeds:
        return ""
    sentence = (
        f"With stage 2 of {contrast.arm} against its stage 1 alone, which takes fewer steps, {_reading_b(contrast)}"
    )
    return f"{sentence}; {_beside_the_paper(contrast.reading_b)}."


def _reading_b(contrast: Contrast) -> str:
    reading = contrast.reading_b
    if reading.value is None:
        return f"the change in the gain is not defined{_because(reading.reason)}"
    size = f"{percent(abs(reading.value))} {'larger' if reading.value >= 0 else 'smaller'}"
    size = f"{size} {change_text(reading).interval}".rstrip()
    return f"the gain over the base model is {size}, {_within(reading)}"


def _beside_the_paper(reading: Measure) -> str:
    paper = f"the paper's {percent(PAPER_GAIN, digits=0)}"
    if reading.value is None or reading.low is None or reading.high is None:
        return f"it cannot be held beside {paper}"
    if reading.low > PAPER_GAIN:
        return f"{paper} lies below the interval"
    return f"{paper} lies {'above' if reading.high < PAPER_GAIN else 'in'} the interval"


def _within(measure: Measure) -> str:
    phrase = {
        "above": "beyond what chance would give",
        "below": "beyond what chance would give",
        "open": "no more than chance could give",
        "unknown": "how much of it is chance is not known",
    }[stance(measure)]
    return f"{phrase} (one seed)" if len(measure.values) == 1 and stance(measure) != "unknown" else phrase


def _lost_sentence(main: ArmFindings) -> str:
    if main.lost.value is None or not main.highly_known:
        return ""
    at_start = mean_count(main.highly_known[0].value)
    mean = f" (mean of {number_word(len(main.seeds))} seeds)" if len(main.seeds) > 1 else ""
    return (
        f"{main.name} made {mean_count(main.gained.value)} facts HighlyKnown that were not, and lost "
        f"{mean_count(main.lost.value)} of the {at_start} that were{mean}."
    )


def _falling_levels_sentence(main: ArmFindings) -> str:
    falls = [
        f"{group.name} ({points_text(group.change, unit=_POINTS)})" for group in main.by_level if group.falls == "yes"
    ]
    if not falls:
        return ""
    return f"Among test facts by their level at the start, {main.name} falls where they were {join_words(falls)}."


def _other_relations_sentence(main: ArmFindings) -> str:
    """What training did to relations that it never saw; said whether they rise or fall."""
    if main.ood is None or main.ood.change.value is None:
        return ""
    change = f"{points_text(main.ood.change, unit=_POINTS)}, {_within(main.ood.change)}"
    sentence = f"On {plural(main.ood.num_facts, 'fact')} of relations never trained on, {main.name} changes by {change}"
    lost, known = accuracy_text(main.ood.lost), main.ood.right_at_start
    if main.ood.lost.value is not None:
        sentence += f"; of the {mean_count(known.value)} that the base model has right it loses {str(lost).rstrip()}"
    return f"{sentence}."


def _other_arms_sentence(comparison: Comparison) -> str:
    tested = [c for c in comparison.contrasts if c.kind == "reference" and c.seeds and c.arm != comparison.main]
    if not tested:
        return ""
    higher, lower = ([c.arm for c in tested if accuracy_stance(c) == way] for way in ("above", "below"))
    others = "the other arm" if len(tested) == 1 else f"the {number_word(len(tested))} other arms"
    return (
        f"Of {others} held against {comparison.reference}, test accuracy is shown to be higher for "
        f"{join_words(higher) or 'none'} and lower for {join_words(lower) or 'none'}."
    )


def _limit_sentences(comparison: Comparison) -> Iterator[str]:
    yield from comparison.power
    main = comparison.arm(comparison.main)
    roles = {comparison.main: "main", comparison.reference: "reference"}
    for name, role in roles.items():
        arm = comparison.arm(name)
        if arm is None:
            yield f"{name} ({role} arm) is not in this comparison."
            continue
        missing = [str(seed) for seed in comparison.seeds if seed not in arm.seeds]
        if missing and not arm.seeds:
            yield f"{name} ({role} arm): no seed is finished."
        elif missing:
            noun = "seed" if len(missing) == 1 else "seeds"
            yield f"{name} ({role} arm): not finished with {noun} {join_words(missing)}, and told without."
    optimism = (
        [stage.optimism for run in main.runs for stage in run.stages if stage.optimism is not None] if main else []
    )
    if main is not None and optimism:
        size = signed_decimal(100 * sum(optimism) / len(optimism))
        yield (
            f"Test facts chose the epochs of {main.name}, as in the paper, so its test accuracy flatters: by {size}"
            f"{NBSP}points a stage against the epochs that validation facts choose."
        )
    if len(comparison.seeds) == 1:
        yield "One seed: differences that training alone makes cannot be told from those between arms."
    if comparison.problems:
        yield f"{plural(len(comparison.problems), 'problem')} in all: see Problems below."


def _because(note: str) -> str:
    return f" ({note})" if note else ""
