"""The whole method: probe, train on what is half known, probe again, train on what came within reach, evaluate.

Each step reads the run folder and writes into it, and a finished step is never done again. Knows the order of the
steps; how each is done is known below (`probing`, `training`, `selection`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gradual.config.base import flat_settings
from gradual.config.run import ProbeConfig, RunConfig, evaluation_settings
from gradual.config.stage import StageConfig
from gradual.config.yaml_file import dump_config
from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
from gradual.facts.fact import Fact
from gradual.facts.prepare import Prepared
from gradual.files import storage
from gradual.files.parquet import Column, write_table
from gradual.knowledge.map import COST_FILE, write_map
from gradual.models.adapters import with_adapter
from gradual.models.load import LoadedModel, load_model
from gradual.probing.own_answers import OwnAnswer
from gradual.probing.probe import probe_facts
from gradual.progress import Progress, Silent
from gradual.run.anchors import (
    Place,
    anchor_counts,
    anchor_warnings,
    anchored,
    own_answers,
    own_answers_path,
    stage_facts,
)
from gradual.run.folder import RunDir, RunStatus, open_run
from gradual.run.stages import (
    fact_states,
    in_epochs,
    known_ids,
    select_for_stage,
    stage_weights,
    training_rows,
    warm_up_warning,
    write_selection,
)
from gradual.run.summary import summarise, taken
from gradual.selection.strategies import Selection
from gradual.training.epochs import EpochRecord, Score
from gradual.training.rows import TrainingRows
from gradual.training.train import StageResult, check_training, train_stage

_FACTS = (
    *(Column(name, "text") for name in ("id", "relation", "subject", "question", "split")),
    Column("answers", "texts"),
)
_WRITING = ("accelerate", "peft", "pyarrow", "safetensors", "trl")
"""Packages that train and that write results, besides those that the model's fingerprint names. Not datasets: it hands
on the numbers of steps, and facts that it has read are in the digest. Nor pydantic: settings are in as read."""
PAPER_WARNING = "warning: evaluation.protocol is paper: test facts choose the epochs, so their scores flatter"
_ANY_TOLERANCE = 1.0
"""Bounds of probabilities may stay as wide as they come."""


def fit(config: RunConfig, prepared: Prepared, out: str | Path, *, progress: Progress | None = None) -> RunDir:
    """Makes or continues the run of `prepared` facts in folder `out`; finished steps are taken as they are.

    A run without MaybeKnown facts to train on ends in order, with its map and status `nothing_to_train`.

    Raises:
        ConfigError, DataError, ModelError: the settings, facts or model cannot be used (before anything is computed).
        RunDirError: the folder belongs to another process or to a run with other settings.
        TrainingError: a loss is not a number.
    """
    progress = progress or Silent()
    for warning in prepared.warnings:
        progress.say(f"warning: {warning}")
    if config.evaluation.protocol == "paper":
        progress.say(PAPER_WARNING)
    progress.say(f"loading {config.model.name_or_path} (GGUF weights are converted the first time)")
    loaded = load_model(config.model)
    for warning in reading_warnings(loaded):
        progress.say(f"warning: {warning}")
    check_training(loaded, config.lora, config.report_to)
    return fit_loaded(config, prepared, loaded, Path(out), progress=progress)


def fit_loaded(
    config: RunConfig,
    prepared: Prepared,
    loaded: LoadedModel,
    out: Path,
    *,
    progress: Progress,
    before: Callable[[RunDir], None] = lambda run: None,
) -> RunDir:
    """The same with a model that is loaded and checked already; `before` may take over finished steps of other runs."""
    fingerprint = run_fingerprint(config, prepared, loaded)
    with open_run(out, fingerprint, config_yaml=dump_config(config)) as run:
        before(run)
        _Fit(run, config, prepared, loaded, progress).all_steps()
    return run


def run_fingerprint(config: RunConfig, prepared: Prepared, loaded: LoadedModel) -> dict[str, str]:
    """Everything that can change a result of a run, by field: settings one by one, facts, model, library versions."""
    settings = flat_settings(config, leave_out=("report_to", "compare"))
    model = {f"model.{name}": value for name, value in loaded.fingerprint.items()}
    versions = {f"version.{name}": metadata.version(name) for name in _WRITING}
    data = {"facts.digest": prepared.digest()}
    return {f"config.{name}": json.dumps(value) for name, value in settings.items()} | model | versions | data


class _Fit:
    """One call of `fit`: the steps of a run, in order."""

    def __init__(
        self, run: RunDir, config: RunConfig, prepared: Prepared, loaded: LoadedModel, progress: Progress
    ) -> None:
        self.run = run
        self.config = config
        self.prepared = prepared
        self.loaded = loaded
        self.progress = progress
        self.evaluation = evaluation_settings(config)

    def all_steps(self) -> None:
        """Does what is left of the run."""
        self._write_facts()
        self._measure(0)
        # Of test facts only the level at the start is told, never a probability.
        levels = self.config.probe.model_copy(update={"levels_only": True})
        self._probe("levels", self.run.test_levels, self.prepared.test, levels, None, self.config.seed_of_exemplars)
        status: RunStatus = "complete"
        for index, stage in enumerate(self.config.stages, start=1):
            if not self._train(index, stage):
                status = "nothing_to_train"
                break
            self._measure(index)
        numbers = summarise(self.run, flat_settings(self.config), self.prepared.warnings)
        storage.write_json(self.run.cost, taken(self.run))
        storage.write_json(self.run.summary, numbers | {"dropped_for_overlap": self.prepared.dropped_for_overlap})
        self.run.set_status(status)

    def _write_facts(self) -> None:
        if self.run.is_done("facts"):
            return
        write_facts(self.prepared.all_facts(), self.run.facts)
        self.run.mark_done("facts", [self.run.facts])

    def _measure(self, index: int) -> None:
        """Probes the training facts after stage `index` and evaluates the test facts."""
        adapter = self.run.adapter(index) if index else None
        self._probe(
            f"probe-{index}",
            self.run.probe(index),
            self.prepared.train,
            self.config.probe,
            adapter,
            self.config.seed_of_exemplars,
        )
        seed = self.config.evaluation.exemplar_seed
        self._probe(
            f"evaluation-{index}", self.run.evaluation(index), self.prepared.test, self.evaluation, adapter, seed
        )
        if self.prepared.out_of_distribution:
            others = self.prepared.out_of_distribution
            self._probe(f"ood-{index}", self.run.ood_evaluation(index), others, self.evaluation, adapter, seed)
        if self.config.evaluation.zero_shot:
            # Verdicts only: bare questions are answered at length, and the answers would be written out to the end.
            changes = {"num_shots": 0, "greedy_answers": "none", "tolerance": _ANY_TOLERANCE}
            settings, folder = self.evaluation.model_copy(update=changes), self.run.zero_shot_evaluation(index)
            self._probe(f"zero_shot-{index}", folder, self.prepared.test, settings, adapter, seed)

    def _probe(
        self, step: str, folder: Path, facts: Sequence[Fact], settings: ProbeConfig, adapter: Path | None, seed: int
    ) -> None:
        """Makes a knowledge map, unless it is there; finished units of an interrupted one are kept."""
        units = self.run.units(step)
        if self.run.is_done(step):
            units.clear()  # left where a kill came between the map and this
            return
        with with_adapter(self.loaded, adapter) as loaded, self.progress.bar(step, len(facts), "facts") as advance:
            engine = TransformersEngine(loaded)
            known = probe_facts(
                facts, self.prepared.exemplars, engine, settings, seed=seed, units=units, progress=advance
            )
        write_map(known, folder)
        self.run.mark_done(step, sorted(path for path in folder.iterdir() if path.name != COST_FILE))
        units.clear()

    def _train(self, index: int, stage: StageConfig) -> bool:
        """Trains a stage, unless it is done; False if there is nothing to train on."""
        step = f"stage-{index}"
        if self.run.is_done(step):
            storage.remove(self.run.checkpoints(index))
            return True
        states = fact_states(self.run, index)
        selection = select_for_stage(states, stage, seed=self.config.seed_of_training, index=index)
        write_selection(selection, self.run.selection(index))
        if selection.new_shortfall:
            self.progress.say(f"stage {index}: {selection.new_shortfall} facts fewer than the size asked for")
        for told in anchor_warnings(selection, stage):
            self.progress.say(f"warning: stage {index}: {told}")
        if not selection.num_new and not selection.num_abstain:
            self.progress.say(f"stage {index}: no fact matches `{selection.strategy.select}`; the run ends here")
            return False
        engine = TransformersEngine(self.loaded)
        style = engine.prompt_style(self.config.probe.prompt_style)
        facts = stage_facts(selection, self.prepared.train, stage, style)
        at_end = known_ids(selection) if stage.placement == "end" else frozenset()
        weights = stage_weights(states, selection, stage)
        self._tell_weights(index, stage, weights)
        rows = training_rows(facts, stage, self.prepared.exemplars, engine, self.config, at_end=at_end, weights=weights)
        stage = in_epochs(stage, rows)
        rows = anchored(rows, selection, stage, lambda rows, ids: self._own_answers(index, stage, rows, ids, engine))
        num_steps = rows.steps_per_epoch * stage.num_train_epochs
        if told := warm_up_warning(stage, num_steps):
            self.progress.say(f"warning: stage {index}: {told}")
        with self.progress.bar(step, num_steps, "steps") as advance:
            result = train_stage(
                self.loaded,
                rows,
                stage,
                lora=self.config.lora,
                start_adapter=self.run.adapter(index - 1) if index > 1 else None,
                folder=self.run.stage(index),
                score=self._score,
                seed=self.config.seed_of_training,
                report_to=self.config.report_to,
                on_step=lambda: advance(1),
                on_epoch=lambda record: self._note_epoch(index, record),
            )
        self._finish_stage(index, stage, selection, result)
        return True

    def _own_answers(
        self, index: int, stage: StageConfig, rows: TrainingRows, ids: frozenset[str], engine: TransformersEngine
    ) -> dict[Place, OwnAnswer]:
        """What the base model says of some facts, for every epoch of a stage."""
        per_epoch = stage.anchor.per_epoch if stage.anchor is not None else 1
        total = len(ids) * stage.num_train_epochs * per_epoch
        with self.progress.bar(f"own-answers-{index}", total, "answers") as advance:
            return own_answers(
                own_answers_path(self.run, index),
                rows,
                ids,
                stage,
                engine,
                max_new_tokens=self.config.probe.max_new_tokens,
                seed=f"{self.config.seed_of_training}/stage-{index}/own-answers",
                progress=advance,
            )

    def _tell_weights(self, index: int, stage: StageConfig, weights: Mapping[str, float]) -> None:
        num_without = sum(weight == 0.0 for weight in weights.values())
        if num_without:
            self.progress.say(
                f"warning: stage {index}: {num_without} of {len(weights)} facts have weight 0 by weighting "
                f"{stage.weighting}; nothing is learnt from them"
            )

    def _note_epoch(self, index: int, record: EpochRecord) -> None:
        """Keeps an epoch's numbers at once: an interrupted stage goes on behind them."""
        storage.append_json_line(self.run.times(index), record.taken())
        storage.append_json_line(self.run.epochs(index), record.made())
        loss = "" if record.loss is None else f"loss {record.loss:.3f}, "
        facts = "validation" if self.config.evaluation.protocol == "validation" else "test"
        self.progress.say(f"stage {index}, epoch {record.epoch}: {loss}{facts} accuracy {record.eval_accuracy:.3f}")

    def _score(self, model: Any) -> Score:
        """How a model does on the facts that choose the best epoch."""
        engine = TransformersEngine(
            LoadedModel(model, self.loaded.tokenizer, self.loaded.source, self.loaded.fingerprint)
        )
        validation = self._accuracy(self.prepared.validation, engine)
        if self.config.evaluation.protocol == "validation":
            return validation
        on_test = self._accuracy(self.prepared.test, engine)
        return on_test._replace(verdicts=validation.verdicts, validation_accuracy=validation.accuracy)

    def _accuracy(self, facts: Sequence[Fact], engine: TransformersEngine) -> Score:
        """Greedy accuracy on some facts, under the fixed exemplar set."""
        # Greedy verdicts only: bounds may stay as wide as they come, and wrong answers are read by nobody.
        settings = self.evaluation.model_copy(update={"tolerance": _ANY_TOLERANCE, "greedy_answers": "none"})
        known = probe_facts(facts, self.prepared.exemplars, engine, settings, seed=self.config.evaluation.exemplar_seed)
        right = {fact.id: fact.sets[0].greedy_correct for fact in known}
        return Score(
            accuracy=sum(right.values()) / len(known),
            p=sum(fact.sets[0].p_lower for fact in known) / len(known),
            verdicts="".join(str(int(right[fact])) for fact in sorted(right)),
        )

    def _finish_stage(self, index: int, stage: StageConfig, selection: Selection, result: StageResult) -> None:
        noted = storage.read_json_lines(self.run.epochs(index))
        epochs = list({epoch["epoch"]: epoch for epoch in noted}.values())  # an epoch done twice counts as done last
        storage.write_text(self.run.epochs(index), "".join(f"{storage.canonical_json(epoch)}\n" for epoch in epochs))
        totals = {name: sum(_number(epoch[name]) for epoch in epochs) for name in ("tokens", "steps")}
        accuracy = {epoch["epoch"]: _number(epoch["eval_accuracy"]) for epoch in epochs}
        is_improved = accuracy[result.best_epoch] > accuracy[0]
        if not is_improved:
            self.progress.say(
                f"stage {index}: the epoch kept is no better than before on the facts it is scored on; see epochs.jsonl"
            )
        storage.write_json(
            self.run.stage_summary(index),
            {
                "strategy": selection.strategy.name,
                "select": selection.strategy.select,
                "num_new": selection.num_new,
                "num_replay": selection.num_replay,
                "replay_wanted": selection.replay_wanted,
                "replay_shortfall": selection.replay_shortfall,
                "new_shortfall": selection.new_shortfall,
                "promoted_trained": selection.num_promoted,
                "unknown_left_out": selection.num_left_out,
                **anchor_counts(selection, stage),
                "best_epoch": result.best_epoch,
                "stopped_early": result.stopped_early,
                "improved": is_improved,
                **totals,
                **self._optimism(index, stage, epochs, result.best_epoch),
            },
        )
        adapter = sorted(path for path in self.run.adapter(index).rglob("*") if path.is_file())
        drawn = [path] if (path := own_answers_path(self.run, index)).is_file() else []
        made = [self.run.selection(index), *drawn, self.run.epochs(index), self.run.stage_summary(index), *adapter]
        self.run.mark_done(f"stage-{index}", made)
        storage.remove(self.run.checkpoints(index))

    def _optimism(
        self, index: int, stage: StageConfig, epochs: Sequence[Mapping[str, object]], best: int
    ) -> dict[str, float]:
        """By how much choosing the epoch on the test facts flatters: against the epoch that validation facts choose."""
        if self.config.evaluation.protocol == "validation" or stage.keep_epoch != "best_accuracy":
            return {}
        on_test = {epoch["epoch"]: _number(epoch["eval_accuracy"]) for epoch in epochs}
        chosen = max(epochs, key=lambda epoch: _number(epoch["validation_accuracy"]))["epoch"]
        optimism = on_test[best] - on_test[chosen]
        self.progress.say(
            f"stage {index}: the best epoch ({best}) was chosen on the test facts, as in the paper; validation facts "
            f"choose epoch {chosen}, with {optimism:.1%} less test accuracy"
        )
        return {"optimism": optimism}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def write_facts(facts: Iterable[Fact], path: Path) -> None:
    """Keeps the facts of a run with their splits, in an order of their own, as a table."""
    rows = sorted(facts, key=lambda fact: (fact.split, fact.relation, fact.id))
    columns: dict[str, list[object]] = {column.name: [getattr(row, column.name) for row in rows] for column in _FACTS}
    write_table(path, _FACTS, columns)
