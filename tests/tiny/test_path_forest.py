"""Forests read path by path say what forests read as trees say, and serve models that cannot read trees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, NextTokens
from gradual.engines.path_forest import PathForest
from gradual.engines.token_tree import ROOT
from gradual.engines.transformers_engine import TransformersEngine, reading_warnings, reads_trees
from gradual.engines.tree_forest import TreeForest
from gradual.facts.matching import Targets
from gradual.models.load import LoadedModel, load_model
from gradual.probing.probe import probe_facts
from gradual.testing import toy_facts

TREELESS = ["bloom", "mamba", "rwkv", "lfm2"]
SETTINGS = ProbeConfig(num_exemplar_sets=3, num_shots=2, max_new_tokens=6, greedy_answers="all")


class PathEngine(TransformersEngine):
    """Reads path by path, whatever the model can."""

    def new_forest(self, num_rows: int, *, top_k: int) -> Forest:
        return PathForest(self.reader, num_rows, top_k)


def load(folder: Path) -> LoadedModel:
    return load_model(ModelConfig(name_or_path=str(folder), dtype="float32", device="cpu"))


def read_twice(forest: Forest, engine: TransformersEngine) -> list[NextTokens]:
    """Two rows and two rounds: forks, nodes that nobody asks for, several wanted nodes on one path."""
    ids = engine.encode(["A: red or blue", "A: red or green", "B: gold"], add_special_tokens=True)
    paths = [(row, forest.trees[row].add(ROOT, path)) for row, path in zip((0, 0, 1), ids, strict=True)]
    first = forest.read(list(dict.fromkeys((row, node) for row, path in paths for node in path[-2:])))
    deeper = [(row, forest.trees[row].add(path[-1], [40 + row, 50, 60])) for row, path in paths]
    second = [(row, node) for row, path in deeper for node in (path[2], path[0])]
    forest.trees[1].add(ROOT, [70, 71])  # wanted by nobody
    return [first, forest.read(second)]


@pytest.mark.parametrize("tokens_per_pass", [5, 40, 512])
@pytest.mark.parametrize("folder", ["tiny_folder", "windowed_folder"])
def test_both_forests_give_every_node_the_same_logits(
    folder: str, tokens_per_pass: int, request: pytest.FixtureRequest
) -> None:
    engine = TransformersEngine(load(request.getfixturevalue(folder)))
    expected = read_twice(TreeForest(engine.reader, 2, 10), engine)
    engine.reader.tokens_per_pass = tokens_per_pass
    trees, paths = TreeForest(engine.reader, 2, 10), PathForest(engine.reader, 2, 10)
    for one, other in zip([*read_twice(paths, engine), *read_twice(trees, engine)], expected * 2, strict=True):
        assert (one.tokens[:, 0] == other.tokens[:, 0]).all()
        np.testing.assert_allclose(one.logits, other.logits, atol=2e-5)


def test_wanted_nodes_of_one_path_are_read_in_one_row(tiny_engine: TransformersEngine) -> None:
    forest = PathForest(tiny_engine.reader, 1, 5)
    prompt = forest.trees[0].add(ROOT, range(10, 30))
    usual = forest.trees[0].add(prompt[-1], [3, 4, 5])
    forest.trees[0].add(prompt[-1], [6, 7])  # wanted by nobody
    forest.read([(0, prompt[-1]), (0, usual[2]), (0, usual[0])])
    assert tiny_engine.cost()[:3] == (23, 23, 1)


def test_paths_are_padded_by_length_and_fit_the_pass(tiny_engine: TransformersEngine) -> None:
    tiny_engine.reader.tokens_per_pass = 24
    forest = PathForest(tiny_engine.reader, 4, 5)
    lengths = (3, 12, 4, 11)
    ends = [(row, forest.trees[row].add(ROOT, range(10, 10 + count))[-1]) for row, count in enumerate(lengths)]
    forest.read(ends)
    assert tiny_engine.cost()[:3] == (30, 2 * 12 + 2 * 4, 2)


def test_both_forests_measure_the_same_knowledge(tiny: LoadedModel) -> None:
    facts = toy_facts(1, 6)
    exemplars = {"toy-0": facts}
    by_tree, by_path = (
        probe_facts(facts, exemplars, engine, SETTINGS, seed=1)
        for engine in (TransformersEngine(tiny), PathEngine(tiny))
    )
    assert by_path.levels() == by_tree.levels()
    for one, other in zip(by_path, by_tree, strict=True):
        assert one.level is other.level
        for answer, same in zip(one.sets, other.sets, strict=True):
            assert (answer.greedy_correct, answer.greedy_answer) == (same.greedy_correct, same.greedy_answer)
            assert answer.p_lower == pytest.approx(same.p_lower, abs=1e-5)
            assert answer.p_upper == pytest.approx(same.p_upper, abs=1e-5)
    assert by_path.info.cost.tokens_read > by_tree.info.cost.tokens_read


def test_models_that_take_tree_masks_read_trees(tiny: LoadedModel, windowed_folder: Path) -> None:
    for loaded in (tiny, load(windowed_folder)):
        assert reads_trees(loaded)
        assert reading_warnings(loaded) == []
        assert isinstance(TransformersEngine(loaded).new_forest(1, top_k=5), TreeForest)


@pytest.mark.parametrize("name", TREELESS)
def test_models_that_do_not_are_read_path_by_path_with_a_warning(name: str, treeless_folders: dict[str, Path]) -> None:
    loaded = load(treeless_folders[name])
    assert not reads_trees(loaded)
    assert reading_warnings(loaded) == [
        f"this architecture ({name}) does not take tree masks: questions are read one by one, slower"
    ]
    assert isinstance(TransformersEngine(loaded).new_forest(1, top_k=5), PathForest)


def test_whether_trees_are_read_is_found_out_once_per_model(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads_trees(tiny)
    monkeypatch.setattr(tiny.model, "forward", None)
    assert reads_trees(dataclasses.replace(tiny, source="elsewhere"))


def written(loaded: LoadedModel, prompt: str, max_new_tokens: int) -> str:
    """The first line that `generate` writes behind a prompt."""
    tokenizer = loaded.tokenizer
    newlines = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
    ids = tokenizer(prompt, return_tensors="pt")
    out = loaded.model.generate(
        **ids, do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=[tokenizer.eos_token_id, *newlines]
    )
    text: str = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    return text.split("\n")[0]


@pytest.mark.parametrize("name", ["bloom", "mamba", "rwkv"])
def test_greedy_verdicts_of_a_model_that_reads_no_trees_are_those_of_generate(
    name: str, treeless_folders: dict[str, Path]
) -> None:
    loaded = load(treeless_folders[name])
    engine, facts = TransformersEngine(loaded), toy_facts(1, 8)
    engine.reader.tokens_per_pass = 8192  # recurrent layers go through a pass token by token, however many rows it has
    settings = SETTINGS.model_copy(update={"num_exemplar_sets": 2, "tolerance": 1.0})
    asked = probe_facts(facts, {"toy-0": facts}, engine, settings, seed=1)
    texts = {fact.id: [written(loaded, asked.prompt_text(fact.id, n), 6) for n in range(2)] for fact in asked}
    # What is written for every other fact becomes its right answer, which its own prompts do not show.
    right = [
        dataclasses.replace(fact, answers=(texts[fact.id][0].strip(),))
        for fact in facts[::2]
        if Targets((texts[fact.id][0],)).normalised
    ]
    known = probe_facts([*right, *facts[1::2]], {"toy-0": facts}, engine, settings, seed=1)
    verdicts = []
    for fact in known:
        for answer, text in zip(fact.sets, texts[fact.id], strict=True):
            assert answer.greedy_answer == text.strip()
            assert answer.greedy_correct == Targets(fact.answers).accepts(text)
            verdicts.append(answer.greedy_correct)
    assert {True, False} <= set(verdicts)
