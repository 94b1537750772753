"""What an arm's gained facts come to in other forms than the trained one, beside facts that were known all along.

Makes `record.TransferFindings` of the evidence. Which answer is right in a form is said in `run.summary.transfer`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gradual.config.run import TransferForm
from gradual.findings.beyond.record import FormFindings, TransferFindings
from gradual.findings.evidence import RunEvidence
from gradual.knowledge.levels import Level
from gradual.run.summary.transfer import Answers
from gradual.statistics.measures import (
    EMPTY,
    Measure,
    differences,
    mean_accuracy,
    mean_of,
    mean_over_seeds,
    measure_of,
    share_of,
)
from gradual.statistics.resampling import resampled_statistic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradual.statistics.resampling import Statistic

NUM_RESAMPLES = 2_000
"""Of the difference between two groups of facts, which is worked out anew for each."""

_Right = dict[str, bool]
_Groups = Mapping[str, str]


class _Sides(NamedTuple):
    """Some facts in one form, for each seed: whether each is right under the base model, and at the end."""

    before: list[_Right]
    after: list[_Right]


def transfer_findings(runs: Sequence[RunEvidence]) -> TransferFindings | None:
    """What holds in each form at the end of finished runs; None where no stage was trained, or no form was asked."""
    asked = [run for run in runs if run.forms and run.last]
    if not asked:
        return None
    forms = [form for form in asked[0].forms if all(form in run.forms for run in asked)]
    return TransferFindings(
        seeds=tuple(run.seed for run in asked), forms=tuple(_form_findings(form, asked) for form in forms)
    )


def _form_findings(form: TransferForm, runs: Sequence[RunEvidence]) -> FormFindings:
    highly = [[_highly_known(probe.levels) for probe in run.probes] for run in runs]
    gained = _sides(form, runs, [of_run[-1] - of_run[0] for of_run in highly])
    known = _sides(form, runs, [set.intersection(*of_run) for of_run in highly])
    test = _sides(form, runs, [run.tests[0].levels.keys() for run in runs])
    groups = runs[0].probes[0].relations
    change, _ = mean_of(differences(test.after, test.before), runs[0].tests[0].relations)
    return FormFindings(
        form=form,
        num_gained=mean_over_seeds([len(one) for one in gained.after]),
        gained_before=_share(gained.before, groups),
        gained_after=_share(gained.after, groups),
        num_known=mean_over_seeds([len(one) for one in known.after]),
        known_before=_share(known.before, groups),
        known_after=_share(known.after, groups),
        behind_known=_difference_of_groups(gained.after, known.after, groups),
        num_test=len(test.after[0]),
        test_before=_accuracy(test.before),
        test_after=_accuracy(test.after),
        test_change=change,
    )


def _highly_known(levels: Mapping[str, Level]) -> set[str]:
    return {fact for fact, level in levels.items() if level is Level.HIGHLY_KNOWN}


def _sides(form: TransferForm, runs: Sequence[RunEvidence], ids: Sequence[Collection[str]]) -> _Sides:
    """Verdicts on some facts of each run, as far as they were asked in the form."""
    answers = [run.forms[form] for run in runs]
    return _Sides(
        before=[_right(each.before, of_run) for each, of_run in zip(answers, ids, strict=True)],
        after=[_right(each.after, of_run) for each, of_run in zip(answers, ids, strict=True)],
    )


def _right(answers: Answers, ids: Collection[str]) -> _Right:
    return {fact: answer.share_right == 1.0 for fact, answer in answers.items() if fact in ids}


def _share(right: Sequence[_Right], groups: _Groups) -> Measure:
    return mean_of([{fact: float(verdict) for fact, verdict in one.items()} for one in right], groups)[0]


def _accuracy(right: Sequence[_Right]) -> Measure:
    return mean_accuracy([share_of(one.values()) if one else None for one in right])


def _difference_of_groups(gained: Sequence[_Right], known: Sequence[_Right], groups: _Groups) -> Measure:
    """Share right of the one group of facts less that of the other; empty unless some seed has facts of both."""
    both = [(one, other) for one, other in zip(gained, known, strict=True) if one and other]
    if not both:
        return EMPTY
    facts = sorted({fact for one, other in both for fact in (*one, *other)})
    statistics = [_difference_statistic(one, other, facts) for one, other in both]
    by_seed = [sum(one.values()) / len(one) - sum(other.values()) / len(other) for one, other in both]
    found = resampled_statistic(statistics, facts, groups, num_resamples=NUM_RESAMPLES)
    return measure_of(found, by_seed)


def _difference_statistic(one: _Right, other: _Right, facts: Sequence[str]) -> Statistic:
    """The difference of the two groups' shares for facts that count so often; no number where a group has none."""
    import numpy as np

    members_N2 = np.array([[fact in group for group in (one, other)] for fact in facts], float)
    right_N2 = np.array([[group.get(fact, False) for group in (one, other)] for fact in facts], float)

    def difference(times_BN: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # 0 / 0 is no number, as it should be
            shares_B2 = (times_BN @ right_N2) / (times_BN @ members_N2)
        result: NDArray[np.float64] = shares_B2[:, 0] - shares_B2[:, 1]
        return result

    return difference
