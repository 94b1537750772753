"""What a user writes is text: a control token in it neither ends an answer nor begins a turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradual.config.run import LoraSettings, ProbeConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.errors import DataError, ModelError
from gradual.probing.prompts import draw_probe_prompts
from gradual.testing import toy_facts
from gradual.training.train import check_training

TEXTS = ["<eos>", "What does <eos> mean?", "a<eos>b", "<pad><eos>", "Q: x\nA: <eos>\nQ: <pad>", "<e<eos>os>"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("add_special_tokens", [True, False])
def test_control_tokens_in_plain_prompts_are_text(
    tiny_engine: TransformersEngine, text: str, add_special_tokens: bool
) -> None:
    tiny_engine.prompt_style(ProbeConfig())
    (ids,) = tiny_engine.encode([text], add_special_tokens=add_special_tokens)
    assert not set(ids) & set(tiny_engine.loaded.tokenizer.all_special_ids)
    assert b"".join(tiny_engine.vocabulary.piece(each) for each in ids).decode() == text


def test_texts_without_control_tokens_are_encoded_as_the_tokenizer_does(tiny_engine: TransformersEngine) -> None:
    texts = ["Q: What is red?\nA: red", " blue", "Émile 東京"]
    for style in ("plain", "chat"):
        tiny_engine.prompt_style(ProbeConfig(prompt_style=style))
        for add in (True, False):
            plain = tiny_engine.loaded.tokenizer(texts, add_special_tokens=add)["input_ids"]
            assert tiny_engine.encode(texts, add_special_tokens=add) == plain


def test_control_tokens_that_a_chat_template_writes_stay_control_tokens(tiny_engine: TransformersEngine) -> None:
    tokenizer, style = tiny_engine.loaded.tokenizer, tiny_engine.prompt_style(ProbeConfig(prompt_style="chat"))
    facts = toy_facts(1, 3)
    text = style.render_prompt(facts[1:], facts[0].question)
    (ids,) = tiny_engine.encode([text], add_special_tokens=False)
    assert ids.count(tokenizer.eos_token_id) == 2
    messages = [
        message
        for fact in facts[1:]
        for message in (
            {"role": "user", "content": fact.question},
            {"role": "assistant", "content": fact.answers[0]},
        )
    ] + [{"role": "user", "content": facts[0].question}]
    assert text == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == expected


@pytest.mark.parametrize("place", ["question", "answer", "alias", "exemplar"])
def test_control_tokens_in_chat_prompts_are_refused_before_anything_is_read(
    tiny_engine: TransformersEngine, place: str
) -> None:
    facts = toy_facts(1, 6)
    changes = {
        "question": {"question": "What is <eos>?"},
        "answer": {"answers": ("<eos>",)},
        "alias": {"answers": ("red", "a <eos> b")},
        "exemplar": {"question": "What is <eos>?"},
    }[place]
    bad = replace(facts[0], **changes)  # type: ignore[arg-type]
    asked, shots = ([facts[1]], [bad, *facts[2:]]) if place == "exemplar" else ([bad], facts[1:])
    style = tiny_engine.prompt_style(ProbeConfig(prompt_style="chat"))
    with pytest.raises(DataError) as caught:
        draw_probe_prompts(asked, {"toy-0": shots}, style, num_sets=1, num_shots=2, seed=1)
    assert str(caught.value).startswith(
        'fact "toy-0-0": expected a text without control tokens of the model, found "<eos>" in "'
    )
    assert str(caught.value).endswith('" - delete it there, or use prompt_style "plain"')
    draw_probe_prompts(
        asked, {"toy-0": shots}, tiny_engine.prompt_style(ProbeConfig()), num_sets=1, num_shots=2, seed=1
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages[-1]['content'] }} {{ messages[-1]['content'] }}", "writes the question once, found it 2 times"),
        ("{{ messages[-1]['role'] }}", "writes the question once, found it 0 times"),
    ],
)
def test_template_that_repeats_or_drops_the_question_is_refused(
    tiny_engine: TransformersEngine, template: str, said: str
) -> None:
    tiny_engine.loaded.tokenizer.chat_template = template
    facts = toy_facts(1, 6)
    style = tiny_engine.prompt_style(ProbeConfig(prompt_style="chat"))
    probe_prompts = draw_probe_prompts(facts, {"toy-0": facts}, style, num_sets=1, num_shots=2, seed=1)
    with pytest.raises(ModelError, match=said):
        probe_prompts.prompt(facts[0], 0)


def test_template_without_end_is_refused_when_the_style_is_chosen(tiny_engine: TransformersEngine) -> None:
    tiny_engine.loaded.tokenizer.chat_template = (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    with pytest.raises(ModelError, match="no end in 2 seconds"):
        tiny_engine.prompt_style(ProbeConfig(prompt_style="chat"))


def test_template_without_an_end_of_turn_is_refused_where_the_tokenizer_has_none_either(
    tiny_engine: TransformersEngine,
) -> None:
    tokenizer = tiny_engine.loaded.tokenizer
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    chat = ProbeConfig(prompt_style="chat")
    assert tiny_engine.prompt_style(chat).render_completion("red") == f"red{tokenizer.eos_token}"
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="expected an end of the assistant's turn, found none, and no eos_token"):
        tiny_engine.prompt_style(chat)


def test_tokenizer_without_a_token_to_fill_up_with_is_refused_before_training(tiny_engine: TransformersEngine) -> None:
    tiny_engine.loaded.tokenizer.pad_token = None
    with pytest.raises(ModelError, match="expected a tokenizer with a padding or end-of-sequence token, found neither"):
        check_training(tiny_engine.loaded, LoraSettings(), [])


def test_template_is_told_what_is_set_for_it(tiny_engine: TransformersEngine) -> None:
    tiny_engine.loaded.tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"
        "{% if not enable_thinking %}<no thoughts>{% endif %}"
    )
    chat = {"prompt_style": "chat", "system_prompt": "Be brief."}
    bare = tiny_engine.prompt_style(ProbeConfig(**chat, chat_template_kwargs={"enable_thinking": False}))
    assert bare.render_prompt([], "Who?") == "<system>Be brief.<end><user>Who?<end><no thoughts>"
    thinking = tiny_engine.prompt_style(ProbeConfig(**chat, chat_template_kwargs={"enable_thinking": True}))
    assert thinking.render_prompt([], "Who?") == "<system>Be brief.<end><user>Who?<end>"
