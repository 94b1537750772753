"""What a source is said to hold: columns by role, facts by relation, and whether it is divided."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.errors import DataError
from gradual.facts.describe import describe_source

ROWS = """prompt,target,kind,split
What is the capital of Chad?,N'Djamena,capital,train
What is the capital of Mali?,Bamako,capital,test
Who wrote Emma?,Jane Austen,author,train
"""


def test_columns_relations_and_splits_are_told(tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text(ROWS)
    columns = ColumnsConfig(question="prompt", answers="target", relation="kind")
    found = describe_source(FactsConfig(path=str(tmp_path / "facts.csv"), columns=columns))
    assert dict(found.columns) == {"question": "prompt", "answers": "target", "relation": "kind", "split": "split"}
    assert list(found.relations.items()) == [("capital", 2), ("author", 1)]
    assert found.has_splits


def test_a_source_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"facts\.csv"):
        describe_source(FactsConfig(path=str(tmp_path / "facts.csv")))
