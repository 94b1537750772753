"""What Ray and the driver cost: units that do nothing, units that sleep, made-up units of real size, and real ones.

    PYTHONPATH=.venv-ray python benchmarks/ray_overhead.py --empty 100000
    PYTHONPATH=.venv-ray python benchmarks/ray_overhead.py --whole 200
    PYTHONPATH=.venv-ray python benchmarks/ray_overhead.py --sleep 40
    OMP_NUM_THREADS=1 PYTHONPATH=.venv-ray python benchmarks/ray_overhead.py --real 8 --model smollm2

Starts a Ray cluster of one machine, here, and ends it. `make test-ray` installs Ray into .venv-ray.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, ProbeConfig
from gradual.facts.fact import Fact, by_relation, spread
from gradual.facts.prepare import prepare_probe
from gradual.facts.prompts import PlainPrompts
from gradual.files.units import UnitStore
from gradual.probing.probe import probe_facts
from gradual.probing.prompts import draw_probe_prompts
from gradual.probing.unit import Unit, run_unit
from gradual.probing.unit_worker import CrewRunner, UnitWorker
from gradual.testing import FakeEngine, toy_facts
from gradual.workers.cluster import start_crew
from gradual.workers.task import About, Home, TaskResult

FACTS_PER_UNIT = 96
"""960 prompts in 10 exemplar sets, as on a CPU."""
SECONDS_OF_SLEEP = 0.25


class Idle:
    """A worker without a model; a unit's seed says for how many milliseconds it sleeps."""

    def __init__(self, home: Home) -> None:
        self._place = home.enter()

    def about(self) -> About:
        """See `Worker`."""
        return About({}, 1, 0.0, [], self._place)

    def run(self, unit: Unit) -> TaskResult:
        """See `Worker`."""
        time.sleep(unit.seed / 1000)
        return TaskResult(unit.key, b"x" * 2000)


class Ready(Idle):
    """A worker whose answer is ready: that of a model without weights to one fact, with others put in its place."""

    _found: dict[str, Any] | None = None

    def run(self, unit: Unit) -> TaskResult:
        """See `Worker`."""
        facts = [fact for block in unit.blocks for fact in block]
        if self._found is None:
            engine, alone = FakeEngine(), replace(unit, blocks=[facts[:1]])
            self._found = json.loads(run_unit(alone, engine, engine.prompt_style(unit.settings)))[0]
        found = [
            self._found | {"id": f.id, "relation": f.relation, "question": f.question, "answers": f.answers}
            for f in facts
        ]
        return TaskResult(unit.key, json.dumps(found).encode())


def main() -> None:
    """Measures what is asked for, a line each."""
    args = _arguments()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        num_cpus=max(4, args.workers), include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=200_000_000,
    )  # fmt: skip
    try:
        if args.empty:
            _empty(args.empty, args.workers)
        if args.sleep:
            for count in (1, 2, 4):
                _sleeping(args.sleep, count)
        if args.whole:
            _whole(args.whole, args.workers)
        if args.real:
            one, two = (_real(args.real, args.model, count) for count in (1, 2))
            print(f"two workers do {one / two:.2f} times what one does")
    finally:
        ray.shutdown()


def _empty(count: int, workers: int) -> None:
    """Ray's share and the driver's for units that are sent with their facts and bring 2 kB home."""
    facts = toy_facts(2, FACTS_PER_UNIT // 2)
    with start_crew(Idle, (Home({}, "."),), workers, 0.0, {}, say=print) as crew:
        crew.wait_for_one()
        memory, started, busy = _memory(), time.perf_counter(), time.process_time()
        crew.add(_units(facts, count, milliseconds=0))
        done = sum(1 for _ in crew.results())
        seconds, own = time.perf_counter() - started, time.process_time() - busy
    assert done == count
    print(
        f"{count:,} empty units on {workers} workers: {seconds:.1f} s, {1000 * seconds / count:.2f} ms each; the "
        f"driver computes {1000 * own / count:.2f} ms of it and takes {(_memory() - memory) / 1e6:.0f} MB more"
    )


def _sleeping(count: int, workers: int) -> None:
    facts = toy_facts(2, FACTS_PER_UNIT // 2)
    with start_crew(Idle, (Home({}, "."),), workers, 0.0, {}, say=print) as crew:
        crew.wait_for_one()
        crew.add(_units(facts, workers, milliseconds=0))
        assert sum(1 for _ in crew.results()) == workers  # all have started
        started = time.perf_counter()
        crew.add(_units(facts, count, milliseconds=int(1000 * SECONDS_OF_SLEEP)))
        assert sum(1 for _ in crew.results()) == count
        seconds = time.perf_counter() - started
    share = count * SECONDS_OF_SLEEP / workers / seconds
    print(
        f"{count} units that sleep {SECONDS_OF_SLEEP} s on {workers} workers: {seconds:.1f} s, {share:.0%} of it asleep"
    )


def _whole(count: int, workers: int) -> None:
    """The driver's whole share of a probe: exemplar sets drawn, units sent, stored, read and put in order."""
    facts = toy_facts(count, FACTS_PER_UNIT)
    settings = ProbeConfig()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_crew(Ready, (Home({}, "."),), workers, 0.0, {}, say=print) as crew,
    ):
        runner = CrewRunner(crew, lambda _: PlainPrompts())
        store = UnitStore(Path(folder), {})
        memory, started, busy = _memory(), time.perf_counter(), time.process_time()
        known = probe_facts(facts, by_relation(facts), runner, settings, seed=1, units=store)
        seconds, own, memory = time.perf_counter() - started, time.process_time() - busy, _memory() - memory
        files = [path.stat().st_size for path in Path(folder).iterdir()]
    assert len(known) == len(facts)
    print(
        f"{len(facts):,} facts in {len(files)} units: {seconds:.1f} s; the driver computes "
        f"{1e6 * own / len(facts):.0f} us a fact, stores {sum(files) / len(facts):.0f} bytes and holds "
        f"{memory / len(facts):.0f} bytes of each"
    )


def _real(count: int, name: str, workers: int) -> float:
    """Facts a second of a real model on the CPU, in units of real size and one thread a worker."""
    settings = ProbeConfig()
    run_facts = prepare_probe(FactsConfig(path="atlas"), num_shots=settings.num_shots)
    facts = spread(run_facts.facts, count * FACTS_PER_UNIT)
    model = ModelConfig(name_or_path=name, device="cpu", dtype="float32")
    with start_crew(UnitWorker, (Home({}, "."), model), workers, 0.0, {}, say=print) as crew:
        runner = CrewRunner(crew, lambda _: PlainPrompts())
        crew.add(_units(facts[:1], workers, milliseconds=1, exemplars=run_facts.exemplars))
        assert sum(1 for _ in crew.results()) == workers  # all are up
        started = time.perf_counter()
        known = probe_facts(facts, run_facts.exemplars, runner, settings, seed=1)
        seconds = time.perf_counter() - started
    speed = len(known) / seconds
    print(f"{len(known)} facts of {name} on {workers} workers: {seconds:.1f} s, {speed:.2f} facts a second")
    return 1 / speed


def _units(
    facts: Sequence[Fact], count: int, *, milliseconds: int, exemplars: Mapping[str, Sequence[Fact]] | None = None
) -> Iterator[Unit]:
    """Units of the same facts, each with a key of its own."""
    settings = ProbeConfig()
    probe_prompts = draw_probe_prompts(
        facts,
        exemplars or by_relation(facts),
        PlainPrompts(),
        num_sets=settings.num_exemplar_sets,
        num_shots=settings.num_shots,
        seed=1,
    )
    blocks = list(by_relation(facts).values())
    return (Unit(str(number), blocks, probe_prompts.exemplar_sets, settings, milliseconds) for number in range(count))


def _memory() -> int:
    """Bytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--empty", type=int, default=0, metavar="UNITS")
    parser.add_argument("--sleep", type=int, default=0, metavar="UNITS")
    parser.add_argument("--whole", type=int, default=0, metavar="UNITS")
    parser.add_argument("--real", type=int, default=0, metavar="UNITS")
    parser.add_argument("--workers", type=int, default=2, help="of --empty and --whole")
    parser.add_argument("--model", default="smollm2", help="of --real")
    return parser.parse_args()


if __name__ == "__main__":
    main()
