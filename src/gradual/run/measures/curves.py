"""A run as curves over its stages: test accuracy, the chance of a right answer, confident errors, known training facts.

Knows the maps of a run; not who draws the curves (`training.trackers`).
"""

from __future__ import annotations

from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, KnowledgeMap, read_map
from gradual.run.folder import RunDir
from gradual.statistics.calibration import confidently_wrong


def curve_points(run: RunDir) -> list[dict[str, float]]:
    """A point for the base model and one for each stage after it, each the values by their names, all in [0, 1].

    Of test facts: `test_accuracy`, the share with a right greedy answer; `test_p`, the mean chance that a sampled one
    is right; `test_confidently_wrong`, the share answered wrongly with a confidence of at least 0.5, where that was
    asked. Of training facts: `highly_known`, the share that are HighlyKnown.

    Raises:
        RunDirError: a map is damaged.
    """
    points: list[dict[str, float]] = []
    while all((folder(len(points)) / MAP_FILE).is_file() for folder in (run.probe, run.evaluation)):
        stage = len(points)
        train = read_map(run.probe(stage), with_answers=False)
        points.append(_test_values(read_map(run.evaluation(stage), with_answers=False)))
        points[-1]["highly_known"] = train.levels()[Level.HIGHLY_KNOWN] / len(train)
    return points


def _test_values(known: KnowledgeMap) -> dict[str, float]:
    values = {
        "test_accuracy": sum(fact.p_greedy > 0 for fact in known) / len(known),
        "test_p": sum(fact.p_sampled for fact in known) / len(known),
    }
    if known.has_confidence:
        values["test_confidently_wrong"] = sum(confidently_wrong(answers_with_confidence(known)).values()) / len(known)
    return values
