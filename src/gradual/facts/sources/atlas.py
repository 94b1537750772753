"""What the atlas says beside its facts: two further wordings of each question, and which fact asks it the other way.

Both follow from a table by relation (`data/atlas_wordings.json`), so the file of facts need not hold them. Reads no
file itself; `opening` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradual.facts.sources.part import Part, Row

_SLOT = "{}"


@dataclass(frozen=True, slots=True)
class AtlasWordings:
    """The table: by relation its question and the other wordings, each with one slot; and which relations reverse."""

    wordings: Mapping[str, tuple[str, ...]]
    """The first is the atlas' own question."""
    reverses: Mapping[str, str]
    """A relation by the one that asks it the other way."""

    def rewordings(self, relation: str, question: str) -> list[str]:
        """The same question in other words; empty where the table does not know it."""
        own, *others = self.wordings.get(relation, ("",))
        before, _, after = own.partition(_SLOT)
        fits = own and question.startswith(before) and question.endswith(after)
        name = question[len(before) : len(question) - len(after)]
        return [other.replace(_SLOT, name) for other in others] if fits else []

    def reverse_id(self, relation: str, fact_id: str) -> str:
        """Id that the fact asked the other way has if the atlas holds it; empty where its relation has no reverse."""
        other = self.reverses.get(relation)
        if other is None:
            return ""
        return _prefix(other) + fact_id.removeprefix(_prefix(relation))


def _prefix(relation: str) -> str:
    """What the ids of a relation's facts begin with."""
    return f"{relation.replace('_', '-')}-"


def with_transfer(part: Part, table: AtlasWordings) -> Part:
    """The atlas with the columns `rewordings` and `reverse_of` (the latter null where there is no such fact)."""
    rows = list(part.read(part.columns))
    ids = {str(row.values["id"]) for row in rows}
    more: list[Row] = []
    for where, values in rows:
        relation, own_id = str(values["relation"]), str(values["id"])
        reverse = table.reverse_id(relation, own_id)
        further = {
            "rewordings": table.rewordings(relation, str(values["question"])),
            "reverse_of": reverse if reverse in ids else None,
        }
        more.append(Row(where, values | further))
    return Part(part.name, (*part.columns, "rewordings", "reverse_of"), lambda _names: more)
