"""Shows which results of one commit are the same bytes as those of another: maps, selections, adapters, numbers, pages.

    python scripts/same_bytes.py --before 86ae511              # that commit against the working tree, some minutes

Both are given the same facts and the same random model, and each is run by its own code: an exact and a sampled probe,
a run of two stages and a comparison of four arms with `python -m gradual`, and a probe on the fake engine. Prints how
many files of each kind are the same and names the others; ends with 1 where a knowledge map, a selection, an adapter or
a summary differs. Files that tell times and processes are not compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_RESULTS = frozenset({"attempts.log", "cost.json", "owner.json", "run.lock", "times.jsonl"})
MUST_BE_SAME = frozenset(
    {
        *("answers.parquet", "facts.parquet", "prompts.parquet", "map.json", "selection.parquet", "stage.json"),
        *("epochs.jsonl", "adapter_model.safetensors", "adapter_config.json", "weights", "summary.json"),
    }
)
STAGE = {"num_shots": 2, "batch_size": 8, "learning_rate": 0.01, "num_train_epochs": 2}
CONFIG = {
    "model": {"name_or_path": "tiny", "dtype": "float32", "device": "cpu"},
    "facts": {
        "path": "toys.jsonl",
        "relations": ["toy-0", "toy-1"],
        "out_of_distribution": ["toy-2"],
        "splits": {"exemplars_per_relation": 6},
    },
    "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4},
    "evaluation": {},
    "lora": {"r": 4, "lora_dropout": 0.1},
    "stages": [
        {"strategy": "all", **STAGE},
        {"select": "now <= MaybeKnown", "replay": {"pool": "trained", "ratio": 0.2, "of": "mixture"}, **STAGE},
    ],
    "compare": {
        "arms": ["base", "one_stage"],
        "own_arms": [
            {"name": "as_long", "stages": [{}], "same_steps_as": "two_stages"},
            {"name": "two_stages", "stages": [{}, {}]},
        ],
        "num_seeds": 2,
        "num_retested": 8,
        "main": "two_stages",
        "reference": "as_long",
    },
}
INPUTS = """
import json
from gradual.testing import make_tiny_model, toy_facts
make_tiny_model("tiny")
names = ("id", "relation", "question", "answers")
rows = [{name: getattr(fact, name) for name in names} for fact in toy_facts(3, 32)]
open("toys.jsonl", "w").write("".join(json.dumps(row) + "\\n" for row in rows))
"""
SETTINGS = """
import json, sys
config = json.loads(sys.argv[1])
try:
    from gradual.config.run import EvaluationConfig
    config["evaluation"] |= EvaluationConfig.EARLIER  # younger settings at what leaves results as they were before
except (AttributeError, ImportError):
    pass
open("config.yaml", "w").write(json.dumps(config))
"""
FAKE_RUN = """
import sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root), str(root / "tests" / "faults")]
try:
    from tests.support.small_run import small_probe
except ModuleNotFoundError:
    from small_run import small_probe
small_probe(Path("fake-probe"))
"""
PROBE = ("--model", "tiny", "--facts", "toys.jsonl", "--seed", "1", "--set", "model.dtype=float32",
         "--set", "model.device=cpu", "--set", "probe.num_exemplar_sets=2", "--set", "probe.num_shots=2",
         "--set", "probe.max_new_tokens=4")  # fmt: skip
COMMANDS = (
    ("probe", *PROBE, "--out", "exact"),
    ("probe", *PROBE, "--set", "probe.method=sampled", "--out", "sampled"),
    ("fit", "config.yaml", "--out", "run"),
    ("compare", "config.yaml", "--out", "comparison"),
)


def main() -> int:
    """Runs both and prints the table; 1 where a result differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="the commit to hold the working tree against")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        git("add", "--quiet", "--detach", str(work / "tree"), args.before)
        try:
            before = results_of(work / "tree", work / "before")
        finally:
            git("remove", "--force", str(work / "tree"))
        return tell(before, results_of(ROOT, work / "after"))


def git(*arguments: str) -> None:
    """Adds or removes a working tree."""
    subprocess.run(["git", "worktree", *arguments], cwd=ROOT, check=True)


def results_of(root: Path, folder: Path) -> dict[str, str]:
    """SHA-256 of every result that the code below `root` makes, by path."""
    folder.mkdir()
    python(root, folder, "-c", INPUTS)
    python(root, folder, "-c", SETTINGS, json.dumps(CONFIG))
    for command in COMMANDS:
        print(f"{root.name}: gradual {command[0]} ... {command[-1]}", flush=True)
        python(root, folder, "-m", "gradual", *command)
    python(root, folder, "-c", FAKE_RUN, str(root))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in NO_RESULTS]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def python(root: Path, folder: Path, *arguments: str) -> None:
    """Runs Python on the code below `root`, in `folder`; what it prints is shown where it fails."""
    env = {**os.environ, "PYTHONPATH": str(root / "src"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)[:200]}\n{done.stdout}{done.stderr}")


def tell(before: Mapping[str, str], after: Mapping[str, str]) -> int:
    """Prints what is the same and what is not."""
    kinds = sorted({Path(name).name for name in {*before, *after}})
    differing: list[str] = []
    for kind in kinds:
        names = sorted(name for name in {*before, *after} if Path(name).name == kind)
        other = [name for name in names if before.get(name) != after.get(name)]
        print(f"{kind:<32} {len(names) - len(other):>4} of {len(names)} the same")
        for name in other:
            print(f"    {'differs' if name in before and name in after else 'is in one of them only'}: {name}")
        differing += [name for name in other if name in before]  # what came since was no result before
    return int(any(Path(name).name in MUST_BE_SAME for name in differing))


if __name__ == "__main__":
    sys.exit(main())
