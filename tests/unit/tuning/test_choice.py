"""How good a recipe is for each goal, on verdicts written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradual.facts.fact import Fact
from gradual.run.stage_files import EpochLine
from gradual.statistics.calibration import AnsweredFact
from gradual.tuning.choice import Judge, Outcome, few_facts_warning, outcome_of
from gradual.tuning.record import Difference

FACTS = [Fact(f"f{n}", f"r{n % 4}", "Q?", ("a",), split="validation") for n in range(8)]
GROUPS = {fact.id: fact.relation for fact in FACTS}


def line(
    epoch: int, accuracy: float, *, p: float = 0.0, area: float | None = None, verdicts: str = "0" * 8
) -> EpochLine:
    return EpochLine(epoch=epoch, eval_accuracy=accuracy, eval_p=p, eval_area=area, verdicts=verdicts)


def outcome(verdicts: str, *, p: float = 0.0, area: float | None = None) -> Outcome:
    right = {f"f{n}": digit == "1" for n, digit in enumerate(verdicts)}
    return Outcome(1, verdicts.count("1") / len(verdicts), p, area, right)


BASE = outcome("11110000", area=0.5)


def test_the_epoch_is_the_one_that_training_keeps() -> None:
    lines = [
        line(1, 0.25),
        line(2, 0.5, p=0.1, verdicts="11110000"),
        line(3, 0.5, p=0.2, verdicts="00001111"),
        line(4, 0.5, p=0.2),
    ]
    found = outcome_of(lines, FACTS, Path("epochs.jsonl"))
    assert (found.epoch, found.accuracy) == (3, 0.5)  # p breaks the tie, then the earlier
    assert [fact for fact, right in found.right.items() if right] == ["f4", "f5", "f6", "f7"]
    by_area = [line(1, 0.5, area=0.4), line(2, 0.25, area=0.3), line(3, 0.5, area=0.3)]
    assert outcome_of(by_area, FACTS, Path("epochs.jsonl")).epoch == 2


def test_accuracy_is_the_share_of_right_answers_and_p_breaks_ties() -> None:
    judge = Judge("accuracy", BASE, GROUPS)
    assert judge.score(outcome("11111000")) > judge.score(outcome("11110000", p=0.9))
    assert judge.score(outcome("11110000", p=0.9)) > judge.score(outcome("00001111", p=0.8))
    assert judge.lost(outcome("00001111")) is None


def test_few_confident_errors_goes_by_area_but_not_below_the_base_models_accuracy() -> None:
    judge = Judge("few_confident_errors", BASE, GROUPS)
    assert judge.score(outcome("11110000", area=0.3)) > judge.score(outcome("11111111", area=0.4))
    # One fewer right, in one of four relations: resamples without that relation reach 0. Four fewer: none does.
    assert judge.is_admissible(outcome("01110000", area=0.1))
    assert not judge.is_admissible(outcome("00000000", area=0.1))
    assert judge.score(outcome("11110000", area=0.6)) > judge.score(outcome("00000000", area=0.1))


def test_none_lost_counts_only_facts_that_are_highly_known_at_the_start() -> None:
    judge = Judge("none_lost", BASE, GROUPS, frozenset({"f0", "f1", "f2", "f3"}))
    gained_elsewhere, lost_all = outcome("11110111"), outcome("00001111")
    assert judge.lost(gained_elsewhere) == 0
    assert judge.is_admissible(gained_elsewhere)
    assert judge.lost(lost_all) == 4
    assert not judge.is_admissible(lost_all)
    assert judge.is_admissible(outcome("01110000"))
    assert Judge("none_lost", BASE, GROUPS).is_admissible(lost_all)  # where nothing is HighlyKnown nothing is lost


def test_differences_are_paired_and_better_is_beyond_the_interval() -> None:
    judge = Judge("accuracy", BASE, GROUPS)
    all_right = judge.difference(outcome("11111111"), BASE)  # one more in each relation: every resample says 4 of 8
    assert (all_right.value, all_right.low, all_right.high) == (0.5, 0.5, 0.5)
    assert judge.is_better(all_right)
    one_more = judge.difference(outcome("11111000"), BASE)
    assert one_more.value == 0.125
    assert one_more.low == 0.0
    assert not judge.is_better(one_more)


def test_in_area_less_is_better() -> None:
    judge = Judge("few_confident_errors", BASE, GROUPS)
    # Four errors of eight. Last: risks 0, 0, 0, 0, 1/5, 2/6, 3/7, 4/8. First: 1, 1, 1, 1, 4/5, 4/6, 4/7, 4/8.
    last = {f"f{n}": AnsweredFact(0.9 - n / 10, n < 4) for n in range(8)}
    first = {f"f{n}": AnsweredFact(0.9 - n / 10, n >= 4) for n in range(8)}
    found = judge.difference(BASE, BASE, (last, first))
    assert found.value == pytest.approx((0.2 - 0.8 + 2 / 6 - 4 / 6 + 3 / 7 - 4 / 7 - 4) / 8)
    assert judge.is_better(found)
    assert not judge.is_better(Difference(value=-0.1, low=-0.3, high=0.1))


def test_how_many_facts_could_tell() -> None:
    judge = Judge("accuracy", BASE, GROUPS)
    # Two gained, one lost of 8: s = 3/8, d = 1/8: ((1.960 x 0.6124 + 0.8416 x 0.5995) / 0.125)^2 = (1.7048 / 0.125)^2
    assert judge.facts_to_tell(outcome("01111100"), BASE) == 186
    assert judge.facts_to_tell(outcome("01111000"), BASE) is None


def test_few_validation_facts_are_told_with_the_number_that_could() -> None:
    # ((1.960 sqrt(0.15) + 0.8416 sqrt(0.1475)) / 0.05)^2 = 468.6
    assert few_facts_warning(469) == ""
    assert few_facts_warning(468).startswith(
        "468 validation facts can't tell two recipes apart that differ by 5 points"
    )
    assert "that takes 469 (facts.splits.validation)" in few_facts_warning(468)
