"""A probe through a server: the same map whatever the server does to the answers, or one clear line."""

from __future__ import annotations

import _thread
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.stub_server import StubServer

from gradual.config.model import ModelConfig, ServerConfig
from gradual.config.run import ProbeConfig
from gradual.engines.server.canary import CanaryAnswer, read_canary
from gradual.engines.server.engine import ServerEngine, ServerModel
from gradual.engines.server.opening import Expectation, connect
from gradual.errors import GradualError, ModelError, ProbeError, RunDirError
from gradual.knowledge.map import KnowledgeMap
from gradual.probing.check import check_against_sampling
from gradual.probing.probe import probe_facts
from gradual.testing import FakeEngine, toy_facts

WORDS = (" red", " blue", " green", "\n", " the")
FACTS = toy_facts(1, 4)
SETTINGS = ProbeConfig(num_exemplar_sets=2, num_shots=1, max_new_tokens=2, temperature=0.8, tolerance=2e-2)
TOP_K = SETTINGS.top_k


class Tied(FakeEngine):
    """An engine whose logits are whole numbers: far more than 24 tokens tie with the k-th."""

    def logits(self, path: list[int]) -> np.ndarray:
        return np.round(super().logits(path) / 2)


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer(FakeEngine(WORDS)).listening() as server:
        yield server


@pytest.fixture(scope="module")
def expected() -> KnowledgeMap:
    """What a server without faults gives."""
    with StubServer(FakeEngine(WORDS)).listening() as server:
        return probed(opened(server))


def opened(
    stub: StubServer,
    *,
    record: Path | None = None,
    speech: FakeEngine | None = None,
    adapter: str | None = None,
    digest: str = "0123",
    **settings: object,
) -> ServerEngine:
    """An engine over the stub that has the tokenizer of `speech`."""
    speech = speech or FakeEngine(WORDS)
    server = ServerConfig.model_validate({"url": stub.url, "prompts_per_request": 5, "connections": 3, **settings})
    served = ServerModel("", len(speech.vocabulary.pieces), speech, speech.vocabulary)
    model = ModelConfig(name_or_path="fake", adapter=adapter, server=server)
    wanted = Expectation(model, served, {"name": "fake", "adapter": digest})
    return connect(wanted, top_k=TOP_K, record=record, say=lambda _: None)


def probed(engine: ServerEngine | FakeEngine, settings: ProbeConfig = SETTINGS) -> KnowledgeMap:
    return probe_facts(FACTS, {"toy-0": FACTS}, engine, settings, seed=1)


def assert_same_levels(one: KnowledgeMap, other: KnowledgeMap) -> None:
    """Levels and greedy answers are equal, and each p lies within 1e-6."""
    for a, b in zip(one, other, strict=True):
        assert (a.id, a.level, a.greedy_answer, a.p_greedy) == (b.id, b.level, b.greedy_answer, b.p_greedy)
        for first, second in zip(a.sets, b.sets, strict=True):
            assert first.p_upper - second.p_lower <= 2 * SETTINGS.tolerance
            assert second.p_upper - first.p_lower <= 2 * SETTINGS.tolerance


def test_a_server_gives_the_map_of_its_own_engine_in_full_requests(stub: StubServer) -> None:
    engine = opened(stub)
    stub.requests.clear()
    known = probed(engine)
    assert_same_levels(known, probed(FakeEngine(WORDS)))
    sizes = [len(request["prompt"]) for request in stub.requests]
    assert sorted(sizes[:2]) == [3, 5]  # the first round asks 4 facts under 2 sets
    assert engine.cost().forward_passes == len(sizes)
    assert {(request["logprobs"], request["max_tokens"]) for request in stub.requests} == {(64, 1)}
    assert known.info.model == {
        "name": "fake",
        "adapter": "0123",
        "server_model": "fake",
        "server_version": "1.0",
        "server_logprobs": "64",
        "canary_difference": "0",
    }


@pytest.mark.parametrize("fault", ["503", "429", "drop", "slow", "missing", "reordered", "twice"])
def test_a_fault_of_every_kind_leaves_the_map_as_it_is(stub: StubServer, fault: str, expected: KnowledgeMap) -> None:
    engine = opened(stub, timeout=0.3 if fault == "slow" else 10.0)
    stub.faults.extend(["", fault, "", fault])
    assert probed(engine).facts == expected.facts
    assert not stub.faults


def test_ties_beyond_what_was_asked_for_are_asked_for_again() -> None:
    with StubServer(Tied(WORDS)).listening() as stub:
        stub.most_logprobs = 1000
        engine = opened(stub)
        stub.requests.clear()
        assert_same_levels(probed(engine), probed(Tied(WORDS)))
        assert {request["logprobs"] for request in stub.requests} >= {64, 128}


def test_ties_beyond_what_a_server_gives_widen_the_bounds_and_nothing_else() -> None:
    with StubServer(Tied(WORDS)).listening() as stub:
        known, own = probed(opened(stub)), probed(Tied(WORDS))
    for fact in known:
        for wide, exact in zip(fact.sets, own[fact.id].sets, strict=True):
            assert wide.p_lower <= exact.p_upper + 1e-6
            assert exact.p_lower <= wide.p_upper + 1e-6
            assert wide.greedy_correct is exact.greedy_correct


@pytest.mark.parametrize("silently", [False, True])
def test_too_few_logprobs_name_the_flag_and_the_setting(stub: StubServer, silently: bool) -> None:
    if silently:
        stub.gives = 20
    else:
        stub.most_logprobs = 20
    with pytest.raises(ModelError) as error:
        opened(stub)
    assert str(error.value) == (
        "model.server: expected a server that gives 64 log-probabilities, found one that gives 20 - start it with "
        "--max-logprobs 64, or set model.server.logprobs=20: bounds are then wider, and still certain"
    )
    opened(stub, logprobs=20)


@pytest.mark.parametrize("number", [20, 5])
def test_few_logprobs_bound_what_all_of_them_say(stub: StubServer, number: int) -> None:
    stub.most_logprobs = number
    wide, exact = probed(opened(stub, logprobs=number)), probed(FakeEngine(WORDS))
    widths = [each.p_upper - each.p_lower for fact in wide for each in fact.sets]
    assert max(widths) > SETTINGS.tolerance
    for fact in exact:
        for each, found in zip(fact.sets, wide[fact.id].sets, strict=True):
            assert found.p_lower - 1e-6 <= each.p_upper
            assert each.p_lower <= found.p_upper + 1e-6
            assert found.greedy_correct is each.greedy_correct
        levels = wide.open_levels(fact.id) or (wide.level_of(fact.id),)
        assert fact.level in levels


def test_nothing_that_answers_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        stub = StubServer(FakeEngine(WORDS))
        stub.port = free.getsockname()[1]
    with pytest.raises(ModelError, match=rf'expected an inference server at "{stub.url}", found nothing that answers'):
        opened(stub)


@pytest.mark.parametrize(
    ("changes", "settings", "said"),
    [
        ({"engines": {}}, {}, "serves nothing, expected one model - name it"),
        (
            {"engines": {"a": FakeEngine(WORDS), "b": FakeEngine(WORDS)}},
            {},
            "serves a, b, expected one model - name it",
        ),
        ({}, {"model": "llama"}, 'serves fake, expected "llama" - correct the name'),
        ({"key": "secret"}, {}, "refuses the key .status 401. - set GRADUAL_API_KEY"),
        ({"engines": {"fake": FakeEngine()}}, {}, "cuts 16 texts into .* tokens in place of"),
        ({"engines": {"fake": FakeEngine((*WORDS, "zzzz", "zzzzz"))}}, {}, "token ids beyond its vocabulary"),
    ],
    ids=["no model", "two models", "another name", "key", "tokenizer", "vocabulary"],
)
def test_a_server_that_is_not_the_right_one_is_one_line(
    stub: StubServer, changes: dict[str, object], settings: dict[str, object], said: str
) -> None:
    for name, value in changes.items():
        setattr(stub, name, value)
    with pytest.raises(ModelError, match=said):
        opened(stub, **settings)


def test_a_server_that_mixes_models_is_one_line(stub: StubServer) -> None:
    stub.noise = 60.0  # alone, the likeliest tokens are others
    with pytest.raises(ModelError, match="to answer alike in a batch and alone, found other likeliest tokens"):
        opened(stub, logprobs=5)


def test_an_address_where_something_else_answers_is_one_line(stub: StubServer) -> None:
    with pytest.raises(ModelError, match="expected an inference server with OpenAI's API"):
        opened(stub, url=f"{stub.url}/elsewhere")


def test_a_check_against_samples_goes_through_the_server_as_well(stub: StubServer) -> None:
    few = SETTINGS.model_copy(update={"num_exemplar_sets": 1})
    check = check_against_sampling(FACTS, {"toy-0": FACTS}, opened(stub), few, seed=1, num_facts=1, num_samples=8)
    assert (check.num_answers, check.greedy_agree) == (1, 1)
    assert check.is_passed


def test_the_key_comes_from_the_environment(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.key = "secret"
    monkeypatch.setenv("OPENAI_API_KEY", "of another")
    monkeypatch.setenv("GRADUAL_API_KEY", "secret")
    assert opened(stub).fingerprint["server_model"] == "fake"


def test_a_server_that_stays_away_is_told_with_what_to_do(stub: StubServer) -> None:
    engine = opened(stub, retry_seconds=0.5)
    stub.faults.extend(["503"] * 1000)
    with pytest.raises(
        ProbeError, match=r"could not answer for 0\.5 seconds .status 503: busy. - .*same command again"
    ):
        probed(engine)


def test_an_interruption_waits_for_no_request(stub: StubServer) -> None:
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
    engine = opened(stub, connections=1)
    stub.faults.extend(["slow"] * 100)
    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        probed(engine)
    signal.signal(signal.SIGINT, usual)
    assert len(stub.faults) > 90


def restart(stub: StubServer, engine: FakeEngine) -> threading.Thread:
    """Stops the server once it has answered twice more, and starts it again with a model."""

    def run() -> None:
        count = len(stub.requests)
        while len(stub.requests) < count + 2:
            time.sleep(0.002)
        name = next(iter(stub.engines))
        stub.stop()
        stub.engines = {name: engine}
        time.sleep(0.1)
        stub.faults.extend(["drop"])
        stub.start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_server_that_restarts_in_a_probe_gives_the_same_map(stub: StubServer, tmp_path: Path) -> None:
    stub.adapters = {str(tmp_path.resolve()): FakeEngine(WORDS, seed=5)}
    expected = probed(opened(stub, adapter=str(tmp_path)))
    engine = opened(stub, adapter=str(tmp_path))
    thread = restart(stub, FakeEngine(WORDS))
    assert probed(engine).facts == expected.facts
    thread.join(5)
    assert "gradual-0123" in stub.engines  # loaded anew


def test_a_server_that_comes_back_with_another_model_is_one_line(stub: StubServer) -> None:
    engine = opened(stub)
    restart(stub, FakeEngine(WORDS, seed=7)).join(0)
    with pytest.raises(ProbeError, match="answers otherwise since connections broke"):
        probed(engine)


def test_an_adapter_is_loaded_under_its_digest_and_asked(stub: StubServer, tmp_path: Path) -> None:
    stub.adapters = {str(tmp_path.resolve()): FakeEngine(WORDS, seed=5)}
    engine = opened(stub, adapter=str(tmp_path), digest="abcd")
    assert list(stub.engines) == ["fake", "gradual-abcd"]
    assert_same_levels(probed(engine), probed(FakeEngine(WORDS, seed=5)))
    assert engine.fingerprint["server_model"] == "fake"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("here", "found the same as without .* the server ignores it for this model"),
        ("elsewhere", 'could not load ".*" .No adapter found. - the folder must lie on its machine'),
        (None, "start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
    ],
)
def test_an_adapter_that_cannot_count_is_one_line(
    stub: StubServer, tmp_path: Path, path: str | None, said: str
) -> None:
    stub.adapters = {} if path is None else {str(tmp_path / path): FakeEngine(WORDS)}
    with pytest.raises(ModelError, match=said):
        opened(stub, adapter=str(tmp_path / "here"))


def test_what_hangs_on_less_than_the_noise_is_flagged(stub: StubServer, expected: KnowledgeMap) -> None:
    stub.noise = 1.5
    engine = opened(stub)
    stub.noise = 0.0
    assert engine.noise == pytest.approx(1.5, abs=0.01)
    noisy = probed(engine)
    assert noisy.info.noise == engine.noise
    assert [fact.near_tie for fact in noisy] == [fact.min_margin < engine.noise for fact in expected]
    assert sum(fact.near_tie for fact in noisy) > sum(fact.near_tie for fact in expected)


def test_a_probe_goes_on_with_the_canary_that_it_was_begun_with(stub: StubServer, tmp_path: Path) -> None:
    stub.noise = 0.01
    record = tmp_path / "canary.json"
    first = opened(stub, record=record)
    before = read_canary(record)
    assert before is not None
    assert (len(before.answers), len(before.answers[0].tokens)) == (16, 64)
    stub.noise = 0.02
    assert opened(stub, record=record).fingerprint == first.fingerprint
    stub.engines = {"fake": FakeEngine(WORDS, seed=3)}
    with pytest.raises(RunDirError, match="answers otherwise than when this map was begun"):
        opened(stub, record=record)


def test_a_canary_file_that_is_damaged_is_named(stub: StubServer, tmp_path: Path) -> None:
    record = tmp_path / "canary.json"
    record.write_text('{"answers": [1], "noise": 0, "found": {}}')
    with pytest.raises(RunDirError, match=r"canary\.json: expected the answers of a server"):
        opened(stub, record=record)


@pytest.mark.parametrize("seed", [0, 3])
def test_local_weights_are_held_against_the_server(stub: StubServer, seed: int) -> None:
    local = FakeEngine(WORDS, seed=seed)

    def answers(prompts: list[list[int]], number: int) -> list[CanaryAnswer]:
        rows = [local.logits(prompt) for prompt in prompts]
        orders = [np.argsort(-row)[:number] for row in rows]
        return [CanaryAnswer(order.tolist(), row[order].tolist()) for order, row in zip(orders, rows, strict=True)]

    server = ServerConfig(url=stub.url)
    served = ServerModel("", len(local.vocabulary.pieces), local, local.vocabulary)
    wanted = Expectation(ModelConfig(name_or_path="fake", server=server), served, {}, answers)  # type: ignore[arg-type]
    if seed == 0:
        engine = connect(wanted, top_k=TOP_K, record=None, say=lambda _: None)
        assert float(engine.fingerprint["canary_weights"]) < 1e-5
    else:
        with pytest.raises(GradualError, match='the weights in "fake", found those of another model'):
            connect(wanted, top_k=TOP_K, record=None, say=lambda _: None)
