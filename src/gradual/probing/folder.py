"""The folder that a probe outside of a run writes: made once, continued after a kill, never mixed with another probe.

Owns what makes two such probes the same. `knowledge.map` writes the files of a map, `probe` asks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.config.base import settings_that_matter
from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.engines.server.canary import CANARY_FILE
from gradual.errors import RunDirError
from gradual.facts.concerns import missed_spellings
from gradual.facts.fact import Fact
from gradual.facts.matching import matching_of
from gradual.facts.problems import LEFT_OUT_FILE, LeftOut, write_left_out
from gradual.files import storage
from gradual.files.folder_guard import list_differences
from gradual.files.lock import single_writer
from gradual.files.typed_json import read_typed
from gradual.files.units import UnitStore
from gradual.knowledge.map import (
    ANSWERS_FILE,
    COST_FILE,
    FACTS_FILE,
    MAP_FILE,
    PROMPTS_FILE,
    KnowledgeMap,
    read_map,
    write_map,
)
from gradual.probing.check import Check, check_against_sampling
from gradual.probing.probe import probe_facts
from gradual.probing.runner import Runner
from gradual.progress import Progress, warn

CHECK_FILE = "check.json"
"""What the comparison of the map with sampled answers gave, where one was asked for."""

_UNITS = "units"
_OF_A_WRITER = {"run.lock", "owner.json", CANARY_FILE}
_OF_AN_UNFINISHED_PROBE = {*_OF_A_WRITER, _UNITS, FACTS_FILE, ANSWERS_FILE, PROMPTS_FILE, COST_FILE}


OpenEngine = Callable[[ModelConfig], Engine | Runner]
"""Loads a model here or elsewhere; called at most once, after everything that can be wrong without one."""


@dataclass(frozen=True)
class ProbeRequest:
    """What to ask of which model. Two equal requests give the same map, whatever the order of their facts."""

    model: ModelConfig
    facts: tuple[Fact, ...]
    exemplars: Mapping[str, Sequence[Fact]]
    settings: ProbeConfig
    seed: int
    num_checked: int = 0
    """Facts whose exact probabilities are compared with sampled answers afterwards; no part of the map."""
    left_out: tuple[LeftOut, ...] = ()
    """Rows that are no facts, kept beside the map; no part of it."""

    def asked(self) -> dict[str, str | int | float | bool | None]:
        """All that decides the map besides the model, by field."""
        exemplars = [fact for relation in sorted(self.exemplars) for fact in self.exemplars[relation]]
        return {
            **settings_that_matter(self.settings),
            "seed": self.seed,
            "facts_digest": _digest(self.facts),
            "exemplars_digest": _digest(exemplars),
        }


def make_map(request: ProbeRequest, out: Path | None, *, open_engine: OpenEngine, progress: Progress) -> KnowledgeMap:
    """The map that was asked for, written into `out` if that is given.

    A finished map of the same request is read and not made again. Of an unfinished one the finished units are kept.

    Raises:
        RunDirError: `out` holds the map of another request (each difference is named) or something else, or another
            process writes there; before the model is loaded, where that can be known.
        ModelError, ProbeError: the model cannot be loaded or probed.
    """
    if out is None:
        engine = open_engine(request.model)
        known = _probe(request, engine, None, progress)
        say_missed_spellings(known, request.settings, progress)
        _check(request, engine, None, progress)
        return known
    _refuse_foreign_folder(out)
    with single_writer(out):
        earlier = read_map(out) if (out / MAP_FILE).is_file() else None
        if earlier is not None:
            _refuse_other(out, "probe", earlier.info.probe, request.asked())
        engine = open_engine(request.model)
        if earlier is not None:
            _refuse_other(out, "model", earlier.info.model, engine.fingerprint)
            progress.say(f"{out} holds this map already, finished; nothing is computed again")
            storage.remove(out / _UNITS)  # left where a kill came between the map and this
        known = earlier or _probe_into(request, engine, out, progress)
        _keep_left_out(request.left_out, out)
        say_missed_spellings(known, request.settings, progress)
        _check(request, engine, out, progress)
    return known


def _keep_left_out(rows: Sequence[LeftOut], out: Path) -> None:
    """Keeps the rows that are left out now: a source that was mended asks the same facts and has none."""
    if rows:
        write_left_out(rows, out / LEFT_OUT_FILE)
    else:
        storage.remove(out / LEFT_OUT_FILE)


def say_missed_spellings(known: KnowledgeMap, settings: ProbeConfig, progress: Progress) -> None:
    """Warns once, with their number, of answers that only the rule of matching makes wrong."""
    answered = ((fact.answers, [each.greedy_answer for each in fact.sets if each.greedy_answer]) for fact in known)
    sentence = missed_spellings(answered, matching_of(settings))
    if sentence:
        warn(progress, sentence)


def _probe_into(request: ProbeRequest, engine: Engine | Runner, out: Path, progress: Progress) -> KnowledgeMap:
    settings = {f"probe.{name}": json.dumps(value) for name, value in request.asked().items()}
    model = {f"model.{name}": value for name, value in engine.fingerprint.items()}
    units = UnitStore(out / _UNITS, settings | model)
    known = _probe(request, engine, units, progress)
    write_map(known, out)
    units.clear()
    return known


def _probe(request: ProbeRequest, engine: Engine | Runner, units: UnitStore | None, progress: Progress) -> KnowledgeMap:
    with progress.bar("probe", len(request.facts), "facts") as advance:
        known = probe_facts(
            request.facts,
            request.exemplars,
            engine,
            request.settings,
            seed=request.seed,
            units=units,
            progress=advance,
        )
    return dataclasses.replace(known, info=dataclasses.replace(known.info, probe=request.asked()))


def read_check(out: Path) -> Check:
    """What the comparison with sampled answers came to.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    return read_typed(out / CHECK_FILE, Check)


def _check(request: ProbeRequest, engine: Engine | Runner, out: Path | None, progress: Progress) -> None:
    """Compares the map with sampled answers, if asked to; says the result and keeps it beside the map."""
    if not request.num_checked:
        return
    check = check_against_sampling(
        request.facts,
        request.exemplars,
        engine,
        request.settings,
        seed=request.seed,
        num_facts=request.num_checked,
        progress=progress,
    )
    for line in check.lines():
        progress.say(line)
    if out is not None:
        storage.write_json(out / CHECK_FILE, check.as_json())


def _digest(facts: Iterable[Fact]) -> str:
    # A list in the list: no answer can be mistaken for it. Facts without a turn of the system are hashed as before.
    rows = sorted(
        json.dumps([fact.id, fact.relation, fact.question, *fact.answers, *([[fact.system]] if fact.system else [])])
        for fact in facts
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _refuse_foreign_folder(out: Path) -> None:
    """Refuse a folder that is neither empty nor a probe's, before anything is written there."""
    if not out.is_dir() or (out / MAP_FILE).is_file():
        return
    if (out / "run.json").exists():
        raise RunDirError(f"{out} is the folder of a run, expected a new one or that of a probe; use another --out")
    with storage.name_disk_errors("read", out):
        names = sorted(child.name for child in out.iterdir())
    # Tables without units were not left by a killed probe: they are somebody's own.
    ours = _OF_AN_UNFINISHED_PROBE if _UNITS in names else _OF_A_WRITER
    foreign = [name for name in names if name not in ours and not name.endswith(".tmp")]
    if foreign:
        raise RunDirError(
            f"{out} is not empty and holds no knowledge map, but {foreign[0]!r}; expected a new folder; "
            "use another --out"
        )


def _refuse_other(out: Path, section: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    old, new = ({f"{section}.{name}": value for name, value in each.items()} for each in (before, now))
    if differences := list_differences(old, new):
        head = f"{out} holds the knowledge map of another probe:"
        raise RunDirError("\n".join([head, *differences, "use another --out for a new map"]))
