"""Chat records as rows: the last user turn is asked, the assistant's turn behind it is the answer."""

from __future__ import annotations

from collections.abc import Mapping

ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "model": "assistant",
         "system": "system"}  # fmt: skip
"""What speakers are called in the wild (OpenAI, ShareGPT, Gemini), and here."""


def is_chat(value: object) -> bool:
    """Whether a value is a list of turns: objects of a role and a text, under the names of OpenAI or ShareGPT."""
    return isinstance(value, list) and bool(value) and all(_turn(each) is not None for each in value)


def read_chat(values: Mapping[str, object], column: str) -> dict[str, object] | str:
    """A row with `question`, `answers` and `system`; or what the conversation is instead of one question and answer.

    The system's turn may stand beside the others, in a column `system`.
    """
    turns = [turn for each in _as_list(values.get(column)) if (turn := _turn(each)) is not None]
    system = "\n".join(text for role, text in turns if role == "system")
    spoken = [turn for turn in turns if turn[0] != "system"]
    if [role for role, _ in spoken] != ["user", "assistant"]:
        return f"a conversation of {len(spoken)} turns" if len(spoken) != 2 else "turns in another order"
    return {**values, "question": spoken[0][1], "answers": spoken[1][1], "system": system or values.get("system")}


def last_text(value: object, role: str) -> object:
    """The text of the last turn of a role in a list of turns; the value itself where it is no such list."""
    if not is_chat(value):
        return value
    texts = [text for each in _as_list(value) if (turn := _turn(each)) and turn[0] == role for text in [turn[1]]]
    return texts[-1] if texts else None


def number_of_turns(value: object) -> int:
    """Turns of a list of turns, the system's not counted."""
    return sum(1 for each in _as_list(value) if (turn := _turn(each)) and turn[0] != "system")


def _turn(value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    role = ROLES.get(str(value.get("role", value.get("from", ""))).lower())
    content = value.get("content", value.get("value"))
    if isinstance(content, list):  # parts, of which the texts count
        content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return (role, content) if role and isinstance(content, str) else None


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
