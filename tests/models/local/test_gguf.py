"""GGUF files: headers, damage, conversion, and what happens when processes race or die."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("gguf")

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.files import cache_folder
from pytest_pluralism.models import load_model
from pytest_pluralism.models.embedded import GgufSource, find_embedded
from pytest_pluralism.models.local import copies, gguf

PROGRAM = Path(__file__).with_name("tiny_gguf.py")
_spec = importlib.util.spec_from_file_location("tiny_gguf", PROGRAM)
tiny_gguf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny_gguf)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("PLURALISM_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny_file(tmp_path):
    return tiny_gguf.write(tmp_path / "tiny.gguf")


def source(*parts: Path, sha256: str | None = None) -> GgufSource:
    return GgufSource("tiny", parts, sha256)


# ------------------------------------------------------------------------------------------------------------- header


def test_header(tiny_file):
    header = gguf.read_header(source(tiny_file))
    assert header.architecture == "llama"
    assert header.add_bos is True
    assert header.bos_id == 0
    assert header.chat_template == tiny_gguf.CHAT
    assert header.n_tensors == 20
    assert header.metadata["tokenizer.ggml.tokens"] == 68, "of arrays the length is kept"
    assert header.expected_size == tiny_file.stat().st_size


@pytest.mark.parametrize(("model", "flag"), [("gpt2", None), ("llama", True)])
def test_add_bos_where_the_file_does_not_say(model, flag):
    header = gguf.GgufHeader(3, {"tokenizer.ggml.model": model}, 0, 0)
    assert header.add_bos is flag


@pytest.mark.parametrize("keep", [0, 3, 10, 40, 500, -1])
def test_a_file_that_is_cut_short(tiny_file, cache, keep):
    data = tiny_file.read_bytes()
    tiny_file.write_bytes(data[:keep])
    with pytest.raises(ModelError, match=r"tiny\.gguf is (cut short|not a GGUF file)"):
        load_model(str(tiny_file))
    assert not list(cache.rglob("*.safetensors"))


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelError, match="does not start with the letters GGUF"):
        gguf.read_header(source(path))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(ModelError, match="version 9"):
        gguf.read_header(source(path))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60))
    with pytest.raises(ModelError, match="damaged"):
        gguf.read_header(source(path))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**50))
    with pytest.raises(ModelError, match="cut short or damaged"):
        gguf.read_header(source(path))


def test_one_file_of_several_is_refused(tmp_path):
    """The others are opened beside it, and the hash of this one would not change with them."""
    path = tmp_path / "x-00001-of-00003.gguf"
    key = b"split.count"
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IH", 2, 3)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    with pytest.raises(ModelError, match="is one of 3 files that make a model together"):
        gguf.read_header(source(path))


def test_an_architecture_that_cannot_be_converted(tiny_file, cache):
    data = tiny_file.read_bytes()
    # The length of the word stays, so that the file stays whole.
    tiny_file.write_bytes(data.replace(b"llama", b"lamma"))
    with pytest.raises(ModelError, match=r"architecture 'lamma'\) cannot be converted"):
        load_model(str(tiny_file))
    assert not list(cache.rglob(".partial-*"))


# --------------------------------------------------------------------------------------------------------- conversion


def test_a_converted_model_gives_the_logits_of_the_file(tiny_file):
    import torch
    from transformers import AutoModelForCausalLM

    model = load_model(str(tiny_file))
    direct = AutoModelForCausalLM.from_pretrained(tiny_file.parent, gguf_file=tiny_file.name, dtype=torch.float32)
    ids = torch.tensor([[0, 5, 9, 11, 30, 64]])
    with torch.inference_mode():
        assert torch.equal(direct(ids).logits, model.scorer.model(ids).logits)
    assert model.identity.name == "tiny"
    assert model.identity.parts["weights"] == gguf.sha256_of_parts(source(tiny_file))


@pytest.mark.parametrize("add_bos", [True, False, None])
def test_bos_exactly_as_the_file_says(tmp_path, add_bos):
    model = load_model(str(tiny_gguf.write(tmp_path / "tiny.gguf", add_bos=add_bos, chat=None)))
    ids = model.token_ids(Prompt("the A", ("A", "B"), template="raw"))
    assert (ids[0] == 0) is bool(add_bos)
    assert ids.count(0) == int(bool(add_bos))
    # A text that brings the token itself gets no second one.
    assert model.token_ids(Prompt("", ("A",), verbatim="<s>the A")).count(0) == 1


def test_the_chat_template_of_the_file_is_used(tiny_file):
    model = load_model(str(tiny_file))
    ids = model.token_ids(Prompt("the", ("A", "B")))
    assert model.reader.tokenizer.decode(ids) == "<s><user>the>"


@pytest.mark.parametrize("chat", [tiny_gguf.CHAT, None])
def test_the_tokenizer_is_read_the_quick_way_once_that_is_known_to_be_the_same(tmp_path, monkeypatch, chat):
    from transformers import AutoTokenizer

    from pytest_pluralism.models.local.quick_tokenizer import QuickTokenizer

    file = tiny_gguf.write(tmp_path / "tiny.gguf", chat=chat)
    folder = gguf.converted(source(file)).folder
    quick = QuickTokenizer(folder)
    assert quick.known() is None
    usual = load_model(str(file))
    assert quick.known() is not None
    with monkeypatch.context() as patched:
        patched.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("read the usual way"))
        again = load_model(str(file))
    for prompt in (Prompt("the A\nB", ("A", "B"), template="raw"), Prompt("Is the A?", ("A", "B"), system="Be the B.")):
        assert again.token_ids(prompt) == usual.token_ids(prompt)
        assert again.prompt_text(prompt) == usual.prompt_text(prompt)
        assert again.reader.label_tokens(prompt.labels) == usual.reader.label_tokens(prompt.labels)
    assert again.identity == usual.identity
    # A tokenizer that differs in one token is not replaced, and not compared again.
    other = AutoTokenizer.from_pretrained(folder)
    other.add_tokens(["zebra"])
    with (folder / "tokenizer_config.json").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    changed = QuickTokenizer(folder)
    assert changed.known() is None
    changed.compare(other)
    assert changed.known() is None


def test_the_second_time_nothing_is_converted(tiny_file, monkeypatch):
    first = gguf.converted(source(tiny_file))
    monkeypatch.setattr(gguf, "convert", lambda *_: pytest.fail("converted again"))
    assert gguf.converted(source(tiny_file)) == first
    # Another name, the same bytes.
    copy = shutil.copy(tiny_file, tiny_file.with_name("other.gguf"))
    assert gguf.converted(source(Path(copy))) == first


def test_parts_are_one_file(tiny_file, tmp_path):
    whole = gguf.converted(source(tiny_file))
    data = tiny_file.read_bytes()
    parts = []
    for number, start in enumerate(range(0, len(data), 30_000)):
        parts.append(tmp_path / f"part{number}")
        parts[-1].write_bytes(data[start : start + 30_000])
    assert len(parts) > 2
    shutil.rmtree(whole.folder)
    again = gguf.converted(source(*parts, sha256=whole.gguf_sha256))
    assert again == whole
    assert not list(again.folder.glob("*.gguf")), "the whole file is not kept"
    with pytest.raises(ModelError, match="do not add up"):
        gguf.converted(source(*parts, sha256="0" * 64))


@pytest.mark.parametrize("damage", ["shorter", "changed", "missing", "manifest"])
def test_a_damaged_conversion_is_made_again(tiny_file, damage):
    folder = gguf.converted(source(tiny_file)).folder
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    if damage == "shorter":
        weights.write_bytes(good[:-5])
    elif damage == "changed":
        weights.write_bytes(good[:-5] + b"abcde")
    elif damage == "missing":
        weights.unlink()
    else:
        (folder / copies.MANIFEST).write_text("{", encoding="utf-8")
    gguf.converted(source(tiny_file))
    assert weights.read_bytes() == good


def test_a_copied_cache_is_believed_after_a_look_at_the_bytes(tiny_file, monkeypatch):
    folder = gguf.converted(source(tiny_file)).folder
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr(gguf, "convert", lambda *_: pytest.fail("converted again"))
    gguf.converted(source(tiny_file))


def test_a_cache_that_cannot_be_written(tiny_file, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be written .* PLURALISM_CACHE"):
        gguf.converted(source(tiny_file))


def test_the_cache_lies_where_the_user_says(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("PLURALISM_CACHE")
    assert cache_folder().name == "pytest-pluralism"


def start(path: Path, stop: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(path), stop], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_processes_convert_once(tiny_file, cache):
    both = [start(tiny_file, "") for _ in range(2)]
    outputs = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    words = [out.split() for out, _ in outputs]
    assert sum("converting" in line for line in words) == 1
    assert len({line[-1] for line in words}) == 1
    assert [path.name for path in (cache / "converted").iterdir() if path.is_dir()] == [Path(words[0][-1]).name]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_nothing_that_is_taken_for_a_model(tiny_file, cache):
    process = start(tiny_file, "hang")
    try:
        assert process.stdout.readline() == "hanging\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    left = list((cache / "converted").glob(".partial-*"))
    assert len(left) == 1
    assert (left[0] / "model.safetensors").is_file()
    folder = gguf.converted(source(tiny_file)).folder
    assert (folder / "model.safetensors").is_file()
    assert not list((cache / "converted").glob(".partial-*"))
    assert json.loads((folder / copies.MANIFEST).read_text(encoding="utf-8"))["converter"] == gguf.CONVERTER_VERSION


# ----------------------------------------------------------------------------------------------------- packaged files


@pytest.mark.parametrize(
    ("name", "add_bos", "chat"), [("smollm2-135m-instruct", False, True), ("gemma-3-270m", True, False)]
)
def test_headers_of_the_packaged_models(name, add_bos, chat):
    try:
        found = find_embedded(name)
    except ImportError:
        pytest.skip("the package of this model is not installed")
    header = gguf.read_header(found)
    assert header.add_bos is add_bos
    assert (header.chat_template is not None) is chat
    assert header.expected_size == sum(part.stat().st_size for part in found.parts)


def test_an_unchanged_file_is_hashed_once(tiny_file, tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    first = gguf.converted(source(tiny_file))
    real, read = gguf.sha256_of_parts, []
    monkeypatch.setattr(gguf, "sha256_of_parts", lambda one: (read.append(one), real(one))[1])
    assert gguf.converted(source(tiny_file)) == first
    assert not read
    # A change of one byte is another model, also with the size and the time of the old one.
    status, content = tiny_file.stat(), bytearray(tiny_file.read_bytes())
    content[-1] ^= 1
    tiny_file.write_bytes(content)
    os.utime(tiny_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert gguf.converted(source(tiny_file)).gguf_sha256 != first.gguf_sha256
    assert read
