"""The identity of a model covers every file that decides an answer, and the key of an answer what the model read."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import warnings
from contextlib import closing
from urllib.parse import quote

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Answer, FullAnswerPrompt, GenerationSettings, Prompt
from pytest_pluralism.evaluation.asking.engine import Readings
from pytest_pluralism.models import load_model
from pytest_pluralism.models.answers import layout
from pytest_pluralism.models.answers.kinds import ANSWERS, RESPONSES, key_of, reading_of
from pytest_pluralism.models.answers.store import FILE_NAME, AnswerStore
from pytest_pluralism.models.lazy import LazyModel, lazy_model
from pytest_pluralism.models.local.adapters import described_model
from pytest_pluralism.models.local.files import files_of, hashes
from pytest_pluralism.models.specification import parse_model_spec

PROMPTS = [Prompt("What do you think about taxes ?", ("A", "B"), system="Answer with a letter")]


def parts(folder, *, trust_remote_code=False):
    return hashes(folder, parse_model_spec(str(folder)), trust_remote_code=trust_remote_code)


def answers(folder, **options):
    model = load_model(str(folder), **options)
    found = [answer.log_probabilities for answer in model.answer(PROMPTS)]
    return found, model.identity.sha256


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def sharded(folder, names):
    """Put the weights into files of these names, in turn, which the index tells."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {tensor: names[place % len(names)] for place, tensor in enumerate(sorted(tensors))}
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        own = {tensor: tensors[tensor] for tensor in tensors if weight_map[tensor] == name}
        save_file(own, folder / name, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}), encoding="utf-8")
    return tensors


def with_adapter(folder):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with warnings.catch_warnings():
        # Deprecations between peft and transformers are theirs.
        warnings.simplefilter("ignore")
        peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(folder)


REMOTE = """
from transformers import LlamaConfig, LlamaForCausalLM

SCALE = 1.0

class MyConfig(LlamaConfig):
    model_type = "mine"

class MyModel(LlamaForCausalLM):
    config_class = MyConfig

    def forward(self, *given, **named):
        output = super().forward(*given, **named)
        output.logits = output.logits * SCALE
        return output
"""


def with_code(folder):
    (folder / "modeling_mine.py").write_text(REMOTE, encoding="utf-8")
    auto = {"AutoConfig": "modeling_mine.MyConfig", "AutoModelForCausalLM": "modeling_mine.MyModel"}
    edit(folder / "config.json", lambda one: one.update(model_type="mine", architectures=["MyModel"], auto_map=auto))


# ------------------------------------------------------------------------------------------- what decides an answer


def test_another_scale_of_an_adapter_beside_the_weights_is_another_model(tiny_folder):
    folder = tiny_folder()
    with_adapter(folder)
    before, first = answers(folder)
    edit(folder / "adapter_config.json", lambda one: one.update(lora_alpha=32))
    after, second = answers(folder)
    assert before != after
    assert first != second


def test_an_adapter_that_would_not_be_applied_is_refused(tiny_folder):
    folder = tiny_folder()
    with_adapter(folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"has no adapter_model\.safetensors"):
        load_model(str(folder))


def test_another_first_token_of_the_decoder_is_another_model(tiny_folder):
    folder = tiny_folder("t5")
    before, first = answers(folder)
    edit(folder / "generation_config.json", lambda one: one.update(decoder_start_token_id=1))
    after, second = answers(folder)
    assert before != after
    assert first != second


def test_other_code_is_another_model(tiny_folder):
    folder = tiny_folder()
    with_code(folder)
    with pytest.raises(ModelError, match="wants to run code"):
        load_model(str(folder))
    before, first = answers(folder, trust_remote_code=True)
    (folder / "modeling_mine.py").write_text(REMOTE.replace("SCALE = 1.0", "SCALE = 0.5"), encoding="utf-8")
    after, second = answers(folder, trust_remote_code=True)
    assert before != after
    assert first != second
    # Code may open whatever lies beside it.
    (folder / "data").mkdir()
    (folder / "data" / "bias.txt").write_text("3", encoding="utf-8")
    assert answers(folder, trust_remote_code=True)[1] != second


def test_an_index_that_names_other_weights_is_another_model(tiny_folder):
    from safetensors.torch import save_file

    folder = tiny_folder()
    tensors = sharded(folder, ["a.safetensors"])
    tensors["lm_head.weight"] = tensors["lm_head.weight"] * 30
    save_file(tensors, folder / "b.safetensors", metadata={"format": "pt"})
    before, first = answers(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text(encoding="utf-8").replace("a.safetensors", "b.safetensors"), encoding="utf-8")
    after, second = answers(folder)
    assert before != after
    assert first != second


def test_weights_in_a_subfolder_are_covered(tiny_folder):
    from safetensors.torch import save_file

    folder = tiny_folder()
    tensors = sharded(folder, ["sub/part.safetensors"])
    lazily = lazy_model(str(folder), lambda: load_model(str(folder)))
    before, first = answers(folder)
    assert lazily.identity.sha256 == first
    tensors["lm_head.weight"] = tensors["lm_head.weight"] * 30
    save_file(tensors, folder / "sub" / "part.safetensors", metadata={"format": "pt"})
    after, second = answers(folder)
    assert before != after
    assert first != second
    # Also where the identity is remembered by the files.
    assert lazy_model(str(folder), lambda: load_model(str(folder))).identity.sha256 == second


@pytest.mark.parametrize(
    "name", ["../other/part.safetensors", "/tmp/part.safetensors", "sub/../../x", "..\\x", "C:\\x"]
)
def test_weights_outside_the_folder_are_refused_by_the_name_that_is_written(tiny_folder, name):
    folder = tiny_folder()
    sharded(folder, ["part.safetensors"])
    index = folder / "model.safetensors.index.json"
    edit(index, lambda one: one.update(weight_map=dict.fromkeys(one["weight_map"], name)))
    with pytest.raises(ModelError, match=r"names .* which lies outside the folder of the model. Copy that file"):
        load_model(str(folder))


def test_a_link_of_the_hubs_cache_is_followed(tiny_folder, tmp_path):
    folder = tiny_folder()
    plain = parts(folder)
    (tmp_path / "blobs").mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        shutil.move(folder / name, tmp_path / "blobs" / name)
        (folder / name).symlink_to(tmp_path / "blobs" / name)
    assert parts(folder) == plain
    content = (tmp_path / "blobs" / "tokenizer.json").read_bytes()
    (tmp_path / "blobs" / "tokenizer.json").write_bytes(content.replace(b"bread", b"beard"))
    assert parts(folder)["tokenizer"] != plain["tokenizer"]


def test_a_pipe_is_refused_instead_of_waited_for(tiny_folder):
    folder = tiny_folder()
    os.mkfifo(folder / "vocab.txt")
    with pytest.raises(ModelError, match=r"vocab.txt is not a regular file, but a pipe"):
        load_model(str(folder))


def test_vocabulary_of_any_name_is_covered(tiny_folder, tmp_path):
    folder = tiny_folder()
    before = parts(folder)
    (folder / "qwen.tiktoken").write_text("a", encoding="utf-8")
    named = parts(folder)
    assert named["tokenizer"] != before["tokenizer"]
    # A file that a configuration names, wherever it lies.
    (tmp_path / "words.md").write_text("a", encoding="utf-8")
    edit(folder / "tokenizer_config.json", lambda one: one.update(vocab_file=str(tmp_path / "words.md")))
    outside = parts(folder)
    (tmp_path / "words.md").write_text("b", encoding="utf-8")
    assert parts(folder)["tokenizer"] != outside["tokenizer"]


def test_pages_and_hidden_files_are_no_part_of_it(tiny_folder):
    folder = tiny_folder()
    before = parts(folder)
    (folder / "README.md").write_text("About it", encoding="utf-8")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs", encoding="utf-8")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_bytes(b"0")
    assert parts(folder) == before


def linked(folder, blobs):
    """Put links in the place of files, as the cache of the hub has them."""
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(path for path in folder.iterdir() if path.is_file())):
        shutil.move(path, blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), folder))


def lone_adapter(base, folder):
    """Save an adapter on a base in a folder of its own."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    (folder / "README.md").unlink()


def built(kind, tiny_folder, tmp_path, monkeypatch):
    """Return the spec of a model of a kind, and every file that loading it could read."""
    names = {"question": "ru?n=1&b=2", "percent": "ru%3Fn b"}
    family = "t5" if kind == "t5" else "llama"
    folder = tiny_folder(family, name=names.get(kind, "tiny"), chat=kind in {"chat", "hub"})
    spec, places = str(folder), [folder]
    if kind == "adapter":
        with_adapter(folder)
    if kind == "sharded":
        sharded(folder, ["a.safetensors", "sub/b.safetensors"])
    if kind == "code":
        with_code(folder)
    if kind == "linked":
        linked(folder, tmp_path / "elsewhere" / "files")
    if kind in {"lone", "encoded"}:
        base = folder.rename(folder.with_name("ba?se & more")) if kind == "encoded" else folder
        lone_adapter(base, tmp_path / "north")
        spec = f"{tmp_path / 'north'}?base={quote(str(base), safe='')}&scale=0.5"
        places = [base, tmp_path / "north"]
    if kind in {"hub", "hub_adapter"}:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        place = tmp_path / "hub" / "models--org--base"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("a" * 40)
        snapshot = place / "snapshots" / ("a" * 40)
        shutil.copytree(folder, snapshot)
        linked(snapshot, place / "blobs")
        spec, places = "hf:org/base", [snapshot]
        if kind == "hub_adapter":
            lone_adapter(folder, tmp_path / "north")
            edit(tmp_path / "north" / "adapter_config.json", lambda one: one.update(base_model_name_or_path="org/base"))
            spec, places = str(tmp_path / "north"), [snapshot, tmp_path / "north"]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and path.suffix != ".md"]
    return spec, files


EVERY_KIND = ("plain", "chat", "t5", "adapter", "sharded", "code", "linked", "question", "percent", "lone", "encoded",
              "hub", "hub_adapter")  # fmt: skip


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_any_byte_of_any_file_gives_another_identity_or_equal_answers(tiny_folder, tmp_path, monkeypatch, kind):
    spec, files = built(kind, tiny_folder, tmp_path, monkeypatch)
    trusted = kind == "code"

    def identity():
        return dict(described_model(parse_model_spec(spec), trust_remote_code=trusted).parts)

    before = identity()
    expected = None
    chance = random.Random(5)
    assert len(files) >= 4
    n_equal = 0
    for path in files:
        content = path.read_bytes()
        for place in {0, len(content) - 1, *(chance.randrange(len(content)) for _ in range(12))}:
            changed = bytearray(content)
            changed[place] ^= 1 << chance.randrange(7)
            path.write_bytes(changed)
            try:
                same = identity() == before
            except (ModelError, UnicodeDecodeError):
                continue
            finally:
                if path.suffix != ".json" and not path.resolve().name.isdecimal():
                    path.write_bytes(content)
            if same:
                # Space between values, and who saved it.
                n_equal += 1
                if expected is None:
                    path.write_bytes(content)
                    expected = answers(spec, trust_remote_code=trusted)
                path.write_bytes(changed)
                assert answers(spec, trust_remote_code=trusted) == expected, (path.name, place)
        path.write_bytes(content)
    assert identity() == before
    assert n_equal < len(files)


def test_a_converted_copy_that_was_edited_is_not_taken_for_the_file(tmp_path, monkeypatch):
    from pytest_pluralism.models.local import copies

    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    status = (folder / "model.safetensors").stat()
    digest = hashlib.sha256(b"weights").hexdigest()
    known = {"size": 7, "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns, "sha256": digest}
    (folder / copies.MANIFEST).write_text(json.dumps({"files": {"model.safetensors": known}}), encoding="utf-8")
    assert copies.is_complete(folder)
    (folder / "model.safetensors").write_bytes(b"weighty")
    os.utime(folder / "model.safetensors", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not copies.is_complete(folder)
    # One that was copied to another place has other times and the same content.
    (folder / "model.safetensors").write_bytes(b"weights")
    assert copies.is_complete(folder)


# ----------------------------------------------------------------------------------------------------- what was read


def test_the_key_holds_the_tokens_that_were_read(tiny_folder):
    model = load_model(str(tiny_folder(chat=True)))
    prompt = PROMPTS[0]
    reading = reading_of(model, prompt)
    assert re.fullmatch("[0-9a-f]{64}", reading)
    before = key_of(ANSWERS, model.identity, prompt, reading=reading)
    # The same files, and another template in force: a clock, a patched package, a hook.
    model.tokenizer.chat_template = "{{ messages[-1]['content'] }} Yes"
    assert model.token_ids(prompt) != ()
    assert reading_of(model, prompt) != reading
    assert key_of(ANSWERS, model.identity, prompt, reading=reading_of(model, prompt)) != before
    assert reading_of(model, FullAnswerPrompt(prompt, ("dogs", "war"))) not in {"", reading}
    assert reading_of(object(), prompt) == ""


def test_an_answer_to_other_tokens_is_not_handed_out(tiny_folder, tmp_path):
    model = load_model(str(tiny_folder(chat=True)))
    prompt = PROMPTS[0]
    draw = (prompt, GenerationSettings(5), 0)
    with AnswerStore(tmp_path / "store") as store:
        readings = Readings().of(model, [prompt, draw], store)
        assert readings[prompt] == readings[draw]
        store.keep(ANSWERS, model.identity, zip([prompt], model.answer([prompt]), strict=True), readings=readings)
        assert prompt in store.lookup(ANSWERS, model.identity, [prompt], readings=readings)
        model.tokenizer.chat_template = "{{ messages[-1]['content'] }} Yes"
        other = Readings().of(model, [prompt, draw], store)
        assert store.lookup(ANSWERS, model.identity, [prompt], readings=other) == {}
        assert store.lookup(RESPONSES, model.identity, [draw], readings=other) == {}


def test_what_is_read_is_remembered_for_a_model_that_is_not_loaded(tiny_folder, tmp_path, monkeypatch):
    folder = tiny_folder(chat=True)
    loaded = load_model(str(folder))

    def lazily():
        return lazy_model(str(folder), lambda: load_model(str(folder)))

    with AnswerStore(tmp_path / "store") as store:
        first = Readings().of(lazily(), PROMPTS, store)
        assert first == {PROMPTS[0]: reading_of(loaded, PROMPTS[0])}
        monkeypatch.setattr(LazyModel, "token_ids", None)
        assert Readings().of(lazily(), PROMPTS, store) == first
        # Without a memory the tokenizer is asked.
        monkeypatch.undo()
        monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
        assert Readings().of(lazily(), PROMPTS, None) == first


def test_answers_of_an_earlier_version_are_kept_and_told(tmp_path, monkeypatch):
    from pytest_pluralism.models.protocol import ModelIdentity

    identity = ModelIdentity(spec="./m", name="m", sha256="ab" * 32, dtype="float32", device="cpu")
    answer = Answer((-0.5, -1.0), 0.9, "A", 0.6)
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, identity, [(PROMPTS[0], answer)])
        assert store.notes == ()
    # As version 0.1.0 left it: no table of readings, and checksums of its own.
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        columns = "model_sha256, model, dtype, device, answer"
        *texts, content = connection.execute(f"SELECT {columns} FROM answers").fetchone()  # noqa: S608 - constant names
        old = layout.checksum_of(b"0" * 32, texts, content, format_name="")
        connection.execute("UPDATE answers SET key = ?, checksum = ?", (b"0" * 32, old))
        connection.execute("DROP TABLE readings")
        connection.execute("DROP TABLE similarities")
        connection.execute("PRAGMA user_version=4")
    with AnswerStore(tmp_path) as store:
        (note,) = store.notes
        assert "1 answers of an earlier version are kept and not used" in note
        assert "pluralism answers prune" in note
        assert store.lookup(ANSWERS, identity, PROMPTS) == {}
        check = store.verify()
        assert (check.answers, check.damaged, check.unreadable) == (1, 0, 1)
        assert [(one.name, one.answers) for one in store.models()] == [("m", 1)]
    with AnswerStore(tmp_path) as store:
        assert store.notes == ()


def test_every_file_that_loading_could_open_is_named(tiny_folder):
    folder = tiny_folder(chat=True)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text("{{ messages }}", encoding="utf-8")
    names = [name for name, _ in files_of(folder, parse_model_spec(str(folder)), trust_remote_code=False)]
    assert "additional_chat_templates/rag.jinja" in names
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= set(names)
