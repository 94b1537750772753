"""The data and the settings of a run's stages as other toolkits read them: LLaMA-Factory, Axolotl, TRL, or plain JSONL.

Names of settings are those of each toolkit's documentation; a stage after the first goes on from the adapter of the one
before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import LoraSettings, RunConfig
from gradual.errors import ConfigError
from gradual.exporting.stage_rows import StageData
from gradual.files import storage
from gradual.files.storage import Json

Settings = dict[str, Json]

_LONGEST = 2048
"""Tokens of a row that toolkits keep; questions with shots are far shorter."""
_MOST_AT_ONCE = 8
"""Rows read at once; the rest of a batch is accumulated."""


class _Form(NamedTuple):
    suffix: str
    write: Callable[[StageData, RunConfig], str]
    settings: Callable[[StageData, RunConfig, str], Settings]
    command: str
    besides: tuple[str, ...] = ()
    """What the toolkit does otherwise than gradual, whatever the stage."""


def write_toolkit(toolkit: str, stages: Sequence[StageData], config: RunConfig, base_model: str, folder: Path) -> None:
    """Writes a data file and a config for each stage, and a README that says how to train and what is other than here.

    Raises:
        ConfigError: a setting has no form in the toolkit.
        RunDirError: the disk refused.
    """
    form = _FORMS[toolkit]
    for stage in stages:
        storage.write_text(folder / f"stage-{stage.number}.{form.suffix}", form.write(stage, config))
        storage.write_text(folder / f"stage-{stage.number}.yaml", _yaml(form.settings(stage, config, base_model)))
    if toolkit == "llama-factory":
        infos: dict[str, Json] = {_data_set(stage): _data_set_info(stage, config) for stage in stages}
        storage.write_json(folder / "dataset_info.json", infos)
    if toolkit == "trl":
        script = resources.files("gradual") / "exporting" / "templates" / "train_trl.py.txt"
        storage.write_text(folder / "train.py", script.read_text(encoding="utf-8"))
    storage.write_text(folder / "README.md", _readme(toolkit, stages, form))


def _yaml(settings: Settings) -> str:
    """As toolkits read it: by YAML 1.1, where `no` is false and 1e-4 a text."""
    import yaml

    text: str = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return text


def _readme(toolkit: str, stages: Sequence[StageData], form: _Form) -> str:
    lines = [f"# The stages of a gradual run for {toolkit}", "", "Train them in this order:", ""]
    lines += [f"    {form.command.format(stage=stage.number)}" for stage in stages]
    for stage in stages:
        roles = [row.role for row in stage.rows]
        counts = ", ".join(f"{roles.count(role)} {role}" for role in dict.fromkeys(roles))
        lines += ["", f"Stage {stage.number}: {counts}. Other than in gradual:", ""]
        lines += [f"- {text}" for text in (*stage.not_carried, *form.besides)]
    return "\n".join([*lines, ""])


def _micro_batch(batch: int) -> int:
    """The largest part of a batch of at most 8 rows that the batch is a multiple of."""
    return max(size for size in range(1, min(batch, _MOST_AT_ONCE) + 1) if batch % size == 0)


def _is_chat(config: RunConfig) -> bool:
    return config.probe.prompt_style == "chat"


def _lines(rows: Sequence[Mapping[str, Json]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _optimiser(stage: StageData, config: RunConfig) -> Settings:
    """What transformers, and with it LLaMA-Factory and TRL, call the settings of an optimiser."""
    settings, size = stage.settings, _micro_batch(stage.settings.batch_size)
    return {
        "num_train_epochs": stage.num_epochs,
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": settings.batch_size // size,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "warmup_steps": settings.warmup_steps,
        "max_grad_norm": settings.max_grad_norm,
        "seed": config.seed_of_training,
        "save_strategy": "no",
        "report_to": "none",
    }


def _layers(lora: LoraSettings) -> list[str] | None:
    """The layers by name; None for all linear ones."""
    if lora.target_modules == "all-linear":
        return None
    if isinstance(lora.target_modules, str):
        raise ConfigError(f"lora.target_modules: expected names of layers, found the pattern {lora.target_modules!r}")
    return list(lora.target_modules)


# --- plain JSONL ----------------------------------------------------------------------------------------------------


def _write_plain(stage: StageData, config: RunConfig) -> str:
    return _lines([row.plain(config.probe) for row in stage.rows])


def _plain_settings(stage: StageData, config: RunConfig, base_model: str) -> Settings:
    lora: Json = config.lora.model_dump(mode="json")
    settings: Json = stage.settings.model_dump(mode="json")
    return {"base_model": base_model, "lora": lora, "stage": settings, "num_train_epochs": stage.num_epochs}


# --- TRL ------------------------------------------------------------------------------------------------------------


def _write_trl(stage: StageData, config: RunConfig) -> str:
    """Prompt and completion, texts or turns (TRL, "Dataset formats": prompt-completion)."""
    if _is_chat(config):
        return _lines([{"prompt": row.messages(config.probe), "completion": [row.answer()]} for row in stage.rows])
    return _lines(
        [{"prompt": row.prompt(config.probe), "completion": row.completion(config.probe)} for row in stage.rows]
    )


def _trl_settings(stage: StageData, config: RunConfig, base_model: str) -> Settings:
    lora = config.lora
    return {
        "base_model": base_model,
        "revision": config.model.revision,
        "data": f"stage-{stage.number}.jsonl",
        "start_from": f"stage-{stage.number - 1}" if stage.number > 1 else None,
        "sft": {
            "output_dir": f"stage-{stage.number}",
            "completion_only_loss": True,
            "packing": False,
            "max_length": _LONGEST,
            **_optimiser(stage, config),
        },
        "lora": {
            "r": lora.r,
            "lora_alpha": lora.lora_alpha,
            "lora_dropout": lora.lora_dropout,
            "target_modules": lora.target_modules,
            "task_type": "CAUSAL_LM",
        },
    }


# --- LLaMA-Factory --------------------------------------------------------------------------------------------------


def _write_llama_factory(stage: StageData, config: RunConfig) -> str:
    """Instructions (alpaca) for plain prompts, turns (sharegpt with OpenAI's names) for chats."""
    rows: list[Json] = [
        {"messages": [*row.messages(config.probe), row.answer()]}
        if _is_chat(config)
        else {"instruction": row.prompt(config.probe), "input": "", "output": row.completion(config.probe)}
        for row in stage.rows
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _data_set(stage: StageData) -> str:
    return f"gradual_stage_{stage.number}"


def _data_set_info(stage: StageData, config: RunConfig) -> Settings:
    file: Settings = {"file_name": f"stage-{stage.number}.json"}
    if not _is_chat(config):
        return file | {"columns": {"prompt": "instruction", "query": "input", "response": "output"}}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return file | {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": tags | {"system_tag": "system"},
    }


def _llama_factory_settings(stage: StageData, config: RunConfig, base_model: str) -> Settings:
    lora, layers = config.lora, _layers(config.lora)
    if not float(lora.lora_alpha).is_integer():
        raise ConfigError(f"lora.lora_alpha: LLaMA-Factory takes whole numbers, found {lora.lora_alpha:g}")
    settings: Settings = {
        "model_name_or_path": base_model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": lora.r,
        "lora_alpha": int(lora.lora_alpha),
        "lora_dropout": lora.lora_dropout,
        "lora_target": "all" if layers is None else ",".join(layers),
        "dataset_dir": ".",
        "dataset": _data_set(stage),
        "cutoff_len": _LONGEST,
        "packing": False,
        "output_dir": f"stage-{stage.number}",
        **_optimiser(stage, config),
    }
    if stage.number > 1:
        settings["adapter_name_or_path"] = f"stage-{stage.number - 1}"
    if _is_chat(config):
        return settings | {"mask_history": True}  # loss on the last turn alone; the template is the tokenizer's own
    return settings | {"template": "empty"}


# --- Axolotl --------------------------------------------------------------------------------------------------------


def _write_axolotl(stage: StageData, config: RunConfig) -> str:
    """Prompt and completion for plain prompts; for chats turns that say which of them carries loss."""
    if not _is_chat(config):
        return _write_trl(stage, config)
    rows: list[Mapping[str, Json]] = []
    for row in stage.rows:
        turns: list[Json] = [{**turn, "training": False} for turn in row.messages(config.probe)]
        rows.append({"messages": [*turns, {**row.answer(), "training": True}]})
    return _lines(rows)


def _axolotl_settings(stage: StageData, config: RunConfig, base_model: str) -> Settings:
    lora, layers, own = config.lora, _layers(config.lora), stage.settings
    size = _micro_batch(own.batch_size)
    settings: Settings = {
        "base_model": base_model,
        "adapter": "lora",
        "lora_r": lora.r,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "datasets": [{"path": f"stage-{stage.number}.jsonl", "ds_type": "json", **_axolotl_data(config)}],
        "train_on_inputs": False,
        "sequence_len": _LONGEST,
        "sample_packing": False,
        "val_set_size": 0,
        "micro_batch_size": size,
        "gradient_accumulation_steps": own.batch_size // size,
        "num_epochs": stage.num_epochs,
        "optimizer": "adamw_torch",
        "learning_rate": own.learning_rate,
        "lr_scheduler": own.lr_scheduler_type,
        "warmup_steps": own.warmup_steps,
        "weight_decay": own.weight_decay,
        "max_grad_norm": own.max_grad_norm,
        "seed": config.seed_of_training,
        "bf16": "auto",
        "output_dir": f"stage-{stage.number}",
    }
    settings |= {"lora_target_linear": True} if layers is None else {"lora_target_modules": list(layers)}
    if _is_chat(config):
        settings["chat_template"] = "tokenizer_default"
    return settings | ({"lora_model_dir": f"stage-{stage.number - 1}"} if stage.number > 1 else {})


def _axolotl_data(config: RunConfig) -> Settings:
    if _is_chat(config):
        return {"type": "chat_template", "field_messages": "messages", "message_field_training": "training"}
    own: Settings = {"field_instruction": "prompt", "field_output": "completion", "system_prompt": ""}
    return {"type": own | {"format": "{instruction}", "no_input_format": "{instruction}"}}


_END = "the token that ends a text follows each answer and is learnt with it, also where prompts are plain"
_FORMS: dict[str, _Form] = {
    "jsonl": _Form(
        "jsonl", _write_plain, _plain_settings, "# stage-{stage}.jsonl by the settings in stage-{stage}.yaml"
    ),
    "trl": _Form("jsonl", _write_trl, _trl_settings, "python train.py stage-{stage}.yaml", (_END,)),
    "llama-factory": _Form(
        "json", _write_llama_factory, _llama_factory_settings, "llamafactory-cli train stage-{stage}.yaml"
    ),
    "axolotl": _Form("jsonl", _write_axolotl, _axolotl_settings, "axolotl train stage-{stage}.yaml", (_END,)),
}
TOOLKITS = tuple(_FORMS)
