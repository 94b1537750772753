"""Forests read by a real (random) model say what plain forward passes and `generate` say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.next_tokens import top_tokens
from gradual.engines.token_tree import ROOT
from gradual.engines.transformers_engine import TransformersEngine, scale_that_fits
from gradual.errors import ModelError, ProbeError
from gradual.models.load import LoadedModel, load_model
from gradual.probing.probe import probe_facts
from gradual.testing import toy_facts

TEXTS = [
    "Q: one?\nA: red\nQ: What is the colour of thing 12?\nA:",
    "Q: one?\nA: red\nQ: What is the colour of thing 7 or so?\nA:",
    "Q: one?\nA: blue\nQ: other?\nA:",
]


def plain_logits(loaded: LoadedModel, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        logits: np.ndarray = loaded.model(torch.tensor([ids])).logits[0, -1].numpy()
    return logits


@pytest.mark.parametrize("folder", ["tiny_folder", "windowed_folder"])
@pytest.mark.parametrize("tokens_per_pass", [5, 512])
def test_every_node_of_a_forest_gets_the_logits_of_its_own_path(
    folder: str, tokens_per_pass: int, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(folder)
    loaded = load_model(ModelConfig(name_or_path=str(path), dtype="float32", device="cpu"))
    engine = TransformersEngine(loaded)
    engine.reader.tokens_per_pass = tokens_per_pass
    forest = engine.new_forest(2, top_k=10)
    ids = engine.encode(TEXTS, add_special_tokens=True)
    places = [(0, ids[0]), (0, ids[1]), (1, ids[2])]
    ends = [(row, forest.trees[row].add(ROOT, path)[-1]) for row, path in places]
    first = forest.read(ends)
    longer = [(row, [*path, 5, 9]) for row, path in places]
    deeper = [(row, forest.trees[row].add(node, [5, 9])[-1]) for row, node in ends]
    second = forest.read(deeper)
    for found, paths in ((first, places), (second, longer)):
        for place, (_, path_ids) in enumerate(paths):
            expected = plain_logits(loaded, path_ids)
            np.testing.assert_allclose(found.logits[place][:10], np.sort(expected)[::-1][:10], atol=2e-5)
            assert found.tokens[place][0] == expected.argmax()
    assert engine.cost().tokens < sum(len(path_ids) for _, path_ids in longer)


@pytest.mark.parametrize("style", ["plain", "chat"])
@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_greedy_answers_are_those_of_generate(tiny_engine: TransformersEngine, style: str, method: str) -> None:
    facts = toy_facts(2, 10)
    settings = ProbeConfig(
        method=method, prompt_style=style, num_exemplar_sets=3, num_shots=2, num_samples=2, max_new_tokens=6,
        greedy_answers="all",
    )  # fmt: skip
    exemplars = {name: [fact for fact in facts if fact.relation == name] for name in ("toy-0", "toy-1")}
    known = probe_facts(facts, exemplars, tiny_engine, settings, seed=1)
    tokenizer, model = tiny_engine.loaded.tokenizer, tiny_engine.model
    newlines = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
    seen = set()
    for fact in known:
        for answer in fact.sets:
            ids = tokenizer(
                known.prompt_text(fact.id, answer.set), return_tensors="pt", add_special_tokens=style == "plain"
            )
            written = model.generate(
                **ids, do_sample=False, max_new_tokens=6, eos_token_id=[tokenizer.eos_token_id, *newlines]
            )
            text = tokenizer.decode(written[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
            assert answer.greedy_answer == text.split("\n")[0].strip()
            seen.add(text)
    assert len(seen) > 5


def test_a_fact_is_the_same_alone_and_in_a_batch(tiny_engine: TransformersEngine) -> None:
    facts = toy_facts(1, 24)
    settings = ProbeConfig(num_exemplar_sets=3, num_shots=2, max_new_tokens=5)
    together = probe_facts(facts, {"toy-0": facts}, tiny_engine, settings, seed=1)
    for fact in facts[:5]:
        alone = probe_facts([fact], {"toy-0": facts}, tiny_engine, settings, seed=1)[fact.id]
        for one, other in zip(alone.sets, together[fact.id].sets, strict=True):
            assert one.greedy_correct == other.greedy_correct
            assert one.p_lower == pytest.approx(other.p_lower, abs=1e-4)


def test_more_ties_than_there_is_room_for_are_all_kept() -> None:
    logits = torch.zeros(1, 200)
    logits[0, 3] = 1.0
    found = top_tokens(logits, 5)
    assert found.tokens[0].tolist() == [3, *(i for i in range(200) if i != 3)]


def test_nan_logits_stop_the_probe() -> None:
    with pytest.raises(ProbeError, match="NaN"):
        top_tokens(torch.full((1, 50), torch.nan), 5)
    with pytest.raises(ProbeError, match="NaN"):
        top_tokens(torch.tensor([[1.0] * 30 + [torch.nan]]), 5)
    for number in (torch.inf, -torch.inf):
        with pytest.raises(ProbeError, match="infinite ones"):
            top_tokens(torch.full((1, 50), number), 5)


def test_probe_that_meets_nan_names_the_facts_and_keeps_nothing_of_them(tiny_engine: TransformersEngine) -> None:
    with torch.no_grad():
        tiny_engine.model.lm_head.weight[7] = torch.nan
    facts = toy_facts(1, 8)
    kept: dict[str, bytes] = {}

    class Store:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, data: bytes) -> None:
            kept[key] = data

    settings = ProbeConfig(num_exemplar_sets=1, num_shots=2, max_new_tokens=2)
    with pytest.raises(ProbeError) as caught:
        probe_facts(facts, {"toy-0": facts}, tiny_engine, settings, seed=1, units=Store())
    assert str(caught.value) == (
        'facts "toy-0-0" to "toy-0-7": expected finite logits, found NaN - the model\'s weights or number format are '
        "broken; try dtype float32"
    )
    assert kept == {}


def test_chat_without_a_template_is_refused(tiny_engine: TransformersEngine) -> None:
    tiny_engine.loaded.tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        tiny_engine.prompt_style(ProbeConfig(prompt_style="chat"))


@pytest.mark.parametrize(
    ("config", "gigabytes", "expected"),
    [
        pytest.param(
            transformers.LlamaConfig(
                hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8
            ),
            141,
            6,
            id="8B, 131 kB a token",
        ),
        pytest.param(
            transformers.LlamaConfig(
                hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8
            ),
            24,
            1,
            id="8B on a small GPU",
        ),
        pytest.param(
            transformers.LlamaConfig(
                hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3
            ),
            24,
            6,
            id="135M, 23 kB a token",
        ),
        pytest.param(transformers.MambaConfig(), 141, 1, id="no attention"),
        pytest.param(transformers.AutoConfig.for_model("gemma4_text"), 141, 1, id="layers with heads of their own"),
    ],
)
def test_units_of_a_gpu_grow_with_its_memory_and_shrink_with_the_keys_of_a_token(
    config: transformers.PretrainedConfig, gigabytes: int, expected: int
) -> None:
    assert scale_that_fits(config, gigabytes * 10**9, bytes_per_number=2) == expected
