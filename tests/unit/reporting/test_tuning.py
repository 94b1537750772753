"""What is said of a tuning: the choice as firmly as its interval allows, and what it cost."""

from __future__ import annotations

from typing import Any

from gradual.reporting.tuning import tuning_sentences, tuning_table
from gradual.tuning.record import Difference, RecipeResult, TuningFile

BASE = RecipeResult(name="base", accuracy=0.5)
FIRST = RecipeResult(
    name="as_configured", stage=1, epochs=8, kept_epoch=6, accuracy=0.6, is_finalist=True, seconds=90.0
)
SECOND = RecipeResult(name="all_facts", stage=1, epochs=8, kept_epoch=2, accuracy=0.55, is_finalist=True, seconds=60.0)
LOSER = RecipeResult(name="low_rate", stage=1, epochs=3, kept_epoch=3, accuracy=0.52, seconds=30.0)
NONE = RecipeResult(name="abstain", stage=1, note="no fact matches what it trains on")


def record(**changes: Any) -> TuningFile:
    whole = {
        "fingerprint": {},
        "goal": "accuracy",
        "num_recipes": (4, 0),
        "num_validation": 100,
        "results": (BASE, FIRST, SECOND, LOSER, NONE),
        "best": "as_configured",
        "to_base": Difference(value=0.1, low=0.02, high=0.18),
        "runner_up": "all_facts",
        "to_runner_up": Difference(value=0.05, low=-0.03, high=0.13),
        "facts_to_tell": 590,
        "seconds": 200.0,
    }
    return TuningFile.model_validate(whole | changes)


def plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")


def test_the_choice_is_told_with_how_sure_it_is_and_what_it_cost() -> None:
    assert [plain(text) for text in tuning_sentences(record())] == [
        "Chosen: as_configured, +10.0 [+2.0, +18.0] points against the base model.",
        "Against the runner-up all_facts it differs by +5.0 [-3.0, +13.0] points, which may be chance. About 590 "
        "validation facts could tell accuracies that differ so.",
        "4 recipes tried in 3 min 20 s; the test facts were asked once, at the end.",
    ]


def test_a_sure_choice_asks_for_no_more_facts() -> None:
    sure = record(to_runner_up=Difference(value=0.05, low=0.01, high=0.09))
    assert plain(list(tuning_sentences(sure))[1]).endswith("+5.0 [+1.0, +9.0] points, beyond the interval.")


def test_keeping_the_base_model_is_said_first() -> None:
    kept = record(keeps_base=True, to_base=Difference(value=0.02, low=-0.04, high=0.08))
    first = next(tuning_sentences(kept))
    assert plain(first) == (
        "Keep the base model: no recipe beats it on the validation facts beyond the interval. The best, as_configured, "
        "differs by +2.0 [-4.0, +8.0] points; this run is of that recipe."
    )
    table = tuning_table(kept)
    assert [row[-1].value for row in table.rows][:2] == ["chosen", ""]


def test_a_row_for_each_recipe_says_what_became_of_it() -> None:
    table = tuning_table(record())
    assert [row[0].value for row in table.rows] == ["base", "as_configured", "all_facts", "low_rate", "abstain"]
    assert [row[-1].value for row in table.rows] == [
        "", "chosen", "runner-up", "not gone on with", "could not be trained: no fact matches what it trains on",
    ]  # fmt: skip
    # Wilson, 60 of 100: 50.2 % to 69.1 %
    assert plain(table.rows[1][3].text) == "60.0 % [50.2, 69.1]"


def test_the_goal_says_what_is_shown_beside_accuracy() -> None:
    sure = record(
        goal="few_confident_errors",
        results=(BASE.model_copy(update={"area": 0.4}), FIRST.model_copy(update={"area": 0.3})),
        to_base=Difference(value=-0.1, low=-0.15, high=-0.05),
        runner_up="",
    )
    assert [row[4].value for row in tuning_table(sure).rows] == ["0.400", "0.300"]
    first = plain(next(tuning_sentences(sure)))
    assert first == (
        "Chosen: as_configured, -0.100 [-0.150, -0.050] area under the risk-coverage curve against the base model."
    )
    lost = record(goal="none_lost", results=(BASE, FIRST.model_copy(update={"lost": 9, "is_admissible": False})))
    assert [row[4].value for row in tuning_table(lost).rows][1] == "9"
