"""A first config for somebody's own facts and model: what was found, what is proposed, and why, as comments.

Proposes from the size of the model and the number of facts alone; `gradual plan` and a comparison say more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import RunConfig
from gradual.config.yaml_file import load_config, parse_config
from gradual.errors import ConfigError
from gradual.facts.describe import SourceDescription, describe_source
from gradual.facts.prepare import prepare
from gradual.files import storage
from gradual.files.strict_yaml import read_yaml
from gradual.text import count, plural, visible

_SIZE_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z0-9])", re.IGNORECASE)
_MOST_RELATIONS = 8
_SHARE_HALF_KNOWN = 1 / 3
"""Of training facts, how many are MaybeKnown before anything is known of a model: as a guess of an epoch's length."""
_STEPS_AN_EPOCH = 10
"""Steps that an epoch should have at least, so that there are epochs to choose from before all is learnt by heart."""


class Proposal(NamedTuple):
    """Settings that hang on the model's size and the number of facts, with reasons."""

    learning_rates: tuple[float, float]
    why_rates: str
    batch_size: int
    why_batch: str


def starter_config(facts: str, model: str, *, num_parameters: int | None) -> str:
    """The text of a config for some facts and a model, which `load_config` reads.

    Args:
        facts: source of facts, as for `load_facts`.
        model: name of the model.
        num_parameters: how large it is; None: what its name says, if it does.

    Raises:
        ConfigError: no config can be made of these names.
        DataError: the facts cannot be used, or are too few to be divided.
    """
    head = f"model: {_text(model)}\nfacts:\n  path: {_text(facts)}\n"
    config = _parse(head)
    source, run_facts = describe_source(config.facts), prepare(config)
    size = num_parameters or size_in_name(model)
    proposal = propose(size, len(run_facts.train))
    parts = {
        name: len(part)
        for name, part in (("train", run_facts.train), ("validation", run_facts.validation), ("test", run_facts.test))
    }
    text = "\n".join([*_model_lines(model, size), *_facts_lines(facts, source, parts), *_stage_lines(proposal), ""])
    _parse(text)
    return text


def write_starter_config(path: Path, text: str) -> None:
    """Keeps a config where there is none yet, and reads it back.

    Raises:
        ConfigError: something is there already.
        RunDirError: the disk refused.
    """
    if path.exists():
        raise ConfigError(f"{path}: expected no such file, found one; it is kept - use another --out")
    storage.make_folder(path.parent)
    storage.write_text(path, text)
    load_config(path)


def size_in_name(model: str) -> int | None:
    """Parameters of a model as its name says them (`Qwen2.5-7B`, `SmolLM2-135M`); None where it says none."""
    matches = _SIZE_IN_NAME.findall(Path(model).name.replace("_", " ").replace("-", " "))
    if not matches:
        return None
    number, unit = matches[-1]
    return round(float(number) * (1e9 if unit.lower() == "b" else 1e6))


def propose(num_parameters: int | None, num_train: int) -> Proposal:
    """Learning rates of the two stages and the batch size.

    Rates of LoRA fall with the size of the model: 1e-4 above 13 billion parameters, 2e-4 below (QLoRA, arXiv
    2305.14314, appendix B.2); 1.5e-4 in a second stage (arXiv 2410.05802, 7 and 8 billion). Below one billion 1e-4 did
    best on the validation facts of the demo. A batch is at most 32 facts, and small enough for ten steps an epoch if
    a third of the facts is MaybeKnown.
    """
    if num_parameters is None:
        rates, why = (2e-4, 1.5e-4), "usual for LoRA; the model's size is not known"
    elif num_parameters > 13e9:
        rates, why = (1e-4, 1e-4), "above 13 billion parameters LoRA wants less (arXiv 2305.14314)"
    elif num_parameters >= 1e9:
        rates, why = (2e-4, 1.5e-4), "usual for LoRA at this size (arXiv 2305.14314; stage 2: arXiv 2410.05802)"
    else:
        rates, why = (1e-4, 1e-4), "the best for the demo's model, which is as small"
    limit = num_train * _SHARE_HALF_KNOWN / _STEPS_AN_EPOCH
    batch = next((size for size in (32, 16, 8) if size <= limit), 4)
    why_batch = f"ten steps an epoch or more, if a third of {count(num_train)} facts is MaybeKnown"
    return Proposal(rates, why, batch, why_batch)


def _parse(text: str) -> RunConfig:
    data = read_yaml(text, "config")
    if not isinstance(data, Mapping):
        raise ConfigError("expected names of a model and of facts, found something else")
    return parse_config(data)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _model_lines(model: str, size: int | None) -> list[str]:
    comment = "its size is not known" if size is None else f"about {_size(size)} parameters"
    return [
        "# What is not here has its default; `gradual schema` tells every setting.",
        f"model: {_text(model)}  # {comment}",
    ]


def _size(number: int) -> str:
    return f"{number / 1e9:.2g} billion" if number >= 1e9 else f"{number / 1e6:.3g} million"


def _facts_lines(facts: str, source: SourceDescription, parts: Mapping[str, int]) -> list[str]:
    relations = list(source.relations.items())
    names = ", ".join(f"{visible(name)} {number}" for name, number in relations[:_MOST_RELATIONS])
    more = f", and {len(relations) - _MOST_RELATIONS} more" if len(relations) > _MOST_RELATIONS else ""
    columns = ", ".join(f"{role} from {visible(column)}" for role, column in source.columns.items())
    by = "by their own splits" if source.has_splits else "by splits, below"
    sizes = ", ".join(f"{name} {number}" for name, number in parts.items())
    return [
        "facts:",
        f"  path: {_text(facts)}",
        f"  # Columns found: {columns or 'by the layout of the source'}. To change one: columns: {{question: NAME}}",
        f"  # {plural(sum(source.relations.values()), 'fact')} in {plural(len(relations), 'relation')}: {names}{more}.",
        f"  # Divided ({by}): {sizes}; the others are exemplars.",
        *([] if source.has_splits else ["  splits: {validation: 0.15, test: 0.3, exemplars_per_relation: 20}"]),
        "probe:",
        "  prompt_style: plain  # chat: for a model that is asked through its chat template",
        "  matching: squad      # unicode: for answers in other languages or scripts, units and code",
        "  max_new_tokens: 16   # longer answers are cut there",
    ]


def _stage_lines(proposal: Proposal) -> list[str]:
    first, second = proposal.learning_rates
    batch = f"batch_size: {proposal.batch_size}"
    return [
        "lora: {r: 16, lora_alpha: 32}",
        "stages:",
        f"  # learning_rate: {proposal.why_rates}.",
        f"  # batch_size: {proposal.why_batch}.",
        "  # Where memory runs out, less is read at once by itself.",
        f"  - {{strategy: maybe_known, learning_rate: {first!r}, num_train_epochs: 8, {batch}}}",
        f"  - {{strategy: S5, learning_rate: {second!r}, weight_decay: 0.01, num_train_epochs: 4, {batch}}}",
        "seed: 42",
    ]
