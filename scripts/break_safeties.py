"""Takes one safety at a time out of a copy of the package and shows that a test notices; prints a Markdown table.

    python scripts/break_safeties.py                 # all of them, some minutes on one core
    python scripts/break_safeties.py lock            # those whose name contains "lock"

A safety whose removal no test notices is not tested. Ends with 1 where there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
INSTANT = "tests/faults/test_any_instant.py::test_run_goes_on_from_every_state_it_can_be_left_in"
TRAINING = "tests/tiny/test_killed_training.py"
STORAGE = "tests/unit/files/test_storage.py"
RUN_FOLDER = "tests/unit/run/test_folder.py"


class Safety(NamedTuple):
    """A safety, where it stands in the source, what is put in its place, and the tests that should notice."""

    name: str
    module: str
    text: str
    broken: str
    tests: tuple[str, ...]


SAFETIES = (
    Safety(
        "a file is synced before it gets its name",
        "files/storage.py",
        "                _write_all(descriptor, data)\n                os.fsync(descriptor)\n",
        "                _write_all(descriptor, data)\n",
        (INSTANT,),
    ),
    Safety(
        "the folder is synced after a file got its name",
        "files/storage.py",
        "            raise\n        _sync_folder(path.parent)\n",
        "            raise\n",
        (INSTANT,),
    ),
    Safety(
        "a new folder's name is synced",
        "files/storage.py",
        "        os.mkdir(folder)\n        _sync_folder(folder.parent)\n",
        "        os.mkdir(folder)\n",
        (INSTANT,),
    ),
    Safety(
        "a file is written beside its place and then renamed",
        "files/storage.py",
        '    temporary = path.with_name(f".{path.name}.tmp")\n',
        "    temporary = path\n",
        (INSTANT,),
    ),
    Safety(
        "a line of the journal is synced",
        "files/storage.py",
        "                _write_all(descriptor, line)\n                os.fsync(descriptor)\n",
        "                _write_all(descriptor, line)\n",
        (INSTANT,),
    ),
    Safety(
        "the journal's own name is synced before its first line",
        "files/storage.py",
        "            if end == 0:  #",
        "            if False:  #",
        (INSTANT,),
    ),
    Safety(
        "a torn last line is cut off before the next is added",
        "files/storage.py",
        "            end = _end_of_last_line(descriptor, size)\n",
        "            end = size\n",
        (INSTANT,),
    ),
    Safety(
        "a torn last line is not read",
        "files/storage.py",
        '    *lines, _torn = read_bytes(path).split(b"\\n")\n',
        '    lines = read_bytes(path).removesuffix(b"\\n").split(b"\\n")\n',
        (INSTANT,),
    ),
    Safety(
        "what other libraries wrote is synced",
        "files/storage.py",
        '    with name_disk_errors("sync", path):\n        _sync_tree(path)\n',
        '    with name_disk_errors("sync", path):\n',
        (INSTANT,),
    ),
    Safety(
        "the name of the folder of checkpoints is synced",
        "training/checkpoints.py",
        "    storage.make_folder(checkpoint.parent)  #",
        "    #",
        (INSTANT,),
    ),
    Safety(
        "a refused disk stops the run",
        "files/storage.py",
        '        raise RunDirError(f"cannot {action} {path}: {error.strerror or error}; {remedy}") from error\n',
        "        pass\n",
        ("tests/faults/test_any_instant.py::test_disk_that_refuses_stops_the_run_and_loses_nothing",),
    ),
    Safety(
        "units left behind a finished map are removed",
        "run/pipeline.py",
        "            units.clear()  # left",
        "            pass  # left",
        (INSTANT,),
    ),
    Safety(
        "a damaged unit is noticed",
        "files/units.py",
        "        if digest != _unit_digest(path.name, unit):\n",
        "        if False:\n",
        ("tests/unit/files/test_units.py",),
    ),
    Safety(
        "units are bound to the fingerprint of the run",
        "files/units.py",
        'hashlib.sha256(self._fingerprint + b"\\0" + key.encode())',
        "hashlib.sha256(key.encode())",
        ("tests/unit/files/test_units.py",),
    ),
    Safety(
        "a changed result of a finished step is noticed",
        "run/folder.py",
        "                self._verify(step, self.path / name, sha256)\n",
        "                pass\n",
        (RUN_FOLDER,),
    ),
    Safety(
        "a changed line of the journal is noticed",
        "run/folder.py",
        "            if check != _check(record) or not isinstance(files, Mapping):\n",
        "            if not isinstance(files, Mapping):\n",
        (RUN_FOLDER,),
    ),
    Safety(
        "the lock",
        "files/lock.py",
        "                lock.acquire()\n",
        "                pass\n",
        ("tests/faults/test_one_writer.py",),
    ),
    Safety(
        "another fingerprint is refused",
        "run/folder.py",
        "            refuse_other_fingerprint(path, run.fingerprint, dict(fingerprint))\n",
        "            pass\n",
        (RUN_FOLDER,),
    ),
    Safety(
        "fingerprint: the settings",
        "run/checks.py",
        'return {f"config.{name}": json.dumps(value) for name, value in settings.items()} | model',
        "return model",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: the facts",
        "run/checks.py",
        '    data = {"facts.digest": run_facts.digest()}\n',
        "    data: dict[str, str] = {}\n",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: the subjects of facts",
        "facts/prepare.py",
        "[f.id, f.relation, f.subject, f.question",
        "[f.id, f.relation, f.question",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: what was left out of the facts",
        "facts/prepare.py",
        "[*rows, str(self.dropped_for_overlap), *skipped]",
        "rows",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: versions of what reads",
        "models/load.py",
        "        **{name: metadata.version(name) for name in _READING_PACKAGES},\n",
        "",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: versions of what trains and writes",
        "run/checks.py",
        "for name in _WRITING}",
        'for name in ("trl",)}',
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: gradual's own version",
        "models/load.py",
        '        "gradual": metadata.version("gradual-learning"),\n',
        "",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: the weights",
        "models/load.py",
        '        "weights": _weights_digest(source, settings.revision),\n',
        "",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "fingerprint: the tokenizer",
        "models/load.py",
        '        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],\n',
        "",
        ("tests/faults/test_fingerprint.py",),
    ),
    Safety(
        "a checkpoint counts once it is sealed",
        "training/checkpoints.py",
        "        if _is_intact(checkpoint):\n",
        "        if True:\n",
        (TRAINING, INSTANT),
    ),
    Safety(
        "a checkpoint is gone on from",
        "training/train.py",
        'ranks.share(last_checkpoint(folder / "checkpoints") if ranks.is_first else None)',
        "ranks.share(None)",
        (TRAINING,),
    ),
    Safety(
        "an archive that grows is no checkpoint",
        "training/checkpoints.py",
        "    return is_stored and sum(",
        "    return True or sum(",
        (f"{TRAINING}::test_sealed_state_that_is_no_archive_of_torch_is_not_gone_on_from",),
    ),
    Safety(
        "a pattern without end is refused",
        "models/checks.py",
        '    return None if last == "done" else patterns[int(last)]\n',
        "    return None\n",
        ("tests/unit/models/test_patterns.py",),
    ),
    Safety(
        "a stage that had stopped early does not train on",
        "training/train.py",
        '    return round(state["epoch"]) if has_stopped else None\n',
        "    return None\n",
        (TRAINING,),
    ),
    Safety(
        "random numbers of a stage come from its seed",
        "training/train.py",
        "    set_seed(seed)\n",
        "",
        (TRAINING,),
    ),
    Safety(
        "an adapter's settings are written in one order",
        "models/adapters.py",
        "            if isinstance(value, set):",
        "            if False:",
        ("tests/tiny/test_training.py",),
    ),
    Safety(
        "SIGTERM is an orderly end",
        "cli/exit_codes.py",
        "        raise _TerminationError\n",
        "        os._exit(1)\n",
        ("tests/faults/test_signals.py",),
    ),
    Safety(
        "text in the report is escaped",
        "reporting/page.py",
        "autoescape=True",
        "autoescape=False",
        ("tests/unit/reporting/test_run_page.py",),
    ),
    Safety(
        "a loss that is not a number stops the stage",
        "training/train.py",
        "        if not math.isfinite(value):\n",
        "        if False:\n",
        ("tests/tiny/test_training.py",),
    ),
    Safety(
        "logits that are not numbers stop the probe",
        "engines/next_tokens.py",
        "    if not bool(values[:, 0].isfinite().all()):\n",
        "    if False:\n",
        ("tests/tiny/test_transformers_engine.py",),
    ),
    Safety(
        "a pass that memory does not hold is done again with fewer tokens",
        "engines/tree_forest.py",
        "            self._tokens_per_pass //= 2\n",
        "            raise OutOfMemoryError\n",
        ("tests/tiny/test_out_of_memory.py",),
    ),
    Safety(
        "gradients of a step that memory did not hold are thrown away",
        "training/train.py",
        "            model.zero_grad()\n",
        "",
        ("tests/tiny/test_out_of_memory.py",),
    ),
)


def main() -> int:
    """Breaks the safeties whose name contains one of the arguments, all without arguments."""
    chosen = [each for each in SAFETIES if not sys.argv[1:] or any(word in each.name for word in sys.argv[1:])]
    missed = 0
    print("| without this safety | in | the suite | first test that fails |\n|---|---|---|---|", flush=True)
    for safety in chosen:
        failed = first_failure(safety)
        missed += failed is None
        says = f"fails | `{failed}`" if failed else "**passes** | "
        print(f"| {safety.name} | `{safety.module}` | {says} |", flush=True)
    print(f"\n{len(chosen) - missed} of {len(chosen)} removals are noticed.")
    return int(missed > 0)


def first_failure(safety: Safety) -> str | None:
    """The first test that fails without the safety; None where none does."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        module = source / "gradual" / safety.module
        text = module.read_text(encoding="utf-8")
        if text.count(safety.text) != 1:
            raise SystemExit(
                f"{safety.name}: expected its text once in {safety.module}, found {text.count(safety.text)}"
            )
        module.write_text(text.replace(safety.text, safety.broken), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", "--no-header", "--tb=no", *safety.tests],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    lines = (line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    failures = [line.partition(" ")[2].partition(" - ")[0] for line in lines]
    if done.returncode not in (0, 1) or (done.returncode == 1 and not failures):
        raise SystemExit(f"{safety.name}: the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failures[0].partition("::")[2] if failures else None


if __name__ == "__main__":
    sys.exit(main())
