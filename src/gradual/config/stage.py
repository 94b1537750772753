"""The settings of a stage: what it trains on, and how.

`base` says what holds for all settings, `run` puts the stages into the settings of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from gradual.config.base import OneLine, Settings, ShareBelowOne
from gradual.errors import ConfigError
from gradual.selection.expressions import can_match, parse_expression
from gradual.selection.strategies import Replay, StandIns, Strategy, resolve_strategy


def _check_expression(text: str) -> str:
    parse_expression(text)
    if not can_match(text):
        raise ConfigError(f"`{text}` contradicts itself: no fact can match it")
    return text


Expression = Annotated[str, AfterValidator(_check_expression)]
"""A text in the language of `selection.expressions` that some fact can match."""


class ReplayConfig(Settings):
    """Mastered facts mixed into a stage, drawn at random."""

    FORMER: ClassVar = {"choose": "random"}

    pool: Expression = "now == HighlyKnown"
    """Expression that says which facts may be replayed."""
    ratio: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """How many are replayed, as a share of `of`."""
    of: Literal["new", "mixture"] = "new"
    """new: ratio x the newly selected facts; mixture: the replayed facts are this share of all that is trained on."""


class StandInsConfig(Settings):
    """Facts drawn at random in the place of others."""

    pool: Expression = "now in (WeaklyKnown, Unknown)"
    """Expression that says which facts may be drawn."""
    as_many_as: Expression = "now == MaybeKnown and promoted"
    """Expression; as many facts are drawn as match it."""


_Part = Annotated[float, Field(gt=0.0, le=1.0)]
AnchorKind = Literal["own_answers", "kl", "kl_first_epoch", "l2"]


class _AnchorTraits(NamedTuple):
    """What a kind of anchor does; the rest of the code asks these, never for the kind."""

    chooses_facts: bool = True
    draws_answers: bool = False
    """Rows of its own, with answers that the base model has drawn."""
    reads_a_reference: bool = True
    """Another state of the model tells its chances, in a pass of its own."""
    keeps_first_epoch: bool = False
    """That state is the one after the first epoch, not the base model."""
    unused_settings: tuple[str, ...] = ("temperature", "per_epoch", "soft_targets")


_ANCHOR_KINDS: dict[AnchorKind, _AnchorTraits] = {
    "own_answers": _AnchorTraits(draws_answers=True, reads_a_reference=False, unused_settings=()),
    "kl": _AnchorTraits(),
    "kl_first_epoch": _AnchorTraits(keeps_first_epoch=True),
    "l2": _AnchorTraits(
        chooses_facts=False,
        reads_a_reference=False,
        unused_settings=("select", "share", "temperature", "per_epoch", "soft_targets"),
    ),
}


class AnchorConfig(Settings):
    """Holds a stage to what the model said before, where it is not to learn anything new."""

    kind: AnchorKind = "own_answers"
    """own_answers: facts are trained on with answers that the base model itself draws for them, others each epoch.

    kl: at the tokens of their targets, the distance of the next-token probabilities from the base model's is added to
    the loss: KL(base || trained). kl_first_epoch: the same from the model as it was after the stage's first epoch.
    l2: added is the squared distance of the adapter's weights from where the stage began.
    The base model is the one without the adapter that is trained, in every stage."""
    select: Expression = "now <= WeaklyKnown"
    """Expression that says which facts anchor the stage; those that it trains on anyway are left out."""
    share: _Part = 1.0
    """How many of the facts that match anchor the stage, as a share of them; drawn at random."""
    weight: Annotated[float, Field(gt=0.0)] = 1.0
    """What the anchor's part of the loss is multiplied by."""
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Temperature at which own answers are drawn; 1 is the model's own probability."""
    per_epoch: Annotated[int, Field(ge=1)] = 1
    """Own answers for a fact in an epoch, whose losses are averaged: more lower the noise, not the weight."""
    soft_targets: bool = False
    """At each token of an own answer all that the base model might have said counts, not only the token that it drew.

    On average the same gradient with less noise, for another pass of the base model over these facts."""

    @model_validator(mode="after")
    def _has_only_what_its_kind_uses(self) -> Self:
        for name in _ANCHOR_KINDS[self.kind].unused_settings:
            if getattr(self, name) != AnchorConfig.model_fields[name].default:
                raise ConfigError(f"kind {self.kind} has no use for `{name}`; leave it out, or choose another kind")
        return self

    @property
    def chooses_facts(self) -> bool:
        """Whether it is about some facts, those of `select`, and not about the weights."""
        return _ANCHOR_KINDS[self.kind].chooses_facts

    @property
    def draws_answers(self) -> bool:
        """Whether the base model draws answers for its facts, which become rows of the stage."""
        return _ANCHOR_KINDS[self.kind].draws_answers

    @property
    def reads_a_reference(self) -> bool:
        """Whether its loss asks another state of the model for its chances, in a pass of its own."""
        return _ANCHOR_KINDS[self.kind].reads_a_reference or self.soft_targets

    @property
    def keeps_first_epoch(self) -> bool:
        """Whether that state is the one after the stage's first epoch, and not the base model."""
        return _ANCHOR_KINDS[self.kind].keeps_first_epoch


class AbstainConfig(Settings):
    """Teaches a stage to say that it does not know."""

    select: Expression = "now == Unknown"
    """Expression that says for which facts; they need not be among those that the stage selects."""
    answer: OneLine = "I don't know"
    """Text that is trained on in the place of their targets."""
    share: _Part = 1.0
    """How many of the facts that match, as a share of them, drawn at random; the others are left as they are."""


class StageConfig(Settings):
    """One stage: what it trains on, and how."""

    EARLIER: ClassVar = {"anchor": None, "abstain": None, "activation_checkpointing": False}
    FORMER: ClassVar = {"placement": "mixed", "weighting": "none"}

    strategy: str | None = None
    """Named strategy (see `gradual plan --strategies`); sets `select` and `replay` unless they are given."""
    select: Expression | None = None
    """Expression over `first`, `before`, `now` (levels), `trained` and `promoted`: the facts to train on."""
    replay: ReplayConfig | None = None
    """Mastered facts mixed in; null: what the strategy says. A ratio of 0 switches the strategy's replay off."""
    as_many_as: Expression | None = None
    """Expression; of the facts that `select` matches, only as many are drawn, at random, as match this one."""
    stand_ins: StandInsConfig | None = None
    """Facts drawn at random besides, in the place of others that `select` leaves out."""
    learning_rate: Annotated[float, Field(gt=0.0, lt=1.0)] = 2e-4
    """Peak learning rate."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight decay of AdamW."""
    num_train_epochs: Annotated[int, Field(ge=1)] = 8
    """Most epochs; early stopping may end before."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps in place of epochs, rounded up to whole epochs; all of them are taken."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Facts per optimiser step, in whole packs."""
    early_stopping_patience: Annotated[int, Field(ge=1)] = 3
    """Epochs without a better validation score (see `keep_epoch`) before the stage stops."""
    keep_epoch: Literal["best_accuracy", "best_p", "best_risk_coverage", "last"] = "best_accuracy"
    """Which epoch's adapter is kept. best_accuracy: by greedy accuracy on the validation facts, ties by p.

    best_p: by their mean probability p of a right sampled answer, which one fact near a tie can't decide.
    best_risk_coverage: by the smallest area under their risk-coverage curve, so that errors are few and unsure; each
    epoch's scoring then computes confidence as well. last: all epochs are taken, and nothing is chosen."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "constant_with_warmup"
    """Course of the learning rate."""
    warmup_steps: Annotated[int, Field(ge=0)] = 3
    """Steps over which the learning rate rises to its peak."""
    num_shots: Annotated[int, Field(ge=0)] = 4
    """Solved facts before each training question, drawn anew every epoch; 0 trains on bare questions."""
    pack_size: Annotated[int, Field(ge=1)] = 8
    """Facts of one relation, at most `batch_size`, that share one drawn exemplar set in a training row."""
    max_grad_norm: Annotated[float, Field(gt=0.0)] = 1.0
    """Gradients are scaled down to this norm."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass in place of keeping them: less memory, the same gradients, about
    a third more time. `gradual plan` says what it saves."""
    max_unknown_share: ShareBelowOne | None = None
    """Largest share of Unknown facts, by the level now, among all that a stage trains on, in each relation.

    The surplus is left out, by a seeded draw. null: no limit."""
    anchor: AnchorConfig | None = None
    """Holds the stage to what the model said before; null: nothing does."""
    abstain: AbstainConfig | None = None
    """Facts that are trained on with a text that says so in the place of their targets; null: none."""

    @field_validator("strategy")
    @classmethod
    def _strategy_exists(cls, name: str | None) -> str | None:
        if name is not None:
            resolve_strategy(name, None, None)
        return name

    def resolve(self) -> Strategy:
        """What the stage trains on: the named strategy with `select` and `replay` in place of its own where given.

        Raises:
            ConfigError: the stage has neither a strategy nor a `select`.
        """
        own = self.replay
        replay = None if own is None else Replay(own.pool, own.ratio, own.of)
        stand_ins = None if self.stand_ins is None else StandIns(self.stand_ins.pool, self.stand_ins.as_many_as)
        return resolve_strategy(self.strategy, self.select, replay, as_many_as=self.as_many_as, stand_ins=stand_ins)


def check_stages(stages: Sequence[StageConfig]) -> None:
    """Refuses stages that can choose no facts.

    Raises:
        ConfigError: a stage has neither a strategy nor a `select`, the first one can match no fact, or one chooses only
            Unknown facts and limits their share.
    """
    problems: list[str] = []
    for index, stage in enumerate(stages):
        try:
            strategy = stage.resolve()
        except ConfigError as error:
            problems.append(f"stages[{index}]: {error}")
            continue
        select = strategy.select
        if stage.max_unknown_share is not None and strategy.chooses_only_unknown:
            problems.append(
                f"stages[{index}].max_unknown_share: `{select}` matches only Unknown facts, so none would be left - "
                "replay facts that are known, or set it to null"
            )
        if index == 0 and not can_match(select, first_stage=True):
            problems.append(
                f"stages[0]: `{select}` can match no fact in the first stage, where nothing is trained yet and "
                "`first`, `before` and `now` are the same level"
            )
        problems += _idle_parts(index, stage)
    if problems:
        raise ConfigError("\n".join(problems))


def _idle_parts(index: int, stage: StageConfig) -> Iterator[str]:
    """What is wrong with an anchor or a refusal of the first stage that can match no fact there."""
    anchor = stage.anchor.select if stage.anchor is not None and stage.anchor.chooses_facts else None
    abstain = None if stage.abstain is None else stage.abstain.select
    for name, select in (("anchor", anchor), ("abstain", abstain)):
        if index == 0 and select is not None and not can_match(select, first_stage=True):
            yield (
                f"stages[0].{name}.select: `{select}` can match no fact in the first stage, where nothing is "
                "trained yet"
            )
