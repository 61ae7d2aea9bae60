"""A composed model in a run of pytest: named in the ini file, stored, and compared with its baseline."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def gate(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_mixture_is_gated_and_its_answers_are_stored(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    models = folder / "models"
    models.mkdir(parents=True)
    for name, family in (("one", "llama"), ("two", "gpt2")):
        tiny_folder(family, name=name).rename(models / name)
    (models / "blend.toml").write_text('[[part]]\nmodel = "one"\n[[part]]\nmodel = "two"\n', encoding="utf-8")
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"What do you think about {word} ?",
            "options": ["Yes", "No"],
            "distributions": [{"population": "Town", "probabilities": [0.3, 0.7], "n_respondents": 900}],
        }
        for number, word in enumerate(("taxes", "dogs", "war", "bread", "butter", "Japan", "France", "answer"))
    ]
    (folder / "town.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\npluralism_seed = 0\npluralism_model = mixture:models/blend.toml\npluralism_answers = store\n"
        "addopts = --pluralism-suppress-health-check=low_option_mass\n",
        encoding="utf-8",
    )
    (folder / "test_town.py").write_text(
        "import pytest\n\n@pytest.mark.js_distance('town.json', max_increase=0.05, confidence_level=None)\n"
        "def test_town(): ...\n",
        encoding="utf-8",
    )
    assert "baseline written: 1 results of blend" in gate(folder, "--pluralism-update-baseline")
    again = gate(folder, "--pluralism-report=run.json")
    assert "1 passed" in again
    assert "answers: 0 computed" in again
    verdict = json.loads((folder / "run.json").read_text(encoding="utf-8"))["verdicts"][0]
    assert verdict["model"]["name"] == "blend"
    assert len(verdict["model"]["parts"]) == 2
