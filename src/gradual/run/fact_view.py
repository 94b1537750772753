"""Everything that a knowledge map or a run folder says about one fact: its level and why, each prompt with its answer.

Knows maps and run folders; no model and no terminal. What is shown comes from the folder alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.errors import DataError, RunDirError
from gradual.files.storage import Json
from gradual.knowledge.levels import WEAKLY_KNOWN_CHANCE, Level
from gradual.knowledge.map import MAP_FILE, FactKnowledge, KnowledgeMap, MapInfo, read_map
from gradual.run.folder import RunDir, read_facts
from gradual.run.stage_files import read_selection
from gradual.text import did_you_mean, interval, plural, stage_name, visible


@dataclass(frozen=True, slots=True)
class ShownSet:
    """A fact asked behind one exemplar set."""

    set: int
    prompt: str
    """The whole prompt, byte for byte."""
    greedy_correct: bool
    greedy_answer: str | None
    """Nothing where it was not written out: then it is known only that it is wrong."""
    p_lower: float
    p_upper: float
    p: float
    """Probability in [0, 1] that a sampled answer is right: the middle of its bounds."""
    confidence_lower: float | None
    confidence_upper: float | None
    confidence: float | None
    """Probability in [0, 1] that a sampled answer is the same as the greedy one; nothing where it was not asked."""
    confidence_t1_lower: float | None
    confidence_t1_upper: float | None
    confidence_t1: float | None
    """The same with temperature 1."""
    greedy_refused: bool | None
    """Whether the greedy answer is a refusal; nothing, as below, where refusals were not asked."""
    p_refuse_lower: float | None
    p_refuse_upper: float | None
    p_refuse: float | None
    """Probability in [0, 1] that a sampled answer is a refusal."""
    margin: float | None
    """Gap of the two largest logits at the closest decision; nothing where there was no decision."""
    near_tie: bool
    exemplar_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownProbe:
    """What one probe of a run says of a fact, in short."""

    probe: int
    level: Level
    p_greedy: float
    p_sampled: float
    greedy_answer: str | None


@dataclass(frozen=True, slots=True)
class TrainingUse:
    """That a stage of a run trained on a fact, and why."""

    stage: int
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShownFact:
    """One fact in one map in full; beside it, in a run, the other probes in short and the stages that trained on it."""

    source: str
    """What the map is: its folder, or in a run its place."""
    id: str
    relation: str
    question: str
    answers: tuple[str, ...]
    level: Level
    why: str
    p_greedy: float
    p_sampled: float
    p_any_sample: float
    level_probability: float
    near_tie: bool
    confidence: float | None
    """Mean over the exemplar sets that have it; nothing where it was not asked."""
    confidence_t1: float | None
    p_greedy_refuse: float | None
    """Share of exemplar sets whose greedy answer is a refusal; nothing where refusals were not asked."""
    p_refuse: float | None
    sets: tuple[ShownSet, ...]
    probes: tuple[ShownProbe, ...] = ()
    trained: tuple[TrainingUse, ...] = ()

    def as_dict(self) -> dict[str, Json]:
        """The same as JSON values."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The same for people; characters that a terminal would act on are shown as escapes, apart from line ends."""
        head = [
            f"{visible(self.id)}  ({visible(self.relation)}; {self.source})",
            f"  question  {visible(self.question)}",
            f"  targets   {' / '.join(visible(answer) for answer in self.answers)}",
            f"  level     {self.level}: {self.why}",
            f"  p_greedy {self.p_greedy:.3f}   p_sampled {self.p_sampled:.4f}   p_any_sample {self.p_any_sample:.4f}   "
            f"chance of this level in a random protocol {self.level_probability:.4f}",
        ]
        if self.near_tie:
            head.append("  near tie  a greedy answer hangs on a small gap between logits; other arithmetic may turn it")
        head += [_probe_line(each) for each in self.probes]
        head += [f"  stage {each.stage}   trained on it ({each.role}): {each.reason}" for each in self.trained]
        return [*head, *(line for each in self.sets for line in _set_lines(each))]

    def __str__(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines())


def show_fact(folder: Path, fact_id: str, *, probe: int | None = None) -> ShownFact:
    """One fact of a map folder or a run folder.

    In a run folder, training facts are shown from the probes and test facts from the evaluations: the newest in full,
    or the one after `probe` stages, and all of them in short.

    Raises:
        DataError: there is no such fact (near ids are named), it was never asked, or there is no such probe.
        RunDirError: the folder is neither a map nor a run, or a file in it is damaged.
    """
    if (folder / MAP_FILE).is_file():
        if probe is not None:
            raise DataError(f"--probe {probe}: expected a run folder, found the single map {folder}; leave it out")
        known = read_map(folder)
        if fact_id not in known:
            raise _unknown_fact_error(fact_id, [fact.id for fact in known], folder)
        return _shown_fact(known, fact_id, source=str(folder))
    if not (folder / "run.json").is_file():
        fault = "a folder without map.json and run.json" if folder.is_dir() else "no folder"
        raise RunDirError(f"{folder}: expected a knowledge map or a run folder, found {fault}; check the path")
    return _fact_of_run(RunDir(folder), fact_id, probe)


def _fact_of_run(run: RunDir, fact_id: str, probe: int | None) -> ShownFact:
    if not run.facts.is_file():
        raise RunDirError(f"{run.path} holds no facts yet; go on with the run first")
    splits = {fact.id: fact.split for fact in read_facts(run.facts)}
    if fact_id not in splits:
        raise _unknown_fact_error(fact_id, list(splits), run.path)
    split = splits[fact_id]
    if split not in ("train", "test"):
        raise DataError(
            f'fact "{fact_id}": expected a fact of train or test, found one of {split}, which no map asks about'
        )
    place = run.probe if split == "train" else run.evaluation
    folders: list[Path] = []
    while (place(len(folders)) / MAP_FILE).is_file():
        folders.append(place(len(folders)))
    if not folders:
        raise RunDirError(f"{run.path} holds no finished map of {split} facts yet; go on with the run first")
    if probe is not None and not 0 <= probe < len(folders):
        raise DataError(f"--probe {probe}: expected 0 to {len(folders) - 1}, the probes that are in {run.path}")
    maps = [read_map(folder) for folder in folders]
    index = len(maps) - 1 if probe is None else probe
    return dataclasses.replace(
        _shown_fact(maps[index], fact_id, source=f"{split} fact, {stage_name(index)}"),
        probes=tuple(_shown_probe(known[fact_id], number) for number, known in enumerate(maps)),
        trained=tuple(_stages_that_trained(run, fact_id)),
    )


def _stages_that_trained(run: RunDir, fact_id: str) -> list[TrainingUse]:
    stages: list[TrainingUse] = []
    stage = 1
    while run.selection(stage).is_file():
        rows = read_selection(run.selection(stage))
        stages += [TrainingUse(stage, row.role, row.reason) for row in rows if row.id == fact_id]
        stage += 1
    return stages


def _shown_probe(fact: FactKnowledge, probe: int) -> ShownProbe:
    return ShownProbe(probe, fact.level, fact.p_greedy, fact.p_sampled, fact.greedy_answer)


def _unknown_fact_error(fact_id: str, ids: Sequence[str], where: Path) -> DataError:
    hint = did_you_mean(fact_id, ids) or f"; expected one of {len(ids)} ids such as '{min(ids)}'" if ids else ""
    return DataError(f'{where}: unknown fact "{fact_id}"{hint}')


def _shown_fact(known: KnowledgeMap, fact_id: str, *, source: str) -> ShownFact:
    fact = known[fact_id]
    return ShownFact(
        source=source,
        id=fact.id,
        relation=fact.relation,
        question=fact.question,
        answers=fact.answers,
        level=fact.level,
        why=_why_open(known, fact) or why(fact, known.info),
        p_greedy=fact.p_greedy,
        p_sampled=fact.p_sampled,
        p_any_sample=fact.p_any_sample,
        level_probability=fact.level_probability,
        near_tie=fact.near_tie,
        confidence=fact.confidence,
        confidence_t1=fact.confidence_t1,
        p_greedy_refuse=fact.p_greedy_refuse,
        p_refuse=fact.p_refuse,
        sets=tuple(_shown_sets(known, fact)),
    )


def _shown_sets(known: KnowledgeMap, fact: FactKnowledge) -> list[ShownSet]:
    near = max(_setting(known.info.probe, "near_tie_margin"), known.info.noise)
    try:
        prompts = [known.prompt(fact.id, answer.set) for answer in fact.sets]
    except KeyError:
        raise RunDirError(f'the map does not say how fact "{fact.id}" was asked; probe again') from None
    return [
        ShownSet(
            set=answer.set,
            prompt=prompt.before + fact.question + prompt.after,
            greedy_correct=answer.greedy_correct,
            greedy_answer=answer.greedy_answer,
            p_lower=answer.p_lower,
            p_upper=answer.p_upper,
            p=answer.p,
            confidence_lower=answer.confidence_lower,
            confidence_upper=answer.confidence_upper,
            confidence=answer.confidence,
            confidence_t1_lower=answer.confidence_t1_lower,
            confidence_t1_upper=answer.confidence_t1_upper,
            confidence_t1=answer.confidence_t1,
            greedy_refused=answer.greedy_refused,
            p_refuse_lower=answer.p_refuse_lower,
            p_refuse_upper=answer.p_refuse_upper,
            p_refuse=answer.p_refuse,
            margin=answer.margin if math.isfinite(answer.margin) else None,
            near_tie=answer.margin < near,
            exemplar_ids=prompt.exemplar_ids,
        )
        for answer, prompt in zip(fact.sets, prompts, strict=True)
    ]


def _why_open(known: KnowledgeMap, fact: FactKnowledge) -> str:
    """Why the level of a fact is open; empty where it is settled."""
    levels = known.open_levels(fact.id)
    if levels is None:
        return ""
    sets = plural(len(fact.sets), "exemplar set")
    return (
        f"{levels[0]} or {levels[1]}, which is open: greedy is never right under {sets}, and the server "
        "tells too few log-probabilities for tighter bounds"
    )


def why(fact: FactKnowledge, info: MapInfo) -> str:
    """Why a fact has its level, in words (SliCK, arXiv 2405.05904, table 1)."""
    sets = plural(len(fact.sets), "exemplar set")
    right = sum(answer.greedy_correct for answer in fact.sets)
    if fact.level is Level.HIGHLY_KNOWN:
        return f"greedy is right under all of {sets}"
    if fact.level is Level.MAYBE_KNOWN:
        return f"greedy is right under {right} of {sets}"
    never = f"greedy is never right under {sets}"
    join = "yet" if fact.level is Level.WEAKLY_KNOWN else "and"
    sampled_sets = [answer for answer in fact.sets if answer.n_right is not None and answer.n_samples is not None]
    if sampled_sets:
        num_right = sum(answer.n_right or 0 for answer in sampled_sets)
        num_drawn = sum(answer.n_samples or 0 for answer in sampled_sets)
        return f"{never}, {join} {num_right or 'none'} of {plural(num_drawn, 'sampled answer')} {_is(num_right)} right"
    samples = plural(round(_setting(info.probe, "num_samples")), "sample")
    bound = "at least" if fact.level is Level.WEAKLY_KNOWN else "less than"
    return (
        f"{never}, {join} {samples} under each would show a right answer with chance {fact.p_any_sample:.3f} "
        f"({bound} {WEAKLY_KNOWN_CHANCE:g})"
    )


def _is(number: int) -> str:
    return "is" if number <= 1 else "are"


def _setting(probe: Mapping[str, object], name: str) -> float:
    value = probe.get(name, 0)
    return value if isinstance(value, int | float) else 0.0


def _probe_line(each: ShownProbe) -> str:
    answer = "not written out" if each.greedy_answer is None else f"“{visible(each.greedy_answer)}”"
    return (
        f"  probe {each.probe}   {each.level:<11}  p_greedy {each.p_greedy:.3f}   p_sampled {each.p_sampled:.4f}   "
        f"greedy answer {answer}  ({stage_name(each.probe)})"
    )


def _set_lines(each: ShownSet) -> list[str]:
    verdict = "right" if each.greedy_correct else "refused" if each.greedy_refused else "wrong"
    answer = "not written out" if each.greedy_answer is None else f"“{visible(each.greedy_answer)}”"
    bounds = f"p {each.p:.4f}" + ("" if each.p_lower == each.p_upper else f" {interval(each.p_lower, each.p_upper, 4)}")
    if each.confidence is not None:
        bounds += f"; confidence {each.confidence:.4f}, at temperature 1 {each.confidence_t1:.4f}"
    if each.p_refuse is not None:
        bounds += f"; p_refuse {each.p_refuse:.4f}"
    margin = "no close decision" if each.margin is None else f"margin {each.margin:.3f}"
    tie = ", near tie" if each.near_tie else ""
    shots = ", ".join(visible(shot) for shot in each.exemplar_ids) or "none"
    return [
        "",
        f"  set {each.set}: greedy {verdict}, {answer}; {bounds}; {margin}{tie}",
        f"    shots: {shots}",
        *(f"    | {visible(line)}" for line in each.prompt.split("\n")),
    ]
