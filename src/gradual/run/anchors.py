"""What a stage trains on besides targets: refusals, facts held to a reference, and own answers.

Owns the file of a stage's own answers: they are drawn once, before its first step, so that a killed stage goes on with
the same. Knows settings, selections and rows; how answers are drawn and losses computed is known below.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gradual.config.stage import StageConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.errors import RunDirError
from gradual.facts.fact import Fact
from gradual.facts.prompts import PromptStyle
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table
from gradual.files.units import UnitStore
from gradual.knowledge.map import COST_FILE, Cost
from gradual.probing.own_answers import PACKS_PER_FOREST, Draw, OwnAnswer, draw_answers
from gradual.selection.anchors import with_anchors, with_refusals
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Selection
from gradual.text import plural
from gradual.training.rows import DrawnTokens, TrainingRows

_OWN_ANSWERS = (
    *(Column(name, "integer") for name in ("epoch", "number")),
    *(Column(name, "text") for name in ("id", "answer", "tokens")),
)


class Place(NamedTuple):
    """Where in a stage an own answer is trained on."""

    epoch: int
    """From 0."""
    number: int
    """From 0, of those that a fact has in the epoch."""
    fact_id: str


def with_anchors_and_refusals(
    selection: Selection, states: Sequence[FactState], stage: StageConfig, *, rng_seed: str
) -> Selection:
    """The selection with the facts that the stage's `abstain` and `anchor` name; as it is where it has neither."""
    if stage.abstain is not None:
        abstain = stage.abstain
        selection = with_refusals(selection, states, abstain.select, abstain.share, rng_seed=rng_seed)
    if stage.anchor is not None and stage.anchor.kind != "l2":
        selection = with_anchors(selection, states, stage.anchor.select, stage.anchor.share, rng_seed=rng_seed)
    return selection


def anchor_warnings(selection: Selection, stage: StageConfig) -> list[str]:
    """What to say of a stage whose anchor or refusals match no fact."""
    found = []
    if stage.anchor is not None and stage.anchor.kind != "l2" and not selection.num_anchor:
        found.append(f"no fact beside those trained on matches anchor.select `{stage.anchor.select}`: nothing is held")
    if stage.abstain is not None and not selection.num_abstain:
        found.append(f"no fact matches abstain.select `{stage.abstain.select}`: no refusal is taught")
    return found


def anchor_options(stage: StageConfig, selection: Selection | None) -> list[str]:
    """What is out of the ordinary about a stage with an anchor or refusals; with counts where they are known."""
    options = []
    if stage.abstain is not None:
        count = "" if selection is None else f": {selection.num_abstain}"
        options.append(f'taught to say "{stage.abstain.answer}" where {stage.abstain.select}{count}')
    if stage.anchor is not None and stage.anchor.kind == "l2":
        options.append(f"weights of the adapter held to where they begin, l2 by {stage.anchor.weight:g}")
    elif stage.anchor is not None:
        count = "" if selection is None else f": {selection.num_anchor}"
        options.append(f"anchored by {stage.anchor.kind} where {stage.anchor.select}{count}")
    return options


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
    draw: Callable[[TrainingRows, frozenset[str]], Mapping[Place, OwnAnswer]],
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
    if stage.anchor.kind != "own_answers":
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


def own_answers(
    path: Path,
    rows: TrainingRows,
    ids: frozenset[str],
    stage: StageConfig,
    engine: Engine,
    *,
    max_new_tokens: int,
    seed: str,
    units: UnitStore,
    progress: Callable[[int], None],
) -> dict[Place, OwnAnswer]:
    """The own answers of some facts in all epochs of a stage: read from `path`, or drawn and kept there.

    Each is drawn behind the very prompt that it is trained behind. Those that are drawn together are kept in `units`,
    so that drawing goes on where it was stopped; what it took, since then, is kept beside them. `progress` is told how
    many have just been drawn.

    Raises:
        RunDirError: the file is damaged, or has other answers than the stage asks for.
        ProbeError: a prompt does not fit into memory.
    """
    anchor = stage.anchor
    num_epochs, per_epoch = stage.num_train_epochs, 1 if anchor is None else anchor.per_epoch
    wanted = {Place(epoch, n, each) for epoch in range(num_epochs) for n in range(per_epoch) for each in ids}
    if path.is_file():
        drawn = read_own_answers(path)
        if drawn.keys() != wanted:
            raise RunDirError(f"{path}: expected {plural(len(wanted), 'answer')}, found others - remove the file")
        progress(len(drawn))
        return drawn
    packs, places = [], []
    for epoch in range(num_epochs):
        for prompts in rows.prompts(epoch, ids):
            at = [(Place(epoch, n, prompt.fact_id), prompt.token_ids) for prompt in prompts for n in range(per_epoch)]
            packs.append([Draw(f"{seed}/{p.fact_id}/{p.epoch}/{p.number}", tokens) for p, tokens in at])
            places += [place for place, _ in at]
    temperature = 1.0 if anchor is None else anchor.temperature
    started, before = time.perf_counter(), engine.cost()
    answers: list[OwnAnswer] = []
    size = PACKS_PER_FOREST * engine.unit_scale
    for start in range(0, len(packs), size):
        block = packs[start : start + size]
        key = "/".join(draw.key for pack in block for draw in pack)
        stored = units.get(key)
        if stored is None:
            stored = _to_bytes(draw_answers(block, engine, temperature=temperature, max_new_tokens=max_new_tokens))
            units.put(key, stored)
        found = _from_bytes(stored)
        answers += found
        progress(len(found))
    storage.make_folder(path.parent)
    storage.write_json(path.parent / COST_FILE, _cost_since(started, before, engine.cost()).as_json())
    write_own_answers(path, dict(zip(places, answers, strict=True)))
    return read_own_answers(path)


def _cost_since(started: float, before: ReadCost, after: ReadCost) -> Cost:
    return Cost(
        seconds=time.perf_counter() - started,
        tokens_read=after.tokens - before.tokens,
        forward_passes=after.forward_passes - before.forward_passes,
    )


def _to_bytes(answers: Sequence[OwnAnswer]) -> bytes:
    return json.dumps([[answer.text, answer.tokens] for answer in answers]).encode()


def _from_bytes(data: bytes) -> list[OwnAnswer]:
    return [OwnAnswer(text, tuple(tokens)) for text, tokens in json.loads(data)]


def write_own_answers(path: Path, answers: Mapping[Place, OwnAnswer]) -> None:
    """Keeps own answers as a table, in the order of their places.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(path.parent)
    rows = sorted(answers.items())
    columns: dict[str, list[object]] = {
        "epoch": [place.epoch for place, _ in rows],
        "number": [place.number for place, _ in rows],
        "id": [place.fact_id for place, _ in rows],
        "answer": [answer.text for _, answer in rows],
        "tokens": [" ".join(map(str, answer.tokens)) for _, answer in rows],
    }
    write_table(path, _OWN_ANSWERS, columns)


def read_own_answers(path: Path) -> dict[Place, OwnAnswer]:
    """The own answers of a stage.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    table = read_table(path, _OWN_ANSWERS)
    answers: dict[Place, OwnAnswer] = {}
    for row, numbers in enumerate(table["tokens"]):
        try:
            tokens = tuple(map(int, numbers.split()))
        except ValueError:
            raise RunDirError(f"{path}: column 'tokens', row {row}: expected numbers, found {numbers!r:.60}") from None
        place = Place(table["epoch"][row], table["number"][row], table["id"][row])
        answers[place] = OwnAnswer(table["answer"][row], tokens)
    return answers
