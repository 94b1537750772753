"""What happened in a run, in at most eight points of a plain sentence or two.

Says a difference only as firmly as the intervals and paired tests in the record allow. Knows no HTML and no files.
"""

from __future__ import annotations

from gradual.knowledge.levels import Level
from gradual.reporting.run_transfer import what_else_changed
from gradual.run.record import RunRecord
from gradual.run.summary.summary_file import AccuracyShare, McNemar, Summary
from gradual.text import Estimate, count, join_words, number_word, p_equals, percent, plural, share_estimate, signed

SIGNIFICANCE = 0.05
"""A paired test with a smaller p-value is more than chance."""


def tell(run: RunRecord) -> tuple[str, ...]:
    """The start, the stages, gained beside lost, test, what else changed, confident errors, refusals, the last step.

    Nothing is said of what the run did not ask: other relations, drift, how sure the model is, refusals.
    """
    summary = run.summary
    sentences = [_start(summary)]
    if len(summary.levels) > 1:
        sentences += [_stages(summary), _gained_and_lost(summary)]
    elif run.status == "nothing_to_train":
        sentences.append(
            "No fact met the selection of stage 1, so there was nothing to train on and the run ended here."
        )
    elif summary.levels:
        sentences.append("What a stage changed is not known yet: no probe after a stage is in the run folder.")
    sentences += [_test(summary), what_else_changed(summary), _confidently_wrong(summary), _refusals(summary)]
    sentences.append(_last_step(summary))
    return tuple(sentence for sentence in sentences if sentence)


def verdict(before: AccuracyShare, after: AccuracyShare, test: McNemar | None) -> str:
    """How firmly a difference of two accuracies on the same facts may be stated, as a clause.

    The paired test decides where there is one (exact McNemar: it looks only at facts whose answer changed); otherwise
    the two 95 % intervals do, which is stricter.
    """
    overlap = _overlap(before, after)
    if test is not None and test.p_value is not None:
        if test.p_value >= SIGNIFICANCE:
            return "no more than chance could give"
        if overlap:
            return "the intervals overlap, but the paired test tells the difference from chance"
        return "more than chance would give"
    if overlap is None:
        return "how much of it is chance is not known"
    return "within the intervals, so no change can be claimed" if overlap else "beyond both intervals"


def _overlap(one: AccuracyShare, other: AccuracyShare) -> bool | None:
    """Whether the two intervals share a value; None where one of them is not known."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    return one.low <= other.high and other.low <= one.high


def _start(summary: Summary) -> str:
    if not summary.levels:
        return "The training facts have not been probed yet."
    levels = summary.levels[0]
    known = [
        f"{count(levels.get(level, 0))} {adverb}"
        for level, adverb in (
            (Level.HIGHLY_KNOWN, "highly"),
            (Level.MAYBE_KNOWN, "maybe"),
            (Level.WEAKLY_KNOWN, "weakly"),
        )
    ]
    where = f" in {plural(len(summary.relations), 'relation')}" if summary.relations else ""
    return (
        f"Of {plural(sum(levels.values()), 'training fact')}{where} the base model knew {join_words(known)}, "
        f"and {count(levels.get(Level.UNKNOWN, 0))} not at all."
    )


def _stages(summary: Summary) -> str:
    highly = [levels.get(Level.HIGHLY_KNOWN, 0) for levels in summary.levels]
    steps = [
        f"{count(number)} {'highly after one stage' if stage == 1 else f'after {number_word(stage)}'}"
        for stage, number in enumerate(highly[1:], start=1)
    ]
    knew = f"It knew {join_words(steps)}"
    gain = summary.highly_known
    readings = []
    if gain.reading_a is not None:
        readings.append(f"{_change(gain.reading_a, 'more', 'fewer')} HighlyKnown facts than stage 1 alone")
    if gain.reading_b is not None:
        readings.append(f"a gain over the base model that is {_change(gain.reading_b, 'larger', 'smaller')}")
    return f"{knew}: stage 2 brought {join_words(readings)}." if readings else f"{knew}."


def _change(share: float, more: str, less: str) -> str:
    return f"{percent(abs(share))} {more if share >= 0 else less}"


def _gained_and_lost(summary: Summary) -> str:
    last = len(summary.levels) - 1
    transition = summary.transition(0, last)
    if transition is None:
        return ""
    gained, lost = transition.gained(Level.HIGHLY_KNOWN), transition.lost(Level.HIGHLY_KNOWN)
    at_start = summary.levels[0].get(Level.HIGHLY_KNOWN, 0)
    return (
        f"From first to last probe {plural(gained, 'fact')} became HighlyKnown, and {count(lost)} of the "
        f"{count(at_start)} that were HighlyKnown at the start no longer are: a net change of {signed(gained - lost)}."
    )


def _test(summary: Summary) -> str:
    scores = summary.test_accuracy
    if not scores or scores[0].accuracy is None:
        return "The test accuracy has not been measured yet."
    if len(scores) == 1:
        return (
            f"The base model answered {_accuracy(scores[0])} of the test facts rightly; no stage has been tested yet."
        )
    total = scores[0].total
    facts = f" on {plural(total, 'fact')} that were never trained on" if total else ""
    last = len(scores) - 1
    return f"Test accuracy{facts} {_course(scores[0], scores[-1], summary.paired_test(0, last))}."


def _confidently_wrong(summary: Summary) -> str:
    """Whether answers that are wrong with a confidence of at least 0.5 became more or fewer."""
    if summary.answer_quality is None or not summary.answer_quality.stages:
        return ""
    stages, change = summary.answer_quality.stages, summary.answer_quality.change
    first, last = (each.all_facts.confidently_wrong for each in (stages[0], stages[-1]))
    facts = f"{plural(first.total, 'test fact')}"
    if change is None:
        return f"The base model was confidently wrong (confidence at least 0.5) on {count(first.count)} of {facts}."
    course = f"{'rose' if last.count > first.count else 'fell'} from {count(first.count)} to {count(last.count)}"
    if last.count == first.count:
        course = f"stayed at {count(last.count)}"
    is_chance = change.p_value is None or change.p_value >= SIGNIFICANCE
    claim = "no more than chance could give" if is_chance else "more than chance would give"
    return (
        f"Confidently wrong answers (confidence at least 0.5) {course} of {facts}; {count(change.became)} became so, "
        f"{count(change.no_longer)} no longer are, exact McNemar {p_equals(change.p_value)}: {claim}."
    )


def _refusals(summary: Summary) -> str:
    """How often the model says that it does not know, and of what; empty where it never does."""
    stages = summary.refusals.stages if summary.refusals else []
    if not stages or not any(each.all_facts.refused.count for each in stages):
        return ""
    first, last = stages[0], stages[-1]
    scores, known = last.all_facts, last.known_refused
    before = f", the base model on {count(first.all_facts.refused.count)}" if len(stages) > 1 else ""
    answered = scores.accuracy_of_answered
    right = (
        f"; {percent(answered.share)} of the {count(answered.total)} that it answers are right"
        if answered.total
        else ""
    )
    harm = (
        f"; it refuses {count(known.count)} of {count(known.total)} that were HighlyKnown or MaybeKnown at the start"
        if known.total
        else ""
    )
    return (
        f"It says that it does not know on {count(scores.refused.count)} of {plural(scores.refused.total, 'test fact')}"
        f"{before}{right}{harm}."
    )


def _last_step(summary: Summary) -> str:
    scores = summary.test_accuracy
    last = len(scores) - 1
    if last < 2:
        return ""
    course = _course(scores[last - 1], scores[last], summary.paired_test(last - 1, last))
    return f"From stage {last - 1} to stage {last} alone test accuracy {course}."


def _course(before: AccuracyShare, after: AccuracyShare, test: McNemar | None) -> str:
    """`rose from A to B; b gained, c lost, exact McNemar p = ...; verdict`."""
    if before.accuracy is None or after.accuracy is None:
        return "is not known"
    if before.accuracy == after.accuracy:
        course = f"stayed at {_accuracy(after)}"
    else:
        course = (
            f"{'rose' if after.accuracy > before.accuracy else 'fell'} from {_accuracy(before)} to {_accuracy(after)}"
        )
    if test is None:
        return f"{course}, {verdict(before, after, test)}"
    evidence = f"exact McNemar {p_equals(test.p_value)}: {verdict(before, after, test)}"
    return f"{course}; {count(test.gained)} gained, {count(test.lost)} lost, {evidence}"


def _accuracy(share: AccuracyShare) -> Estimate:
    return share_estimate(share.accuracy, share.low, share.high, digits=0)
