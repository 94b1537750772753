"""The command `gradual`: each command reads its options, calls the function of its name and shows what came back.

Owns options, exit codes and what happens on Ctrl-C. Loads nothing heavy until a command needs it. Exit codes: 0 done,
1 a bug (with traceback), 2 something the user can correct, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import gradual.afterwards
from gradual import __version__, api
from gradual.cli import afterwards
from gradual.cli.console import Console
from gradual.cli.exit_codes import Commands, is_first_process
from gradual.cli.options import (
    Arms,
    Budget,
    Config,
    Goal,
    GpusPerWorker,
    Json,
    Limit,
    LmEval,
    NoServer,
    Online,
    RayAddress,
    Run,
    Seed,
    Seeds,
    Set,
    Trust,
    Workers,
    cluster_of,
    config_of,
    names_of,
    probe_config_of,
    seed_setting,
    server_of,
)

if TYPE_CHECKING:
    from gradual.knowledge.map import KnowledgeMap
    from gradual.run.folder import RunDir

app = typer.Typer(
    name="gradual",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gradual {__version__}")
        raise typer.Exit


@app.callback()
def _gradual(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Which facts a language model knows, teaching it those within reach, and what that gained and lost.

    \b
    Examples:
      gradual demo
      gradual probe --model smollm2 --facts atlas --limit 100 --out my-map
      gradual COMMAND --help
    """  # noqa: D301 - \b keeps the lines of a paragraph apart


app.command()(afterwards.init)


@app.command()
def probe(
    model: Annotated[str, typer.Option(help="Hugging Face id, folder, or embedded model (smollm2).")],
    facts: Annotated[str, typer.Option(help="File or folder of facts, hf:owner/name, or atlas.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the knowledge map.")],
    exemplars: Annotated[str | None, typer.Option(help="Another file to draw the shots from.")] = None,
    method: Annotated[str | None, typer.Option(help="exact (probabilities with bounds) or sampled.")] = None,
    levels_only: Annotated[bool, typer.Option("--levels-only", help="Faster: stop where the level is sure.")] = False,
    prompt_style: Annotated[str | None, typer.Option(help="plain (Q:/A: lines) or chat (chat template).")] = None,
    adapter: Annotated[str | None, typer.Option(help="Folder of a PEFT adapter on top of the model.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")] = None,
    gguf_file: Annotated[str | None, typer.Option(help="GGUF file inside the model's folder.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, bfloat16, float32 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = None,
    server: Annotated[str | None, typer.Option(metavar="URL", help="Ask an inference server (docs/larger.md).")] = None,
    server_model: Annotated[str | None, typer.Option(help="Name under which it serves the model.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only so many facts, spread over the relations.")] = None,
    ray: RayAddress = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    check: Annotated[int, typer.Option(min=0, help="Hold so many facts against sampling; exit 1 if it disagrees.")] = 0,
    seed: Seed = None,
    settings: Set = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    as_json: Json = False,
) -> None:
    """Find out which facts a model knows, and how well.

    Writes a knowledge map: the level of each fact, its probabilities, and what was asked and answered.
    A probe that was stopped goes on where it was when the same command is given again.

    \b
    Examples:
      gradual probe --model smollm2 --facts atlas --limit 100 --out my-map
      gradual probe --model ./my-model --facts facts.jsonl --exemplars solved.jsonl --out my-map --json
      gradual probe --model ./my-model --facts facts.csv --out my-map --set facts.columns.question=prompt
      gradual probe --server http://host:8000 --model ./my-model --facts facts.jsonl --out my-map
      gradual probe --ray auto --workers 8 --model ./my-model --facts facts.jsonl --out my-map
    """  # noqa: D301
    given: dict[str, dict[str, object]] = {
        "model": {"name_or_path": model, "adapter": adapter, "revision": revision, "gguf_file": gguf_file}
        | {"dtype": dtype, "device": device, "trust_remote_code": trust_remote_code or None}
        | {"server": server_of(server, server_model)},
        "facts": {"path": facts, "exemplars": exemplars},
        "probe": {"method": method, "prompt_style": prompt_style, "levels_only": levels_only or None},
    }
    config, console = probe_config_of(given, [*(settings or []), *seed_setting(seed)]), Console(as_json=as_json)
    asked: dict[str, Any] = {"out": out, "settings": config.probe, "seed": config.seed, "limit": limit}
    asked["ray"] = cluster_of(ray, workers, gpus_per_worker)
    with console.working():
        known = api.probe(config.model, config.facts, **asked, num_checked=check, online=online, progress=console)
    _end_probe(known, out, console, with_check=check > 0)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a knowledge map or a run.")],
    fact_id: Annotated[str, typer.Argument(metavar="FACT_ID", help="Id of the fact, as in facts.parquet.")],
    probe: Annotated[int | None, typer.Option(min=0, help="In a run: the probe to show in full.")] = None,
    as_json: Json = False,
) -> None:
    """Tell everything about one fact: level, prompts, answers.

    Its level and why, probabilities, and behind each exemplar set the whole prompt and the greedy answer.

    \b
    Examples:
      gradual show my-map FACT_ID
      gradual show gradual-demo FACT_ID --probe 0 --json
    """  # noqa: D301
    console, found = Console(as_json=as_json), gradual.afterwards.show(folder, fact_id, probe=probe)
    console.end(found.as_dict(), found.lines())


@app.command()
def plan(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="YAML file with the settings.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="A run with these settings: plan its rest.")] = None,
    settings: Set = None,
    seed: Seed = None,
    strategies: Annotated[bool, typer.Option("--strategies", help="List the named strategies instead.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Plan the comparison that the settings ask for.")] = False,
    arms: Arms = None,
    seeds: Seeds = None,
    limit: Limit = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    server: NoServer = None,
    as_json: Json = False,
) -> None:
    """Show what each stage would train on; train nothing.

    With prompts, one example token by token, counts, and estimates of time, disk and memory.

    \b
    Examples:
      gradual plan config.yaml
      gradual plan config.yaml --set stages.1.strategy=S3 --json
      gradual plan config.yaml --compare --seeds 5
      gradual plan --strategies
    """  # noqa: D301
    console = Console(as_json=as_json)
    if strategies:
        from gradual.cli.results import strategy_parts, strategy_result

        console.end(strategy_result(), strategy_parts())
        return
    if config is None:
        raise typer.BadParameter("expected the YAML file with the settings, or --strategies", param_hint="CONFIG")
    if compare and out is not None:
        raise typer.BadParameter("--out names a run; a comparison is planned without one", param_hint="--out")
    if not compare and any(given is not None for given in (arms, seeds, limit)):
        raise typer.BadParameter(
            "--arms, --seeds and --limit are of a comparison; add --compare", param_hint="--compare"
        )
    from gradual.cli.results import estimate_parts, plan_parts

    wanted = config_of(config, settings, seed, trust_remote_code)
    with console.working():
        if compare:
            estimate = api.plan_comparison(
                wanted, arms=names_of(arms), num_seeds=seeds, limit=limit, online=online, progress=console
            )
            result, parts = estimate.as_dict(), estimate_parts(estimate)
        else:
            planned = api.plan(wanted, out, online=online, progress=console)
            result, parts = planned.as_dict(), plan_parts(planned)
    console.end(result, parts)


@app.command()
def fit(
    config: Config,
    out: Run,
    ray: RayAddress = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    settings: Set = None,
    seed: Seed = None,
    lm_eval: LmEval = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    server: NoServer = None,
    as_json: Json = False,
) -> None:
    """Probe, train, probe again, train again, evaluate, report.

    Trains on what the model half knows, then on what has come within reach, as the settings say.

    A run that was stopped goes on where it was when the same command is given again.

    \b
    Examples:
      gradual fit config.yaml --out my-run
      gradual fit config.yaml --out run-7 --seed 7 --set stages.0.learning_rate=1e-4
      gradual fit config.yaml --out my-run --lm-eval hellaswag,arc_easy --online
    """  # noqa: D301
    console, cluster = Console(as_json=as_json), cluster_of(ray, workers, gpus_per_worker)
    with console.working():
        wanted = config_of(config, settings, seed, trust_remote_code, lm_eval)
        run = api.fit(wanted, out, ray=cluster, online=online, progress=console)
    _finish(run, console)


@app.command()
def tune(
    config: Config,
    out: Run,
    goal: Goal = "accuracy",
    budget: Budget = None,
    settings: Set = None,
    seed: Seed = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    server: NoServer = None,
    as_json: Json = False,
) -> None:
    """Find the recipe that suits your facts, and make its run.

    Goes through a ladder of recipes by halving on the validation facts, keeps the best, and asks the test facts once.
    A tuning that was stopped goes on where it was when the same command is given again.

    \b
    Examples:
      gradual tune config.yaml --out tuned
      gradual tune config.yaml --out tuned --budget 2h --goal few_confident_errors
    """  # noqa: D301
    from gradual.cli.results import goal_of

    console = Console(as_json=as_json)
    with console.working():
        found = api.tune(
            config_of(config, settings, seed, trust_remote_code),
            out,
            goal=goal_of(goal),
            budget=budget,
            online=online,
            progress=console,
        )
    from gradual.cli.results import tuning_parts, tuning_result

    page = gradual.afterwards.report(out)
    console.end(tuning_result(found, out), tuning_parts(found, out))
    console.say(f"report: {page}")


@app.command()
def compare(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="YAML file with the settings.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder; a comparison there is continued.")] = None,
    arms: Arms = None,
    seeds: Seeds = None,
    limit: Limit = None,
    ray: RayAddress = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    list_arms: Annotated[bool, typer.Option("--list-arms", help="List the arms that are built in instead.")] = False,
    settings: Set = None,
    seed: Seed = None,
    trust_remote_code: Trust = False,
    online: Online = False,
    server: NoServer = None,
    as_json: Json = False,
) -> None:
    """Find out whether it helps, and by how much: several ways to train, several seeds.

    Trains each arm with each seed and holds them against each other on the same facts, with intervals and tests.

    A comparison that was stopped goes on where it was when the same command is given again; so it does with more arms
    or seeds.

    \b
    Examples:
      gradual compare config.yaml --out my-comparison
      gradual compare config.yaml --out quick --arms base,one_stage,same_steps,S5 --seeds 2 --limit 200
      gradual compare config.yaml --out my-comparison --ray auto --workers 8
      gradual compare --list-arms
    """  # noqa: D301
    console = Console(as_json=as_json)
    if list_arms:
        from gradual.cli.results import arm_parts, arm_result

        console.end(arm_result(), arm_parts())
        return
    if config is None or out is None:
        raise typer.BadParameter("expected the YAML file with the settings and --out, or --list-arms")
    with console.working():
        found = api.compare(
            config_of(config, settings, seed, trust_remote_code),
            out,
            arms=names_of(arms),
            num_seeds=seeds,
            limit=limit,
            ray=cluster_of(ray, workers, gpus_per_worker),
            online=online,
            progress=console,
        )
    from gradual.reporting.comparison.write import comparison_parts

    console.end(found.as_dict(), comparison_parts(found))
    console.say(f"report: {out / 'report.html'}; numbers, tables and runs are beside it")


@app.command()
def diff(
    map_a: Annotated[Path, typer.Argument(metavar="MAP_A", help="Folder of the earlier knowledge map.")],
    map_b: Annotated[Path, typer.Argument(metavar="MAP_B", help="Folder of the later one.")],
    as_json: Json = False,
) -> None:
    """Compare two knowledge maps: who was promoted or demoted.

    \b
    Examples:
      gradual diff gradual-demo/probes/0 gradual-demo/probes/2
      gradual diff map-of-one-model map-of-another --json
    """  # noqa: D301
    from gradual.cli.results import diff_parts

    console, found = Console(as_json=as_json), gradual.afterwards.diff(map_a, map_b)
    console.end(found.as_dict(), diff_parts(found))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run or a comparison, finished or not.")],
    as_json: Json = False,
) -> None:
    """Write the page that tells what was gained and lost.

    From the folder of a run or a comparison alone, finished or not.

    \b
    Examples:
      gradual report gradual-demo
      gradual report my-comparison
    """  # noqa: D301
    page = gradual.afterwards.report(folder)
    Console(as_json=as_json).end({"report": str(page)}, [str(page)])


app.command()(afterwards.ask)
app.command()(afterwards.export)
app.command()(afterwards.schema)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run.")] = Path(api.DEMO_FOLDER),
    settings: Set = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Do all of it on the embedded model and facts, offline.

    \b
    Examples:
      gradual demo
      gradual demo --out demo-7 --seed 7
    """  # noqa: D301
    from gradual.cli.results import next_steps

    console = Console(as_json=as_json)
    with console.working():
        run = api.demo(out, overrides=[*(settings or []), *seed_setting(seed)], progress=console)
    _finish(run, console)
    if not as_json and is_first_process():
        console.show(*next_steps(out))


def _end_probe(known: KnowledgeMap, out: Path, console: Console, *, with_check: bool) -> None:
    from gradual.cli.results import map_parts, map_result
    from gradual.probing.folder import read_check

    console.end(map_result(known, out, with_check=with_check), [*map_parts(known), f"written to {out}"])
    raise typer.Exit(int(with_check and not read_check(out).is_passed))


def _finish(run: RunDir, console: Console) -> None:
    """Shows a run that has ended and writes its report; the first process of a launch does."""
    if not is_first_process():
        return
    from gradual.cli.results import run_parts
    from gradual.files import storage
    from gradual.reporting.run_page import report as write_report
    from gradual.run.record import read_run

    page = write_report(run.path)
    console.end(storage.read_json(run.summary), run_parts(read_run(run.path)))
    console.say(f"report: {page}")


def main() -> None:
    """Runs the command line; ends the process."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is loaded: only our own bars are drawn
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a terminal that cannot show a character is no reason to stop
    app(prog_name="gradual")


if __name__ == "__main__":
    main()
