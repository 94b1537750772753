"""The embedded model for real: the probe against `generate`, and a small run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, LoraSettings, ProbeConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.facts.fact import spread
from gradual.facts.prepare import prepare_probe
from gradual.knowledge.levels import Level
from gradual.models.adapters import add_adapter, unload_adapter
from gradual.models.load import LoadedModel, load_model
from gradual.probing.check import check_against_sampling
from gradual.probing.probe import probe_facts
from gradual.training.loss import pack_tensors, packed_loss
from gradual.training.rows import TrainingRows

pytestmark = pytest.mark.real

RELATIONS = ["capital", "country_of_city", "currency", "continent"]


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    """The embedded model in float32, where rounding decides nothing."""
    return load_model(ModelConfig(name_or_path="smollm2", dtype="float32", device="cpu"))


@pytest.mark.filterwarnings("ignore:.*that the rule squad takes for the same:UserWarning")  # the atlas' own
def test_greedy_answers_equal_generate_and_samples_lie_around_p(smollm2: LoadedModel) -> None:
    engine = TransformersEngine(smollm2)
    assert engine.reads_trees
    run_facts = prepare_probe(FactsConfig(path="atlas", relations=RELATIONS), num_shots=4)
    settings = ProbeConfig(num_exemplar_sets=2, max_new_tokens=8, greedy_answers="all")
    chosen, exemplars = spread(run_facts.facts, 12), run_facts.exemplars
    known = probe_facts(chosen, exemplars, engine, settings, seed=1)
    tokenizer = smollm2.tokenizer
    ends = [token for token, piece in enumerate(engine.vocabulary.pieces) if b"\n" in piece]
    for fact in known:
        for answer in fact.sets:
            ids = tokenizer(known.prompt_text(fact.id, answer.set), return_tensors="pt")
            out = smollm2.model.generate(
                **ids,
                do_sample=False,
                max_new_tokens=8,
                eos_token_id=[*engine.vocabulary.stops, *ends],
                pad_token_id=tokenizer.pad_token_id,
            )
            text = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
            assert answer.greedy_answer == text.split("\n")[0].strip()
    check = check_against_sampling(chosen, exemplars, engine, settings, seed=1, num_facts=6, num_samples=200)
    assert check.is_passed, check.lines()


def test_facts_packed_behind_one_exemplar_set_train_as_single_facts_do(smollm2: LoadedModel) -> None:
    engine = TransformersEngine(smollm2)
    run_facts = prepare_probe(FactsConfig(path="atlas", relations=["currency"]), num_shots=4)
    rows = TrainingRows(
        facts=spread(run_facts.facts, 8),
        exemplars=run_facts.exemplars,
        style=engine.prompt_style(ProbeConfig()),
        encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
        num_shots=4,
        pack_size=8,
        batch_size=8,
        seed=1,
    )
    (pack,) = rows.step(0, 0)
    assert len(pack.examples) == 8
    model = add_adapter(smollm2, LoraSettings(r=4), None)
    try:
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        torch.manual_seed(0)
        for name, weight in weights.items():
            if "lora_B" in name:  # zero at first, which would leave lora_A without a gradient
                torch.nn.init.normal_(weight, std=0.01)
        packed = packed_loss(model, pack_tensors([pack], 0), MaskKinds(smollm2.model.config))
        packed_grads = torch.autograd.grad(packed, list(weights.values()))
        single, single_grads = 0.0, [torch.zeros_like(weight) for weight in weights.values()]
        for example in pack.examples:
            ids = torch.tensor([example.prompt_ids + example.completion_ids])
            logits = model(input_ids=ids).logits[0, len(example.prompt_ids) - 1 : -1]
            labels = torch.tensor(example.completion_ids)
            loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
            for total, grad in zip(single_grads, torch.autograd.grad(loss, list(weights.values())), strict=True):
                total += grad
            single += loss.item()
    finally:
        unload_adapter(model)
    assert packed.item() == pytest.approx(single, rel=1e-5)
    for name, one, other in zip(weights, packed_grads, single_grads, strict=True):
        assert float((one - other).norm()) <= 1e-3 * float(other.norm()), name


def test_the_whole_method_runs_from_the_command_line(tmp_path: Path) -> None:
    from gradual.cli.app import app

    config = tmp_path / "config.yaml"
    config.write_text(
        """
model: smollm2
facts:
  path: atlas
  relations: [capital, continent, country_of_city, nationality]
  splits:
    {exemplars_per_relation: 8, max_train_per_relation: 10, max_validation_per_relation: 4, max_test_per_relation: 6}
probe: {num_exemplar_sets: 3}
stages:
  - {strategy: maybe_known, num_train_epochs: 2, batch_size: 8}
  - {strategy: S5, num_train_epochs: 1, batch_size: 8}
"""
    )
    run = tmp_path / "run"
    done = CliRunner().invoke(app, ["fit", str(config), "--out", str(run), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert len(summary["levels"]) == 3
    assert sum(summary["levels"][0].values()) == summary["num_facts"]["train"] == 40
    assert summary["levels"][0][Level.MAYBE_KNOWN] == summary["stages"][0]["num_new"]
    assert summary["levels"][1] != summary["levels"][0]
    assert [row["stage"] for row in summary["test_accuracy"]] == [0, 1, 2]
    assert (run / "report.html").is_file()
    before = {path: path.read_bytes() for path in sorted(run.rglob("*.parquet"))}
    again = CliRunner().invoke(app, ["fit", str(config), "--out", str(run), "--json"])
    assert json.loads(again.stdout)["levels"] == summary["levels"]
    assert before == {path: path.read_bytes() for path in sorted(run.rglob("*.parquet"))}
