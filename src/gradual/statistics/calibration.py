"""How well the confidence of answers tells right ones from wrong ones, and how often a model is surely wrong.

Numbers in, numbers out: for each fact a confidence in [0, 1] and whether the answer is right. Knows neither facts nor
how confidence was measured. docs/confidence.md says what each number counts and what would bias it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from gradual.statistics.resampling import Estimation, resampled_statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradual.statistics.resampling import Statistic

    Array = NDArray[np.float64]

CONFIDENT = 0.5
"""From this confidence on, one answer is at least as likely as all others together."""
VERY_CONFIDENT = 0.9
NUM_BINS = 10
"""Bins of the calibration error."""
NUM_DRAWS = 1_000
"""Draws of verdicts that the calibration error of a calibrated model is the mean over."""
NUM_RESAMPLES = 1_000
"""Resamples of what is no mean over facts: each goes through all answers anew, which takes seconds for every 1,000."""

_DRAWING_SEED = 0
"""Fixed: the same answers give the same numbers."""


class AnsweredFact(NamedTuple):
    """A fact that was asked."""

    confidence: float
    """Probability in [0, 1] that the model gives to its answer."""
    is_right: bool
    is_refused: bool = False
    """It says that the model does not know, and is neither right nor wrong. Its confidence is 0: it claims nothing."""

    @property
    def is_wrong(self) -> bool:
        """Whether the model claims what is not so."""
        return not self.is_right and not self.is_refused


class CalibrationError(NamedTuple):
    """A calibration error, and what it would be by chance."""

    value: float
    """Expected calibration error in [0, 1]."""
    if_calibrated: float
    """Its mean if every answer were right with the chance that its confidence says: never 0, for shares scatter."""


def confidently_wrong(answers: Mapping[str, AnsweredFact], threshold: float = CONFIDENT) -> dict[str, bool]:
    """For each fact, whether its answer is wrong with a confidence of at least `threshold`.

    A refusal is no wrong answer, however sure. The share of true values is out of all facts, right and refused ones
    included: a model that answers more facts rightly cannot raise it by that. Two measurements of the same facts are
    compared by `paired_counts` and `mcnemar` of these.
    """
    return {fact: each.is_wrong and each.confidence >= threshold for fact, each in answers.items()}


def unsure_and_wrong(answers: Mapping[str, AnsweredFact]) -> dict[str, bool]:
    """For each fact, whether its answer is wrong with a confidence below `CONFIDENT`: the errors that show."""
    return {fact: each.is_wrong and each.confidence < CONFIDENT for fact, each in answers.items()}


def mean_confidence(answers: Sequence[AnsweredFact]) -> float | None:
    """Mean confidence in [0, 1]; None without answers."""
    return math.fsum(each.confidence for each in answers) / len(answers) if answers else None


def calibration_error(answers: Sequence[AnsweredFact], *, num_bins: int = NUM_BINS) -> CalibrationError | None:
    """Expected calibration error with bins of equal mass, of what is not refused; None without such answers.

    ECE = sum over bins b of n_b / n |share right in b - mean confidence in b|. The answers are sorted by confidence and
    cut into `num_bins` bins whose sizes differ by one at most; answers of one confidence count as right by the share
    of them that is, so their order makes no difference.

    Source: Naeini et al. (2015), AAAI, with equal-mass bins, whose bias is smaller: Roelofs et al. (2022), "Mitigating
    bias in calibration error estimation", AISTATS, arXiv 2012.08668. Biased upwards, the more the fewer facts a bin
    has, and never 0 for a calibrated model (Kumar et al. 2019, arXiv 1909.10155): `if_calibrated` is its mean over
    verdicts drawn with the confidences as chances. It is no amount to take off: the bias shrinks as the true error
    grows. Differences within a bin that cancel are not seen.

    Raises:
        ValueError: `num_bins` is less than 1.
    """
    import numpy as np

    if num_bins < 1:
        raise ValueError(f"expected at least 1 bin, found {num_bins}")
    ranking = sorted(each for each in answers if not each.is_refused)
    if not ranking:
        return None
    confidence_N = np.array([each.confidence for each in ranking])
    right_BN = np.array([[each.is_right for each in ranking]], dtype=float)
    draws_BN = np.random.default_rng(_DRAWING_SEED).random((NUM_DRAWS, len(ranking))) < confidence_N
    value = _errors(confidence_N, right_BN, num_bins)[0]
    return CalibrationError(float(value), float(_errors(confidence_N, draws_BN.astype(float), num_bins).mean()))


def _errors(confidence_N: Array, right_BN: Array, num_bins: int) -> Array:
    """(B,) calibration errors of B times N verdicts; confidences ascend."""
    import numpy as np

    right_BN = right_BN.copy()
    for start, end in _ties(confidence_N.tolist()):
        right_BN[:, start:end] = right_BN[:, start:end].mean(axis=1, keepdims=True)
    gaps_BN = right_BN - confidence_N
    bins = np.array_split(np.arange(len(confidence_N)), min(num_bins, len(confidence_N)))
    errors: Array = sum(np.abs(gaps_BN[:, each].sum(axis=1)) for each in bins) / len(confidence_N)
    return errors


def auroc(answers: Sequence[AnsweredFact]) -> float | None:
    """Chance in [0, 1] that a right answer has a higher confidence than a wrong one, ties counting one half.

    Refusals are left out: a model whose refusals were taken for unsure errors could raise it by refusing.

    Mann & Whitney's U over the number of pairs, by midranks: Hanley & McNeil (1982), Radiology 143. 1/2 where
    confidence says nothing; None where all answers are right, or all are wrong. Knows the order of confidences only:
    a model whose confidence rises everywhere keeps it.
    """
    ranking = sorted(each for each in answers if not each.is_refused)
    right = sum(each.is_right for each in ranking)
    wrong = len(ranking) - right
    if not right or not wrong:
        return None
    ranks = 0.0
    for start, end in _ties([each.confidence for each in ranking]):
        ranks += (start + 1 + end) / 2 * sum(each.is_right for each in ranking[start:end])
    return (ranks - right * (right + 1) / 2) / (right * wrong)


def risk_coverage(answers: Sequence[AnsweredFact]) -> list[float]:
    """The share in [0, 1] of answers that are not right among the k surest, for k = 1 to all.

    What is left wrong when a model that is unsure says nothing: Geifman & El-Yaniv (2017), "Selective classification
    for deep neural networks", arXiv 1705.08500. Among answers of one confidence the order is random: what is given is
    the mean over all orders. Refusals come last, with a confidence of 0, and count as not right: so models that refuse
    more or less are held against each other on the same facts, and one that refuses everything has a risk of 1.
    """
    risks: list[float] = []
    wrong = 0.0
    ranking = _surest_first(answers)
    for start, end in _ties([each.confidence for each in ranking]):
        wrong_here = sum(not each.is_right for each in ranking[start:end])
        size = end - start
        risks += [(wrong + wrong_here * count / size) / (start + count) for count in range(1, size + 1)]
        wrong += wrong_here
    return risks


def area_under_risk_coverage(answers: Sequence[AnsweredFact]) -> float | None:
    """Mean in [0, 1] of `risk_coverage`, the lower the better; None without answers.

    Geifman, Uziel & El-Yaniv (2019), arXiv 1805.08206, section 3. Falls with fewer errors as well as with a better
    order of confidences, so it tells whether training did good on the whole; AUROC tells the order alone.
    """
    return math.fsum(risk_coverage(answers)) / len(answers) if answers else None


def accuracy_of_surest(answers: Sequence[AnsweredFact], coverage: float) -> float | None:
    """Share in [0, 1] of right answers among the surest `coverage` of all, rounded up to whole answers.

    As in `risk_coverage`, the mean over all orders of answers of one confidence. None without answers.

    Raises:
        ValueError: `coverage` is not in (0, 1].
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"expected a coverage above 0 and at most 1, found {coverage}")
    if not answers:
        return None
    count = math.ceil(coverage * len(answers) - 1e-9)  # 0.8 x 5 is a little more than 4 in binary numbers
    return 1.0 - risk_coverage(answers)[count - 1]


def difference_in_area(
    before: Sequence[Mapping[str, AnsweredFact]], after: Sequence[Mapping[str, AnsweredFact]], groups: Mapping[str, str]
) -> Estimation:
    """After minus before in area under the risk-coverage curve, mean over seeds, with a paired bootstrap interval.

    Both sides are recomputed on the same resamples of groups (relations) and seeds (`resampled_statistic`); a fact
    that is drawn twice counts as two of one confidence.

    Raises:
        ValueError: the two sides, or two seeds, hold different facts, or a fact has no group.
    """
    if not after or len(before) != len(after):
        raise ValueError(f"expected as many seeds before as after, found {len(before)} and {len(after)}")
    facts = sorted(after[0])
    if any(sorted(side) != facts for side in (*before, *after)):
        raise ValueError("expected the same facts before and after with every seed")
    pairs = [
        (_weighted_area([was[fact] for fact in facts]), _weighted_area([now[fact] for fact in facts]))
        for was, now in zip(before, after, strict=True)
    ]
    by_seed = [_difference(was, now) for was, now in pairs]
    return resampled_statistic(by_seed, facts, groups, num_resamples=NUM_RESAMPLES)


def _difference(was: Statistic, now: Statistic) -> Statistic:
    return lambda weights_BN: now(weights_BN) - was(weights_BN)


def _weighted_area(answers: Sequence[AnsweredFact]) -> Statistic:
    """The area under the risk-coverage curve when answer i counts weights[b, i] times, a whole number.

    m answers of one confidence, w of them wrong, behind n surer ones with e errors, add sum over j = 1..m of
    (e + j w / m) / (n + j) = e h + w (1 - n h / m), with h = 1 / (n + 1) + ... + 1 / (n + m).
    """
    import numpy as np

    add_up = _ties_by_weight(answers)

    def area(weights_BN: Array) -> Array:
        size_BT, wrong_BT = add_up(weights_BN)
        end_BT = size_BT.cumsum(axis=1)
        before_BT, errors_BT = end_BT - size_BT, wrong_BT.cumsum(axis=1) - wrong_BT
        total_B = end_BT[:, -1]
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(total_B.max(initial=0)) + 1))])
        h_BT = harmonic[end_BT.astype(int)] - harmonic[before_BT.astype(int)]
        part_BT = np.where(size_BT > 0, wrong_BT * (1 - before_BT * h_BT / np.maximum(size_BT, 1)), 0.0)
        areas: Array = (errors_BT * h_BT + part_BT).sum(axis=1) / np.where(total_B > 0, total_B, np.nan)
        return areas

    return area


def area_over_seeds(answers: Sequence[Mapping[str, AnsweredFact]], groups: Mapping[str, str]) -> Estimation:
    """`area_under_risk_coverage` of each seed's answers, mean over seeds, with its bootstrap interval.

    Raises:
        ValueError: there is no seed, two seeds hold different facts, or a fact has no group.
    """
    return _over_seeds(_weighted_area, answers, groups)


def auroc_over_seeds(answers: Sequence[Mapping[str, AnsweredFact]], groups: Mapping[str, str]) -> Estimation:
    """`auroc` of each seed's answers, mean over seeds, with its bootstrap interval; resamples without it are left out.

    Undefined (None) where some seed's answers are all right, or all wrong.

    Raises:
        ValueError: as in `area_over_seeds`.
    """
    return _over_seeds(_weighted_auroc, answers, groups)


def accuracy_of_surest_over_seeds(
    answers: Sequence[Mapping[str, AnsweredFact]], coverage: float, groups: Mapping[str, str]
) -> Estimation:
    """`accuracy_of_surest` of each seed's answers, mean over seeds, with its bootstrap interval.

    Raises:
        ValueError: as in `area_over_seeds`, or `coverage` is not in (0, 1].
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"expected a coverage above 0 and at most 1, found {coverage}")
    return _over_seeds(lambda of_seed: _weighted_accuracy_of_surest(of_seed, coverage), answers, groups)


def _over_seeds(
    weighted: Callable[[Sequence[AnsweredFact]], Statistic],
    answers: Sequence[Mapping[str, AnsweredFact]],
    groups: Mapping[str, str],
) -> Estimation:
    facts = sorted(answers[0]) if answers else []
    if any(sorted(one) != facts for one in answers):
        raise ValueError("expected the same facts with every seed")
    by_seed = [weighted([one[fact] for fact in facts]) for one in answers]
    return resampled_statistic(by_seed, facts, groups, num_resamples=NUM_RESAMPLES)


class _Ties(NamedTuple):
    """Weights of answers, added up over each run of one confidence, surest first: (B, T)."""

    size: Array
    wrong: Array


def _ties_by_weight(answers: Sequence[AnsweredFact]) -> Callable[[Array], _Ties]:
    """From how often each answer counts, (B, N), to the weights of each run of one confidence."""
    import numpy as np

    order = sorted(range(len(answers)), key=lambda place: -answers[place].confidence)
    starts = [start for start, _ in _ties([answers[place].confidence for place in order])]
    is_wrong_N = np.array([not answers[place].is_right for place in order], dtype=float)

    def add_up(weights_BN: Array) -> _Ties:
        ordered_BN = weights_BN[:, order]
        wrong_BN = ordered_BN * is_wrong_N
        if len(starts) == len(order):  # without ties there is nothing to add up, which takes most of the time
            return _Ties(ordered_BN, wrong_BN)
        return _Ties(np.add.reduceat(ordered_BN, starts, axis=1), np.add.reduceat(wrong_BN, starts, axis=1))

    return add_up


def _weighted_auroc(answers: Sequence[AnsweredFact]) -> Statistic:
    """`auroc` when answer i counts weights[b, i] times; NaN where no right or no wrong answer counts."""
    import numpy as np

    places = [place for place, each in enumerate(answers) if not each.is_refused]
    add_up = _ties_by_weight([answers[place] for place in places])

    def chance(weights_BN: Array) -> Array:
        size_BT, wrong_BT = add_up(weights_BN[:, places])
        right_BT = size_BT - wrong_BT
        surer_BT = right_BT.cumsum(axis=1) - right_BT / 2
        pairs_B = right_BT.sum(axis=1) * wrong_BT.sum(axis=1)
        chances: Array = (wrong_BT * surer_BT).sum(axis=1) / np.where(pairs_B > 0, pairs_B, np.nan)
        return chances

    return chance


def _weighted_accuracy_of_surest(answers: Sequence[AnsweredFact], coverage: float) -> Statistic:
    """`accuracy_of_surest` when answer i counts weights[b, i] times, a whole number."""
    import numpy as np

    add_up = _ties_by_weight(answers)

    def accuracy(weights_BN: Array) -> Array:
        size_BT, wrong_BT = add_up(weights_BN)
        before_BT = size_BT.cumsum(axis=1) - size_BT
        count_B1 = np.ceil(coverage * size_BT.sum(axis=1, keepdims=True) - 1e-9)
        part_BT = np.clip((count_B1 - before_BT) / np.maximum(size_BT, 1), 0.0, 1.0)
        wrong_B = (wrong_BT * part_BT).sum(axis=1)
        count_B = np.where(count_B1[:, 0] > 0, count_B1[:, 0], np.nan)
        accuracies: Array = 1.0 - wrong_B / count_B
        return accuracies

    return accuracy


def _surest_first(answers: Sequence[AnsweredFact]) -> list[AnsweredFact]:
    return sorted(answers, key=lambda each: -each.confidence)


def _ties(numbers: Sequence[float]) -> list[tuple[int, int]]:
    """Where each run of equal numbers begins, and where the next one does."""
    ends: list[tuple[int, int]] = []
    start = 0
    for _, group in groupby(numbers):
        size = sum(1 for _ in group)
        ends.append((start, start + size))
        start += size
    return ends
