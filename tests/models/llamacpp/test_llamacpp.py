"""GGUF files in llama.cpp itself: the same verdicts as in float32 within a floor, without torch."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models import load_model
from pytest_pluralism.models.specification import parse_model_spec

#: llama.cpp rounds activations to 8 bits where weights have 4: so far the distribution over labels may be from float32.
DISTANCE_FLOOR = 0.06

PROMPTS = [
    Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B")),
    Prompt("How often do you read?\nA. Daily\nB. Weekly\nC. Never\nD. Seldom", ("A", "B", "C", "D"), template="raw"),
]


@pytest.fixture(scope="module", params=["smollm2-135m-instruct", "gemma-3-270m"])
def packaged(request):
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    model = load_model(f"llamacpp:{request.param}")
    yield model
    model.close()


@pytest.mark.model
@pytest.mark.slow
def test_answers_repeat_and_agree_with_float32_within_the_floor(packaged) -> None:
    first, again = packaged.answer(PROMPTS), packaged.answer(PROMPTS[::-1])[::-1]
    name = packaged.identity.name.partition("@")[0]
    local = load_model(f"embedded:{name}", device="cpu", dtype="float32", gguf="transformers")
    assert [packaged.token_ids(prompt) for prompt in PROMPTS] == [local.token_ids(prompt) for prompt in PROMPTS]
    for one, two, ours in zip(first, again, local.answer(PROMPTS), strict=True):
        assert one.log_probabilities == two.log_probabilities
        left, right = (
            [value / sum(shares) for value in shares]
            for shares in ([math.exp(log) for log in answer.log_probabilities] for answer in (one, ours))
        )
        assert jensen_shannon_distance(left, right) < DISTANCE_FLOOR
    local.close()


@pytest.mark.model
@pytest.mark.slow
def test_the_identity_is_that_of_the_file_and_of_llama_cpp(packaged) -> None:
    identity = packaged.identity
    name, _, way = identity.name.partition("@")
    assert way == "llama.cpp"
    assert set(identity.parts) == {"file", "xllamacpp", "context", "way"}
    local = load_model(f"embedded:{name}", device="cpu", dtype="float32", gguf="transformers")
    assert identity.sha256 != local.identity.sha256
    local.close()


@pytest.mark.model
@pytest.mark.slow
def test_no_torch_is_loaded() -> None:
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    code = (
        "import sys\n"
        "from pytest_pluralism.core.records import Prompt\n"
        "from pytest_pluralism.models import load_model\n"
        "model = load_model('llamacpp:smollm2-135m-instruct')\n"
        "print(model.answer([Prompt('Do you like rain?\\nA. Yes\\nB. No', ('A', 'B'))])[0].option_mass)\n"
        "model.close()\n"
        "assert not {'torch', 'transformers', 'tokenizers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", ["llamacpp:nowhere.gguf", "llamacpp:smollm", "llamacpp:."])
def test_a_file_that_is_not_there_is_named(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="There is no GGUF file"):
        parse_model_spec(spec)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100])
def test_a_damaged_file_is_a_sentence_and_not_the_end_of_the_process(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.gguf"):
        load_model(f"llamacpp:{tmp_path / 'broken.gguf'}")
