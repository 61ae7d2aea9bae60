"""Parts that a real server answers for: llama.cpp on loopback, which also goes away in the middle of a run."""

from __future__ import annotations

import importlib.util
import json
import math
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.models import load_model
from pytest_pluralism.models.composed.reading import read_composition

pytestmark = pytest.mark.slow

WORDS = ("taxes", "dogs", "war", "bread", "butter", "trains", "rivers", "towns")
PROMPTS = [Prompt(f"Like {word}?\nA. Yes\nB. No", ("A", "B"), template="raw") for word in WORDS]
SETTINGS = GenerationSettings(max_new_tokens=6, temperature=0.0)

SERVER = """
import sys
import xllamacpp

wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.model_alias = sys.argv[1], {"tiny"}
wanted.port, wanted.n_ctx, wanted.n_parallel, wanted.cpuparams.n_threads = int(sys.argv[2]), 128, 1, 1
server = xllamacpp.Server(wanted)
print("address", server.listening_address, flush=True)
sys.stdin.read()
"""


def tiny_gguf() -> Any:
    spec = importlib.util.spec_from_file_location("tiny_gguf", Path(__file__).parents[1] / "local" / "tiny_gguf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Served:
    """A llama.cpp server in a process of its own."""

    def __init__(self, file: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(file), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = next(line.split()[1] for line in self.process.stdout if line.startswith("address "))

    @property
    def spec(self) -> str:
        # A server that does not answer is not waited for.
        return f"endpoint:{self.address}#tiny?patience=2"

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("xllamacpp", reason="xllamacpp (the server of llama.cpp) is not installed")
    pytest.importorskip("httpx", reason="the extra endpoint is not installed")
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    written: Path = tiny_gguf().write(tmp_path / "tiny.gguf")
    return written


@pytest.fixture
def served(file: Path) -> Iterator[Served]:
    one = Served(file)
    yield one
    one.stop()


def composed(folder: Path, served: Served, text: str) -> Any:
    """Return the model of a file in which SERVED is the server and FILE the same weights in this process."""
    path = folder / "system.toml"
    path.write_text(text.replace("SERVED", served.spec).replace("FILE", "llamacpp:tiny.gguf"), encoding="utf-8")
    return load_model(f"{'mixture' if '[[part]]' in text else 'modular'}:{path}")


MIXTURE = '[[part]]\nmodel = "SERVED"\nweight = 3\n[[part]]\nmodel = "FILE"\nweight = 1\n'
MODULAR = """
mode = "MODE"
main = "FILE"
comment_tokens = 6
[[community]]
name = "served"
model = "SERVED"
[[community]]
name = "here"
model = "FILE"
[prompts]
comment = "Say {question}"
passage = "{comment} {question}"
summary = "{comments} {question}"
choice = "{options}"
"""


def test_a_served_part_has_its_weight_in_a_mixture(tmp_path: Path, served: Served) -> None:
    blend = composed(tmp_path, served, MIXTURE)
    alone, here = load_model(served.spec), load_model("llamacpp:" + str(tmp_path / "tiny.gguf"))
    each = zip(blend.answer(PROMPTS), alone.answer(PROMPTS), here.answer(PROMPTS), strict=True)
    for mixed, first, second in each:
        for log, a, b in zip(mixed.log_probabilities, first.log_probabilities, second.log_probabilities, strict=True):
            assert math.exp(log) == pytest.approx(0.75 * math.exp(a) + 0.25 * math.exp(b), abs=1e-6)
    texts = [one.text for (one,) in blend.generate(PROMPTS, SETTINGS)]
    assert texts == [one.text for (one,) in alone.generate(PROMPTS, SETTINGS)]
    assert any("llamacpp" in note for note in blend.identity.notes)
    for model in (blend, alone, here):
        model.close()


@pytest.mark.parametrize("mode", ["distributional", "steerable", "overton"])
def test_a_served_community_comments_in_every_mode(tmp_path: Path, served: Served, mode: str) -> None:
    system = composed(tmp_path, served, MODULAR.replace("MODE", mode))
    answers = system.answer(PROMPTS[:2])
    assert all(0 < answer.option_mass <= 1 for answer in answers)
    (texts, _) = system.generate(PROMPTS[:2], SETTINGS)
    assert texts[0].draw == 0
    system.close()


def test_a_server_that_goes_away_is_an_error_that_names_it(tmp_path: Path, served: Served) -> None:
    blend = composed(tmp_path, served, MIXTURE)
    assert len(blend.answer(PROMPTS[:1])) == 1
    served.stop()
    with pytest.raises(ModelError, match=r"127\.0\.0\.1"):
        blend.answer(PROMPTS)
    blend.close()


@pytest.mark.parametrize("text", [MIXTURE, MODULAR.replace("MODE", "distributional")])
def test_a_server_that_never_ran_is_an_error_that_names_the_part(tmp_path: Path, served: Served, text: str) -> None:
    served.stop()
    with pytest.raises(ModelError, match=r"127\.0\.0\.1"):
        composed(tmp_path, served, text).answer(PROMPTS)


def test_the_example_names_a_server_and_an_adapter_that_is_there() -> None:
    file = Path(__file__).parents[3] / "examples" / "roadmap" / "served.toml"
    served, here = read_composition(file, "modular").parts
    assert served.spec == "endpoint:http://127.0.0.1:8080#community"
    assert Path(here.spec).is_dir()


def gate(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--pluralism-health=warn", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def test_a_run_that_loses_its_server_is_an_error_and_goes_on_where_it_was(
    tmp_path: Path, file: Path, served: Served, write_town: Callable[[Path], None]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    write_town(folder)
    (folder / "blend.toml").write_text(
        f'[[part]]\nmodel = "{served.spec}"\n[[part]]\nmodel = "llamacpp:../tiny.gguf"\n', encoding="utf-8"
    )
    first = gate(folder, "-k", "first")
    assert "1 passed" in first, first
    served.stop()
    again = gate(folder, "--pluralism-report=run.json")
    assert "2 passed" not in again, again
    assert "127.0.0.1" in again
    # The weights are those of the file, so that the server of another day goes on where this one stopped.
    other = Served(file)
    text = (folder / "blend.toml").read_text(encoding="utf-8").replace(served.spec, other.spec)
    (folder / "blend.toml").write_text(text, encoding="utf-8")
    done = gate(folder, "--pluralism-report=run.json")
    other.stop()
    assert "2 passed" in done, done
    verdicts = json.loads((folder / "run.json").read_text(encoding="utf-8"))["verdicts"]
    assert {verdict["model"]["name"] for verdict in verdicts} == {"blend"}


@pytest.fixture
def write_town() -> Callable[[Path], None]:
    """Return a function that writes a suite of two tests, of which each asks other questions."""

    def write(folder: Path) -> None:
        for name, words in (("first", WORDS[:4]), ("second", WORDS[4:])):
            rows = [
                {
                    "question_id": f"{word}",
                    "question": f"Like {word}?",
                    "options": ["Yes", "No"],
                    "distributions": [{"population": "Town", "probabilities": [0.3, 0.7], "n_respondents": 900}],
                }
                for word in words
            ]
            (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
        (folder / "pytest.ini").write_text(
            "[pytest]\npluralism_seed = 0\npluralism_model = mixture:blend.toml\npluralism_answers = store\n"
            "addopts = --pluralism-suppress-health-check=low_option_mass\n",
            encoding="utf-8",
        )
        mark = (
            "@pytest.mark.js_distance('{0}.json', at_most=0.99, confidence_level=None, examples=0, option_order='none')"
        )
        tests = "\n\n".join(mark.format(name) + f"\ndef test_{name}(): ..." for name in ("first", "second"))
        (folder / "test_town.py").write_text(f"import pytest\n\n{tests}\n", encoding="utf-8")

    return write
