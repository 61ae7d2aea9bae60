"""Models that are known by their files: the same identity as when loaded, never an old one, and no torch for it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models import lazy, load_model
from pytest_pluralism.models.lazy import LazyModel, lazy_entailment_model, lazy_model, resolved_device
from pytest_pluralism.models.local import identification
from pytest_pluralism.models.specification import parse_model_spec

PROMPT = Prompt("What do you think about taxes ?", ("A", "B"))


def lazily(spec, **settings):
    return lazy_model(str(spec), functools.partial(load_model, str(spec), **settings), **settings)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "gpt2", "gemma3", "mamba", "phi3-longrope", "t5"])
def test_an_identity_is_that_of_the_loaded_model(tiny_folder, family):
    folder = tiny_folder(family, chat=family != "t5")
    model = lazily(folder)
    assert isinstance(model, LazyModel)
    assert not model.is_loaded
    # The notes say what was learned while it was asked.
    assert model.identity == replace(load_model(folder).identity, notes=())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_number_format_is_part_of_it(tiny_folder, dtype):
    folder = tiny_folder()
    named = parse_model_spec(str(folder))
    identity = identification.identify(named, device="cpu", dtype=dtype)
    assert identity is not None
    assert identity.dtype == dtype
    assert identity.sha256 == load_model(str(folder), dtype=dtype).identity.sha256


def test_parts_that_keep_a_format_of_their_own_are_loaded_to_be_known(tiny_folder):
    folder = tiny_folder("t5")
    named = parse_model_spec(str(folder))
    assert identification.identify(named, device="cpu", dtype="bfloat16") is None
    assert not isinstance(lazily(folder, dtype="bfloat16"), LazyModel)
    # It is remembered all the same.
    again = lazily(folder, dtype="bfloat16")
    assert isinstance(again, LazyModel)
    assert again.identity.sha256 == load_model(str(folder), dtype="bfloat16").identity.sha256


@pytest.mark.whole
def test_it_is_worked_out_once(tiny_folder, monkeypatch):
    folder = tiny_folder()
    first = lazily(folder).identity

    def never(*args, **settings):
        raise AssertionError

    monkeypatch.setattr(identification, "identify", never)
    model = lazily(folder)
    assert model.identity == first
    with pytest.raises(AssertionError):
        lazily(folder, dtype="bfloat16")
    # The first question loads it.
    (answer,) = model.answer([PROMPT])
    assert model.is_loaded
    assert answer == load_model(str(folder)).answer([PROMPT])[0]
    assert model.token_ids(PROMPT) == load_model(str(folder)).token_ids(PROMPT)
    model.close()
    assert model.identity == first
    with pytest.raises(ModelError, match="has been closed"):
        model.answer([PROMPT])


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_changed_file_is_another_model_even_with_its_old_size_and_time(tiny_folder, name):
    folder = tiny_folder(chat=True)
    before = lazily(folder).identity
    path = folder / name
    status = path.stat()
    content = path.read_bytes()
    if name == "model.safetensors":
        changed = content[:-1] + bytes([content[-1] ^ 1])
    elif name == "tokenizer.json":
        changed = content.replace(b"bread", b"beard")
    elif name == "tokenizer_config.json":
        changed = (
            content.replace(b"}", b" }", 1) if b"chat_template" not in content else content.replace(b"</s>", b"<s/>")
        )
    else:
        changed = content.replace(b'"rms_norm_eps": 1e-06', b'"rms_norm_eps": 1e-05')
    assert changed != content
    path.write_bytes(changed)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = lazily(folder).identity
    assert after.sha256 != before.sha256
    assert after.sha256 == load_model(str(folder)).identity.sha256


@pytest.mark.whole
def test_a_model_that_changes_under_a_run_is_refused_and_forgotten(tiny_folder):
    folder = tiny_folder()
    lazily(folder)
    model = lazily(folder)
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="its files changed in the meantime"):
        model.answer([PROMPT])
    assert lazily(folder).identity.sha256 == load_model(str(folder)).identity.sha256


@pytest.mark.parametrize("damage", ["", "{}", '{"sha256": 3}', "nonsense"])
def test_a_damaged_memory_is_not_used(tiny_folder, damage):
    folder = tiny_folder()
    first = lazily(folder).identity
    (path,) = (folder.parent / "cache" / "measured").glob("identity-*.json")
    if damage == '{"sha256": 3}':
        path.write_text(path.read_text().replace(f'"{first.sha256}"', "3"))
    else:
        path.write_text(damage)
    assert lazily(folder).identity == first


def test_what_is_remembered_needs_neither_torch_nor_numpy(tiny_folder):
    folder = tiny_folder()
    sha256 = lazily(folder).identity.sha256
    code = (
        "import sys\n"
        "from pytest_pluralism.models.lazy import lazy_model\n"
        f"model = lazy_model({str(folder)!r}, None)\n"
        f"assert model.identity.sha256 == {sha256!r}\n"
        "from pytest_pluralism.models.lazy import built_for_accelerators\n"
        "heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "assert not heavy or built_for_accelerators(), heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_device_is_the_one_that_loading_takes():
    torch = pytest.importorskip("torch")
    assert resolved_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert lazy.built_for_accelerators() == (torch.version.cuda is not None or torch.version.hip is not None)
    with pytest.raises(ModelError, match="device"):
        resolved_device("cdua")


def test_an_entailment_model_is_remembered_once_it_was_loaded(tmp_path, tiny, monkeypatch):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from pytest_pluralism.core.records import EntailmentPair
    from pytest_pluralism.models.local.entailment import load_entailment_model

    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    make_tokenizer, _ = tiny
    tokenizer = make_tokenizer()
    tokenizer.cls_token, tokenizer.sep_token, tokenizer.model_max_length = "<s>", "</s>", 64
    torch.manual_seed(3)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=64,
                        id2label={0: "entailment", 1: "neutral", 2: "contradiction"})  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    spec = str(tmp_path / "judge")
    loads = []

    def load():
        loads.append(spec)
        return load_entailment_model(spec)

    first = lazy_entailment_model(spec, load)
    assert not isinstance(first, LazyModel)
    second = lazy_entailment_model(spec, load)
    assert isinstance(second, LazyModel)
    assert second.identity == replace(first.identity, notes=())
    assert len(loads) == 1
    pair = EntailmentPair("dogs like bread", "dogs like butter")
    assert second.entail([pair]) == first.entail([pair])
    assert len(loads) == 2
