"""Loading and asking models of transformers: tiny ones made here, and the packaged ones."""

from __future__ import annotations

import json
import logging
import math
import shutil
import subprocess
import sys
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pytest_pluralism.core.errors import InvalidParameterError, ModelError  # noqa: E402
from pytest_pluralism.core.records import Prompt, Turn  # noqa: E402
from pytest_pluralism.models import load_model  # noqa: E402
from pytest_pluralism.models.local import packages  # noqa: E402
from pytest_pluralism.models.protocol import LanguageModel  # noqa: E402

QUESTIONS = [
    Prompt(f"What do you think about {what} ?", ("A", "B", "C"), (Turn("one two three", "A"), Turn("You are", "C")))
    for what in ("taxes", "dogs", "war", "bread and butter")
]


def rewrite(path, **changes):
    value = json.loads(path.read_text(encoding="utf-8"))
    value.update(changes)
    path.write_text(json.dumps(value), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ answers


def test_answers_are_those_of_the_network(tiny_folder):
    model = load_model(str(tiny_folder()))
    assert isinstance(model, LanguageModel)
    calls = []
    answers = model.answer([*QUESTIONS, QUESTIONS[1]], progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (5, 5)
    assert answers[4] == answers[1]
    assert answers[0] != answers[1]
    tokenizer, network = model.reader.tokenizer, model.scorer.model
    for prompt, answer in zip(QUESTIONS, answers, strict=False):
        text = "one two three\nAnswer: A\n\nYou are\nAnswer: C\n\n" + prompt.question + "\nAnswer:"
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == 1
        assert 1 not in ids[1:]
        with torch.inference_mode():
            probabilities = network(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
        expected = [float(probabilities[tokenizer.convert_tokens_to_ids(label)]) for label in "ABC"]
        assert [math.exp(value) for value in answer.log_probabilities] == pytest.approx(expected, abs=1e-5)
        assert answer.option_mass == pytest.approx(sum(expected), abs=1e-5)
        assert answer.top_token == tokenizer.decode([int(probabilities.argmax())])
        assert answer.top_probability == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_no_prompts_no_answers(tiny_folder):
    assert load_model(str(tiny_folder())).answer([]) == []


def test_the_chat_template_is_used_where_there_is_one(tiny_folder):
    model = load_model(str(tiny_folder(chat=True)))
    ids = model.token_ids(Prompt("one two", ("A",), system="three"))
    text = model.reader.tokenizer.decode(ids)
    assert text == "<s> <system> three </s> <user> one two </s> <assistant>"
    raw = load_model(str(tiny_folder(name="raw")))
    with pytest.raises(ModelError, match="raw has no chat template"):
        raw.answer([Prompt("one", ("A",), template="chat")])


def test_a_prompt_longer_than_the_context_is_never_cut(tiny_folder):
    model = load_model(str(tiny_folder()))
    prompt = Prompt("Please tell me of one two three four five six " + "dogs " * 300, ("A", "B"))
    with pytest.raises(
        ModelError, match=r"'Please tell me of one two three four \.\.\.' has 3\d\d tokens.*at most 256"
    ):
        model.answer([prompt])
    fitting = Prompt("x", ("A", "B"), verbatim="dogs " * 255)
    assert len(model.token_ids(fitting)) == 256
    model.answer([fitting])


def test_a_label_that_is_not_one_token(tiny_folder):
    with pytest.raises(ModelError, match="The label 'Strongly agree' is not one token of the tokenizer of tiny"):
        load_model(str(tiny_folder())).answer([Prompt("one", ("A", "Strongly agree"))])


def test_an_encoder_decoder_answers(tiny_folder):
    model = load_model(str(tiny_folder("t5")))
    (answer,) = model.answer([QUESTIONS[0]])
    assert 0 < answer.option_mass < 1
    assert "encoder-decoder" in model.identity.notes[0]


@pytest.mark.whole
def test_a_closed_model_cannot_be_asked(tiny_folder):
    model = load_model(str(tiny_folder()))
    identity = model.identity
    model.close()
    model.close()
    assert model.identity == identity
    with pytest.raises(ModelError, match="tiny has been closed"):
        model.answer(QUESTIONS)


# ----------------------------------------------------------------------------------------------------------- identity


def test_identity_names_the_part_that_differs(tiny_folder, tmp_path):
    folder = tiny_folder()
    first = load_model(str(folder)).identity
    assert (first.spec, first.name, first.dtype, first.device) == (str(folder), "tiny", "float32", "cpu")
    assert first.architecture == "LlamaForCausalLM"
    assert first.parameters == sum(p.numel() for p in load_model(str(folder)).scorer.model.parameters())
    assert json.loads(json.dumps(first.as_json())) == first.as_json()

    copy = shutil.copytree(folder, tmp_path / "copy")
    second = load_model(str(copy)).identity
    assert second.sha256 == first.sha256, "the place and the name are no part of it"
    # Saved by another version: the same model.
    rewrite(copy / "config.json", transformers_version="9.9.9")
    assert load_model(str(copy)).identity.sha256 == first.sha256

    def changed(identity):
        return {part for part in first.parts if identity.parts[part] != first.parts[part]}

    half = load_model(str(folder), dtype="bfloat16").identity
    assert changed(half) == {"dtype"}
    assert half.sha256 != first.sha256
    assert half.dtype == "bfloat16"
    rewrite(copy / "config.json", rms_norm_eps=1e-3)
    assert changed(load_model(str(copy)).identity) == {"config"}
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    assert changed(load_model(str(copy)).identity) == {"config", "chat_template"}
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"] += 1e-3
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    assert "weights" in changed(load_model(str(copy)).identity)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
def test_cuda_where_there_is_none(tiny_folder, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=f"The device '{device}' is not there.*--pluralism-device=auto"):
        load_model(str(tiny_folder()), device=device)


def test_a_second_cuda_device_where_there_is_one(tiny_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ModelError, match="sees 1 CUDA devices, counted from 0"):
        load_model(str(tiny_folder()), device="cuda:1")


def test_parameters(tiny_folder):
    folder = str(tiny_folder())
    with pytest.raises(ModelError, match="unknown device 'gpu'"):
        load_model(folder, device="gpu")
    with pytest.raises(InvalidParameterError, match="The 'dtype' parameter of load_model must be one of 'auto'"):
        load_model(folder, dtype="int8")
    for batch_size in (0, -1, True, 2.5, "many"):
        with pytest.raises(InvalidParameterError, match="The 'batch_size' parameter of load_model must be"):
            load_model(folder, batch_size=batch_size)


def test_pickled_weights_are_read_only_when_allowed(tiny_folder):
    folder = tiny_folder()
    from safetensors.torch import load_file

    expected = load_model(str(folder)).answer(QUESTIONS)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelError, match=r"pickled weights only \(pytorch_model\.bin\).*--pluralism-allow-pickled-weights"
    ):
        load_model(str(folder))
    allowed = load_model(str(folder), allow_pickle=True)
    for answer, wanted in zip(allowed.answer(QUESTIONS), expected, strict=True):
        assert answer.log_probabilities == pytest.approx(wanted.log_probabilities, abs=1e-5)
    (folder / "pytorch_model.bin").unlink()
    # A trainer's own files hold no weights of the model.
    for name in ("optimizer.pt", "training_args.bin", "rng_state_0.pth"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ModelError, match="holds no weights"):
        load_model(str(folder), allow_pickle=True)


def test_remote_code_is_refused(tiny_folder):
    folder = tiny_folder()
    rewrite(
        folder / "config.json",
        model_type="homemade",
        auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"},
    )
    (folder / "code.py").write_text("raise SystemExit('this code ran')", encoding="utf-8")
    with pytest.raises(ModelError, match=r"wants to run code that came with it.*--pluralism-trust-remote-code"):
        load_model(str(folder))


def test_an_auto_map_that_is_not_needed_does_no_harm(tiny_folder):
    folder = tiny_folder()
    rewrite(folder / "config.json", auto_map={"AutoModelForCausalLM": "code.M"})
    (folder / "code.py").write_text("raise SystemExit('this code ran')", encoding="utf-8")
    load_model(str(folder)).answer(QUESTIONS)


def test_an_architecture_nobody_knows(tiny_folder):
    folder = tiny_folder()
    rewrite(folder / "config.json", model_type="homemade")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(str(folder))


def test_a_classifier_is_no_language_model(tiny_folder):
    folder = tiny_folder()
    rewrite(folder / "config.json", architectures=["LlamaForSequenceClassification"])
    with pytest.raises(ModelError, match="LlamaForSequenceClassification: it does not write text"):
        load_model(str(folder))


def test_missing_tensors_are_not_made_up(tiny_folder):
    folder = tiny_folder()
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 tensors .* such as 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        load_model(str(folder))


@pytest.mark.parametrize("damage", ["weights", "config", "tokenizer"])
def test_damaged_folders(tiny_folder, damage):
    folder = tiny_folder()
    if damage == "weights":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "config":
        (folder / "config.json").write_text("{", encoding="utf-8")
    else:
        (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot be (loaded|read)"):
        load_model(str(folder))


def test_out_of_memory_while_loading(tiny_folder, monkeypatch):
    from transformers import AutoModelForCausalLM

    def hungry(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", hungry)
    with pytest.raises(ModelError, match=r"not enough memory on cpu for the model .*--pluralism-dtype=bfloat16"):
        load_model(str(tiny_folder()))


# ----------------------------------------------------------------------------------------------------------------- hub


def test_nothing_is_fetched_for_a_folder(tiny_folder, monkeypatch):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    load_model(str(tiny_folder())).answer(QUESTIONS)


def test_a_repository_becomes_a_folder(tiny_folder, monkeypatch):
    import huggingface_hub

    folder, asked = tiny_folder(), []

    def fetch(name, **arguments):
        asked.append((name, arguments))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = load_model("hf:ORG/NAME@v1")
    assert model.identity.name == "ORG/NAME"
    assert model.identity.spec == "hf:ORG/NAME@v1"
    ((name, arguments),) = asked
    assert name == "ORG/NAME"
    assert arguments["revision"] == "v1"
    assert arguments["local_files_only"] is True
    assert not {"*.bin", "*.py"} & set(arguments["allow_patterns"])


def test_a_tokenizer_of_a_repository_is_fetched_without_the_weights(tiny_folder, monkeypatch):
    import huggingface_hub

    from pytest_pluralism.models.local.identification import prompt_reader
    from pytest_pluralism.models.specification import parse_model_spec

    folder, asked = tiny_folder(), []
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda _, **arguments: asked.append(arguments) or str(folder)
    )
    reader = prompt_reader(parse_model_spec("hf:ORG/NAME"), needs_weights=False)
    assert reader.tokenizer("one")["input_ids"]
    assert "*.json" in asked[0]["allow_patterns"]
    assert not [one for arguments in asked for one in arguments["allow_patterns"] if "safetensors" in one]


@pytest.mark.slow
def test_offline_and_not_in_the_cache(tmp_path):
    program = "from pytest_pluralism.models import load_model\nload_model('hf:nobody/nothing-at-all')\n"
    import os

    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "ModelError: The model 'hf:nobody/nothing-at-all' cannot be fetched: HF_HUB_OFFLINE is set" in done.stderr


# --------------------------------------------------------------------------------------------------------------- quiet


def test_loading_is_quiet_and_leaves_the_filters_alone(tiny_folder, capfd, recwarn):
    from transformers.utils import logging as transformers_logging

    folder = str(tiny_folder())
    capfd.readouterr()
    before = transformers_logging.get_verbosity(), list(warnings.filters)
    with packages.quiet_transformers():
        warnings.warn("a deprecation of torch", DeprecationWarning, stacklevel=1)
        logging.getLogger("transformers").warning("a line of transformers")
    load_model(folder).answer(QUESTIONS)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert (transformers_logging.get_verbosity(), list(warnings.filters)) == before


@pytest.mark.whole
def test_a_process_that_turns_warnings_into_errors(tiny_folder):
    program = (
        "import sys\n"
        "from pytest_pluralism.models import load_model\n"
        "from pytest_pluralism.core.records import Prompt\n"
        "model = load_model(sys.argv[1])\n"
        "model.answer([Prompt('one two', ('A', 'B'))])\n"
        "model.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tiny_folder())], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ----------------------------------------------------------------------------------------------------- packaged models


def survey_prompts(template="auto"):
    options = "\nA. Good\nB. Bad\nC. Neither"
    questions = [
        "How would you describe the economy of your country today?",
        "Do you think that most people can be trusted?",
        "How would you describe the way democracy works in your country, taking everything together?",
        "What do you think of paying higher taxes for better schools?",
    ]
    systems = ["You live in Japan and answer a survey. " * 3, "You live in France and answer a survey. " * 3]
    return [
        Prompt(question + options, ("A", "B", "C"), system=system, template=template)
        for system in systems
        for question in questions
    ]


def packaged(spec):
    try:
        return load_model(spec)
    except ImportError:
        pytest.skip(f"the package of {spec} is not installed")


def equals_one_by_one(model, prompts):
    answers = model.answer(prompts)
    network = model.scorer.model
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([model.token_ids(prompt)])
        with torch.inference_mode():
            logits = network(input_ids=ids, logits_to_keep=1).logits[0, -1].double()
        probabilities = logits.softmax(-1)
        expected = [float(probabilities[list(model.reader.spellings(label))].sum()) for label in prompt.labels]
        assert [math.exp(value) for value in answer.log_probabilities] == pytest.approx(expected, abs=1e-5)
    return answers


@pytest.mark.whole
@pytest.mark.model
def test_smollm2_answers_in_chat_form():
    model = packaged("embedded:smollm2-135m-instruct")
    ids = model.token_ids(survey_prompts()[0])
    text = model.reader.tokenizer.decode(ids)
    assert text.startswith("<|im_start|>system\nYou live in Japan")
    assert text.endswith("C. Neither<|im_end|>\n<|im_start|>assistant\n")
    assert model.reader.opening == (), "this file wants no token of its own in front"
    assert model.identity.parameters == 134_515_008
    whole = sum(len(model.token_ids(prompt)) for prompt in survey_prompts())
    answers = model.answer(survey_prompts())
    assert model.scorer.computed_tokens < whole + 200
    assert min(answer.option_mass for answer in answers) > 0.3
    model.close()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("template", ["auto", "raw"])
def test_smollm2_equals_one_prompt_at_a_time(template):
    model = packaged("embedded:smollm2-135m-instruct")
    before = model.scorer.computed_tokens
    equals_one_by_one(model, survey_prompts(template))
    assert model.scorer.share_prefixes
    assert model.scorer.computed_tokens > before
    model.close()


@pytest.mark.model
@pytest.mark.slow
def test_gemma_equals_one_prompt_at_a_time_past_its_window():
    model = packaged("embedded:gemma-3-270m")
    assert model.reader.opening == (2,)
    assert {model.reader.decode(token) for token in model.reader.spellings("A")} == {"A", " A"}
    prompts = survey_prompts()
    equals_one_by_one(model, prompts)
    window = model.scorer.model.config.sliding_window
    long = [
        Prompt(prompt.question, prompt.labels, system="Here is what was said in the meeting. " * 80)
        for prompt in prompts[:4]
    ]
    assert min(len(model.token_ids(prompt)) for prompt in long) > window + 50
    equals_one_by_one(model, long)
    assert model.scorer.share_prefixes
    model.close()
