"""Which answers are the same answer as a greedy one: equal to it after the matcher's normalisation.

The rule is that of right answers (`facts.matching`), with the model's own answer as the target. Knows texts only.
"""

from __future__ import annotations

from gradual.facts.matching import ARTICLES, Targets, normalise

_ENDS_OF_ARTICLES = frozenset(article[start:] for article in ARTICLES for start in range(len(article) + 1))
"""What may be missing of an article that has been begun, the empty text included."""


class NothingSaid:
    """Stands for `Targets` where the greedy answer normalises to nothing: an empty line, `.`, or articles alone.

    `Targets` accepts no such answer, since it is never right; but two of them are the same answer.
    """

    def accepts(self, answer: str) -> bool:
        """Whether a finished answer says nothing as well."""
        return not normalise(answer)

    def is_alive(self, text: str) -> bool:
        """Whether some continuation of `text` (the empty one included) says nothing: only an article can be begun."""
        return any(not normalise(text + rest) for rest in _ENDS_OF_ARTICLES)


def same_answer(greedy_answer: str) -> Targets | NothingSaid:
    """What accepts exactly the answers that are the same as a greedy one."""
    return Targets((greedy_answer,)) if normalise(greedy_answer) else NothingSaid()
