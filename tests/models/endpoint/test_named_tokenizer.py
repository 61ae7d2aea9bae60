"""A tokenizer that is named beside a served model: a dropped token for a beginning is found out before a promise is."""

from __future__ import annotations

import json
import math

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt

PROMPT = Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B"), template="raw")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the tokenizer of the small server: characters, and a blank with the capital behind it."""
    tokenizers = pytest.importorskip("tokenizers", reason="the extra embedded is not installed")
    vocabulary = {"<unk>": 0, "<s>": 1}
    vocabulary |= {chr(code): code + 16 for code in (10, *range(32, 127))}
    vocabulary |= {f" {letter}": 0x10000 + ord(letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    made.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(r" [A-Z]|[\s\S]"), "isolated")
    made.decoder = tokenizers.decoders.Fuse()
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    place = tmp_path / "tokenizer"
    place.mkdir()
    made.save(str(place / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "unk_token": "<unk>"}
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    (place / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    return place


def only_completions(serve, **options):
    return serve(routes=("/completions", "/tokenize"), **options)


def prompts(served):
    return [one.body["prompt"] for one in served.log if one.path.endswith("/completions")]


def test_the_same_tokenizer_is_said_and_token_ids_are_sent(serve, opened, folder):
    served = only_completions(serve)
    model = opened(f"{served.spec}?timeout=20&patience=20&tokenizer={folder}")
    assert "give the same tokens" in " ".join(model.identity.notes)
    served.log.clear()
    (answer,) = model.answer([PROMPT])
    assert {tuple(prompt[:1]) for prompt in prompts(served)} == {(1,)}
    known = served.log_probabilities(model.prompt_text(PROMPT).removeprefix("<s>"))
    for label, value in zip("AB", answer.log_probabilities, strict=True):
        assert math.exp(value) == pytest.approx(math.exp(known[label]) + math.exp(known[f" {label}"]))


def test_a_dropped_token_for_a_beginning_is_put_there(serve, opened, folder):
    served = only_completions(serve, bos=False)
    model = opened(f"{served.spec}?timeout=20&patience=20&tokenizer={folder}")
    assert "does not set the token for a beginning, so that token ids are sent" in " ".join(model.identity.notes)
    served.log.clear()
    model.answer([PROMPT])
    # The model reads the beginning all the same, since its tokenizer is not used.
    assert {tuple(prompt[:1]) for prompt in prompts(served)} == {(1,)}


def test_a_dropped_token_for_a_beginning_is_refused_where_texts_alone_can_be_sent(serve, opened, folder):
    served = only_completions(serve, bos=False, numbers=False)
    with pytest.raises(ModelError, match="does not set the token for a beginning and takes no token ids"):
        opened(f"{served.spec}?timeout=20&patience=20&tokenizer={folder}")


def test_another_tokenizer_than_that_of_the_served_model_is_refused(serve, opened, folder):
    served = only_completions(serve)

    def turned(path, reply):
        return {"tokens": reply["tokens"][::-1]} if len(reply.get("tokens", ())) > 30 else reply

    served.change = turned
    with pytest.raises(ModelError, match="has another tokenizer than the one that is named"):
        opened(f"{served.spec}?timeout=20&patience=20&tokenizer={folder}")


def test_a_prompt_that_the_server_cut_off_gives_no_number(serve, opened, folder):
    served = only_completions(serve)
    model = opened(f"{served.spec}?timeout=20&patience=20&tokenizer={folder}")

    def cut(path, reply):
        return reply | {"usage": {**reply["usage"], "prompt_tokens": 5}} if "usage" in reply else reply

    served.change = cut
    with pytest.raises(ModelError, match=r"read 5 tokens of a prompt that has \d+ by the tokenizer"):
        model.answer([PROMPT])
