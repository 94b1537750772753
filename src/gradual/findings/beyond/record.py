"""What a comparison found beyond the test in its usual form: types of `comparison.json`.

What each number counts is said in docs/transfer.md; conventions are those of `findings.record`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.config.run import TransferForm
from gradual.statistics.measures import Measure


@dataclass(frozen=True, slots=True)
class FormFindings:
    """The answers of an arm in one form; right is what is right in every prompt of it."""

    form: TransferForm
    num_gained: Measure
    """Training facts that are HighlyKnown at the end, and were not at the start, as far as they were asked so."""
    gained_before: Measure
    """Share of these that the base model has right in this form; empty where there are none."""
    gained_after: Measure
    """Share of these that holds: is right in this form at the end."""
    num_known: Measure
    """Training facts that every probe found HighlyKnown, as far as they were asked so."""
    known_before: Measure
    known_after: Measure
    """Share of these that holds: what the form costs by itself."""
    behind_known: Measure
    """`gained_after` less `known_after`: below 0 where gained facts hold less often than those known all along."""
    num_test: int
    """Test facts that were asked so; 0 where none was."""
    test_before: Measure
    test_after: Measure
    """Share of the test facts right at the end."""
    test_change: Measure
    """Less that under the base model, on the same facts."""


@dataclass(frozen=True, slots=True)
class TransferFindings:
    """What holds in other forms at an arm's end, over the seeds that asked them all."""

    seeds: tuple[int, ...]
    forms: tuple[FormFindings, ...]


@dataclass(frozen=True, slots=True)
class BystanderFindings:
    """Facts of relations that were never trained on, of one level under the base model: its answers and the arm's."""

    level: str
    """Empty: HighlyKnown and MaybeKnown together, what the base model knew."""
    num_facts: Measure
    num_right: Measure
    """Facts of these that the base model has right."""
    lost: Measure
    """Share of those right that are wrong at the end; empty where there are none."""
    gained: Measure
    """Share of those wrong that are right at the end; empty where there are none."""
    change: Measure
    """Accuracy at the end less that of the base model, on all of the facts."""


@dataclass(frozen=True, slots=True)
class DriftFindings:
    """How far the model is from the base model at an arm's end: means over seeds, without intervals.

    A text is read whole and nothing of it is resampled, so that the spread over seeds is all that is known.
    """

    seeds: tuple[int, ...]
    text_kl: Measure
    """KL(base || tuned) of the next token on the reference text, in nats."""
    prompts_kl: Measure
    """The same on questions of test facts."""
    perplexity_before: Measure
    """Of the reference text under the base model."""
    perplexity_after: Measure
