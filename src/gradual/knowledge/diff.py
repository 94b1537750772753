"""What became of facts between two knowledge maps: levels, transitions, and who was promoted or demoted.

Knows maps only, and nothing of the training that lies between them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradual.errors import DataError, RunDirError
from gradual.files.storage import Json
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, FactKnowledge, KnowledgeMap, read_map
from gradual.knowledge.transitions import counts_by_name, level_counts, transition_counts
from gradual.progress import warning_line
from gradual.text import plural

_ABOUT_OTHER_FACTS = {"facts_digest", "exemplars_digest"}
_KEPT_WHERE_SET = {"matching", "language", "diacritics", "prompt", "system_prompt", "chat_template_kwargs"}
"""Settings of how facts are asked and judged that a map keeps only where they are not what they once had to be."""
"""Fields of a map's record that tell about all its facts; the facts in both maps are compared one by one instead."""
_ARITHMETIC = ("dtype", "device")


_Shots = Mapping[tuple[str, int, str], tuple[str, ...]]
"""Ids of the shots by relation, exemplar set and the one fact they are for (empty: all of the relation)."""


@dataclass(frozen=True, slots=True)
class Move:
    """A fact whose level changed."""

    id: str
    before: Level
    after: Level


@dataclass(frozen=True, slots=True)
class MapDiff:
    """Two maps compared on the facts that are in both; a is the earlier one."""

    num_facts: int
    """Facts in both maps, which everything else counts."""
    only_in_a: int
    only_in_b: int
    levels: tuple[Mapping[Level, int], Mapping[Level, int]]
    transitions: Mapping[Level, Mapping[Level, int]]
    """Facts by level in a (outer) and in b (inner)."""
    promoted: tuple[Move, ...]
    """Facts whose level rose, by id."""
    demoted: tuple[Move, ...]
    """Facts whose level fell, by id."""
    warnings: tuple[str, ...]
    """Why the two maps may not be comparable."""

    def as_dict(self) -> dict[str, Json]:
        """The same as JSON values; promoted and demoted facts as ids."""
        return {
            "num_facts": self.num_facts,
            "only_in_a": self.only_in_a,
            "only_in_b": self.only_in_b,
            "levels": [counts_by_name(counts) for counts in self.levels],
            "transitions": {str(level): counts_by_name(row) for level, row in self.transitions.items()},
            "promoted": [move.id for move in self.promoted],
            "demoted": [move.id for move in self.demoted],
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """The same for people, without tables."""
        moves = [("promoted", self.promoted), ("demoted", self.demoted)]
        return [
            *(warning_line(text) for text in self.warnings),
            f"{plural(self.num_facts, 'fact')} in both maps, {self.only_in_a} only in the first, "
            f"{self.only_in_b} only in the second",
            *(f"{name}: {len(changes)}" for name, changes in moves),
            *(f"  {name}  {each.id}: {each.before} -> {each.after}" for name, changes in moves for each in changes),
        ]

    def __str__(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines())


def open_map(folder: Path) -> KnowledgeMap:
    """The map in a folder; a run folder is refused with the names of its maps.

    Raises:
        RunDirError: there is no map, or it is damaged.
    """
    if not (folder / MAP_FILE).is_file():
        if (folder / "run.json").is_file():
            maps = sorted(str(path.parent) for path in folder.glob(f"probes/*/{MAP_FILE}")) or ["none yet"]
            raise RunDirError(f"{folder}: expected a knowledge map, found a run folder; its maps are {', '.join(maps)}")
        if not folder.is_dir():
            raise RunDirError(f"{folder}: expected the folder of a knowledge map, found nothing there; check the path")
    return read_map(folder)


def compare_maps(map_a: KnowledgeMap, map_b: KnowledgeMap) -> MapDiff:
    """What became of the facts of `map_a` in `map_b`, over the facts that are in both.

    Raises:
        DataError: no fact is in both.
    """
    common = [fact.id for fact in map_a if fact.id in map_b]
    if not common:
        raise DataError("expected two maps with facts in common, found no id that is in both - compare other maps")
    before = {each: map_a.level_of(each) for each in common}
    after = {each: map_b.level_of(each) for each in common}
    moves = [
        Move(each, before[each], after[each])
        for each in common
        if before[each] is not after[each] and not _may_be_equal(map_a, map_b, each)
    ]
    return MapDiff(
        num_facts=len(common),
        only_in_a=len(map_a) - len(common),
        only_in_b=len(map_b) - len(common),
        levels=(level_counts(before.values()), level_counts(after.values())),
        transitions=transition_counts(before, after),
        promoted=tuple(move for move in moves if move.after.rank > move.before.rank),
        demoted=tuple(move for move in moves if move.after.rank < move.before.rank),
        warnings=tuple(_warnings(map_a, map_b, common)),
    )


def _warnings(map_a: KnowledgeMap, map_b: KnowledgeMap, common: list[str]) -> list[str]:
    texts = []
    one, other = (_with_sampling_seed(each.info.probe) for each in (map_a, map_b))
    in_one = {name for name in one.keys() ^ other.keys() if name.partition(".")[0] in _KEPT_WHERE_SET}
    settings = [
        f"{name} ({_value(one, name)}, then {_value(other, name)})"
        for name in sorted((one.keys() & other.keys() - _ABOUT_OTHER_FACTS) | in_one)
        if name in in_one or one[name] != other[name]
    ]
    if settings:
        texts.append(f"the maps were made with other probe settings: {', '.join(settings)}")
    shots_a, shots_b = _shots(map_a), _shots(map_b)
    num_reasked = sum(_shots_by_set(map_a[each], shots_a) != _shots_by_set(map_b[each], shots_b) for each in common)
    if num_reasked:
        texts.append(f"the maps ask {num_reasked} of {plural(len(common), 'fact')} with other exemplars")
    reworded = sum(
        (map_a[each].question, sorted(map_a[each].answers)) != (map_b[each].question, sorted(map_b[each].answers))
        for each in common
    )
    if reworded:
        texts.append(f"{plural(reworded, 'fact')} of one id have another question or other targets in the second map")
    num_open = sum(any(known.open_levels(each) for known in (map_a, map_b)) for each in common)
    if num_open:
        texts.append(
            f"the level of {plural(num_open, 'fact')} is open in a map (too few log-probabilities); counted is the "
            "worse of its two levels, but not as promoted or demoted to the other one"
        )
    arithmetic = [name for name in _ARITHMETIC if map_a.info.model.get(name) != map_b.info.model.get(name)]
    if arithmetic:
        texts.append(f"the models computed with another {' and '.join(arithmetic)}; near ties may differ by that alone")
    return texts


def _value(probe: Mapping[str, Json], name: str) -> str:
    return json.dumps(probe[name], ensure_ascii=False) if name in probe else "not set"


def _may_be_equal(map_a: KnowledgeMap, map_b: KnowledgeMap, fact_id: str) -> bool:
    """Whether the level of a fact is open in a map, and may be that of the other one."""
    one, other = (each.open_levels(fact_id) or (each.level_of(fact_id),) for each in (map_a, map_b))
    return bool(set(one) & set(other))


def _with_sampling_seed(probe: Mapping[str, Json]) -> dict[str, Json]:
    """The settings of a probe, with the seed that sampled answers were drawn with where it is not told apart."""
    is_sampled = probe.get("method") == "sampled" and "seed" in probe
    return {**({"sampling_seed": probe["seed"]} if is_sampled else {}), **probe}


def _shots(known: KnowledgeMap) -> _Shots:
    return {(prompt.relation, prompt.set, prompt.for_fact): prompt.exemplar_ids for prompt in known.prompts}


def _shots_by_set(fact: FactKnowledge, shots: _Shots) -> list[tuple[str, ...] | None]:
    """The shots a fact is asked with, by exemplar set."""
    places = [(fact.relation, answer.set) for answer in fact.sets]
    return [shots.get((*place, fact.id), shots.get((*place, ""))) for place in places]
