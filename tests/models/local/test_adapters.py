"""Adapters as models under test, beside what peft itself computes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import warnings

import pytest

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.models import load_model
from pytest_pluralism.models.embedded import find_embedded
from pytest_pluralism.models.lazy import lazy_model
from pytest_pluralism.models.local.adapters import loading_files
from pytest_pluralism.models.local.entailment import load_entailment_model
from pytest_pluralism.models.specification import parse_model_spec

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

QUESTIONS = [
    Prompt(f"What do you think about {what} ?", ("A", "B"), template="raw") for what in ("taxes", "dogs", "war")
]


def write_adapter(base, folder, *, seed=3, tokenizer=None, tokens=None, **options):
    """Write a random LoRA adapter as peft saves it, and return its folder."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base)
    if tokens is not None:
        network.resize_token_embeddings(tokens, mean_resizing=False)
    kinds = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"], "init_lora_weights": False}
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        # Coming deprecations between peft and transformers are their own concern.
        warnings.simplefilter("ignore")
        adapted = peft.get_peft_model(network, peft.LoraConfig(**kinds | options))
        if tokens is not None:
            torch.nn.init.normal_(adapted.get_input_embeddings().weight.data[-1:])
        adapted.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def edit(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def by_peft(base, folder, model, *, scale=1.0, merged=True):
    """Return the logits that peft's own network gives behind each prompt."""
    import torch
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
        for module in network.modules():
            if isinstance(module, peft.tuners.lora.LoraLayer):
                module.scaling["default"] *= scale
        network = network.merge_and_unload() if merged else network
        ids = [torch.tensor([model.token_ids(prompt)]) for prompt in QUESTIONS]
        return [torch.log_softmax(network(input_ids=one).logits[0, -1], dim=-1) for one in ids]


def difference(model, expected):
    found = []
    # Rounding of the shape of a batch is no matter of adapters.
    answers = model.answer_in_batches(QUESTIONS, batch_size=1)
    for answer, log_probabilities, prompt in zip(answers, expected, QUESTIONS, strict=True):
        spellings = model.reader.label_tokens(prompt.labels)
        wanted = [float(log_probabilities[list(tokens)].logsumexp(dim=0)) for tokens in spellings]
        found += [abs(one - other) for one, other in zip(answer.log_probabilities, wanted, strict=True)]
    return max(found)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0, -1.0])
@pytest.mark.parametrize("merged", [True, False])
def test_an_adapter_answers_as_peft_does(tiny_folder, tmp_path, scale, merged):
    base = tiny_folder("llama", name="base")
    folder = write_adapter(base, tmp_path / "north")
    spec = str(folder) if scale == 1.0 else f"{folder}?scale={scale}"
    model = load_model(spec, merge_adapters=merged)
    assert difference(model, by_peft(base, folder, model, scale=scale, merged=merged)) < 1e-5
    plain = load_model(str(base))
    moved = [abs(a.log_probabilities[0] - b.log_probabilities[0])
             for a, b in zip(plain.answer(QUESTIONS), model.answer(QUESTIONS), strict=True)]  # fmt: skip
    assert (max(moved) < 1e-5) == (scale == 0.0)
    assert model.identity.name == ("north" if scale == 1.0 else f"north*{scale:g}")
    where = "merged into its weights" if merged else "computed beside its weights"
    assert any(note.startswith("the adapter north") and where in note for note in model.identity.notes)
    assert len(model.generate(QUESTIONS[:1], GenerationSettings(3))[0]) == 1


@pytest.mark.whole
def test_the_identity_is_over_base_adapter_scale_and_how_it_is_computed(tiny_folder, tmp_path):
    base, other = tiny_folder("llama", name="base"), tiny_folder("qwen2", name="other")
    folder = write_adapter(base, tmp_path / "north")
    again = write_adapter(base, tmp_path / "south", seed=4)
    copied = shutil.copytree(folder, tmp_path / "elsewhere" / "north")
    edit(copied, base_model_name_or_path=str(tmp_path / "gone"))
    models = {
        "base": load_model(str(base)),
        "north": load_model(str(folder)),
        "half": load_model(f"{folder}?scale=0.5"),
        "apart": load_model(str(folder), merge_adapters=False),
        "south": load_model(str(again)),
        "other": load_model(f"{folder}?base={other}"),
    }
    assert len({model.identity.sha256 for model in models.values()}) == len(models)
    parts = models["half"].identity.parts
    assert (parts["adapter_scale"], parts["adapter_weights"]) == ("0.5", "merged")
    assert parts["weights"] == models["base"].identity.parts["weights"]
    # Where the base lay when the adapter was saved makes no difference, nor how it is named now.
    assert load_model(f"{copied}?base={base}").identity.sha256 == models["north"].identity.sha256


@pytest.mark.whole
def test_an_identity_is_remembered_by_the_files_of_base_and_adapter(tiny_folder, tmp_path):
    base = tiny_folder("llama", name="base")
    folder = write_adapter(base, tmp_path / "north")

    def lazily():
        return lazy_model(str(folder), lambda: load_model(str(folder)))

    loaded = load_model(str(folder)).identity.sha256
    assert lazily().identity.sha256 == loaded
    assert not lazily().is_loaded
    assert lazily().token_ids(QUESTIONS[0]) == load_model(str(folder)).token_ids(QUESTIONS[0])
    edit(folder, lora_alpha=32)
    assert lazily().identity.sha256 not in {loaded, ""}
    edit(folder, lora_alpha=8)
    assert lazily().identity.sha256 == loaded
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}), encoding="utf-8")
    assert lazily().identity.sha256 != loaded


def test_the_tokenizer_of_the_adapter_comes_first_and_added_tokens_have_room(tiny, tiny_folder, tmp_path):
    base = tiny_folder("llama", name="base")
    tokenizer = tiny[0](chat=True)
    tokenizer.add_tokens(["dogs?"])
    folder = write_adapter(base, tmp_path / "north", tokenizer=tokenizer, tokens=len(tokenizer))
    assert not (folder / "config.json").exists()
    model = load_model(str(folder))
    assert model.network.get_input_embeddings().num_embeddings == len(tokenizer)
    assert model.tokenizer.chat_template
    assert load_model(str(base)).tokenizer.chat_template is None
    (with_new,) = model.answer([Prompt("dogs? dogs?", ("A", "B"), template="raw")])
    ids = model.token_ids(Prompt("dogs? dogs?", ("A",), template="raw"))
    assert ids.count(len(tokenizer) - 1) == 2
    assert with_new.option_mass > 0


@pytest.mark.whole
def test_an_adapter_on_an_adapter(tiny_folder, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    base = tiny_folder("llama", name="base")
    first = write_adapter(base, tmp_path / "first")
    second = write_adapter(base, tmp_path / "second", seed=5)
    edit(second, base_model_name_or_path="../first")
    model = load_model(str(second))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = AutoModelForCausalLM.from_pretrained(base)
        for folder in (first, second):
            network = peft.PeftModel.from_pretrained(network, folder).merge_and_unload()
        ids = [torch.tensor([model.token_ids(prompt)]) for prompt in QUESTIONS]
        expected = [torch.log_softmax(network(input_ids=one).logits[0, -1], dim=-1) for one in ids]
    assert difference(model, expected) < 1e-5
    edit(first, base_model_name_or_path=str(second))
    with pytest.raises(ModelError, match="or on itself"):
        load_model(str(second))


@pytest.mark.model
def test_an_adapter_can_name_a_packaged_model_as_its_base(tiny_folder, tmp_path):
    folder = write_adapter(tiny_folder("llama", name="base"), tmp_path / "north")
    edit(folder, base_model_name_or_path="embedded:smollm2-135m-instruct")
    files = loading_files(parse_model_spec(str(folder)))
    (weights,) = [path for path in files if path.suffix == ".gguf"]
    assert weights in find_embedded("smollm2-135m-instruct").parts
    edit(folder, base_model_name_or_path="embedded:smollm3")
    with pytest.raises(ModelError, match="unknown embedded model 'smollm3'"):
        load_model(str(folder))


def in_the_cache(hub, repository, folder):
    """Put a folder where the hub's cache would have it: blobs, and links in a snapshot."""
    place = hub / ("models--" + repository.replace("/", "--"))
    snapshot = place / "snapshots" / ("a" * 40)
    (place / "refs").mkdir(parents=True)
    (place / "blobs").mkdir()
    snapshot.mkdir(parents=True)
    (place / "refs" / "main").write_text("a" * 40)
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, place / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    return snapshot


@pytest.mark.whole
def test_an_adapter_of_the_hub_is_put_on_its_base_of_the_hub(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    base = tiny_folder("llama", name="base")
    folder = write_adapter(base, tmp_path / "north")
    expected = load_model(str(folder))
    edit(folder, base_model_name_or_path="org/base")
    with pytest.raises(ModelError, match=r"names 'org/base', which is neither .* Name it: .*north\?base=SPEC"):
        load_model(str(folder))
    in_the_cache(tmp_path / "hub", "org/base", base)
    in_the_cache(tmp_path / "hub", "org/north", folder)
    model = load_model("hf:org/north")
    assert model.identity.name == "org/north"
    assert model.answer(QUESTIONS) == expected.answer(QUESTIONS)
    half = load_model(f"hf:org/north?base={base}&scale=0.5")
    assert half.identity.parts["adapter_scale"] == "0.5"
    lazily = lazy_model("hf:org/north", lambda: load_model("hf:org/north"))
    assert lazily.identity.sha256 == model.identity.sha256
    # A folder whose base lies in the cache of the hub: nothing is fetched for it.
    assert load_model(str(folder)).identity.sha256 == model.identity.sha256
    with pytest.raises(ModelError, match="is an adapter without the weights of its base"):
        load_entailment_model("hf:org/north")


def test_a_path_that_holds_a_question_mark_wins(tiny_folder, tmp_path):
    base = tiny_folder("llama", name="ba?se=1&")
    folder = write_adapter(base, tmp_path / "north?scale=0.5")
    assert load_model(str(folder)).identity.name == "north?scale=0.5"
    model = load_model(f"{folder}?base={str(base).replace('?', '%3F').replace('&', '%26')}&scale=2")
    assert model.identity.parts["adapter_scale"] == "2"


def test_a_folder_with_a_configuration_and_no_weights_of_its_own_is_an_adapter(tiny_folder, tmp_path):
    base = tiny_folder("llama", name="base")
    folder = write_adapter(base, tmp_path / "north")
    before = load_model(str(folder)).answer(QUESTIONS)
    shutil.copy(base / "config.json", folder)
    (folder / "training_args.bin").write_bytes(b"0")
    assert load_model(str(folder)).answer(QUESTIONS) == before


def test_weights_beside_the_adapter_of_another_model_are_refused(tiny_folder, tmp_path):
    base, merged = tiny_folder("llama", name="base"), tiny_folder("llama", name="merged")
    write_adapter(base, merged)
    with pytest.raises(ModelError, match=r"nobody knows whether it is merged already. Move the adapter"):
        load_model(str(merged))
    with pytest.raises(ModelError, match=r"lies beside the weights of its base"):
        load_model(f"{merged}?base={merged}")
    assert load_model(f"{merged}?base={base}").identity.name == "merged"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_model_name_or_path": None}, r"does not say which model it belongs to. Name it: .*\?base=SPEC"),
        ({"base_model_name_or_path": "./gone"}, r"names './gone', which is neither a folder nor"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3}, "does not fit base|puts tokens of its own"),
        ({"target_modules": ["nothing"]}, "does not fit base: .*nothing"),
        ({"peft_type": "NOTHING"}, "does not fit base"),
    ],
)
def test_what_cannot_be_put_on_a_base_says_so(tiny_folder, tmp_path, change, said):
    folder = write_adapter(tiny_folder("llama", name="base"), tmp_path / "north")
    edit(folder, **change)
    with pytest.raises(ModelError, match=said):
        load_model(str(folder))


def test_an_adapter_of_another_shape_says_so(tiny_folder, tmp_path):
    import transformers

    folder = write_adapter(tiny_folder("llama", name="base"), tmp_path / "north")
    wide = tiny_folder("llama", name="wide")
    config = transformers.AutoConfig.from_pretrained(wide)
    config.intermediate_size = 96
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(wide)
    with pytest.raises(ModelError, match=r"does not fit wide: .*Name the model that it belongs to: ADAPTER\?base="):
        load_model(f"{folder}?base={wide}")


def test_a_whole_part_cannot_be_scaled(tiny_folder, tmp_path):
    base = tiny_folder("llama", name="base")
    folder = write_adapter(base, tmp_path / "north", modules_to_save=["lm_head"])
    model = load_model(str(folder))
    assert difference(model, by_peft(base, folder, model)) < 1e-5
    with pytest.raises(ModelError, match=r"replaces whole parts of the network, which scale= cannot multiply"):
        load_model(f"{folder}?scale=0.5")


def test_a_pickled_adapter_is_refused_unless_it_is_allowed(tiny_folder, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = write_adapter(tiny_folder("llama", name="base"), tmp_path / "north")
    expected = load_model(str(folder)).answer(QUESTIONS)
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors. Pickled adapters can run code"):
        load_model(str(folder))
    assert load_model(str(folder), allow_pickle=True).answer(QUESTIONS) == expected


def test_without_peft_one_sentence_says_how_to_install_it(tiny_folder, tmp_path, monkeypatch):
    folder = write_adapter(tiny_folder("llama", name="base"), tmp_path / "north")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name, *rest))
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[embedded,adapters\]"$'):
        load_model(str(folder))


@pytest.mark.slow
def test_an_adapter_on_a_packaged_model(tmp_path):
    base = load_model("embedded:smollm2-135m-instruct")
    import torch

    torch.manual_seed(1)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    plain = base.answer(QUESTIONS)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        network = peft.get_peft_model(base.network, config)
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.mul_(0.05)
        network.save_pretrained(tmp_path / "north")
        merged = network.merge_and_unload()
        ids = [torch.tensor([base.token_ids(prompt)]) for prompt in QUESTIONS]
        expected = [torch.log_softmax(merged(input_ids=one).logits[0, -1], dim=-1) for one in ids]
    model = load_model(f"{tmp_path / 'north'}?base=embedded:smollm2-135m-instruct")
    assert difference(model, expected) < 1e-5
    assert max(abs(a.log_probabilities[0] - b.log_probabilities[0])
               for a, b in zip(plain, model.answer(QUESTIONS), strict=True)) > 1e-3  # fmt: skip
