"""Tokenizers and networks that do not fit together, and files that are missing: sentences instead of tracebacks."""

from __future__ import annotations

import json

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models import load_model

PROMPTS = [Prompt(text, ("A", "B")) for text in ("What do you think ?", "What do you think about taxes dogs war ?")]


def saved_with(folder, tokenizer):
    tokenizer.save_pretrained(folder)
    return load_model(str(folder))


def test_a_padding_token_beyond_the_network_does_not_matter(tiny_folder, tiny):
    folder = tiny_folder()
    expected = load_model(str(folder)).answer(PROMPTS)
    tokenizer = tiny[0]()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model = saved_with(folder, tokenizer)
    assert model.tokenizer.pad_token_id == len(tiny[0]())
    found = model.answer(PROMPTS)
    for one, other in zip(found, expected, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)


def test_words_that_only_the_tokenizer_has(tiny_folder, tiny):
    tokenizer = tiny[0]()
    tokenizer.add_tokens(["zebra", "Zustimmung"])
    model = saved_with(tiny_folder(), tokenizer)
    with pytest.raises(ModelError, match=r"The prompt 'What zebra .*' holds the token 'zebra' .* larger than the net"):
        model.answer([Prompt("What zebra ?", ("A", "B"))])
    with pytest.raises(ModelError, match=r"The label 'Zustimmung' holds the token .*resize_token_embeddings"):
        model.answer([Prompt("What do you think ?", ("A", "Zustimmung"))])
    assert len(model.answer(PROMPTS)) == 2


def test_a_folder_without_a_tokenizer(tiny_folder):
    folder = tiny_folder()
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer: .*Write one there with tokenizer\.save_pretrained"):
        load_model(str(folder))


def test_a_config_that_is_nested_too_deeply(tiny_folder):
    folder = tiny_folder()
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    deep = "[" * 100_000 + "]" * 100_000
    (folder / "config.json").write_text(json.dumps(content)[:-1] + f', "deep": {deep}}}', encoding="utf-8")
    with pytest.raises(ModelError, match="nested too deeply"):
        load_model(str(folder))
