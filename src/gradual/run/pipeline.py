"""The whole method: probe, train on what is half known, probe again, train on what came within reach, evaluate.

Each step reads the run folder and writes into it, and a finished step is never done again. Which steps there are says
`run.steps`; how a map is made and a stage is trained, the packages `probing`, `training` and `selection`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gradual.config.run import RunConfig
from gradual.config.stage import StageConfig
from gradual.config.yaml_file import dump_config
from gradual.engines.transformers_engine import TransformersEngine, reads_trees
from gradual.errors import LaunchError
from gradual.facts.fact import Fact
from gradual.facts.prepare import RunFacts
from gradual.facts.problems import write_left_out
from gradual.files import storage
from gradual.files.units import UnitStore
from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.map import Cost, KnowledgeMap, write_map
from gradual.models.adapters import with_adapter
from gradual.models.load import LoadedModel
from gradual.models.ranks import ALONE, Ranks
from gradual.probing.folder import say_missed_spellings
from gradual.probing.own_answers import OwnAnswer
from gradual.probing.probe import probe_facts
from gradual.probing.unit_worker import CrewRunner, open_runner
from gradual.progress import Advance, Progress, Silent, warn
from gradual.run.anchors.choice import anchor_warnings
from gradual.run.anchors.own_answers import OwnAnswerKey, own_answers
from gradual.run.anchors.targets import add_anchor, stage_facts
from gradual.run.checks import (
    check_in_step,
    check_packs,
    check_questions,
    load_to_train,
    run_fingerprint,
    say_what_to_know,
)
from gradual.run.cost import count_cost
from gradual.run.folder import RunDir, RunStatus, open_run, write_facts
from gradual.run.measures.benchmarks import score_benchmarks, write_scores
from gradual.run.measures.curves import curve_points
from gradual.run.measures.drift import DriftFile, drift_rows, measure_drift, write_drift
from gradual.run.stage_files import EpochLine, append_epoch, read_epochs, write_selection, write_stage
from gradual.run.stage_selection import (
    encoder,
    fact_states,
    in_epochs,
    select_for_stage,
    training_rows,
    warm_up_warning,
)
from gradual.run.steps import Questions, Step, planned_steps, scoring_settings
from gradual.run.summary.summarise import summarise
from gradual.run.transfer import questions_left
from gradual.selection.strategies import Selection
from gradual.statistics.calibration import area_under_risk_coverage
from gradual.training.epochs import EpochRecord, Score
from gradual.training.rows import TrainingRows
from gradual.training.trackers import send_curves
from gradual.training.train import StageResult, train_stage
from gradual.workers.cluster import Cluster


def fit(
    config: RunConfig,
    run_facts: RunFacts,
    out: str | Path,
    *,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
    cluster: Cluster | None = None,
) -> RunDir:
    """Makes or continues the run of the facts in folder `out`; finished steps are taken as they are.

    A run without MaybeKnown facts to train on ends in order, with its map and status `nothing_to_train`.

    Args:
        ranks: processes that all call this with the same arguments share probes and training; the first one writes.
        cluster: what starts workers for the units of probes, which see `out`; this process trains.

    Raises:
        LaunchError: the processes can't do one run together, or one has ended; the cluster has no room.
        ConfigError, DataError, ModelError: the settings, facts or model cannot be used (before anything is computed).
        RunDirError: the folder belongs to another process or to a run with other settings.
        TrainingError: a loss is not a number.
    """
    progress = progress or Silent()
    say_what_to_know(config, run_facts, progress)
    if ranks.in_step:
        check_in_step(config)
    loaded = load_to_train(config, progress, threads=1 if cluster else None)  # as workers compute
    if ranks.total > 1:
        check_packs(config.stages, ranks.total, reads_trees=reads_trees(loaded))
    with ExitStack() as stack:
        crew = stack.enter_context(open_runner(cluster, loaded)) if cluster else None
        return fit_loaded(config, run_facts, loaded, Path(out), progress=progress, ranks=ranks, crew=crew)


def fit_loaded(
    config: RunConfig,
    run_facts: RunFacts,
    loaded: LoadedModel,
    out: Path,
    *,
    progress: Progress,
    before: Callable[[RunDir, Sequence[Step]], None] = lambda run, steps: None,
    ranks: Ranks = ALONE,
    last_stage: int | None = None,
    crew: CrewRunner | None = None,
) -> RunDir:
    """The same with a model that is loaded and checked already.

    Args:
        before: may take over finished steps of other runs.
        last_stage: leave the steps after this stage to another time; 0 is the base model.
        crew: runs the units of probes; without one this process does.
    """
    check_questions(loaded, planned_steps(config, run_facts))
    fingerprint = run_fingerprint(config, run_facts, loaded.fingerprint, num_processes=ranks.total)
    ranks.refuse_differences(fingerprint | {"--out": str(out.resolve())})
    if not ranks.is_first:
        _Fit(RunDir(out), config, run_facts, loaded, Silent(), ranks).follow(fingerprint)
        return RunDir(out)
    with open_run(out, fingerprint, config_yaml=dump_config(config)) as run:
        fitting = _Fit(run, config, run_facts, loaded, progress, ranks, crew)
        before(run, fitting.steps)
        fitting.all_steps(last_stage)
        ranks.share()
    return run


def train_in_part(
    config: RunConfig,
    run_facts: RunFacts,
    loaded: LoadedModel,
    out: Path,
    *,
    stage: int,
    num_epochs: int,
    progress: Progress,
    before: Callable[[RunDir, Sequence[Step]], None],
) -> RunDir:
    """Trains a stage of a run for so many epochs at most, with all that it rests on; asks no test fact.

    The run is then as a kill would have left it: the same call with more epochs goes on, `fit_loaded` does the rest.

    Raises:
        RunDirError, TrainingError: as for `fit`.
    """
    with open_run(out, run_fingerprint(config, run_facts, loaded.fingerprint), config_yaml=dump_config(config)) as run:
        fitting = _Fit(run, config, run_facts, loaded, progress, pauses={stage: num_epochs})
        fitting.steps = [step for step in fitting.steps if step.is_needed_for(stage)]
        before(run, fitting.steps)
        fitting.each_step()
    return run


class _Fit:
    """One call of `fit`: the steps of a run, in order.

    Of several processes the first one does them, and calls the others to share a map or a stage: see `follow`.
    """

    def __init__(
        self,
        run: RunDir,
        config: RunConfig,
        run_facts: RunFacts,
        loaded: LoadedModel,
        progress: Progress,
        ranks: Ranks = ALONE,
        crew: CrewRunner | None = None,
        pauses: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self.run = run
        self.config = config
        self.run_facts = run_facts
        self.loaded = loaded
        self.progress = progress
        self.ranks = ranks
        self.crew = crew
        self.pauses = pauses
        """Epochs after which stages are left, by the number of the stage."""
        self.steps = planned_steps(config, run_facts)

    def all_steps(self, last_stage: int | None = None) -> None:
        """Does what is left of the run, or of its steps up to a stage."""
        has_trained = self.each_step(last_stage)
        if has_trained and last_stage is not None and last_stage < len(self.config.stages):
            return
        status: RunStatus = "complete" if has_trained else "nothing_to_train"
        summary = summarise(
            self.run,
            self.config,
            warnings=self.run_facts.warnings,
            dropped_for_overlap=self.run_facts.dropped_for_overlap,
        )
        storage.write_json(self.run.cost, count_cost(self.run, len(self.config.stages)).as_json())
        storage.write_json(self.run.summary, summary.as_json())
        if self.run.status == "running":  # of a run that had ended already, trackers have been told
            send_curves(self.config.report_to, self.run.path, curve_points(self.run))
        self.run.set_status(status)

    def each_step(self, last_stage: int | None = None) -> bool:
        """Does the steps in order, or those up to a stage; False where one finds nothing to train on or is left."""
        return all(self._do_step(step) for step in self.steps if last_stage is None or step.stage <= last_stage)

    def follow(self, fingerprint: Mapping[str, str]) -> None:
        """In a process that is not the first: shares each map and stage that the first comes to, until it has ended.

        Raises:
            LaunchError: this process does not see the folder of the run, or another one has ended.
        """
        while (message := self.ranks.share()) is not None:
            if not self.run.info.is_file() or self.run.fingerprint != dict(fingerprint):
                raise LaunchError(
                    f"{self.run.path}: expected the folder that process 0 writes, found none, or another - put it on a "
                    "disk that all machines see"
                )
            step, training = message
            if step.kind == "drift":
                self._read_drift(step)
                continue
            if training is None:
                self._ask(step, step.questions, None, lambda _: None)
                continue
            stage, data = training
            engine = TransformersEngine(self.loaded)
            rows = TrainingRows(**data, style=engine.prompt_style(self.config.probe), encode=encoder(engine))
            self._train(step.stage, stage, rows)

    def _do_step(self, step: Step) -> bool:
        """Does a step, unless it is done; False where it finds nothing to train on, which ends the run."""
        if step.training is not None:
            return self._train_stage(step, step.training)
        if step.questions is not None:
            self._make_map(step, step.questions)
        elif step.kind == "drift":
            self._measure_drift(step)
        elif step.kind == "lm_eval":
            self._score_benchmarks(step)
        elif step.drawing is not None:
            return True  # its stage draws them, once it knows of which facts
        elif not self.run.is_done(step.name):
            write_facts(self.run_facts.all_facts(), self.run.facts)
            if self.run_facts.left_out:
                write_left_out(self.run_facts.left_out, self.run.left_out)
            self.run.mark_done(step.name, step.results(self.run))
        return True

    def _make_map(self, step: Step, questions: Questions) -> None:
        """Makes a knowledge map, unless it is there; finished units of an interrupted one are kept."""
        units = self.run.units(step.name)
        if self.run.is_done(step.name):
            units.clear()  # left where a kill came between the map and this
            return
        if step.form is not None:
            questions = replace(
                questions, facts=tuple(questions_left(self.run, step.form, step.stage, questions.facts))
            )
        self.ranks.share((replace(step, questions=questions), None))
        with self.progress.bar(step.name, len(questions.facts), "facts") as advance:
            known = self._ask(step, questions, units, advance)
        write_map(known, step.folder(self.run))
        if step.kind == "probe" and not step.stage:
            say_missed_spellings(known, questions.settings, self.progress)
        self.run.mark_done(step.name, step.results(self.run))
        units.clear()

    def _ask(self, step: Step, questions: Questions, units: UnitStore | None, advance: Advance) -> KnowledgeMap:
        """The map of a step, made by all processes together."""
        adapter = self.run.adapter(step.stage) if step.stage else None
        with ExitStack() as stack:
            reader: CrewRunner | TransformersEngine
            if self.crew is not None:
                reader = self.crew.with_adapter(adapter)
            else:
                reader = TransformersEngine(stack.enter_context(with_adapter(self.loaded, adapter)))
            return probe_facts(
                questions.facts,
                self.run_facts.exemplars,
                reader,
                questions.settings,
                seed=questions.exemplar_seed,
                units=units,
                progress=advance,
                ranks=self.ranks,
            )

    def _measure_drift(self, step: Step) -> None:
        """Tells how far the stages so far have moved the model, unless it is told."""
        if self.run.is_done(step.name):
            return
        if self.ranks.in_step:
            self.ranks.share((step, None))
        write_drift(self.run, step.stage, *self._read_drift(step))
        self.run.mark_done(step.name, step.results(self.run))

    def _read_drift(self, step: Step) -> tuple[DriftFile, Cost]:
        """The drift up to a stage; a model in parts is read by all processes together."""
        rows = drift_rows(self.config, self.run_facts, TransformersEngine(self.loaded))
        total = len(rows.text) + len(rows.prompts)
        with (
            with_adapter(self.loaded, self.run.adapter(step.stage)) as loaded,
            self.progress.bar(step.name, total, "texts") as advance,
        ):
            return measure_drift(rows, loaded, advance)

    def _score_benchmarks(self, step: Step) -> None:
        """Tells what the model scores on other people's tasks, unless it is told."""
        if self.run.is_done(step.name):
            return
        self.progress.say(f"{step.label}: {', '.join(self.config.evaluation.lm_eval)}")
        adapter = self.run.adapter(step.stage) if step.stage else None
        with with_adapter(self.loaded, adapter) as loaded:
            found, cost = score_benchmarks(self.config.evaluation, loaded)
        write_scores(self.run, step.stage, found, cost)
        self.run.mark_done(step.name, step.results(self.run))

    def _train_stage(self, step: Step, stage: StageConfig) -> bool:
        """Trains a stage, unless it is done; False if there is nothing to train on."""
        index = step.stage
        if self.run.is_done(step.name):
            storage.remove(self.run.checkpoints(index))
            return True
        selection = select_for_stage(
            fact_states(self.run, index), stage, seed=self.config.seed_of_training, index=index
        )
        write_selection(selection, self.run.selection(index))
        if selection.new_shortfall:
            self.progress.say(f"stage {index}: {selection.new_shortfall} facts fewer than the size asked for")
        warn(self.progress, *(f"stage {index}: {text}" for text in anchor_warnings(selection, stage)))
        if not selection.num_new and not selection.num_abstain:
            self.progress.say(f"stage {index}: no fact matches `{selection.strategy.select}`; the run ends here")
            return False
        engine = TransformersEngine(self.loaded)
        style = engine.prompt_style(self.config.probe)
        facts = stage_facts(selection, self.run_facts.train, stage, style)
        rows = training_rows(facts, stage, self.run_facts.exemplars, engine, self.config)
        stage = in_epochs(stage, rows)
        rows = add_anchor(rows, selection, stage, lambda rows, ids: self._own_answers(index, stage, rows, ids, engine))
        num_steps = rows.steps_per_epoch * stage.num_train_epochs
        if text := warm_up_warning(stage, num_steps):
            warn(self.progress, f"stage {index}: {text}")
        self.ranks.share((step, (stage, rows.as_data())))
        with self.progress.bar(step.name, num_steps, "steps") as advance:
            result = self._train(index, stage, rows, lambda: advance(1))
        if result is None:
            return False
        self._finish_stage(step, stage, selection, result)
        return True

    def _train(
        self, index: int, stage: StageConfig, rows: TrainingRows, on_step: Callable[[], None] = lambda: None
    ) -> StageResult | None:
        """Trains a stage, in all processes together; None where it is left before its end."""
        return train_stage(
            self.loaded,
            rows,
            stage,
            lora=self.config.lora,
            start_adapter=self.run.adapter(index - 1) if index > 1 else None,
            folder=self.run.stage(index),
            score=partial(self._score, stage),
            seed=self.config.seed_of_training,
            report_to=self.config.report_to,
            on_step=on_step,
            on_epoch=lambda record: self._note_epoch(index, record),
            ranks=self.ranks,
            pause_after=self.pauses.get(index),
        )

    def _own_answers(
        self, index: int, stage: StageConfig, rows: TrainingRows, ids: frozenset[str], engine: TransformersEngine
    ) -> dict[OwnAnswerKey, OwnAnswer]:
        """What the base model says of some facts, for every epoch of a stage."""
        step = Step("own_answers", index)
        per_epoch = stage.anchor.per_epoch if stage.anchor is not None else 1
        total = len(ids) * stage.num_train_epochs * per_epoch
        units = self.run.units(step.name)
        with self.progress.bar(step.name, total, "answers") as advance:
            answers = own_answers(
                self.run.own_answers(index),
                rows,
                ids,
                stage,
                engine,
                max_new_tokens=self.config.probe.max_new_tokens,
                seed=f"{self.config.seed_of_training}/stage-{index}/own-answers",
                units=units,
                progress=advance,
            )
        self.run.mark_done(step.name, step.results(self.run))
        units.clear()
        return answers

    def _note_epoch(self, index: int, record: EpochRecord) -> None:
        """Keeps an epoch's numbers at once and says them."""
        append_epoch(self.run, index, record)
        loss = "" if record.loss is None else f"loss {record.loss:.3f}, "
        facts = "validation" if self.config.evaluation.protocol == "validation" else "test"
        area = "" if record.eval_area is None else f", area {record.eval_area:.3f}"
        self.progress.say(
            f"stage {index}, epoch {record.epoch}: {loss}{facts} accuracy {record.eval_accuracy:.3f}{area}"
        )

    def _score(self, stage: StageConfig, model: Any) -> Score:
        """How a model does on the facts that choose the best epoch."""
        engine = TransformersEngine(
            LoadedModel(model, self.loaded.tokenizer, self.loaded.source, self.loaded.fingerprint)
        )
        with_area = stage.keep_epoch == "best_risk_coverage"
        is_by_test = self.config.evaluation.protocol == "paper"
        validation = self._accuracy(self.run_facts.validation, engine, with_area=with_area and not is_by_test)
        if not is_by_test:
            return validation
        on_test = self._accuracy(self.run_facts.test, engine, with_area=with_area)
        return on_test._replace(verdicts=validation.verdicts, validation_accuracy=validation.accuracy)

    def _accuracy(self, facts: Sequence[Fact], engine: TransformersEngine, *, with_area: bool) -> Score:
        """Greedy accuracy on some facts, under the fixed exemplar set; the area of risk and coverage where asked."""
        known = probe_facts(
            facts,
            self.run_facts.exemplars,
            engine,
            scoring_settings(self.config, with_confidence=with_area),
            seed=self.config.evaluation.exemplar_seed,
            ranks=self.ranks,
        )
        right = {fact.id: fact.sets[0].greedy_correct for fact in known}
        return Score(
            accuracy=sum(right.values()) / len(known),
            p=sum(fact.sets[0].p_lower for fact in known) / len(known),
            verdicts="".join(str(int(right[fact])) for fact in sorted(right)),
            area=area_under_risk_coverage(list(answers_with_confidence(known).values())),
        )

    def _finish_stage(self, step: Step, stage: StageConfig, selection: Selection, result: StageResult) -> None:
        index = step.stage
        epochs = read_epochs(self.run, index)
        summary = write_stage(
            self.run,
            index,
            selection,
            stage,
            epochs,
            best_epoch=result.best_epoch,
            stopped_early=result.stopped_early,
            optimism=self._optimism(index, stage, epochs, result.best_epoch),
        )
        if not summary.improved:
            self.progress.say(
                f"stage {index}: the epoch kept is no better than before on the facts it is scored on; see epochs.jsonl"
            )
        self.run.mark_done(step.name, step.results(self.run))
        storage.remove(self.run.checkpoints(index))

    def _optimism(self, index: int, stage: StageConfig, epochs: Sequence[EpochLine], best: int) -> float | None:
        """By how much choosing the epoch on the test facts flatters: against the epoch that validation facts choose."""
        if self.config.evaluation.protocol == "validation" or stage.keep_epoch != "best_accuracy":
            return None
        on_test = {each.epoch: each.eval_accuracy for each in epochs}
        chosen = max(epochs, key=lambda each: each.validation_accuracy or 0.0).epoch
        optimism = on_test[best] - on_test[chosen]
        self.progress.say(
            f"stage {index}: the best epoch ({best}) was chosen on the test facts, as in the paper; validation facts "
            f"choose epoch {chosen}, with {optimism:.1%} less test accuracy"
        )
        return optimism
