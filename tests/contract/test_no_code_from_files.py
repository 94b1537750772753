"""No file of a model, an adapter, a config or facts runs code, and nothing reaches for the network unasked.

A canary stands where code could be: it makes a file when it is run. None is ever made.
"""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, LoraSettings, ProbeConfig
from gradual.config.yaml_file import load_config
from gradual.errors import ConfigError, DataError, ModelError
from gradual.facts.loading import load_facts
from gradual.models.adapters import add_adapter
from gradual.models.load import load_model
from gradual.probing.folder import ProbeRequest, make_map
from gradual.progress import Silent
from gradual.testing import FakeEngine, make_tiny_model

SOURCES = sorted((Path(__file__).resolve().parents[2] / "src").rglob("*.py"))
PICKLES = (
    "pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin", "training_args.bin", "optimizer.pt",
    "optimizer.bin", "scheduler.pt", "rng_state.pth", "scaler.pt", "trainer_state.pt", "consolidated.00.pth",
    "model.ckpt", "model.pt", "tf_model.h5", "flax_model.msgpack", "tokenizer.pkl", "vocab.pkl",
)  # fmt: skip
CODE = ("evil.py", "modeling_evil.py", "configuration_evil.py", "tokenization_evil.py", "custom_generate/generate.py",
        "sitecustomize.py", "torch.py", "jinja2.py", "transformers.py", "llama.py")  # fmt: skip
REMOTE = {
    "trust_remote_code": True,
    "auto_map": {
        **dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoProcessor"), "evil.X"),
        "AutoTokenizer": ["evil.X", "evil.X"],
    },
    "custom_pipelines": {"text-generation": {"impl": "evil.X", "pt": ["AutoModelForCausalLM"]}},
}


class Canary:
    """Runs when it is unpickled."""

    def __init__(self, fired: Path) -> None:
        self._fired = fired

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._fired),)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def fired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a canary makes when it is run; it is not there at the end of the test, and nobody has used the network."""
    reached: list[object] = []

    def connect(_: object, address: object) -> None:
        if not isinstance(address, str | bytes):  # a socket of this machine
            reached.append(address)
            raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("GRADUAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    yield tmp_path / "fired"
    assert not (tmp_path / "fired").exists()
    assert reached == []


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, fired: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny model with Python files beside it, which is the current folder."""
    made = shutil.copytree(tiny, tmp_path / "model")
    for name in CODE:
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(f"import os\nos.mkdir({str(fired)!r})\nclass X: pass\n")
    monkeypatch.chdir(made)
    return made


def put_pickles(folder: Path, fired: Path, names: tuple[str, ...] = PICKLES) -> None:
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Canary(fired)))


def change(path: Path, **values: object) -> None:
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(settings | values))


def load(folder: Path, adapter: Path | None = None) -> object:
    name = str(adapter) if adapter else None
    return load_model(ModelConfig(name_or_path=str(folder), adapter=name, dtype="float32", device="cpu"))


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def make_adapter(model: Path, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    return folder


# --- the canary itself -----------------------------------------------------------------------------------------------


def test_canary_fires_where_code_is_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Canary(tmp_path / "fired")))
    assert (tmp_path / "fired").is_dir()


# --- models ----------------------------------------------------------------------------------------------------------


def test_pickles_beside_a_model_are_not_read(folder: Path, fired: Path) -> None:
    put_pickles(folder, fired)
    load(folder)


@pytest.mark.parametrize("name", PICKLES)
def test_model_in_pickle_is_refused(folder: Path, fired: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    put_pickles(folder, fired, (name,))
    assert "could not be loaded: Error no file named model.safetensors" in error_of(lambda: load(folder))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
)
def test_pickle_under_another_name_is_refused(folder: Path, fired: Path, name: str) -> None:
    put_pickles(folder, fired, (name,))
    assert str(folder) in error_of(lambda: load(folder))


def test_index_that_leads_to_pickle_is_refused(folder: Path, fired: Path) -> None:
    put_pickles(folder, fired)
    (folder / "model.safetensors").unlink()
    change(folder / "model.safetensors.index.json", weight_map={"lm_head.weight": "pytorch_model.bin"})
    assert 'found "pytorch_model.bin" - save the model as safetensors' in error_of(lambda: load(folder))


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_code_that_a_known_architecture_does_not_need_is_left_alone(folder: Path, name: str) -> None:
    change(folder / name, **REMOTE)
    load(folder)


@pytest.mark.parametrize(
    ("name", "more"), [("config.json", {"model_type": "evil"}), ("tokenizer_config.json", {"tokenizer_class": "X"})]
)
def test_code_that_comes_with_a_model_is_refused(folder: Path, name: str, more: Mapping[str, object]) -> None:
    change(folder / name, **REMOTE, **more)
    said = error_of(lambda: load(folder))
    assert said.endswith("which is not run - if you trust it, allow it with --trust-remote-code")


@pytest.mark.parametrize("section", ["text_config", "quantization_config", "rope_scaling", "sub_configs", "decoder"])
def test_code_named_deep_inside_the_settings_is_not_run(folder: Path, section: str) -> None:
    change(folder / "config.json", **{section: {"inner": REMOTE, **REMOTE, "model_type": "evil"}})
    try:
        load(folder)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - loading is as good


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation"])
def test_kernels_of_strangers_are_refused(folder: Path, key: str) -> None:
    change(folder / "config.json", **{key: "evil/kernel"})
    assert 'found "evil/kernel"' in error_of(lambda: load(folder))


def test_name_of_a_model_that_is_not_at_hand_is_refused_without_a_look_at_the_network(
    fired: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = error_of(lambda: load_model(ModelConfig(name_or_path="evil/model")))
    assert said.endswith("found none of them - check the path, or allow the network (--online)")
    with pytest.raises(DataError, match=r"allow the network \(--online\)"):
        load_facts("hf:evil/facts")


@pytest.mark.parametrize("has_shards", [False, True])
def test_files_of_a_hub_model_are_looked_at_before_they_are_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_shards: bool
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    fetched: list[str] = []

    def fetch(source: str, name: str, *, revision: str | None) -> str:
        if not (folder / name).is_file():
            raise EntryNotFoundError(name)
        fetched.append(name)
        (tmp_path / "cache").mkdir(exist_ok=True)
        return str(shutil.copy(folder / name, tmp_path / "cache" / name))

    if has_shards:
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        change(folder / "model.safetensors.index.json", weight_map={"a": "model-1.safetensors"})
    change(folder / "config.json", num_hidden_layers=10**9)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    said = error_of(lambda: load_model(ModelConfig(name_or_path="evil/model")))
    assert "num_hidden_layers of at most 21, as there are so many tensors, found 1000000000" in said
    assert ("model-1.safetensors" if has_shards else "model.safetensors") in fetched
    change(folder / "model.safetensors.index.json", weight_map={"a": "../../evil.safetensors"})
    (folder / "model.safetensors").unlink(missing_ok=True)
    said = error_of(lambda: load_model(ModelConfig(name_or_path="evil/model")))
    assert 'names of .safetensors files in the same folder, found "../../evil.safetensors"' in said


# --- weights that are not there --------------------------------------------------------------------------------------


def test_model_that_lacks_weights_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    layer = weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "found none for model.layers.1.mlp.up_proj.weight (1 missing in all)" in error_of(lambda: load(folder))
    weights["model.layers.1.mlp.up_proj.weight"] = layer.T.contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    said = error_of(lambda: load(folder))
    assert "expected model.layers.1.mlp.up_proj.weight of shape (64, 32) as in config.json, found (32, 64)" in said


# --- adapters --------------------------------------------------------------------------------------------------------


def test_pickles_beside_an_adapter_are_not_read(folder: Path, fired: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    put_pickles(adapter, fired)
    change(adapter / "adapter_config.json", base_model_name_or_path="evil/model", **REMOTE)
    load(folder, adapter)


def test_adapter_in_pickle_is_refused(folder: Path, fired: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").unlink()
    put_pickles(adapter, fired)
    assert "adapter_model.bin - save the adapter as safetensors" in error_of(lambda: load(folder, adapter))


def test_pickle_as_an_adapter_inside_a_model_is_refused(folder: Path, fired: Path) -> None:
    change(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="evil/model")
    put_pickles(folder, fired)
    assert "adapter_model.bin - save the adapter as safetensors" in error_of(lambda: load(folder))


def test_adapter_that_names_classes_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    change(adapter / "adapter_config.json", auto_mapping={"base_model_class": "X", "parent_library": "evil"})
    assert 'found "evil" - set auto_mapping to null' in error_of(lambda: load(folder, adapter))


def test_adapter_that_lacks_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = make_adapter(folder, tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, adapter / "adapter_model.safetensors")
    assert "does not fit the model: Found missing adapter keys" in error_of(lambda: load(folder, adapter))


ENDLESS = "(([a-z_0-9]+)+[.]?)+!"
"""Takes a name of n letters some 2^n steps not to match."""


@pytest.mark.parametrize("settings", [{"target_modules": ENDLESS}, {"rank_pattern": {ENDLESS: 4}}])
def test_adapter_with_a_pattern_without_end_is_refused(folder: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    change(adapter / "adapter_config.json", **settings)
    said = error_of(lambda: load(folder, adapter))
    assert said.startswith(f"{adapter}/adapter_config.json: expected a pattern of layer names that is soon matched")
    assert said.endswith("not done after 5 seconds - write the names as a list")


def test_adapter_with_a_pattern_loads(folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    change(adapter / "adapter_config.json", target_modules=r"(?:.*?(?:layers|blocks).*?(?:q_proj|\bquery\d{1,}).*?)")
    load(folder, adapter)


def test_adapter_inside_a_model_may_hold_no_pattern(folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    for file in adapter.iterdir():
        shutil.copy(file, folder)
    change(folder / "adapter_config.json", target_modules=".*q_proj")
    said = error_of(lambda: load(folder))
    assert said.endswith("expected names of layers, found the pattern '.*q_proj' - give the folder as model.adapter")


def test_settings_with_a_pattern_without_end_are_refused(folder: Path) -> None:
    settings = LoraSettings(target_modules=ENDLESS)
    with pytest.raises(ConfigError, match=r"lora.target_modules: expected a pattern that is soon matched, found"):
        add_adapter(load(folder), settings, None)


# --- configs and facts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [FIRED]",
        "!!python/object/new:os.mkdir [FIRED]",
        "!!python/name:os.mkdir",
        "!!python/module:evil",
        "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [FIRED]",
        "!include /etc/passwd",
        "*anchor",
        "&a [*a]",
        "{<<: {a: 1}}",
    ],
)
def test_config_with_tags_or_aliases_is_refused(tmp_path: Path, fired: Path, value: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"model: m\nfacts: f\nseed: {value.replace('FIRED', str(fired))}\n")
    with pytest.raises(ConfigError, match="line 3: "):
        load_config(path)


def test_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="line 1: expected no anchors, found &a0"):
        load_config(path)


def test_file_of_facts_may_be_a_pickle_under_any_name_and_is_only_read_as_text(tmp_path: Path, fired: Path) -> None:
    for name in ("f.jsonl", "f.json", "f.csv", "f.tsv", "f.parquet", "f.pkl", "f.npy", "f.pt"):
        put_pickles(tmp_path, fired, (name,))
        with pytest.raises(DataError):
            load_facts(tmp_path / name)


def test_data_set_folder_with_a_script_is_not_run(folder: Path, fired: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "data.py").write_text(f"import os\nos.mkdir({str(fired)!r})\n")
    with pytest.raises(DataError, match="found none in the folder"):
        load_facts(FactsConfig(path=str(data)))


HOSTILE_NAMES = (
    "../../fired", "/fired", "a/../../../fired", "..", ".", "CON", "a\\..\\fired", "~/fired", "$(touch fired)",
    "`touch fired`", "fired;", "%2e%2e%2ffired", "x" * 3000, "\u202efired", "-rf", "map.json", "facts.parquet",
)  # fmt: skip


def test_ids_and_relations_never_become_paths(tmp_path: Path, fired: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = tmp_path / "facts.jsonl"
    rows = [
        {"id": f"{name}{extra}", "relation": name, "question": f"Who is {n}{extra}?", "answers": ["red"]}
        for n, name in enumerate(HOSTILE_NAMES)
        for extra in ("", "1", "2")
    ]
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load_facts(facts)
    shots = {name: [fact for fact in loaded if fact.relation == name] for name in {fact.relation for fact in loaded}}
    settings = ProbeConfig(
        method="sampled", num_exemplar_sets=1, num_shots=1, num_samples=1, max_new_tokens=1, greedy_answers="none"
    )
    request = ProbeRequest(ModelConfig(name_or_path="m"), tuple(loaded), shots, settings, 1, 0)
    known = make_map(request, tmp_path / "out" / "map", open_engine=lambda _: FakeEngine(), progress=Silent())
    assert len(known) == len(rows)
    assert {path.name for path in tmp_path.iterdir()} == {"facts.jsonl", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"map"}
    names = [path.name for path in (tmp_path / "out" / "map").rglob("*")]
    assert all(name.isascii() and len(name) < 80 for name in names)
    assert not [name for name in names if "fired" in name or ".." in name]


# --- the source ------------------------------------------------------------------------------------------------------


def calls(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_source_has_no_way_to_run_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    forbidden = {"eval", "exec", "compile", "__import__", "torch.load", "yaml.load", "yaml.unsafe_load", "os.system"}
    assert forbidden & set(calls(tree)) == set()
    modules = {name.split(".")[0] for name in imported(tree)}
    assert modules & {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"} == set()
    keywords = {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    assert keywords & {"shell", "allow_pickle", "weights_only"} == set()


def test_nothing_writes_csv_where_a_cell_could_be_a_formula() -> None:
    """Only `reporting/table.py` writes CSV, and its test shows what it does with such cells."""
    written = {"csv.writer", "csv.DictWriter", "to_csv", "write_csv"}
    for path in SOURCES:
        if path.parts[-2:] == ("reporting", "table.py"):
            continue
        assert not {call for call in calls(ast.parse(path.read_text())) if call.split(".")[-1] in written | {"writer"}}
