"""Questions of one's own: which answer is told, how firmly, behind whose shots, and beside which test answers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.support.small_run import small_run
from tests.support.tiny_vocabulary import TableEngine

from gradual import afterwards, api
from gradual.asking import opening
from gradual.asking.asker import Asker, as_sure
from gradual.asking.majority import Said, ask_questions, said_of
from gradual.asking.opening import AskRequest, check_request
from gradual.asking.shots import Shots
from gradual.config.run import ProbeConfig
from gradual.errors import ConfigError, DataError, RunDirError
from gradual.facts.fact import Fact
from gradual.facts.matching import SQUAD
from gradual.files.storage import read_json, write_json
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, SetAnswer
from gradual.models import load
from gradual.probing.probe import probe_facts
from gradual.run.best_stage import best_stage, choose_stage, refuse_other_weights, validation_by_stage
from gradual.statistics.calibration import AnsweredFact
from gradual.testing import FakeEngine, toy_facts

BEFORE = {
    "": {" Paris": 0.6, " Rome": 0.3, " the": 0.1},
    " Paris": {"\n": 0.7, ",": 0.2, " is": 0.1},
    " the": {" city": 0.8, " Paris": 0.2},
    " Paris,": {" France": 0.9, "\n": 0.1},
    " the Paris": {"\n": 0.5, " of": 0.5},
}
"""As in docs/exact-probe.md: a sampled answer is Paris with 0.442."""
AFTER = {"": {" Paris": 0.96, " Rome": 0.04}}
SAMPLED_AT_1 = ProbeConfig(num_exemplar_sets=2, num_shots=1, temperature=1.0, top_k=8)
PLACES = [
    Fact("a", "capital", "What is the capital of Chad?", ("N'Djamena",)),
    Fact("b", "capital", "What is the capital of Mali?", ("Bamako",)),
    Fact("c", "author", "Who wrote the novel Emma?", ("Jane Austen",)),
    Fact("d", "author", "Who wrote the novel Dracula?", ("Bram Stoker",)),
    Fact("e", "lone", "Where is Oslo?", ("Norway",)),
]


def knowledge(*answers: tuple[str, float]) -> FactKnowledge:
    sets = tuple(
        SetAnswer(number, False, answer, 0.0, 0.0, 1.0, confidence_lower=sure, confidence_upper=sure)
        for number, (answer, sure) in enumerate(answers)
    )
    return FactKnowledge("q", "r", "?", (), Level.UNKNOWN, 0.0, 0.0, 0.0, 1.0, False, 1.0, answers[0][0], sets)


# --- what is said ---------------------------------------------------------------------------------------------------


def test_the_commonest_answer_is_told_with_the_confidence_of_the_sets_that_give_it() -> None:
    said = said_of(knowledge(("Rome", 0.9), ("the Paris", 0.5), ("Paris.", 0.7), ("", 0.2)), SQUAD)
    assert (said.answer, said.num_same, said.num_sets) == ("the Paris", 2, 4)
    assert said.confidence == pytest.approx(0.6)  # (0.5 + 0.7) / 2
    assert said.others == (("Rome", 1), ("", 1))
    assert said.level_if_right is Level.MAYBE_KNOWN


def test_of_equally_common_answers_the_surer_one_is_told() -> None:
    assert said_of(knowledge(("Rome", 0.4), ("Paris", 0.6)), SQUAD).answer == "Paris"


@pytest.mark.parametrize(
    ("num_same", "confidence", "verdict"),
    [(10, 0.9, "sure"), (10, 0.89, "likely"), (9, 0.99, "likely"), (5, 0.99, "unsure"), (10, 0.49, "unsure")],
)
def test_the_verdict_goes_by_exemplar_sets_and_confidence(num_same: int, confidence: float, verdict: str) -> None:
    assert Said("x", num_same, 10, confidence).verdict == verdict


def test_an_answer_behind_every_set_would_be_highly_known() -> None:
    assert Said("x", 3, 3, 0.1).level_if_right is Level.HIGHLY_KNOWN


@pytest.mark.parametrize("seed", range(2))
def test_a_question_is_answered_as_the_probe_answers_the_fact_whose_target_it_is(seed: int) -> None:
    engine = FakeEngine((" red", " blue", " green"), seed=seed)
    settings = ProbeConfig(num_exemplar_sets=4, num_shots=1, max_new_tokens=1, tolerance=1e-9, top_k=8)
    question = Fact("q", "r", "Which colour?", ())
    (said,) = ask_questions([question], {"r": PLACES}, engine, settings, seed=5)
    fact = Fact("q", "r", "Which colour?", (said.answer,))
    known = probe_facts([fact], {"r": PLACES}, engine, settings, seed=5)["q"]
    right = [answer for answer in known.sets if answer.greedy_correct]
    assert said.num_same == len(right)
    assert said.confidence == pytest.approx(sum(answer.p for answer in right) / len(right))


# --- behind whose shots ---------------------------------------------------------------------------------------------


def test_a_question_is_asked_behind_the_relation_that_is_worded_most_like_it() -> None:
    shots = Shots(PLACES, num_shots=1)
    # capital: what is the capital of in both, togo or a name in one: 5 / 7; author: the in both.
    assert shots.relation_of("what is the CAPITAL of Togo") == "capital"
    assert shots.relation_of("Who wrote Carmilla?") == "author"
    assert shots.relation_of("Where is Oslo?") == "capital", "it shares a word, is; lone has too few exemplars"


def test_scripts_without_spaces_are_held_together_by_their_characters() -> None:
    facts = [
        Fact("a", "capital", "法国的首都是哪里?", ("巴黎",)),
        Fact("b", "author", "谁写了红楼梦?", ("曹雪芹",)),
    ]
    assert Shots(facts, num_shots=0).relation_of("德国的首都是哪里?") == "capital"


def test_exemplars_are_the_facts_marked_so() -> None:
    marked = [Fact("x", "capital", "What is the capital of Peru?", ("Lima",), split="exemplars")]
    assert Shots([*PLACES, *marked], num_shots=0).exemplars == {"capital": marked}


def test_too_few_shots_and_unknown_relations_are_refused() -> None:
    with pytest.raises(DataError, match="expected a relation with at least 5 exemplars for 4 shots, found none"):
        Shots(PLACES, num_shots=4)
    with pytest.raises(DataError, match=r"--relation 'capitl': no relation .* did you mean 'capital'"):
        Shots(PLACES, num_shots=1).check_relation("capitl")


# --- before and after -----------------------------------------------------------------------------------------------


def test_before_and_after_stand_side_by_side_with_test_answers_as_sure() -> None:
    engines = {0: TableEngine(BEFORE), 2: TableEngine(AFTER)}
    tests = {2: [AnsweredFact(0.95, True), AnsweredFact(0.9, False), AnsweredFact(0.92, True), AnsweredFact(0.5, True)]}
    asker = Asker(
        lambda stage: nullcontext(engines[stage]), SAMPLED_AT_1, 1, (0, 2), Shots(PLACES, num_shots=1), tests=tests
    )
    togo, chad = asker.ask(["What is the capital of Togo?", "what is the  capital of chad?"])
    before, after = togo.answers
    assert (before.said.answer, before.said.confidence) == ("Paris", pytest.approx(0.442, abs=0.005))
    assert (after.said.answer, after.said.confidence) == ("Paris", pytest.approx(0.96, abs=0.005))
    assert (before.said.verdict, after.said.verdict) == ("unsure", "sure")
    assert (before.as_sure, after.as_sure) == (None, (2, 3))  # of 0.95, 0.9 and 0.92 two are right
    assert (togo.relation, togo.targets, after.is_right) == ("capital", (), None)
    assert (chad.targets, chad.answers[1].is_right) == (("N'Djamena",), False)
    told = togo.as_dict()["answers"][1]
    assert (told["model"], told["verdict"], told["level_if_right"]) == ("after stage 2", "sure", "HighlyKnown")


def test_test_answers_are_counted_in_bands_of_confidence() -> None:
    tests = [AnsweredFact(0.1, True), AnsweredFact(0.49, False), AnsweredFact(0.5, True), AnsweredFact(0.89, True)]
    assert as_sure(0.2, tests) == (1, 2)
    assert as_sure(0.6, tests) == (2, 2)
    assert as_sure(0.9, tests) == (0, 0)
    assert as_sure(0.9, []) is None


def test_an_empty_question_is_refused_before_anything_is_asked() -> None:
    asker = Asker(lambda _: pytest.fail("a model was opened"), SAMPLED_AT_1, 1)
    with pytest.raises(DataError, match="question 2: expected a text, found an empty one"):
        asker.ask(["Who?", " "])


# --- of a run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("runs") / "run", stages=2).path


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "prepare_environment", lambda *, online: None)
    monkeypatch.setattr(api, "require_packages", lambda _: None)
    monkeypatch.setattr(load, "check_model", lambda _: None)
    monkeypatch.setattr(opening, "open_stages", lambda *_: lambda stage: nullcontext(FakeEngine(seed=stage)))


@pytest.mark.usefixtures("fake_stages")
def test_a_run_is_asked_with_its_own_settings_and_exemplars(run_folder: Path) -> None:
    facts = {fact.id: fact for fact in toy_facts(2, 5)}
    (asked,) = afterwards.ask(run_folder, [facts["toy-1-2"].question], stage=2)
    assert (asked.relation, asked.targets) == ("toy-1", facts["toy-1-2"].answers)
    assert [each.stage for each in asked.answers] == [0, 2]
    assert all(each.said.num_sets == 1 for each in asked.answers)
    assert all(each.as_sure is not None for each in asked.answers)


def test_the_stage_is_the_one_that_validation_chooses(run_folder: Path) -> None:
    run = opening.RunDir(run_folder)
    validation = validation_by_stage(run)
    assert sorted(validation) == [0, 1, 2]
    assert choose_stage(run, None) == best_stage(validation)
    assert best_stage({0: 0.9, 1: 0.5, 2: 0.5, 3: 0.4}) == 1, "of equal stages the earliest; the base is no stage"
    with pytest.raises(DataError, match=r"--stage 3: expected one of the finished stages of .* \(1 and 2\)"):
        choose_stage(run, 3)


def test_what_cannot_be_asked_of_a_run_or_a_model_is_said_in_a_line(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a run is asked with its own facts and settings"):
        check_request(AskRequest(run_folder, facts="atlas"))
    with pytest.raises(ConfigError, match="--stage 1: a stage is of a run, found a model"):
        check_request(AskRequest("smollm2", stage=1))
    with pytest.raises(ConfigError, match="--relation capital: expected facts to draw shots from"):
        check_request(AskRequest("smollm2", relation="capital"))
    (tmp_path / "runs" / "S5" / "42").mkdir(parents=True)
    (tmp_path / "runs" / "S5" / "42" / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"found a comparison; name one of its runs, such as .*runs/S5/42"):
        check_request(AskRequest(tmp_path))


def test_another_base_model_than_the_runs_is_refused(run_folder: Path, tmp_path: Path) -> None:
    made = read_json(run_folder / "run.json")
    write_json(tmp_path / "run.json", made | {"fingerprint": {"model.weights": "abc"}})
    run = opening.RunDir(tmp_path)
    refuse_other_weights(run, {"weights": "abc", "tokenizer": "any"})
    with pytest.raises(RunDirError, match=r"model\.weights: expected abc, which the run was made with, found def"):
        refuse_other_weights(run, {"weights": "def"})
