"""The file of a stage's own answers: drawn once, before its first step; a killed stage goes on with the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gradual.config.stage import StageConfig
from gradual.engines.engine import Engine
from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table
from gradual.files.units import UnitStore
from gradual.knowledge.map import COST_FILE
from gradual.probing.own_answers import PACKS_PER_FOREST, Draw, OwnAnswer, draw_answers
from gradual.probing.probe import cost_since
from gradual.text import plural
from gradual.training.rows import TrainingRows

_OWN_ANSWERS = (
    *(Column(name, "integer") for name in ("epoch", "number")),
    *(Column(name, "text") for name in ("id", "answer", "tokens")),
)


class OwnAnswerKey(NamedTuple):
    """Where in a stage an own answer is trained on."""

    epoch: int
    """From 0."""
    number: int
    """From 0, of those that a fact has in the epoch."""
    fact_id: str


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
) -> dict[OwnAnswerKey, OwnAnswer]:
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
    wanted = {OwnAnswerKey(epoch, n, each) for epoch in range(num_epochs) for n in range(per_epoch) for each in ids}
    if path.is_file():
        drawn = read_own_answers(path)
        if drawn.keys() != wanted:
            raise RunDirError(f"{path}: expected {plural(len(wanted), 'answer')}, found others - remove the file")
        progress(len(drawn))
        return drawn
    packs, places = [], []
    for epoch in range(num_epochs):
        for prompts in rows.prompts(epoch, ids):
            at = [
                (OwnAnswerKey(epoch, n, prompt.fact_id), prompt.token_ids)
                for prompt in prompts
                for n in range(per_epoch)
            ]
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
    storage.write_json(path.parent / COST_FILE, cost_since(started, before, engine).as_json())
    write_own_answers(path, dict(zip(places, answers, strict=True)))
    return read_own_answers(path)


def _to_bytes(answers: Sequence[OwnAnswer]) -> bytes:
    return json.dumps([[answer.text, answer.tokens] for answer in answers]).encode()


def _from_bytes(data: bytes) -> list[OwnAnswer]:
    return [OwnAnswer(text, tuple(tokens)) for text, tokens in json.loads(data)]


def write_own_answers(path: Path, answers: Mapping[OwnAnswerKey, OwnAnswer]) -> None:
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


def read_own_answers(path: Path) -> dict[OwnAnswerKey, OwnAnswer]:
    """The own answers of a stage.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    table = read_table(path, _OWN_ANSWERS)
    answers: dict[OwnAnswerKey, OwnAnswer] = {}
    for row, numbers in enumerate(table["tokens"]):
        try:
            tokens = tuple(map(int, numbers.split()))
        except ValueError:
            raise RunDirError(f"{path}: column 'tokens', row {row}: expected numbers, found {numbers!r:.60}") from None
        place = OwnAnswerKey(table["epoch"][row], table["number"][row], table["id"][row])
        answers[place] = OwnAnswer(table["answer"][row], tokens)
    return answers
