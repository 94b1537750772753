"""Packed training computes what training fact by fact computes, and leaves everything else alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tests.support.training import make_rows

from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.errors import TrainingError
from gradual.models.adapters import with_adapter
from gradual.models.load import LoadedModel, load_model
from gradual.testing import toy_facts
from gradual.training.epochs import EpochRecord, Score
from gradual.training.loss import pack_tensors, packed_loss
from gradual.training.rows import Pack, TrainingRows, split_packs
from gradual.training.train import train_stage


def test_every_fact_is_read_once_an_epoch_with_shots_drawn_anew(tiny_engine: TransformersEngine) -> None:
    rows = make_rows(tiny_engine)
    epochs = [
        [e for step in range(rows.steps_per_epoch) for pack in rows.step(epoch, step) for e in pack.examples]
        for epoch in (0, 1)
    ]
    for epoch in epochs:
        assert sorted(e.fact_id for e in epoch) == sorted(fact.id for fact in rows.facts)
    assert {e.fact_id: e.prompt_ids for e in epochs[0]} != {e.fact_id: e.prompt_ids for e in epochs[1]}
    assert rows.step(1, 0) == make_rows(tiny_engine).step(1, 0)


def test_only_the_answer_and_its_stop_token_carry_loss(tiny_engine: TransformersEngine) -> None:
    rows = make_rows(tiny_engine)
    answers = {fact.id: fact.answers[0] for fact in rows.facts}
    for pack in rows.step(0, 0):
        tree, supervised = pack.tree()
        texts = [tiny_engine.loaded.tokenizer.decode(e.completion_ids) for e in pack.examples]
        assert texts == [f" {answers[e.fact_id]}\n" for e in pack.examples]
        assert [token for _, token in supervised] == [t for e in pack.examples for t in e.completion_ids]
        assert len(tree) < sum(len(e.prompt_ids) + len(e.completion_ids) for e in pack.examples)


def one_by_one(model: Any, packs: list[Pack], weights: Mapping[str, float] | None = None) -> torch.Tensor:
    """The loss of the packs' facts as any trainer would compute it, fact by fact, each times its weight."""
    total = torch.zeros(())
    for example in (e for pack in packs for e in pack.examples):
        ids = torch.tensor([example.prompt_ids + example.completion_ids])
        labels = ids.clone()
        labels[:, : len(example.prompt_ids)] = -100
        logits = model(input_ids=ids).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum")
        total = total + loss * (1.0 if weights is None else weights[example.fact_id])
    return total


def assert_same_loss_and_gradients(model: Any, loss: torch.Tensor, expected: torch.Tensor) -> None:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    grads, expected_grads = torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights)
    for one, other in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert all(bool(grad.any()) for grad in grads)


def with_lora(model: Any, **settings: Any) -> Any:
    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(r=4, init_lora_weights=False, **settings))


def test_packed_loss_and_gradients_equal_those_of_single_facts(
    tiny: LoadedModel, tiny_engine: TransformersEngine
) -> None:
    packs = make_rows(tiny_engine).step(0, 0)
    model = with_lora(tiny.model, target_modules="all-linear")
    packed = packed_loss(model, pack_tensors(packs, 1), MaskKinds(tiny.model.config))
    assert_same_loss_and_gradients(model, packed, one_by_one(model, packs))


def test_weighted_loss_and_gradients_are_the_weighted_sum_of_those_of_single_facts(
    tiny: LoadedModel, tiny_engine: TransformersEngine
) -> None:
    weights = {fact.id: 0.25 * number for number, fact in enumerate(toy_facts(2, 20))}  # 0 among them
    packs = make_rows(tiny_engine, weights=weights, batch_size=32).step(0, 0)
    model = with_lora(tiny.model, target_modules="all-linear")
    packed = packed_loss(model, pack_tensors(packs, 1), MaskKinds(tiny.model.config))
    assert_same_loss_and_gradients(model, packed, one_by_one(model, packs, weights))
    parts = [packed_loss(model, pack_tensors(part, 1), MaskKinds(tiny.model.config)) for part in split_packs(packs, 3)]
    assert_same_loss_and_gradients(model, torch.stack(parts).sum(), one_by_one(model, packs, weights))


def test_without_weights_the_loss_is_the_same_to_the_last_bit(
    tiny: LoadedModel, tiny_engine: TransformersEngine
) -> None:
    ones = {fact.id: 1.0 for fact in toy_facts(2, 20)}
    batches = [pack_tensors(make_rows(tiny_engine, **weights).step(0, 0), 1) for weights in ({}, {"weights": ones})]
    assert [sorted(batch) for batch in batches] == [sorted(batches[0])] * 2
    assert "weights" not in batches[0]
    losses = [packed_loss(tiny.model, batch, MaskKinds(tiny.model.config)) for batch in batches]
    assert torch.equal(*losses)


@pytest.mark.parametrize("folder", ["tiny_folder", "windowed_folder"])
def test_rows_of_one_fact_give_the_loss_and_gradients_of_packed_ones(
    folder: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(folder)
    loaded = load_model(ModelConfig(name_or_path=str(path), dtype="float32", device="cpu"))
    packs = make_rows(TransformersEngine(loaded)).step(0, 0)
    singles = [Pack((example,)) for pack in packs for example in pack.examples]
    assert min(len(each.tree()[0]) for each in singles) > 16  # more than the window
    model = with_lora(loaded.model, target_modules="all-linear")
    packed = packed_loss(model, pack_tensors(packs, 1), MaskKinds(loaded.model.config))
    assert_same_loss_and_gradients(model, packed_loss(model, pack_tensors(singles, 1), None), packed)


@pytest.mark.parametrize(
    ("name", "layers"), [("mamba", ["in_proj", "x_proj"]), ("bloom", ["query_key_value", "dense"])]
)
def test_rows_of_one_fact_train_a_model_that_reads_no_trees(
    name: str, layers: list[str], treeless_folders: dict[str, Path]
) -> None:
    loaded = load_model(ModelConfig(name_or_path=str(treeless_folders[name]), dtype="float32", device="cpu"))
    packs = make_rows(TransformersEngine(loaded), pack_size=1).step(0, 0)
    assert len({len(pack.tree()[0]) for pack in packs}) > 1  # some rows are padded
    model = with_lora(loaded.model, target_modules=layers)
    assert_same_loss_and_gradients(model, packed_loss(model, pack_tensors(packs, 1), None), one_by_one(model, packs))


def run_stage(
    tiny: LoadedModel, folder: Path, start: Path | None = None, **changes: Any
) -> tuple[list[EpochRecord], Any]:
    engine = TransformersEngine(tiny)
    settings: dict[str, Any] = {"select": "True", "num_train_epochs": 3, "learning_rate": 0.01, "warmup_steps": 0}
    stage = StageConfig(**(settings | changes))
    scores = iter([0.1, 0.3, 0.5, 0.2, 0.2, 0.2, 0.2])
    probabilities = iter([0.1, 0.4, 0.3, 0.2, 0.2, 0.2, 0.2])
    areas = iter([0.5, 0.4, 0.45, 0.3, 0.35, 0.3, 0.3])
    records: list[EpochRecord] = []
    result = train_stage(
        tiny,
        make_rows(engine),
        stage,
        lora=LoraSettings(r=4),
        start_adapter=start,
        folder=folder,
        score=lambda model: Score(next(scores), next(probabilities), area=next(areas)),
        seed=3,
        on_epoch=records.append,
    )
    return records, result


def test_a_stage_trains_keeps_the_best_epoch_and_leaves_the_base_model_alone(tiny: LoadedModel, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    records, result = run_stage(tiny, tmp_path / "one", num_train_epochs=6, early_stopping_patience=2)
    assert [record.epoch for record in records] == [0, 1, 2, 3, 4]
    assert result.best_epoch == 2
    assert result.stopped_early
    losses = [record.loss for record in records[1:]]
    assert losses[-1] < losses[0]
    after = tiny.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("keep_epoch", "kept", "taken"),
    [("best_accuracy", 2, 4), ("best_p", 1, 3), ("best_risk_coverage", 3, 5), ("last", 5, 5)],
)
def test_a_stage_keeps_the_epoch_that_it_is_told_to(
    tiny: LoadedModel, tmp_path: Path, keep_epoch: str, kept: int, taken: int
) -> None:
    settings = {"num_train_epochs": 5, "early_stopping_patience": 2}
    records, result = run_stage(tiny, tmp_path / "long", keep_epoch=keep_epoch, **settings)
    assert (result.best_epoch, records[-1].epoch, result.stopped_early) == (kept, taken, taken < 5)
    assert [record.eval_area for record in records[:3]] == [0.5, 0.4, 0.45]
    run_stage(tiny, tmp_path / "short", keep_epoch="last", num_train_epochs=kept)
    adapters = [tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("long", "short")]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_a_step_is_the_mean_over_all_its_answer_tokens(
    tiny: LoadedModel, tmp_path: Path, weighted: bool
) -> None:
    weights = {fact.id: 2.0 * (number % 2) for number, fact in enumerate(toy_facts(2, 20))} if weighted else {}
    rows = make_rows(TransformersEngine(tiny), batch_size=32, weights=weights)
    assert rows.steps_per_epoch == 1
    packs = rows.step(0, 0)
    num_tokens = sum(len(example.completion_ids) for pack in packs for example in pack.examples)
    with torch.no_grad():
        summed = one_by_one(tiny.model, packs, weights or None)  # a new adapter changes nothing yet
    expected = summed.item() / num_tokens
    stage = StageConfig(select="True", num_train_epochs=1, batch_size=32)
    losses: list[float | None] = []
    train_stage(
        tiny, rows, stage, lora=LoraSettings(r=4), start_adapter=None, folder=tmp_path,
        score=lambda model: Score(0.0, 0.0), seed=3, on_epoch=lambda record: losses.append(record.loss),
    )  # fmt: skip
    assert losses[1] == pytest.approx(expected, rel=1e-5)


def test_an_adapter_changes_answers_and_the_next_stage_goes_on_from_it(tiny: LoadedModel, tmp_path: Path) -> None:
    run_stage(tiny, tmp_path / "one")
    ids = torch.arange(10, 40)[None]
    with torch.inference_mode():
        base = tiny.model(ids).logits
        with with_adapter(tiny, tmp_path / "one" / "adapter") as loaded:
            adapted = loaded.model(ids).logits
        again = tiny.model(ids).logits
        own = PeftModel.from_pretrained(deepcopy(tiny.model), str(tmp_path / "one" / "adapter"))(ids).logits
    assert not torch.allclose(base, adapted)
    assert torch.equal(base, again)
    assert torch.equal(adapted, own)
    fresh, _ = run_stage(tiny, tmp_path / "fresh", num_train_epochs=1)
    going_on, _ = run_stage(tiny, tmp_path / "two", start=tmp_path / "one" / "adapter", num_train_epochs=1)
    assert going_on[1].loss < fresh[1].loss


def test_a_stage_killed_after_an_epoch_ends_with_the_same_adapter(tiny: LoadedModel, tmp_path: Path) -> None:
    run_stage(tiny, tmp_path / "unbroken")

    class Killed(BaseException):
        pass

    engine = TransformersEngine(tiny)
    stage = StageConfig(select="True", num_train_epochs=3, learning_rate=0.01, warmup_steps=0)

    def attempt(scores: list[float], kill_at: int | None) -> int:
        num_steps = 0

        def on_step() -> None:
            nonlocal kill_at, num_steps
            num_steps += 1
            kill_at = None if kill_at is None else kill_at - 1
            if kill_at == 0:
                raise Killed

        values = iter(scores)
        train_stage(
            tiny, make_rows(engine), stage, lora=LoraSettings(r=4), start_adapter=None, folder=tmp_path / "killed",
            score=lambda model: Score(next(values), 0.0), seed=3, on_step=on_step,
        )  # fmt: skip
        return num_steps

    with pytest.raises(Killed):
        attempt([0.1, 0.3, 0.5], kill_at=make_rows(engine).steps_per_epoch + 1)
    num_steps = attempt([0.5, 0.2], kill_at=None)  # two epochs are left, and none is scored again
    assert num_steps == 3 * make_rows(engine).steps_per_epoch  # those before the kill are told at once
    names = [
        folder / "adapter" / "adapter_model.safetensors" for folder in (tmp_path / "unbroken", tmp_path / "killed")
    ]
    assert names[0].read_bytes() == names[1].read_bytes()


SAVED = """
import sys
from pathlib import Path
from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings
from gradual.models.adapters import add_adapter, save_adapter
from gradual.models.load import load_model
loaded = load_model(ModelConfig(name_or_path=sys.argv[1], dtype="float32", device="cpu"))
save_adapter(add_adapter(loaded, LoraSettings(r=1), None), Path(sys.argv[2]))
"""


def test_an_adapter_has_the_same_settings_in_every_process(tiny_folder: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "2",
    }  # what decides the order of sets: that of 14 names is not theirs
    subprocess.run([sys.executable, "-c", SAVED, tiny_folder, tmp_path], env=environment, check=True)
    names = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(names) == 14  # seven kinds of layers, twice
    assert names == sorted(names)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_computed_again_give_the_same_adapter(tiny_folder: Path, tmp_path: Path, dtype: Any) -> None:
    loaded = load_model(ModelConfig(name_or_path=str(tiny_folder), dtype=dtype, device="cpu"))
    num_passes = {}
    for again in (False, True):
        passes: list[int] = []
        hook = loaded.model.model.layers[1].mlp.register_forward_pre_hook(lambda *_, to=passes: to.append(1))
        run_stage(loaded, tmp_path / str(again), num_train_epochs=1, activation_checkpointing=again)
        hook.remove()
        num_passes[again] = len(passes)
    assert num_passes[True] == 2 * num_passes[False]
    adapters = [tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("False", "True")]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()
    assert not any(getattr(module, "gradient_checkpointing", False) for module in loaded.model.modules())


def test_a_loss_that_is_not_a_number_stops_the_stage(tiny: LoadedModel, tmp_path: Path) -> None:
    with torch.no_grad():
        tiny.model.lm_head.weight[:] = torch.nan
    with pytest.raises(TrainingError, match="finite loss"):
        run_stage(tiny, tmp_path)


def test_no_facts_to_train_on_is_an_error(tiny: LoadedModel, tiny_engine: TransformersEngine, tmp_path: Path) -> None:
    rows = make_rows(tiny_engine)
    empty = TrainingRows([], rows.exemplars, rows.style, rows.encode, 2, 4, 8, 1)
    with pytest.raises(TrainingError, match="expected facts to train on"):
        train_stage(
            tiny, empty, StageConfig(select="True"), lora=LoraSettings(), start_adapter=None, folder=tmp_path,
            score=lambda model: Score(0.0, 0.0), seed=1,
        )  # fmt: skip
