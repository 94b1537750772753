"""The arms of a comparison: named ways to train, as data, and the settings of the runs that they stand for.

Knows settings only; `comparison.compare` makes the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.config.run import ArmConfig, CompareConfig, RunConfig
from gradual.config.stage import AbstainConfig, AnchorConfig, StageConfig, check_stages
from gradual.errors import ConfigError
from gradual.text import did_you_mean

BASE = "base"
"""The arm that trains nothing."""

_CHOICE_OF_FACTS = (
    *("strategy", "select", "replay", "as_many_as", "stand_ins", "max_unknown_share"),
    *("anchor", "abstain"),
)
_TWICE = "occurs twice; give each arm a name of its own"
_GUARD = 0.5
"""Share of Unknown facts that the arm `guarded` allows a relation."""


_DEFAULT = StageConfig()
_OWN_ANSWERS = AnchorConfig(kind="own_answers")
_ANCHORED: tuple[tuple[str, str, list[StageConfig]], ...] = (
    (
        "own_answers",
        "One stage, and the base model's own answers for what is WeaklyKnown or Unknown.",
        [StageConfig(anchor=_OWN_ANSWERS)],
    ),
    (
        "S5_own_answers",
        "S5, and in both stages the base model's own answers for what is WeaklyKnown or Unknown.",
        [StageConfig(anchor=_OWN_ANSWERS), StageConfig(strategy="S5", anchor=_OWN_ANSWERS)],
    ),
    (
        "all_own_answers",
        "One stage on every fact that is not Unknown, and the base model's own answers for the Unknown.",
        [StageConfig(select="now != Unknown", anchor=AnchorConfig(select="now == Unknown"))],
    ),
    (
        "kl_anchor",
        "One stage, held to the base model (kl) where facts are WeaklyKnown or Unknown.",
        [StageConfig(anchor=AnchorConfig(kind="kl"))],
    ),
    (
        "abstain_unknown",
        "One stage that teaches to say so where facts are Unknown.",
        [StageConfig(abstain=AbstainConfig())],
    ),
    (
        "S5_then_abstain",
        "S5, and a third stage like it that teaches to say so where facts are Unknown still.",
        [StageConfig(), StageConfig(strategy="S5"), StageConfig(strategy="S5", abstain=AbstainConfig())],
    ),
)
"""Arms that hold the model to what it said before, or teach it to say that it does not know: name, what, stages."""


def _built_in_arm(
    name: str, doc: str, *strategies: str | None, same_steps_as: str | None = None, max_stages: int | None = None
) -> ArmConfig:
    stages = [StageConfig() if strategy is None else StageConfig(strategy=strategy) for strategy in strategies]
    return ArmConfig(name=name, doc=doc, stages=stages, same_steps_as=same_steps_as, max_stages=max_stages)


ARMS: dict[str, ArmConfig] = {
    arm.name: arm
    for arm in (
        _built_in_arm(BASE, "The model as it came."),
        _built_in_arm("one_stage", "The config's first stage alone.", None),
        _built_in_arm(
            "same_steps", "Control: the first stage alone, with as many steps as S5.", None, same_steps_as="S5"
        ),
        _built_in_arm(
            "natural_mix", "Control: one stage on facts of any level, as many as are MaybeKnown.", "natural_mix"
        ),
        _built_in_arm("all_facts", "Control: one stage on every fact.", "all"),
        _built_in_arm("S1", "Second stage: the first stage's facts again.", None, "S1"),
        _built_in_arm("S2", "Second stage: MaybeKnown now and not promoted.", None, "S2"),
        _built_in_arm("S3", "Second stage: S2 and what was promoted from WeaklyKnown.", None, "S3"),
        _built_in_arm("S4", "Second stage: all that is MaybeKnown now.", None, "S4"),
        _built_in_arm("S5", "Second stage: all that is MaybeKnown now, with replay; the paper's best.", None, "S5"),
        _built_in_arm(
            "random_instead_of_promoted",
            "Control: S5 with unlearned facts at random in the place of the promoted.",
            None,
            "random_instead_of_promoted",
        ),
        _built_in_arm("no_new_look", "Control: a second stage chosen by the levels at the start.", None, "no_new_look"),
        _built_in_arm("highly_known", "Control: one stage on HighlyKnown facts.", "highly_known"),
        _built_in_arm(
            "weakly_known", "Control: one stage on WeaklyKnown facts, as many as are MaybeKnown.", "weakly_known"
        ),
        _built_in_arm("unknown", "Control: one stage on Unknown facts, as many as are MaybeKnown.", "unknown"),
        ArmConfig(
            name="guarded",
            doc="One stage on every fact, but with at most half of a relation's facts Unknown.",
            stages=[StageConfig(strategy="all", max_unknown_share=_GUARD)],
        ),
        _built_in_arm("all_then_S5", "Two stages: every fact, then S5.", "all", "S5"),
        _built_in_arm(
            "maybe_and_weakly_known",
            "Second stage: all that is MaybeKnown or WeaklyKnown now, with replay.",
            None,
            "maybe_and_weakly_known",
        ),
        _built_in_arm("three_stages", "S5 twice: a third stage after another look.", None, "S5", "S5"),
        *(ArmConfig(name=name, doc=doc, stages=stages) for name, doc, stages in _ANCHORED),
        _built_in_arm("rounds", "S5 again and again until nothing is gained.", None, "S5", max_stages=5),
    )
}
"""The arms that are built in. Every one starts from the config's own stages."""


@dataclass(frozen=True)
class Arm:
    """One way to train, worked out for a config."""

    name: str
    doc: str
    stages: tuple[StageConfig, ...]
    """Empty: the base model."""
    same_steps_as: str | None
    max_stages: int | None


def resolve_arms(config: RunConfig, names: Sequence[str] | None = None) -> list[Arm]:
    """The arms to compare, in the order given.

    Args:
        config: settings; `config.compare` says which arms.
        names: take these of the config's own and the built-in arms instead.

    Raises:
        ConfigError: an arm does not exist, occurs twice, or can choose no facts; all problems at once, a line each.
    """
    compare = config.compare
    own = {arm.name: arm for arm in compare.own_arms}
    wanted = list(names) if names is not None else [*compare.arms, *(arm.name for arm in compare.own_arms)]
    known = ARMS | own
    name_problems = _name_problems([arm.name for arm in compare.own_arms])
    repeated = [name for name in _repeated_names(wanted) if name not in name_problems]
    problems = [f'compare.own_arms: "{name}" {what}' for name, what in name_problems.items()]
    problems += [f'compare.arms: "{name}" {_TWICE}' for name in repeated]
    if not wanted:
        problems.append("compare.arms: expected at least one arm, found none")
    if set(wanted) == {BASE} and BASE not in own:
        problems.append(f'compare.arms: "{BASE}" alone trains nothing; add an arm, such as one_stage')
    problems += [_unknown_arm("compare.arms", name, known) for name in wanted if name not in known]
    chosen = [known[name] for name in dict.fromkeys(wanted) if name in known]
    problems += [problem for arm in chosen for problem in _problems_of(arm, wanted, config)]
    named = (("compare.main", compare.main), ("compare.reference", compare.reference))
    trained = {name: arm for name, arm in known.items() if name != BASE}
    problems += [_unknown_arm(setting, name, trained) for setting, name in named if name not in known]
    problems += [
        f'{setting}: "{BASE}" trains nothing, and every arm is held against it anyway; name another arm'
        for setting, name in named
        if name == BASE
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return [Arm(arm.name, arm.doc, resolved_stages(arm, config), arm.same_steps_as, arm.max_stages) for arm in chosen]


def check_comparison(arms: Sequence[Arm], compare: CompareConfig) -> list[str]:
    """What a reader should know before hours of training: tests that cannot be made with these arms and seeds."""
    names = [arm.name for arm in arms]
    found = [
        f'"{name}" ({role}) is not among the arms, so nothing is held against it; add it, or set {role} to one that is'
        for role, name in (("compare.reference", compare.reference), ("compare.main", compare.main))
        if name not in names
    ]
    if compare.main == compare.reference:
        found = [f'"{compare.main}" is both compare.main and compare.reference; it is not held against itself']
    found += [
        f'"{arm.name}" (compare.own_arms) is left out, as the arms named do not include it'
        for arm in compare.own_arms
        if arm.name not in names
    ]
    if compare.num_seeds < 2:
        found.append("one seed: differences that training alone makes cannot be told from those of the arms")
    return found


def _repeated_names(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _name_problems(own: Sequence[str]) -> dict[str, str]:
    """What is wrong with a name that another arm has as well, by name."""
    built_in = {name: "is a built-in arm; give yours another name" for name in own if name in ARMS}
    return _alike(own) | dict.fromkeys(_repeated_names(own), _TWICE) | built_in


def _alike(own: Sequence[str]) -> dict[str, str]:
    """Names that differ from an earlier one in case alone: on some disks their folders would be one."""
    earlier, found = {name.casefold(): name for name in ARMS}, {}
    for name in own:
        other = earlier.setdefault(name.casefold(), name)
        if other != name:
            found[name] = f'differs from "{other}" in case alone; give it another name'
    return found


def _unknown_arm(setting: str, name: str, known: Mapping[str, ArmConfig]) -> str:
    hint = did_you_mean(name, known) or f"; expected one of {', '.join(known)}"
    return f'{setting}: unknown arm "{name}"{hint}'


def _problems_of(arm: ArmConfig, wanted: Sequence[str], config: RunConfig) -> list[str]:
    measure, problems = arm.same_steps_as, []
    known = ARMS | {each.name: each for each in config.compare.own_arms}
    measures = {name: each for name, each in known.items() if name != BASE and each.same_steps_as is None}
    if measure == arm.name:
        problems.append("takes as many steps as itself; name another arm")
    elif measure is not None and measure not in known:
        problems.append(_unknown_arm("same_steps_as", measure, measures))
    elif measure is not None and measure not in measures:
        problems.append(f'takes as many steps as "{measure}", which has no number of its own; name another arm')
    elif measure is not None and measure not in wanted:
        problems.append(f'takes as many steps as "{measure}", which is not among the arms; add it')
    if not arm.stages and arm.name != BASE:
        problems.append("has no stages; give at least one")
    if arm.max_stages is not None and measure is not None:
        problems.append("has both max_stages and same_steps_as; leave one of the two out")
    if arm.max_stages is not None and arm.max_stages < len(arm.stages):
        problems.append(f"has {len(arm.stages)} stages, and max_stages is {arm.max_stages}; raise it")
    if arm.max_stages is not None and not config.compare.num_retested:
        problems.append("goes on until a round gains no more than a retest; set compare.num_retested to more than 0")
    try:
        if arm.stages:
            check_stages(resolved_stages(arm, config))
    except ConfigError as error:
        problems += str(error).splitlines()
    return [f'compare.arms: "{arm.name}": {problem}' for problem in problems]


def resolved_stages(arm: ArmConfig, config: RunConfig) -> tuple[StageConfig, ...]:
    """The arm's stages: what it says itself, else what the config's stage of that place says."""
    stages = []
    for index, own in enumerate(arm.stages):
        start = config.stages[min(index, len(config.stages) - 1)]
        changes = {name: getattr(own, name) for name in own.model_fields_set}
        is_other = (own.strategy, own.select) != (start.strategy, start.select)
        if changes.keys() & {"strategy", "select"} and is_other:
            changes = {name: getattr(_DEFAULT, name) for name in _CHOICE_OF_FACTS} | changes
        stages.append(start.model_copy(update=changes))
    return tuple(stages)
