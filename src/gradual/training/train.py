"""Trains one stage: a LoRA adapter on packed rows, with TRL and PEFT, stopped on accuracy by generation.

Knows rows, not why these facts were selected; the score it stops on comes from the caller.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before trl is imported: it pings its makers otherwise

import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTConfig, SFTTrainer

from gradual.config.run import LoraSettings
from gradual.config.stage import AnchorConfig, StageConfig
from gradual.engines.tree_attention import MaskKinds
from gradual.errors import ConfigError, GradualError, ModelError, TrainingError
from gradual.files import storage
from gradual.models.adapters import add_adapter, in_model_precision, save_adapter, unload_adapter
from gradual.models.load import LoadedModel
from gradual.models.memory import calls_for_parts, free_memory
from gradual.models.ranks import ALONE, Ranks, add_up_gradients
from gradual.training.anchor_losses import (
    Base,
    FirstEpoch,
    Loss,
    Reference,
    loss_beforehand,
    loss_of,
)
from gradual.training.checkpoints import last_checkpoint
from gradual.training.epochs import EpochRecord, Score, StagePaused, Watcher
from gradual.training.loss import pack_tensors, recomputed_alike
from gradual.training.rows import Pack, TrainingRows, split_packs
from gradual.training.trackers import PROJECT, check_trackers, curves_beside

_BEST_METRICS = {"best_accuracy": "score", "best_p": "p", "best_risk_coverage": "area", "last": "score"}
"""What is told of an epoch that says which is kept, by `keep_epoch`."""


@dataclass(frozen=True)
class StageResult:
    """What a stage of training came to."""

    best_epoch: int
    stopped_early: bool


def train_stage(
    loaded: LoadedModel,
    rows: TrainingRows,
    stage: StageConfig,
    *,
    lora: LoraSettings,
    start_adapter: Path | None,
    folder: Path,
    score: Callable[[Any], Score],
    seed: int,
    report_to: Sequence[str] = (),
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    ranks: Ranks = ALONE,
    pause_after: int | None = None,
) -> StageResult | None:
    """Trains an adapter and saves the kept epoch's in `folder/adapter` (PEFT format); the base model is left as it was.

    Several processes that all call this with the same arguments deal out the packs of each step; the first one writes.

    Args:
        rows: of one fact each where the model reads no trees (`reads_trees`).
        start_adapter: folder of the adapter to go on from; None starts a new one from `seed`.
        folder: also keeps `checkpoints/`, from which an interrupted stage goes on at its last finished epoch.
        score: accuracy by generation of a model (the base with its adapter) on the validation facts, and the area under
            their risk-coverage curve where the stage keeps an epoch by it.
        on_step: called after each optimiser step; in a resumed stage at once for those that were taken before.
        ranks: the processes; each has its own model on its own device, and `score` is called in all of them.
        pause_after: leave the stage after this epoch, as a kill would, where it has not ended by then: None comes back,
            no adapter is saved, and the next call goes on from there.

    Raises:
        LaunchError: another process has ended.
        TrainingError: nothing to train on, a loss that is not a number, or a fact that does not fit into memory.
    """
    if not rows.facts:
        raise TrainingError("expected facts to train on, found none - see the level counts of the knowledge map")
    set_seed(seed)
    model = add_adapter(loaded, lora, start_adapter)
    try:
        checkpoint = ranks.share(last_checkpoint(folder / "checkpoints") if ranks.is_first else None)
        with curves_beside(folder):
            trainer = _make_trainer(
                model, loaded, rows, stage, folder, score, seed, report_to, on_step, on_epoch, ranks, pause_after
            )
        trainer.args.eval_on_start = checkpoint is None
        _train(trainer, checkpoint)
        model.eval()
        if ranks.is_first:
            with storage.staged_folder(folder / "adapter") as draft:
                save_adapter(model, draft)
        ranks.wait()  # nobody reads the checkpoints any more: the caller may remove them
        return _result_of(trainer.state, stage, rows.steps_per_epoch)
    except StagePaused:
        return None
    finally:
        unload_adapter(model)
        free_memory()


def _result_of(state: Any, stage: StageConfig, steps_per_epoch: int) -> StageResult:
    """What the trainer's state says at the end."""
    last = state.global_step
    kept = last if stage.keep_epoch == "last" else state.best_global_step or last
    return StageResult(
        best_epoch=round(kept / steps_per_epoch), stopped_early=last < steps_per_epoch * stage.num_train_epochs
    )


def check_training(loaded: LoadedModel, lora: LoraSettings, report_to: Sequence[str]) -> None:
    """Finds out before hours of probing whether the adapter and the trackers can be made.

    Raises:
        ConfigError: `lora.target_modules` names no layer of the model, or a tracker is unknown or not installed.
        ModelError: the tokenizer has no token to fill up rows with.
    """
    if loaded.tokenizer.pad_token_id is None:
        raise ModelError(
            f'model "{loaded.source}": expected a tokenizer with a padding or end-of-sequence token, found neither - '
            "name one in its tokenizer_config.json (eos_token)"
        )
    try:
        unload_adapter(add_adapter(loaded, lora, None))
    except ValueError as error:
        raise ConfigError(f"lora: no adapter can be made for this model: {' '.join(str(error).split())}") from error
    check_trackers(report_to)


def _train(trainer: _StageTrainer, checkpoint: Path | None) -> Any:
    """Trains to the end, from a checkpoint if there is one."""
    if checkpoint is None:
        return trainer.train()
    try:
        if last_epoch := _epoch_of_early_stop(checkpoint):
            trainer.args.num_train_epochs = last_epoch  # only the end of the stage is left to be done
        return trainer.train(resume_from_checkpoint=str(checkpoint))
    except Exception as error:
        if trainer.watcher.has_begun or isinstance(error, GradualError | MemoryError):
            raise
        fault = " ".join(str(error).split())[:120]  # torch reads numbers only, and raises anything over the rest
        raise TrainingError(
            f"{checkpoint}: expected the state of training, found something else ({fault}) - remove the folder"
        ) from error


def _epoch_of_early_stop(checkpoint: Path) -> int | None:
    """The epoch after which the stage had stopped when this was saved: a trainer that goes on forgets that it had."""
    state = json.loads(storage.read_bytes(checkpoint / "trainer_state.json"))
    has_stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return round(state["epoch"]) if has_stopped else None


def _training_arguments(
    loaded: LoadedModel, stage: StageConfig, folder: Path, seed: int, report_to: Sequence[str]
) -> SFTConfig:
    args = SFTConfig(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=stage.num_train_epochs,
        per_device_train_batch_size=1,  # one row of the data set is one step: see _Steps
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        lr_scheduler_type=stage.lr_scheduler_type,
        warmup_steps=stage.warmup_steps,
        max_grad_norm=stage.max_grad_norm,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        eval_on_start=True,
        load_best_model_at_end=stage.keep_epoch != "last",
        metric_for_best_model=f"eval_{_BEST_METRICS[stage.keep_epoch]}",
        greater_is_better=stage.keep_epoch != "best_risk_coverage",
        restore_callback_states_from_checkpoint=True,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        gradient_checkpointing=stage.activation_checkpointing,
        average_tokens_across_devices=False,  # a process without packs would not come to that sum: see training_step
        bf16=False,  # the model's own number format is kept; the adapter trains in float32
        use_cpu=loaded.model.device.type == "cpu",
        dataloader_pin_memory=loaded.model.device.type != "cpu",
        seed=seed,
        data_seed=seed,
        report_to=list(report_to) or "none",
        run_name=f"{folder.absolute().parents[1].name}-stage-{folder.name}",
        project=PROJECT,
        disable_tqdm=True,
    )
    # One device, also where several are visible: wrapped in DataParallel, a step would take several steps' rows.
    args._n_gpu = min(args.n_gpu, 1)
    return args


def _make_trainer(
    model: Any,
    loaded: LoadedModel,
    rows: TrainingRows,
    stage: StageConfig,
    folder: Path,
    score: Callable[[Any], Score],
    seed: int,
    report_to: Sequence[str],
    on_step: Callable[[], None],
    on_epoch: Callable[[EpochRecord], None],
    ranks: Ranks,
    pause_after: int | None,
) -> _StageTrainer:
    args = _training_arguments(loaded, stage, folder, seed, report_to)
    watcher = Watcher(rows, folder / "checkpoints", on_step, on_epoch, ranks, pause_after)
    reference = _reference(stage.anchor, watcher, folder / "checkpoints")
    exact = [(weight, weight.data) for weight in model.parameters() if weight.requires_grad]
    trainer = _StageTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict(
            {"step": [step for step in range(rows.steps_per_epoch) for _ in range(ranks.total)]}
        ),
        eval_dataset=Dataset.from_dict({"step": [0]}),
        data_collator=_Steps(rows, watcher, loaded.tokenizer.pad_token_id, ranks),
        processing_class=loaded.tokenizer,
        callbacks=[watcher, *_snapshots(reference), *_early_stopping(stage)],
    )
    for weight, data in exact:  # TRL rounds the adapters of quantised models to 16 bits, which would lose small steps
        weight.data = data
    trainer.stage_loss, trainer.kl = loss_of(stage.anchor, model, reference), rows.kl
    trainer.score, trainer.watcher, trainer.ranks = score, watcher, ranks
    trainer.masks = _masks(loaded, rows)
    model._is_accelerate_prepared = True  # accelerate would copy the model's weights to all processes, parts of it too
    trainer.pop_callback(PrinterCallback)
    return trainer


def _reference(anchor: AnchorConfig | None, watcher: Watcher, checkpoints: Path) -> Reference | None:
    """What the stage is held to by its chances of the next token; None where it is not."""
    if anchor is None or not anchor.reads_a_reference:
        return None
    return FirstEpoch(checkpoints, lambda: watcher.epoch) if anchor.keeps_first_epoch else Base()


def _snapshots(reference: Reference | None) -> list[FirstEpoch]:
    """What keeps the model as it was after the first epoch, where the stage is held to that."""
    return [reference] if isinstance(reference, FirstEpoch) else []


def _early_stopping(stage: StageConfig) -> list[EarlyStoppingCallback]:
    """What ends a stage before its last epoch; nothing does where the last one is kept."""
    if stage.keep_epoch == "last":
        return []
    return [EarlyStoppingCallback(early_stopping_patience=stage.early_stopping_patience)]


class _Steps:
    """Collates: turns the number of a step into the tensors of this process's share of its packs.

    Accelerate deals the rows of the data set out to the processes; each step has one row for each of them.
    """

    def __init__(self, rows: TrainingRows, watcher: Watcher, pad_token: int, ranks: Ranks) -> None:
        self._rows = rows
        self._watcher = watcher
        self._pad_token = pad_token
        self._ranks = ranks

    def __call__(self, numbers: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        packs = [pack for row in numbers for pack in self._rows.step(self._watcher.epoch, row["step"])]
        # Not the trainer's own count: it leaves out the first label of a row, but every one of ours is to be learnt.
        count: float = sum(len(example.completion_ids) for pack in packs for example in pack.examples)
        mine = packs[self._ranks.number :: self._ranks.total]
        if not mine and self._ranks.in_step:
            mine, count = packs[:1], math.inf  # a pass like the others', of which nothing is learnt: 0 times its loss
        batch: dict[str, Any] = pack_tensors(mine, self._pad_token, self._rows.kl) if mine else {}
        return batch | {"packs": mine, "count": count}


def _masks(loaded: LoadedModel, rows: TrainingRows) -> MaskKinds | None:
    """What packs of several facts need; a pack of one is a plain sequence, which every architecture reads."""
    return MaskKinds(loaded.model.config) if rows.facts_per_pack > 1 else None


def time_one_step(
    loaded: LoadedModel, rows: TrainingRows, lora: LoraSettings, anchor: AnchorConfig | None
) -> tuple[float, int]:
    """Seconds and tokens of one optimiser step's forward and backward pass, with a new adapter that is thrown away.

    Args:
        rows: with what their anchor facts are held to.
        anchor: whose pass over these counts.
    """
    model = add_adapter(loaded, lora, None)
    masks = _masks(loaded, rows)
    try:
        loss = loss_beforehand(anchor, model)
        batch = pack_tensors(rows.step(0, 0), loaded.tokenizer.pad_token_id, rows.kl)
        loss(model, batch, masks).backward()  # once to warm up: first calls allocate
        _wait_for(loaded.model.device)
        started = time.perf_counter()
        loss(model, batch, masks).backward()
        _wait_for(loaded.model.device)
        return time.perf_counter() - started, int(batch["num_tokens"])
    finally:
        unload_adapter(model)


def _wait_for(device: torch.device) -> None:
    """A GPU computes on while Python goes ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _StageTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with the packed loss, evaluated by accuracy instead of loss."""

    score: Callable[[Any], Score]
    watcher: Watcher
    ranks: Ranks
    masks: MaskKinds | None
    stage_loss: Loss
    kl: Mapping[str, float]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        summed = self.stage_loss(self.accelerator.unwrap_model(model), inputs, self.masks)
        loss: torch.Tensor = summed / num_items_in_batch
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"step {self.state.global_step + 1}: expected a finite loss, found {value} - lower learning_rate, or "
                "use dtype float32"
            )
        return loss

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """The gradients of a step, added up over the processes that each had a share of it."""
        packs, count = inputs.pop("packs"), inputs.pop("count")
        tokens = int(inputs.get("num_tokens", 0)) if math.isfinite(count) else 0
        own = self._share_of_step(model, inputs, packs, count) if packs else torch.zeros((), device=self.args.device)
        # Not by DistributedDataParallel: shares have other numbers of passes where memory runs out, or none.
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        loss, all_tokens = add_up_gradients(trained, [float(own), tokens], self.ranks)
        self.watcher.losses.append(loss)
        self.watcher.tokens += round(all_tokens)
        return torch.tensor(loss, device=self.args.device)

    def _share_of_step(self, model: Any, inputs: Any, packs: Sequence[Pack], count: int) -> torch.Tensor:
        """The loss of some packs, their gradients added up over parts of them where memory does not hold all at once.

        Args:
            count: labels of the whole step, by which its loss is divided.
        """
        num_facts, watcher = sum(len(pack.examples) for pack in packs), self.watcher
        part = packs
        while True:
            try:
                if watcher.most_facts >= num_facts:
                    return self._pass(model, inputs, count)
                loss = torch.zeros((), device=self.args.device)
                for part in split_packs(packs, watcher.most_facts):
                    batch = pack_tensors(part, self.processing_class.pad_token_id, self.kl)
                    loss += self._pass(model, batch, count)
                return loss
            except (MemoryError, RuntimeError) as error:
                if not calls_for_parts(error):
                    raise
            model.zero_grad()
            free_memory()
            if min(watcher.most_facts, num_facts) == 1:
                raise TrainingError(
                    f'fact "{part[0].examples[0].fact_id}": training on it does not fit into memory even alone - use '
                    "a smaller num_shots, or a device with more memory"
                )
            watcher.most_facts = min(watcher.most_facts, num_facts) // 2

    def _pass(self, model: Any, batch: Any, count: int) -> torch.Tensor:
        with recomputed_alike(self.model, self.masks):
            loss: torch.Tensor = super().training_step(model, batch, count)
        return loss

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: Any = None,
        ignore_keys: Any = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        self.model.eval()
        with in_model_precision(self.model):
            scores = self.ranks.share(
                self.score(self.model)
            )  # numbers that differ would end a stage in one process only
        self.watcher.verdicts = scores.verdicts
        metrics = {"accuracy": scores.accuracy, "p": scores.p, "score": scores.value}
        more = {"validation_accuracy": scores.validation_accuracy, "area": scores.area}
        metrics |= {name: value for name, value in more.items() if value is not None}
        by_name = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(predictions=None, label_ids=None, metrics=by_name, num_samples=1)
