"""The knowledge map: what a model knows of a set of facts, with the evidence, in memory and as a folder.

Owns the dataclasses and the folder's files (`facts`, `answers` and `prompts` as Parquet, `map.json` last). Knows no
model: `probing` makes maps; `levels` says what a level means; `diff` compares two maps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from pydantic import Field

from gradual.errors import ProbeError, RunDirError
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table
from gradual.files.typed_json import FilePart, check_content, read_typed_if_there
from gradual.knowledge.levels import Level, possible_levels
from gradual.knowledge.transitions import level_counts

SCHEMA_VERSION = 1
"""Version of the folder's format of a map without confidence."""
SCHEMA_WITH_CONFIDENCE = 2
"""Version with the columns of confidence."""
SCHEMA_WITH_REFUSALS = 3
"""Version with those of refusals too, confidence being empty where it was not asked; readers refuse any other one."""

NOISE_FIELD = "canary_difference"
"""Field of a model's fingerprint with what a server's canary showed, in nats."""

MAP_FILE = "map.json"
FACTS_FILE = "facts.parquet"
ANSWERS_FILE = "answers.parquet"
PROMPTS_FILE = "prompts.parquet"
COST_FILE = "cost.json"

ProbeSetting: TypeAlias = str | int | float | bool | list[str] | None

_FACTS = (
    Column("id", "text"),
    Column("relation", "text"),
    Column("level", "text"),
    Column("p_greedy", "number"),
    Column("p_sampled", "number"),
    Column("p_any_sample", "number"),
    Column("level_probability", "number"),
    Column("near_tie", "truth"),
    Column("min_margin", "number"),
    Column("greedy_answer", "text", nullable=True),
    Column("question", "text"),
    Column("answers", "texts"),
)
_ANSWERS = (
    Column("id", "text"),
    Column("set", "integer"),
    Column("greedy_correct", "truth"),
    Column("greedy_answer", "text", nullable=True),
    Column("p_lower", "number"),
    Column("p_upper", "number"),
    Column("margin", "number"),
    Column("n_right", "integer", nullable=True),
    Column("n_samples", "integer", nullable=True),
    Column("prompt_ref", "text", nullable=True),
)
_FACTS_CONFIDENCE = (Column("confidence", "number", nullable=True), Column("confidence_t1", "number", nullable=True))
_ANSWERS_CONFIDENCE = (
    Column("confidence_lower", "number", nullable=True),
    Column("confidence_upper", "number", nullable=True),
    Column("confidence_t1_lower", "number", nullable=True),
    Column("confidence_t1_upper", "number", nullable=True),
)
_FACTS_REFUSALS = (Column("p_greedy_refuse", "number", nullable=True), Column("p_refuse", "number", nullable=True))
_ANSWERS_REFUSALS = (
    Column("greedy_refused", "truth", nullable=True),
    Column("p_refuse_lower", "number", nullable=True),
    Column("p_refuse_upper", "number", nullable=True),
)
_PROMPTS = (
    Column("relation", "text"),
    Column("set", "integer"),
    Column("for_fact", "text"),
    Column("exemplar_ids", "texts"),
    Column("before", "text"),
    Column("after", "text"),
)


@dataclass(frozen=True, slots=True)
class SetAnswer:
    """How a model answers one question behind one exemplar set."""

    set: int
    """Number of the exemplar set, from 0."""
    greedy_correct: bool
    greedy_answer: str | None
    """The greedy answer, where it was written out."""
    p_lower: float
    """Probability in [0, 1] that a sampled answer is right: lower bound."""
    p_upper: float
    """The same: upper bound."""
    margin: float
    """Gap between the two largest logits at the closest decision of the greedy answer."""
    n_right: int | None = None
    """Right answers among `n_samples` drawn; nothing where the probability was computed."""
    n_samples: int | None = None
    confidence_lower: float | None = None
    """Probability in [0, 1] that a sampled answer is the same as the greedy one: lower bound, where it was asked.

    The same are answers that are equal after the matcher's normalisation; those of a right answer are all accepted
    ones (docs/confidence.md)."""
    confidence_upper: float | None = None
    """The same: upper bound."""
    confidence_t1_lower: float | None = None
    """The same with temperature 1 in place of the probe's: lower bound."""
    confidence_t1_upper: float | None = None
    """The same: upper bound."""
    greedy_refused: bool | None = None
    """Whether the greedy answer is a refusal, where refusals were asked (`probe.refusals`)."""
    p_refuse_lower: float | None = None
    """Probability in [0, 1] that a sampled answer is a refusal: lower bound, where refusals were asked."""
    p_refuse_upper: float | None = None
    """The same: upper bound."""

    @property
    def p(self) -> float:
        """Probability in [0, 1] that a sampled answer is right: the middle of its bounds."""
        return (self.p_lower + self.p_upper) / 2

    @property
    def confidence(self) -> float | None:
        """Probability in [0, 1] that a sampled answer is the same as the greedy one: the middle of its bounds."""
        return _middle(self.confidence_lower, self.confidence_upper)

    @property
    def confidence_t1(self) -> float | None:
        """The same with temperature 1."""
        return _middle(self.confidence_t1_lower, self.confidence_t1_upper)

    @property
    def p_refuse(self) -> float | None:
        """Probability in [0, 1] that a sampled answer is a refusal: the middle of its bounds."""
        return _middle(self.p_refuse_lower, self.p_refuse_upper)


def open_levels(sets: Sequence[SetAnswer], *, tolerance: float, num_samples: int) -> tuple[Level, Level] | None:
    """The two levels between which bounds leave a fact open, worse first; None where its level is settled.

    Bounds as tight as the search makes them settle it by their middle. Only where an engine does not tell all that is
    likely are they wider: then nothing is settled that they do not settle at both ends.
    """
    widest = max((answer.p_upper - answer.p_lower for answer in sets), default=0.0)
    is_drawn = any(answer.n_samples is not None for answer in sets)
    if is_drawn or widest <= tolerance * 1.001 or any(answer.greedy_correct for answer in sets):
        return None
    levels = possible_levels(0.0, [each.p_lower for each in sets], [each.p_upper for each in sets], num_samples)
    return (levels[0], levels[1]) if len(levels) > 1 else None


@dataclass(frozen=True, slots=True)
class FactKnowledge:
    """What a model knows of one fact, over all exemplar sets."""

    id: str
    relation: str
    question: str
    answers: tuple[str, ...]
    """The accepted answers."""
    level: Level
    p_greedy: float
    """Share of exemplar sets with a right greedy answer, P_correct(T=0) of SliCK."""
    p_sampled: float
    """Mean over exemplar sets of the probability that a sampled answer is right, P_correct(T>0) of SliCK."""
    p_any_sample: float
    """Chance that SliCK's sampling shows a right answer (`levels.chance_of_right_sample`)."""
    level_probability: float
    """Chance that SliCK's random protocol gives this level (`levels.level_probability`)."""
    near_tie: bool
    """A greedy verdict hangs on a difference of logits so small that other arithmetic may turn it."""
    min_margin: float
    """Smallest `SetAnswer.margin`."""
    greedy_answer: str | None
    """Greedy answer under exemplar set 0."""
    sets: tuple[SetAnswer, ...]
    confidence: float | None = None
    """Mean of `SetAnswer.confidence` over the exemplar sets that have it; None where none has."""
    confidence_t1: float | None = None
    """The same with temperature 1."""
    p_greedy_refuse: float | None = None
    """Share of exemplar sets whose greedy answer is a refusal; None where refusals were not asked."""
    p_refuse: float | None = None
    """Mean over exemplar sets of the probability that a sampled answer is a refusal."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands around the question: the solved facts of one exemplar set of a relation."""

    relation: str
    set: int
    for_fact: str
    """Id of the only fact that is asked so, as it is itself among the shots of the others or has another turn of the
    system; else empty."""
    exemplar_ids: tuple[str, ...]
    before: str
    after: str

    @property
    def ref(self) -> str:
        """Name by which the rows of `answers.parquet` point here."""
        return _prompt_ref(self.relation, self.set, self.for_fact)


class Cost(FilePart):
    """`cost.json` beside a map: what its probe took, since it was last continued; no part of what the map says."""

    seconds: float = 0.0
    tokens_read: int = 0
    forward_passes: int = 0
    host_share: float = 0.0
    """Share of the seconds, 0 to 1, spent outside the model."""


@dataclass(frozen=True, slots=True)
class MapInfo:
    """How a map was made: the settings of the probe and the fingerprint of the model."""

    probe: Mapping[str, ProbeSetting]
    model: Mapping[str, str]
    cost: Cost = field(default=Cost(), compare=False)

    @property
    def noise(self) -> float:
        """So much a difference of two logits changed from one read to the next; 0 where reading is a pure function."""
        return float(self.model.get(NOISE_FIELD, 0.0))


class MapFile(FilePart):
    """`map.json`: how a map was made, its counts, and the SHA-256 of its other files."""

    schema_version: int = Field(validation_alias="schema", serialization_alias="schema")
    probe: dict[str, ProbeSetting]
    model: dict[str, str]
    num_facts: int
    levels: dict[Level, int]
    files: dict[str, str]


@dataclass(frozen=True)
class KnowledgeMap:
    """What a model knows of a set of facts; facts are kept sorted by id, prompts by relation and set.

    Raises:
        ProbeError: two facts have one id, or two prompts one relation and set.
    """

    facts: tuple[FactKnowledge, ...]
    prompts: tuple[Prompt, ...]
    info: MapInfo
    _by_id: Mapping[str, FactKnowledge] = field(init=False, repr=False, compare=False)
    _by_ref: Mapping[str, Prompt] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort and index."""
        facts = tuple(sorted(self.facts, key=attrgetter("id")))
        prompts = tuple(sorted(self.prompts, key=attrgetter("relation", "set", "for_fact")))
        for one, other in pairwise(facts):
            if one.id == other.id:
                raise ProbeError(
                    f"fact {one.id!r} is twice in a knowledge map, expected once; give each fact its own id"
                )
        for prompt, next_prompt in pairwise(prompts):
            if prompt.ref == next_prompt.ref:
                raise ProbeError(f"prompt {prompt.ref!r} is twice in a knowledge map, expected once")
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "prompts", prompts)
        object.__setattr__(self, "_by_id", MappingProxyType({fact.id: fact for fact in facts}))
        object.__setattr__(self, "_by_ref", MappingProxyType({prompt.ref: prompt for prompt in prompts}))

    def __getitem__(self, fact_id: str) -> FactKnowledge:
        """Knowledge of a fact; KeyError where the map has none."""
        return self._by_id[fact_id]

    def __contains__(self, fact_id: object) -> bool:
        """Whether the fact was probed."""
        return fact_id in self._by_id

    def __iter__(self) -> Iterator[FactKnowledge]:
        """The facts, sorted by id."""
        return iter(self.facts)

    def __len__(self) -> int:
        """Number of facts."""
        return len(self.facts)

    def level_of(self, fact_id: str) -> Level:
        """Level of a fact; KeyError where the map has none."""
        return self._by_id[fact_id].level

    def prompt(self, fact_id: str, exemplar_set: int) -> Prompt:
        """How a fact was asked under an exemplar set; KeyError where the map does not say."""
        relation = self[fact_id].relation
        own = self._by_ref.get(_prompt_ref(relation, exemplar_set, fact_id))
        return own or self._by_ref[_prompt_ref(relation, exemplar_set, "")]

    def prompt_text(self, fact_id: str, exemplar_set: int) -> str:
        """The whole prompt of a fact under an exemplar set, byte for byte; KeyError where the map does not say."""
        prompt = self.prompt(fact_id, exemplar_set)
        return prompt.before + self[fact_id].question + prompt.after

    @property
    def has_confidence(self) -> bool:
        """Whether it was asked how sure the model is of its greedy answers."""
        return any(fact.confidence is not None for fact in self.facts)

    @property
    def has_refusals(self) -> bool:
        """Whether it was asked whether answers are refusals."""
        return any(fact.p_refuse is not None for fact in self.facts)

    def open_levels(self, fact_id: str) -> tuple[Level, Level] | None:
        """The two levels between which a fact is open, worse first; None where its level is settled."""
        tolerance, samples = (self.info.probe.get(name) for name in ("tolerance", "num_samples"))
        if not isinstance(tolerance, float) or not isinstance(samples, int):
            return None
        return open_levels(self[fact_id].sets, tolerance=tolerance, num_samples=samples)

    def levels(self) -> dict[Level, int]:
        """Number of facts at each level, all four, worst first."""
        return level_counts(fact.level for fact in self.facts)


def write_map(knowledge: KnowledgeMap, folder: Path) -> None:
    """Write a map as a folder; `map.json` comes last and names the other files by their SHA-256.

    Equal maps give equal bytes, apart from `cost.json`. An older map in the folder is replaced; after a crash on the
    way the folder reads as damaged or unfinished, never as a mixture.

    Raises:
        RunDirError: the disk refused, or a number is NaN.
    """
    storage.make_folder(folder)
    schema = SCHEMA_WITH_CONFIDENCE if knowledge.has_confidence else SCHEMA_VERSION
    schema = SCHEMA_WITH_REFUSALS if knowledge.has_refusals else schema
    facts_schema, answers_schema = _schemas(schema)
    write_table(folder / FACTS_FILE, facts_schema, _facts_columns(knowledge, facts_schema))
    write_table(folder / ANSWERS_FILE, answers_schema, _answers_columns(knowledge, answers_schema))
    prompts: dict[str, list[object]] = {
        column.name: [getattr(prompt, column.name) for prompt in knowledge.prompts] for column in _PROMPTS
    }
    write_table(folder / PROMPTS_FILE, _PROMPTS, prompts)
    info = knowledge.info
    storage.write_json(folder / COST_FILE, info.cost.as_json())
    file = MapFile(
        schema_version=schema,
        probe=dict(info.probe),
        model=dict(info.model),
        num_facts=len(knowledge),
        levels=knowledge.levels(),
        files={name: storage.sha256_of_file(folder / name) for name in (FACTS_FILE, ANSWERS_FILE, PROMPTS_FILE)},
    )
    storage.write_json(folder / MAP_FILE, file.as_json())


def read_map(folder: Path, *, with_answers: bool = True) -> KnowledgeMap:
    """The map in a folder that `write_map` made; `with_answers=False` leaves `sets` empty and that file unread.

    Raises:
        RunDirError: a file or column is missing, damaged or of another format version; the message names it.
    """
    about = read_map_file(folder)
    sha256 = about.files
    facts_schema, answers_schema = _schemas(about.schema_version)
    facts = read_table(folder / FACTS_FILE, facts_schema, sha256=sha256.get(FACTS_FILE, "none"))
    answers: dict[str, list[Any]] = {column.name: [] for column in answers_schema}
    if with_answers:
        answers = read_table(folder / ANSWERS_FILE, answers_schema, sha256=sha256.get(ANSWERS_FILE, "none"))
    prompts = read_table(folder / PROMPTS_FILE, _PROMPTS, sha256=sha256.get(PROMPTS_FILE, "none"))

    sets: dict[str, list[SetAnswer]] = {fact_id: [] for fact_id in facts["id"]}
    names = [attribute.name for attribute in dataclasses.fields(SetAnswer) if attribute.name in answers]
    for fact_id, *values in zip(answers["id"], *(answers[name] for name in names), strict=True):
        if fact_id not in sets:
            raise RunDirError(f"{folder / ANSWERS_FILE}: fact {fact_id!r} is not in {FACTS_FILE}; probe again")
        sets[fact_id].append(SetAnswer(**dict(zip(names, values, strict=True))))
    rows = (dict(zip(facts, row, strict=True)) for row in zip(*facts.values(), strict=True))
    return KnowledgeMap(
        facts=tuple(
            FactKnowledge(
                **row
                | {
                    "level": _level(row["level"], folder),
                    "answers": tuple(row["answers"]),
                    "sets": tuple(sets[row["id"]]),
                }
            )
            for row in rows
        ),
        prompts=tuple(
            Prompt(relation, number, for_fact, tuple(exemplar_ids), before, after)
            for relation, number, for_fact, exemplar_ids, before, after in zip(*prompts.values(), strict=True)
        ),
        info=MapInfo(about.probe, about.model, read_cost(folder)),
    )


def read_cost(folder: Path) -> Cost:
    """What the map in a folder took; nothing where `cost.json` is not there.

    Raises:
        RunDirError: the file is damaged.
    """
    return read_typed_if_there(folder / COST_FILE, Cost) or Cost()


def read_map_file(folder: Path) -> MapFile:
    """What `map.json` of a map says.

    Raises:
        RunDirError: it is missing, damaged or of another format version.
    """
    if not (folder / MAP_FILE).is_file():
        raise RunDirError(
            f"{folder} holds no finished knowledge map ({MAP_FILE} is missing); probe again with this --out"
        )
    info = storage.read_json(folder / MAP_FILE)
    if info.get("schema") not in (SCHEMA_VERSION, SCHEMA_WITH_CONFIDENCE, SCHEMA_WITH_REFUSALS):
        fault = f"expected format {SCHEMA_VERSION} to {SCHEMA_WITH_REFUSALS}, found {info.get('schema')!r}"
        raise RunDirError(f"{folder / MAP_FILE}: {fault}; read it with the version of gradual that wrote it")
    return check_content(info, MapFile, where=str(folder / MAP_FILE))


def _schemas(version: int) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The columns of facts and of answers."""
    if version == SCHEMA_VERSION:
        return _FACTS, _ANSWERS
    facts, answers = _FACTS + _FACTS_CONFIDENCE, _ANSWERS + _ANSWERS_CONFIDENCE
    if version == SCHEMA_WITH_CONFIDENCE:
        return facts, answers
    return facts + _FACTS_REFUSALS, answers + _ANSWERS_REFUSALS


def _facts_columns(knowledge: KnowledgeMap, schema: Sequence[Column]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        column.name: [getattr(fact, column.name) for fact in knowledge.facts] for column in schema
    }
    columns["level"] = [str(fact.level) for fact in knowledge.facts]
    return columns


def _answers_columns(knowledge: KnowledgeMap, schema: Sequence[Column]) -> dict[str, list[object]]:
    rows = [(fact, answer) for fact in knowledge.facts for answer in fact.sets]
    known_refs = {prompt.ref for prompt in knowledge.prompts}
    refs = [
        next(
            (
                ref
                for variant in (fact.id, "")
                if (ref := _prompt_ref(fact.relation, answer.set, variant)) in known_refs
            ),
            None,
        )
        for fact, answer in rows
    ]
    columns: dict[str, list[object]] = {
        "id": [fact.id for fact, _ in rows],
        "prompt_ref": list(refs),
    }
    for column in schema:
        if column.name not in columns:
            columns[column.name] = [getattr(answer, column.name) for _, answer in rows]
    return columns


def _middle(lower: float | None, upper: float | None) -> float | None:
    return None if lower is None or upper is None else (lower + upper) / 2


def _prompt_ref(relation: str, exemplar_set: int, for_fact: str) -> str:
    return f"{relation}#{exemplar_set}" + (f"#{for_fact}" if for_fact else "")


def _level(name: str, folder: Path) -> Level:
    try:
        return Level(name)
    except ValueError:
        expected = ", ".join(Level)
        raise RunDirError(
            f"{folder / FACTS_FILE}: expected a level of {expected}, found {name!r}; probe again"
        ) from None
