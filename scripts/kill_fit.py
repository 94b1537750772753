"""Kills a whole `gradual fit` again and again with SIGKILL and compares what it ends with with an unbroken run's.

    OMP_NUM_THREADS=2 python scripts/kill_fit.py --kills 20 --out kills     # SmolLM2, the embedded facts
    python scripts/kill_fit.py --kills 2 --model tiny --out kills           # a random model, under a minute

First the run is made in one go, and it is noted when each step, unit and epoch was finished. Then it is made again in
another folder and killed at random instants, drawn from --seed, that lie all over the unbroken run: three of five at
work, one while libraries, facts and model are loaded, and one when a file is next seen half written. At last it runs to
its end. Prints two tables, of the kills and of the files; ends with 1 where a file differs or something finished was
done again. Files that tell times and processes (`NO_RESULTS`) are not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

NO_RESULTS = frozenset({"attempts.log", "cost.json", "owner.json", "report.html", "run.lock", "times.jsonl"})
RELATIONS = ("capital", "currency_code", "element_symbol", "largest_city")
AIMS = ("work", "work", "work", "loading", "writing")
_POLL_SECONDS = 0.005


class State(NamedTuple):
    """How far a run is, as its folder shows it; all of it is to outlast a kill."""

    steps: tuple[str, ...]
    """Finished steps, in order."""
    units: frozenset[tuple[str, int]]
    """Finished units with the time at which they were written."""
    step_files: frozenset[tuple[str, int]]
    """Files of finished steps with the time at which they were written."""
    epochs: tuple[tuple[str, int], ...]
    """Stage and last epoch that can be gone on from."""
    epochs_done: tuple[tuple[str, tuple[int, ...]], ...]
    """Stage and epochs in the order in which they were done."""

    def milestones(self) -> set[str]:
        """Names for all that is finished, which another run of the same settings has as well."""
        counted: dict[str, int] = {}
        for name, _ in self.units:
            step = name.split("/")[1]
            counted[step] = counted.get(step, 0) + 1
        units = {f"{step}: {number + 1} units" for step, count in counted.items() for number in range(count)}
        epochs = {f"stage-{stage}: epoch {number}" for stage, last in self.epochs for number in range(1, last + 1)}
        return {*self.steps, *units, *epochs}


class Timetable(NamedTuple):
    """When the unbroken run had finished what, in seconds after its start."""

    loaded: float
    ended: float
    steps: tuple[str, ...]
    finished: Mapping[str, float]
    """By milestone."""


class Kill(NamedTuple):
    """A row of the table of kills."""

    aim: str
    seconds: float
    hit: str
    """The step it was at."""
    finished: str
    unfinished: str
    """A file that was half written."""


def read_state(run: Path) -> State:
    """What is finished in a run folder; nothing where there is none."""
    journal = _lines(run / "journal.jsonl")
    step_files = {name: _mtime(run / name) for record in journal for name in record["files"]}
    units = {path.relative_to(run).as_posix(): _mtime(path) for path in run.glob("units/*/*") if path.name[0] != "."}
    epochs: dict[str, int] = {}
    for sealed in run.glob("stages/*/checkpoints/checkpoint-*/sealed.json"):
        stage = sealed.parents[2].name
        try:
            state = json.loads((sealed.parent / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue  # removed while this was looking at it
        epochs[stage] = max(epochs.get(stage, 0), round(state["epoch"]))
    times = {path.parent.name: _lines(path) for path in run.glob("stages/*/times.jsonl")}
    return State(
        steps=tuple(record["step"] for record in journal),
        units=frozenset((name, when) for name, when in units.items() if when),
        step_files=frozenset(step_files.items()),
        epochs=tuple(sorted(epochs.items())),
        epochs_done=tuple(
            (stage, tuple(round(record["epoch"]) for record in records)) for stage, records in sorted(times.items())
        ),
    )


def done_again(before: State, after: State) -> list[str]:
    """What was finished in `before` and is gone, written again or noted again in `after`; empty if all is well."""
    found: list[str] = []
    if after.steps[: len(before.steps)] != before.steps:
        found.append(f"steps {before.steps} became {after.steps}")
    now = dict(after.step_files)
    found += [f"{name} was written again" for name, when in sorted(before.step_files) if now.get(name) != when]
    units = dict(after.units)
    for name, when in sorted(before.units):
        if name in units and units[name] != when:
            found.append(f"{name} was written again")
        elif name not in units and name.split("/")[1] not in after.steps:
            found.append(f"{name} is gone and its step is not finished")
    earlier = dict(before.epochs_done)
    for stage, epochs in after.epochs_done:
        last = dict(before.epochs).get(stage)
        since = epochs[len(earlier.get(stage, ())) :]
        if f"stage-{stage}" in before.steps:
            found += [f"stage {stage}, epoch {epoch} was done again" for epoch in since]
        elif last is not None:
            found += [f"stage {stage}, epoch {epoch} was done again" for epoch in since if epoch <= last]
    return found


def compare(unbroken: Path, broken: Path) -> dict[str, bool]:
    """Every file of either run that is a result, by name: whether it is there in both with the same bytes."""
    names = sorted({*_results(unbroken), *_results(broken)})
    return {
        name: (unbroken / name).is_file()
        and (broken / name).is_file()
        and (unbroken / name).read_bytes() == (broken / name).read_bytes()
        for name in names
    }


def unfinished_file(run: Path) -> str:
    """Name of a file or checkpoint that is being written at this moment; empty where there is none."""
    for folder, folders, files in os.walk(run):
        for name in (*folders, *files):
            is_open = name.startswith("checkpoint-") and not os.path.exists(os.path.join(folder, name, "sealed.json"))
            if is_open or (name.startswith(".") and name.endswith(".tmp")):
                return os.path.relpath(os.path.join(folder, name), run)
    return ""


class Attempt:
    """One call of `gradual fit`, watched and, when its time has come, killed."""

    def __init__(self, config: Path, run: Path) -> None:
        """Start the process; its output goes to a file beside the run."""
        self.run = run
        self._starts = self._count_starts()
        self._began = time.perf_counter()
        with run.with_suffix(".out").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gradual", "fit", str(config), "--out", str(run)],
                stdout=output, stderr=output, env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._began

    def is_running(self) -> bool:
        """Whether it has not ended.

        Raises:
            SystemExit: it ended with an error.
        """
        if self._process.poll():
            raise SystemExit(f"gradual fit ended with {self._process.returncode}: see {self.run.with_suffix('.out')}")
        return self._process.returncode is None

    def has_loaded(self) -> bool:
        """Whether the model is there and work begins."""
        return self._count_starts() > self._starts

    def wait(self, seconds: float) -> bool:
        """Waits that long; False if it ended before."""
        until = time.perf_counter() + seconds
        while self.is_running() and time.perf_counter() < until:
            time.sleep(_POLL_SECONDS)
        return self.is_running()

    def wait_for(self, condition: Any) -> bool:
        """Waits until a condition holds; False if it ended before."""
        while self.is_running() and not condition():
            time.sleep(_POLL_SECONDS)
        return self.is_running()

    def _count_starts(self) -> int:
        return sum(record.get("event") == "started" for record in _lines(self.run / "attempts.log"))

    def kill(self) -> None:
        """Ends it as no process can prevent."""
        self._process.kill()
        self._process.wait()


def make_unbroken(config: Path, run: Path) -> Timetable:
    """Makes the run in one go, and looks ten times a second what is finished."""
    finished: dict[str, float] = {}
    attempt = Attempt(config, run)
    attempt.wait_for(attempt.has_loaded)
    loaded = attempt.seconds
    while attempt.wait(0.1):
        for name in read_state(run).milestones() - finished.keys():
            finished[name] = attempt.seconds
    return Timetable(loaded, attempt.seconds, read_state(run).steps, finished)


def kill_once(config: Path, run: Path, aim: str, target: float, chance: float, table: Timetable) -> Kill:
    """Starts the run, or goes on with it, and kills it.

    Args:
        config: file of the settings.
        run: folder of the run.
        aim: one of `AIMS`.
        target: instant of the unbroken run, in seconds, at which to kill.
        chance: a number in [0, 1) for what else is left to chance.
        table: of the unbroken run.
    """
    kept = read_state(run).milestones()
    reached = max((when for name, when in table.finished.items() if name in kept), default=table.loaded)
    attempt = Attempt(config, run)
    if aim == "loading":
        attempt.wait(chance * table.loaded)
    elif attempt.wait_for(attempt.has_loaded) and attempt.wait(max(0.0, target - reached)) and aim == "writing":
        attempt.wait_for(lambda: unfinished_file(run))
    is_running, seconds, has_loaded = attempt.is_running(), attempt.seconds, attempt.has_loaded()
    attempt.kill()
    state = read_state(run)
    at = next((name for name in table.steps if name not in state.steps), "report")
    hit = "nothing, had ended" if not is_running else at if has_loaded else f"loading, before {at}"
    units = sum(name.split("/")[1] == at for name, _ in state.units)
    epochs = dict(state.epochs).get(at.removeprefix("stage-"), 0)
    finished = f"{len(state.steps)} steps" + f", {units} units" * bool(units) + f", {epochs} epochs" * bool(epochs)
    return Kill(aim, seconds, hit, finished, unfinished_file(run))


def plan_kills(kills: int, seed: int, table: Timetable) -> Iterator[tuple[str, float, float]]:
    """Aim, instant of the unbroken run and a number in [0, 1) for each kill; instants in order, all over the work."""
    drawn = random.Random(seed)
    work = table.ended - table.loaded
    instants = sorted(table.loaded + drawn.random() * work for _ in range(kills))
    aims = [AIMS[number % len(AIMS)] for number in range(kills)]
    drawn.shuffle(aims)
    for aim, instant in zip(aims, instants, strict=True):
        yield aim, instant, drawn.random()


def write_config(folder: Path, model: str) -> Path:
    """The settings of a small run of two stages, as a file; with "tiny" also its model and facts."""
    splits: dict[str, Any] = {"validation": 0.2, "test": 0.3, "exemplars_per_relation": 8, "max_train_per_relation": 12}
    splits |= {"max_validation_per_relation": 8, "max_test_per_relation": 10}
    stages: list[dict[str, Any]] = [{"strategy": "maybe_known", "learning_rate": 1e-4}, {"select": "now <= MaybeKnown"}]
    config: dict[str, Any] = {
        "model": {"name_or_path": model},
        "facts": {"path": "atlas", "relations": list(RELATIONS), "splits": splits},
        "stages": [{**stage, "num_train_epochs": 2} for stage in stages],
        "lora": {"lora_dropout": 0.05},
    }
    if model == "tiny":
        from gradual.testing import make_tiny_model, toy_facts

        config["model"] = {"name_or_path": str(make_tiny_model(folder / "model")), "dtype": "float32"}
        rows = [{"id": f.id, "relation": f.relation, "question": f.question, "answers": f.answers} for f in toy_facts()]
        (folder / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        config["facts"] |= {"path": str(folder / "facts.jsonl"), "relations": None}
        config["probe"] = {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4}
        config["stages"] = [{"strategy": "all", "num_train_epochs": 2, "num_shots": 2, "batch_size": 8}] * 2
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=1))  # JSON is YAML
    return path


def main() -> int:
    """Makes both runs and prints the tables."""
    parser = argparse.ArgumentParser(description="Kills a whole gradual fit again and again; compares the outcome.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", default="smollm2", help="smollm2, gemma3-270m, or tiny: a random one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="a new folder for both runs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    config = write_config(arguments.out.resolve(), arguments.model)
    unbroken, broken = arguments.out / "unbroken", arguments.out / "broken"
    table = make_unbroken(config, unbroken)
    print(f"Unbroken: {table.ended:.0f} s, {table.loaded:.0f} s of them to load. Finished at (s): ", end="")
    print(", ".join(f"{step} {table.finished.get(step, table.ended):.0f}" for step in table.steps) + ".\n")
    print(
        "| kill | aimed at | after s | hit | finished by then | half written |\n|---:|---|---:|---|---|---|", flush=True
    )
    repeated: list[str] = []
    for number, (aim, target, chance) in enumerate(plan_kills(arguments.kills, arguments.seed, table), 1):
        before = read_state(broken)
        kill = kill_once(config, broken, aim, target, chance, table)
        repeated += done_again(before, read_state(broken))
        cells = (str(number), kill.aim, f"{kill.seconds:.1f}", kill.hit, kill.finished, kill.unfinished)
        print(f"| {' | '.join(cells)} |", flush=True)
    before, last = read_state(broken), Attempt(config, broken)
    last.wait_for(lambda: False)
    repeated += done_again(before, read_state(broken))
    files = compare(unbroken, broken)
    print("\n| file | |\n|---|---|")
    for name, is_equal in files.items():
        print(f"| `{name}` | {'equal' if is_equal else '**unequal**'} |")
    print(f"\n{sum(files.values())} of {len(files)} files are equal; the last attempt took {last.seconds:.0f} s.")
    print("Nothing finished was done again." if not repeated else "Done again: " + "; ".join(repeated))
    return int(bool(repeated) or not all(files.values()))


def _results(run: Path) -> Iterator[str]:
    return (p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() and p.name not in NO_RESULTS)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The finished lines of a file of JSON lines; none where it is missing."""
    try:
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    except FileNotFoundError:
        return []


def _mtime(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 where it is missing."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
