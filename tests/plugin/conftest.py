"""A small project with a survey file and a model of its own, brought by the public hook."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

CONFTEST = '''
import hashlib
import math
import re

from pytest_pluralism.core.records import Answer, FullAnswerScores
from pytest_pluralism.models.protocol import ModelIdentity


class TableModel:
    """Answers by a fixed table: the log-weight of an option is a hash of the question and its text, times SHARPNESS."""

    loaded = []

    def __init__(self, spec):
        name, _, sharpness = spec.removeprefix("table:").partition("*")
        self.sharpness = float(sharpness or 1.0)
        self.asked = 0
        self.identity = ModelIdentity(
            spec=spec, name=name, sha256=hashlib.sha256(spec.encode()).hexdigest(), dtype="float32", device="cpu"
        )
        TableModel.loaded.append(spec)
        print("LOADED", spec)

    def answer(self, prompts, *, progress=None):
        self.asked += len(prompts)
        result = []
        for prompt in prompts:
            text, *options = prompt.question.splitlines()
            if prompt.verbatim is not None:
                # Under a published protocol the options stand in one line at the end.
                asked = prompt.verbatim.rpartition(" A. ")[2].rpartition("Answer")[0]
                options = [f"A. {part}" for part in re.split(r" [B-Z]\\. ", asked.split(" \\n")[0].strip())]
            logits = []
            for line in options:
                digest = hashlib.sha256((text + line[3:]).encode()).digest()
                logits.append(self.sharpness * digest[0] / 128)
            top = max(logits)
            total = math.log(sum(math.exp(one - top) for one in logits)) + top
            logged = tuple(one - total for one in logits)
            listed = tuple((" " + label, math.exp(one)) for label, one in zip(prompt.labels, logged))
            result.append(Answer(logged, 1.0, "A", 0.9, tuple((one,) for one in logits), listed))
            if progress is not None:
                progress(len(result), len(prompts))
        print("ASKED", len(prompts))
        return result

    def score_answers(self, prompts, *, progress=None):
        print("SCORED", len(prompts))
        result = []
        for asked in prompts:
            digests = [hashlib.sha256((asked.prompt.question + one).encode()).digest() for one in asked.answers]
            sizes = tuple(len(one.encode()) for one in asked.answers)
            likely = tuple(self.sharpness * digest[0] / 128 - 9 for digest in digests)
            result.append(FullAnswerScores(likely, (-1.0, *(-2.0 for _ in sizes[1:])), sizes, sizes))
        return result

    def close(self):
        print("CLOSED", self.identity.spec)


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("table:"):
        return TableModel(spec)
'''


def survey_rows(n_questions: int = 12) -> list[dict[str, object]]:
    """Return a survey of two populations that differ."""
    rows = []
    for number in range(n_questions):
        north = [0.2 + 0.02 * (number % 5), 0.3, 0.5 - 0.02 * (number % 5)]
        south = north[::-1]
        rows.append(
            {
                "question_id": f"q{number}",
                "question": f"Should the town do thing number {number}?",
                "options": ["Yes", "Perhaps", "No"],
                "distributions": [
                    {"population": "North", "probabilities": north, "n_respondents": 500},
                    {"population": "South", "probabilities": south, "n_respondents": 300},
                ],
            }
        )
    return rows


@pytest.fixture
def yes_no_suite(pytester: pytest.Pytester) -> Callable[[str, str], pytest.Pytester]:
    """Write a suite: a conftest, its tests, and ``s.jsonl``, 40 questions that one population answers Yes or No."""

    def written(conftest: str, tests: str) -> pytest.Pytester:
        shares = {"population": "North", "probabilities": [0.6, 0.4], "n_respondents": 900}
        about = {"options": ["Yes", "No"], "distributions": [shares]}
        rows = ({"question_id": f"q{n}", "question": f"Do you like number {n}?", **about} for n in range(40))
        pytester.makeconftest(conftest)
        pytester.makepyfile(test_suite=tests)
        pytester.path.joinpath("s.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return pytester

    return written


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a survey ``town.jsonl`` and models ``table:NAME*SHARPNESS``; nothing is kept between runs."""
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest(CONFTEST)
    pytester.path.joinpath("town.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in survey_rows()), encoding="utf-8"
    )
    # The plugin of hypothesis takes seconds to say nothing at the end of each run; some tests count on their order.
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest -p no:randomly\n")
    return pytester


@pytest.fixture
def in_this_process(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands run pytest in this process, which is much faster.

    Each command has a test that lets it start a process, as it does for users.
    """
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        if command[:3] != [sys.executable, "-m", "pytest"]:
            return real(command, **options)
        # The command alone gets the output of the run.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            done = pytester.runpytest_inprocess(*command[3:])
        return subprocess.CompletedProcess(command, int(done.ret), done.stdout.str(), done.stderr.str())

    monkeypatch.setattr(subprocess, "run", run)
