"""Whether the exact probe tells the truth about a model: against `generate`, and against answers drawn at random.

    python benchmarks/truth.py                                        # SmolLM2, facts of the atlas
    python benchmarks/truth.py --model gemma3-270m --facts DIR        # another family, facts of your own
    python benchmarks/truth.py --adapter run/stages/1/adapter         # a model that has been trained, to refuse, say

Everything is computed in float32, where rounding decides nothing. Five comparisons, each on the same prompts:
greedy answers with `generate(do_sample=False)`; counts of right answers of the sampling mode with the binomial
distributions of the exact probabilities; counts of sampled answers that are the same as a wrong greedy one with those
of its confidence, at the probe's temperature and at 1; counts of sampled refusals with those of p_refuse; and, for a
few prompts, counts of right answers of `generate(do_sample=True)`.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, ProbeConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import Fact, by_relation, spread
from gradual.facts.matching import Targets, normalise
from gradual.facts.prepare import prepare_probe
from gradual.knowledge.map import FactKnowledge, KnowledgeMap, SetAnswer
from gradual.models.load import load_model
from gradual.probing.check import CONFIDENCE, check_against_sampling, is_inside
from gradual.probing.probe import probe_facts

SEED = 1
ATLAS_RELATIONS = [
    "capital", "continent", "country_of_city", "currency", "largest_city", "nationality", "neighbour", "state_of_city",
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One fact under one exemplar set, with its prompt."""

    fact: FactKnowledge
    number: int
    prompt: str


class Count(NamedTuple):
    """How many of the samples of one prompt are what is searched for, and the bounds of the exact probability."""

    drawn: int
    lower: float
    upper: float


@dataclass(frozen=True)
class Sampling:
    """Draws answers to the same prompts, whatever counts as right."""

    facts: Sequence[Fact]
    exemplars: Mapping[str, Sequence[Fact]]
    engine: TransformersEngine
    settings: ProbeConfig
    num_samples: int

    def counts(self, targets: Mapping[str, Sequence[str]], number: int, temperature: float) -> dict[str, int]:
        """How many answers of `num_samples` under one exemplar set are among the targets of a fact, by its id."""
        changes = {"method": "sampled", "confidence": False, "refusals": [], "num_samples": self.num_samples}
        sampler = self.settings.model_copy(update=changes | {"temperature": temperature})
        own = [dataclasses.replace(f, answers=tuple(targets[f.id])) for f in self.facts if f.id in targets]
        drawn = probe_facts(own, self.exemplars, self.engine, sampler, seed=SEED)
        return {fact.id: fact.sets[number].n_right or 0 for fact in drawn}


def main() -> None:
    """Runs the five comparisons and prints them as Markdown."""
    args = _arguments()
    model = ModelConfig(name_or_path=args.model, adapter=args.adapter, dtype="float32", device="cpu")
    engine = TransformersEngine(load_model(model))
    run_facts = prepare_probe(FactsConfig(path=args.facts, relations=args.relations or None), num_shots=4)
    facts, exemplars = run_facts.facts, run_facts.exemplars
    chosen = [f for group in by_relation(facts).values() for f in spread(group, args.facts_per_relation)]
    settings = ProbeConfig(num_exemplar_sets=args.sets, greedy_answers="all", confidence=True, refusals=args.refusals)
    known = probe_facts(chosen, exemplars, engine, settings, seed=SEED)
    asked = [Asked(fact, one.set, known.prompt_text(fact.id, one.set)) for fact in known for one in fact.sets]
    print(
        f"{args.model}, {args.facts}: {len(chosen)} facts of {len(by_relation(chosen))} relations, float32", flush=True
    )
    _print_greedy(asked, engine, settings)
    check = check_against_sampling(
        chosen, exemplars, engine, settings, seed=SEED, num_facts=len(chosen), num_samples=args.samples
    )
    for line in check.lines():
        print(f"- {line}", flush=True)
    sampling = Sampling(chosen, exemplars, engine, settings, args.samples)
    _print_confidence(sampling, known)
    _print_refusals(sampling, known)
    _print_generated(_most_uncertain(asked, args.generated), engine, settings, args.samples)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--facts", default="atlas")
    parser.add_argument("--adapter", help="folder of a PEFT adapter on top of the model")
    parser.add_argument("--refusals", nargs="*", default=["I don't know"], help="texts that count as refusals")
    parser.add_argument("--relations", nargs="*", default=ATLAS_RELATIONS)
    parser.add_argument("--facts-per-relation", type=int, default=25)
    parser.add_argument("--sets", type=int, default=2, help="exemplar sets")
    parser.add_argument("--samples", type=int, default=200, help="sampled answers for each prompt")
    parser.add_argument("--generated", type=int, default=4, help="prompts that `generate` samples answers for as well")
    return parser.parse_args()


def _most_uncertain(asked: Sequence[Asked], count: int) -> list[Asked]:
    """The prompts whose probability is nearest to one half: where sampling can show most."""
    return sorted(asked, key=lambda each: abs(each.fact.sets[each.number].p - 0.5))[:count]


def _generate(prompts: Sequence[str], engine: TransformersEngine, settings: ProbeConfig, **options: Any) -> list[str]:
    """What `generate` answers, up to the end of the line."""
    tokenizer = engine.loaded.tokenizer
    tokenizer.padding_side = "left"
    line_ends = {token for token, piece in enumerate(engine.vocabulary.pieces) if b"\n" in piece}
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = engine.model.generate(
            **inputs,
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=sorted(engine.vocabulary.stops | line_ends),
            pad_token_id=tokenizer.pad_token_id,
            **options,
        )
    texts = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.split("\n")[0].strip() for text in texts]


def _print_greedy(asked: Sequence[Asked], engine: TransformersEngine, settings: ProbeConfig) -> None:
    answers: list[str] = []
    for start in range(0, len(asked), 32):
        prompts = [each.prompt for each in asked[start : start + 32]]
        answers += _generate(prompts, engine, settings, do_sample=False)
    verdicts = texts = 0
    for each, answer in zip(asked, answers, strict=True):
        found = each.fact.sets[each.number]
        same_verdict = Targets(each.fact.answers).accepts(answer) == found.greedy_correct
        verdicts += same_verdict
        texts += answer == found.greedy_answer
        if answer != found.greedy_answer:
            print(
                f"  differs: {each.fact.id}, set {each.number}: generate {answer!r}, probe {found.greedy_answer!r}, "
                f"margin {found.margin:.4f}"
            )
    print(f"- greedy verdicts equal to generate's: {verdicts} of {len(asked)}; whole answers: {texts}", flush=True)


def _print_confidence(sampling: Sampling, known: KnowledgeMap) -> None:
    """Samples answers with the wrong greedy answer under each exemplar set as the target, at both temperatures."""
    bounds: dict[float, Callable[[SetAnswer], tuple[float, float]]] = {
        sampling.settings.temperature: lambda one: (one.confidence_lower or 0.0, one.confidence_upper or 0.0),
        1.0: lambda one: (one.confidence_t1_lower or 0.0, one.confidence_t1_upper or 0.0),
    }
    for temperature, of in bounds.items():
        counts = []
        for number in range(sampling.settings.num_exemplar_sets):
            wrong = {fact.id: fact.sets[number] for fact in known if _is_wrong_and_says_something(fact.sets[number])}
            targets = {fact_id: [one.greedy_answer or ""] for fact_id, one in wrong.items()}
            drawn = sampling.counts(targets, number, temperature)
            counts += [Count(drawn[fact_id], *of(one)) for fact_id, one in wrong.items()]
        _print_counts(f"confidence of wrong answers, temperature {temperature:g}", counts, sampling.num_samples)


def _print_refusals(sampling: Sampling, known: KnowledgeMap) -> None:
    """Samples answers with the accepted refusals as the targets of every fact."""
    if not sampling.settings.refusals:
        return
    counts = []
    for number in range(sampling.settings.num_exemplar_sets):
        drawn = sampling.counts(
            {f.id: sampling.settings.refusals for f in known}, number, sampling.settings.temperature
        )
        refusals = {fact.id: fact.sets[number] for fact in known}
        counts += [
            Count(drawn[fact_id], one.p_refuse_lower or 0.0, one.p_refuse_upper or 0.0)
            for fact_id, one in refusals.items()
        ]
    _print_counts("p_refuse", counts, sampling.num_samples)


def _print_counts(what: str, counts: Sequence[Count], samples: int) -> None:
    inside = sum(is_inside(one.drawn, samples, one.lower, one.upper) for one in counts)
    exact = sum(one.lower + one.upper for one in counts) / 2 / len(counts)
    sampled = sum(one.drawn for one in counts) / samples / len(counts)
    print(
        f"- {what}: sampled counts inside their {CONFIDENCE:.0%} interval: {inside} of {len(counts)}; "
        f"mean: exact {exact:.4f}, sampled {sampled:.4f}",
        flush=True,
    )


def _is_wrong_and_says_something(answer: SetAnswer) -> bool:
    return not answer.greedy_correct and bool(normalise(answer.greedy_answer or ""))


def _print_generated(asked: Sequence[Asked], engine: TransformersEngine, settings: ProbeConfig, samples: int) -> None:
    from scipy.stats import binomtest

    torch.manual_seed(SEED)
    inside = 0
    options = {"temperature": settings.temperature, "top_k": settings.top_k, "do_sample": True}
    for each in asked:
        answers: list[str] = []
        while len(answers) < samples:
            answers += _generate([each.prompt] * min(50, samples - len(answers)), engine, settings, **options)
        right = sum(Targets(each.fact.answers).accepts(answer) for answer in answers)
        found = each.fact.sets[each.number]
        nearest = min(max(right / samples, found.p_lower), found.p_upper)
        p_value = binomtest(right, samples, nearest).pvalue
        inside += p_value >= 1 - CONFIDENCE
        print(f"  generate draws {right} of {samples} right, exact {found.p_lower:.4f} to {found.p_upper:.4f}")
    print(f"- counts of generate(do_sample=True) inside their {CONFIDENCE:.0%} interval: {inside} of {len(asked)}")


if __name__ == "__main__":
    main()
