"""How far a stage has moved the model on what it was not trained on: a reference text, and questions of test facts.

Owns `drift.json`. What is read is chosen here; the divergence itself is computed in `engines.divergence`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gradual.config.run import RunConfig
from gradual.facts.fact import spread
from gradual.facts.prepare import RunFacts
from gradual.files.typed_json import FilePart, read_typed_if_there
from gradual.knowledge.map import Cost
from gradual.probing.prompts import draw_probe_prompts
from gradual.run.folder import RunDir
from gradual.run.measures.result_file import write_with_cost

if TYPE_CHECKING:
    from gradual.engines.transformers_engine import TransformersEngine
    from gradual.models.load import LoadedModel

DRIFT_FILE = "drift.json"
MOST_TEXT_TOKENS = 2048
"""Tokens of the reference text that are read, from its beginning."""
MOST_PROMPTS = 64
"""Test facts whose questions are read, the same share of each relation."""


class Drift(FilePart):
    """How the model with the adapter differs from the base model, at the places of some texts."""

    kl: float | None = None
    """Mean over places of KL(base || tuned) of the next token, in nats, at least 0; None where nothing was read."""
    num_places: int = 0


class TextDrift(Drift):
    """The same of a running text, with its perplexity: exp of the mean loss of a token, in nats."""

    perplexity_before: float | None = None
    """Under the base model."""
    perplexity_after: float | None = None


class DriftFile(FilePart):
    """`drift.json`: what a stage, and those before it, have changed."""

    text: TextDrift = TextDrift()
    """On the reference text."""
    prompts: Drift = Drift()
    """On test facts' questions without shots, as they are asked, the place where the answer begins included."""


class DriftRows(NamedTuple):
    """What is read, as rows of token ids."""

    text: list[list[int]]
    prompts: list[list[int]]

    @property
    def num_tokens(self) -> int:
        """All tokens; each is read twice, by the base model and by the other."""
        return sum(map(len, [*self.text, *self.prompts]))


def drift_rows(config: RunConfig, run_facts: RunFacts, engine: TransformersEngine) -> DriftRows:
    """The reference text in pieces, each behind the tokenizer's own beginning, and the questions of test facts."""
    from gradual.engines.divergence import TOKENS_PER_ROW

    beginning, whole = engine.encode(["", run_facts.drift_text], add_special_tokens=True)
    ids = whole[len(beginning) : MOST_TEXT_TOKENS] if whole[: len(beginning)] == beginning else whole[:MOST_TEXT_TOKENS]
    size = TOKENS_PER_ROW - len(beginning)
    text = [[*beginning, *ids[start : start + size]] for start in range(0, len(ids), size)]
    facts = spread(run_facts.test, MOST_PROMPTS)
    style = engine.prompt_style(config.probe)
    probe_prompts = draw_probe_prompts(facts, {}, style, num_sets=1, num_shots=0, seed=config.evaluation.exemplar_seed)
    prompts = engine.encode(
        [probe_prompts.prompt(fact, 0) for fact in facts], add_special_tokens=style.adds_special_tokens
    )
    return DriftRows([row for row in text if len(row) > 1], [row for row in prompts if row])


def measure_drift(
    rows: DriftRows, loaded: LoadedModel, progress: Callable[[int], None] = lambda _: None
) -> tuple[DriftFile, Cost]:
    """How a model with its adapter on differs from the one without, and what finding out took.

    Raises:
        ProbeError: the logits are not numbers, or a row does not fit into memory.
    """
    from gradual.engines.divergence import divergence

    text, text_cost = divergence(loaded.model, rows.text, at_ends=False, progress=progress)
    prompts, prompts_cost = divergence(loaded.model, rows.prompts, at_ends=True, progress=progress)
    found = DriftFile(
        text=TextDrift(
            kl=_mean(text.kl, text.num_places),
            num_places=text.num_places,
            perplexity_before=_perplexity(text.base_loss, text.num_targets),
            perplexity_after=_perplexity(text.tuned_loss, text.num_targets),
        ),
        prompts=Drift(kl=_mean(prompts.kl, prompts.num_places), num_places=prompts.num_places),
    )
    costs = (text_cost, prompts_cost)
    return found, Cost(
        seconds=sum(each.seconds for each in costs),
        tokens_read=sum(each.tokens_read for each in costs),
        forward_passes=sum(each.forward_passes for each in costs),
    )


def write_drift(run: RunDir, stage: int, found: DriftFile, cost: Cost) -> None:
    """Keeps what was found of a stage, and what it took beside it.

    Raises:
        RunDirError: the disk refused.
    """
    write_with_cost(run.drift(stage) / DRIFT_FILE, found, cost)


def read_drift(run: RunDir, stage: int) -> DriftFile | None:
    """What was found of a stage; None where it was not measured.

    Raises:
        RunDirError: the file is damaged.
    """
    return read_typed_if_there(run.drift(stage) / DRIFT_FILE, DriftFile)


def _mean(total: float, number: int) -> float | None:
    return total / number if number else None


def _perplexity(loss: float, number: int) -> float | None:
    return (
        math.exp(min(loss / number, 700.0)) if number else None
    )  # larger than any number there is: as large as can be
