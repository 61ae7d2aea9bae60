"""Hooks by which a project brings models and data: the examples of their docstrings, and the folder each holds for."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism import hookspecs

#: The classes that the examples use, as a project would have them.
OURS = '''
import hashlib
import math
from pathlib import Path

import pytest

from pytest_pluralism.core.records import Answer, EntailmentScores, Response
from pytest_pluralism.datasets import load_panel, load_survey, load_windows
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.models.protocol import ModelIdentity

LEAN = 0.5


class Ours:
    def __init__(self, name):
        print(type(self).__name__, "loaded", name)
        sha256 = hashlib.sha256(f"{type(self).__name__} {name} {LEAN}".encode()).hexdigest()
        self.identity = ModelIdentity(name, name, sha256, "float32", "cpu")

    def close(self):
        print(type(self).__name__, "closed", self.identity.name)


class OurModel(Ours):
    """Says Yes with the probability LEAN."""

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            lines = [line for line in prompt.question.splitlines() if line[1:3] == ". "]
            shares = [LEAN if line.endswith(" Yes") else (1 - LEAN) / (len(lines) - 1) for line in lines]
            result.append(Answer(tuple(map(math.log, shares)), 1.0, "A", max(shares)))
        return result

    def generate(self, prompts, settings, *, n_draws=1, progress=None):
        return [tuple(Response("Yes, it should.", 5, "eos", draw) for draw in range(n_draws)) for _ in prompts]


class OurDecoder(OurModel):
    def __init__(self, model, towards):
        super().__init__(f"{model.identity.name}+{towards}")


class OurJudge(Ours):
    def entail(self, pairs, *, progress=None):
        return [EntailmentScores(float(pair.hypothesis in pair.premise)) for pair in pairs]


class OurReward(Ours):
    def reward(self, requests, *, progress=None):
        return [0.5 for _ in requests]
'''

SURVEY = [
    {
        "question_id": f"q{number}",
        "question": f"Should shop {number} open on Sundays?",
        "options": ["Yes", "No"],
        "distributions": [
            {"population": "North", "probabilities": [0.4 + 0.01 * number, 0.6 - 0.01 * number], "n_respondents": 900},
            {"population": "South", "probabilities": [0.9, 0.1], "n_respondents": 900},
        ],
    }
    for number in range(14)
]

VALUES = [
    *({"attribute": name, "who": f"from the {name}", "category": "place", "model": "m"} for name in ("North", "South")),
    *SURVEY,
]

WINDOWS = [
    {"query_id": f"w{number}", "query": f"What of shop {number}?", "reasonable": ["Yes, it should.", "No."]}
    for number in range(14)
]

PANEL = [
    {"juror": f"j{juror}", "query": f"w{query}", "response": text, "utility": (juror + query + place) % 2}
    for juror in range(6)
    for query in range(14)
    for place, text in enumerate(("Yes", "No"))
]

#: The files of the suites that need one.
FILES = {
    "staff.jsonl": SURVEY,
    "town.jsonl": SURVEY,
    "values.jsonl": VALUES,
    "support.jsonl": WINDOWS,
    "raters.jsonl": PANEL,
}

JUDGE = "--pluralism-entailment-model=ours:judge"

#: Hook -> a promise that needs it, the options of the run, and the words which show that it was called.
USES = {
    "load_model": ('js_distance("town.jsonl", population="North", at_most=1.0)', "", "OurModel loaded candidate"),
    "load_entailment_model": (
        'overton_coverage("support.jsonl", at_least=0.2, confidence_level=None)',
        JUDGE,
        "OurJudge loaded judge",
    ),
    "load_value_model": (
        'steering_faithfulness("values.jsonl", attribute="North", score="reward", at_least=0.4, confidence_level=None)',
        "--pluralism-value-model=ours:reward",
        "OurReward loaded reward",
    ),
    "load_steered_model": (
        'steering_faithfulness("values.jsonl", attribute="North", context="model", at_least=0.2)',
        "",
        "OurDecoder loaded candidate+North",
    ),
    "load_survey": ('js_distance("staff_2026", population="North", at_most=1.0)', "", "js_distance staff_2026"),
    "load_windows": (
        'overton_coverage("support_2026", at_least=0.2, confidence_level=None)',
        JUDGE,
        "overton_coverage support_2026",
    ),
    "load_panel": (
        'jury_welfare("raters_2026", alpha=0.0, at_least=0.1, confidence_level=None)',
        "",
        "jury_welfare raters_2026",
    ),
    "load_steering": (
        'steering_faithfulness("values_2026", attribute="North", at_least=0.2)',
        "",
        "steering_faithfulness values_2026",
    ),
}

HOOKS = {
    name.removeprefix("pytest_pluralism_"): function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if name.startswith("pytest_pluralism_")
}


def example(hook: str) -> str:
    """Return the conftest example of the docstring of a hook."""
    found = re.search(r"::\n\n((?: {4}.*\n|\n)+)", inspect.getdoc(HOOKS[hook]) or "")
    assert found is not None, f"{hook} has no example"
    return textwrap.dedent(found[1])


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project that keeps nothing between runs."""
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest --import-mode=importlib\n")
    return pytester


def write(folder: Path, conftest: str, tests: str) -> None:
    """Write a suite with its files."""
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "test_gate.py").write_text("import pytest\n\n" + tests, encoding="utf-8")
    for name, rows in FILES.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def verdicts(project: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    """Run a project, and return its verdicts by suite."""
    project.runpytest_inprocess("--pluralism-report=r.json", *arguments)
    found = json.loads((project.path / "r.json").read_text(encoding="utf-8"))["verdicts"]
    return {verdict["nodeid"].partition("/")[0]: verdict for verdict in found}


def test_every_hook_has_an_example_that_is_run_here() -> None:
    assert set(USES) == {name for name in HOOKS if name.startswith("load_")}


@pytest.mark.parametrize("hook", USES)
def test_the_example_of_a_hook_does_what_it_says(project: pytest.Pytester, hook: str) -> None:
    promise, options, shown = USES[hook]
    hooks = {example(name): None for name in ("load_model", "load_entailment_model", hook)}
    write(project.path, OURS + "\n\n".join(hooks), f"@pytest.mark.{promise}\ndef test_gate(): ...\n")
    result = project.runpytest_inprocess("-s", "--pluralism-model=ours:candidate", *options.split())
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*{shown}*"])


@pytest.mark.parametrize("promise", [USES[name][0] for name in ("load_windows", "load_panel", "load_steering")])
def test_data_of_the_wrong_type_are_the_error_of_the_test_that_names_them(
    project: pytest.Pytester, promise: str
) -> None:
    hooks = [f"def pytest_pluralism_load_{kind}(name): return 3" for kind in ("windows", "panel", "steering")]
    write(
        project.path, OURS + example("load_model") + "\n".join(hooks), f"@pytest.mark.{promise}\ndef test_it(): ...\n"
    )
    result = project.runpytest_inprocess("--pluralism-model=ours:m")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*A hook pytest_pluralism_load_* gave a int for '*_2026'. It must give a *"])


def test_the_keywords_of_a_file_are_refused_for_a_panel_of_a_hook(project: pytest.Pytester) -> None:
    marker = 'jury_welfare("raters_2026", at_least=0.0, jurors="choice", scale={"lowest": 0, "highest": 1})'
    hooks = OURS + example("load_model") + example("load_panel")
    write(project.path, hooks, f"@pytest.mark.{marker}\ndef test_it(): ...\n")
    result = project.runpytest_inprocess("--pluralism-model=ours:m")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*scale says how a file is read, and the panel 'raters_2026' comes from a hook*"])


@pytest.fixture
def suites(project: pytest.Pytester) -> pytest.Pytester:
    """A project with two suites, each with hooks of its own for the same names."""
    hooks = "\n".join(example(hook) for hook in USES if hook != "load_steered_model")
    for name, lean in (("a", 0.5), ("b", 0.95)):
        tests = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.3)\ndef test_one(): ...\n'
        write(project.path / name, OURS.replace("LEAN = 0.5", f"LEAN = {lean}") + hooks, tests)
    return project


@pytest.mark.whole
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a"), ()])
def test_a_hook_that_loads_models_holds_under_its_folder(suites: pytest.Pytester, order: tuple[str, ...]) -> None:
    found = verdicts(suites, "--pluralism-model=ours:m", *order)
    assert {name: verdict["outcome"] for name, verdict in found.items()} == {"a": "passed", "b": "failed"}
    assert found["a"]["model"]["sha256"] != found["b"]["model"]["sha256"]
    for name, verdict in found.items():
        assert verdicts(suites, "--pluralism-model=ours:m", name)[name]["estimate"] == verdict["estimate"]


def test_each_suite_has_its_models_in_every_fixture(suites: pytest.Pytester) -> None:
    suites.makeconftest(
        "import pytest\n\n@pytest.fixture(scope='session')\n"
        "def hashes(language_model, reference_language_model, entailment_model, value_model):\n"
        "    models = (language_model, reference_language_model, entailment_model, value_model)\n"
        "    return [model.identity.sha256 for model in models]\n"
    )
    test = (
        "import hashlib\n\ndef test_hashes(hashes):\n"
        "    kinds = ('OurModel m', 'OurModel r', 'OurJudge judge', 'OurReward v')\n"
        "    assert hashes == [hashlib.sha256(f'{kind} LEAN'.encode()).hexdigest() for kind in kinds]\n"
    )
    for name, lean in (("a", "0.5"), ("b", "0.95")):
        (suites.path / name / "test_gate.py").write_text(test.replace("LEAN", lean), encoding="utf-8")
    options = ("--pluralism-reference-model=ours:r", JUDGE, "--pluralism-value-model=ours:v")
    result = suites.runpytest_inprocess("-s", "--pluralism-model=ours:m", *options)
    result.assert_outcomes(passed=2)
    # Those of the first suite are closed before the second one loads its own.
    lines = re.findall(r"(Our\w+ (?:loaded|closed)) \w+", result.stdout.str())
    kinds = ("OurModel", "OurModel", "OurJudge", "OurReward")
    assert sorted(lines[4:8]) == sorted(f"{kind} closed" for kind in kinds)
    assert sorted(lines[8:12]) == sorted(f"{kind} loaded" for kind in kinds)


def test_suites_under_the_same_hooks_share_their_models(suites: pytest.Pytester) -> None:
    inner = suites.path / "a" / "inner"
    inner.mkdir()
    for path in (suites.path / "a").glob("t*"):
        (inner / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    result = suites.runpytest_inprocess("-s", "--pluralism-model=ours:m", "a")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("OurModel loaded m") == 1


@pytest.mark.parametrize("hook", ["load_survey", "load_windows", "load_panel", "load_steering"])
def test_a_hook_that_loads_data_holds_under_its_folder(suites: pytest.Pytester, hook: str) -> None:
    promise, options, _ = USES[hook]
    for name, first in (("a", 0), ("b", 2)):
        for file, rows in FILES.items():
            kept = rows if file in {"values.jsonl", "raters.jsonl"} else rows[first:]
            text = "".join(json.dumps(row) + "\n" for row in kept).replace("shop", f"shop of {name}")
            (suites.path / name / file).write_text(re.sub(r'"w(\d)', rf'"w{name}\1', text), encoding="utf-8")
        (suites.path / name / "test_gate.py").write_text(
            f"import pytest\n\n@pytest.mark.{promise}\ndef test_gate(): ...\n", encoding="utf-8"
        )
    found = verdicts(suites, "--pluralism-model=ours:m", *options.split())
    assert found["a"]["dataset"]["sha256"] != found["b"]["dataset"]["sha256"]
    assert "error" not in {verdict["outcome"] for verdict in found.values()}


def test_a_plan_and_a_self_test_go_through_the_hooks_of_each_suite(suites: pytest.Pytester) -> None:
    planned = suites.runpytest_inprocess("--pluralism-model=ours:m", "--pluralism-plan")
    assert planned.stdout.str().count("ours:m: 1 gate") == 2
    tested = suites.runpytest_inprocess("-s", "--pluralism-model=ours:m", "--pluralism-aa=2")
    assert tested.stdout.str().count("OurModel loaded m") == 2
    assert tested.stdout.str().count("m: 0 of ") == 2
