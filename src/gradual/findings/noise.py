"""How much levels change with nothing learned: the base model probed twice, and what training shows beyond that.

Reads `noise/KIND`; every retest is held against the base map of a run, over the facts in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gradual.comparison.folder import RETESTS
from gradual.findings.arms import level_moves
from gradual.findings.evidence import MapEvidence, PaidStep, RunEvidence, paid_map, read_known
from gradual.findings.record import NetPromotion, Retest
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE
from gradual.knowledge.transitions import came_within_reach
from gradual.statistics.measures import Share, mean_of, share_of


def read_noise(folder: Path) -> dict[str, MapEvidence]:
    """The retests of a comparison's folder by kind, in the order of `RETESTS`; empty where there is none.

    Raises:
        RunDirError: a map is damaged.
    """
    return {path.name: known for path in _retest_folders(folder) if (known := read_known(path)) is not None}


def paid_for_noise(folder: Path) -> list[PaidStep]:
    """What the retests took."""
    return [paid_map(f"noise {path.name}", "probing", path) for path in _retest_folders(folder)]


def retest(kind: str, base: MapEvidence, again: MapEvidence) -> Retest:
    """What changed between two maps of the same model, over the facts in both."""
    both = sorted(base.levels.keys() & again.levels.keys())
    before, after = ({fact: known.levels[fact] for fact in both} for known in (base, again))
    ranks = [(before[fact].rank, after[fact].rank) for fact in both]
    return Retest(
        kind=kind,
        method=again.method,
        dtype=again.dtype,
        base_dtype=base.dtype,
        num_facts=len(both),
        transitions=level_moves(before, after),
        changed=share_of(was != now for was, now in ranks),
        promoted=share_of(now > was for was, now in ranks),
        demoted=share_of(now < was for was, now in ranks),
        came_within_reach=_share_within_reach(before, after),
    )


def net_promotion(
    arm: str, kind: str, runs: Sequence[RunEvidence], base: MapEvidence, again: MapEvidence
) -> NetPromotion | None:
    """Facts that came within reach after stage 1, less those of the retest; None without a finished run.

    The difference is paired by fact and so looks only at facts that were retested and out of reach under the base map;
    its interval is `resampling.resampled_mean`'s. Both sides share the base map, so its own noise is in both.
    """
    trained = [run for run in runs if run.is_finished and run.last >= 1]
    if not trained:
        return None
    relations = trained[0].probes[0].relations
    observed = [_as_numbers(came_within_reach(run.probes[0].levels, run.probes[1].levels)) for run in trained]
    null = _as_numbers(came_within_reach(base.levels, again.levels))
    paired = [{fact: value - null[fact] for fact, value in one.items() if fact in null} for one in observed]
    retested = [{fact: value for fact, value in one.items() if fact in null} for one in observed]
    return NetPromotion(
        arm=arm,
        kind=kind,
        seeds=tuple(run.seed for run in trained),
        observed=mean_of(observed, relations)[0],
        num_facts=len(null),
        observed_retested=mean_of(retested, relations)[0],
        retest=_share_within_reach(base.levels, again.levels),
        net=mean_of(paired, relations)[0],
    )


def _retest_folders(folder: Path) -> list[Path]:
    """Folders of finished retests."""
    parent = folder / "noise"
    folders = [path for path in parent.iterdir() if (path / MAP_FILE).is_file()] if parent.is_dir() else []
    order = {kind: place for place, kind in enumerate(RETESTS)}
    return sorted(folders, key=lambda path: (order.get(path.name, len(order)), path.name))


def _as_numbers(verdicts: Mapping[str, bool]) -> dict[str, float]:
    return {fact: float(verdict) for fact, verdict in verdicts.items()}


def _share_within_reach(before: Mapping[str, Level], after: Mapping[str, Level]) -> Share:
    return share_of(came_within_reach(before, after).values())
