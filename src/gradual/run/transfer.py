"""Facts asked in other forms than those they are trained in: which, how, and of whom it is asked after a stage.

The forms are those of `evaluation.transfer`; what came of it is counted in `summary.transfer`. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradual.config.run import ProbeConfig, TransferForm
from gradual.facts.fact import Fact
from gradual.facts.prepare import RunFacts
from gradual.facts.transfer import origin_of, reversal_of, rewordings_of
from gradual.knowledge.levels import Level
from gradual.knowledge.map import read_map
from gradual.run.folder import RunDir

_CHANGES_QUESTION = ("rewordings", "reverse")
"""Forms that ask another question, under an id of its own."""


def form_settings(form: TransferForm, usual: ProbeConfig) -> ProbeConfig:
    """How facts are asked in a form: as test facts are, but for what the form changes.

    Wrong answers are not written out, which without shots would go on to the end.
    """
    changes: dict[str, object] = {"greedy_answers": "none", "confidence": False, "refusals": []}
    changes |= {"num_shots": 0} if form == "zero_shot" else {}
    changes |= {"prompt_style": "chat"} if form == "chat" else {}
    return usual.model_copy(update=changes)


def facts_in_form(form: TransferForm, run_facts: RunFacts) -> tuple[Fact, ...]:
    """The training and test facts as a form asks them; without shots training facts alone, `zero_shot` asks the others.

    The shots stay the same facts in the same words: what is changed is the question alone, or how it is written.
    """
    if form == "zero_shot":
        return run_facts.train
    facts = (*run_facts.train, *run_facts.test)
    if form == "rewordings":
        return tuple(each for fact in facts for each in rewordings_of(fact))
    if form == "reverse":
        return tuple(reversal_of(fact, run_facts.reverses[fact.id]) for fact in facts if fact.id in run_facts.reverses)
    return facts


def origin_in_form(form: TransferForm, form_id: str) -> str:
    """Id of the fact that a form asks under this id."""
    return origin_of(form_id) if form in _CHANGES_QUESTION else form_id


def questions_left(run: RunDir, form: TransferForm, stage: int, facts: Sequence[Fact]) -> list[Fact]:
    """What a form asks after a stage: test facts, and of training facts those that are HighlyKnown then.

    Before the first stage, where it is not known yet which will be, all.
    """
    if not stage:
        return list(facts)
    known = read_map(run.probe(stage), with_answers=False)
    rest = []
    for fact in facts:
        origin = origin_in_form(form, fact.id)
        if origin not in known or known.level_of(origin) is Level.HIGHLY_KNOWN:
            rest.append(fact)
    return rest
