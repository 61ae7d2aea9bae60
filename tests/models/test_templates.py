"""Everything that is asked reaches the model: chat templates of all kinds, on any day."""

from __future__ import annotations

import datetime as dt

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt, Turn
from pytest_pluralism.models.prompts import PromptReader, render_prompt
from pytest_pluralism.models.templates import ChatTemplate

LEFT = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"), system="You are from Japan")
RIGHT = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"), system="You are from France")
SHOWN = Prompt("And now?", ("A", "B"), (Turn("Was it so?", "B"), Turn("Will it be?", "A")), system="Answer")

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[bot]"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} {% elif m.role == 'assistant' %}"
    "BOT: {{ m.content }} {% endif %}{% endfor %}BOT:"
)
PARTS = (
    "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content | selectattr('type', 'equalto', 'text') %}"
    "{{ c.text }} {% endfor %}{% endfor %}BOT:"
)
PARTS_NO_SYSTEM = PARTS.replace("in messages", "in messages if m.role != 'system'")


def reader(tiny, template, **options):
    tokenizer = tiny[0](**options)
    tokenizer.chat_template = template
    return PromptReader(tokenizer, model="tiny")


def text_of(one, prompt):
    return render_prompt(prompt, chat=one.chat_renderer(), model="tiny")


def test_a_system_text_that_the_template_drops_stands_before_the_question(tiny):
    one = reader(tiny, NO_SYSTEM)
    assert text_of(one, LEFT) == "USER: You are from Japan\n\nIs it?\nA. Yes\nB. No BOT:"
    assert one.encode(text_of(one, LEFT)) != one.encode(text_of(one, RIGHT))
    assert one.notes == ["its chat template has no place for a system text, which stands before the first question"]
    assert text_of(one, SHOWN) == "USER: Answer\n\nWas it so? BOT: B USER: Will it be? BOT: A USER: And now? BOT:"


def test_contents_are_parts_where_the_template_reads_parts(tiny):
    one = reader(tiny, PARTS)
    assert text_of(one, LEFT) == "SYSTEM: You are from Japan USER: Is it?\nA. Yes\nB. No BOT:"
    assert one.notes == ["its chat template reads contents as lists of parts"]
    both = reader(tiny, PARTS_NO_SYSTEM)
    assert text_of(both, LEFT) == "USER: You are from Japan\n\nIs it?\nA. Yes\nB. No BOT:"
    assert len(both.notes) == 1


def test_a_template_that_writes_everything_needs_no_note(tiny):
    one = reader(tiny, PLAIN)
    assert text_of(one, LEFT) == "[system]You are from Japan[user]Is it?\nA. Yes\nB. No[bot]"
    assert one.notes == []


@pytest.mark.parametrize(
    "template",
    [
        "Nothing is asked",
        "{{ messages[-1].content }}",
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{% for m in messages | reverse %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ m.content[:9] }}{% endfor %}",
    ],
)
def test_a_template_that_loses_or_repeats_a_part_is_refused(tiny, template):
    one = reader(tiny, template)
    with pytest.raises(ModelError, match=r"chat template of tiny does not write every part.*--pluralism-template=raw"):
        text_of(one, SHOWN)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}", "TemplateSyntaxError"),
        ("{{ nobody.content }}", "UndefinedError"),
        ("{{ raise_exception('only tools') }}", "only tools"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages[0].content + 3 }}", "TypeError"),
    ],
)
def test_errors_of_templates_are_sentences(tiny, template, words):
    one = reader(tiny, template)
    with pytest.raises(ModelError, match=rf"The chat template of tiny cannot write a prompt: .*{words}.*raw"):
        text_of(one, LEFT)


@pytest.mark.parametrize(
    "asks",
    [
        "{{ strftime_now('%d %b %Y') }}",
        '{% if strftime_now is defined %}{{ strftime_now("%d %b %Y") }}{% endif %}',
        "{% set day = strftime_now('%d %b %Y') %}{{ day }}",
        "{% macro today() %}{{ strftime_now('%d %b %Y') }}{% endmacro %}{{ today() }}",
        "{{ date_string }}",
    ],
)
def test_no_template_sees_the_clock(tiny, asks, monkeypatch):
    from transformers.utils import chat_template_utils

    class Clock(dt.datetime):
        day = 1

        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 11, cls.day, tzinfo=tz)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    found = set()
    for Clock.day in (1, 2):
        found.add(text_of(reader(tiny, asks + PLAIN), LEFT))
    (text,) = found
    assert text.startswith("26 Jul 2024[system]")


def test_every_form_of_a_day_stands_still(tiny):
    form = "%A %a %B %b %Y-%m-%d %-d %H:%M"
    text = text_of(reader(tiny, "\n {{ strftime_now('" + form + "') }}" + PLAIN), LEFT)
    assert text.startswith("\n Friday Fri July Jul 2024-07-26 26 00:00[system]")


def test_a_template_that_draws_lots_is_refused(tiny):
    with pytest.raises(ModelError, match="writes the same prompt in different ways"):
        text_of(reader(tiny, "{{ range(100000) | random }}" + PLAIN), LEFT)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "\n\n</think>\n\n"),
        ("<think>\n", "\n</think>\n\n"),
        ("[THINK]", "\n\n[/THINK]\n\n"),
        ("◁think▷", "\n\n◁/think▷\n\n"),
        ("<|START_THINKING|>", "\n\n<|END_THINKING|>\n\n"),
        ("<|begin_of_thought|>", "\n\n<|end_of_thought|>\n\n"),
    ],
)
def test_a_block_of_thoughts_that_a_template_opens_is_closed(tiny, opening, closing):
    one = reader(tiny, PLAIN + "{% if add_generation_prompt %}{{ mark }}{% endif %}".replace("{{ mark }}", opening))
    assert text_of(one, LEFT).endswith("[bot]" + opening + closing)
    (note,) = one.notes
    assert closing.strip() in note


def test_a_template_that_can_ask_without_thoughts_does(tiny):
    one = reader(tiny, PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}")
    assert text_of(one, LEFT).endswith("[bot]<think></think>")
    assert one.notes == ["its chat template is asked for an answer without thoughts (enable_thinking=False)"]


def test_a_template_with_channels_is_asked_for_the_final_one(tiny):
    template = "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    assert text_of(reader(tiny, template + "<|start|>assistant"), LEFT).endswith(
        "<|start|>assistant<|channel|>final<|message|>"
    )


@pytest.mark.parametrize("space", ["", " ", "\n", "\n  \n"])
def test_a_prompt_begins_once_whatever_white_space_a_template_writes(tiny, space):
    expected = reader(tiny, PLAIN).encode("one two")
    assert reader(tiny, PLAIN).encode(f"{space}<s>one two") == expected
    assert reader(tiny, PLAIN).encode(f"{space}<s>{space}<s>one two") == expected
    assert expected.count(1) == 1


def test_a_template_of_several_is_the_default_one(tiny):
    one = reader(tiny, {"default": PLAIN, "tool_use": "Nothing"})
    assert text_of(one, LEFT).startswith("[system]")
    assert isinstance(one.chat_renderer(), ChatTemplate)


def test_steering_reaches_a_model_whose_template_drops_the_system_text(tiny_folder):
    from pytest_pluralism.models import load_model

    folder = tiny_folder()
    (folder / "chat_template.jinja").write_text(NO_SYSTEM, encoding="utf-8")
    model = load_model(str(folder))
    left, right = model.answer([LEFT, RIGHT])
    assert left.log_probabilities != right.log_probabilities
    assert "its chat template has no place for a system text" in model.identity.notes[-1]


def test_the_text_that_a_model_reads_has_every_special_token(tiny_folder):
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.lazy import lazy_model

    folder = tiny_folder(chat=True)
    prompt = Prompt("What do you think about taxes ?", ("A", "B"))
    lazily = lazy_model(str(folder), lambda: load_model(str(folder)))
    text = lazily.prompt_text(prompt)
    assert text.startswith("<s>")
    assert text.endswith("<assistant>")
    assert "taxes" in text
    assert not lazily.is_loaded
    assert load_model(str(folder)).prompt_text(prompt) == text
