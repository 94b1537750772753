"""The command line: true help, exit codes, one clear line for what a user can correct, JSON alone on stdout."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradual import afterwards, api, opening
from gradual.cli import app as cli
from gradual.config.run import RunConfig
from gradual.config.yaml_file import load_config
from gradual.engines.engine import Engine
from gradual.errors import TrainingError
from gradual.files.storage import write_json
from gradual.run.folder import RunDir, open_run
from gradual.testing import FakeEngine, toy_facts

COMMANDS = ("probe", "show", "plan", "fit", "tune", "diff", "report", "ask", "export", "init", "schema", "demo")
QUICK = ["method=sampled", "num_exemplar_sets=2", "num_shots=1", "num_samples=2", "max_new_tokens=2"]
FACT = {"id": "a", "relation": "capital", "question": "What is the capital of Chad?", "answers": ["N'Djamena"]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def refused(result: Result) -> str:
    """What was said of an error: exit code 2, nothing on stdout but how the facts were read, no traceback."""
    assert result.exit_code == 2, result.output
    assert all(line.startswith("the first facts as read: ") for line in result.stdout.splitlines())
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def write_facts(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def toy_rows() -> list[dict[str, object]]:
    return [
        {"id": fact.id, "relation": fact.relation, "question": fact.question, "answers": list(fact.answers)}
        for fact in toy_facts(num_relations=2, facts_per_relation=6)
    ]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a saved model until somebody loads it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def open_with(monkeypatch: pytest.MonkeyPatch, load: Callable[..., Engine]) -> None:
    for module in (opening, afterwards):
        monkeypatch.setattr(module, "open_here", load)


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test, and what a command tells its process is forgotten afterwards."""

    def load(*_: object) -> Engine:
        pytest.fail("a model was loaded")

    open_with(monkeypatch, load)
    monkeypatch.setattr(api, "prepare_environment", lambda *, online: None)


@pytest.fixture
def fake_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    open_with(monkeypatch, lambda *_: FakeEngine())
    monkeypatch.setattr(api, "require_packages", lambda _: None)
    return model


def probe(model: Path, facts: Path, out: Path, *more: object) -> Result:
    settings = [word for setting in QUICK for word in ("--set", f"probe.{setting}")]
    return run("probe", "--model", model, "--facts", facts, "--out", out, *settings, *more)


# --- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_the_purpose_in_a_line_and_gives_examples(command: str) -> None:
    help_text = run(command, "--help").stdout
    purpose = help_text.split("\n\n")[1].strip()
    assert re.fullmatch(r"[A-Z].{20,60}[.]", purpose)
    assert purpose in run("--help").stdout, "cut off in the list of commands"
    assert f"  gradual {command} " in help_text or f"  gradual {command}\n" in help_text


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_use_options_that_exist(command: str) -> None:
    help_text = run(command, "--help").stdout
    examples = [shlex.split(line) for line in help_text.splitlines() if line.startswith("    gradual ")]
    offered = set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", help_text, flags=re.MULTILINE))
    assert examples
    for example in examples:
        assert example[1] == command
        assert {word for word in example if word.startswith("--")} <= offered


def test_version() -> None:
    assert re.fullmatch(r"gradual \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_unknown_command_and_missing_option_exit_with_2() -> None:
    assert run("prob").exit_code == 2
    assert run("probe", "--model", "m", "--facts", "f").exit_code == 2


# --- one clear line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "facts.jsonl: expected a file of facts, found nothing there"),
        ("", "facts.jsonl"),
        ('{"question": "q", "answer": \n', "facts.jsonl:1"),
        ('{"question": "q"}\n', "facts.jsonl"),
        (json.dumps(FACT) + "\n" + json.dumps(FACT | {"question": "Another?"}) + "\n", "facts.jsonl:2"),
        (json.dumps(FACT) + "\n" + json.dumps(FACT | {"id": "b", "answers": ["Abuja"]}) + "\n", "facts.jsonl:2"),
        (json.dumps(FACT | {"question": " "}) + "\n", "facts.jsonl:1"),
        (json.dumps(FACT | {"answers": []}) + "\n", "facts.jsonl:1"),
    ],
    ids=["missing", "empty", "broken", "column", "id", "contradiction", "question", "answer"],
)
def test_facts_that_cannot_be_used(model: Path, tmp_path: Path, content: str | None, said: str) -> None:
    facts = tmp_path / "facts.jsonl"
    if content is not None:
        facts.write_text(content)
    text = refused(probe(model, facts, tmp_path / "map"))
    assert said in text
    assert "expected" in text
    assert "found" in text
    assert not (tmp_path / "map").exists()


@pytest.mark.parametrize("command", ["plan", "fit"])
def test_only_the_command_line_can_trust_the_code_of_a_model(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model: m\nfacts: f\n")
    given: list[bool] = []

    def stop(settings: RunConfig, *_: object, **__: object) -> None:
        given.append(settings.model.trust_remote_code)
        raise TrainingError("enough")

    monkeypatch.setattr(api, command, stop)
    refused(run(command, config, "--out", tmp_path / "run"))
    refused(run(command, config, "--out", tmp_path / "run", "--trust-remote-code"))
    assert given == [False, True]
    config.write_text("model: {name_or_path: m, trust_remote_code: true}\nfacts: f\n")
    assert "say so on the command line (--trust-remote-code)" in refused(
        run(command, config, "--out", tmp_path / "run")
    )


def test_too_few_exemplars(model: Path, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", [FACT])
    text = refused(run("probe", "--model", model, "--facts", facts, "--out", tmp_path / "map"))
    assert 'relation "capital": expected at least 5 exemplars for 4 shots, found 1' in text


def test_exemplar_of_an_unknown_relation(model: Path, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    exemplars = write_facts(tmp_path / "shots.jsonl", [*toy_rows(), FACT])
    text = refused(probe(model, facts, tmp_path / "map", "--exemplars", exemplars))
    assert "shots.jsonl:13" in text
    assert '"capital"' in text


def test_unknown_model(tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    assert 'no-model": expected a folder with a saved model' in refused(
        probe(tmp_path / "no-model", facts, tmp_path / "map")
    )


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    assert "expected config.json in the folder, found facts.jsonl" in refused(probe(tmp_path, facts, tmp_path / "map"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "guess"], 'command line: probe.method: expected one of exact, sampled, found "guess"'),
        (["--set", "probe.temprature=1"], "unknown setting; did you mean 'temperature'?"),
        (["--set", "lora.r=8"], "--set lora.r=8: expected a setting of model, facts, probe, seed"),
        (["--seed", "1", "--set", "seed=x"], "--set seed=x: seed: expected a whole number"),
    ],
)
def test_settings_of_a_probe_that_cannot_be(model: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    settings = ["--model", model, "--facts", facts, "--out", tmp_path / "map"]
    if said.startswith("--set seed"):
        arguments = arguments[2:]
    assert said in refused(run("probe", *settings, *arguments))


@pytest.mark.parametrize("command", ["fit", "plan", "compare", "tune"])
@pytest.mark.parametrize("how", ["option", "config"])
def test_training_through_a_server_is_told_what_to_do(tmp_path: Path, command: str, how: str) -> None:
    config = tmp_path / "config.yaml"
    server = "" if how == "option" else ", server: {url: 'http://127.0.0.1:1'}"
    config.write_text(f"model: {{name_or_path: m{server}}}\nfacts: f\n")
    option = ["--server", "http://127.0.0.1:1"] if how == "option" else []
    said = refused(run(command, config, "--out", tmp_path / "run", *option))
    assert said.startswith("error: model.server: a server reads and cannot train, which needs weights - probe through")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "127.0.0.1:8000"], "command line: model.server.url: expected"),
        (["--server", "http://me:word@host:8000"], "command line: model.server.url: expected"),
        (["--server-model", "llama"], "--server-model names a model of a server; give its address with --server"),
        (
            ["--server", "http://host", "--check", 3, "--set", "model.server.logprobs=20"],
            "--check draws from 40 tokens (probe.top_k), found model.server.logprobs: 20 - start the server",
        ),
        (
            ["--server", "http://host", "--method", "sampled", "--set", "model.server.logprobs=20"],
            "probe.method: sampled draws from 40 tokens",
        ),
    ],
    ids=["no scheme", "password", "name alone", "check", "sampled"],
)
def test_a_server_that_cannot_be_asked_is_one_line(
    model: Path, tmp_path: Path, arguments: list[object], said: str
) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    text = refused(run("probe", "--model", model, "--facts", facts, "--out", tmp_path / "map", *arguments))
    assert said in text
    assert not (tmp_path / "map").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ray", "auto", "--server", "http://host"], "--ray and --server exclude each other"),
        (["--workers", 2], "--workers and --gpus-per-worker are of a Ray cluster; give its address with --ray"),
        (["--gpus-per-worker", 1], "--workers and --gpus-per-worker are of a Ray cluster"),
        (["--ray", "ray://host:10001"], '--ray: expected auto or host:port, as `ray start` tells it, found "ray://'),
        (["--ray", "auto", "--workers", 0], "--workers: "),
        (["--ray", "auto", "--gpus-per-worker", 1.5], "--gpus-per-worker: expected a whole number of GPUs, or a share"),
    ],
    ids=["server", "workers alone", "gpus alone", "client", "none", "one and a half"],
)
def test_a_cluster_that_cannot_be_used_is_one_line(
    model: Path, tmp_path: Path, arguments: list[object], said: str
) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    text = refused(run("probe", "--model", model, "--facts", facts, "--out", tmp_path / "map", *arguments))
    assert said in text
    assert len(text.splitlines()) == 1
    assert not (tmp_path / "map").exists()


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_options_of_a_cluster_are_refused_before_settings_are_read(tmp_path: Path, command: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model: m\nfacts: f\n")
    given = run(command, config, "--out", tmp_path / "out", "--workers", 2)
    assert "--workers and --gpus-per-worker are of a Ray cluster; give its address with --ray" in refused(given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--goal", "acuracy"], "--goal: unknown goal \"acuracy\"; did you mean 'accuracy'?"),
        (["--goal", "speed!"], "; expected one of accuracy, few_confident_errors, none_lost"),
        (["--budget", "soon"], '--budget: expected a time such as 2h, 90m or 1h30m, found "soon"'),
        (["--set", "evaluation.protocol=paper"], "evaluation.protocol: paper chooses epochs by the test facts"),
    ],
)
def test_tunings_that_cannot_be(model: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"model: {model}\nfacts: {write_facts(tmp_path / 'facts.jsonl', toy_rows())}\n")
    text = refused(run("tune", config, "--out", tmp_path / "tuned", *arguments))
    assert said in text
    assert not (tmp_path / "tuned").exists()


@pytest.mark.parametrize("command", ["fit", "plan"])
def test_all_problems_of_a_config_are_said_at_once(tmp_path: Path, command: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model: m\nfacts: f\nprobe: {temprature: 1, num_shots: x}\n")
    text = refused(run(command, config, "--out", tmp_path / "run"))
    assert "probe.temprature: unknown setting; did you mean 'temperature'?" in text
    assert "probe.num_shots: expected a whole number" in text
    assert not (tmp_path / "run").exists()


def test_missing_config(tmp_path: Path) -> None:
    assert "expected a YAML file with settings" in refused(run("fit", tmp_path / "no.yaml", "--out", tmp_path / "run"))


def test_errors_with_several_lines_keep_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(afterwards, "diff", raising(TrainingError("one\ntwo")))
    assert refused(run("diff", tmp_path, tmp_path)) == "error: one\ntwo\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(afterwards, "diff", raising(RuntimeError("a bug")))
    result = run("diff", tmp_path, tmp_path)
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


# --- what comes back -----------------------------------------------------------------------------------------------


def test_probe_show_and_diff_work_together(fake_model: Path, tmp_path: Path) -> None:
    facts, out = write_facts(tmp_path / "facts.jsonl", toy_rows()), tmp_path / "map"
    result = probe(fake_model, facts, out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["num_facts"], sum(found["levels"].values()), found["out"]) == (12, 12, str(out))
    assert 0 <= found["p_greedy"] <= 1
    assert 0 <= found["p_sampled"] <= 1
    assert "probe: 12 facts" in result.stderr

    again = probe(fake_model, facts, out, "--json")
    assert json.loads(again.stdout) == found
    assert "finished; nothing is computed again" in again.stderr
    assert "probe.seed: 42 in the folder, 7 now" in refused(probe(fake_model, facts, out, "--seed", 7))

    shown = json.loads(run("show", out, "toy-0-3", "--json").stdout)
    assert (shown["id"], shown["question"], len(shown["sets"])) == ("toy-0-3", "What is the colour of thing 03?", 2)
    assert shown["sets"][0]["prompt"].endswith("Q: What is the colour of thing 03?\nA:")
    assert "level     " in run("show", out, "toy-0-3").stdout
    assert "did you mean 'toy-0-3'" in refused(run("show", out, "toy-0-3x"))

    compared = json.loads(run("diff", out, out, "--json").stdout)
    assert (compared["num_facts"], compared["promoted"], compared["warnings"]) == (12, [], [])
    assert "12 facts in both maps" in run("diff", out, out).stdout


def test_probe_leaves_out_bad_rows_where_asked_and_keeps_them_beside_the_map(fake_model: Path, tmp_path: Path) -> None:
    bad = {"id": "bad", "relation": "toy-0", "question": "What is the colour of thing 99?", "answers": None}
    facts, out = write_facts(tmp_path / "facts.jsonl", [*toy_rows(), bad]), tmp_path / "map"
    assert f"{facts}:13" in refused(probe(fake_model, facts, out))
    result = probe(fake_model, facts, out, "--set", "facts.on_bad_row=skip")
    assert result.exit_code == 0, result.output
    assert f"warning: {facts}: rows left out (facts.on_bad_row: skip): 1, of these 1 expected" in result.stdout
    (line,) = (out / "facts_left_out.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["where"], json.loads(kept["row"])) == (f"{facts}:13", bad)
    assert "probe: 12 facts" in result.stdout


def test_probe_of_fewer_facts_and_for_people(fake_model: Path, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    result = probe(fake_model, facts, tmp_path / "map", "--limit", 4)
    assert result.exit_code == 0, result.output
    assert "probe: 4 facts" in result.stdout
    assert "HighlyKnown" in result.stdout
    assert result.stderr == ""


def test_probe_refuses_a_folder_of_something_else(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "require_packages", lambda _: None)
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    assert "is not empty and holds no knowledge map" in refused(probe(model, facts, tmp_path))


def test_show_and_diff_of_no_map(tmp_path: Path) -> None:
    assert "expected a knowledge map or a run folder" in refused(run("show", tmp_path, "a"))
    assert "holds no finished knowledge map" in refused(run("diff", tmp_path, tmp_path))


def test_questions_come_from_the_command_line_a_file_and_the_terminal(fake_model: Path, tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("\ufeffWho wrote Emma?\n\nWho wrote Ulysses?\n")
    result = run("ask", fake_model, "Who wrote Dubliners?", "--file", tmp_path / "questions.txt", "--json")
    assert result.exit_code == 0, result.output
    asked = json.loads(result.stdout)["questions"]
    assert [each["question"] for each in asked] == ["Who wrote Dubliners?", "Who wrote Emma?", "Who wrote Ulysses?"]
    (answer,) = asked[0]["answers"]
    assert (answer["model"], answer["num_sets"], asked[0]["relation"]) == ("base model", 1, "")
    typed = CliRunner().invoke(cli.app, ["ask", str(fake_model)], input="Who wrote Emma?\n")
    assert "Who wrote Emma?" in typed.stdout
    assert "Without shots." in typed.stdout
    assert "expected a question, found none" in refused(run("ask", fake_model))


def test_questions_are_asked_behind_the_shots_of_given_facts(fake_model: Path, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.jsonl", toy_rows())
    shots = ["--facts", facts, "--set", "probe.num_shots=2", "--set", "probe.num_exemplar_sets=3"]
    (asked,) = json.loads(run("ask", fake_model, "What is the tint of thing 19?", *shots, "--json").stdout)["questions"]
    assert (asked["relation"], asked["answers"][0]["num_sets"]) == ("toy-1", 3)
    assert "did you mean 'toy-0'" in refused(run("ask", fake_model, "What?", *shots, "--relation", "toy-00"))


def test_a_file_of_questions_that_cannot_be_used(fake_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"Wo liegt K\xf6ln?")
    assert "empty.txt: expected a question on each line" in refused(
        run("ask", fake_model, "--file", tmp_path / "empty.txt")
    )
    assert "latin.txt: expected UTF-8 text, found other bytes at 10" in refused(
        run("ask", fake_model, "--file", tmp_path / "latin.txt")
    )
    assert "which cannot be read: No such file" in refused(run("ask", fake_model, "--file", tmp_path / "none.txt"))


def test_a_config_is_begun_with_what_was_found_of_facts_and_model(model: Path, tmp_path: Path) -> None:
    rows = [
        row | {"id": f"{number}-{row['id']}", "question": f"{row['question']} ({number})"}
        for number in range(5)
        for row in toy_rows()
    ]
    facts, config = write_facts(tmp_path / "facts.jsonl", rows), tmp_path / "new" / "config.yaml"
    result = run("init", facts, "--model", model, "--out", config, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"config": str(config)}
    text = config.read_text()
    assert "# Columns found: question from question, answers from answers, relation from relation, id from id." in text
    assert "# 60 facts in 2 relations: toy-0 30, toy-1 30." in text
    assert load_config(config).stages[1].strategy == "S5"
    assert "expected no such file, found one; it is kept" in refused(
        run("init", facts, "--model", model, "--out", config)
    )
    assert "expected config.json in the folder" in refused(run("init", facts, "--model", tmp_path))
    assert "none.jsonl: expected a file of facts" in refused(run("init", tmp_path / "none.jsonl", "--model", model))


def test_the_schema_of_settings_is_printed() -> None:
    found = json.loads(run("schema").stdout)
    assert found["properties"]["model"]["anyOf"][1] == {"type": "string", "minLength": 1}
    assert found["$defs"]["StageConfig"]["properties"]["learning_rate"]["description"] == "Peak learning rate."
    assert found["additionalProperties"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dtype", "int4"], "--dtype int4: expected one of bfloat16, float32, float16"),
        (["--for", "keras"], "--for keras: expected one of jsonl, trl, llama-factory, axolotl"),
        (["--public"], "--public: expected --push OWNER/NAME with it"),
        ([], "is no run folder (run.json is missing)"),
    ],
)
def test_exports_that_cannot_be(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(run("export", tmp_path, "--out", tmp_path / "out", *arguments))
    assert not (tmp_path / "out").exists()


def test_commands_are_completed_by_the_shell(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), "_GRADUAL_COMPLETE": "complete_bash"}
    env |= {"COMP_WORDS": "gradual p", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "gradual"], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["probe", "plan"]


def test_report_of_a_run_that_has_begun(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", {}, config_yaml="seed: 1\n"):
        pass
    result = run("report", tmp_path / "run", "--json")
    assert json.loads(result.stdout) == {"report": str(tmp_path / "run" / "report.html")}
    assert (tmp_path / "run" / "report.html").is_file()
    assert "expected a run folder" in refused(run("report", tmp_path / "none"))


def test_fit_shows_the_summary_and_writes_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(*_: object, **__: object) -> RunDir:
        print("a library prints")
        with open_run(tmp_path / "run", {}, config_yaml="seed: 1\n") as made:
            levels = {"Unknown": 3, "WeaklyKnown": 0, "MaybeKnown": 0, "HighlyKnown": 1}
            write_json(made.summary, {"seed": 7, "model": "m", "levels": [levels]})
        return made

    monkeypatch.setattr(api, "fit", fitted)
    config = tmp_path / "config.yaml"
    config.write_text("model: m\nfacts: f\n")
    result = run("fit", config, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "a library prints" in result.stderr
    shown = run("fit", config, "--out", tmp_path / "run").stdout
    assert "3 (75.0" in shown
    assert f"report: {tmp_path / 'run' / 'report.html'}" in shown


def test_seed_and_settings_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fitted(config: object, *_: object, **__: object) -> RunDir:
        seen.append(config)
        raise TrainingError("enough")

    monkeypatch.setattr(api, "fit", fitted)
    (tmp_path / "config.yaml").write_text("model: m\nfacts: f\n")
    run("fit", tmp_path / "config.yaml", "--out", tmp_path, "--seed", 7, "--set", "stages.1.learning_rate=1e-5")
    assert seen[0].seed == 7  # type: ignore[attr-defined]
    assert seen[0].stages[1].learning_rate == 1e-5  # type: ignore[attr-defined]


def test_strategies_are_listed_without_a_config() -> None:
    found = json.loads(run("plan", "--strategies", "--json").stdout)
    assert found["maybe_known"]["select"] == "now == MaybeKnown"
    assert "S5: " in run("plan", "--strategies").stdout
    assert run("plan").exit_code == 2


# --- interruptions -------------------------------------------------------------------------------------------------


def test_interrupted_probe_goes_on_with_the_same_command(
    fake_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, out = write_facts(tmp_path / "facts.jsonl", toy_rows()), tmp_path / "my map"
    engines = iter([InterruptedEngine(), FakeEngine()])
    open_with(monkeypatch, lambda *_: next(engines))
    result = probe(fake_model, facts, out)
    assert result.exit_code == 130
    line = next(line for line in result.stderr.splitlines() if line.startswith("go on with: "))
    assert run(*shlex.split(line)[4:]).exit_code == 0
    assert json.loads((out / "map.json").read_text())["num_facts"] == 12


def test_termination_cleans_up_and_exits_with_143(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = []

    def fitted(*_: object, **__: object) -> RunDir:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append(True)
        raise AssertionError("not terminated")

    monkeypatch.setattr(api, "fit", fitted)
    (tmp_path / "config.yaml").write_text("model: m\nfacts: f\n")
    before = signal.getsignal(signal.SIGTERM)
    result = run("fit", tmp_path / "config.yaml", "--out", tmp_path / "run")
    assert (result.exit_code, cleaned) == (143, [True])
    assert f"go on with: gradual fit {tmp_path / 'config.yaml'} --out {tmp_path / 'run'}" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


def test_interrupted_show_has_nothing_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afterwards, "show", raising(KeyboardInterrupt()))
    result = run("show", tmp_path, "a")
    assert result.exit_code == 130
    assert "go on with" not in result.stderr


# --- as a process --------------------------------------------------------------------------------------------------


def in_process(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    source = str(Path(cli.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "gradual", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )


def test_process_ends_with_2_and_one_line(tmp_path: Path) -> None:
    done = in_process("fit", "none.yaml", "--out", "run", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "error: none.yaml: expected a YAML file with settings, which cannot be read: No such file or directory"
    ]


def test_process_survives_a_terminal_without_unicode(tmp_path: Path) -> None:
    write_facts(tmp_path / "facts.jsonl", [FACT | {"relation": "Hauptstädte"}])
    (tmp_path / "config.json").write_text("{}")
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), "PYTHONIOENCODING": "ascii"}
    command = ["probe", "--model", ".", "--facts", "facts.jsonl", "--out", "map"]
    done = subprocess.run(
        [sys.executable, "-m", "gradual", *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Hauptst\\xe4dte" in done.stderr


class InterruptedEngine(FakeEngine):
    def new_forest(self, num_rows: int, *, top_k: int):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "config.yaml"),
        ("plan", "config.yaml", "--compare"),
        ("ask", "run", "Who?"),
        ("export", "run", "--out", "model"),
        ("init", "facts.jsonl", "--model", "m"),
        ("show", "run", "a"),
        ("diff", "run", "other"),
        ("report", "run"),
    ],
)
def test_a_command_that_shares_no_work_is_refused_to_several_processes(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("model: m\nfacts: facts.jsonl\n")
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    told = f"error in process 1 of 4: {arguments[0]}: expected one process, found a launch of 4, "
    assert result.stderr.startswith(told)
    assert result.stderr.count("\n") == 1
