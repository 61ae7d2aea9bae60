"""A composed model in a run of pytest: named in the ini file, stored, and compared with its baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_a_mixture_is_gated_and_its_answers_are_stored(
    tiny_folder: Callable[..., Path], pytester: pytest.Pytester
) -> None:
    models = pytester.mkdir("models")
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
    (pytester.path / "town.json").write_text(json.dumps(rows), encoding="utf-8")
    pytester.makeini(
        "[pytest]\npluralism_seed = 0\npluralism_model = mixture:models/blend.toml\npluralism_answers = store\n"
        "addopts = --pluralism-suppress-health-check=low_option_mass\n"
    )
    pytester.makepyfile(
        "import pytest\n\n@pytest.mark.js_distance('town.json', max_increase=0.05, confidence_level=None)\n"
        "def test_town(): ...\n"
    )
    first = pytester.runpytest_inprocess("--pluralism-update-baseline")
    first.stdout.fnmatch_lines(["*baseline written: 1 results of blend*"])
    again = pytester.runpytest_inprocess("--pluralism-report=run.json")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["*answers: 0 computed*"])
    verdict = json.loads((pytester.path / "run.json").read_text(encoding="utf-8"))["verdicts"][0]
    assert verdict["model"]["name"] == "blend"
    assert len(verdict["model"]["parts"]) == 2
