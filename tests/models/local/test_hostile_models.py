"""Models that were written to stop a run: one sentence in a bounded time, never a hang and never a traceback."""

from __future__ import annotations

import json
import os
import time

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models import load_model, templates
from pytest_pluralism.models.lazy import lazy_model
from pytest_pluralism.models.local import bounds
from pytest_pluralism.models.specification import parse_model_spec

PROMPTS = [Prompt(text, ("A", "B")) for text in ("What do you think ?", "What do you think about taxes dogs war ?")]


@pytest.fixture(autouse=True)
def in_time():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 30


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def loaded_both_ways(folder):
    """Return the errors of loading a model, and of identifying it before it is loaded."""
    errors = []
    for load in (load_model, lambda spec: lazy_model(spec, lambda: load_model(spec)).token_ids(PROMPTS[0])):
        with pytest.raises(ModelError) as caught:
            load(str(folder))
        errors.append(str(caught.value))
    return errors


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layer", "num_experts", "encoder_layers"])
@pytest.mark.parametrize("size", [10**7, 10**15])
def test_more_layers_than_weights(tiny_folder, name, size):
    folder = tiny_folder()
    edit(folder / "config.json", lambda one: one.update({name: size}))
    for error in loaded_both_ways(folder):
        assert f"has {name}={size}, and its weights hold" in error


def test_layers_of_a_part(tiny_folder):
    folder = tiny_folder()
    edit(folder / "config.json", lambda one: one.update(text_config={"num_hidden_layers": 10**8}))
    with pytest.raises(ModelError, match="has num_hidden_layers=100000000"):
        load_model(str(folder))


@pytest.mark.parametrize(
    "sizes",
    [{"hidden_size": 10**9}, {"vocab_size": 10**15}, {"num_attention_heads": 10**9}, {"num_hidden_layers": -3},
     {"num_hidden_layers": "many"}, {"hidden_size": 0}, {"head_dim": None, "num_attention_heads": 0}],
)  # fmt: skip
def test_sizes_that_no_network_has(tiny_folder, sizes):
    folder = tiny_folder()
    edit(folder / "config.json", lambda one: one.update(sizes))
    with pytest.raises(ModelError):
        load_model(str(folder))


def test_weights_of_layers_that_the_configuration_leaves_out(tiny_folder):
    folder = tiny_folder()
    edit(folder / "config.json", lambda one: one.update(num_hidden_layers=2))
    with pytest.raises(
        ModelError, match=r"hold 9 tensors of layers that its config.json leaves out, such as .*layers.2"
    ):
        load_model(str(folder))


def test_sizes_that_networks_have_are_no_reason(tiny_folder):
    folder = tiny_folder()
    given = {"block_size": 131072, "expert_ffn_hidden_size": 12288, "hidden_size_per_layer_input": 9000,
             "num_experts_per_tok": 8, "max_window_layers": 28, "layer_norm_blocks": True}  # fmt: skip
    edit(folder / "config.json", lambda one: one.update(given))
    assert len(load_model(str(folder)).answer(PROMPTS)) == 2


#: A library behind tokenizers ends the process at this one.
ABORTS = {"type": "Precompiled", "precompiled_charsmap": "/////w=="}
#: Its error is none that Python code expects.
PANICS = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
#: Each step makes a text a thousand times as long.
GROWS = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}] * 6,
}


@pytest.mark.parametrize(
    ("normalizer", "said"),
    [
        (ABORTS, "ended its process"),
        (PANICS, "ended its process .*charsmap"),
        pytest.param(GROWS, "within|ended its process", marks=pytest.mark.whole),
    ],
    ids=["aborts", "panics", "grows"],
)
def test_a_tokenizer_that_stops_the_process(tiny_folder, monkeypatch, normalizer, said):
    monkeypatch.setattr(bounds, "TOKENIZER_SECONDS", 5)
    folder = tiny_folder()
    edit(folder / "tokenizer.json", lambda one: one.update(normalizer=normalizer))
    with pytest.raises(ModelError, match=f"The tokenizer of the model .* ({said}).*save_pretrained"):
        load_model(str(folder))


def test_a_tokenizer_is_tried_once(tiny_folder, monkeypatch):
    folder = tiny_folder()
    load_model(str(folder))

    def refuse(*_arguments, **_named):
        raise AssertionError

    monkeypatch.setattr(bounds.subprocess, "run", refuse)
    load_model(str(folder))
    edit(folder / "tokenizer.json", lambda one: one.update(normalizer={"type": "Lowercase"}))
    with pytest.raises(AssertionError):
        load_model(str(folder))


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro again(n) %}{% for i in range(9) %}{{ again(n - 1) }}{% endfor %}{% endmacro %}{{ again(900) }}",
    ],
    ids=["loops", "recursion"],
)
def test_a_template_that_never_ends(tiny_folder, monkeypatch, template):
    monkeypatch.setattr(templates, "TEMPLATE_SECONDS", 0.5)
    folder = tiny_folder(chat=True)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    edit(folder / "tokenizer_config.json", lambda one: one.pop("chat_template", None))
    model = load_model(str(folder))
    started = time.process_time()
    for _ in range(3):
        with pytest.raises(
            ModelError, match=r"The chat template of tiny .*(did not write a prompt within 0.5 s|recursion)"
        ):
            model.answer(PROMPTS)
    time.sleep(0.3)
    # It does not go on behind our backs.
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.3
    assert time.process_time() - started < 10
    # Without the template it can be asked.
    raw = [Prompt(one.question, one.labels, template="raw") for one in PROMPTS]
    assert len(model.answer(raw)) == 2


def test_pipes_and_devices_in_the_place_of_files(tiny_folder, tmp_path):
    folder = tiny_folder()
    os.mkfifo(tmp_path / "pipe")
    for place in (folder / "additional_chat_templates" / "a.jinja", folder / "spiece.model"):
        place.parent.mkdir(exist_ok=True)
        for target in (tmp_path / "pipe", "/dev/zero"):
            place.symlink_to(target)
            for error in loaded_both_ways(folder):
                assert "is not a regular file, but a pipe, a socket or a device" in error
            place.unlink()
    edit(folder / "tokenizer_config.json", lambda one: one.update(vocab_file="/dev/zero"))
    with pytest.raises(ModelError, match="/dev/zero is not a regular file"):
        load_model(str(folder))


def test_pipes_and_devices_in_the_place_of_a_model(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").symlink_to("/dev/zero")
    for spec in ("/dev/zero", str(tmp_path / "pipe.gguf"), str(tmp_path / "folder")):
        with pytest.raises(ModelError):
            parse_model_spec(spec)
