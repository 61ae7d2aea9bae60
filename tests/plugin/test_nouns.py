"""Messages call units, data, people and references what they are, for every kind of measure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

EVEN = """
import math

from pytest_pluralism.core.records import Answer, Response
from pytest_pluralism.models.protocol import ModelIdentity


class Even:
    '''Gives every label the same probability, and writes one sentence.'''

    def __init__(self, name):
        self.identity = ModelIdentity(spec=name, name=name, sha256="0" * 64, dtype="float32", device="cpu")

    def answer(self, prompts, /, *, progress=None):
        return [
            Answer((-math.log(len(p.labels)),) * len(p.labels), 1.0, p.labels[0], 1 / len(p.labels)) for p in prompts
        ]

    def generate(self, prompts, /, settings, *, n_draws=1, progress=None):
        return [tuple(Response("It depends.", 3, "eos", draw) for draw in range(n_draws)) for _ in prompts]

    def close(self): ...


def pytest_pluralism_load_model(spec, settings):
    return Even(spec)
"""

MARKERS = {
    "entropy": 'answer_entropy("gss", at_least=3.0)',
    "nations": 'js_distance("nations.jsonl", at_most=0.01)',
    "jury_choice": 'jury_welfare("example_town", alpha=1.0, at_least=0.99)',
    "jury_written": 'jury_welfare("example_town", at_least=0.99, jurors=lambda juror, query, response: 0.5)',
    "gain": 'steering_faithfulness("gss", attribute="Democrat", at_least=0.9, checks=(), over="unsteered")',
    "weighed": 'trade_off_steerability("trade_offs", at_least=0.9, weights=[0.0, 1.0])',
    "rewarded": 'trade_off_steerability("trade_offs", at_least=0.99, weights=[0.0, 1.0], score="reward")',
    "jury_gain": 'jury_welfare("example_town", at_least=0.9, over="reference_model")',
    "steered": 'steering_faithfulness("gss", attribute="Democrat", at_least=0.99, checks=(), most_units=4)',
}

NATIONS = {
    "question_id": "only",
    "question": "Should it be so?",
    "options": ["Yes", "No"],
    "distributions": [
        {"population": name, "probabilities": [share, 1 - share], "n_respondents": 500}
        for name, share in (("Japan", 0.7), ("Peru", 0.2), ("Chad", 0.9))
    ],
}


@dataclass(frozen=True)
class Run:
    messages: dict[str, list[str]]
    verdicts: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The message and the verdict of each promise, by its name; all of them fail in one run."""
    folder = tmp_path_factory.mktemp("nouns")
    tests = [f"@pytest.mark.{marker}\ndef test_{name}(): ...\n" for name, marker in MARKERS.items()]
    (folder / "conftest.py").write_text(EVEN, encoding="utf-8")
    (folder / "test_nouns.py").write_text("import pytest\n\n" + "\n".join(tests), encoding="utf-8")
    (folder / "nations.jsonl").write_text(json.dumps(NATIONS) + "\n", encoding="utf-8")
    options = ["-pno:cacheprovider", "-pno:hypothesispytest", "--pluralism-answers=off", "--pluralism-report=out.json"]
    options += ["--pluralism-model=even", "--pluralism-reference-model=other"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert f"{len(MARKERS)} failed" in done.stdout, done.stdout + done.stderr
    _, *parts = re.split(r"^_+ test_(\w+)\[even\] _+$", done.stdout, flags=re.MULTILINE)
    bodies = (part.partition("= short test summary")[0].splitlines() for part in parts[1::2])
    verdicts = json.loads((folder / "out.json").read_text(encoding="utf-8"))["verdicts"]
    return Run(
        {name: [one.strip() for one in body if one] for name, body in zip(parts[::2], bodies, strict=True)},
        {one["nodeid"].partition("::test_")[2].removesuffix("[even]"): one for one in verdicts},
    )


@pytest.fixture
def messages(run: Run) -> dict[str, list[str]]:
    return run.messages


def line(message: list[str], start: str) -> str:
    found = [one for one in message if one.startswith(start)]
    assert len(found) == 1, message
    return found[0]


@pytest.mark.whole
def test_an_entropy_is_over_questions_and_stands_beside_that_of_the_people(messages: dict[str, list[str]]) -> None:
    assert line(messages["entropy"], "questions").startswith("questions 25 in 25 clusters")
    references = line(messages["entropy"], "people ")
    assert "uniform " in references
    assert "survey gss" in line(messages["entropy"], "model ")


def test_where_nobody_is_named_the_populations_are_the_units(messages: dict[str, list[str]]) -> None:
    assert line(messages["nations"], "populations").startswith("populations 3 in 1 cluster ")
    assert "JS distance to every population" in messages["nations"][0]


@pytest.mark.parametrize("name", ["jury_choice", "jury_written"])
def test_a_panel_is_a_panel_and_its_units_are_queries(messages: dict[str, list[str]], name: str) -> None:
    assert "panel example_town" in line(messages[name], "model ")
    assert " x jurors " in line(messages[name], "queries ")


def test_steering_is_over_questions_of_a_survey(messages: dict[str, list[str]]) -> None:
    assert line(messages["steered"], "questions").startswith("questions 4 in ")
    assert "survey gss" in line(messages["steered"], "model ")


@pytest.mark.parametrize(
    ("name", "kind", "unit"),
    [
        ("entropy", "mean", "question"),
        ("nations", "mean", "population"),
        ("steered", "mean", "question"),
        ("gain", "difference", "question"),
        ("weighed", "difference", "scenario"),
        ("rewarded", "mean", "scenario"),
        ("jury_choice", "mean", "query"),
        ("jury_gain", "difference", "query"),
    ],
)
def test_a_verdict_says_whether_its_value_is_a_difference(run: Run, name: str, kind: str, unit: str) -> None:
    measure = run.verdicts[name]["measure"]
    assert (measure["kind"], measure["unit"][0]) == (kind, unit)
    changed = {"js_distance": 2, "jury_welfare": 2, "trade_off_steerability": 2}
    assert measure["definition"] == changed.get(measure["name"], 1)
