"""Reading settings: shorthand, overrides, what is refused and how it is told; bad files are in golden/bad_input.tsv."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from gradual.config.base import flat_settings, settings_that_matter
from gradual.config.run import RunConfig
from gradual.config.yaml_file import _NAMES_ELSEWHERE, dump_config, load_config, parse_config
from gradual.errors import ConfigError
from gradual.files.strict_yaml import read_yaml

MINIMAL = {"model": "some/id", "facts": "facts.jsonl"}

COLUMNS = ("id", "question", "answers", "relation", "subject", "split", "choices", "rewordings", "reverse_of")
OTHER_VALUES: dict[str, object] = {
    "model.name_or_path": "other/id",
    "model.revision": "1e5",
    "model.gguf_file": "m.gguf",
    "model.adapter": "folder",
    "model.dtype": "float32",
    "model.device": "cuda:1",
    "model.quantization": "nf4",
    "model.device_map": "auto",
    "model.fsdp": "full_shard",
    "model.server": {"url": "http://localhost:8000", "model": "served", "logprobs": 20, "timeout": 5.0},
    "model.trust_remote_code": True,
    "facts.path": "more.csv",
    "facts.exemplars": "shots.jsonl",
    "facts.relations": ["P17", "no", "010"],
    "facts.out_of_distribution": ["P20"],
    **{f"facts.columns.{name}": "a column" for name in COLUMNS},
    "facts.encoding": "cp1252",
    "facts.delimiter": ";",
    "facts.answer_separator": "/",
    "facts.missing_words": ["nil"],
    "facts.on_bad_row": "skip",
    "facts.splits.validation": 0.25,
    "facts.splits.test": 0.125,
    "facts.splits.exemplars_per_relation": 7,
    "facts.splits.max_train_per_relation": 5,
    "facts.splits.max_validation_per_relation": 6,
    "facts.splits.max_test_per_relation": 7,
    "facts.splits.keep_apart": "subjects",
    "probe.prompt.question": "Frage:",
    "probe.prompt.answer": "Antwort:",
    "probe.system_prompt": "Answer briefly.",
    "probe.chat_template_kwargs": {"enable_thinking": False},
    "probe.matching": "unicode",
    "probe.language": "de",
    "probe.diacritics": "fold",
    "probe.method": "sampled",
    "probe.prompt_style": "chat",
    "probe.num_exemplar_sets": 3,
    "probe.num_shots": 0,
    "probe.num_samples": 8,
    "probe.temperature": 1.0,
    "probe.top_k": 2,
    "probe.top_p": 0.9,
    "probe.max_new_tokens": 32,
    "probe.tolerance": 1e-5,
    "probe.near_tie_margin": 0.0,
    "probe.greedy_answers": "all",
    "probe.levels_only": True,
    "lora.r": 8,
    "lora.lora_alpha": 8.0,
    "lora.lora_dropout": 0.05,
    "lora.target_modules": ["q_proj", "v_proj"],
    "stages": [{"select": "trained or now == Unknown"}],
    "stages[1].strategy": "S3",
    "stages[1].select": "promoted",
    "stages[1].replay": {"ratio": 0.1},
    "stages[1].replay.pool": "now == HighlyKnown and not trained",
    "stages[1].replay.ratio": 0.5,
    "stages[1].replay.of": "mixture",
    "stages[1].as_many_as": "promoted",
    "stages[1].stand_ins.pool": "now == Unknown",
    "stages[1].stand_ins.as_many_as": "promoted",
    "stages[1].max_steps": 9,
    "stages[1].learning_rate": 1e-5,
    "stages[1].weight_decay": 0.1,
    "stages[1].num_train_epochs": 2,
    "stages[1].batch_size": 64,
    "stages[1].early_stopping_patience": 1,
    "stages[1].keep_epoch": "last",
    "stages[1].lr_scheduler_type": "cosine",
    "stages[1].warmup_steps": 0,
    "stages[1].num_shots": 0,
    "stages[1].pack_size": 1,
    "stages[1].max_grad_norm": 0.5,
    "stages[1].max_unknown_share": 0.25,
    "stages[1].activation_checkpointing": True,
    "stages[1].anchor.kind": "kl_first_epoch",
    "stages[1].anchor.select": "now == Unknown",
    "stages[1].anchor.share": 0.5,
    "stages[1].anchor.weight": 2.0,
    "stages[1].anchor.temperature": 0.5,
    "stages[1].anchor.per_epoch": 3,
    "stages[1].anchor.soft_targets": True,
    "stages[1].abstain.select": "now <= WeaklyKnown",
    "stages[1].abstain.answer": "No idea",
    "stages[1].abstain.share": 0.25,
    "evaluation.exemplar_seed": 7,
    "evaluation.confidence": False,
    "evaluation.transfer": ["rewordings", "zero_shot"],
    "evaluation.drift": False,
    "evaluation.drift_text": "text.txt",
    "evaluation.lm_eval": ["hellaswag"],
    "evaluation.lm_eval_limit": 100,
    "evaluation.lm_eval_tasks": "tasks",
    "probe.confidence": True,
    "evaluation.refusals": ["No idea"],
    "probe.refusals": ["No idea"],
    "evaluation.protocol": "paper",
    "compare.arms": ["base", "S4"],
    "compare.own_arms": [{"name": "mine", "stages": [{"strategy": "S3"}]}],
    "compare.num_seeds": 5,
    "compare.redraw_exemplars": True,
    "compare.main": "S4",
    "compare.reference": "one_stage",
    "compare.num_retested": 0,
    "seed": -1,
    "training_seed": 3,
    "exemplar_seed": 4,
    "report_to": ["wandb"],
}
"""A value other than the default for every setting."""


def paths(section: type[BaseModel] = RunConfig, prefix: str = "") -> set[str]:
    found = set()
    for name, field in section.model_fields.items():
        below = {"stages": "stages[1].", "replay": f"{prefix}replay."}.get(name, f"{prefix}{name}.")
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models or name in ("stages", "replay", "own_arms", "server"):
            found.add(prefix + name)
        for model in models if name not in ("own_arms", "server") else []:  # a whole each
            found |= paths(model, below)
    return found


def errors(data: Mapping[str, object], overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, overrides, source="c.yaml")
    return str(caught.value).splitlines()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "config.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


# --- every setting ---


def test_table_of_other_values_names_every_setting() -> None:
    assert set(OTHER_VALUES) == paths()


@pytest.mark.parametrize("path", sorted(OTHER_VALUES))
def test_setting_is_settable_alone_and_survives_writing(path: str) -> None:
    value = OTHER_VALUES[path]
    flow = "{ratio: 0.1}" if path.endswith("replay") else repr(value)
    if path == "stages":
        flow = "[{select: trained or now == Unknown}]"
    config = parse_config(MINIMAL, [f"{path}={flow}"])
    assert config != parse_config(MINIMAL)
    text = dump_config(config)
    again = parse_config(read_yaml(text, "x"), allow_remote_code=True)  # type: ignore[arg-type]
    assert again == config
    assert dump_config(again) == text


def test_every_default_is_written_out() -> None:
    written = read_yaml(dump_config(parse_config(MINIMAL)), "x")
    assert isinstance(written, dict)
    off = tuple(f"stages[1].{name}." for name in ("replay", "stand_ins", "anchor", "abstain"))
    for path in (each for each in paths() if not each.startswith(off)):
        value: object = written
        for part in path.replace("[1]", ".1").split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]


# --- reading ---


def test_file_is_read(write: Callable[[str | bytes], Path]) -> None:
    path = write(
        "\ufeffmodel: some/id\nfacts:\n  path: f.jsonl # a comment\nstages:\n- strategy: S4\n  learning_rate: 1e-4\n"
    )
    config = load_config(path, ["seed=7"])
    assert (config.model.name_or_path, config.facts.path, config.seed) == ("some/id", "f.jsonl", 7)
    assert [stage.learning_rate for stage in config.stages] == [1e-4]


def test_text_stands_for_a_section() -> None:
    assert parse_config(MINIMAL) == parse_config(
        {"model": {"name_or_path": "some/id"}, "facts": {"path": "facts.jsonl"}}
    )


@pytest.mark.parametrize(("name", "reason"), [("missing.yaml", "No such file"), (".", "Is a directory")])
def test_unreadable_file_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_config(tmp_path / name)


# --- what is wrong ---


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (
            {"stages": [{"strategy": "S4"}, {"strategy": "S5", "learning_rate": "fast"}]},
            'stages[1].learning_rate: expected a number greater than 0 and less than 1, found "fast"',
        ),
        ({"seed": "42"}, 'seed: expected a whole number, found "42"'),
        ({"probe": None}, "probe: expected a section of settings, found nothing"),
        (
            {"facts": {"path": "f", "relations": ["a", 1]}},
            "facts.relations[1]: expected text, found 1; put it in quotes",
        ),
        ({"lora": {"target_modules": [1]}}, "lora.target_modules: expected text or a list, each text, found [1]"),
        ({"stages": 2}, "stages: expected a list of at least one entry, each a section of settings, found 2"),
        ({"stages": [{"strategy": "S4", "lr": 1}]}, "stages[0].lr: unknown setting; did you mean 'learning_rate'?"),
        (
            {"stages": [{"strategy": "S4", "epochs": 1}]},
            "stages[0].epochs: unknown setting; did you mean 'num_train_epochs'?",
        ),
        (
            {"model": {"name_or_path": "m", "model_name": 1}},
            "model.model_name: unknown setting; did you mean 'name_or_path'?",
        ),
        ({"model_name": "m"}, "model_name: unknown setting; did you mean 'model.name_or_path'?"),
        ({"dataset": "m"}, "dataset: unknown setting; did you mean 'facts'?"),
        ({"num_shots": 1}, "num_shots: unknown setting; did you mean 'probe.num_shots' or 'stages[0].num_shots'?"),
        ({"lora": {"rank": 1}}, "lora.rank: unknown setting; did you mean 'r'?"),
        ({"prob": {}}, "prob: unknown setting; did you mean 'probe'?"),
        (
            {"evaluation": {"zzz": 1}},
            "evaluation.zzz: unknown setting; expected one of confidence, drift, drift_text, "
            "exemplar_seed, lm_eval, lm_eval_limit, lm_eval_tasks, protocol, refusals, transfer",
        ),
        (
            {"evaluation": {"zero_shot": True}},
            "evaluation: `zero_shot: True`: no longer a setting; write `transfer: [zero_shot]`",
        ),
        (
            {"stages": [{"strategy": "all"}, {"strategy": "S5", "weighting": "p(1-p)"}]},
            "stages[1]: `weighting: p(1-p)`: removed, as it helped nowhere; leave it out, or use a version from "
            "before December 2026",
        ),
        (
            {"stages": [{"strategy": "S5", "replay": {"choose": "largest_drop"}}]},
            "stages[0].replay: `choose: largest_drop`: removed, as it helped nowhere; leave it out, or use a version "
            "from before December 2026",
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"kind": "lk"}}]},
            'stages[0].anchor.kind: expected one of own_answers, kl, kl_first_epoch, l2, found "lk"',
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"kind": "kl", "temperature": 0.5}}]},
            "stages[0].anchor: kind kl has no use for `temperature`; leave it out, or choose another kind",
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"select": ""}}]},
            "stages[0].anchor.select: empty expression; expected a condition such as `now == MaybeKnown`",
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"select": None}}]},
            "stages[0].anchor.select: expected text, found nothing",
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"select": "promoted"}}]},
            "stages[0].anchor.select: `promoted` can match no fact in the first stage, where nothing is trained yet",
        ),
        (
            {"stages": [{"strategy": "all", "anchor": {"share": 0}}]},
            "stages[0].anchor.share: expected a number greater than 0 and of at most 1, found 0",
        ),
        (
            {"stages": [{"strategy": "all", "abstain": {"answer": "I\ndon't"}}]},
            'stages[0].abstain.answer: expected one line without white space around it, found "I\\ndon\'t"',
        ),
        (
            {"evaluation": {"refusals": ["No idea", " No idea"]}},
            "evaluation.refusals[1]: expected one line without white space around it, found ' No idea'",
        ),
        (
            {"stages": [{"strategy": "all", "abstain": {"select": "now == Unknwon"}}]},
            "stages[0].abstain.select: `Unknwon` at column 8 is not a level; did you mean 'Unknown'?",
        ),
    ],
)
def test_problem_is_one_line_with_file_setting_and_finding(extra: dict[str, object], line: str) -> None:
    assert errors({**MINIMAL, **extra}) == [f"c.yaml: {line}"]


def test_suggested_settings_exist_and_other_tools_names_are_not_ours() -> None:
    names = {path.rpartition(".")[2] for path in paths()} | {"model", "facts"}
    assert set(_NAMES_ELSEWHERE) <= names
    assert not {alias for aliases in _NAMES_ELSEWHERE.values() for alias in aliases.split()} & names


def test_all_problems_come_at_once() -> None:
    lines = errors({"seed": "a", "probe": {"top_k": 0, "x": 1}}, ("lora.r=0", "y=1"))
    assert len(lines) == 7
    assert sorted(line.split(": ")[1] for line in lines) == sorted(
        ["y", "model", "facts", "probe.top_k", "probe.x", "lora.r", "seed"]
    )


def test_problems_of_several_stages_are_told_apart() -> None:
    lines = errors({**MINIMAL, "stages": [{"strategy": "S1"}, {}, {"batch_size": 4}]})
    assert [line.split(": ")[1] for line in lines] == ["stages[0]", "stages[1]", "stages[2]"]


def test_long_values_are_cut() -> None:
    assert all(len(line) < 250 for line in errors({**MINIMAL, "seed": "x" * 1000}, (f"lora={'y' * 1000}",)))


def test_unprintable_values_can_be_printed() -> None:
    assert errors({**MINIMAL, "seed": "\ud800"})[0].encode()
    assert errors(MINIMAL, ("seed=\udcff",))[0].encode()


# --- overrides ---


def test_override_wins_and_the_last_one_most() -> None:
    config = parse_config({**MINIMAL, "seed": 1}, ["seed=2", "seed=3", "model=other/id"])
    assert (config.seed, config.model.name_or_path) == (3, "other/id")


def test_override_reaches_into_shorthand() -> None:
    config = parse_config(MINIMAL, ["model.revision=main", "facts.splits.test=0.1"])
    assert (config.model.name_or_path, config.model.revision, config.facts.splits.test) == ("some/id", "main", 0.1)


def test_override_reaches_into_the_default_stages() -> None:
    config = parse_config(MINIMAL, ["stages.1.learning_rate=1e-5"])
    default = parse_config(MINIMAL)
    assert config.stages[0] == default.stages[0]
    assert config.stages[1] == default.stages[1].model_copy(update={"learning_rate": 1e-5})


def test_override_adds_a_stage_and_list_entries() -> None:
    config = parse_config(MINIMAL, ["stages.2.strategy=S4", "facts.relations.0=P17", "lora.target_modules.0=q_proj"])
    assert [stage.strategy for stage in config.stages] == ["maybe_known", "S5", "S4"]
    assert (config.facts.relations, config.lora.target_modules) == (["P17"], ["q_proj"])


def test_override_reaches_into_a_mapping_of_own_names() -> None:
    overrides = ("probe.chat_template_kwargs.enable_thinking=false", "facts.columns.question.ore=Which {subject}?")
    config = parse_config({**MINIMAL, "probe": {"chat_template_kwargs": {"depth": 2}}}, overrides)
    assert config.probe.chat_template_kwargs == {"depth": 2, "enable_thinking": False}
    assert config.facts.columns.question == {"ore": "Which {subject}?"}


def test_override_value_may_hold_an_equals_sign() -> None:
    config = parse_config(
        MINIMAL,
        ["stages[0].select=now == MaybeKnown or first in (Unknown, WeaklyKnown)"],
    )
    assert config.stages[0].select == "now == MaybeKnown or first in (Unknown, WeaklyKnown)"


def test_data_is_left_as_it_was() -> None:
    data: dict[str, object] = {**MINIMAL, "probe": {"top_k": 5}}
    parse_config(data, ["probe.top_k=6", "model.revision=x"])
    assert data == {**MINIMAL, "probe": {"top_k": 5}}


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed", "expected key=value, such as stages.1.learning_rate=1e-4"),
        ("=3", "expected key=value, such as stages.1.learning_rate=1e-4"),
        ("stages.1.lr=3", "stages[1].lr: unknown setting; did you mean 'learning_rate'?"),
        ("stages.3.strategy=S5", "stages: expected an index from 0 to 2, found 3"),
        ("stages.first.strategy=S5", "stages: expected an index such as 0, found first"),
        ("probe.top_k.x=1", "probe.top_k.x: unknown setting; there is none below this"),
        ("seed=*a", "line 1: expected the value itself, found the alias *a"),
        ("seed=[1", "line 1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("seed=fast", 'seed: expected a whole number, found "fast"'),
        ("seed=", "seed: expected a whole number, found nothing"),
        ("model.revision=1234e5", "model.revision: expected text or null, found 123400000.0; put it in quotes"),
        ("stages.1.strategy=S55", "stages[1].strategy: unknown strategy \"S55\"; did you mean 'S5'?"),
        ("lora.target_modules.1=a", "lora.target_modules: expected an index from 0 to 0, found 1"),
    ],
)
def test_problem_of_an_override_names_it(override: str, line: str) -> None:
    assert any(found.startswith(f"--set {override}: {line}") for found in errors(MINIMAL, (override,)))


def test_override_below_a_wrong_value_is_told() -> None:
    assert "--set probe.top_k=1: probe is 3, which has no settings of its own" in errors(
        {**MINIMAL, "probe": 3}, ("probe.top_k=1",)
    )
    assert "--set stages.0.seed=1: stages[0].seed: unknown setting; did you mean 'seed'?" in errors(
        {**MINIMAL, "stages": {"a": 1}}, ("stages.0.seed=1",)
    )
    assert '--set stages.0=1: stages is {"a": 1}, where 0 has no place' in errors(
        {**MINIMAL, "stages": {"a": 1}}, ("stages.0=1",)
    )


# --- code that comes with a model ---


def test_config_file_may_not_switch_remote_code_on(write: Callable[[str | bytes], Path]) -> None:
    path = write("model: {name_or_path: m, trust_remote_code: true}\nfacts: f\n")
    with pytest.raises(ConfigError, match=r"model\.trust_remote_code: a config file may not switch it on"):
        load_config(path)
    with pytest.raises(ConfigError, match="may not switch it on"):
        load_config(path, ["model.revision=main"])
    assert load_config(path, ["model.trust_remote_code=true"]).model.trust_remote_code
    assert not load_config(path, ["model.trust_remote_code=false"]).model.trust_remote_code
    assert load_config(path, allow_remote_code=True).model.trust_remote_code


def test_config_file_may_say_that_remote_code_stays_off(write: Callable[[str | bytes], Path]) -> None:
    path = write("model: {name_or_path: m, trust_remote_code: false}\nfacts: f\n")
    assert not load_config(path).model.trust_remote_code


def test_reading_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, gradual.config.yaml_file, gradual.selection.strategies, gradual.statistics.intervals; "
        "assert not {'torch', 'transformers', 'scipy', 'numpy', 'pyarrow', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_stage_without_anchor_and_refusals_matters_as_before_there_were_any() -> None:
    config = parse_config({**MINIMAL, "stages": [{"strategy": "all"}, {"strategy": "S5", "abstain": {}}]})
    assert [name for name in settings_that_matter(config) if "anchor" in name or "abstain" in name] == [
        f"stages.1.abstain.{name}" for name in ("select", "answer", "share")
    ]
    assert {"stages.0.anchor", "stages.0.abstain"} <= flat_settings(config.model_dump(mode="json")).keys()
