"""Which answers are the same answer as a greedy one: equal to it after the matcher's normalisation.

The rule is that of right answers (`facts.matching`), with the model's own answer as the target. Knows texts only.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.facts.matching import ARTICLES, SQUAD, Matching, Targets

_ENDS_OF_ARTICLES = frozenset(article[start:] for article in ARTICLES for start in range(len(article) + 1))
"""What may be missing of an article that has been begun, the empty text included."""


@dataclass(frozen=True)
class NothingSaid:
    """Stands for `Targets` where the rule leaves nothing of the greedy answer: an empty line or `.`, say.

    `Targets` compares such answers as they stand; here any two of them are the same answer.
    """

    matching: Matching = SQUAD

    def accepts(self, answer: str) -> bool:
        """Whether a finished answer says nothing as well."""
        return not self.matching.normalise(answer)

    def is_alive(self, text: str) -> bool:
        """Whether some continuation of `text` (the empty one included) says nothing: only an article can be begun.

        Under `squad` exactly if one does; under `unicode` a begun article counts as alive, whatever the signs in it.
        """
        rule = self.matching.unicode_rule
        if rule is None:
            return any(self.accepts(text + end) for end in _ENDS_OF_ARTICLES)
        return self.accepts(text) or rule.is_alive(text, rule.beginnings([""]))


def same_answer(greedy_answer: str, matching: Matching) -> Targets | NothingSaid:
    """What accepts exactly the answers that are the same as a greedy one under the rule that the probe is set to."""
    return Targets((greedy_answer,), matching) if matching.normalise(greedy_answer) else NothingSaid(matching)
