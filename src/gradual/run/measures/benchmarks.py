"""What a model scores on other people's tasks, by EleutherAI's lm-evaluation-harness: what training costs elsewhere.

Owns `lm-eval.json`. How a task asks and scores is the harness's; nothing of it is loaded unless a run names tasks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradual.config.run import EvaluationConfig, RunConfig
from gradual.errors import ConfigError, ProbeError
from gradual.files import storage
from gradual.files.typed_json import FilePart, read_typed_if_there
from gradual.knowledge.map import Cost
from gradual.run.folder import RunDir
from gradual.run.measures.result_file import write_with_cost
from gradual.text import did_you_mean, join_words

if TYPE_CHECKING:
    from gradual.models.load import LoadedModel

SCORES_FILE = "lm-eval.json"
_BATCH = 8
"""Requests read at once; fewer where memory does not hold them."""
_SEED = 1234
"""What the harness's command line begins from, for shots that are drawn and answers that are sampled."""


class TaskScore(FilePart):
    """One number of one task, as the harness gives it."""

    task: str
    metric: str
    """With the harness's filter behind a comma where it has a name, such as `exact_match,strict-match`."""
    value: float
    standard_error: float | None = None
    """None where the harness gives none."""
    higher_is_better: bool | None = None
    num_examples: int | None = None
    """None for a group of tasks."""


class ScoresFile(FilePart):
    """`lm-eval.json`: the scores of one model."""

    scores: list[TaskScore] = []


def check_benchmarks(config: RunConfig) -> None:
    """Finds out whether the tasks of `evaluation.lm_eval` and their data are there, before anything is computed.

    Raises:
        ConfigError: a task is unknown, its data cannot be read, or it would run code that nobody has allowed.
    """
    evaluation = config.evaluation
    if not evaluation.lm_eval:
        return
    folder = evaluation.lm_eval_tasks
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"evaluation.lm_eval_tasks: expected a folder with tasks (YAML), found none at {folder}")
    if folder is not None and not config.model.trust_remote_code:
        raise ConfigError(
            f"evaluation.lm_eval_tasks: tasks are code, their templates too, and reading those in {folder} runs it - "
            "give --trust-remote-code if you trust them and the model"
        )
    for name, task in _load_tasks(evaluation)["tasks"].items():
        if getattr(task, "UNSAFE_CODE", False):
            raise ConfigError(
                f"evaluation.lm_eval: {name} runs what the model writes as code - score it by lm_eval's own command "
                "line, in a container"
            )


def benchmark_fingerprint(evaluation: EvaluationConfig) -> dict[str, str]:
    """What changes scores beside the settings, by field: the harness's version, the files of one's own tasks."""
    if not evaluation.lm_eval:
        return {}
    found = {"version.lm_eval": metadata.version("lm_eval")}
    if evaluation.lm_eval_tasks is not None:
        folder = Path(evaluation.lm_eval_tasks)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        names = [f"{path.relative_to(folder)} {storage.sha256_of_file(path)}" for path in files]
        found["lm_eval_tasks.digest"] = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    return found


def score_benchmarks(evaluation: EvaluationConfig, loaded: LoadedModel) -> tuple[ScoresFile, Cost]:
    """What a model, with its adapter if it has one, scores on the tasks of `evaluation.lm_eval`, and the time it took.

    Raises:
        ConfigError: a task cannot be loaded any more.
        ProbeError: a single request does not fit into memory.
    """
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from transformers import set_seed

    from gradual.models.memory import free_memory, is_out_of_memory

    started, batch = time.perf_counter(), _BATCH
    while batch:
        tasks = _load_tasks(evaluation)
        for task in tasks["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=_SEED)
        set_seed(_SEED)
        try:
            reader = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch)
            results = lm_eval.evaluate(lm=reader, task_dict=tasks, limit=evaluation.lm_eval_limit, log_samples=False)
            return ScoresFile(scores=scores_of(results)), Cost(seconds=time.perf_counter() - started)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        free_memory()
        batch //= 2
    raise ProbeError(
        "evaluation.lm_eval: a single request of these tasks does not fit into memory - leave the tasks out, or score "
        "them on a larger device by lm_eval's own command line"
    )


def scores_of(results: Mapping[str, Any]) -> list[TaskScore]:
    """The numbers of the harness's results, in its order; tasks whose group has a number of its own are left out."""
    groups, by_task = results.get("group_subtasks", {}), results["results"]
    inside = {name for group, names in groups.items() if _metrics(by_task.get(group, {})) for name in names}
    scores: list[TaskScore] = []
    for task, values in by_task.items():
        for metric, name in _metrics(values) if task not in inside else ():
            error = values.get(f"{metric}_stderr,{name}")
            scores.append(
                TaskScore(
                    task=task,
                    metric=metric if name == "none" else f"{metric},{name}",
                    value=float(values[f"{metric},{name}"]),
                    standard_error=float(error) if isinstance(error, int | float) else None,
                    higher_is_better=results.get("higher_is_better", {}).get(task, {}).get(metric),
                    num_examples=results.get("n-samples", {}).get(task, {}).get("effective"),
                )
            )
    return scores


def write_scores(run: RunDir, stage: int, found: ScoresFile, cost: Cost) -> None:
    """Keeps what the model after a stage scored, and what it took beside it.

    Raises:
        RunDirError: the disk refused.
    """
    write_with_cost(run.benchmarks(stage) / SCORES_FILE, found, cost)


def read_scores(run: RunDir, stage: int) -> ScoresFile | None:
    """What the model after a stage scored, 0 for the base model; None where it was not asked.

    Raises:
        RunDirError: the file is damaged.
    """
    return read_typed_if_there(run.benchmarks(stage) / SCORES_FILE, ScoresFile)


def _metrics(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Metric and filter of each number, without its standard error."""
    names = [tuple(key.split(",", 1)) for key, value in values.items() if "," in key and isinstance(value, int | float)]
    return [(metric, name) for metric, name in names if not metric.endswith("_stderr")]


def _load_tasks(evaluation: EvaluationConfig) -> dict[str, Any]:
    """The tasks and groups by name, with their data.

    The harness's own thousands of tasks are looked through only where the folder lacks one: that takes seconds.
    """
    import logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.tasks import TaskManager

    folder, names = evaluation.lm_eval_tasks, evaluation.lm_eval
    if folder is not None:
        manager = TaskManager(include_path=folder, include_defaults=False)
        if set(names) <= set(manager.all_subtasks):
            return _load(manager, names)
    manager = TaskManager(include_path=folder)
    if unknown := [name for name in names if name not in manager.all_tasks]:
        raise ConfigError(
            f"evaluation.lm_eval: expected tasks of lm-evaluation-harness, found {join_words(unknown)}"
            f"{did_you_mean(unknown[0], manager.all_tasks)} - `lm_eval ls tasks` lists them"
        )
    return _load(manager, names)


def _load(manager: Any, names: Sequence[str]) -> dict[str, Any]:
    try:
        tasks: dict[str, Any] = manager.load(list(names))
    except Exception as error:
        found = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"evaluation.lm_eval: expected {join_words(list(names))} with the data, found that they cannot be loaded "
            f"({type(error).__name__}: {found}) - --online fetches the data"
        ) from error
    return tasks
