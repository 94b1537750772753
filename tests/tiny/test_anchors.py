"""What holds a stage to what the model said before: losses against hand computations, and stages that are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support.training import make_rows

import gradual
from gradual.config.run import LoraSettings
from gradual.config.stage import AnchorConfig, StageConfig
from gradual.config.yaml_file import parse_config
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.files import storage
from gradual.files.parquet import Column, read_table
from gradual.knowledge.map import read_map
from gradual.models.load import LoadedModel
from gradual.progress import Advance
from gradual.run.anchors.own_answers import read_own_answers
from gradual.run.stage_files import read_epochs
from gradual.training.anchor_losses import Base, KlAnchorLoss, L2AnchorLoss, adapter_weights
from gradual.training.epochs import Score
from gradual.training.loss import pack_tensors, packed_loss
from gradual.training.rows import Pack, TrainingExample, split_packs
from gradual.training.train import train_stage

pytestmark = pytest.mark.tiny

HELD = {f"toy-{relation}-{number}": 0.5 + number for relation in (0, 1) for number in range(5)}


def with_lora(model: Any) -> Any:
    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(r=4, init_lora_weights=False, target_modules="all-linear"))


def chances(model: Any, example: TrainingExample) -> torch.Tensor:
    """Log chances of the next token at each place of a completion, from a plain pass."""
    ids = torch.tensor([example.prompt_ids + example.completion_ids])
    return model(input_ids=ids).logits[0, len(example.prompt_ids) - 1 : -1].log_softmax(dim=-1)


def assert_same_loss_and_gradients(model: Any, loss: torch.Tensor, expected: torch.Tensor) -> None:
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    weights = adapter_weights(model)
    grads, expected_grads = torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights)
    for one, other in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_kl_and_its_gradients_are_those_of_plain_passes_fact_by_fact(
    tiny: LoadedModel, tiny_engine: TransformersEngine
) -> None:
    rows = make_rows(tiny_engine, kl=HELD, weights=dict.fromkeys(HELD, 0.0), batch_size=32)
    packs, masks = rows.step(0, 0), MaskKinds(tiny.model.config)
    model = with_lora(tiny.model)

    def by_hand() -> torch.Tensor:
        total = torch.zeros(())
        for example in (example for pack in packs for example in pack.examples):
            found = chances(model, example)
            if example.fact_id in HELD:
                with torch.no_grad(), model.disable_adapter():
                    base = chances(model, example)
                distance = torch.nn.functional.kl_div(found, base, log_target=True, reduction="sum")
                total = total + HELD[example.fact_id] * distance
            else:
                tokens = torch.tensor(example.completion_ids)
                total = total + torch.nn.functional.nll_loss(found, tokens, reduction="sum")
        return total

    loss = KlAnchorLoss(Base())
    assert_same_loss_and_gradients(model, loss(model, pack_tensors(packs, 1, HELD), masks), by_hand())
    parts = [loss(model, pack_tensors(part, 1, HELD), masks) for part in split_packs(packs, 3)]
    assert_same_loss_and_gradients(model, torch.stack(parts).sum(), by_hand())


def test_a_model_that_has_not_moved_is_at_no_distance(tiny: LoadedModel, tiny_engine: TransformersEngine) -> None:
    model = get_peft_model(tiny.model, LoraConfig(r=4, target_modules="all-linear"))
    rows = make_rows(tiny_engine, kl=HELD, weights=dict.fromkeys(HELD, 0.0), batch_size=32)
    batch, masks = pack_tensors(rows.step(0, 0), 1, HELD), MaskKinds(tiny.model.config)
    held, plain = KlAnchorLoss(Base())(model, batch, masks), packed_loss(model, batch, masks)
    assert held.item() == pytest.approx(plain.item(), rel=1e-6)


def test_l2_pulls_each_weight_to_where_it_began(tiny: LoadedModel, tiny_engine: TransformersEngine) -> None:
    model, masks = with_lora(tiny.model), MaskKinds(tiny.model.config)
    weights = adapter_weights(model)
    batch = pack_tensors(make_rows(tiny_engine).step(0, 0), 1)
    loss = L2AnchorLoss(weights, 0.25)
    assert loss(model, batch, masks).item() == packed_loss(model, batch, masks).item()
    with torch.no_grad():
        for weight in weights:
            weight += 0.125
    num_places, num_weights = len(batch["labels"]), sum(weight.numel() for weight in weights)
    plain, held = packed_loss(model, batch, masks), loss(model, batch, masks)
    added = 0.25 * num_places * num_weights * 0.125**2
    assert held.item() == pytest.approx(plain.item() + added, rel=1e-5)
    for one, other in zip(torch.autograd.grad(held, weights), torch.autograd.grad(plain, weights), strict=True):
        expected = torch.full_like(one, 0.25 * num_places * 2 * 0.125)
        torch.testing.assert_close(one - other, expected, rtol=1e-3, atol=1e-2)


def test_own_answers_have_on_average_the_gradient_of_kl(tiny: LoadedModel, tiny_engine: TransformersEngine) -> None:
    """Every answer of at most two tokens, each weighted by the chance that the base model draws it."""
    model, masks = with_lora(tiny.model), MaskKinds(tiny.model.config)
    vocabulary = tiny_engine.vocabulary
    (prompt,) = tiny_engine.encode(["Q: a\nA:"], add_special_tokens=True)
    size = tiny.model.config.vocab_size
    goes_on = torch.tensor([v not in vocabulary.stops and b"\n" not in vocabulary.piece(v) for v in range(size)])
    longer = torch.tensor([[*prompt, token] for token in range(size)])

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        first = model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(dim=-1)
        return first, model(input_ids=longer).logits[:, -1].log_softmax(dim=-1)

    with torch.no_grad(), model.disable_adapter():
        p1, p2 = both()
    q1, q2 = both()
    kl = (p1.exp() * (p1 - q1)).sum()
    kl = kl + ((p1.exp() * goes_on)[:, None] * p2.exp() * (p2 - q2)).sum()

    chance = (p1[:, None] + p2).exp()
    answers = [
        TrainingExample("", prompt, [one, two], float(chance[one, two]))
        for one in goes_on.nonzero()[:, 0].tolist()
        for two in range(size)
    ]
    answers += [TrainingExample("", prompt, [v], float(p1[v].exp())) for v in (~goes_on).nonzero()[:, 0].tolist()]
    assert sum(answer.weight for answer in answers) == pytest.approx(1.0, abs=1e-4)
    entropy = -sum(answer.weight * float(torch.tensor(answer.weight).log()) for answer in answers if answer.weight)
    loss = packed_loss(model, pack_tensors([Pack(tuple(answers))], 1), masks)
    assert loss.item() == pytest.approx(kl.item() + entropy, rel=1e-4)
    # With soft targets the second token adds nothing: whatever is drawn there, the loss is the same.
    firsts = [TrainingExample(str(v), prompt, [v, 0] if goes_on[v] else [v], 0.0) for v in range(size)]
    batch = pack_tensors([Pack(tuple(firsts))], 1, {str(v): float(p1[v].exp()) for v in range(size)})
    soft = KlAnchorLoss(Base())(model, batch, masks)
    assert soft.item() == pytest.approx(kl.item(), rel=1e-4)
    weights = adapter_weights(model)
    expected = torch.autograd.grad(kl, weights)
    for found in (loss, soft):
        for one, other in zip(torch.autograd.grad(found, weights), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


class Killed(BaseException):
    pass


def train(tiny: LoadedModel, folder: Path, anchor: AnchorConfig | None, kill_at: int | None = None) -> bytes:
    """Three epochs of a stage; its adapter."""
    steps = count(1)

    def on_step() -> None:
        if next(steps) == kill_at:
            raise Killed

    parts: dict[str, Any] = {}
    if anchor is not None and anchor.kind != "l2":
        parts = {"kl": dict.fromkeys(HELD, anchor.weight), "weights": dict.fromkeys(HELD, 0.0)}
    rows = make_rows(TransformersEngine(tiny), **parts)
    stage = StageConfig(
        select="True", num_train_epochs=3, learning_rate=0.01, warmup_steps=0, keep_epoch="last", anchor=anchor
    )
    train_stage(
        tiny, rows, stage, lora=LoraSettings(r=4, lora_dropout=0.1), start_adapter=None, folder=folder,
        score=lambda model: Score(0.0, 0.0), seed=3, on_step=on_step,
    )  # fmt: skip
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["kl", "kl_first_epoch", "l2"])
def test_an_anchored_stage_killed_in_any_epoch_ends_with_the_same_adapter(
    tiny: LoadedModel, tmp_path: Path, kind: Any
) -> None:
    anchor = AnchorConfig(kind=kind, weight=0.5)
    unbroken = train(tiny, tmp_path / "unbroken", anchor)
    assert unbroken != train(tiny, tmp_path / "free", None)
    assert unbroken != train(tiny, tmp_path / "looser", AnchorConfig(kind=kind, weight=0.25))
    per_epoch = make_rows(TransformersEngine(tiny)).steps_per_epoch
    for kill_at in (2, per_epoch + 1, 2 * per_epoch + 2):
        with pytest.raises(Killed):
            train(tiny, tmp_path / "killed", anchor, kill_at)
    assert train(tiny, tmp_path / "killed", anchor) == unbroken


def test_the_first_epoch_is_free_where_it_is_the_reference(tiny: LoadedModel, tmp_path: Path) -> None:
    steps = make_rows(TransformersEngine(tiny)).steps_per_epoch
    weights = []
    for weight in (0.5, 50.0):
        folder = tmp_path / str(weight)
        with pytest.raises(Killed):
            train(tiny, folder, AnchorConfig(kind="kl_first_epoch", weight=weight), 2 * steps + 1)
        weights.append((folder / "checkpoints" / "first_epoch.safetensors").read_bytes())
        weights.append((folder / "checkpoints" / f"checkpoint-{2 * steps}" / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[2]
    assert weights[1] != weights[3]


class _Interrupting:
    """Stops a run in a step with a name after some units of its work."""

    def __init__(self, name: str, units: int) -> None:
        self.name, self.left = name, units

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(number: int) -> None:
            self.left -= name.startswith(self.name)
            if self.left == 0:
                raise KeyboardInterrupt

        yield advance

    def say(self, text: str) -> None:
        pass


def config(model: Path, facts: Path, *stages: dict[str, Any]) -> Any:
    common = {"learning_rate": 0.01, "num_shots": 2, "batch_size": 8, "warmup_steps": 0}
    return parse_config(
        {
            "model": {"name_or_path": str(model), "dtype": "float32", "device": "cpu"},
            "facts": {"path": str(facts), "splits": {"exemplars_per_relation": 6}},
            "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4, "levels_only": True},
            "evaluation": {"confidence": False},  # a random model is sure of nothing: it would be most of the time
            "lora": {"r": 4, "lora_dropout": 0.1},
            "stages": [common | stage for stage in stages],
        }
    )


def results(run: Path) -> dict[str, bytes]:
    names = ("*.parquet", "adapter_model.safetensors", "stage.json")
    return {str(path.relative_to(run)): path.read_bytes() for name in names for path in sorted(run.rglob(name))}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, toys_writer: Callable[[Path, int, int], Path]) -> Path:
    return toys_writer(tmp_path_factory.mktemp("facts") / "toys.jsonl", 2, 20)


def test_a_run_with_own_answers_killed_anywhere_ends_the_same(tiny_folder: Path, toys: Path, tmp_path: Path) -> None:
    stage = {
        "strategy": "maybe_known",
        "abstain": {"select": "now <= HighlyKnown", "share": 0.5},
        "anchor": {"select": "now <= HighlyKnown"},
        "num_train_epochs": 2,
        "keep_epoch": "best_risk_coverage",
    }
    settings = config(tiny_folder, toys, stage)
    # Tight bounds on what a random model is sure of would take most of the time.
    settings = settings.model_copy(update={"probe": settings.probe.model_copy(update={"tolerance": 0.3})})
    unbroken = gradual.fit(settings, tmp_path / "unbroken")
    told = storage.read_json(unbroken.stage_summary(1))
    assert told["num_abstain"] > 0
    assert told["num_anchor"] > 0
    areas = {each.epoch: each.eval_area or 0.0 for each in read_epochs(unbroken, 1)}
    assert told["best_epoch"] == min([1, 2], key=areas.__getitem__)
    assert told["improved"] is (areas[told["best_epoch"]] < areas[0])
    answers = read_own_answers(unbroken.own_answers(1))
    table = read_table(unbroken.selection(1), [Column(name, "text") for name in ("id", "role")])
    anchors = {fact for fact, role in zip(table["id"], table["role"], strict=True) if role == "anchor"}
    assert {place.fact_id for place in answers} == anchors
    assert len(anchors) == told["num_anchor"]
    assert len(answers) == 2 * len(anchors)
    assert len({answer.tokens for answer in answers.values()}) > len(anchors)  # others in each epoch
    for name, units in (("own_answers", 1), ("stage-1", 3)):
        with pytest.raises(KeyboardInterrupt):
            gradual.fit(settings, tmp_path / "killed", progress=_Interrupting(name, units))
    killed = gradual.fit(settings, tmp_path / "killed")
    assert results(killed.path) == results(unbroken.path)
    assert gradual.report(killed.path).is_file()


def test_a_stage_that_teaches_a_refusal_makes_the_model_say_it(tiny_folder: Path, toys: Path, tmp_path: Path) -> None:
    abstain = {"select": "now <= HighlyKnown", "answer": "no"}
    stage = {"strategy": "maybe_known", "abstain": abstain, "num_train_epochs": 6, "keep_epoch": "last"}
    run = gradual.fit(config(tiny_folder, toys, stage), tmp_path / "run")
    tests = [read_map(run.evaluation(stage)) for stage in (0, 1)]
    before, after = ([fact.p_greedy_refuse for fact in known] for known in tests)
    assert after == [float(fact.greedy_answer == "no") for fact in tests[1]]
    assert sum(before) == 0
    assert sum(after) > 0.9 * len(after)
    assert all((fact.p_refuse or 0.0) > 0.5 for fact in tests[1] if fact.p_greedy_refuse)
    last = storage.read_json(run.summary)["refusals"]["stages"][1]
    assert last["all_facts"]["refused"]["count"] == sum(after)
