"""Reading and writing a run's settings as YAML: strict reading, overrides, and errors that name the setting.

Knows the shape of `config.run.RunConfig` but none of its values: defaults, ranges and help texts stay there.
`strict_yaml` says which YAML is read.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gradual.config.run import RunConfig
from gradual.errors import ConfigError
from gradual.files.strict_yaml import read_yaml, write_yaml
from gradual.text import did_you_mean

MAX_BYTES = 1_000_000
"""Longest config file that is read."""

SHORTHAND = {"model": "name_or_path", "facts": "path"}
"""Sections that may be a plain text, and the setting that it stands for."""

_NAMES_ELSEWHERE = {
    "name_or_path": "model_name model_id model_name_or_path base_model pretrained_model_name_or_path checkpoint",
    "gguf_file": "gguf",
    "dtype": "torch_dtype precision",
    "adapter": "adapter_name_or_path peft_model lora_path",
    "facts": "data dataset dataset_name train_file data_files",
    "relations": "relation_ids properties",
    "num_exemplar_sets": "exemplar_sets n_exemplar_sets num_prompts",
    "num_shots": "shots k_shot n_shot n_shots few_shot num_fewshot num_few_shot",
    "num_samples": "samples n_samples num_return_sequences n",
    "temperature": "temp",
    "max_new_tokens": "max_tokens max_length max_gen_toks",
    "prompt_style": "prompt_format template chat_template",
    "r": "rank lora_r lora_rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "lora_target_modules lora_target",
    "learning_rate": "lr max_lr peak_lr",
    "weight_decay": "wd",
    "num_train_epochs": "epochs num_epochs n_epochs max_epochs",
    "batch_size": "per_device_train_batch_size train_batch_size micro_batch_size effective_batch_size bs",
    "early_stopping_patience": "patience",
    "keep_epoch": "metric_for_best_model load_best_model_at_end",
    "lr_scheduler_type": "lr_scheduler scheduler lr_schedule",
    "warmup_steps": "warmup num_warmup_steps lr_warmup_steps",
    "max_grad_norm": "grad_clip gradient_clipping max_norm clip_grad_norm",
    "report_to": "tracker trackers logger wandb",
    "seed": "random_seed random_state",
}
_ALIASES = {alias: name for name, aliases in _NAMES_ELSEWHERE.items() for alias in aliases.split()}

_SettingPath = tuple[str | int, ...]


def load_config(path: str | Path, overrides: Sequence[str] = (), *, allow_remote_code: bool = False) -> RunConfig:
    """The settings in the YAML file `path`, with `overrides` in place of what it says.

    Paths in the file are taken as they stand: relative ones start at the current directory, as on the command line.

    Args:
        path: YAML file, UTF-8, at most 1 MB.
        overrides: see `parse_config`.
        allow_remote_code: let the file itself switch on `model.trust_remote_code`; only for a file that a run wrote
            down after the command line had allowed it.

    Raises:
        ConfigError: the file cannot be read or says something that is not a legal setting; all problems at once, one
            line each.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a YAML file with settings, which cannot be read: {error.strerror}"
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"{path}: expected at most {MAX_BYTES:,} bytes of settings, found more; is this a config file?"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected UTF-8 text, found byte 0x{raw[error.start]:02x} at {error.start} - save it as UTF-8"
        ) from None
    data = read_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected settings as `name: value` lines, found {_quote_value(data)}")
    return parse_config(data, overrides, source=str(path), allow_remote_code=allow_remote_code)


def parse_config(
    data: Mapping[str, object],
    overrides: Sequence[str] = (),
    *,
    source: str = "config",
    allow_remote_code: bool = False,
) -> RunConfig:
    """The settings in `data`, shaped like the YAML file, with `overrides` in place of what it says.

    Args:
        data: nested mappings and lists; `model` and `facts` may be plain texts.
        overrides: texts `key=value`; the key is a dotted path with list indexes (`stages.1.learning_rate=1e-4`), the
            value is read as YAML. The index after a list's last adds an entry.
        source: what errors call the origin of `data`.
        allow_remote_code: see `load_config`; an override may always switch it on.

    Raises:
        ConfigError: what is said is not a legal setting; all problems at once, one line each.
    """
    settings: dict[str, Any] = copy.deepcopy(dict(data))
    _expand_shorthand(settings)
    origins: dict[_SettingPath, str] = {}
    problems: list[str] = []
    for override in overrides:
        try:
            origins[_apply_override(settings, override)] = _quote_override(override)
        except ConfigError as error:
            problems.append(str(error))
    said_in_file = not any(path == ("model", "trust_remote_code") for path in origins)
    if (
        said_in_file
        and not allow_remote_code
        and _value_at(settings, ("model", "trust_remote_code")) not in (None, False)
    ):
        problems.append(
            f"{source}: model.trust_remote_code: a config file may not switch it on; if you trust the model's code, "
            "say so on the command line (--trust-remote-code)"
        )
    try:
        config = RunConfig.model_validate(settings)
    except ValidationError as error:
        problems += _explain_problems(error, settings, source, origins)
    if problems:
        # An argument that is not UTF-8 holds lone surrogates, which could not be printed.
        raise ConfigError("\n".join(problems).encode(errors="backslashreplace").decode())
    return config


def dump_config(config: RunConfig) -> str:
    """`config` as YAML with every default written out; reading it back gives an equal `config`."""
    return write_yaml(config.model_dump(mode="json"))


# --- overrides -----------------------------------------------------------------------------------------------------


def _apply_override(settings: dict[str, Any], override: str) -> _SettingPath:
    """Puts one `key=value` into `settings`, and says at which path."""
    name = _quote_override(override)
    key, equals, text = override.partition("=")
    parts = [part for part in re.split(r"[.\[\]]+", key.strip()) if part]
    if not equals or not parts:
        raise ConfigError(f"{name}: expected key=value, such as stages.1.learning_rate=1e-4")
    path: _SettingPath = ()
    for part in parts:
        in_list = _is_list(path)
        if in_list and not part.isdecimal():
            raise ConfigError(f"{name}: {_dotted_path(path)}: expected an index such as 0, found {part}")
        step = int(part) if in_list else part
        if _child_schema(_schema_at(path), step) is None:
            raise ConfigError(f"{name}: {_dotted_path((*path, step))}: {_say_unknown(path, part)}")
        path = (*path, step)
    value = read_yaml(text, name)
    target: Any = settings
    for depth in range(1, len(path)):
        target = _container_at(target, path[:depth], name)
    _set_value(target, path, value, name)
    _expand_shorthand(settings)
    return path


def _container_at(target: Any, path: _SettingPath, name: str) -> Any:
    """The mapping or list at `path` inside `target`, made from the default where nothing is set yet."""
    inner = _value_at(target, path[-1:])
    if inner is None:
        default = (_schema_at(path) or {}).get("default")
        inner = copy.deepcopy(default) if isinstance(default, list) else [] if _is_list(path) else {}
        _set_value(target, path, inner, name)
    if not isinstance(inner, dict | list):
        raise ConfigError(f"{name}: {_dotted_path(path)} is {_quote_value(inner)}, which has no settings of its own")
    return inner


def _set_value(target: Any, path: _SettingPath, value: object, name: str) -> None:
    """Sets the last step of `path` in `target`; the index after a list's last adds an entry."""
    step = path[-1]
    if isinstance(target, list) != isinstance(step, int):
        raise ConfigError(f"{name}: {_dotted_path(path[:-1])} is {_quote_value(target)}, where {step} has no place")
    if isinstance(step, int) and step == len(target):
        target.append(value)
    elif isinstance(step, int) and step > len(target):
        raise ConfigError(f"{name}: {_dotted_path(path[:-1])}: expected an index from 0 to {len(target)}, found {step}")
    else:
        target[step] = value


def _quote_override(override: str) -> str:
    return f"--set {override if len(override) <= 100 else override[:97] + '...'}"


def _expand_shorthand(settings: dict[str, Any]) -> None:
    for section, name in SHORTHAND.items():
        if isinstance(settings.get(section), str | list):
            settings[section] = {name: settings[section]}


# --- explaining what is wrong --------------------------------------------------------------------------------------


def _explain_problems(
    error: ValidationError, settings: object, source: str, origins: dict[_SettingPath, str]
) -> list[str]:
    """One line for each thing that pydantic found wrong."""
    lines: dict[str, None] = {}
    for problem in error.errors(include_url=False):
        path: _SettingPath = ()
        for part in problem["loc"]:  # pydantic appends the branch of a union, which is no setting
            if problem["type"] != "extra_forbidden" and _child_schema(_schema_at(path), part) is None:
                break
            path = (*path, part)
        where = next((origins[origin] for origin in reversed(origins) if origin == path[: len(origin)]), source)
        where += f": {_dotted_path(path)}" if path else ""
        if problem["type"] == "extra_forbidden":
            lines[f"{where}: {_say_unknown(path[:-1], str(path[-1]))}"] = None
        elif problem["type"] == "missing":
            lines[f"{where}: expected {_describe_setting(path)}, found nothing; this setting is required"] = None
        elif problem["type"] == "value_error":
            for message in str(problem["ctx"]["error"]).splitlines():
                lines[f"{where}: {message}"] = None
        else:
            value = _value_at(settings, path)
            expected = _describe_setting(path)
            quotes = "; put it in quotes" if "text" in expected and isinstance(value, int | float) else ""
            lines[f"{where}: expected {expected}, found {_quote_value(value)}{quotes}"] = None
    return list(lines)


def _say_unknown(path: _SettingPath, name: str) -> str:
    """What to say of a setting `name` that does not exist in the section at `path`."""
    here = sorted({key for option in _alternatives(_schema_at(path)) for key in option.get("properties", {})})
    known = _ALIASES.get(name, name)
    if known in here:
        return f"unknown setting; did you mean '{known}'?"
    # The stages of an arm have the settings of any stage.
    elsewhere = [_dotted_path(other) for other in _all_paths() if other[-1] == known and "own_arms" not in other]
    if elsewhere:
        return "unknown setting; did you mean " + " or ".join(f"'{other}'" for other in elsewhere[:2]) + "?"
    if not here:
        return "unknown setting; there is none below this"
    return "unknown setting" + (did_you_mean(name, here) or f"; expected one of {', '.join(here)}")


@cache
def _root_schema() -> dict[str, Any]:
    return RunConfig.model_json_schema()


def _alternatives(schema: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The alternatives that a schema allows, references followed."""
    if schema is None:
        return
    if "$ref" in schema:
        yield from _alternatives(_root_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _alternatives(option)
    else:
        yield schema


def _child_schema(schema: dict[str, Any] | None, part: str | int) -> dict[str, Any] | None:
    for option in _alternatives(schema):
        child = option.get("items") if isinstance(part, int) else option.get("properties", {}).get(part)
        if child is None and isinstance(part, str) and isinstance(option.get("additionalProperties"), dict):
            child = option["additionalProperties"]  # a mapping by names of the user's own
        if child is not None:
            return dict(child)
    return None


def _schema_at(path: _SettingPath) -> dict[str, Any] | None:
    schema: dict[str, Any] | None = _root_schema()
    for part in path:
        schema = _child_schema(schema, part)
    return schema


def _is_list(path: _SettingPath) -> bool:
    return any("items" in option for option in _alternatives(_schema_at(path)))


def _all_paths(path: _SettingPath = ()) -> Iterator[_SettingPath]:
    """Every setting, those of list entries under index 0."""
    for option in _alternatives(_schema_at(path)):
        for name in option.get("properties", {}):
            yield (*path, name)
            yield from _all_paths((*path, name))
        if option.get("items"):
            yield from _all_paths((*path, 0))


def _describe_setting(path: _SettingPath) -> str:
    """A setting's type and range in words."""
    words = " or ".join(_describe_schema(option) for option in _alternatives(_schema_at(path)))
    return f"text or {words}" if len(path) == 1 and path[0] in SHORTHAND else words


def _describe_schema(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    kind = schema.get("type", "a value")
    if kind == "array":
        items = " or ".join(_describe_schema(option) for option in _alternatives(schema["items"]))
        return f"a list{' of at least one entry' if schema.get('minItems') else ''}, each {items}"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text that is not empty" if schema.get("minLength") else "text",
        "boolean": "true or false",
        "object": "a section of settings",
    }.get(kind, str(kind))
    bounds = [
        f"{phrase} {schema[key]:g}"
        for key, phrase in (
            ("exclusiveMinimum", "greater than"),
            ("minimum", "of at least"),
            ("exclusiveMaximum", "less than"),
            ("maximum", "of at most"),
        )
        if key in schema
    ]
    return " ".join([words, " and ".join(bounds)]).strip()


def _value_at(settings: object, path: _SettingPath) -> object:
    """The value at `path`; None where there is none."""
    value: Any = settings
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _dotted_path(path: _SettingPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _quote_value(value: object) -> str:
    """A value as the user wrote it, at most 60 characters."""
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
