"""The run folder: where each file of a run lies, who may write there, and which steps are finished.

Owns the layout, the fingerprint and the journal of steps. Knows no model and no rule of the method: bytes are made
durable by `files.storage`, finished units of a step are kept by `files.units`, maps are written by `knowledge.map`.

    with open_run(path, fingerprint, config_yaml=text) as run:   # new, or goes on where it was
        if not run.is_done("probe-0"):
            write_map(probe(...), run.probe(0))
            run.mark_done("probe-0", [run.probe(0)])
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Literal

from gradual.errors import RunDirError
from gradual.facts.fact import Fact
from gradual.facts.problems import LEFT_OUT_FILE
from gradual.files import storage
from gradual.files.folder_guard import refuse_foreign_folder, refuse_other_fingerprint
from gradual.files.lock import Process, single_writer, this_process
from gradual.files.parquet import Column, read_table, write_table
from gradual.files.storage import Json
from gradual.files.typed_json import FilePart, read_typed
from gradual.files.units import UnitStore

_STEP_NAME = re.compile(r"[a-z][a-z_]*(-\d+)?")


RunStatus = Literal["running", "complete", "nothing_to_train"]
SeedStatus = RunStatus | Literal["missing"]
"""Of a run that a comparison asks for, which may not be there."""


_FACTS = (
    *(Column(name, "text") for name in ("id", "relation", "subject", "question", "split")),
    Column("answers", "texts"),
)
_TRANSFER = (Column("rewordings", "texts"), Column("reverse_of", "text"))
"""Only where a run asks for other forms: its file is else the same as before there were any."""


class RunInfo(FilePart):
    """`run.json`: what made a run, and how far it is."""

    gradual_version: str = ""
    fingerprint: dict[str, str] = {}
    status: RunStatus


class Attempt(Process):
    """A line of `attempts.log`."""

    absent_when_none = frozenset({"error"})

    event: str = ""
    """`started`, `ended` or `stopped`."""
    error: str | None = None
    """The class of what stopped it."""


class RunDir:
    """One run's folder: its paths and finished steps. `RunDir(path)` reads; `open_run` gives one to write in."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read or created."""
        self.path = path
        self.config = path / "config.yaml"
        self.info = path / "run.json"
        self.facts = path / "facts.parquet"
        self.left_out = path / LEFT_OUT_FILE
        self.summary = path / "summary.json"
        self.cost = path / "cost.json"
        self.report = path / "report.html"
        self.journal = path / "journal.jsonl"
        self.attempts = path / "attempts.log"
        self._is_writer = False
        self._verified: set[str] = set()

    def probe(self, index: int) -> Path:
        """Knowledge map of the training facts after stage `index`; 0 is the base model."""
        return self.path / "probes" / str(index)

    def evaluation(self, index: int) -> Path:
        """Knowledge map of the test facts after stage `index`; 0 is the base model."""
        return self.path / "evaluation" / str(index)

    @property
    def test_levels(self) -> Path:
        """Knowledge map of the test facts under the base model, with all exemplar sets: their levels at the start."""
        return self.path / "evaluation" / "levels"

    def ood_evaluation(self, index: int) -> Path:
        """Knowledge map of the facts of other relations after stage `index`."""
        return self.path / "evaluation" / f"ood-{index}"

    def zero_shot_evaluation(self, index: int) -> Path:
        """Knowledge map of the test facts, asked without shots, after stage `index`."""
        return self.path / "evaluation" / f"zero-shot-{index}"

    def transfer(self, form: str, index: int) -> Path:
        """Knowledge map of facts asked in another form than they are trained in (`form`), after stage `index`."""
        return self.path / "evaluation" / f"{form.replace('_', '-')}-{index}"

    @property
    def ood_levels(self) -> Path:
        """Knowledge map of the facts of other relations under the base model, with all exemplar sets."""
        return self.path / "evaluation" / "ood-levels"

    def drift(self, index: int) -> Path:
        """How far stage `index` has moved the model on what it was not trained on."""
        return self.path / "evaluation" / f"drift-{index}"

    def benchmarks(self, index: int) -> Path:
        """What the model after stage `index` scores on the tasks of `evaluation.lm_eval`; 0 is the base model."""
        return self.path / "evaluation" / f"lm-eval-{index}"

    def stage(self, index: int) -> Path:
        """Folder of training stage `index`, from 1."""
        return self.path / "stages" / str(index)

    def adapter(self, index: int) -> Path:
        """The adapter that stage `index` ended with, as a PEFT folder."""
        return self.stage(index) / "adapter"

    def checkpoints(self, index: int) -> Path:
        """Where stage `index` keeps what it needs to go on after a kill."""
        return self.stage(index) / "checkpoints"

    def selection(self, index: int) -> Path:
        """What stage `index` trains on, and why."""
        return self.stage(index) / "selection.parquet"

    def own_answers(self, index: int) -> Path:
        """What stage `index` is trained to say of what it is not to learn; there only where it has such an anchor."""
        return self.stage(index) / "own_answers.parquet"

    def epochs(self, index: int) -> Path:
        """One JSON line for each epoch of stage `index`."""
        return self.stage(index) / "epochs.jsonl"

    def times(self, index: int) -> Path:
        """What each epoch of stage `index` took, one JSON line for each time it was done; no result depends on it."""
        return self.stage(index) / "times.jsonl"

    def stage_summary(self, index: int) -> Path:
        """Counts of stage `index`."""
        return self.stage(index) / "stage.json"

    def units(self, step: str) -> UnitStore:
        """Store of the finished units of a step, bound to the fingerprint of the run.

        Raises:
            RunDirError: this is no run folder.
        """
        return UnitStore(self.path / "units" / _check_step_name(step), self.fingerprint)

    @property
    def fingerprint(self) -> dict[str, str]:
        """Everything that can change a result, by field.

        Raises:
            RunDirError: this is no run folder.
        """
        return self._read_info().fingerprint

    @property
    def status(self) -> RunStatus:
        """How far the run is; "running" also after a kill.

        Raises:
            RunDirError: this is no run folder.
        """
        return self._read_info().status

    def set_status(self, status: RunStatus) -> None:
        """Record how far the run is.

        Raises:
            RunDirError: the disk refused, or the run was opened for reading.
        """
        self._refuse_reader()
        storage.write_json(self.info, self._read_info().model_copy(update={"status": status}).as_json())

    def steps(self) -> tuple[str, ...]:
        """Names of the finished steps, in the order they were finished.

        Raises:
            RunDirError: a line of the journal is damaged.
        """
        return tuple(self._read_journal())

    def is_done(self, step: str) -> bool:
        """Whether a step is finished; the first time, the files it made are compared with their SHA-256.

        Raises:
            RunDirError: a line of the journal or a file of a finished step is damaged or missing.
        """
        files = self._read_journal().get(_check_step_name(step))
        if files is None:
            return False
        if step not in self._verified:
            for name, sha256 in files.items():
                self._verify(step, self.path / name, sha256)
            self._verified.add(step)
        return True

    def mark_done(self, step: str, results: Iterable[Path] = ()) -> None:
        """Record that a step is finished and made these files or folders; they are synced first.

        Name only what stays as it is: a later change counts as damage. Steps finished twice with the same files are
        recorded once.

        Raises:
            RunDirError: the disk refused, a file is missing or lies outside the run folder, the run was opened for
                reading, or the step is finished already with other files.
        """
        self._refuse_reader()
        files: dict[str, str] = {}
        for path in results:
            storage.make_durable(path)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    files[self._relative(file)] = storage.sha256_of_file(file)
        before = self._read_journal().get(_check_step_name(step))
        if before is not None and before != files:
            raise RunDirError(f"{self.journal}: step {step!r} is finished already with other files; use another --out")
        if before is None:
            record: dict[str, Json] = {"step": step, "files": files}
            storage.append_json_line(self.journal, record | {"check": _check(record)})
        self._verified.add(step)

    def take_over(self, other: RunDir, step: str, beside: Iterable[Path] = ()) -> None:
        """Record a finished step of another run as one of this: its files become files of both.

        Args:
            other: the run that finished the step; its files are compared with their SHA-256 first.
            step: a step that both runs would do in the same way; who calls must know that.
            beside: files of this run that belong to the step but to no result; left out where the other has none.

        Raises:
            RunDirError: the step is not finished there, a file of it is damaged, or the disk refused.
        """
        self._refuse_reader()
        if not other.is_done(step):
            raise RunDirError(f"{other.path}: expected the finished step {step!r}, found none")
        results = list(other._read_journal()[step])
        names = [self._relative(path) for path in beside]
        for name in [*results, *(name for name in names if (other.path / name).is_file())]:
            storage.link_file(other.path / name, self.path / name)
        self.mark_done(step, [self.path / name for name in results])

    def log_attempt(self, event: str, error: str | None = None) -> None:
        """Add a line with time, host and process to attempts.log, which no result depends on.

        Raises:
            RunDirError: the disk refused.
        """
        attempt = Attempt(event=event, error=error, **dict(this_process()))
        storage.append_json_line(self.attempts, attempt.as_json())

    def _read_info(self) -> RunInfo:
        if not self.info.is_file():
            raise RunDirError(
                f"{self.path} is no run folder ({self.info.name} is missing); expected the --out of a run"
            )
        return read_typed(self.info, RunInfo)

    def _read_journal(self) -> dict[str, dict[str, str]]:
        steps: dict[str, dict[str, str]] = {}
        for number, record in enumerate(storage.read_json_lines(self.journal), 1):
            check = record.pop("check", None)
            files = record.get("files")
            if check != _check(record) or not isinstance(files, Mapping):
                raise RunDirError(f"{self.journal}:{number} was changed or damaged; restore it from a copy")
            steps[str(record.get("step"))] = {name: str(sha256) for name, sha256 in files.items()}
        return steps

    def _verify(self, step: str, file: Path, sha256: str) -> None:
        if not file.is_file():
            problem = "is missing"
        elif storage.sha256_of_file(file) != sha256:
            problem = "was changed or damaged"
        else:
            return
        raise RunDirError(f"{file}, made by the finished step {step!r}, {problem}; restore it, or use another --out")

    def _relative(self, file: Path) -> str:
        try:
            return file.relative_to(self.path).as_posix()
        except ValueError:
            raise RunDirError(f"{file} should lie inside the run folder {self.path}") from None

    def _refuse_reader(self) -> None:
        if not self._is_writer:
            raise RunDirError(f"{self.path} was opened for reading; write inside `with open_run(...)`")


@contextmanager
def open_run(path: Path, fingerprint: Mapping[str, str], *, config_yaml: str) -> Iterator[RunDir]:
    """Create a run folder, or go on with the one that is there, as its only writer.

    Args:
        path: the folder.
        fingerprint: everything that can change a result, by field.
        config_yaml: the resolved settings, kept as config.yaml.

    Raises:
        RunDirError: another process writes there (it is named); the folder was made with another fingerprint (each
            field is named); it holds something else; or the disk refused.
    """
    refuse_foreign_folder(path, "run.json", "run")
    with single_writer(path):
        run = RunDir(path)
        if run.info.exists():
            refuse_other_fingerprint(path, run.fingerprint, dict(fingerprint))
        storage.write_text(run.config, config_yaml)
        if not run.info.exists():
            storage.write_json(run.info, _new_info(fingerprint).as_json())
        run._is_writer = True
        run.log_attempt("started")
        try:
            yield run
        except BaseException as error:
            with suppress(RunDirError):  # the first error says more
                run.log_attempt("stopped", type(error).__name__)
            raise
        else:
            run.log_attempt("ended")
        finally:
            run._is_writer = False


def _check_step_name(step: str) -> str:
    if not _STEP_NAME.fullmatch(step):
        raise RunDirError(f"step {step!r}: expected a name such as probe-0 or stage-1")
    return step


def _check(record: Mapping[str, Json]) -> str:
    return hashlib.sha256(storage.canonical_json(record).encode()).hexdigest()[:16]


def _new_info(fingerprint: Mapping[str, str]) -> RunInfo:
    try:
        version = metadata.version("gradual-learning")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return RunInfo(gradual_version=version, fingerprint=dict(fingerprint), status="running")


def write_facts(facts: Iterable[Fact], path: Path) -> None:
    """Keeps the facts of a run with their splits, in an order of their own, as a table.

    Raises:
        RunDirError: the disk refused.
    """
    rows = sorted(facts, key=lambda fact: (fact.split, fact.relation, fact.id))
    schema = (*_FACTS, *_TRANSFER) if any(row.rewordings or row.reverse_of for row in rows) else _FACTS
    write_table(path, schema, {column.name: [getattr(row, column.name) for row in rows] for column in schema})


def read_facts(path: Path) -> list[Fact]:
    """The facts of a run with their splits, in the order of the file.

    Raises:
        RunDirError: the file is missing or damaged, or lacks a column.
    """
    columns = read_table(path, _FACTS, optional=_TRANSFER)
    for name in {"answers", "rewordings"} & columns.keys():
        columns[name] = [tuple(texts) for texts in columns[name]]
    rows = zip(*columns.values(), strict=True)
    return [Fact(**dict(zip(columns, row, strict=True))) for row in rows]
