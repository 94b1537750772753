"""Two facts, the rows that state them, and what tests of reading do with files."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gradual.config.run import FactsConfig
from gradual.errors import DataError
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts

Write = Callable[[str, str | bytes], str]

PARIS = Fact("1", "capital", "What is the capital of France?", ("Paris",), subject="France")
ROME = Fact("2", "capital", "What is the capital of Italy?", ("Rome", "Roma"), subject="Italy")
GOOD = '{"question": "What is the capital of France?", "answers": ["Paris"], "relation": "capital"}\n'
TABLE: list[dict[str, object]] = [
    {"id": "1", "relation": "capital", "question": PARIS.question, "answers": ["Paris"], "subject": "France"},
    {"id": "2", "relation": "capital", "question": ROME.question, "answers": ["Rome", "Roma"], "subject": "Italy"},
]


def error_of(source: str | FactsConfig) -> str:
    with pytest.raises(DataError) as caught:
        load_facts(source)
    return str(caught.value)


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
