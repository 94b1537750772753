"""Finds out before a probe whether a server is the right one: its model, its tokenizer, its adapter, and its noise.

Knows what a server can be asked beside next tokens; `canary` says what its answers show.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from gradual.config.model import ModelConfig, ServerConfig
from gradual.engines.server.answers import TooManyLogprobsError, answers_of, ask, post, request_body
from gradual.engines.server.canary import (
    CANARY_TEXTS,
    Canary,
    CanaryAnswer,
    is_other_model,
    is_same_server,
    largest_difference,
    read_canary,
    write_canary,
)
from gradual.engines.server.client import Client, RefusedError
from gradual.engines.server.engine import ServerEngine, ServerModel
from gradual.engines.texts import Texts, stop_tokens
from gradual.engines.vocabulary import read_vocabulary
from gradual.errors import ModelError, ProbeError, RunDirError
from gradual.knowledge.map import NOISE_FIELD
from gradual.models.load import load_tokenizer

MOST_WEIGHTS = 4_000_000_000
"""Bytes of local weights that are held against a server without being asked for."""

LocalAnswers = Callable[[Sequence[Sequence[int]], int], Sequence[CanaryAnswer]]
"""What local weights answer to prompts: so many of the likeliest next tokens."""


class Expectation(NamedTuple):
    """What a server is held against."""

    model: ModelConfig
    server_model: ServerModel
    """Without the name under which it is served, which is found out."""
    fingerprint: Mapping[str, str]
    local: LocalAnswers | None = None


def open_server(model: ModelConfig, *, top_k: int, record: Path | None, say: Callable[[str], None]) -> ServerEngine:
    """An engine over the server that `model.server` names.

    Args:
        model: where the tokenizer is, and the server.
        top_k: as the probe will ask.
        record: file with the canary of a probe that is gone on with; written where there is none.
        say: told in a line what was found.

    Raises:
        ModelError: nothing answers, or the server has another model or tokenizer, or gives too little.
        RunDirError: it answers otherwise than when the probe was begun.
    """
    loaded = load_tokenizer(model)
    vocabulary = read_vocabulary(loaded.tokenizer, stop_tokens(loaded.generation_config, loaded.tokenizer))
    server_model = ServerModel("", loaded.vocab_size, Texts(loaded.tokenizer, loaded.source), vocabulary)
    local = _local_answers(model, Path(loaded.source))
    return connect(Expectation(model, server_model, loaded.fingerprint, local), top_k=top_k, record=record, say=say)


def connect(expectation: Expectation, *, top_k: int, record: Path | None, say: Callable[[str], None]) -> ServerEngine:
    """As `open_server`, with a tokenizer that is loaded."""
    settings = expectation.model.server
    assert settings is not None
    client = Client(settings)
    base = _served_name(client, settings)
    version = _version(client)
    engine = ServerEngine(client, settings, expectation.server_model._replace(name=base))
    check = _Check(engine, engine.num_logprobs(top_k))
    canary = check.measure()
    check.refuse_other_tokenizer(canary)
    if expectation.model.adapter:
        adapter = f"gradual-{expectation.fingerprint['adapter']}"
        path = settings.adapter_path or str(Path(expectation.model.adapter).resolve())
        load_adapter(client, adapter, path)
        engine.server_model = engine.server_model._replace(name=adapter)
        with_adapter = check.measure()
        _refuse_idle_adapter(canary, with_adapter)
        canary = with_adapter
    if expectation.local is not None:
        canary = _hold_against_weights(canary, expectation.local(check.prompts, check.number), expectation.model)
    canary = _hold_against_record(canary, record, client.url)
    engine.noise = max([float(f"{canary.noise:.3g}"), *map(float, canary.found.values())])
    engine.fingerprint = {
        **expectation.fingerprint,
        "server_model": base,
        "server_version": version,
        "server_logprobs": str(check.number),
        NOISE_FIELD: f"{engine.noise:.3g}",
        **canary.found,
    }
    engine.after_drops = _Guard(engine, check, canary, version, expectation.model)
    weights = "".join(f", {value} from the local weights" for value in canary.found.values())
    say(
        f"{client.url} (version {version}) serves {base}; its log-probabilities differ by up to {canary.noise:.2g} "
        f"between a batch and alone{weights}"
    )
    return engine


class _Check:
    """Asks a server the prompts of the canary."""

    def __init__(self, engine: ServerEngine, number: int) -> None:
        self.number = number
        self.prompts = engine.encode(CANARY_TEXTS, add_special_tokens=True)
        self._engine = engine

    def ask(self, prompts: Sequence[Sequence[int] | str]) -> list[CanaryAnswer]:
        """Answers to prompts of one request.

        Raises:
            ModelError: the server gives too few log-probabilities.
        """
        engine = self._engine
        try:
            answers = ask(engine.client, engine.server_model.name, prompts, self.number)
            fewest = min(len(each.tokens) for each in answers)
            if fewest < self.number:
                raise TooManyLogprobsError(self.number, fewest)
        except TooManyLogprobsError as error:
            most = error.most or "N"
            raise ModelError(
                f"model.server: expected a server that gives {error.number} log-probabilities, found one that gives "
                f"{error.most or 'fewer'} - start it with --max-logprobs {error.number}, or set "
                f"model.server.logprobs={most}: bounds are then wider, and still certain"
            ) from None
        return [CanaryAnswer(*each) for each in answers]

    def measure(self) -> Canary:
        """The answers, asked in one batch, and how far they are from those that are asked alone."""
        together = self.ask(self.prompts)
        alone = [self.ask([prompt])[0] for prompt in self.prompts]
        if max(max(each.tokens) for each in together) >= self._engine.server_model.vocab_size:
            raise _other_tokenizer(self._engine.client.url, "answers with token ids beyond its vocabulary")
        noise = largest_difference(together, alone)
        if not math.isfinite(noise):
            raise ModelError(
                f'model.server.url: expected "{self._engine.client.url}" to answer alike in a batch and alone, found '
                "other likeliest tokens - see to the server (wrong batching, or another model behind each request)"
            )
        return Canary(together, noise, {})

    def refuse_other_tokenizer(self, canary: Canary) -> None:
        """Holds the server's own way to cut the texts into tokens against ours, where it takes texts.

        Raises:
            ModelError: it cuts them otherwise.
        """
        client, name = self._engine.client, self._engine.server_model.name
        try:
            reply = post(client, request_body(name, CANARY_TEXTS, self.number))
        except RefusedError:
            return  # a server without a tokenizer of its own
        num_tokens = (reply.get("usage") or {}).get("prompt_tokens")
        expected = sum(map(len, self.prompts))
        if num_tokens is not None and num_tokens != expected:
            raise _other_tokenizer(client.url, f"cuts 16 texts into {num_tokens} tokens in place of {expected}")
        by_text = answers_of(reply)
        pairs = [(canary.answers[place], CanaryAnswer(*by_text[place])) for place in by_text]
        if pairs and is_other_model(*zip(*pairs, strict=True)):
            raise _other_tokenizer(client.url, "answers otherwise to texts than to their tokens")


class _Guard:
    """Looks again, after connections broke, whether it is still the same server; loads the adapter anew if need be."""

    def __init__(self, engine: ServerEngine, check: _Check, canary: Canary, version: str, model: ModelConfig) -> None:
        self._engine, self._check, self._canary, self._version = engine, check, canary, version
        self._model = model
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Raises ProbeError where the server is another one now."""
        client, settings = self._engine.client, self._model.server
        assert settings is not None
        with self._lock:
            if self._model.adapter:
                path = settings.adapter_path or str(Path(self._model.adapter).resolve())
                load_adapter(client, self._engine.server_model.name, path)
            version = _version(client)
            if version != self._version or not is_same_server(self._canary, self._check.ask(self._check.prompts)):
                raise ProbeError(
                    f'"{client.url}" answers otherwise since connections broke (version {self._version} before, '
                    f"{version} now) - start it again with the model that the probe was begun with, and give the same "
                    "command again, which goes on"
                )


def load_adapter(client: Client, name: str, path: str) -> None:
    """Loads an adapter into a server, unless it has it already. Its name tells its content: no cache can be stale.

    Args:
        client: the server.
        name: made from the adapter's digest.
        path: the adapter's folder, as the server sees it.

    Raises:
        ModelError: the server takes no adapters, or not this one.
    """
    if name in _served_names(client):
        return
    try:
        client.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
    except RefusedError as error:
        if error.status in (404, 405) and "adapter" not in error.text.lower():
            raise ModelError(
                f'model.adapter: expected a server that loads adapters, found none at "{client.url}" - start it with '
                "--enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, or merge it into the model and serve that"
            ) from None
        raise ModelError(
            f'model.adapter: the server could not load "{path}" ({error.text}) - the folder must lie on its machine; '
            "set model.server.adapter_path where it has another path there"
        ) from None


def _refuse_idle_adapter(without: Canary, with_adapter: Canary) -> None:
    noise = max(without.noise, with_adapter.noise)
    if largest_difference(without.answers, with_adapter.answers) <= noise:
        raise ModelError(
            "model.adapter: expected answers that differ with the adapter, found the same as without (within "
            f"{noise:.2g}) - the server ignores it for this model; merge it into the model and serve that"
        )


def _hold_against_weights(canary: Canary, local: Sequence[CanaryAnswer], model: ModelConfig) -> Canary:
    if is_other_model(local, canary.answers):
        raise ModelError(
            f'model.server: expected the answers of the weights in "{model.name_or_path}", found those of another '
            "model - correct model.name_or_path or the address; if the weights are meant to differ, set "
            "model.server.compare_weights to never"
        )
    return canary._replace(found={"canary_weights": f"{largest_difference(local, canary.answers, top=5):.3g}"})


def _hold_against_record(canary: Canary, record: Path | None, url: str) -> Canary:
    """The canary that a probe was begun with, where there is one that the server still answers."""
    before = read_canary(record) if record is not None else None
    if before is None:
        if record is not None:
            write_canary(canary, record)
        return canary
    if len(before.answers) != len(canary.answers) or not is_same_server(before, canary.answers):
        raise RunDirError(
            f'{record}: "{url}" answers otherwise than when this map was begun - serve the same model, or '
            "use another --out"
        )
    return before


def _served_names(client: Client) -> list[str]:
    reply = client.find("/v1/models")
    models = reply.get("data") if isinstance(reply, Mapping) else None
    if not isinstance(models, list):
        raise ModelError(
            f'model.server.url: expected an inference server with OpenAI\'s API at "{client.url}", found something '
            "else - correct the address"
        )
    return [str(each.get("id")) for each in models if isinstance(each, Mapping)]


def _served_name(client: Client, settings: ServerConfig) -> str:
    """The name of the model to ask for.

    Raises:
        ModelError: the server does not have it, or has several and none was named.
    """
    names = _served_names(client)
    if settings.model is not None:
        if settings.model not in names:
            raise ModelError(
                f'model.server.model: "{client.url}" serves {", ".join(names) or "nothing"}, expected '
                f'"{settings.model}" - '
                "correct the name (--server-model), or start the server with it"
            )
        return settings.model
    bases = [name for name in names if not name.startswith("gradual-")]
    if len(bases) != 1:
        raise ModelError(
            f'model.server.model: "{client.url}" serves {", ".join(bases) or "nothing"}, expected one model - name it '
            "(--server-model)"
        )
    return bases[0]


def _version(client: Client) -> str:
    reply = client.find("/version")
    return str(reply["version"]) if isinstance(reply, Mapping) and "version" in reply else "unknown"


def _other_tokenizer(url: str, what: str) -> ModelError:
    return ModelError(
        f'model.name_or_path: expected the tokenizer of the served model, found one that "{url}" does not have: it '
        f"{what} - name the model that it serves"
    )


def _local_answers(model: ModelConfig, folder: Path) -> LocalAnswers | None:
    """How to ask the local weights, where there are any that are to be held against the server."""
    assert model.server is not None
    choice = model.server.compare_weights
    if choice == "never":
        return None
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    if choice == "auto" and not (0 < size <= MOST_WEIGHTS and util.find_spec("torch")):
        return None

    def answers(prompts: Sequence[Sequence[int]], number: int) -> list[CanaryAnswer]:
        from gradual.engines.token_tree import ROOT
        from gradual.engines.transformers_engine import TransformersEngine
        from gradual.models.load import load_model

        changes: dict[str, Any] = {"server": None} | ({"dtype": "float32"} if model.dtype == "auto" else {})
        engine = TransformersEngine(load_model(model.model_copy(update=changes)))
        forest = engine.new_forest(1, top_k=number)
        ends = [(0, forest.trees[0].add(ROOT, prompt)[-1]) for prompt in prompts]
        unique = list(dict.fromkeys(ends))  # a prompt may begin another one
        next_tokens = forest.read(unique)
        by_end = {
            end: CanaryAnswer([int(token) for token in tokens if token >= 0], [float(value) for value in logits])
            for end, tokens, logits in zip(unique, next_tokens.tokens, next_tokens.logits, strict=True)
        }
        return [CanaryAnswer(each.tokens, each.logprobs[: len(each.tokens)]) for each in (by_end[end] for end in ends)]

    return answers
