"""Runs the arms of a comparison, each with every seed, as ordinary runs that share what they have in common.

Here one after the other, or on a cluster many at once (`spread`). `run.pipeline` makes each run; the package `findings`
reads what they say from the folder alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradual.comparison.arm_work import ArmWork, Fit, Retest
from gradual.comparison.arms import Arm, check_comparison, resolve_arms
from gradual.comparison.folder import PLAN_FILE, RETESTS, ComparisonFolder, ComparisonRequest, plan_of
from gradual.comparison.leg_worker import LegWorker
from gradual.comparison.open_comparison import OpenComparison
from gradual.comparison.spread import Chain, Spread
from gradual.config.run import RunConfig, with_taught_refusals
from gradual.config.stage import StageConfig
from gradual.errors import TrainingError
from gradual.facts.matching import matching_of
from gradual.facts.prepare import RunFacts
from gradual.facts.refusal_checks import check_refusals, taught_refusals
from gradual.files import storage
from gradual.files.folder_guard import refuse_foreign_folder
from gradual.files.lock import owner_of, single_writer
from gradual.models.load import load_tokenizer
from gradual.progress import Progress, Silent
from gradual.run.checks import load_to_train, run_fingerprint, say_what_to_know
from gradual.workers.cluster import Cluster


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
        run_facts: the facts of all runs.
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


def compare(
    request: ComparisonRequest, out: Path, *, progress: Progress | None = None, cluster: Cluster | None = None
) -> ComparisonFolder:
    """Makes or continues the runs of a comparison in the folder `out`; finished steps are taken as they are.

    An arm that selects no facts ends and is reported; the others go on.

    Args:
        cluster: what starts workers for the runs, which see `out`; without one all are made in this process.

    Raises:
        ConfigError, DataError, ModelError: as for `pipeline.fit`.
        LaunchError: the cluster is not there, has less room, or does not see `out`.
        TrainingError: some arms could not be trained; a line for each, once all others are finished.
        RunDirError: another process writes there, or a run there was made with other settings or facts.
    """
    progress = progress or Silent()
    config, run_facts, folder = request.config, request.run_facts, ComparisonFolder(out)
    say_what_to_know(config, run_facts, progress, besides=check_comparison(request.arms, config.compare))
    refuse_foreign_folder(out, PLAN_FILE, "comparison's")
    with single_writer(out):
        if cluster is None:
            loaded = load_to_train(config, progress)
            of_runs = run_fingerprint(config, run_facts, loaded.fingerprint)
            storage.write_json(folder.plan, plan_of(request, folder, of_runs).as_json())
            failures = _all_here(request, OpenComparison(config, run_facts, folder, loaded, progress))
        else:
            folder = ComparisonFolder(out.resolve())
            known = run_fingerprint(config, run_facts, load_tokenizer(config.model).fingerprint)
            start = (config, run_facts, folder.path, owner_of(out))
            with cluster.start(LegWorker, start, known) as crew:
                of_runs = dict(crew.wait_for_one().fingerprint)
                storage.write_json(folder.plan, plan_of(request, folder, of_runs).as_json())
                failures = Spread(crew, _chains(request, folder, progress), config, progress).all_legs()
    if failures:
        raise TrainingError("\n".join(failures))
    return folder


def _in_order(request: ComparisonRequest) -> list[tuple[Arm, int]]:
    """Of one seed all arms before the next seed, arms that are measured by another one last."""
    arms = sorted((arm for arm in request.arms if arm.stages), key=lambda arm: arm.same_steps_as is not None)
    return [(arm, seed) for seed in request.seeds for arm in arms]


def _retests(request: ComparisonRequest) -> list[Retest]:
    return [Retest(kind) for kind in RETESTS] if request.config.compare.num_retested else []


def _all_here(request: ComparisonRequest, opened: OpenComparison) -> list[str]:
    """Does what is left in this process; a line for each arm that could not be trained."""
    for retest in _retests(request):
        opened.do(retest)
    work = ArmWork(request, opened.folder, opened.progress)
    failures: list[str] = []
    pairs = _in_order(request)
    for number, (arm, seed) in enumerate(pairs, start=1):
        opened.progress.say(f"arm {arm.name}, seed {seed} ({number} of {len(pairs)})")
        try:
            for piece in work.pieces(arm, seed):
                if isinstance(piece, Fit):  # retests are done
                    opened.do(piece)
        except TrainingError as error:  # of this arm alone: the others tell what they tell
            failures.append(f"arm {arm.name}, seed {seed}: {error}")
            opened.progress.say(f"failed: {failures[-1]}")
    return failures


def _chains(request: ComparisonRequest, folder: ComparisonFolder, progress: Progress) -> list[Chain]:
    """The same as what may be done at once: a chain for each retest, and for each arm with each seed."""
    chains = [Chain(f"retest {retest.kind}", iter([retest])) for retest in _retests(request)]
    work = ArmWork(request, folder, progress)
    for arm, seed in _in_order(request):
        measure = None if arm.same_steps_as is None else f"arm {arm.same_steps_as}, seed {seed}"
        chains.append(Chain(f"arm {arm.name}, seed {seed}", work.pieces(arm, seed), after=measure))
    return chains
