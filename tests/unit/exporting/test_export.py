"""What is carried away: which adapter, with which card, published how; merged weights say the same or are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tests.support.small_run import small_run

from gradual.comparison.folder import ComparisonFolder
from gradual.errors import ConfigError, DataError, ExportError, RunDirError
from gradual.exporting import chosen as choosing
from gradual.exporting import gguf, hub
from gradual.exporting.chosen import ChosenAdapter, choose_adapter
from gradual.exporting.export import ExportRequest, export
from gradual.exporting.merge import facts_to_check, refuse_other_answers
from gradual.facts.fact import Fact
from gradual.progress import Silent
from gradual.run.folder import RunDir


def add_adapter(run: RunDir, stage: int) -> None:
    """Files as PEFT writes them, beside those of the stand-in for training."""
    tensor = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps(tensor).encode()
    run.adapter(stage).joinpath("adapter_model.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + b"0123"
    )
    about = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "/home/me/.cache/model"}
    run.adapter(stage).joinpath("adapter_config.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = small_run(tmp_path_factory.mktemp("runs") / "run", stages=2)
    for stage in (1, 2):
        add_adapter(made, stage)
    return made


def exported(request: ExportRequest, *, online: bool = False) -> Path:
    return export(request, online=online, progress=Silent()).folder


# --- which ----------------------------------------------------------------------------------------------------------


def comparison(folder: Path, monkeypatch: pytest.MonkeyPatch, accuracies: dict[tuple[str, int], float]) -> Path:
    """A comparison whose finished runs have these accuracies on the validation facts after their last stage."""
    arms = [
        {"name": "base", "num_stages": 0},
        *({"name": name} for name in dict.fromkeys(arm for arm, _ in accuracies)),
    ]
    plan = {"arms": arms, "seeds": [1, 2], "reference": "one", "main": "two"}
    folder.joinpath("comparison_plan.json").write_text(json.dumps(plan))

    def candidate(folder: ComparisonFolder, arm: str, seed: int, stage: int | None) -> object:
        accuracy = accuracies.get((arm, seed))
        run = folder.run(arm, seed)
        return None if accuracy is None else choosing._Candidate(run, arm, seed, 2, {0: 0.3, 2: accuracy})

    monkeypatch.setattr(choosing, "_candidate", candidate)
    return folder


def test_of_a_comparison_the_arm_with_the_best_mean_and_its_best_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = {("one", 1): 0.6, ("one", 2): 0.2, ("two", 1): 0.41, ("two", 2): 0.45, ("three", 1): 0.4}
    folder = comparison(tmp_path, monkeypatch, accuracies)
    best = choose_adapter(folder)  # means: 0.4, 0.43, 0.4
    assert (best.arm, best.seed, best.stage) == ("two", 2, 2)
    assert best.run.path == tmp_path / "runs" / "two" / "2"
    assert "the best of 3 arms" in best.why
    assert not best.gains_nothing
    assert (choose_adapter(folder, arm="one").arm, choose_adapter(folder, arm="one").seed) == ("one", 1)
    with pytest.raises(DataError, match=r"--arm twoo: .* trains no such arm; did you mean 'two'"):
        choose_adapter(folder, arm="twoo")
    with pytest.raises(DataError, match="--arm base"):
        choose_adapter(folder, arm="base")


def test_a_comparison_without_a_finished_run_has_nothing_to_carry_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = comparison(tmp_path, monkeypatch, {("one", 3): 0.5})
    with pytest.raises(DataError, match="expected a finished run, found none"):
        choose_adapter(folder)


def test_a_comparisons_runs_are_read_from_their_folders(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "runs" / "two").mkdir(parents=True)
    (tmp_path / "runs" / "two" / "7").symlink_to(run.path)
    plan = {"arms": [{"name": "two"}], "seeds": [7], "reference": "two", "main": "two"}
    tmp_path.joinpath("comparison_plan.json").write_text(json.dumps(plan))
    best = choose_adapter(tmp_path)
    assert (best.arm, best.seed, best.stage, sorted(best.validation)) == ("two", 7, 2, [0, 1, 2])


def test_an_arm_is_of_a_comparison(run: RunDir) -> None:
    with pytest.raises(DataError, match="--arm S5: an arm is of a comparison"):
        choose_adapter(run.path, arm="S5")


def test_an_adapter_no_better_than_the_base_model_is_told() -> None:
    of = {"run": RunDir(Path()), "stage": 1, "why": ""}
    assert ChosenAdapter(**of, validation={0: 0.4, 1: 0.4}).gains_nothing  # type: ignore[arg-type]
    assert not ChosenAdapter(**of, validation={0: 0.4, 1: 0.41}).gains_nothing  # type: ignore[arg-type]


# --- the adapter and its card ---------------------------------------------------------------------------------------


def test_the_adapter_names_the_base_model_as_others_know_it_and_has_a_card(run: RunDir, tmp_path: Path) -> None:
    out = exported(ExportRequest(run.path, tmp_path / "out", stage=2, base_model="me/base"))
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "export.json",
    ]
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "me/base"
    same = (out / "adapter_model.safetensors").read_bytes()
    assert same == (run.adapter(2) / "adapter_model.safetensors").read_bytes()
    card = (out / "README.md").read_text()
    about = yaml.safe_load(card.split("---")[1])
    assert (about["library_name"], about["base_model"], about["base_model_relation"]) == ("peft", "me/base", "adapter")
    digest = run.fingerprint["facts.digest"]
    for told in ("# me/base after 2 stages", "### Levels of the training facts", "## Limits", digest, "2410.05802"):
        assert told in card
    assert "    probe.num_exemplar_sets: 1\n" in card
    assert "/home/me" not in card
    assert "stages.1." in card
    assert "after stage 1" not in card, "of stages in between nothing is told"


def test_a_folder_on_this_machine_is_not_named_as_a_base_model_of_the_hub(run: RunDir, tmp_path: Path) -> None:
    card = (exported(ExportRequest(run.path, tmp_path / "out")) / "README.md").read_text()
    assert "base_model" not in yaml.safe_load(card.split("---")[1])
    out = exported(ExportRequest(run.path, tmp_path / "local", stage=1, base_model="/home/me/llama"))
    card = (out / "README.md").read_text()
    assert "# llama after 1 stage of" in card
    assert "/home/me" not in card
    assert "stages.1." not in card, "settings of a later stage"


def test_a_hostile_name_is_shown_as_it_stands(run: RunDir, tmp_path: Path) -> None:
    name = "<div>[x](y)\n---\n\x1b[0m"
    card = (exported(ExportRequest(run.path, tmp_path / "out", base_model=name)) / "README.md").read_text()
    assert "\x1b" not in card
    assert r"\<div\>\[x\](y) ---" in card


def test_an_export_is_replaced_and_nothing_else_is(run: RunDir, tmp_path: Path) -> None:
    out = exported(ExportRequest(run.path, tmp_path / "out", stage=1))
    (out / "left").write_text("from before")
    exported(ExportRequest(run.path, out, stage=2))
    assert not (out / "left").exists()
    assert json.loads((out / "export.json").read_text())["stage"] == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunDirError, match="expected a new folder or that of an export, found other files"):
        exported(ExportRequest(run.path, tmp_path / "other"))
    with pytest.raises(RunDirError, match="expected a folder, found a file"):
        exported(ExportRequest(run.path, tmp_path / "other" / "thesis.txt"))


def test_a_number_format_is_of_merged_weights(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--dtype float16: an adapter keeps its own number format; add --merge"):
        exported(ExportRequest(run.path, tmp_path / "out", dtype="float16"))


# --- merged weights -------------------------------------------------------------------------------------------------


def test_merged_weights_that_answer_otherwise_are_refused() -> None:
    refuse_other_answers({"a": "Paris", "b": None}, {"a": "Paris", "b": None}, "bfloat16")
    with pytest.raises(
        ExportError, match=r"found 1 of 2 others \(fact \"a\": 'Paris', merged 'Rome'\) - merge with --dt"
    ):
        refuse_other_answers({"a": "Paris", "b": "x"}, {"a": "Rome", "b": "x"}, "bfloat16")
    with pytest.raises(ExportError, match="export the adapter alone"):
        refuse_other_answers({"a": "Paris"}, {}, "float32")


def test_at_most_fifty_test_facts_are_held_against_each_other() -> None:
    facts = [Fact(f"{number:03}", "r", "?", ("x",), split="train" if number < 10 else "test") for number in range(130)]
    checked = facts_to_check(facts)
    assert (len(checked), {fact.split for fact in checked}) == (50, {"test"})
    assert len(facts_to_check(facts[:10])) == 10


def test_without_the_converter_gguf_is_refused_before_any_work(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"--gguf: expected .* of llama[.]cpp on the PATH, found none"):
        exported(ExportRequest(run.path, tmp_path / "out", gguf=True))


def test_a_converter_that_fails_or_writes_no_gguf_is_told(tmp_path: Path) -> None:
    script = tmp_path / gguf.CONVERTER
    script.write_text("#!/bin/sh\necho 'unknown architecture' >&2\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(ExportError, match=r"found exit code 3 \(unknown architecture\)"):
        gguf.convert_to_gguf(str(script), tmp_path)
    script.write_text('#!/bin/sh\nprintf "GGUF\\003\\0\\0\\0" > "$3"; head -c 16 /dev/zero >> "$3"\n')
    assert gguf.convert_to_gguf(str(script), tmp_path).read_bytes()[:4] == b"GGUF"


# --- the Hub --------------------------------------------------------------------------------------------------------


class FakeHub:
    """Notes what would be done on the Hub."""

    def __init__(self, *, private: bool) -> None:
        self.private = private
        self.done: list[tuple[object, ...]] = []

    def create_repo(self, repo: str, *, private: bool, exist_ok: bool, repo_type: str) -> str:
        self.done.append(("create", repo, private))
        return f"https://huggingface.co/{repo}"

    def repo_info(self, repo: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, repo_id: str, folder_path: str, repo_type: str, commit_message: str) -> None:
        self.done.append(("upload", repo_id, sorted(path.name for path in Path(folder_path).iterdir())))


@pytest.fixture
def private_hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(private=True)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: fake)
    return fake


def test_an_export_is_published_privately(run: RunDir, tmp_path: Path, private_hub: FakeHub) -> None:
    request = ExportRequest(run.path, tmp_path / "out", base_model="me/base", push="me/adapter")
    assert export(request, online=True, progress=Silent()).url == "https://huggingface.co/me/adapter"
    created, uploaded = private_hub.done
    assert created == ("create", "me/adapter", True)
    assert uploaded[1:] == ("me/adapter", sorted(path.name for path in (tmp_path / "out").iterdir()))


def test_a_public_repository_gets_nothing_that_was_to_be_private(
    run: RunDir, tmp_path: Path, private_hub: FakeHub
) -> None:
    private_hub.private = False
    with pytest.raises(ExportError, match="expected a private repository, found a public one - add --public"):
        hub.push(tmp_path, "me/adapter", is_public=False)
    assert [each[0] for each in private_hub.done] == ["create"]
    hub.push(tmp_path, "me/adapter", is_public=True)
    assert private_hub.done[1] == ("create", "me/adapter", False)


@pytest.mark.parametrize(
    ("changes", "online", "said"),
    [
        ({"push": "adapter", "base_model": "me/base"}, True, "--push adapter: expected owner/name"),
        ({"push": "me/adapter", "base_model": "me/base"}, False, "the network is off; add --online"),
        ({"push": "me/adapter"}, True, 'expected a base model on the Hub .* found "fake"; name it with --base-model'),
        ({"push": "me/adapter", "toolkit": "trl"}, True, "--for trl: writes data and settings, no model"),
    ],
)
def test_what_cannot_be_published_is_refused_before_anything_is_written(
    run: RunDir, tmp_path: Path, changes: dict[str, object], online: bool, said: str, private_hub: FakeHub
) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(ExportRequest(run.path, tmp_path / "out", **changes), online=online)  # type: ignore[arg-type]
    assert private_hub.done == []
    assert not (tmp_path / "out").exists()
