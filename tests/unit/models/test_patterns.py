"""Patterns are matched elsewhere first: one without end is named, whatever else is there."""

from __future__ import annotations

import time

import pytest

from gradual.models.checks import adapter_patterns, endless_pattern

LAYERS = [f"model.layers.{number}.self_attn.{name}_proj" for number in range(200) for name in "qkvo"]


@pytest.mark.parametrize(
    "pattern",
    [
        "all-linear",
        r".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$",
        r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|v_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:mlp))",
        "(no pattern",
        "(" * 10_000,
    ],
)
def test_patterns_that_end_pass_and_so_does_what_is_none(pattern: str) -> None:
    assert endless_pattern([pattern], LAYERS) is None


def test_pattern_without_end_is_named_soon() -> None:
    started = time.monotonic()
    patterns = ["q_proj", "(([a-z_0-9]+)+[.]?)+!", ".*"]
    assert endless_pattern(patterns, LAYERS) == patterns[1]
    assert time.monotonic() - started < 60  # five seconds of the processor's


def test_without_patterns_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert endless_pattern([], LAYERS) is None


def test_only_what_repeats_is_a_pattern_of_an_adapter() -> None:
    settings = {
        "target_modules": "a.*",
        "exclude_modules": ["b", "c+"],
        "modules_to_save": ["lm_head", "d*"],
        "rank_pattern": {"q_proj": 8, "e{9}": 4},
        "alpha_pattern": 3,
        "layers_pattern": None,
        "revision": "f*",
    }
    assert adapter_patterns(settings) == ["a.*", "c+", r"(^|.*\.)d*($|\..*)", r"(.*\.)?(e{9})$"]
