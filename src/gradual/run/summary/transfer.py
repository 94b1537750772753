"""What is memorised and what is known: gained facts in other forms, beside facts known all along, before and after.

Maps in, the part `transfer` of `summary.json` out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import NamedTuple

from gradual.config.run import TransferForm
from gradual.facts.fact import Fact
from gradual.facts.transfer import reverses
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, FactKnowledge, KnowledgeMap, read_map
from gradual.run.folder import RunDir
from gradual.run.summary.quality_file import FactShare
from gradual.run.summary.transfer_file import FormAnswers, FormScores, Group, Transfer, TransferGroup
from gradual.run.transfer import origin_in_form
from gradual.statistics.measures import share_of


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """A fact's answers in all prompts of a form."""

    share_right: float
    """Share of the prompts whose greedy answer is right."""
    p: float
    """Mean over the prompts of the chance that a sampled answer is right."""


Answers = Mapping[str, FormAnswer]
"""By the id of the fact that is asked in the form."""


class BeforeAndAfter(NamedTuple):
    """Answers of the same facts in one form, under the base model and after a stage."""

    before: Answers
    after: Answers


def transfer_of_run(
    run: RunDir, forms: Sequence[TransferForm], probes: Sequence[KnowledgeMap], facts: Sequence[Fact], taught: Set[str]
) -> Transfer | None:
    """What holds in other forms; None before the first stage, or where none was asked.

    Which facts became HighlyKnown is known from all exemplar sets of the probe in the usual form; the other forms are
    asked under one set. So a part of the loss from the usual form to another is chance: choosing facts that are right
    under all sets of one look flatters that look (regression to the mean). Facts known all along have been chosen so
    twice, and still show how much a form costs by itself: what is memorised shows as a larger loss than theirs.

    Args:
        run: the folder, with the maps of the forms.
        forms: `evaluation.transfer`.
        probes: maps of the training facts, the base model's first.
        facts: all facts of the run.
        taught: ids of facts that a stage trained on with their targets.

    Raises:
        RunDirError: a map is damaged.
    """
    last = len(probes) - 1
    if last < 1 or not forms:
        return None
    groups = _groups(probes, facts, taught)
    scores: dict[Group, list[FormScores]] = {group: [_usual_scores(run, group, ids, probes)] for group, ids in groups}
    for form in forms:
        before, after = answers_in_form(run, form, last, facts, taught)
        for group, ids in groups:
            fact_ids = sorted(ids & before.keys())
            scores[group].append(
                FormScores(
                    form=form,
                    before=form_answers([before[each] for each in fact_ids]),
                    after=form_answers([after[each] for each in fact_ids]),
                    left_out=len(ids) - len(fact_ids),
                )
            )
    return Transfer(
        groups=[TransferGroup(group=group, num_facts=len(ids), forms=scores[group]) for group, ids in groups]
    )


def answers_in_form(
    run: RunDir, form: TransferForm, stage: int, facts: Sequence[Fact], taught: Set[str]
) -> BeforeAndAfter:
    """The facts that were asked in a form both before training and after a stage; empty where none was.

    Args:
        run: the folder, with the maps of the form.
        form: one of `evaluation.transfer`.
        stage: number of the stage, from 1.
        facts: all facts of the run.
        taught: ids of facts that a stage trained on with their targets; what is their reverse is left out of `reverse`.

    Raises:
        RunDirError: a map is damaged.
    """
    before, after = (_answers(run, form, each) for each in (0, stage))
    both = before.keys() & after.keys()
    if form == "reverse":
        both -= {fact_id for fact_id, other in reverses(facts).items() if other.id in taught}
    return BeforeAndAfter(*({each: answers[each] for each in sorted(both)} for answers in (before, after)))


def form_answers(answers: Sequence[FormAnswer]) -> FormAnswers:
    """The numbers of some facts in one form, with Wilson's interval of those right in every prompt."""
    count = len(answers)
    return FormAnswers(
        right=FactShare(**asdict(share_of(each.share_right == 1.0 for each in answers))),
        share_of_prompts=sum(each.share_right for each in answers) / count if count else None,
        p=sum(each.p for each in answers) / count if count else None,
    )


def _groups(
    probes: Sequence[KnowledgeMap], facts: Sequence[Fact], taught: Set[str]
) -> list[tuple[Group, frozenset[str]]]:
    highly = [{fact.id for fact in known if fact.level is Level.HIGHLY_KNOWN} for known in probes]
    became = highly[-1] - highly[0]
    return [
        ("became_highly_known", frozenset(became)),
        ("became_and_trained", frozenset(became & taught)),
        ("became_not_trained", frozenset(became - taught)),
        ("highly_known_all_along", frozenset(set.intersection(*highly))),
        ("test", frozenset(fact.id for fact in facts if fact.split == "test")),
    ]


def _usual_scores(run: RunDir, group: Group, ids: Set[str], probes: Sequence[KnowledgeMap]) -> FormScores:
    """Training facts as all exemplar sets of the probe found them, test facts as the evaluation did."""
    if group == "test":
        maps = [read_map(run.evaluation(stage), with_answers=False) for stage in (0, len(probes) - 1)]
    else:
        maps = [probes[0], probes[-1]]
    before, after = (
        form_answers([FormAnswer(known[each].p_greedy, known[each].p_sampled) for each in sorted(ids)])
        for known in maps
    )
    return FormScores(form="usual", before=before, after=after)


def _answers(run: RunDir, form: TransferForm, stage: int) -> Answers:
    """What a form's maps say after a stage; empty where they are not there."""
    folders = [run.transfer(form, stage)]
    if form == "zero_shot":
        folders = [run.zero_shot_evaluation(stage), run.transfer("zero_shot_train", stage)]
    by_fact: dict[str, list[FactKnowledge]] = {}
    for folder in folders:
        for known in read_map(folder, with_answers=False) if (folder / MAP_FILE).is_file() else ():
            by_fact.setdefault(origin_in_form(form, known.id), []).append(known)
    return {
        fact_id: FormAnswer(
            share_right=sum(each.p_greedy for each in answers) / len(answers),
            p=sum(each.p_sampled for each in answers) / len(answers),
        )
        for fact_id, answers in by_fact.items()
    }
