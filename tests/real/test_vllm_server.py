"""A real vLLM on this machine against the engine of this process: `make test-server` runs it, `make test` does not.

In float32 on the CPU, so that nothing but the way of reading differs.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gradual.api import probe
from gradual.config.model import ModelConfig, ServerConfig
from gradual.config.run import ProbeConfig
from gradual.knowledge.map import KnowledgeMap
from gradual.models.load import load_model
from gradual.progress import Silent

PYTHON = os.environ.get("GRADUAL_VLLM_PYTHON")
URL = os.environ.get("GRADUAL_VLLM_URL")
"""Of a server that is up already, with the flags below; without one it is started."""
NUM_FACTS = int(os.environ.get("GRADUAL_SERVER_FACTS", "40"))
FEW_FACTS = 4
FLAGS = [
    *("--served-model-name", "smollm2", "--host", "127.0.0.1", "--dtype", "float32", "--max-model-len", "1024"),
    *("--max-num-seqs", "64", "--enforce-eager", "--max-logprobs", "64", "--block-size", "32"),
    *("--enable-lora", "--max-lora-rank", "16"),
]
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "HF_HUB_OFFLINE": "1",
}
SECONDS_TO_START = 1200
SETTINGS = ProbeConfig(num_exemplar_sets=4, tolerance=1e-4)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PYTHON is None and URL is None, reason="make test-server runs it, with a vLLM"),
]


class Said(Silent):
    def say(self, text: str) -> None:
        print(text)


@pytest.fixture(scope="module")
def weights() -> str:
    """The folder with the dense weights of the embedded model."""
    return load_model(ModelConfig(name_or_path="smollm2", dtype="float32", device="cpu")).source


@pytest.fixture(scope="module")
def url(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM that serves the embedded model, up for this module."""
    if URL is not None:
        yield URL
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert PYTHON is not None
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", weights, "--port", str(port), *FLAGS]
    path = tmp_path_factory.mktemp("vllm") / "log"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | VARIABLES
    with path.open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + SECONDS_TO_START
        while not is_up(address := f"http://127.0.0.1:{port}"):
            assert server.poll() is None, path.read_text()[-3000:]
            assert time.monotonic() < end, path.read_text()[-3000:]
            time.sleep(1.0)
        yield address
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(30)
        with suppress(ProcessLookupError):  # its engine is a process of its own
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/version").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def cache_counts(url: str) -> tuple[float, float]:
    """Tokens that the server was asked for, and those that it found in its cache."""
    text = httpx.get(f"{url}/metrics").text
    queries, hits = (
        sum(map(float, re.findall(rf"^vllm:prefix_cache_{name}_total\{{[^}}]*\}} (\S+)$", text, re.MULTILINE)))
        for name in ("queries", "hits")
    )
    return queries, hits


def through(url: str, *, limit: int, adapter: str | None = None, logprobs: int | None = None) -> KnowledgeMap:
    compare = "never" if limit == FEW_FACTS else "auto"  # once is enough
    server = ServerConfig(url=url, logprobs=logprobs, compare_weights=compare)
    model = ModelConfig(name_or_path="smollm2", adapter=adapter, dtype="float32", device="cpu", server=server)
    return probe(model, "atlas", settings=SETTINGS, limit=limit, progress=Said())


def in_process(*, limit: int, adapter: str | None = None) -> KnowledgeMap:
    model = ModelConfig(name_or_path="smollm2", adapter=adapter, dtype="float32", device="cpu")
    return probe(model, "atlas", settings=SETTINGS, limit=limit, progress=Said())


@pytest.fixture(scope="module")
def own() -> KnowledgeMap:
    """The map of the engine in this process."""
    return in_process(limit=NUM_FACTS)


def assert_equal(found: KnowledgeMap, own: KnowledgeMap, record: Callable[[str, object], None]) -> None:
    """Levels, greedy verdicts and answers are equal, but where two tokens are within the noise; p within 1e-4."""
    pairs = [(a, b) for fact in own for a, b in zip(found[fact.id].sets, fact.sets, strict=True)]
    largest = max(abs(a.p - b.p) for a, b in pairs)
    near = found.info.noise
    record("facts, prompts", (len(own), len(pairs)))
    record("levels equal", sum(found.level_of(fact.id) is fact.level for fact in own))
    record("greedy verdicts equal", sum(a.greedy_correct == b.greedy_correct for a, b in pairs))
    record("greedy answers equal", sum(a.greedy_answer == b.greedy_answer for a, b in pairs))
    record("largest difference of p", largest)
    assert [a.greedy_correct for a, _ in pairs if a.margin > near] == [
        b.greedy_correct for a, b in pairs if a.margin > near
    ]
    assert [found.level_of(fact.id) for fact in own if fact.min_margin > near] == [
        fact.level for fact in own if fact.min_margin > near
    ]
    assert largest < 1e-4


def test_a_map_through_vllm_is_that_of_the_own_engine(
    url: str, own: KnowledgeMap, record_property: Callable[[str, object], None]
) -> None:
    before = cache_counts(url)
    started = time.perf_counter()
    found = through(url, limit=NUM_FACTS)
    queries, hits = (after - start for after, start in zip(cache_counts(url), before, strict=True))
    record_property("seconds", (round(time.perf_counter() - started), round(own.info.cost.seconds)))
    record_property("tokens sent, found in the cache", (queries, hits / queries))
    assert_equal(found, own, record_property)
    assert hits / queries > 0.5


def test_an_adapter_counts(url: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    from peft import LoraConfig, get_peft_model

    loaded = load_model(ModelConfig(name_or_path="smollm2", dtype="float32", device="cpu"))
    layers = ["q_proj", "v_proj"]
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=layers, task_type="CAUSAL_LM", init_lora_weights=False)
    get_peft_model(loaded.model, lora).save_pretrained(tmp_path / "adapter")
    path = str(tmp_path / "adapter")
    found = through(url, limit=FEW_FACTS, adapter=path)
    assert_equal(found, in_process(limit=FEW_FACTS, adapter=path), record_property)
    names = [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]]
    assert f"gradual-{found.info.model['adapter']}" in names
    without = through(url, limit=FEW_FACTS)
    assert max(abs(a.p - b.p) for fact in found for a, b in zip(fact.sets, without[fact.id].sets, strict=True)) > 0.01


def test_twenty_logprobs_bound_what_the_own_engine_says(
    url: str, own: KnowledgeMap, record_property: Callable[[str, object], None]
) -> None:
    few = in_process(limit=FEW_FACTS)
    for number in (20, 5):
        found = through(url, limit=FEW_FACTS, logprobs=number)
        widths = []
        for fact in few:
            for wide, exact in zip(found[fact.id].sets, fact.sets, strict=True):
                assert wide.p_lower - 1e-4 <= exact.p_upper
                assert exact.p_lower - 1e-4 <= wide.p_upper
                widths.append(wide.p_upper - wide.p_lower)
            assert fact.level in (found.open_levels(fact.id) or (found.level_of(fact.id),))
        record_property(f"widths with {number}, mean and largest", (sum(widths) / len(widths), max(widths)))
