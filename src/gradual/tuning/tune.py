"""Tunes: goes through the ladder of recipes by halving on the validation facts, and makes the run of the best.

Every recipe is a run of its own in the folder `tuning/`, which is left after some epochs as by a kill and gone on with
if the recipe is; runs share what they do in the same way. Test facts are asked once, by the run made at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.comparison.estimate import PartTimes
from gradual.comparison.folder import ComparisonRequest, share_steps
from gradual.config.run import ProbeConfig, RunConfig, with_taught_refusals
from gradual.engines.transformers_engine import TransformersEngine
from gradual.errors import ConfigError, TrainingError
from gradual.facts.matching import matching_of
from gradual.facts.prepare import RunFacts
from gradual.facts.refusal_checks import check_refusals, taught_refusals
from gradual.files import storage
from gradual.files.folder_guard import refuse_foreign_folder, refuse_other_fingerprint
from gradual.files.lock import single_writer
from gradual.files.typed_json import read_typed
from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, KnowledgeMap, read_cost, read_map, write_map
from gradual.models.adapters import with_adapter
from gradual.models.load import LoadedModel
from gradual.probing.probe import probe_facts
from gradual.progress import Progress, Silent, warn
from gradual.run.checks import check_questions, load_to_train, run_fingerprint, say_what_to_know
from gradual.run.cost import stage_cost
from gradual.run.folder import RunDir
from gradual.run.pipeline import fit_loaded, train_in_part
from gradual.run.planning.timing import TIMING, probe_sample
from gradual.run.stage_files import EpochLine, read_epoch_times, read_epochs
from gradual.run.steps import Step, planned_steps, scoring_settings
from gradual.statistics.calibration import AnsweredFact
from gradual.training.trackers import check_trackers
from gradual.tuning.budget import recipes_within
from gradual.tuning.choice import Judge, Outcome, few_facts_warning, outcome_of
from gradual.tuning.halving import Score, halve
from gradual.tuning.ladder import Candidate, Goal, first_candidates, second_candidates
from gradual.tuning.record import BASE, TUNING_FOLDER, Difference, RecipeResult, TuningFile, tuning_path


@dataclass(frozen=True)
class TuneRequest:
    """What to tune."""

    config: RunConfig
    run_facts: RunFacts
    goal: Goal = "accuracy"
    budget: float | None = None
    """Seconds that all may take, as far as can be told beforehand; None: no limit."""


def tune(request: TuneRequest, out: Path, *, progress: Progress | None = None) -> TuningFile:
    """Finds the best recipe and makes its run in the folder `out`, or goes on with that; finished parts stay.

    Raises:
        ConfigError: test facts would choose epochs, the budget is too small for one rung, or a refusal is an answer.
        DataError, ModelError: as for `pipeline.fit`.
        RunDirError: another process writes there, or the folder was made with another goal, budget, setting or fact.
    """
    progress = progress or Silent()
    config, run_facts = _config_of_runs(request), request.run_facts
    say_what_to_know(config, run_facts, progress)
    if told := few_facts_warning(len(run_facts.validation)):
        warn(progress, told)
    refuse_foreign_folder(out, TUNING_FOLDER, "tuning's")
    with single_writer(out / TUNING_FOLDER):
        check_trackers(request.config.report_to)  # the runs that are tried have none
        loaded = load_to_train(config, progress)
        check_questions(loaded, planned_steps(config, run_facts))
        tuning = _Tuning(request, config, loaded, out, progress)
        best, found = tuning.choose()
    storage.write_json(tuning_path(out), found.as_json())
    fit_loaded(
        config.model_copy(update={"stages": list(best.stages), "report_to": request.config.report_to}),
        run_facts,
        loaded,
        out,
        progress=progress,
        before=lambda run, steps: share_steps(run, steps, tuning.runs()),
    )
    tuning.clear()
    return found


def _config_of_runs(request: TuneRequest) -> RunConfig:
    """The settings of all runs: all count the same answers as refusals, and none reports to a tracker.

    Raises:
        ConfigError: test facts would choose epochs, or what a recipe teaches to say is an answer.
    """
    config = request.config
    if config.evaluation.protocol != "validation":
        raise ConfigError(
            f"evaluation.protocol: {config.evaluation.protocol} chooses epochs by the test facts, which tuning asks at "
            "its end only - set it to validation"
        )
    first = first_candidates(config, request.goal)
    every = [*first, *second_candidates(config, request.goal, first[0])]
    stages = {f'recipe "{each.name}"': each.stages[-1] for each in every}
    check_refusals(taught_refusals(stages), request.run_facts.all_facts(), matching_of(config.probe))
    refusals = with_taught_refusals(config.evaluation.refusals, [*config.stages, *stages.values()])
    evaluation = config.evaluation.model_copy(update={"refusals": refusals})
    return config.model_copy(update={"evaluation": evaluation, "report_to": []})


class _Tuning:
    """One call of `tune`."""

    def __init__(
        self, request: TuneRequest, config: RunConfig, loaded: LoadedModel, out: Path, progress: Progress
    ) -> None:
        self.request, self.config, self.run_facts = request, config, request.run_facts
        self.loaded, self.progress = loaded, progress
        self.folder = out / TUNING_FOLDER
        self.path = tuning_path(out)
        self.goal = request.goal
        self.candidates: dict[str, Candidate] = {}
        self.notes: dict[str, str] = {}
        """Why recipes could not be trained."""
        self._base: Outcome | None = None
        self._highly_known: frozenset[str] | None = None

    def choose(self) -> tuple[Candidate, TuningFile]:
        """The best recipe, and the record of how it was found."""
        plan = self._plan()
        if not self.path.is_file():
            storage.write_json(self.path, plan.as_json())
        firsts = first_candidates(self.config, self.goal)
        finalists = self._halve(firsts[: plan.num_recipes[0]])
        if finalists and plan.num_recipes[1]:
            seconds = second_candidates(self.config, self.goal, finalists[0])[: plan.num_recipes[1]]
            finalists += self._halve(seconds)
        if not finalists:
            raise TrainingError("\n".join(["no recipe could be trained:", *self._told_notes()]))
        return self._choice(plan, finalists)

    def runs(self) -> list[RunDir]:
        """The runs of all recipes that have begun."""
        return [RunDir(file.parent) for file in sorted(self.folder.glob("runs/*/run.json"))]

    def clear(self) -> None:
        """Removes what only stages that are gone on with need."""
        for name, candidate in self.candidates.items():
            storage.remove(self._run(name).checkpoints(candidate.number))

    # --- which recipes -----------------------------------------------------------------------------------------------

    def _plan(self) -> TuningFile:
        """What is gone through: as begun, or what fits into the budget.

        Raises:
            RunDirError: it was begun otherwise.
        """
        budget = self.request.budget
        fingerprint = run_fingerprint(self.config, self.run_facts, self.loaded.fingerprint)
        fingerprint |= {"--goal": self.goal, "--budget": json.dumps(budget)}
        if self.path.is_file():
            before = read_typed(self.path, TuningFile)
            refuse_other_fingerprint(self.folder, before.fingerprint, fingerprint)
            return before
        first = first_candidates(self.config, self.goal)
        second = second_candidates(self.config, self.goal, first[0])
        numbers, seconds = (len(first), len(second)), None
        if budget is not None:
            numbers, seconds = self._within_budget(first, second, budget)
        return TuningFile(fingerprint=fingerprint, goal=self.goal, num_recipes=numbers, estimated_seconds=seconds)

    def _within_budget(
        self, first: Sequence[Candidate], second: Sequence[Candidate], budget: float
    ) -> tuple[tuple[int, int], float]:
        compare = self.config.compare.model_copy(update={"num_retested": 0})
        config = self.config.model_copy(update={"compare": compare})
        engine = TransformersEngine(self.loaded)
        sample = probe_sample(config, self.run_facts, engine, self.progress)
        self.progress.say(TIMING)
        timed = PartTimes(ComparisonRequest(config, self.run_facts, [], []), engine, self.loaded, sample)
        firsts, seconds = ([each.stages[-1] for each in some] for some in (first, second))
        return recipes_within(firsts, seconds, timed, budget)

    # --- training ----------------------------------------------------------------------------------------------------

    def _halve(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        by_name = {each.name: each for each in candidates}
        self.candidates |= by_name
        epochs = max(each.stages[-1].num_train_epochs for each in candidates)
        return [by_name[name] for name in halve(list(by_name), epochs, self._score)]

    def _score(self, name: str, num_epochs: int) -> Score | None:
        """How good a recipe is after so many epochs; None where it cannot be trained."""
        candidate, run = self.candidates[name], self._run(name)
        if not self._has_had(run, candidate, num_epochs):
            self.progress.say(f"recipe {name}: up to epoch {num_epochs} of stage {candidate.number}")
            try:
                self._train(candidate, num_epochs)
            except TrainingError as error:  # of this recipe alone
                self.notes[name] = str(error)
                self.progress.say(f"recipe {name} is out: {error}")
                return None
        lines = self._lines(candidate, num_epochs)
        if not lines:
            self.notes[name] = "no fact matches what it trains on"
            return None
        return self._judge().score(outcome_of(lines, self.run_facts.validation, run.epochs(candidate.number)))

    def _has_had(self, run: RunDir, candidate: Candidate, num_epochs: int) -> bool:
        stage = candidate.number
        if not run.info.is_file():
            return False
        if run.is_done(Step("stage", stage).name):
            return True
        lines = read_epochs(run, stage)
        return num_epochs < candidate.stages[-1].num_train_epochs and bool(lines) and lines[-1].epoch >= num_epochs

    def _train(self, candidate: Candidate, num_epochs: int) -> None:
        train_in_part(
            self.config.model_copy(update={"stages": list(candidate.stages)}),
            self.run_facts,
            self.loaded,
            self._run(candidate.name).path,
            stage=candidate.number,
            num_epochs=num_epochs,
            progress=self.progress,
            before=lambda run, steps: share_steps(run, steps, self.runs()),
        )

    def _run(self, name: str) -> RunDir:
        return RunDir(self.folder / "runs" / name)

    def _lines(self, candidate: Candidate, num_epochs: int) -> list[EpochLine]:
        """What the epochs of a recipe's own stage came to, so far."""
        lines = read_epochs(self._run(candidate.name), candidate.number)
        return [line for line in lines if 1 <= line.epoch <= num_epochs]

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _judge(self) -> Judge:
        """Holds all recipes against the base model, which every first stage has scored before it trained."""
        if self._base is None:
            run = next(run for run in self.runs() if read_epochs(run, 1))
            self._base = outcome_of(read_epochs(run, 1)[:1], self.run_facts.validation, run.epochs(1))
        if self._highly_known is None:
            self._highly_known = frozenset()
            if self.goal == "none_lost":
                settings = self.config.probe.model_copy(
                    update={"levels_only": True, "confidence": False, "refusals": []}
                )
                known = self._map("levels", settings, None, self.config.seed_of_exemplars)
                self._highly_known = frozenset(each.id for each in known if each.level is Level.HIGHLY_KNOWN)
        groups = {fact.id: fact.relation for fact in self.run_facts.validation}
        return Judge(self.goal, self._base, groups, self._highly_known)

    def _choice(self, plan: TuningFile, finalists: Sequence[Candidate]) -> tuple[Candidate, TuningFile]:
        judge = self._judge()
        ends = {each.name: self._outcome(each) for each in finalists}
        # Of equals the one of fewer stages, then the likelier one: sorting keeps their order.
        order = sorted(ends, key=lambda name: judge.score(ends[name]), reverse=True)
        best, others = order[0], order[1:]
        to_base = self._difference(judge, best, BASE, ends)
        to_runner_up = self._difference(judge, best, others[0], ends) if others else Difference()
        results = [self._result(each, judge, is_finalist=each.name in ends) for each in self.candidates.values()]
        base = RecipeResult(name=BASE, doc="the model as it came", accuracy=judge.base.accuracy, area=judge.base.area)
        found = plan.model_copy(
            update={
                "num_validation": len(self.run_facts.validation),
                "num_highly_known": len(judge.highly_known) if self.goal == "none_lost" else None,
                "results": (base, *results),
                "best": best,
                "keeps_base": not (judge.is_admissible(ends[best]) and judge.is_better(to_base)),
                "to_base": to_base,
                "runner_up": others[0] if others else "",
                "to_runner_up": to_runner_up,
                "facts_to_tell": judge.facts_to_tell(ends[best], ends[others[0]]) if others else None,
                "seconds": sum(each.seconds for each in results) + self._seconds_of_probes(),
            }
        )
        return self.candidates[best], found

    def _outcome(self, candidate: Candidate) -> Outcome:
        lines = self._lines(candidate, candidate.stages[-1].num_train_epochs)
        return outcome_of(lines, self.run_facts.validation, self._run(candidate.name).epochs(candidate.number))

    def _difference(self, judge: Judge, one: str, other: str, ends: Mapping[str, Outcome]) -> Difference:
        answers = None
        if self.goal == "few_confident_errors":
            answers = self._answers(one), self._answers(other)
        return judge.difference(ends[one], ends.get(other, judge.base), answers)

    def _answers(self, name: str) -> Mapping[str, AnsweredFact]:
        """What a finished recipe, or the base model, answers to the validation facts, and how sure it is."""
        adapter = None if name == BASE else self._run(name).adapter(self.candidates[name].number)
        settings = scoring_settings(self.config, with_confidence=True)
        return answers_with_confidence(self._map(name, settings, adapter, self.config.evaluation.exemplar_seed))

    def _map(self, name: str, settings: ProbeConfig, adapter: Path | None, seed: int) -> KnowledgeMap:
        """The map of the validation facts that is kept under this name, made if it is not there."""
        folder = self.folder / "validation" / name
        if not (folder / MAP_FILE).is_file():
            facts = self.run_facts.validation
            bar = self.progress.bar(f"validation facts, {name}", len(facts), "facts")
            with with_adapter(self.loaded, adapter) as loaded, bar as advance:
                engine = TransformersEngine(loaded)
                write_map(
                    probe_facts(facts, self.run_facts.exemplars, engine, settings, seed=seed, progress=advance), folder
                )
        return read_map(folder)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _result(self, candidate: Candidate, judge: Judge, *, is_finalist: bool) -> RecipeResult:
        stage = candidate.stages[-1]
        told = RecipeResult(
            name=candidate.name,
            doc=candidate.doc,
            stage=candidate.number,
            learning_rate=stage.learning_rate,
            note=self.notes.get(candidate.name, ""),
        )
        lines = self._lines(candidate, stage.num_train_epochs)
        if not lines:
            return told
        run, end = self._run(candidate.name), self._outcome(candidate)
        return told.model_copy(
            update={
                "epochs": lines[-1].epoch,
                "kept_epoch": end.epoch,
                "accuracy": end.accuracy,
                "area": end.area,
                "lost": judge.lost(end),
                "is_admissible": judge.is_admissible(end),
                "is_finalist": is_finalist,
                "seconds": stage_cost(read_epoch_times(run, candidate.number)).seconds or 0.0,
            }
        )

    def _seconds_of_probes(self) -> float:
        """Of the probes before stages, which runs share, and of the maps of validation facts."""
        numbers = {each.number - 1 for each in self.candidates.values()}
        probes = {number: run.probe(number) for run in self.runs() for number in numbers}
        folders = [folder for folder in probes.values() if (folder / MAP_FILE).is_file()]
        folders += [file.parent for file in self.folder.glob(f"validation/*/{MAP_FILE}")]
        return sum(read_cost(folder).seconds for folder in folders)

    def _told_notes(self) -> list[str]:
        return [f"  {name}: {note}" for name, note in self.notes.items()]
