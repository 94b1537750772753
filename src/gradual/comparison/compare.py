"""Runs the arms of a comparison, each with every seed, as ordinary runs that share what they have in common.

Decides which runs the folder of a comparison gets and which of their steps are the same. `run.pipeline` makes each
run; the package `findings` reads what they say from the folder alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gradual.comparison.arms import Arm, check_comparison, resolve_arms
from gradual.comparison.folder import PLAN_FILE, RETESTS, ComparisonFolder, ComparisonRequest, plan_of, share_steps
from gradual.comparison.retests import Retester
from gradual.comparison.stopping import RetestNull, Round, stop_reason
from gradual.config.run import RunConfig, with_taught_refusals
from gradual.config.stage import StageConfig
from gradual.errors import TrainingError
from gradual.facts.matching import matching_of
from gradual.facts.prepare import RunFacts
from gradual.facts.refusals import check_refusals, taught_refusals
from gradual.files import storage
from gradual.files.folder_guard import refuse_foreign_folder
from gradual.files.lock import single_writer
from gradual.knowledge.map import KnowledgeMap, read_map
from gradual.knowledge.transitions import came_within_reach
from gradual.models.load import LoadedModel
from gradual.progress import Progress, Silent, warn
from gradual.run.checks import load_to_train, say_what_to_know
from gradual.run.folder import RunDir
from gradual.run.pipeline import fit_loaded
from gradual.run.stage_files import read_stage, validation_counts
from gradual.run.steps import Step


def plan_comparison(
    config: RunConfig,
    run_facts: RunFacts,
    *,
    arms: Sequence[str] | None = None,
    num_seeds: int | None = None,
    limit: int | None = None,
) -> ComparisonRequest:
    """The arms and seeds to run, checked.

    Args:
        config: settings; their section `compare` says what is not given here.
        prepared: the facts of all runs.
        arms: names of the arms.
        num_seeds: times that each arm is trained.
        limit: keep this many training facts, and the same share of all others.

    Raises:
        ConfigError: an arm does not exist, can choose no facts, or teaches an answer as a refusal.
    """
    count = num_seeds if num_seeds is not None else config.compare.num_seeds
    config = config.model_copy(update={"compare": config.compare.model_copy(update={"num_seeds": count})})
    if limit is not None:
        run_facts = run_facts.sample(limit)
    chosen = resolve_arms(config, arms)
    stages = {f'arm "{a.name}": stages[{index}]': stage for a in chosen for index, stage in enumerate(a.stages)}
    check_refusals(taught_refusals(stages), run_facts.all_facts(), matching_of(config.probe))
    config = _with_one_list_of_refusals(config, list(stages.values()))
    seeds = [config.seed_of_training + number for number in range(count)]
    return ComparisonRequest(config, run_facts, chosen, seeds)


def _with_one_list_of_refusals(config: RunConfig, stages: Sequence[StageConfig]) -> RunConfig:
    """The settings with all that any arm teaches to say among the refusals: all arms' answers are counted alike."""
    own = [stage for arm in config.compare.own_arms for stage in arm.stages]
    refusals = with_taught_refusals(config.evaluation.refusals, [*config.stages, *own, *stages])
    return config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"refusals": refusals})})


def compare(request: ComparisonRequest, out: Path, *, progress: Progress | None = None) -> ComparisonFolder:
    """Makes or continues the runs of a comparison in the folder `out`; finished steps are taken as they are.

    An arm that selects no facts ends and is reported; the others go on.

    Raises:
        ConfigError, DataError, ModelError: as for `pipeline.fit`.
        TrainingError: some arms could not be trained; a line for each, once all others are finished.
        RunDirError: another process writes there, or a run there was made with other settings or facts.
    """
    progress = progress or Silent()
    config, folder = request.config, ComparisonFolder(out)
    say_what_to_know(config, request.run_facts, progress, besides=check_comparison(request.arms, config.compare))
    refuse_foreign_folder(out, PLAN_FILE, "comparison's")
    with single_writer(out):
        loaded = load_to_train(config, progress)
        storage.write_json(folder.plan, plan_of(request, folder, loaded).as_json())
        _Comparison(request, folder, loaded, progress).all_runs()
    return folder


class _Comparison:
    """One call of `compare`."""

    def __init__(
        self, request: ComparisonRequest, folder: ComparisonFolder, loaded: LoadedModel, progress: Progress
    ) -> None:
        self.request = request
        self.folder = folder
        self.loaded = loaded
        self.progress = progress

    def all_runs(self) -> None:
        """Does what is left: of one seed all arms before the next seed, arms that are measured by another one last."""
        arms = sorted((arm for arm in self.request.arms if arm.stages), key=lambda arm: arm.same_steps_as is not None)
        self._retests()
        failures: list[str] = []
        total = len(arms) * len(self.request.seeds)
        done = 0
        for seed in self.request.seeds:
            for arm in arms:
                done += 1
                self.progress.say(f"arm {arm.name}, seed {seed} ({done} of {total})")
                try:
                    self._run_arm(arm, seed)
                except TrainingError as error:  # of this arm alone: the others tell what they tell
                    failures.append(f"arm {arm.name}, seed {seed}: {error}")
                    self.progress.say(f"failed: {failures[-1]}")
        if failures:
            raise TrainingError("\n".join(failures))

    def _run_arm(self, arm: Arm, seed: int) -> None:
        stages = list(arm.stages)
        if arm.same_steps_as is not None:
            steps = _num_steps(self.folder.run(arm.same_steps_as, seed))
            if not steps:
                self.progress.say(f"arm {arm.name}, seed {seed}: left out, as {arm.same_steps_as} has trained nothing")
                return
            stages = self._stages_with_steps(arm, seed, stages, steps)
            self._refuse_other_steps(arm, seed, stages)
        if arm.max_stages is not None:
            stages = self._stages_of_rounds(arm, seed, stages)
        self._fit(stages, seed, self.folder.run(arm.name, seed))

    def _fit(self, stages: Sequence[StageConfig], seed: int, run: RunDir) -> RunDir:
        config = self.request.config
        changes = {"stages": list(stages), "training_seed": seed}
        if config.compare.redraw_exemplars:
            evaluation = config.evaluation.model_copy(update={"exemplar_seed": seed})
            changes |= {"exemplar_seed": seed, "evaluation": evaluation}
        return fit_loaded(
            config.model_copy(update=changes),
            self.request.run_facts,
            self.loaded,
            run.path,
            progress=self.progress,
            before=self._take_over,
        )

    def _take_over(self, run: RunDir, steps: Sequence[Step]) -> None:
        share_steps(run, steps, self.folder.runs())

    def _stages_with_steps(self, arm: Arm, seed: int, stages: list[StageConfig], steps: int) -> list[StageConfig]:
        """The stages with as many steps in the last one as are missing for `steps` in all."""
        if len(stages) > 1:
            run = self._fit(stages[:-1], seed, self.folder.round(arm.name, len(stages) - 1, seed))
            steps -= _num_steps(run)
        return [*stages[:-1], stages[-1].model_copy(update={"max_steps": max(1, steps)})]

    def _refuse_other_steps(self, arm: Arm, seed: int, stages: Sequence[StageConfig]) -> None:
        run = self.folder.run(arm.name, seed)
        wanted = json.dumps(stages[-1].max_steps)
        if run.info.is_file() and (was := run.fingerprint.get(f"config.stages.{len(stages) - 1}.max_steps")) != wanted:
            raise TrainingError(
                f"{run.path} was begun with {was} steps, as {arm.same_steps_as} took them then; that takes {wanted} "
                f"now - delete {run.path} to train it anew"
            )

    def _stages_of_rounds(self, arm: Arm, seed: int, stages: list[StageConfig]) -> list[StageConfig]:
        """The stages, the last one repeated until a round gained nothing."""
        assert arm.max_stages is not None
        while True:
            run = self._fit(stages, seed, self.folder.round(arm.name, len(stages), seed))
            reason = self._reason_to_stop(run, len(stages))
            if reason is None and len(stages) >= arm.max_stages:
                reason = f"max_stages is {arm.max_stages}"
            if reason is not None:
                self.progress.say(f"arm {arm.name}, seed {seed}: stops after stage {len(stages)}: {reason}")
                # A stage without facts is no result of the arm, unless it is all there is.
                is_empty = run.status == "nothing_to_train"
                return stages[:-1] if is_empty and len(stages) > 1 else stages
            stages = [*stages, stages[-1]]

    def _reason_to_stop(self, run: RunDir, num_stages: int) -> str | None:
        """Why no further round is worth while, if so."""
        if run.status == "nothing_to_train":
            return "nothing is left to train on"
        if num_stages < 2:
            return None
        before, after = (read_map(run.probe(index), with_answers=False) for index in (num_stages - 1, num_stages))
        validation = [fact.id for fact in self.request.run_facts.validation]
        result = Round(*_within_reach(before, after), validation_counts(run, num_stages, validation))
        return stop_reason(result, self._retest_null(run))

    def _retest_null(self, run: RunDir) -> RetestNull:
        """The same between the base map and the retest with other exemplars."""
        base, again = (
            read_map(folder, with_answers=False) for folder in (run.probe(0), self.folder.retest("exemplars"))
        )
        return RetestNull(*_within_reach(base, again))

    def _retests(self) -> None:
        """Probes some training facts once more under the base model."""
        config = self.request.config
        if config.compare.redraw_exemplars:  # the base map that a retest is held against has those of the first seed
            config = config.model_copy(update={"exemplar_seed": self.request.seeds[0]})
        retester = Retester(config, self.request.run_facts, self.loaded)
        for kind in RETESTS if config.compare.num_retested else ():
            out = self.folder.retest(kind)
            retester.probe(kind, out=out, units=self.folder.units(kind), progress=self.progress)
            if told := retester.difference_from_settings(kind, out):
                warn(self.progress, told)


def _within_reach(before: KnowledgeMap, after: KnowledgeMap) -> tuple[int, int]:
    """Of the facts of both maps, how many came within reach, and how many were out of it."""
    both = [fact for fact in before if fact.id in after]
    came = came_within_reach(
        {fact.id: fact.level for fact in both}, {fact.id: after.level_of(fact.id) for fact in both}
    )
    return sum(came.values()), len(came)


def _num_steps(run: RunDir) -> int:
    """Optimiser steps that a run took in all its stages."""
    total, index = 0, 1
    while run.is_done(Step("stage", index).name):
        total += round(read_stage(run, index).steps or 0)
        index += 1
    return total
