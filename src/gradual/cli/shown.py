"""The tables and lines that a command shows at its end, made from the numbers of a run or of maps.

Computes nothing but shares of counts that are shown beside them. Knows the shape of a run's summary, not where it is
printed (`console`).
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradual.comparison.arms import ARMS
from gradual.files.storage import Json
from gradual.knowledge.diff import MapDiff
from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.reporting.run_story import tell, verdict
from gradual.run.cost import StageCost
from gradual.run.record import RunRecord, read_run
from gradual.run.summary_file import StageSummary, Summary
from gradual.selection.strategies import STRATEGIES
from gradual.text import NO_VALUE, count, duration, interval, p_value, percent, plural, stage_name, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from gradual.knowledge.map import KnowledgeMap

_MOST_IDS = 20
_TRAINED = {
    "trained_stage_1": "trained in stage 1",
    "trained_stage_2_only": "trained in stage 2 only",
    "never_trained": "never trained",
}


def map_parts(known: KnowledgeMap) -> Iterator[RenderableType]:
    """The levels of one map and its two means."""
    yield levels_table([known.levels()], ["facts"])
    ties = sum(fact.near_tie for fact in known)
    yield (
        f"mean p_greedy {mean_of(known, 'p_greedy'):.4f}, mean p_sampled {mean_of(known, 'p_sampled'):.4f}; "
        f"{plural(ties, 'fact')} with a near tie; {duration(known.info.cost.seconds)}"
    )


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
        "p_greedy": mean_of(known, "p_greedy"),
        "p_sampled": mean_of(known, "p_sampled"),
        "seconds": known.info.cost.seconds,
        "out": str(out),
    }
    return result | ({"check": read_check(out)} if with_check else {})


def run_parts(run: RunRecord) -> Iterator[RenderableType]:
    """All that is shown of a run: what it did, levels, transitions, the test, the gain, and what happened in words."""
    summary = run.summary
    yield from (
        stage_line(number, stage, run.stage_cost(number)) for number, stage in enumerate(summary.stages, start=1)
    )
    if summary.levels:
        names = [stage_name(probe) for probe in range(len(summary.levels))]
        yield levels_table(summary.levels, names, title="Levels of the training facts")
    for moved in summary.transitions:
        title = f"Where facts went, from {stage_name(moved.start)} to {stage_name(moved.end)} (shares of each row)"
        yield transition_table(moved.counts, title)
    if summary.test_accuracy:
        yield accuracy_table(summary)
    if summary.mcnemar:
        yield mcnemar_table(summary)
    yield from highly_known_parts(summary)
    yield from (f"not there: {text}" for text in run.missing)
    yield ""
    yield from (f"* {sentence}" for sentence in tell(run))


def diff_parts(diff: MapDiff) -> Iterator[RenderableType]:
    """All that is shown of two maps compared."""
    yield from (f"warning: {text}" for text in diff.warnings)
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


def strategy_lines() -> Iterator[str]:
    """The named strategies, with what they select and replay."""
    for each in STRATEGIES.values():
        replay = f"; replays {each.replay.ratio:g} of {each.replay.of}: {each.replay.pool}" if each.replay else ""
        yield f"{each.name}: {each.doc}"
        yield f"    {each.select}{replay}"


def strategy_result() -> dict[str, Json]:
    """What `gradual plan --strategies --json` prints."""
    return {each.name: dataclasses.asdict(each) for each in STRATEGIES.values()}


def arm_lines() -> Iterator[str]:
    """The arms that are built in, for people."""
    width = max(map(len, ARMS))
    for arm in ARMS.values():
        yield f"{arm.name:<{width}}  {arm.doc}"


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


def levels_table(
    levels: Sequence[Mapping[Level, int]], names: Sequence[str], *, title: str = "Levels"
) -> RenderableType:
    """Counts and shares of each level, a column for each map."""
    table = _table(title, ["", *names])
    for level in BEST_FIRST:
        cells = [_with_share(counts.get(level, 0), sum(counts.values())) for counts in levels]
        table.add_row(str(level), *cells)
    table.add_row("all", *(count(sum(counts.values())) for counts in levels), end_section=True)
    return table


def transition_table(counts: Mapping[Level, Mapping[Level, int]], title: str) -> RenderableType:
    """Facts by level before (rows) and after (columns), with shares of each row."""
    table = _table(title, ["from \\ to", *(str(level) for level in BEST_FIRST), "all"])
    for level in BEST_FIRST:
        row = counts.get(level, {})
        total = sum(row.values())
        table.add_row(str(level), *(_with_share(row.get(each, 0), total) for each in BEST_FIRST), count(total))
    return table


def accuracy_table(summary: Summary) -> RenderableType:
    """Test accuracy of each stage with its 95 % Wilson interval."""
    names = ["", "right", "accuracy", "95 % interval"]
    table = _table("Test accuracy (greedy, one fixed exemplar set per relation)", names)
    for number, share in enumerate(summary.test_accuracy):
        right = f"{count(share.correct)} of {count(share.total)}"
        table.add_row(stage_name(number), right, percent(share.accuracy), interval(share.low, share.high))
    return table


def mcnemar_table(summary: Summary) -> RenderableType:
    """Paired tests between evaluations."""
    scores = summary.test_accuracy
    table = _table("The same test facts, paired (exact McNemar)", ["", "gained", "lost", "p", "so the difference is"])
    for test in summary.mcnemar:
        told = verdict(scores[test.start], scores[test.end], test) if test.end < len(scores) else ""
        name = f"{stage_name(test.start)} to {stage_name(test.end)}"
        table.add_row(name, count(test.gained), count(test.lost), p_value(test.p_value).removeprefix("=").strip(), told)
    return table


def highly_known_parts(summary: Summary) -> Iterator[RenderableType]:
    """The growth of HighlyKnown training facts by what was trained on, and both readings of what stage 2 added."""
    gain = summary.highly_known
    if len(gain.counts) < 2:
        return
    names = [stage_name(probe) for probe in range(len(gain.counts))]
    table = _table("HighlyKnown training facts", ["", *names])
    table.add_row("all", *map(count, gain.counts))
    for name, counts in gain.split.items():
        table.add_row(_TRAINED.get(name, name.replace("_", " ")), *map(count, counts))
    yield table
    if len(gain.counts) > 2:
        yield f"stage 2 over stage 1, reading (a) HK2 / HK1 - 1: {_change(gain.reading_a)}"
        yield f"stage 2 over stage 1, reading (b) (HK2 - HK0) / (HK1 - HK0) - 1: {_change(gain.reading_b)}"


def stage_line(number: int, stage: StageSummary, cost: StageCost) -> str:
    """What a stage trained on and how it went."""
    short = f", {count(stage.replay_shortfall)} fewer than wanted" if stage.replay_shortfall else ""
    left_out = f", {count(stage.unknown_left_out)} Unknown left out" if stage.unknown_left_out else ""
    strategy = visible(stage.strategy or NO_VALUE)
    return (
        f"stage {number} ({strategy}): {count(stage.num_new)} new facts of which {count(stage.promoted_trained)} "
        f"promoted, {count(stage.num_replay)} replayed{short}{left_out}; kept epoch {count(stage.best_epoch)}"
        f"{', stopped early' if stage.stopped_early else ''}; {count(stage.steps)} steps in "
        f"{duration(cost.seconds)}"
    )


def _table(title: str, names: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place and not name.startswith("so ") else "left")
    return table


def _with_share(number: int, total: int) -> str:
    return f"{count(number)} ({percent(number / total)})" if total else count(number)


def _change(share: float | None) -> str:
    if share is None:
        return f"{NO_VALUE} (undefined)"
    return f"{'+' if share >= 0 else ''}{percent(share)}"
