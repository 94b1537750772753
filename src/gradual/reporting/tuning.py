"""What tuning tried and chose: a table of recipes and the sentences about them, for the console and the page of a run.

Says a difference only as firmly as its interval allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradual.reporting.cells import NOTHING, number_cell, share_cell, text_cell, time_cell
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.intervals import wilson
from gradual.text import NO_VALUE, count, decimal, duration, plural, points_estimate
from gradual.tuning.record import BASE, Difference, RecipeResult, TuningFile

_GOALS = {
    "accuracy": "most validation facts right",
    "few_confident_errors": "the smallest area under the risk-coverage curve of the validation facts",
    "none_lost": "most validation facts right, with no HighlyKnown ones lost beyond the interval",
}


def tuning_table(found: TuningFile) -> Table:
    """Every recipe that was tried, in the ladder's order."""
    columns = ["recipe", "epochs", "kept", "validation accuracy"]
    by_area, by_lost = found.goal == "few_confident_errors", found.goal == "none_lost"
    columns += (["area"] if by_area else []) + (["HighlyKnown lost"] if by_lost else []) + ["time", ""]
    rows = []
    for each in found.results:
        row = [text_cell(each.name, is_strong=each.name == _chosen(found)), number_cell(each.epochs)]
        row += [number_cell(each.kept_epoch), _accuracy_cell(each, found.num_validation)]
        row += [Cell(decimal(each.area, 3), {"": each.area})] if by_area else []
        row += [number_cell(each.lost)] if by_lost else []
        rows.append([*row, time_cell(each.seconds) if each.stage else NOTHING, text_cell(_remark(each, found))])
    note = (
        f"Out of {plural(found.num_validation, 'validation fact')}, at the best epoch so far; the interval is of one "
        "accuracy (Wilson). The best of many is flattered by having been chosen on these facts; the test is not."
    )
    return make_table("tuning", f"Recipes, for {_GOALS[found.goal]}", columns, rows, note)


def tuning_sentences(found: TuningFile) -> Iterator[str]:
    """What was chosen, how sure that is, and what it cost."""
    unit = "area under the risk-coverage curve" if found.goal == "few_confident_errors" else "points"
    if found.keeps_base:
        yield (
            f"Keep the base model: no recipe beats it on the validation facts beyond the interval. The best, "
            f"{found.best}, differs by {_difference(found.to_base, found)} {unit}; this run is of that recipe."
        )
    else:
        yield f"Chosen: {found.best}, {_difference(found.to_base, found)} {unit} against the base model."
    if found.runner_up:
        told = _difference(found.to_runner_up, found)
        sure = "beyond the interval" if _is_sure(found.to_runner_up) else "which may be chance"
        yield f"Against the runner-up {found.runner_up} it differs by {told} {unit}, {sure}.{_needed(found)}"
    tried = sum(each.stage > 0 for each in found.results)
    yield f"{plural(tried, 'recipe')} tried in {duration(found.seconds)}; the test facts were asked once, at the end."


def _chosen(found: TuningFile) -> str:
    return BASE if found.keeps_base else found.best


def _accuracy_cell(each: RecipeResult, total: int) -> Cell:
    if each.accuracy is None:
        return NOTHING
    return share_cell(each.accuracy, *wilson(round(each.accuracy * total), total))


def _remark(each: RecipeResult, found: TuningFile) -> str:
    if each.note:
        return f"could not be trained: {each.note}"
    if each.name == _chosen(found):
        return "chosen"
    if not each.is_admissible:
        return "loses too much" if found.goal == "none_lost" else "less accurate than the base model"
    if each.name == found.runner_up:
        return "runner-up"
    return "" if each.is_finalist or not each.stage else "not gone on with"


def _difference(difference: Difference, found: TuningFile) -> str:
    if found.goal != "few_confident_errors":
        return str(points_estimate(difference.value, difference.low, difference.high))
    if difference.value is None:
        return NO_VALUE
    low, high = (decimal(bound, 3) for bound in (difference.low, difference.high))
    return f"{decimal(difference.value, 3)} [{low}, {high}]"


def _is_sure(difference: Difference) -> bool:
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0.0 or difference.high < 0.0


def _needed(found: TuningFile) -> str:
    """How many facts could tell; empty where these do, or where accuracies are equal."""
    if _is_sure(found.to_runner_up) or found.facts_to_tell is None or found.facts_to_tell <= found.num_validation:
        return ""
    return f" About {count(found.facts_to_tell)} validation facts could tell accuracies that differ so."
