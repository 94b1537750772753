"""What the facts of a selection are trained on: their target, a refusal, an own answer, or a distance to a reference.

Knows selections and rows; how answers are drawn and losses computed is known below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from gradual.config.stage import StageConfig
from gradual.facts.fact import Fact
from gradual.facts.prompts import PromptStyle
from gradual.probing.own_answers import OwnAnswer
from gradual.run.anchors.own_answers import OwnAnswerKey
from gradual.selection.strategies import Selection
from gradual.training.rows import DrawnTokens, TrainingRows


def stage_facts(selection: Selection, train: Iterable[Fact], stage: StageConfig, style: PromptStyle) -> list[Fact]:
    """The facts of a selection with what is trained on as their first answer: for some, a refusal.

    Raises:
        DataError: the refusal cannot be written in the style.
    """
    by_id = {fact.id: fact for fact in train}
    refusals = {row.id for row in selection.rows if row.role == "abstain"}
    facts = []
    for row in selection.rows:
        fact = by_id[row.id]
        if stage.abstain is not None and row.id in refusals:
            fact = replace(fact, answers=(stage.abstain.answer,))
            style.check(fact)
        facts.append(fact)
    return facts


def add_anchor(
    rows: TrainingRows,
    selection: Selection,
    stage: StageConfig,
    draw: Callable[[TrainingRows, frozenset[str]], Mapping[OwnAnswerKey, OwnAnswer]],
) -> TrainingRows:
    """The rows with what their anchor facts are held to; as they are where the stage has no such anchor.

    Args:
        rows: of all facts of the selection.
        selection: says which of them are anchors.
        stage: says what holds them.
        draw: gives the own answers of some facts in all epochs; asked for where the anchor's kind is `own_answers`.
    """
    ids = frozenset(row.id for row in selection.rows if row.role == "anchor")
    if stage.anchor is None or not ids:
        return rows
    weight = dict.fromkeys(sorted(ids), stage.anchor.weight)
    without = dict.fromkeys(weight, 0.0)
    if not stage.anchor.draws_answers:
        return replace(rows, kl=weight, weights=without)
    drawn = draw(rows, ids)
    answers: dict[str, list[list[DrawnTokens]]] = {fact_id: [] for fact_id in weight}
    for place in sorted(drawn):
        epochs = answers[place.fact_id]
        if place.number == 0:
            epochs.append([])
        epochs[-1].append(drawn[place].tokens)
    if stage.anchor.soft_targets:
        shared = dict.fromkeys(weight, stage.anchor.weight / stage.anchor.per_epoch)
        return replace(rows, own_answers=answers, kl=shared, weights=without)
    return replace(rows, own_answers=answers, weights=weight)
