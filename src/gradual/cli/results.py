"""What a command shows at its end: tables and lines for people, and values for `--json`.

Says what is shown and in which order; tables are built in `reporting` and printed by `console`.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from gradual.comparison.arms import ARMS
from gradual.errors import ConfigError
from gradual.files import storage
from gradual.files.storage import Json
from gradual.knowledge.diff import MapDiff
from gradual.knowledge.levels import Level
from gradual.progress import warning_line
from gradual.reporting.cells import NOTHING, number_cell, text_cell, time_cell
from gradual.reporting.level_tables import levels_table, transition_table
from gradual.reporting.run_story import tell
from gradual.reporting.run_tables import (
    accuracy_table,
    answer_quality_table,
    highly_known_moves_table,
    highly_known_table,
    paired_tests_table,
    refusals_table,
)
from gradual.reporting.run_transfer import benchmarks_table, bystanders_table, drift_table, transfer_table
from gradual.reporting.table import Cell, Table, make_table
from gradual.reporting.tuning import tuning_sentences, tuning_table
from gradual.run.cost import StageCost
from gradual.run.folder import RunDir
from gradual.run.record import RunRecord, read_run
from gradual.run.summary.summary_file import StageSummary
from gradual.selection.strategies import STRATEGIES
from gradual.text import (
    NBSP,
    NO_VALUE,
    count,
    decimal,
    did_you_mean,
    duration,
    plural,
    points_estimate,
    span_name,
    stage_name,
    visible,
)
from gradual.tuning.ladder import Goal
from gradual.tuning.record import TuningFile

if TYPE_CHECKING:
    from gradual.asking.asker import AskedQuestion
    from gradual.comparison.estimate import ComparisonEstimate
    from gradual.knowledge.map import KnowledgeMap
    from gradual.run.planning.plan import RunPlan

_MOST_IDS = 20
_MOST_TOKENS = 40
"""Of a training example: the end of it, with the last shot, the question and the answer."""


def map_parts(known: KnowledgeMap) -> Iterator[Table | str]:
    """The levels of one map and its two means."""
    yield levels_table([known.levels()], ["facts"])
    ties = sum(fact.near_tie for fact in known)
    yield (
        f"mean p_greedy {mean_of(known, 'p_greedy'):.4f}, mean p_sampled {mean_of(known, 'p_sampled'):.4f}; "
        f"{plural(ties, 'fact')} with a near tie; {duration(known.info.cost.seconds)}"
    )
    if known.info.noise:
        yield f"the server's log-probabilities differ by up to {known.info.noise:.2g} from one request to the next"
    if num_open := number_of_open(known):
        widest = max(each.p_upper - each.p_lower for fact in known for each in fact.sets)
        yield (
            f"{plural(num_open, 'fact')} with an open level, counted as {Level.UNKNOWN}: the server tells too few "
            f"log-probabilities (bounds of p are up to {widest:.3f} wide); gradual show says which levels are possible"
        )


def number_of_open(known: KnowledgeMap) -> int:
    """How many facts have a level that their bounds leave open."""
    return sum(known.open_levels(fact.id) is not None for fact in known)


def mean_of(known: KnowledgeMap, name: str) -> float:
    """Mean over all facts of `p_greedy` or `p_sampled`, in [0, 1]; 0 for a map without facts."""
    values: list[float] = [getattr(fact, name) for fact in known]
    return sum(values) / len(values) if values else 0.0


def map_result(known: KnowledgeMap, out: Path, *, with_check: bool) -> dict[str, Json]:
    """What `gradual probe --json` prints; the seconds are those that the map took when it was made."""
    from gradual.probing.folder import read_check

    result: dict[str, Json] = {
        "levels": {str(level): number for level, number in known.levels().items()},
        "num_facts": len(known),
        "num_open": number_of_open(known),
        "p_greedy": mean_of(known, "p_greedy"),
        "p_sampled": mean_of(known, "p_sampled"),
        "seconds": known.info.cost.seconds,
        "out": str(out),
    }
    return result | ({"check": read_check(out).as_json()} if with_check else {})


def run_parts(run: RunRecord) -> Iterator[Table | str]:
    """All that is shown of a run: what it did, levels, transitions, the test, the gain, and what happened in words."""
    summary = run.summary
    yield from (
        stage_line(number, stage, run.stage_cost(number)) for number, stage in enumerate(summary.stages, start=1)
    )
    if summary.levels:
        names = [stage_name(probe) for probe in range(len(summary.levels))]
        yield levels_table(summary.levels, names, title="Levels of the training facts")
    for moved in summary.transitions:
        title = f"Where facts went, {span_name(moved.start, moved.end)} (shares of each row)"
        yield transition_table(moved.counts, title)
    tests = (accuracy_table, paired_tests_table, answer_quality_table, refusals_table)
    beyond = (transfer_table, bystanders_table, drift_table, benchmarks_table)
    builders = (*tests, highly_known_moves_table, highly_known_table, *beyond)
    yield from (table for build in builders if (table := build(summary)).rows)
    gain = summary.highly_known
    if len(gain.counts) > 2:
        yield f"stage 2 over stage 1, reading (a) HK2 / HK1 - 1: {_reading_text(gain.reading_a)}"
        yield f"stage 2 over stage 1, reading (b) (HK2 - HK0) / (HK1 - HK0) - 1: {_reading_text(gain.reading_b)}"
    yield from (f"not there: {text}" for text in run.missing)
    yield ""
    yield from (f"* {sentence}" for sentence in tell(run))


def goal_of(name: str) -> Goal:
    """The goal of that name.

    Raises:
        ConfigError: there is none.
    """
    names = get_args(Goal)
    if name not in names:
        hint = did_you_mean(name, names) or f"; expected one of {', '.join(names)}"
        raise ConfigError(f'--goal: unknown goal "{name}"{hint}')
    goal: Goal = name  # type: ignore[assignment]
    return goal


def tuning_parts(found: TuningFile, out: Path) -> Iterator[Table | str]:
    """What tuning tried and chose, and how its choice did on the test."""
    yield tuning_table(found)
    yield ""
    yield from tuning_sentences(found)
    yield from run_parts(read_run(out))


def tuning_result(found: TuningFile, out: Path) -> dict[str, Json]:
    """What `gradual tune --json` prints."""
    return {"tuning": found.as_json(), "summary": storage.read_json(RunDir(out).summary)}


def diff_parts(diff: MapDiff) -> Iterator[Table | str]:
    """All that is shown of two maps compared."""
    yield from (warning_line(text) for text in diff.warnings)
    yield (
        f"{plural(diff.num_facts, 'fact')} in both maps, {diff.only_in_a} only in the first, "
        f"{diff.only_in_b} only in the second"
    )
    yield levels_table(diff.levels, ["first", "second"], title="Levels of the facts in both")
    yield transition_table(diff.transitions, "Where facts went, from first to second (shares of each row)")
    for name, moves in (("promoted", diff.promoted), ("demoted", diff.demoted)):
        yield f"{name}: {plural(len(moves), 'fact')}"
        yield from (f"  {visible(move.id)}: {move.before} -> {move.after}" for move in moves[:_MOST_IDS])
        if len(moves) > _MOST_IDS:
            yield f"  and {len(moves) - _MOST_IDS} more; --json lists them all"


def asked_table(asked: AskedQuestion) -> Table:
    """A question's answers, a row for each model that was asked."""
    rows = []
    for each in asked.answers:
        said = each.said
        judged = {True: "right", False: "wrong", None: f"{said.level_if_right} if right"}[each.is_right]
        others = ", ".join(f"{visible(other.answer) or NO_VALUE} {other.num_sets}" for other in said.others)
        sets = f"{said.num_same} of {said.num_sets}"
        as_sure = NOTHING
        if each.as_sure is not None:
            number, total = each.as_sure
            as_sure = Cell(f"{number} of {total}", {"": number, "total": total})
        rows.append(
            [
                text_cell(stage_name(each.stage)),
                Cell(visible(said.answer) or NO_VALUE, {"": said.answer}, f"(else {others})" if others else ""),
                Cell(sets, {"": said.num_same, "total": said.num_sets}),
                Cell(decimal(said.confidence), {"": said.confidence}),
                text_cell(f"{said.verdict}, {judged}"),
                as_sure,
            ]
        )
    shots = f"Behind shots of {visible(asked.relation)}." if asked.relation else "Without shots."
    targets = f" Targets: {' / '.join(map(visible, asked.targets))}." if asked.targets else ""
    columns = ["", "answer", "exemplar sets", "confidence", "verdict", "test answers as sure: right"]
    return make_table("question", asked.question, columns, rows, shots + targets)


def plan_parts(plan: RunPlan) -> Iterator[Table | str]:
    """What a run would do."""
    counts, levels = (
        ", ".join(f"{name} {count(number)}" for name, number in each.items()) for each in (plan.num_facts, plan.levels)
    )
    yield f"model: {plan.model}"
    yield f"facts: {counts}; {count(plan.dropped_for_overlap)} dropped because they link training with held-out facts"
    yield f"levels: {levels} (of {plan.levels_of})"
    yield from (f"read: {remark}" for remark in plan.remarks)
    yield from (warning_line(text) for text in plan.warnings)
    yield "\nA prompt of the probe, byte for byte:"
    yield from (f"  | {line}" for line in plan.probe_prompt.split("\n"))
    yield "\nA training example, token by token; only tokens marked * carry loss:"
    for token in plan.training_example[-_MOST_TOKENS:]:
        yield f"  {'*' if token.has_loss else ' '} {token.token:>7}  {token.text!r}"
    for stage in plan.stages:
        yield f"\n{stage.name}: selects {stage.select}; replays {stage.replay}"
        yield from (f"  {option}" for option in stage.options)
    rows = [
        [
            text_cell(stage.name),
            Cell(f"{'about ' if stage.is_estimate else ''}{count(stage.num_facts)}", {"": stage.num_facts}),
            *(number_cell(stage.max_steps), number_cell(stage.max_tokens), time_cell(stage.max_seconds)),
        ]
        for stage in plan.stages
    ]
    rows.append([text_cell("probes"), NOTHING, NOTHING, number_cell(plan.probe_tokens), time_cell(plan.probe_seconds)])
    note = "At most: a stage that stops early takes less."
    yield make_table("plan", "Work", ["", "facts", "steps", "tokens", "time"], rows, note)
    total = duration(plan.probe_seconds + plan.training_seconds)
    yield f"in all about {total}, {plan.disk_bytes / 1e6:.0f} MB of disk"
    if plan.memory is not None:
        yield from plan.memory.lines()


def estimate_parts(estimate: ComparisonEstimate) -> Iterator[Table | str]:
    """How long a comparison would take."""
    rows = [[text_cell("once for all"), NOTHING, time_cell(estimate.once_seconds)]]
    rows += [[text_cell(arm.name), number_cell(arm.num_steps), time_cell(arm.seconds)] for arm in estimate.arms]
    note = "Of one seed, without what an arm above has done already; at most, for a stage that stops early takes less."
    yield make_table("estimate", "Work by arm", ["arm", "steps", "time"], rows, note)
    yield f"in all about {duration(estimate.total_seconds)} for {plural(estimate.num_seeds, 'seed')}"


def strategy_parts() -> Iterator[Table | str]:
    """The named strategies, with what they select and replay."""
    for each in STRATEGIES.values():
        replay = f"; replays {each.replay.ratio:g} of {each.replay.of}: {each.replay.pool}" if each.replay else ""
        yield f"{each.name}: {each.doc}"
        yield f"    {each.select}{replay}"


def strategy_result() -> dict[str, Json]:
    """What `gradual plan --strategies --json` prints."""
    return {each.name: dataclasses.asdict(each) for each in STRATEGIES.values()}


def arm_parts() -> Iterator[Table | str]:
    """The arms that are built in."""
    rows = [[text_cell(arm.name), text_cell(arm.doc)] for arm in ARMS.values()]
    yield make_table("arms", "Arms that are built in", ["arm", "what it is"], rows, "")


def arm_result() -> dict[str, Json]:
    """The arms that are built in, as JSON: what they say themselves; the rest is the config's."""
    return {
        arm.name: {"doc": arm.doc, **arm.model_dump(mode="json", exclude={"name", "doc"}, exclude_unset=True)}
        for arm in ARMS.values()
    }


def next_steps(out: Path) -> Iterator[str]:
    """What to try after the demo whose run is in `out`."""
    run = shlex.quote(str(out))
    examples = read_run(out).summary.examples
    fact = next((each.id for kind in ("promoted", "stuck") for each in examples.get(kind, [])), "FACT_ID")
    yield ""
    yield "Next:"
    yield f"  gradual show {run} {shlex.quote(fact)}        one fact, every prompt and answer"
    yield f"  gradual diff {run}/probes/0 {run}/probes/1        what one stage changed"
    yield "With facts of your own, one JSON object a line with question, answer and relation in facts.jsonl:"
    yield "  gradual probe --model smollm2 --facts facts.jsonl --out my-map"
    yield f"  cp {run}/config.yaml my.yaml        then set `path` under `facts:` to facts.jsonl"
    yield "  gradual plan my.yaml"
    yield "  gradual fit my.yaml --out my-run"


def stage_line(number: int, stage: StageSummary, cost: StageCost) -> str:
    """What a stage trained on and how it went."""
    short = f", {count(stage.replay_shortfall)} fewer than wanted" if stage.replay_shortfall else ""
    left_out = f", {count(stage.unknown_left_out)} Unknown left out" if stage.unknown_left_out else ""
    beside = f"; {plural(stage.num_anchor, 'fact')} anchored" if stage.num_anchor is not None else ""
    if stage.num_abstain is not None:
        beside += f"{', ' if beside else '; '}{plural(stage.num_abstain, 'refusal')} taught"
    strategy = visible(stage.strategy or NO_VALUE)
    return (
        f"stage {number} ({strategy}): {count(stage.num_new)} new facts of which {count(stage.promoted_trained)} "
        f"promoted, {count(stage.num_replay)} replayed{short}{left_out}{beside}; kept epoch {count(stage.best_epoch)}"
        f"{', stopped early' if stage.stopped_early else ''}; {count(stage.steps)} steps in "
        f"{duration(cost.seconds)}"
    )


def _reading_text(change: float | None) -> str:
    return f"{NO_VALUE} (undefined)" if change is None else str(points_estimate(change, None, None, unit=f"{NBSP}%"))
