"""The YAML that settings are written in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradual.errors import ConfigError
from gradual.files.strict_yaml import read_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("7", 7),
        ("+7", 7),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("NO", "NO"),
        ("1:30", "1:30"),
        ("0x1f", "0x1f"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("'1e-4'", "1e-4"),
        ("=", "="),
        ("now == MaybeKnown", "now == MaybeKnown"),
        ("[a, 1, {b: 2.5}]", ["a", 1, {"b": 2.5}]),
        ("hf:owner/name", "hf:owner/name"),
        (".inf", math.inf),
    ],
)
def test_value_has_the_type_it_looks_like(text: str, value: object) -> None:
    result = read_yaml(text, "x")
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "f: line 3: a is already set in line 1; expected it once"),
        ("x:\n  a: 1\n  a: 1\n", "f: line 3: a is already set in line 2; expected it once"),
        ("{a: 1, 'a': 2}", "f: line 1: a is already set in line 1; expected it once"),
        ("a: &x 1\n", "f: line 1: expected no anchors, found &x"),
        ("a: *x\n", "f: line 1: expected the value itself, found the alias *x"),
        ("a:\n  <<: {b: 1}\n", "f: line 2: expected no merge keys, found <<"),
        ("a: !!python/object:os.system x\n", "f: line 1: expected no tags, found !!python/object:os.system"),
        ("a: !mine 1\n", "f: line 1: expected no tags, found !mine"),
        ("a: !!str 1\n", "f: line 1: expected no tags, found !!str"),
        ("1: a\n", "f: line 1: expected the name of a setting, found '1'"),
        ("true: a\n", "f: line 1: expected the name of a setting, found 'true'"),
        ('a: "\\ud800"\n', "f: line 1: expected text, found half a character (a lone surrogate)"),
        ("[a]: b\n", "f: line 1: expected the name of a setting, found a list or a mapping"),
        ("a: [1\n", "f: line 2: not YAML: "),
        ("a: 1\n\tb: 2\n", "f: line 2: not YAML: "),
        ("a: 1\n---\nb: 2\n", "f: line 2: not YAML: "),
        ("a: \x01", "f: not YAML: character"),
        ("9" * 5000, "f: expected settings, found nesting or numbers beyond any sense"),
        ("[" * 5000, "f: expected settings, found nesting or numbers beyond any sense"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_everything_refused_is_told_at_once_in_order() -> None:
    with pytest.raises(ConfigError) as caught:
        read_yaml("a: &x 1\nb: *x\nc: !!int 1\na: 2\n", "f")
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == [
        " line 1",
        " line 2",
        " line 3",
        " line 4",
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(
    st.dictionaries(
        TEXTS.filter(lambda key: key != "<<"),
        st.one_of(
            TEXTS,
            st.sampled_from(
                ["1e-4", "no", "010", "null", "~", "", "1:30", "<<", "=", "true", ".nan", " a ", "a: b", "# c"]
            ),
            st.integers(),
            st.floats(allow_nan=False),
            st.booleans(),
            st.none(),
            st.lists(TEXTS, max_size=3),
        ),
        max_size=5,
    )
)
def test_what_is_written_reads_back_as_the_same(data: dict[str, object]) -> None:
    assert read_yaml(write_yaml(data), "x") == data
