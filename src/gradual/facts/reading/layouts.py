"""The layouts of published data sets and common exports: by which fields they are known, and what their fields mean.

A table. A new layout is one entry; roles that an entry leaves open are detected by name like those of any file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from gradual.facts.problems import quote
from gradual.facts.reading.chats import is_chat, last_text, number_of_turns, read_chat
from gradual.facts.reading.selectors import ABSENT, find_path, first_column
from gradual.facts.sources.part import Part

_SAMPLE_ROWS = 5
_MASK = re.compile(r"\[MASK\]|<mask>|\[Y\]|\[mask\]")
_BLANK = "___"
_SEMPRE_ANSWER = re.compile(r'\(description (?:"([^"]*)"|([^")]+))\)')
"""An answer of the original WebQuestions: (list (description "Paris") (description Rome))."""

Change = Callable[[Mapping[str, object]], "dict[str, object] | str"]
"""Makes a row of fields called as usual out of one of the layout; or says what keeps it from being a fact."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one data set are to be read; None: by the usual names."""

    name: str
    needs: tuple[str, ...]
    """Paths that its first rows have; of several layouts that fit, the first of the table counts."""
    is_it: Callable[[Mapping[str, object]], bool] = lambda _row: True
    """What else must be so in a row that has the paths."""
    change: Change | None = None
    """Done to each row before its fields are looked for; the row then has `question` and `answers`."""
    question: str | tuple[str, ...] | None = None
    """A path or template; of several paths the texts make one question, a line each."""
    answers: tuple[str, ...] | None = None
    relation: str | None = None
    """Empty: a column that looks like one is none."""
    subject: str | None = None
    id: str | None = None
    separator: str = ""
    """Between several answers in one text."""
    leaves_out_unanswered: bool = False
    """Questions without an answer belong to the data set, and are left out with their number."""
    repeats: str = ""
    """What becomes of a question that stands there with other answers: leave out, merge, or (empty) it is an error."""
    refusal: tuple[str, str] | None = None
    """Rows of this layout can't be facts: what they are, and what to do."""

    def fits(self, row: Mapping[str, object]) -> bool:
        """Whether a row is of this layout."""
        return all(find_path(row, path) is not ABSENT for path in self.needs) and self.is_it(row)


# How single rows are changed


def _chat(column: str) -> Change:
    return lambda row: read_chat(row, column)


def _turns_beside(prompt: str, answer: str) -> Change:
    """A prompt that is a list of turns, beside an answer that is text or a list of turns."""

    def change(row: Mapping[str, object]) -> dict[str, object] | str:
        if is_chat(row.get(prompt)) and number_of_turns(row[prompt]) != 1:
            return f"a conversation of {number_of_turns(row[prompt]) + 1} turns"
        question = last_text(row.get(prompt), "user")
        system = last_text(row.get(prompt), "system") if is_chat(row.get(prompt)) else None
        return {**row, "question": question, "answers": last_text(row.get(answer), "assistant"), "system": system or ""}

    return change


def _counterfact(row: Mapping[str, object]) -> dict[str, object] | str:
    prompt, subject = find_path(row, "requested_rewrite.prompt"), find_path(row, "requested_rewrite.subject")
    question = prompt.replace("{}", subject) if isinstance(prompt, str) and isinstance(subject, str) else None
    return {**row, "question": question}


def _cloze(row: Mapping[str, object]) -> dict[str, object] | str:
    """A sentence of LAMA or ParaRel with a blank where the answer stands."""
    sentence = next(
        (row[name] for name in ("masked_sentence", "masked_sentences", "pattern", "template") if name in row), None
    )
    sentence = sentence[0] if isinstance(sentence, list) and sentence else sentence
    if not isinstance(sentence, str):
        return {**row, "question": sentence}
    subject = row.get("sub_label")
    text = sentence.replace("[X]", subject) if isinstance(subject, str) else sentence
    return {**row, "question": _MASK.sub(_BLANK, text)}


def _webquestions(row: Mapping[str, object]) -> dict[str, object] | str:
    matches = _SEMPRE_ANSWER.findall(str(row.get("targetValue", "")))
    return {**row, "answers": [quotation or bare for quotation, bare in matches]}


def _has_turns(column: str) -> Callable[[Mapping[str, object]], bool]:
    return lambda row: is_chat(row.get(column))


def _alone(row: Mapping[str, object]) -> dict[str, object] | str:
    """An instruction that does not go on from earlier turns."""
    history = row.get("history")
    return f"a conversation of {2 * len(history) + 2} turns" if isinstance(history, list) and history else {**row}


_CLOZE = ("obj_label", "sub_label")
_SENTENCES = (
    "the layout of WikiQA, whose answers are sentences of documents, right and wrong ones",
    "write a short answer for each question, which can be compared exactly",
)

LAYOUTS = (
    Layout("chat records", ("messages",), _has_turns("messages"), _chat("messages")),
    Layout("chat records", ("conversations",), _has_turns("conversations"), _chat("conversations")),
    Layout("preferences (DPO)", ("prompt", "chosen", "rejected"), change=_turns_beside("prompt", "chosen"),
           relation=""),
    Layout("prompts and completions of chats", ("prompt", "completion"), _has_turns("prompt"),
           _turns_beside("prompt", "completion")),
    Layout("instructions (Alpaca)", ("instruction", "output"), change=_alone, question=("instruction", "input"),
           answers=("output",)),
    Layout("instructions (Dolly)", ("instruction", "response"), question=("instruction", "context"),
           answers=("response",), relation=""),
    Layout("SimpleQA", ("problem", "answer", "metadata"), question="problem", answers=("answer",)),
    Layout("PopQA", ("question", "possible_answers", "subj", "prop", "obj")),
    Layout("TriviaQA", ("question", "answer.aliases", "answer.value"), repeats="leave out"),
    Layout("TriviaQA", ("Question", "Answer.Value"), answers=("Answer.Value", "Answer.Aliases"), id="QuestionId",
           repeats="leave out"),
    Layout("KILT", ("input", "output"), lambda row: isinstance(row["output"], list), answers=("output[].answer",),
           leaves_out_unanswered=True, repeats="leave out"),
    Layout("WebQuestions", ("utterance", "targetValue"), change=_webquestions, question="utterance",
           answers=("answers",)),
    Layout("FreebaseQA", ("RawQuestion", "Parses"), question="RawQuestion",
           answers=("Parses[].Answers[].AnswersName[]",), id="Question-ID", repeats="merge"),
    Layout("Mintaka", ("question", "answer.mention"), answers=("answer.mention", "answer.answer[].label.en"),
           leaves_out_unanswered=True),
    Layout("Mintaka", ("question", "answerText", "complexityType"), answers=("answerText",),
           leaves_out_unanswered=True),
    Layout("MKQA in English (facts.columns.question and .answers name another language)",
           ("queries.en", "answers.en"), question="queries.en", answers=("answers.en[].text", "answers.en[].aliases[]"),
           id="example_id", leaves_out_unanswered=True),
    Layout("TruthfulQA", ("Question", "Best Answer", "Correct Answers"), question="Question",
           answers=("Best Answer", "Correct Answers"), relation="", separator=";"),
    Layout("TruthfulQA", ("question", "best_answer", "correct_answers"), question="question",
           answers=("best_answer", "correct_answers"), relation=""),
    Layout("CounterFact", ("requested_rewrite.prompt", "requested_rewrite.target_true.str"), change=_counterfact,
           question="question", answers=("requested_rewrite.target_true.str",),
           relation="requested_rewrite.relation_id", subject="requested_rewrite.subject", id="case_id",
           repeats="leave out"),
    Layout("LAMA", ("obj_label", "masked_sentence"), change=_cloze, question="question", answers=("obj_label",),
           relation="predicate_id", subject="sub_label", id="uuid", repeats="leave out"),
    Layout("LAMA", ("obj_label", "masked_sentences"), change=_cloze, question="question", answers=("obj_label",),
           relation="predicate_id", subject="sub_label", id="uuid", repeats="leave out"),
    Layout("ParaRel", (*_CLOZE, "pattern"), change=_cloze, question="question", answers=("obj_label",),
           subject="sub_label", relation="predicate_id", repeats="leave out"),
    Layout("LAMA", (*_CLOZE, "template"), change=_cloze, question="question", answers=("obj_label",),
           subject="sub_label", relation="predicate_id", repeats="leave out"),
    Layout("HotpotQA", ("question", "answer", "supporting_facts", "level"), relation="", repeats="leave out"),
    Layout("SQuAD", ("question", "answers", "is_impossible"), leaves_out_unanswered=True, repeats="leave out"),
    Layout("SQuAD", ("question", "answers.text", "answers.answer_start"), leaves_out_unanswered=True,
           repeats="leave out"),
    Layout("Jeopardy", ("Category", "Question", "Answer", "Round"), relation="Category", repeats="leave out"),
    Layout("Jeopardy", ("category", "question", "answer", "round"), relation="category", repeats="leave out"),
    Layout("Open Trivia DB", ("question", "correct_answer", "incorrect_answers"), answers=("correct_answer",),
           relation="category"),
    Layout("WikiQA", ("question", "answer", "label", "document_title"), refusal=_SENTENCES),
    Layout("WikiQA", ("Question", "Sentence", "Label", "DocumentTitle"), refusal=_SENTENCES),
)  # fmt: skip
"""Known by their fields, the more telling ones first."""


def layout_of(part: Part) -> Layout | None:
    """The published layout that the first rows of a part have; None for a layout of its user's own."""
    columns = set(part.columns)
    possible = [each for each in LAYOUTS if all(first_column(path, columns) for path in each.needs)]
    if not possible:
        return None
    column_names = sorted({first_column(path, columns) for each in possible for path in each.needs})
    rows = [row.values for row in islice(part.read(column_names), _SAMPLE_ROWS)]
    return next((each for each in possible if any(each.fits(row) for row in rows)), None)


def describe_layout(part: str, layout: Layout, roles: Sequence[tuple[str, str]]) -> str:
    """The line that says how a part is read: its layout and which column plays which role."""
    return f"{part}: read as {layout.name} ({', '.join(f'{role}: {quote(name)}' for role, name in roles)})"
