"""A run folder with made-up but consistent numbers, whole or cut off after any step, for tests of the report.

Every fact gets one level per probe and one test verdict per stage; all tables are counted from those, so sums agree.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradual.knowledge.answer_quality import answer_quality
from gradual.knowledge.levels import Level
from gradual.run.summary.quality import answer_scores, risk_points
from gradual.run.summary.quality_file import StageQuality
from gradual.statistics.calibration import AnsweredFact, confidently_wrong

LEVELS = tuple(Level)
RELATIONS = tuple(
    f"{thing} of a {place}"
    for thing in ("capital", "currency", "continent", "demonym", "domain")
    for place in ("country", "state", "region", "territory")
)
TRAIN, TEST = 30, 25
"""Training and test facts per relation."""

Json = dict[str, object]


def wilson(correct: int, total: int) -> Json:
    """The accuracy with its Wilson 95 % interval, as `summary.json` holds it."""
    z, share = 1.959964, correct / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return {"accuracy": share, "low": middle - half, "high": middle + half, "correct": correct, "total": total}


def exact_mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p-value."""
    changed = gained + lost
    tail: float = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1)) / 2**changed
    return min(1.0, 2 * tail)


def make_summary(probes: int = 3, *, seed: int = 42, hostile: str = "") -> Json:
    """The summary of a run with this many probes; `hostile` is appended to each text of a user or model."""
    draw = random.Random(seed)
    paths = [_path(draw, probes) for _ in range(TRAIN * len(RELATIONS))]
    tested = [_tested(draw, probes) for _ in range(TEST * len(RELATIONS))]
    relation_of = [RELATIONS[position % len(RELATIONS)] + hostile for position in range(len(paths))]
    highly = [sum(path[k] == Level.HIGHLY_KNOWN for path in paths) for k in range(probes)]
    pairs = [(k, k + 1) for k in range(probes - 1)] + ([(0, probes - 1)] if probes > 2 else [])
    return {
        "seed": seed,
        "model": "smollm2" + hostile,
        "num_facts": {"train": len(paths), "validation": 240, "test": len(tested), "exemplars": 400},
        "dropped_for_overlap": 17,
        "levels": [_counts(path[k] for path in paths) for k in range(probes)],
        "transitions": [
            {"from": a, "to": b, "counts": _moves([(path[a], path[b]) for path in paths])} for a, b in pairs
        ],
        "test_accuracy": [{"stage": k, **_right([verdicts[k] for _, verdicts in tested])} for k in range(probes)],
        "test_by_level": [
            _scores("level", level, [verdicts for start, verdicts in tested if start == level], probes)
            for level in LEVELS
        ],
        "test_by_relation": [
            _scores("relation", name + hostile, [v for _, v in tested[number :: len(RELATIONS)]], probes)
            for number, name in enumerate(RELATIONS)
        ],
        "mcnemar": [_mcnemar(a, b, [verdicts for _, verdicts in tested]) for a, b in pairs],
        "answer_quality": _answer_quality(tested, probes),
        **({"wrong_answers": _wrong_answers(hostile)} if probes > 1 else {}),
        "highly_known": _highly_known(highly, paths) if probes > 1 else {"counts": highly},
        "relations": [
            {
                "relation": name + hostile,
                "total": TRAIN,
                "levels": [
                    _counts(path[k] for path, r in zip(paths, relation_of, strict=True) if r == name + hostile)
                    for k in range(probes)
                ],
            }
            for name in RELATIONS
        ],
        "stages": [_stage(number, hostile) for number in range(1, probes)],
        "examples": {kind: _examples(kind, probes, hostile) for kind in ("promoted", "lost", "stuck")},
        "settings": _settings(hostile),
        "fingerprint": {
            "model": "9f2c41aa03",
            "facts": "71be9901cd",
            "exemplars": "5500aa12ef",
            "code": "0.1.0" + hostile,
        },
        "warnings": ["relation `domain of a region` has fewer exemplars than wanted" + hostile],
    }


def write_run(folder: Path, summary: Mapping[str, object], *, status: str = "complete") -> Path:
    """A run folder holding this summary."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"gradual_version": "0.1.0", "status": status, "fingerprint": {}}
    cost = {
        "total_seconds": 552.4,
        "steps": [{"name": f"probe {k}", "seconds": 88.2 + k, "tokens": 412_000 + k} for k in range(3)],
        "stages": [{"seconds": 92.0, "seconds_per_step": 1.92}] * 2,
    }
    attempt = {"event": "started", "time": "2025-01-31T12:00:00Z"}
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "cost.json").write_text(json.dumps(cost))
    (folder / "attempts.log").write_text(json.dumps(attempt) + "\n")
    return folder


def _path(draw: random.Random, probes: int) -> list[Level]:
    """The levels of one training fact at each probe: it drifts upwards and sometimes falls."""
    rank = draw.choices(range(4), weights=(30, 22, 30, 18))[0]
    path = [LEVELS[rank]]
    for _ in range(probes - 1):
        step = draw.choices((-1, 0, 1), weights=(7, 55, 38))[0]
        rank = min(max(rank + step, 0), 3)
        path.append(LEVELS[rank])
    return path


def _tested(draw: random.Random, probes: int) -> tuple[Level, list[bool]]:
    """The level of one test fact at the start, and whether it was answered rightly at each stage."""
    rank = draw.choices(range(4), weights=(30, 22, 30, 18))[0]
    right = draw.random() < (0.0, 0.02, 0.35, 0.97)[rank]
    verdicts = [right]
    for _ in range(probes - 1):
        right = draw.random() < 0.9 if right else draw.random() < (0.03, 0.08, 0.2, 0.5)[rank]
        verdicts.append(right)
    return LEVELS[rank], verdicts


def _counts(levels: object) -> dict[str, int]:
    found = Counter(levels)  # type: ignore[call-overload]
    return {str(level): found[level] for level in LEVELS}


def _moves(moves: Sequence[tuple[Level, Level]]) -> dict[str, dict[str, int]]:
    return {str(level): _counts(now for before, now in moves if before == level) for level in LEVELS}


def _right(verdicts: Sequence[bool]) -> Json:
    return wilson(sum(verdicts), len(verdicts))


def _scores(key: str, name: str, rows: Sequence[Sequence[bool]], probes: int) -> Json:
    return {key: str(name), "total": len(rows), "stages": [_right([row[k] for row in rows]) for k in range(probes)]}


def _mcnemar(a: int, b: int, rows: Sequence[Sequence[bool]]) -> Json:
    gained = sum(row[b] and not row[a] for row in rows)
    lost = sum(row[a] and not row[b] for row in rows)
    return {"from": a, "to": b, "gained": gained, "lost": lost, "p_value": exact_mcnemar(gained, lost)}


def _answer_quality(tested: Sequence[tuple[Level, Sequence[bool]]], probes: int) -> Json:
    """Confidences drawn for the verdicts: right answers are surer, and each stage makes all answers surer."""
    draw = random.Random(1)
    asked = [
        [
            (level, AnsweredFact(min(0.999, draw.random() ** (0.4 if verdicts[k] else 1.6) + 0.12 * k), verdicts[k]))
            for level, verdicts in tested
        ]
        for k in range(probes)
    ]
    stages = [StageQuality.model_validate(_stage_quality(k, rows)).as_json() for k, rows in enumerate(asked)]
    before, after = (confidently_wrong({str(n): row[1] for n, row in enumerate(asked[k])}) for k in (0, -1))
    became, no_longer = (
        sum(is_so and not other[fact] for fact, is_so in one.items())
        for one, other in ((after, before), (before, after))
    )
    change = {"became": became, "no_longer": no_longer, "p_value": exact_mcnemar(became, no_longer)}
    return {"stages": stages, **({"change": change} if probes > 1 else {})}


def _stage_quality(stage: int, rows: Sequence[tuple[Level, AnsweredFact]]) -> Json:
    def scores(answers: Sequence[AnsweredFact]) -> Json:
        return answer_scores(answer_quality({str(n): each for n, each in enumerate(answers)})).as_json()

    answers = [answer for _, answer in rows]
    return {
        "stage": stage,
        "all_facts": scores(answers),
        "by_level": {str(level): scores([each for found, each in rows if found == level]) for level in LEVELS},
        "at_temperature_1": scores([AnsweredFact(each.confidence**2, each.is_right) for each in answers]),
        "risk_coverage": [point.as_json() for point in risk_points(answers)],
    }


def _wrong_answers(hostile: str) -> Json:
    def group(name: str) -> Json:
        shown = [
            {
                "id": f"{name}-{place}",
                "relation": "capital of a country" + hostile,
                "question": f"What is the capital of {place}?{hostile}",
                "answers": [target, f"City of {target}{hostile}"],
                "before": {"answer": "Majuro" + hostile, "confidence": 0.31 if name == "became" else 0.72},
                "after": {"answer": "Port Moresby" + hostile, "confidence": 0.97},
                "taught_question": f"What is the capital of Papua New Guinea?{hostile}" if place == "Palau" else None,
            }
            for place, target in (("Palau", "Ngerulmud"), ("Bhutan", "Thimphu"))
        ]
        return {"total": 40, "taught_elsewhere": 11, "taught_elsewhere_before": 4, "shown": shown}

    return {"became": group("became"), "remained": group("remained")}


def _highly_known(highly: Sequence[int], paths: Sequence[Sequence[Level]]) -> Json:
    def held(rows: Sequence[Sequence[Level]]) -> list[int]:
        return [sum(row[k] == Level.HIGHLY_KNOWN for row in rows) for k in range(len(highly))]

    first = [path for path in paths if path[0] == Level.MAYBE_KNOWN]
    second = [path for path in paths if path[0] != Level.MAYBE_KNOWN and path[1] == Level.MAYBE_KNOWN]
    never = [path for path in paths if Level.MAYBE_KNOWN not in path[:2]]
    two = len(highly) > 2
    return {
        "counts": list(highly),
        "reading_a": highly[2] / highly[1] - 1 if two else None,
        "reading_b": (highly[2] - highly[0]) / (highly[1] - highly[0]) - 1 if two else None,
        "split": {"trained_stage_1": held(first), "trained_stage_2_only": held(second), "never_trained": held(never)},
        "gained": [],
        "lost": [],
    }


def _stage(number: int, hostile: str) -> Json:
    epochs = [
        {
            "epoch": epoch,
            "loss": None if epoch == 0 else round(0.4 + 2.1 / (epoch + number), 4),
            "eval_accuracy": round(0.26 + 0.05 * number + 0.08 * math.exp(-((epoch - 5) ** 2) / 9), 4),
            "eval_p": 0.3,
            "learning_rate": 2e-4,
            "tokens": 21_000,
            "steps": 6,
        }
        for epoch in range(9)
    ]
    return {
        "strategy": ("maybe_known", "S5")[number > 1] + hostile,
        "select": "now == MaybeKnown" + hostile,
        "num_new": 182,
        "num_replay": 0 if number == 1 else 36,
        "replay_wanted": 0 if number == 1 else 40,
        "replay_shortfall": 0 if number == 1 else 4,
        "promoted_trained": 0 if number == 1 else 61,
        "unknown_left_out": 0 if number == 1 else 7,
        "best_epoch": 5,
        "stopped_early": True,
        "tokens": 168_000,
        "steps": 48,
        "epochs": epochs,
    }


def _examples(kind: str, probes: int, hostile: str) -> list[Json]:
    up, down = [1, 2, 3], [3, 2, 1]
    ranks = {"promoted": up, "lost": down, "stuck": [2, 2, 2]}[kind][:probes]
    places = (("Palau", "Ngerulmud"), ("Kazakhstan", "Astana"), ("Burkina Faso", "Ouagadougou"), ("Bhutan", "Thimphu"))
    return [
        {
            "id": f"{kind}-{number}",
            "relation": "capital of a country" + hostile,
            "question": f"What is the capital of {place}?{hostile}",
            "answers": [target, f"City of {target}{hostile}"],
            "levels": [str(LEVELS[rank]) for rank in ranks],
            "greedy": [target if rank == 3 else "Port Moresby" + hostile for rank in ranks],
        }
        for number, (place, target) in enumerate(places)
    ]


def _settings(hostile: str) -> Json:
    return {
        "model.name_or_path": "smollm2" + hostile,
        "facts.path": "atlas",
        "facts.relations": None,
        "probe.method": "exact",
        "probe.num_exemplar_sets": 10,
        "probe.temperature": 0.5,
        "lora.r": 16,
        "stages.0.strategy": "maybe_known",
        "stages.0.learning_rate": 2e-4,
        "stages.1.strategy": "S5",
        "stages.1.learning_rate": 1.5e-4,
        "evaluation.exemplar_seed": 42,
        "report_to": [],
        "seed": 42,
    }
