"""Every setting of a run, its default, its legal range and its help text, in one place.

Knows no files: `yaml_file` reads and writes the YAML. Docstrings under the fields are the help text; there is no
second copy. Types are strict: a text is never taken for a number, nor a number for a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gradual.config.base import NonEmptyText, OneLine, Settings, ShareBelowOne
from gradual.config.model import ModelConfig
from gradual.config.stage import StageConfig, check_stages
from gradual.errors import ConfigError

CORE_ARMS = ("base", "one_stage", "same_steps", "natural_mix", "S2", "S5", "random_instead_of_promoted")
"""The arms without which nothing can be concluded."""


Column = Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=1)]
"""A column by name or path (`answer.aliases`, `answers.en[].text`), or by number in a table without a header."""

NO_COLUMN = "none"
"""In place of a column: there is none, and none is to be detected."""


class ColumnsConfig(Settings):
    """Which column holds what: a name, a path into it (`answers.en[].text`), or a number where there is no header.

    What is not given is detected; `none` says that there is no such column.
    """

    EARLIER: ClassVar = {"choices": None, "rewordings": None, "reverse_of": None}

    id: Column | None = None
    """Column of the fact's id; without one, ids are made from relation and question."""
    question: Column | dict[str, str] | None = None
    """Column of the question, or a template ("What is the {relation} of {subject}?"), or one for each relation."""
    answers: Column | Annotated[list[Column], Field(min_length=1)] | None = None
    """Column (or columns) of the accepted answers: one text or a list, the first being the one to train on."""
    relation: Column | None = None
    """Column of the relation, whose facts share exemplars; without one, questions are grouped by their wording."""
    subject: Column | None = None
    """Column of the entity asked about, which keeps facts about it from being in both train and test."""
    split: Column | None = None
    """Column that says train, validation, test or exemplars; without one, splits are made."""
    choices: Column | None = None
    """Column of the choices of a multiple-choice question, which are then asked below it, lettered."""
    rewordings: Column | Annotated[list[Column], Field(min_length=1)] | None = None
    """Column (or columns) of the question in other words, one text or a list (see `evaluation.transfer`)."""
    reverse_of: Column | None = None
    """Column of the id of the fact that a row asks the other way round (see `evaluation.transfer`)."""

    @property
    def are_numbers(self) -> bool:
        """Whether columns are given by number, as in a table without a header."""
        answers = self.answers if isinstance(self.answers, list) else [self.answers]
        return any(isinstance(each, int) for each in (self.id, self.question, *answers, self.relation, self.subject))

    @model_validator(mode="after")
    def _names_or_numbers(self) -> Self:
        answers = self.answers if isinstance(self.answers, list) else [self.answers]
        given = [each for each in (self.question, *answers, self.relation, self.subject, self.id) if each is not None]
        if self.are_numbers and any(isinstance(each, str) and each != NO_COLUMN and "{" not in each for each in given):
            raise ConfigError("columns: expected names, or numbers alone for a table without a header, found both")
        return self


KeepApart = Literal["subjects_and_answers", "subjects"]


class SplitsConfig(Settings):
    """How one file becomes train, validation, test and exemplars (ignored where the facts carry splits)."""

    EARLIER: ClassVar = {"keep_apart": "subjects_and_answers"}

    validation: ShareBelowOne = 0.15
    """Share of the facts held out for early stopping."""
    test: ShareBelowOne = 0.3
    """Share of the facts held out for the final score."""
    exemplars_per_relation: Annotated[int, Field(ge=2)] = 20
    """Facts of each relation set aside as shots; never trained on, never scored."""
    max_train_per_relation: Annotated[int, Field(ge=1)] | None = None
    """Keep at most this many training facts of a relation."""
    max_validation_per_relation: Annotated[int, Field(ge=1)] | None = None
    """Keep at most this many validation facts of a relation."""
    max_test_per_relation: Annotated[int, Field(ge=1)] | None = None
    """Keep at most this many test facts of a relation."""
    keep_apart: KeepApart = "subjects_and_answers"
    """What no training fact shares with a validation or test fact. subjects: its subject (without one, its answers).

    A frequent answer may then stand on both sides, so that test facts have the answers that training facts have."""

    @model_validator(mode="after")
    def _some_facts_are_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ConfigError(
                f"validation ({self.validation:g}) and test ({self.test:g}) leave nothing to train on; "
                "expected their sum to be less than 1"
            )
        return self


MISSING_WORDS = ["#N/A", "#NA", "N/A", "n/a", "<NA>", "NaN", "nan", "None", "NULL", "null"]


class FactsConfig(Settings):
    """Which facts, and how they are divided."""

    EARLIER: ClassVar = {
        "encoding": None,
        "delimiter": None,
        "answer_separator": None,
        "missing_words": MISSING_WORDS,
        "on_bad_row": "stop",
    }

    path: NonEmptyText | Annotated[list[NonEmptyText], Field(min_length=1)]
    """File (.jsonl, .json, .csv, .tsv, .parquet, also packed), several or a pattern, or folder (a saved data set ...);

    `hf:owner/name`; or `atlas`, which is embedded. From the current directory."""
    exemplars: str | None = None
    """Another file of facts to draw the shots from."""
    relations: list[str] | None = None
    """Keep only these relations."""
    out_of_distribution: list[str] | None = None
    """Relations that are never trained on and only scored, beside the test facts."""
    columns: ColumnsConfig = ColumnsConfig()
    """Names of the columns, where they are not detected."""
    encoding: str | None = None
    """Encoding of text files that are not UTF-8 (cp1252, gb18030 ...); UTF-16 is recognised by its mark."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What separates the fields of a table in text; null: found."""
    answer_separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between several answers in one text (";"); `none`: nothing does. null: a bar in CSV and TSV, and
    texts that look joined by a semicolon or slash are refused."""
    missing_words: list[str] = MISSING_WORDS
    """Texts that stand for a question or answer that is missing: such a row is a bad one."""
    on_bad_row: Literal["stop", "skip"] = "stop"
    """skip: rows that can't be facts are left out, counted, and kept in `facts_left_out.jsonl`."""
    splits: SplitsConfig = SplitsConfig()
    """How one file is divided."""

    @model_validator(mode="after")
    def _encoding_is_known(self) -> Self:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise ConfigError(
                    f'encoding: expected an encoding of text (utf-8, cp1252, gb18030 ...), found "{self.encoding}"'
                ) from None
        return self


class PromptConfig(Settings):
    """What stands before a question and before its answer in plain prompts."""

    question: NonEmptyText = "Q:"
    """A space follows, unless the mark ends with a full-width character, as the colon of Chinese texts."""
    answer: NonEmptyText = "A:"
    """As for the question."""


Refusals = list[OneLine]


class ProbeConfig(Settings):
    """How knowledge is measured; the defaults are SliCK's protocol."""

    EARLIER: ClassVar = {
        "confidence": False,
        "refusals": [],
        "prompt": PromptConfig(),
        "system_prompt": None,
        "chat_template_kwargs": {},
        "matching": "squad",
        "language": "en",
        "diacritics": "keep",
    }

    method: Literal["exact", "sampled"] = "exact"
    """exact: probabilities computed with bounds; sampled: the paper's protocol, drawn at random."""
    prompt_style: Literal["plain", "chat"] = "plain"
    """plain: `Q: ...` / `A: ...` lines; chat: the tokenizer's chat template, shots as turns.

    A template that writes today's date is always given 26 July 2024, so that a prompt is tomorrow what it is today."""
    prompt: PromptConfig = PromptConfig()
    """Marks of plain prompts, in the language of the facts."""
    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    """Turn of the system before chat prompts, of facts that have none of their own (chat records)."""
    chat_template_kwargs: dict[str, bool | int | float | str] = {}
    """Further arguments of the chat template, such as `enable_thinking: false`."""
    num_exemplar_sets: Annotated[int, Field(ge=1)] = 10
    """Exemplar sets per relation, shared by all its facts."""
    num_shots: Annotated[int, Field(ge=0)] = 4
    """Solved facts in an exemplar set."""
    num_samples: Annotated[int, Field(ge=1)] = 16
    """Sampled answers per fact and exemplar set (exact mode: the number that WeaklyKnown is defined by)."""
    temperature: Annotated[float, Field(gt=0.0)] = 0.5
    """Temperature of the sampled answers."""
    top_k: Annotated[int, Field(ge=2, le=1000)] = 40
    """Tokens kept for sampling: all whose logit is at least the k-th largest."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Nucleus kept for sampling, after top_k; 1.0 is off."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 16
    """Longest answer, in tokens; a longer one is cut there and judged as it stands."""
    tolerance: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-3
    """Exact mode searches until p_upper - p_lower is at most this."""
    near_tie_margin: Annotated[float, Field(ge=0.0)] = 0.05
    """Greedy verdicts decided by a smaller difference of logits are flagged."""
    greedy_answers: Literal["none", "first", "all"] = "first"
    """Exact mode writes out wrong greedy answers for no exemplar set, for the first, or for all (slower)."""
    matching: Literal["squad", "unicode"] = "squad"
    """What makes an answer right. squad: SQuAD's rule (lower case, no ASCII punctuation, no English articles).

    unicode: spellings of one answer in any script are the same; articles inside names and signs that change an answer
    (Vitamin A, 1.5, -40, C++) are kept."""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = "en"
    """With matching unicode: the answers' language (en, de, tr ...), whose articles, case and decimal comma count."""
    diacritics: Literal["keep", "fold"] = "keep"
    """With matching unicode: whether accents count (keep), or São Paulo is Sao Paulo (fold)."""
    levels_only: bool = False
    """Ask only until the level is settled: under fewer exemplar sets where these disagree, with loose bounds."""
    confidence: bool = False
    """Exact mode also tells how sure the model is of its greedy answers: the chance that a sampled answer is the same.

    Only exemplar sets whose greedy answers are written out (`greedy_answers`) have one."""
    refusals: Refusals = []
    """Texts that say that the model does not know, matched as answers are; exact mode also tells how likely they are.

    Empty: nothing is told of refusals."""

    @model_validator(mode="after")
    def _refusals_can_be_told(self) -> Self:
        if self.refusals and (self.method != "exact" or self.levels_only):
            raise ConfigError(
                f"refusals need method: exact and levels_only: false, found method: {self.method} and levels_only: "
                f"{str(self.levels_only).lower()}; change these, or set refusals to []"
            )
        return self

    @model_validator(mode="after")
    def _confidence_can_be_told(self) -> Self:
        if self.confidence and (self.method != "exact" or self.levels_only or self.greedy_answers == "none"):
            raise ConfigError(
                "confidence: true needs method: exact, levels_only: false and greedy_answers: first or all, found "
                f"method: {self.method}, levels_only: {str(self.levels_only).lower()} and greedy_answers: "
                f"{self.greedy_answers}; change these, or set confidence to false"
            )
        return self


class LoraSettings(Settings):
    """The adapter that is trained."""

    r: Annotated[int, Field(ge=1)] = 16
    """Rank of the adapter."""
    lora_alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale of the adapter: its output is multiplied by lora_alpha / r."""
    lora_dropout: ShareBelowOne = 0.0
    """Share of the adapter's inputs dropped in training."""
    target_modules: str | list[str] = "all-linear"
    """Layers that get an adapter."""


TransferForm = Literal["rewordings", "reverse", "zero_shot", "chat"]
"""Another form of a question, that nothing is trained in."""


class EvaluationConfig(Settings):
    """How accuracy is scored."""

    EARLIER: ClassVar = {
        "confidence": False,
        "refusals": [],
        "transfer": [],
        "drift": False,
        "drift_text": None,
        "lm_eval": [],
        "lm_eval_limit": None,
        "lm_eval_tasks": None,
    }
    FORMER: ClassVar = {"zero_shot": False}
    IN_THEIR_PLACE: ClassVar = {"zero_shot": "transfer: [zero_shot]"}

    exemplar_seed: int = 42
    """Seed of the one fixed exemplar set per relation that validation and test use."""
    confidence: bool = True
    """Compute how sure the model is of its greedy answers to test facts (see `probe.confidence`)."""
    refusals: Refusals = ["I don't know", "I do not know"]
    """Answers that say that the model does not know: neither right nor wrong (see `probe.refusals`); empty: none are.

    What a stage teaches to say (`abstain.answer`) is one of them, whether it stands here or not."""
    transfer: list[TransferForm] = []
    """Ask test facts, and training facts that became HighlyKnown, in other forms too, before and after training.

    rewordings: their other wordings; reverse: the fact that asks them the other way; zero_shot: without shots;
    chat: the same shots as turns of the chat template."""
    drift: bool = True
    """Tell how far training moves the model on what it was not trained on: KL from the base model, and perplexity."""
    drift_text: str | None = None
    """Text file that drift is measured on, read up to 2048 tokens; null: a text that comes with gradual."""
    lm_eval: list[NonEmptyText] = []
    """Tasks of lm-evaluation-harness to score the base model on, and the model after each stage (extra `lm-eval`)."""
    lm_eval_limit: Annotated[int, Field(ge=1)] | None = None
    """Only so many examples of each of these tasks, the first ones; null: all."""
    lm_eval_tasks: str | None = None
    """Folder with tasks of your own, in the harness's YAML; they are code, so they need `--trust-remote-code`."""
    protocol: Literal["validation", "paper"] = "validation"
    """What a stage's best epoch is chosen on; paper: on the test facts, as the paper did, which flatters the result."""


class ArmConfig(Settings):
    """One way to train that is compared with others."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the arm, and of its folder."""
    doc: str = ""
    """One line for people."""
    stages: list[StageConfig] = []
    """Settings of each stage that differ from the config's stage of that place (beyond its last one: from the last).

    A stage that names another strategy or `select` takes over nothing of the config's own choice of facts."""
    same_steps_as: str | None = None
    """Name of another arm: the last stage takes as many optimiser steps as bring the total to that arm's."""
    max_stages: Annotated[int, Field(ge=1)] | None = None
    """Repeat the last stage until nothing is gained any more, up to so many stages in all."""


class CompareConfig(Settings):
    """What `gradual compare` compares, and how often."""

    arms: list[str] = list(CORE_ARMS)
    """Names of built-in arms (see `gradual compare --list-arms`)."""
    own_arms: list[ArmConfig] = []
    """Arms of one's own, compared as well."""
    num_seeds: Annotated[int, Field(ge=1)] = 3
    """Times that each arm is trained, with training seeds counted up from `seed`; facts and exemplars stay."""
    redraw_exemplars: bool = False
    """Draw the exemplars anew with each seed as well."""
    main: str = "S5"
    """Arm that the question is about."""
    reference: str = "same_steps"
    """Arm that the others are held against, besides the base model."""
    num_retested: Annotated[int, Field(ge=0)] = 160
    """Training facts that are probed again under the base model, to know how much levels change by themselves.

    `again` takes the whole units of a probe that hold as many: on a GPU often all facts."""


class RunConfig(Settings):
    """All of a run."""

    model: ModelConfig
    """The model to probe and fine-tune."""
    facts: FactsConfig
    """The facts to teach."""
    probe: ProbeConfig = ProbeConfig()
    """How knowledge is measured."""
    lora: LoraSettings = LoraSettings()
    """The adapter that is trained."""
    stages: Annotated[list[StageConfig], Field(min_length=1)] = [
        StageConfig(strategy="maybe_known"),
        StageConfig(strategy="S5", learning_rate=1.5e-4, weight_decay=0.01, num_train_epochs=4),
    ]
    """The stages, in order; the paper has two."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """How accuracy is scored."""
    seed: int = 42
    """Everything random in a run comes from this number."""
    training_seed: int | None = None
    """Seed of training alone: the adapter's start, the order of facts and every draw of them; null: `seed`."""
    exemplar_seed: int | None = None
    """Seed of the probe's exemplar sets alone; null: `seed`."""
    compare: CompareConfig = CompareConfig()
    """What `gradual compare` compares; `fit` does not look at it."""
    report_to: list[str] = []
    """Experiment trackers, for curves by epoch and by stage (any that transformers knows: trackio, wandb ...)."""

    @property
    def seed_of_training(self) -> int:
        """The seed that training uses."""
        return self.seed if self.training_seed is None else self.training_seed

    @property
    def seed_of_exemplars(self) -> int:
        """The seed that the probe's exemplar sets are drawn with."""
        return self.seed if self.exemplar_seed is None else self.exemplar_seed

    @model_validator(mode="after")
    def _stages_can_select(self) -> Self:
        check_stages(self.stages)
        return self

    @model_validator(mode="after")
    def _transfer_is_another_form(self) -> Self:
        transfer = self.evaluation.transfer
        if len(set(transfer)) < len(transfer):
            raise ConfigError(f"evaluation.transfer: expected each form once, found {', '.join(transfer)}")
        for form, is_usual, setting in (
            ("chat", self.probe.prompt_style == "chat", "prompt_style: chat"),
            ("zero_shot", self.probe.num_shots == 0, "num_shots: 0"),
        ):
            if form in transfer and is_usual:
                raise ConfigError(
                    f"evaluation.transfer: expected other forms than the usual one, found {form} and probe.{setting} - "
                    f"leave {form} out"
                )
        return self

    @model_validator(mode="after")
    def _relations_have_one_purpose(self) -> Self:
        both = sorted(set(self.facts.relations or ()) & set(self.facts.out_of_distribution or ()))
        if both:
            raise ConfigError(
                f"facts.out_of_distribution: {', '.join(both)} also stand in facts.relations, which are trained on; "
                "leave them in one of the two"
            )
        return self


def evaluation_settings(config: RunConfig) -> ProbeConfig:
    """How validation and test facts are asked: as in the probe, but exactly and under one exemplar set."""
    changes = {"num_exemplar_sets": 1, "method": "exact", "levels_only": False, "greedy_answers": "first"}
    changes |= {"confidence": config.evaluation.confidence}
    changes |= {"refusals": with_taught_refusals(config.evaluation.refusals, config.stages)}
    return config.probe.model_copy(update=changes)


def with_taught_refusals(refusals: Sequence[str], stages: Iterable[StageConfig]) -> list[str]:
    """The refusals with those that stages teach, each once."""
    return list(dict.fromkeys([*refusals, *(stage.abstain.answer for stage in stages if stage.abstain is not None)]))
