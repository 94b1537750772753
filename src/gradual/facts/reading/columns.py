"""Which column of a source means what: as the user names it, as a published layout has it, or by its usual name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from gradual.config.run import NO_COLUMN, ColumnsConfig
from gradual.facts.problems import Problems, Remark, quote, shown_names
from gradual.facts.reading.layouts import Layout, describe_layout, layout_of
from gradual.facts.reading.selectors import Selector, first_column, selector_by_relation, selector_of
from gradual.facts.sources.part import Part

DETECTED = {
    "question": ("question", "query", "prompt", "input"),
    "answers": ("answers", "answer", "targets", "target", "completion", "output", "possible_answers"),
    "aliases": ("aliases", "answer_aliases"),
    "relation": ("relation", "type", "category", "predicate", "property", "prop"),
    "subject": ("subject", "entity", "s", "subj"),
    "split": ("split",),
    "id": ("id",),
    "rewordings": ("rewordings",),
    "reverse_of": ("reverse_of",),
}
"""The column names that are understood by themselves, whatever their case; of several the first counts."""

USUAL_NAMES = frozenset(name for names in DETECTED.values() for name in names)
CHOICES = ("choices", "options", "endings")
"""Columns of a multiple-choice question's choices, which are noticed and not used unless they are named."""

_FURTHER_ANSWER = re.compile(r"(?:.*[ _-])?(?:answer|alias|target)(?:e?s)?[ _-]?\d+", re.IGNORECASE)
_LETTERED = ({"a", "b", "c", "d"}, {"option_a", "option_b"}, {"opa", "opb"}, {"choice_a", "choice_b"})
_MOST_WORDS_OF_A_NAME = 4


class Roles(NamedTuple):
    """What plays each role; empty selectors where nothing does."""

    question: Selector
    answers: tuple[Selector, ...]
    """A row must have one of them, unless `layout` says otherwise; the first that it has is trained on."""
    aliases: Selector
    relation: Selector
    subject: Selector
    split: Selector
    id: Selector
    choices: Selector
    rewordings: tuple[Selector, ...]
    reverse_of: Selector
    layout: Layout | None

    def columns(self, part: Part) -> tuple[str, ...]:
        """The columns that must be read."""
        if self.layout is not None and self.layout.change is not None:
            return part.columns
        selectors = (
            self.question,
            *self.answers,
            self.aliases,
            self.relation,
            self.subject,
            self.split,
            self.id,
            self.choices,
            *self.rewordings,
            self.reverse_of,
        )
        return tuple(dict.fromkeys(name for each in selectors for name in each.columns(part.columns)))


def find_roles(part: Part, columns: ColumnsConfig, problems: Problems) -> Roles | None:
    """Which column is which, as `columns`, a layout or `DETECTED` say; None, and problems noted, if one is missing."""
    layout = layout_of(part) if columns.question is None or columns.answers is None else None
    if layout is not None and layout.refusal is not None:
        fault, remedy = layout.refusal
        problems.add(part.name, expected="questions with short answers", found=fault, remedy=remedy)
        return None
    detected = _columns_by_name(part, layout)
    by_setting = _columns_by_setting(part, columns, problems)
    if by_setting is None:
        return None
    roles_of = detected | by_setting
    answers, rewordings = roles_of.pop("answers"), roles_of.pop("rewordings")
    selectors = {role: each[0] for role, each in roles_of.items()}
    if columns.answers is not None:
        selectors["aliases"] = Selector()
    if isinstance(columns.question, dict):
        selectors["question"] = selector_by_relation(columns.question, selectors["relation"].text)
    roles = Roles(answers=answers, rewordings=rewordings, layout=layout, **selectors)
    if not _is_complete(part, roles, problems):
        return None
    _tell(part, roles, columns)
    return roles


def _columns_by_name(part: Part, layout: Layout | None) -> dict[str, tuple[Selector, ...]]:
    by_name = {name.strip().lower(): name for name in reversed(part.columns)}
    if layout is not None and layout.change is not None:
        by_name |= {name: name for name in ("question", "answers")}
    roles: dict[str, tuple[Selector, ...]] = {
        role: (selector_of(by_name[name]) if (name := next((n for n in names if n in by_name), "")) else Selector(),)
        for role, names in DETECTED.items()
    }
    roles["choices"] = (Selector(),)
    if layout is None:
        return roles
    if isinstance(layout.question, tuple):
        roles["question"] = (Selector(" and ".join(layout.question), layout.question, joins=True),)
    elif layout.question is not None:
        roles["question"] = (selector_of(layout.question),)
    if layout.answers is not None:
        roles["answers"] = tuple(selector_of(path) for path in layout.answers)
        roles["aliases"] = (Selector(),)
    for role in ("relation", "subject", "id"):
        path: str | None = getattr(layout, role)
        if path is not None:
            roles[role] = (selector_of(path) if first_column(path, part.columns) else Selector(),)
    return roles


def _columns_by_setting(
    part: Part, columns: ColumnsConfig, problems: Problems
) -> dict[str, tuple[Selector, ...]] | None:
    """The roles that the user has named a column for; None, and a problem noted, if there is no such column."""
    roles: dict[str, tuple[Selector, ...]] = {}
    for role in ("question", "answers", "relation", "subject", "split", "id", "choices", "rewordings", "reverse_of"):
        setting = getattr(columns, role)
        if setting is None or isinstance(setting, dict):
            continue
        texts = [str(each) for each in (setting if isinstance(setting, list) else [setting])]
        if texts == [NO_COLUMN] and role not in ("question", "answers"):
            roles[role] = (Selector(),)
            continue
        roles[role] = tuple(selector_of(text) for text in texts)
        for path in (path for selector in roles[role] for path in selector.paths):
            if not first_column(path, part.columns):
                expected = f"the column {quote(path)} (facts.columns.{role})"
                available = f"the columns {shown_names(part.columns)}"
                problems.add(part.name, expected=expected, found=available, remedy="correct the name")
                return None
    return roles


def _is_complete(part: Part, roles: Roles, problems: Problems) -> bool:
    is_complete = True
    for role, article, selector in (
        ("question", "a question", roles.question),
        ("answers", "an answers", roles.answers[0]),
    ):
        if not selector:
            is_complete = False
            problems.add(
                part.name,
                expected=f"{article} column ({', '.join(DETECTED[role])})",
                found=f"the columns {shown_names(part.columns)}" if part.columns else "no columns",
                remedy=f"rename it, or name it with facts.columns.{role}{_hint(part, role)}",
            )
    return is_complete and not _is_multiple_choice(part, roles, problems)


def _hint(part: Part, role: str) -> str:
    """What else could help where a column is missing: its number in a table without a header, or a path."""
    looks_like_data = any(
        "?" in name or "[" in name or len(name.split()) > _MOST_WORDS_OF_A_NAME for name in part.columns
    )
    if part.is_delimited and looks_like_data:
        return f" (by its number, facts.columns.{role}: {1 if role == 'question' else 2}, if the table has no header)"
    row = next(iter(part.read(part.columns)), None)
    path = (
        next((path for path in _paths(row.values) if path.split(".")[-1].lower() in DETECTED[role]), "") if row else ""
    )
    return f" ({path})" if path else ""


def _paths(values: Mapping[str, object], before: str = "", depth: int = 3) -> Iterator[str]:
    """The paths of the objects in a row, outer ones first."""
    for key, value in values.items():
        if before:
            yield f"{before}{key}"
        if isinstance(value, Mapping) and depth:
            yield from _paths(value, f"{before}{key}.", depth - 1)


def _is_multiple_choice(part: Part, roles: Roles, problems: Problems) -> bool:
    """Whether answers only say which of several choices is right; noted if so, unless the choices are asked."""
    if roles.choices:
        return False
    by_name = {name.strip().lower(): name for name in part.columns}
    choices = next((by_name[name] for name in CHOICES if name in by_name), "")
    has_letters = any(letters <= set(by_name) for letters in _LETTERED)
    if not choices and not has_letters:
        return False
    values = [roles.answers[0].find(row.values) for row in islice(part.read(roles.columns(part)), 5)]
    if not values or not all(_is_label(value) for value in values):
        return False
    remedy = "name the column of the right choice's text (facts.columns.answers)"
    if choices:
        remedy = f"set facts.columns.choices: {choices} to ask with the choices, or {remedy}"
    fault = f"multiple choice ({quote(values[0])}, one of {quote(choices or 'the lettered columns')})"
    problems.add(part.name, expected=f"answers in {quote(roles.answers[0].text)}", found=fault, remedy=remedy)
    return True


def _is_label(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    return (
        isinstance(value, str)
        and len(value.strip()) == 1
        and (value.strip().isdigit() or value.strip() in "ABCDEFGHIJ")
    )


def _tell(part: Part, roles: Roles, columns: ColumnsConfig) -> None:
    if roles.layout is not None:
        pairs = [("question", roles.question.text), *(("answers", each.text) for each in roles.answers)]
        pairs += [(name, each.text) for name in ("relation", "subject") if (each := getattr(roles, name))]
        warnings.warn(describe_layout(part.name, roles.layout, pairs), Remark, stacklevel=4)
    further = [name for name in part.columns if _FURTHER_ANSWER.fullmatch(name.strip())]
    if further and columns.answers is None:
        names = ", ".join([roles.answers[0].text, *further])
        warnings.warn(
            f"{part.name}: columns that look like further answers are not read: {', '.join(further)} - "
            f"facts.columns.answers: [{names}] reads them",
            stacklevel=4,
        )
