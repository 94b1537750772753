"""How far an adapter moves a model: sums worked by hand, against plain passes, and in a run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import gradual
from gradual.config.run import LoraSettings
from gradual.config.yaml_file import parse_config
from gradual.engines.divergence import compare_logits, divergence
from gradual.engines.transformers_engine import TransformersEngine
from gradual.errors import ModelError, ProbeError
from gradual.facts.prepare import RunFacts
from gradual.files import storage
from gradual.models.adapters import add_adapter
from gradual.models.load import LoadedModel
from gradual.run.folder import RunDir
from gradual.run.measures.drift import drift_rows, measure_drift
from gradual.run.pipeline import check_questions
from gradual.run.steps import planned_steps
from gradual.testing import toy_facts

pytestmark = pytest.mark.tiny


def test_the_divergence_of_two_known_distributions() -> None:
    base = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.9, 0.1, 0.0, 0.0]]).log()
    tuned = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.1, 0.9, 0.0, 0.0]]).log()
    found = compare_logits(base, tuned + 3.0, torch.tensor([1, -1]))  # a constant on all logits changes no chance
    # 0.5 ln 2 + 0 + 0 at the first place; 0.9 ln 9 + 0.1 ln 1/9 = 0.8 ln 9 at the second.
    assert found.kl == pytest.approx(0.5 * math.log(2) + 0.8 * math.log(9), rel=1e-5)
    assert (found.num_places, found.num_targets) == (2, 1)
    assert (found.base_loss, found.tuned_loss) == (pytest.approx(math.log(4)), pytest.approx(math.log(4)))
    with pytest.raises(ProbeError, match="found NaN"):
        compare_logits(torch.full((1, 2), math.nan), torch.zeros(1, 2), torch.tensor([0]))


def test_an_adapter_that_does_nothing_drifts_by_nothing_and_one_that_does_as_plain_passes_say(
    tiny: LoadedModel,
) -> None:
    rows = [[5, 9, 60, 11], [70, 8], [12, 40, 41, 42, 43, 99, 7]]
    model = add_adapter(tiny, LoraSettings(r=2), None).eval()
    same, cost = divergence(model, rows, at_ends=False)
    assert (same.kl, same.num_places, cost.tokens_read) == (0.0, 3 + 1 + 6, 26)
    assert same.base_loss == same.tuned_loss
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0.0, 0.1)
    found, _ = divergence(model, rows, at_ends=True)
    assert found.num_places == 13
    kl = loss = 0.0
    for row in rows:
        with torch.inference_mode():
            q = model(torch.tensor([row])).logits[0].log_softmax(-1)
            with model.disable_adapter():
                p = model(torch.tensor([row])).logits[0].log_softmax(-1)
        kl += float(sum(p[t].exp() @ (p[t] - q[t]) for t in range(len(row))))
        loss -= float(sum(q[t, row[t + 1]] for t in range(len(row) - 1)))
    assert found.kl == pytest.approx(kl, rel=1e-4)
    assert found.kl > 0.01
    assert found.tuned_loss == pytest.approx(loss, rel=1e-5)


def test_the_text_and_the_questions_are_read(tiny: LoadedModel) -> None:
    facts = toy_facts(1, 3)
    run_facts = RunFacts((), (), tuple(facts), {}, 0, (), drift_text="red blue " * 100)
    config = parse_config({"model": "m", "facts": "f"})
    rows = drift_rows(config, run_facts, TransformersEngine(tiny))
    assert [tiny.tokenizer.decode(row) for row in rows.prompts] == [f"Q: {fact.question}\nA:" for fact in facts]
    assert run_facts.digest() == replace(run_facts, drift_text="").digest()  # facts are the same without the text
    assert "".join(tiny.tokenizer.decode(row) for row in rows.text) == run_facts.drift_text
    assert max(map(len, rows.text)) <= 256
    model = add_adapter(tiny, LoraSettings(r=2), None).eval()
    found, cost = measure_drift(rows, replace(tiny, model=model))
    assert found.text.num_places == sum(map(len, rows.text)) - len(rows.text)
    assert found.prompts.num_places == sum(map(len, rows.prompts))
    assert found.text.perplexity_before == found.text.perplexity_after
    assert cost.tokens_read == 2 * rows.num_tokens


def test_a_run_tells_what_holds_in_other_forms_and_how_far_it_drifted(tiny_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"id": fact.id, "relation": fact.relation, "question": fact.question, "answers": list(fact.answers)}
        | {"rewordings": [fact.question.replace("What", "Which")]}
        for fact in toy_facts(1, 16)
    ]
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(tmp_path / "facts.jsonl"), "splits": {"exemplars_per_relation": 3}},
        "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 3, "tolerance": 0.5},
        "evaluation": {"transfer": ["rewordings", "chat"], "confidence": False},
        "lora": {"r": 2},
        "stages": [{"strategy": "all", "num_train_epochs": 1, "num_shots": 1, "batch_size": 8, "warmup_steps": 0}],
    }
    config = parse_config(settings)
    run = RunDir(tmp_path / "run")
    gradual.fit(config, run.path)
    summary = storage.read_json(run.summary)
    test = next(group for group in summary["transfer"]["groups"] if group["group"] == "test")
    assert [(form["form"], form["after"]["right"]["total"]) for form in test["forms"]] == [
        (form, summary["num_facts"]["test"]) for form in ("usual", "rewordings", "chat")
    ]
    assert summary["drift"][0]["text"]["kl"] > 0.0
    names = [step["name"] for step in storage.read_json(run.cost)["steps"]]
    assert names == [
        *("probe 0", "evaluation 0", "rewordings 0", "chat 0", "levels of test facts"),
        *("stage 1", "probe 1", "evaluation 1", "rewordings 1", "chat 1", "drift 1"),
    ]
    before = run.drift(1).joinpath("drift.json").read_bytes()
    gradual.fit(config, run.path)
    assert run.drift(1).joinpath("drift.json").read_bytes() == before


def test_a_model_without_a_chat_template_is_refused_before_anything_is_asked(tiny: LoadedModel) -> None:
    facts = toy_facts(1, 2)
    run_facts = RunFacts((facts[0],), (), (facts[1],), {}, 0, ())
    config = parse_config({"model": "m", "facts": "f", "evaluation": {"transfer": ["chat"]}})
    check_questions(tiny, planned_steps(config, run_facts))
    tiny.tokenizer.chat_template = None
    with pytest.raises(ModelError, match="needs a chat template"):
        check_questions(tiny, planned_steps(config, run_facts))
