"""How long and how much memory 200,000 facts take outside the model: everything of a run but reading and training.

Facts are written to a file, loaded, divided, selected from, and kept in knowledge maps with made-up answers, as a run
of two stages keeps them; then the run is summed up and reported. Prints a table; ends with 1 where a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gradual.config.run import RunConfig
from gradual.config.yaml_file import dump_config, parse_config
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts
from gradual.facts.prepare import RunFacts, prepare
from gradual.facts.prompts import PlainPrompts
from gradual.files.storage import append_json_line, write_json
from gradual.knowledge.levels import chance_of_right_sample, classify, level_probability
from gradual.knowledge.map import Cost, FactKnowledge, KnowledgeMap, MapInfo, Prompt, SetAnswer, write_map
from gradual.probing.prompts import draw_probe_prompts
from gradual.reporting.run_page import report
from gradual.run.folder import RunDir, open_run, write_facts
from gradual.run.stage_files import write_selection
from gradual.run.stage_selection import fact_states
from gradual.run.summary.summarise import summarise
from gradual.selection.strategies import select_facts

MOST_SECONDS, MOST_MEMORY, MOST_REPORT = 300, 4 << 30, 5 << 20
_Result = TypeVar("_Result")


class Table:
    """The steps so far, printed as a table while they are done."""

    def __init__(self) -> None:
        self.seconds = 0.0
        print("| step | seconds | peak memory so far, MB | made, MB |\n|---|---:|---:|---:|", flush=True)

    def step(self, name: str, do: Callable[[], _Result], *files: Path) -> _Result:
        """Does a step and prints its line."""
        started = time.perf_counter()
        result = do()
        seconds = time.perf_counter() - started
        self.seconds += seconds
        written = [f for path in files for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file()]
        size = f"{sum(file.stat().st_size for file in written) / 1e6:.1f}" if files else ""
        print(f"| {name} | {seconds:.1f} | {peak_memory() / 1e6:,.0f} | {size} |", flush=True)
        return result


def peak_memory() -> int:
    """Bytes, the most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write_source(path: Path, count: int, num_relations: int, *, has_relations: bool) -> None:
    """Questions about invented people; every answer is that of a few, as with cities and years."""
    with path.open("w") as file:
        for number in range(count):
            relation = number % num_relations
            row = {
                "question": f"In which town did Person{number} Surname{number // 7} live in {relation}?",
                "answers": [f"Town{number % 977} upon River{number % 1009}"],
                "subject": f"Person{number} Surname{number // 7}",
            }
            file.write(json.dumps(row | ({"relation": f"relation {relation:03d}"} if has_relations else {})) + "\n")


def random_map(facts: Sequence[Fact], config: RunConfig, prompts: Sequence[Prompt], seed: int) -> KnowledgeMap:
    """A knowledge map with random answers."""
    draw = random.Random(seed)
    known = []
    for fact in facts:
        skill = draw.random() ** 3
        sets = tuple(random_answer(draw, skill, fact, number) for number in range(config.probe.num_exemplar_sets))
        p_greedy = sum(answer.greedy_correct for answer in sets) / len(sets)
        p_any = chance_of_right_sample([answer.p for answer in sets], config.probe.num_samples)
        known.append(
            FactKnowledge(
                id=fact.id,
                relation=fact.relation,
                question=fact.question,
                answers=fact.answers,
                level=classify(p_greedy, p_any),
                p_greedy=p_greedy,
                p_sampled=sum(a.p for a in sets) / len(sets),
                p_any_sample=p_any,
                level_probability=level_probability(p_greedy, p_any),
                near_tie=False,
                min_margin=min(answer.margin for answer in sets),
                greedy_answer=sets[0].greedy_answer,
                sets=sets,
            )
        )
    probe = {**config.probe.model_dump(mode="json"), "seed": seed}
    return KnowledgeMap(
        tuple(known),
        tuple(prompts),
        MapInfo(probe, {"name": "made up"}, Cost(seconds=1.0, tokens_read=1, forward_passes=1, host_share=0.5)),
    )


def random_answer(draw: random.Random, skill: float, fact: Fact, number: int) -> SetAnswer:
    """A right or wrong answer behind one exemplar set."""
    p, is_right = skill * draw.random(), draw.random() < skill
    answer = fact.answers[0] if is_right else f"Town{draw.randrange(977)} upon River{draw.randrange(1009)}"
    return SetAnswer(number, is_right, answer, p, min(1.0, p + 1e-3), draw.random())


def write_maps(run: RunDir, run_facts: RunFacts, config: RunConfig) -> None:
    """The maps of a run of two stages."""
    places = [(run.probe(stage), run_facts.train, stage) for stage in range(3)]
    places += [(run.evaluation(stage), run_facts.test, 10 + stage) for stage in range(3)]
    for folder, facts, seed in [*places, (run.test_levels, run_facts.test, 20)]:
        probe_prompts = draw_probe_prompts(
            facts,
            run_facts.exemplars,
            PlainPrompts(),
            num_sets=config.probe.num_exemplar_sets,
            num_shots=config.probe.num_shots,
            seed=1,
        )
        write_map(random_map(facts, config, probe_prompts.record(facts), seed), folder)


def write_stages(run: RunDir, config: RunConfig) -> None:
    """The selections of two stages and the records of their training."""
    for index, stage in enumerate(config.stages, start=1):
        selection = select_facts(fact_states(run, index), stage.resolve(), rng_seed=index)
        write_selection(selection, run.selection(index))
        for epoch in range(4):
            append_json_line(run.epochs(index), {"epoch": epoch, "loss": 1.0, "eval_accuracy": 0.5})
        done = {"num_new": selection.num_new, "num_replay": selection.num_replay, "tokens": 1}
        write_json(run.stage_summary(index), {"strategy": selection.strategy.name, "best_epoch": 3, **done})


def write_summary(run: RunDir, run_facts: RunFacts, config: RunConfig) -> None:
    """The numbers of the run."""
    write_json(run.summary, summarise(run, config, warnings=run_facts.warnings).as_json())


def main() -> int:
    """Runs all steps; 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-facts", type=int, default=200_000)
    parser.add_argument("--num-relations", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, table = Path(place), Table()
        bare, facts = folder / "bare.jsonl", folder / "facts.jsonl"
        for path in (bare, facts):
            write_source(path, options.num_facts, options.num_relations, has_relations=path == facts)
        config = parse_config({"model": "m", "facts": str(facts)})
        table.step("load facts, relations told from wording", lambda: load_facts(bare), bare)
        run_facts = table.step("load facts and divide them", lambda: prepare(config), facts)
        with open_run(folder / "run", {"facts": run_facts.digest()}, config_yaml=dump_config(config)) as run:
            table.step("write the table of facts", lambda: write_facts(run_facts.all_facts(), run.facts), run.facts)
            table.step("make and write 7 knowledge maps", lambda: write_maps(run, run_facts, config), run.path)
            table.step("select for two stages", lambda: write_stages(run, config), run.selection(1), run.selection(2))
            table.step("sum up", lambda: write_summary(run, run_facts, config), run.summary)
            table.step("report", lambda: report(run.path), run.report)
        size, memory = run.report.stat().st_size, peak_memory()
    print(
        f"\n{len(run_facts.train):,} train, {len(run_facts.test):,} test; {table.seconds:.0f} s, {memory / 1e9:.2f} GB"
    )
    return int(table.seconds > MOST_SECONDS or memory > MOST_MEMORY or size > MOST_REPORT)


if __name__ == "__main__":
    sys.exit(main())
