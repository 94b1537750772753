"""A real Ray cluster of two machines, both here, that lose workers and a machine: `make test-ray` runs it.

The engine is a fake one that takes its time, so that what is killed is killed in the middle.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.errors import ModelError, ProbeError
from gradual.facts.fact import Fact, by_relation
from gradual.knowledge.map import KnowledgeMap, read_map, write_map
from gradual.probing.probe import probe_facts
from gradual.probing.unit_worker import CrewRunner, OpenWorkerEngine, UnitWorker
from gradual.testing import FakeEngine, make_tiny_model, toy_facts
from gradual.workers.cluster import start_crew
from gradual.workers.task import Home

ROOT = Path(__file__).resolve().parents[2]

ray = pytest.importorskip("ray", reason="make test-ray runs it, with Ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

FACTS_OF_A_UNIT = 3
FACTS = tuple(toy_facts(num_relations=12, facts_per_relation=FACTS_OF_A_UNIT))
SETTINGS = ProbeConfig(num_exemplar_sets=2, num_shots=1, max_new_tokens=3, num_samples=4, top_k=20)
HOME = Home({}, ".")
WITH_TIMES = {"cost.json", "times.jsonl", "attempts.log", "run.lock"}
"""Files that no result depends on."""
MODEL = ModelConfig(name_or_path="fake")


def patient_engine(pids: Path, pause: Path) -> OpenWorkerEngine:
    """Waits before each unit while the file `pause` is there; a worker that starts takes it away.

    Travels by value: a worker knows no module of these tests.
    """

    def open_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
        (pids / str(os.getpid())).touch()
        pause.unlink(missing_ok=True)

        class Patient(FakeEngine):
            def new_forest(self, num_rows: int, *, top_k: int) -> Any:
                time.sleep(0.2)  # so that a worker that has started is known before the next is killed
                while pause.exists():
                    time.sleep(0.05)
                return super().new_forest(num_rows, top_k=top_k)

        return Patient(), []

    return open_engine


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so; 15 by default: beside other work on this machine workers would starve
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
    found = None
    for _ in range(3):  # Ray gives a machine half a minute to come up, which a busy one may not
        with contextlib.suppress(Exception):
            found = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
            break
    assert found is not None
    ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def unit_by_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradual.probing.probe.PROMPTS_PER_UNIT", 1)


def files_of(known: KnowledgeMap, folder: Path) -> dict[str, bytes]:
    """The files of a map; what it has cost and how long it took is another each time."""
    write_map(known, folder)
    assert read_map(folder).info.model == known.info.model
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "cost.json"}


@pytest.mark.usefixtures("unit_by_unit")
def test_workers_and_machines_come_and_go_and_the_map_is_the_same(cluster: Any, tmp_path: Path) -> None:
    pids, pause = tmp_path / "pids", tmp_path / "pause"
    pids.mkdir()
    node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    start = (HOME, MODEL, patient_engine(pids, pause))
    said: list[str] = []
    finished = 0

    def progress(num_facts: int) -> None:
        """Kills twice; the others wait each time until a worker is up in place of the one that was lost."""
        nonlocal finished
        finished += num_facts
        if finished == 1 * FACTS_OF_A_UNIT:
            while len(list(pids.iterdir())) < 2:
                time.sleep(0.05)
        if finished == 3 * FACTS_OF_A_UNIT:
            pause.touch()
            os.kill(int(next(pids.iterdir()).name), signal.SIGKILL)
        if finished == 6 * FACTS_OF_A_UNIT:
            pause.touch()
            cluster.remove_node(node, allow_graceful=False)

    def say(line: str) -> None:
        nonlocal node
        said.append(line)
        if finished >= 6 * FACTS_OF_A_UNIT and sum("a worker was lost" in line for line in said) == 2:
            node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    with start_crew(UnitWorker, start, 2, 0.0, FakeEngine().fingerprint, say=say) as crew:
        runner = CrewRunner(crew, FakeEngine().prompt_style)
        found = probe_facts(FACTS, by_relation(FACTS), runner, SETTINGS, seed=1, progress=progress)
    cluster.remove_node(node)
    expected = probe_facts(FACTS, by_relation(FACTS), FakeEngine(), SETTINGS, seed=1)
    assert finished == len(FACTS)
    assert sum("a worker was lost" in line for line in said) == 2
    assert len(list(pids.iterdir())) == 4  # two, and one in place of each that was lost
    assert files_of(found, tmp_path / "found") == files_of(expected, tmp_path / "expected")
    assert found.info.cost.tokens_read == expected.info.cost.tokens_read


def test_facts_that_end_every_worker_are_named(cluster: Any) -> None:
    def open_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
        class Deadly(FakeEngine):
            def new_forest(self, num_rows: int, *, top_k: int) -> Any:
                os.kill(os.getpid(), signal.SIGKILL)

        return Deadly(), []

    with start_crew(UnitWorker, (HOME, MODEL, open_engine), 1, 0.0, {}, say=lambda _: None) as crew:
        runner = CrewRunner(crew, FakeEngine().prompt_style)
        with pytest.raises(ProbeError, match='facts "toy-0-0" to "toy-9-2": 3 workers were lost over this'):
            probe_facts(FACTS, by_relation(FACTS), runner, SETTINGS, seed=1)


def test_a_worker_with_another_model_is_refused(cluster: Any) -> None:
    def open_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
        return FakeEngine(seed=7), []

    start = (HOME, MODEL, open_engine)
    with (
        start_crew(UnitWorker, start, 1, 0.0, FakeEngine().fingerprint, say=lambda _: None) as crew,
        pytest.raises(ModelError, match="would compute otherwise: seed is '7' and '0' in this process"),
    ):
        crew.wait_for_one()


def test_an_error_of_the_worker_is_told_in_a_line(cluster: Any) -> None:
    def open_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
        raise ModelError("no such folder here")

    with (
        start_crew(UnitWorker, (HOME, MODEL, open_engine), 1, 0.0, {}, say=lambda _: None) as crew,
        pytest.raises(ModelError, match=r"^worker on .*, process \d+: no such folder here$"),
    ):
        crew.wait_for_one()


def start_gradual(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "gradual", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def gradual(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = start_gradual(folder, *arguments)
    out, err = command.communicate(timeout=900)
    return subprocess.CompletedProcess(command.args, command.returncode, out, err)


def write_facts(path: Path, facts: Sequence[Fact]) -> Path:
    rows = [
        {"id": fact.id, "relation": fact.relation, "question": fact.question, "answers": list(fact.answers)}
        for fact in facts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def probe_command(tmp_path: Path) -> list[object]:
    """A probe of a tiny model in the current folder, but for the folder of its map."""
    facts = write_facts(tmp_path / "facts.jsonl", FACTS)
    quick = ("num_exemplar_sets=2", "num_shots=1", "max_new_tokens=3", "num_samples=4", "top_k=20")
    settings = [word for setting in quick for word in ("--set", f"probe.{setting}")]
    make_tiny_model(tmp_path / "model")
    return [
        "probe",
        "--model",
        "./model",
        "--facts",
        facts,
        "--device",
        "cpu",
        "--dtype",
        "float32",
        *settings,
        "--json",
    ]


def test_the_command_writes_the_map_of_one_process(cluster: Any, probe_command: list[object], tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    done = gradual(tmp_path, *probe_command, "--out", tmp_path / "map", "--ray", cluster.address, "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_facts"] == len(FACTS)
    alone = gradual(tmp_path, *probe_command, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    names = sorted(path.name for path in (tmp_path / "alone").iterdir() if path.is_file())
    for name in set(names) - {"cost.json", "owner.json", "run.lock"}:
        assert (tmp_path / "map" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    more = gradual(tmp_path, *probe_command, "--out", tmp_path / "more", "--ray", cluster.address, "--workers", 3)
    cluster.remove_node(node)
    assert more.returncode == 2
    assert more.stderr.splitlines()[-1].startswith(
        "error: expected room for 3 workers of a CPU each on the Ray cluster, found room for 2 on 2 machines"
    )


def write_comparison(folder: Path) -> Path:
    """The settings of a small comparison in a folder, with its facts and a tiny model beside."""
    facts = write_facts(folder / "facts.jsonl", toy_facts(2, 12))
    make_tiny_model(folder / "model")
    stage = {"num_shots": 1, "batch_size": 8, "learning_rate": 0.01, "num_train_epochs": 3}
    own = [{"name": "one", "stages": [{}]}, {"name": "two", "stages": [{}, {}]}]
    settings = {
        "model": {"name_or_path": "./model", "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(facts), "splits": {"exemplars_per_relation": 4}},
        "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 3, "tolerance": 0.1},
        "lora": {"r": 4},
        "stages": [{"strategy": "all", **stage}, {"select": "trained", **stage}],
        "compare": {"arms": [], "own_arms": own, "num_retested": 0, "main": "two", "reference": "one"},
    }
    config = folder / "config.yaml"
    config.write_text(json.dumps(settings))
    return config


def worker_in(folder: Path, *, but: int = 0, seconds: float = 600) -> int:
    """The process that writes a run of a comparison, as soon as there is one other than `but`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for file in folder.glob("runs/*/*/owner.json"):
            with contextlib.suppress(OSError, ValueError):
                if (found := int(json.loads(file.read_text())["pid"])) != but:
                    return found
        time.sleep(0.02)
    raise AssertionError("no run was begun")


def test_a_comparison_whose_command_and_worker_are_killed_is_that_of_one_process(cluster: Any, tmp_path: Path) -> None:
    config, node = write_comparison(tmp_path), cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    command = ["compare", config, "--seeds", 2, "--json"]
    on_ray = [*command, "--out", tmp_path / "spread", "--ray", cluster.address, "--workers", 2]
    first = start_gradual(tmp_path, *on_ray)
    dead = worker_in(tmp_path / "spread")
    first.kill()
    first.communicate()
    second = start_gradual(tmp_path, *on_ray)
    os.kill(worker_in(tmp_path / "spread", but=dead), signal.SIGKILL)
    out, err = second.communicate(timeout=900)
    cluster.remove_node(node)
    assert second.returncode == 0, err
    assert "a worker was lost; arm " in err
    alone = gradual(tmp_path, *command, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    assert {**json.loads(out), "arms": []} == {**json.loads(alone.stdout), "arms": []}  # arms tell what they took
    names = [
        path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone" / "runs").rglob("*") if path.is_file()
    ]
    others = [name for name in names if name.name not in WITH_TIMES]
    assert others
    for name in others:
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


@pytest.mark.parametrize("is_heard", [False, True], ids=["nothing", "something mute"])
def test_where_no_cluster_is_is_said_in_a_line(probe_command: list[object], tmp_path: Path, *, is_heard: bool) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        if is_heard:
            other.listen()
        done = gradual(tmp_path, *probe_command, "--out", tmp_path / "map", "--ray", address)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"error: --ray {address}: expected a Ray cluster there, found none ("
    )
