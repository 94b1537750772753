"""A first config: what is proposed for a model and facts, by size."""

from __future__ import annotations

import pytest

from gradual.run.starter import propose, size_in_name


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-7B", 7_000_000_000),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_000_000_000),
        ("Qwen/Qwen2.5-0.5B", 500_000_000),
        ("SmolLM2-135M-Instruct.Q4_1", 135_000_000),
        ("gemma3-270m", 270_000_000),
        ("gpt2", None),
        ("./models/1b-runs/mine", None),
    ],
)
def test_the_size_stands_in_the_name(name: str, size: int | None) -> None:
    assert size_in_name(name) == size


@pytest.mark.parametrize(
    ("size", "rates"),
    [
        (70_000_000_000, (1e-4, 1e-4)),
        (13_000_000_000, (2e-4, 1.5e-4)),
        (1_000_000_000, (2e-4, 1.5e-4)),
        (135_000_000, (1e-4, 1e-4)),
        (None, (2e-4, 1.5e-4)),
    ],
)
def test_rates_go_by_the_size_of_the_model(size: int | None, rates: tuple[float, float]) -> None:
    assert propose(size, 1000).learning_rates == rates


@pytest.mark.parametrize(("facts", "batch"), [(960, 32), (959, 16), (480, 16), (240, 8), (239, 4), (10, 4)])
def test_a_batch_leaves_ten_steps_an_epoch(facts: int, batch: int) -> None:
    assert propose(None, facts).batch_size == batch  # 960 / 3 facts are 10 batches of 32
