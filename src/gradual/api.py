"""The commands as functions: what `gradual probe`, `fit`, `compare`, `plan` and the others that make something call.

Prepares the process and calls what does the work, loading libraries for models only when they are needed. Knows no
terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gradual.environment import (
    PROBE_PACKAGES,
    RAY_PACKAGES,
    SERVER_PACKAGES,
    prepare_environment,
    require_packages,
)
from gradual.errors import TrainingError
from gradual.opening import cluster_for, opener
from gradual.preparation import (
    facts_and_exemplars,
    prepare_comparison,
    prepare_run,
    refuse_parts,
    refuse_ray_and_server,
    refuse_samples_of_a_part,
    refuse_several_processes,
    say_warnings,
    settings_of,
)
from gradual.progress import Progress, Silent

if TYPE_CHECKING:
    from gradual.comparison.estimate import ComparisonEstimate
    from gradual.config.cluster import RayConfig
    from gradual.config.model import ModelConfig
    from gradual.config.run import FactsConfig, ProbeConfig, RunConfig
    from gradual.facts.fact import Fact
    from gradual.findings.record import Comparison
    from gradual.knowledge.map import KnowledgeMap
    from gradual.run.folder import RunDir
    from gradual.run.planning.plan import RunPlan
    from gradual.tuning.ladder import Goal
    from gradual.tuning.record import TuningFile

DEMO_FOLDER = "gradual-demo"
"""Where the demo's run goes by default."""


def probe(
    model: str | Path | ModelConfig,
    facts: str | Path | FactsConfig | Sequence[Fact],
    *,
    exemplars: str | Path | None = None,
    out: str | Path | None = None,
    settings: ProbeConfig | None = None,
    seed: int = 42,
    limit: int | None = None,
    num_checked: int = 0,
    ray: RayConfig | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> KnowledgeMap:
    """The knowledge map of some facts under a model, written into the folder `out` if that is given.

    A killed probe goes on where it was when it is called again in the same way, and a finished one is only read.

    Args:
        model: Hugging Face id, folder, or the name of an embedded model; with `ModelConfig.server`, what a server has.
        facts: a source of facts (see `facts.loading.load_facts`), or facts.
        exemplars: another source to draw the shots from; without one they come from the facts marked so, else from
            the facts themselves, where a fact is never among its own shots.
        out: folder for the map.
        settings: how knowledge is measured; by default SliCK's protocol with computed probabilities.
        seed: seed of the exemplar sets and of sampled answers.
        limit: ask only this many facts, the same share of each relation.
        num_checked: compare this many facts with sampled answers afterwards; the result is said through `progress`
            and kept in `out` as check.json.
        ray: a Ray cluster whose workers probe; without one this process does.
        online: let libraries use the network; otherwise the process stays offline from now on.
        progress: where bars and remarks go.

    Raises:
        DataError, ModelError: the facts or the model cannot be used; before any model is loaded where it can be known.
        RunDirError: `out` belongs to another probe or process, or holds something else.
        ProbeError: the model's logits are not numbers, or what is asked ends worker after worker.
        LaunchError: there is no such cluster, or it has less room.
    """
    refuse_several_processes("probe")
    prepare_environment(online=online)
    from gradual.config.model import ModelConfig
    from gradual.config.run import ProbeConfig
    from gradual.models.load import check_model
    from gradual.probing.folder import ProbeRequest, make_map

    progress, settings = progress or Silent(), settings or ProbeConfig()
    model = model if isinstance(model, ModelConfig) else ModelConfig(name_or_path=str(model))
    refuse_ray_and_server(model, ray)
    refuse_parts(model, "a probe")
    require_packages(RAY_PACKAGES if ray else SERVER_PACKAGES if model.server else PROBE_PACKAGES)
    check_model(model)
    refuse_samples_of_a_part(model, settings, num_checked)
    with say_warnings(progress):
        asked = facts_and_exemplars(facts, exemplars, settings, limit=limit)
    request = ProbeRequest(model, asked.facts, asked.exemplars, settings, seed, num_checked, asked.left_out)
    folder = None if out is None else Path(out)
    with ExitStack() as stack:
        open_engine = opener(settings, folder, ray, progress, stack)
        return make_map(request, folder, open_engine=open_engine, progress=progress)


def fit(
    config: RunConfig | str | Path,
    out: str | Path,
    *,
    ray: RayConfig | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> RunDir:
    """The run in the folder `out`, made or continued: probe, train in stages with a probe after each, evaluate.

    Processes that `torchrun` or `accelerate launch` has started share the work; each calls this in the same way.

    Args:
        config: settings, or the path of a YAML file with them.
        out: folder of the run.
        ray: a Ray cluster whose workers probe, and see `out`; this process trains.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used; before anything is computed.
        RunDirError: the folder belongs to another process or to a run with other settings.
        TrainingError: a loss is not a number.
        LaunchError: several processes were launched that can't do one run together, or one of them has ended; there is
            no such cluster, it has less room, or does not see `out`.
    """
    prepare_environment(online=online)
    from gradual.models.ranks import launch

    settings = settings_of(config)
    if ray:
        refuse_parts(settings.model, "--ray")
        refuse_several_processes("fit --ray")
        require_packages(RAY_PACKAGES)
    with launch(settings.model.device, in_step=settings.model.fsdp is not None) as ranks:
        settings, run_facts = prepare_run(settings)
        from gradual.run import pipeline

        cluster = cluster_for(ray, settings.model, progress or Silent()) if ray else None
        shown = progress if ranks.is_first else None
        return pipeline.fit(settings, run_facts, out, progress=shown, ranks=ranks, cluster=cluster)


def plan(
    config: RunConfig | str | Path,
    out: str | Path | None = None,
    *,
    online: bool = False,
    progress: Progress | None = None,
) -> RunPlan:
    """What a run would train on, as far as it can be known; nothing is trained.

    Args:
        config: settings, or the path of a YAML file with them.
        out: folder of a run with these settings, whose maps say what the next stage would train on.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used.
        RunDirError: `out` is no run folder, or damaged.
    """
    refuse_several_processes("plan")
    prepare_environment(online=online)
    settings, run_facts = prepare_run(config)
    from gradual.run.planning.plan import make_plan

    return make_plan(settings, run_facts, None if out is None else Path(out), progress=progress or Silent())


def compare(
    config: RunConfig | str | Path,
    out: str | Path,
    *,
    arms: Sequence[str] | None = None,
    num_seeds: int | None = None,
    limit: int | None = None,
    ray: RayConfig | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """What a comparison found: several ways to train, each with several seeds; made or continued in the folder `out`.

    The folder also gets the numbers (`comparison.json`), the tables and the page, as far as it has come.

    Args:
        config: settings, or the path of a YAML file with them; their section `compare` says what is not given here.
        out: folder of the comparison.
        arms: names of the arms.
        num_seeds: times that each arm is trained.
        limit: keep this many training facts, and the same share of all others.
        ray: a Ray cluster whose workers train and probe, and see `out`; without one this process does.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used; before anything is computed.
        RunDirError: the folder belongs to another process, or a run in it was made with other settings.
        LaunchError: there is no such cluster, it has less room, or does not see `out`.
        TrainingError: some arms could not be trained; once all others are finished and written down.
    """
    refuse_several_processes("compare")
    prepare_environment(online=online)
    if ray:
        require_packages(RAY_PACKAGES)
    settings, run_facts = prepare_comparison(config, arms)
    from gradual.comparison import compare as comparison
    from gradual.reporting.comparison.write import write_results

    request = comparison.plan_comparison(settings, run_facts, arms=arms, num_seeds=num_seeds, limit=limit)
    cluster = cluster_for(ray, settings.model, progress or Silent()) if ray else None
    try:
        comparison.compare(request, Path(out), progress=progress, cluster=cluster)
    except TrainingError:
        write_results(Path(out))
        raise
    return write_results(Path(out))


def plan_comparison(
    config: RunConfig | str | Path,
    *,
    arms: Sequence[str] | None = None,
    num_seeds: int | None = None,
    limit: int | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> ComparisonEstimate:
    """How long the comparison that `config.compare` asks for will take, arm by arm; nothing is trained.

    Args:
        config: settings, or the path of a YAML file with them.
        arms: as for `compare`, like `num_seeds` and `limit`.
        num_seeds: see there.
        limit: see there.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used.
    """
    refuse_several_processes("plan")
    prepare_environment(online=online)
    settings, run_facts = prepare_comparison(config, arms)
    from gradual.comparison import compare as comparison
    from gradual.comparison import estimate as comparison_estimate

    request = comparison.plan_comparison(settings, run_facts, arms=arms, num_seeds=num_seeds, limit=limit)
    return comparison_estimate.estimate_comparison(request, progress=progress)


def tune(
    config: RunConfig | str | Path,
    out: str | Path,
    *,
    goal: Goal = "accuracy",
    budget: str | None = None,
    online: bool = False,
    progress: Progress | None = None,
) -> TuningFile:
    """Which recipe of the ladder suits the goal best on the validation facts; its run is made in the folder `out`.

    Args:
        config: settings, or the path of a YAML file with them; recipes differ from its stages.
        out: folder of the run; a tuning there is continued.
        goal: what is chosen for (docs/tuning.md).
        budget: time that all may take, such as `2h`; None: no limit.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used, or the budget is too small for one rung.
        RunDirError, TrainingError: as for `fit`; no recipe could be trained.
    """
    refuse_several_processes("tune")
    prepare_environment(online=online)
    from gradual.tuning.budget import seconds_of

    seconds = seconds_of(budget)
    settings, run_facts = prepare_run(config)
    refuse_parts(settings.model, "tuning")
    from gradual.tuning.tune import TuneRequest, tune

    return tune(TuneRequest(settings, run_facts, goal, seconds), Path(out), progress=progress)


def init(
    facts: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    online: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Path of a commented config for these facts and this model, written to `out` where nothing is yet.

    Args:
        facts: a source of facts (see `facts.loading.load_facts`).
        model: as for `probe`.
        out: the YAML file.
        online: see `probe`.
        progress: where bars and remarks go.

    Raises:
        ConfigError, DataError, ModelError: the facts or the model cannot be used, or the file is there already.
        RunDirError: the disk refused.
    """
    refuse_several_processes("init")
    prepare_environment(online=online)
    from gradual.config.model import ModelConfig
    from gradual.models.checks import count_parameters
    from gradual.models.load import EMBEDDED_MODELS, check_model
    from gradual.run.starter import size_in_name, starter_config, write_starter_config

    check_model(ModelConfig(name_or_path=str(model)))
    size = count_parameters(Path(model)) if Path(model).is_dir() else size_in_name(str(model))
    if size is None and model in EMBEDDED_MODELS:
        size = size_in_name(EMBEDDED_MODELS[str(model)].find_gguf().stem)
    with say_warnings(progress or Silent()):
        text = starter_config(str(facts), str(model), num_parameters=size)
    write_starter_config(Path(out), text)
    return Path(out)


def demo(
    out: str | Path = DEMO_FOLDER,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> RunDir:
    """A whole run on the embedded model and facts, without network; made or continued in the folder `out`.

    Args:
        out: folder of the run.
        overrides: texts `key=value` in place of the demo's own settings.
        progress: where bars and remarks go.

    Raises:
        ConfigError: an override is no legal setting.
        ModelError: the package with the embedded model is not installed.
        RunDirError: the folder belongs to another process or to a run with other settings.
    """
    from gradual.config.yaml_file import load_config

    with resources.as_file(resources.files("gradual") / "data" / "demo.yaml") as path:
        config = load_config(path, overrides)
    return fit(config, out, progress=progress)
