"""Promises that would not be judged, or be judged otherwise than they read, are errors."""

from __future__ import annotations

import json

import pytest

MARKED = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=1.0)\n'


def run(project: pytest.Pytester, body: str, *arguments: str) -> pytest.RunResult:
    project.makepyfile(test_gate="import pytest\n\n" + body)
    return project.runpytest_inprocess(*arguments)


# ------------------------------------------------------------------------------------------------- the root of pytest


@pytest.fixture
def inner(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite with an ini file, started in its own folder, with a folder of models beside it."""
    (project.path / "tox.ini").unlink()
    folder = project.mkdir("suite")
    for name in ("conftest.py", "town.jsonl"):
        (project.path / name).rename(folder / name)
    (folder / "test_gate.py").write_text(f"import pytest\n\n{MARKED}def test_it(): ...\n", encoding="utf-8")
    (project.path / "models").mkdir()
    monkeypatch.chdir(folder)
    return project


INI = "[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\n"


@pytest.mark.parametrize(("ini", "read"), [(INI, "pytest.ini"), ("", "none")])
@pytest.mark.parametrize("elsewhere", ["", "[pytest]\n"])
def test_a_path_after_a_blank_that_moves_the_root_stops_the_run(
    inner: pytest.Pytester, ini: str, read: str, elsewhere: str
) -> None:
    if ini:
        (inner.path / "suite" / "pytest.ini").write_text(ini, encoding="utf-8")
    if elsewhere:
        (inner.path / "models" / "pytest.ini").write_text(elsewhere, encoding="utf-8")
    result = inner.runpytest_inprocess("--pluralism-model=table:m", "--pluralism-answers", "../models")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*takes a path after a blank for a test*{read}. Write --pluralism-answers=../models."]
    )


@pytest.mark.parametrize(
    "options", [("--rootdir=.", "--pluralism-answers", "../models"), ("@words.txt",)], ids=["rootdir", "file"]
)
def test_a_named_root_and_a_file_of_options_hide_no_ini_file_that_was_not_read(
    inner: pytest.Pytester, options: tuple[str, ...]
) -> None:
    (inner.path / "suite" / "pytest.ini").write_text(INI, encoding="utf-8")
    (inner.path / "suite" / "words.txt").write_text("--pluralism-answers\n../models\n", encoding="utf-8")
    result = inner.runpytest_inprocess("--pluralism-model=table:m", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*takes a path after a blank for a test*Write --pluralism-answers=../models."])


@pytest.mark.parametrize("options", [("--pluralism-answers=../models",), ("--pluralism-answers", "new")])
def test_an_equals_sign_and_a_path_inside_move_nothing(inner: pytest.Pytester, options: tuple[str, ...]) -> None:
    (inner.path / "suite" / "pytest.ini").write_text(INI, encoding="utf-8")
    (inner.path / "suite" / "new").mkdir()
    result = inner.runpytest_inprocess("--pluralism-model=table:m", *options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["rootdir: *suite", "configfile: pytest.ini"])


# ------------------------------------------------------------------------------------------ named, and never loaded

OWN = """
@pytest.fixture(scope="session")
def language_model({arguments}):
    from conftest import TableModel
    return TableModel("table:own")

"""


@pytest.mark.parametrize(
    "test", [MARKED + "def test_it(): ...\n", "def test_it(pluralism):\n    pluralism.language_model\n"]
)
def test_a_fixture_that_shadows_a_named_model_is_an_error(project: pytest.Pytester, test: str) -> None:
    result = run(project, OWN.format(arguments="") + test, "--pluralism-model=table:m", "-s")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the fixture 'language_model'*so that --pluralism-model=table:m was not loaded*"])
    result.stdout.no_fnmatch_line("*ASKED*")


@pytest.mark.parametrize(
    ("arguments", "options"), [("", ()), ("language_model", ("--pluralism-model=table:m",))], ids=["alone", "around"]
)
def test_a_fixture_without_a_named_model_or_around_it_is_used(
    project: pytest.Pytester, arguments: str, options: tuple[str, ...]
) -> None:
    run(project, OWN.format(arguments=arguments) + MARKED + "def test_it(): ...\n", *options).assert_outcomes(passed=1)


def test_a_parametrization_of_ones_own_is_explained(project: pytest.Pytester) -> None:
    body = '@pytest.mark.parametrize("language_model", ["table:a"], indirect=True)\n'
    body += MARKED + "def test_it(language_model): ...\n"
    run(project, body).assert_outcomes(passed=1)
    result = run(project, body, "--pluralism-model=table:m")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it is parametrized with 'language_model', and --pluralism-model=table:m*"])


# -------------------------------------------------------------------------------------------------- misspelt markers


@pytest.mark.parametrize("name", ["js_distances", "js_distanc", "jsdistance", "jury_wellfare", "false_balence"])
def test_a_marker_that_is_nearly_one_of_ours_is_an_error(project: pytest.Pytester, name: str) -> None:
    body = f'@pytest.mark.{name}("town.jsonl", population="North", at_most=1.0)\ndef test_it(): ...\n'
    options = ("--pluralism-model=table:m", "-W", "ignore::pytest.PytestUnknownMarkWarning")
    result = run(project, body, *options, "--pluralism-report=r.json", "--pluralism-report=r.md")
    result.assert_outcomes(errors=1)
    (verdict,) = json.loads((project.path / "r.json").read_text(encoding="utf-8"))["verdicts"]
    assert (verdict["metric"], verdict["outcome"]) == (name, "error")
    result.stdout.fnmatch_lines([f"*@pytest.mark.{name} is not a marker, so that it promises nothing. Did you mean *"])


@pytest.mark.parametrize("name", ["js_distances", "slow", "distance"])
def test_a_marker_that_the_project_registers_or_that_is_far_is_its_own(project: pytest.Pytester, name: str) -> None:
    registered = "markers = js_distances(x): of the project" if name == "js_distances" else ""
    project.makeini(f"[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\n{registered}\n")
    body = f"@pytest.mark.{name}\ndef test_it(): ...\n"
    run(project, body, "-W", "ignore::pytest.PytestUnknownMarkWarning").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "body",
    [
        "def tets_it(): ...",
        "class TestIt:\n    {mark}    def its(self): ...",
        "class Gates:\n    def test_it(self): ...",
        "class Gates:\n    {mark}    def test_it(self): ...",
    ],
)
def test_a_promise_of_a_function_that_is_not_collected_is_told_of(project: pytest.Pytester, body: str) -> None:
    body = body.replace("{mark}", MARKED) if "{mark}" in body else MARKED + body
    # Else a warning is the error that it is in the run around this one.
    result = run(project, f"{body}\n\ndef test_plain(): ...\n", "--pluralism-model=table:m", "-W", "always")
    assert result.parseoutcomes()["passed"] == 1
    result.stdout.fnmatch_lines(["*has the marker js_distance and is not collected*its promise is not judged*"])


@pytest.mark.parametrize("marks", ["{mark}", "[pytest.mark.slow, {mark}]"])
def test_a_pytestmark_of_a_conftest_is_an_error(project: pytest.Pytester, marks: str) -> None:
    conftest = project.path / "conftest.py"
    marks = marks.replace("{mark}", MARKED.strip()[1:])
    conftest.write_text(f"import pytest\n{conftest.read_text()}\npytestmark = {marks}\n")
    result = run(project, "def test_plain(): ...\n", "--pluralism-model=table:m")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*conftest.py has a pytestmark with the marker js_distance*promises nothing*"])


def test_a_marked_function_that_is_collected_or_is_not_meant_to_be_is_left_alone(project: pytest.Pytester) -> None:
    body = f"class Mixin:\n    {MARKED}    def test_mixed(self): ...\n\nclass TestIt(Mixin): ...\n\n"
    body += f"{MARKED}def test_off(): ...\n\ntest_off.__test__ = False\n"
    run(project, body, "--pluralism-model=table:m").assert_outcomes(passed=1, warnings=0)


# -------------------------------------------------------------------------------------------- tests that change folder

ELSEWHERE = """
@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

"""


KEPT = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=1.0)'


@pytest.mark.parametrize(
    "body",
    [
        f"{KEPT}\ndef test_it():\n    yield\n",
        f"{KEPT}\nasync def test_it():\n    yield\n",
        f"pytestmark = {KEPT[1:]}\ndef test_it():\n    yield 1\n",
        f"class TestIt:\n    {KEPT}\n    def test_it(self):\n        yield\n",
        f"class TestIt:\n    {KEPT}\n    @staticmethod\n    def test_it():\n        yield\n",
        f"{KEPT}\nclass TestIt:\n    def test_it(self):\n        yield from ()\n",
    ],
)
def test_a_promise_of_a_test_that_yields_is_an_error_in_every_version(project: pytest.Pytester, body: str) -> None:
    result = run(project, body)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it has the marker js_distance and a yield*Take the yield out of the test*"])


def test_a_promise_of_an_async_test_that_no_plugin_runs_is_an_error_in_every_version(project: pytest.Pytester) -> None:
    # pytest 8.2 and 8.3 skip such a test with a warning.
    options = ("--pluralism-model=table:m", "--pluralism-report=out.json", "-W", "default", "-p", "no:asyncio")
    result = run(project, f"{MARKED}async def test_it(): ...\n", *options, "-p", "no:anyio")
    result.assert_outcomes(failed=1)
    report = json.loads((project.path / "out.json").read_text())
    assert [entry["outcome"] for entry in report["verdicts"]] == ["error"]
    assert "async" in report["verdicts"][0]["reason"]


def test_what_yields_and_is_not_a_test_is_left_alone(project: pytest.Pytester) -> None:
    body = (
        f"pytestmark = {KEPT[1:]}\n\n"
        "@pytest.fixture\ndef given():\n    yield 1\n\n"
        "def parts():\n    yield 1\n\n"
        "def test_it(given):\n    assert list(parts()) == [given]\n"
    )
    run(project, body, "--pluralism-model=table:m").assert_outcomes(passed=1)


@pytest.mark.whole
def test_a_test_that_goes_elsewhere_is_compared_with_the_same_baseline(project: pytest.Pytester) -> None:
    body = MARKED.replace("at_most=1.0", "max_increase=0.01") + "def test_it(): ...\n"
    options = ("--pluralism-baseline=kept.json", "--pluralism-baseline-model=even")
    stored = run(project, body, "--pluralism-model=table:even*0.01", *options, "--pluralism-update-baseline")
    stored.assert_outcomes(passed=1)
    for more in ((), ("--pluralism-update-baseline=new",)):
        result = run(project, ELSEWHERE + body, "--pluralism-model=table:sharp*9", *options, *more)
        result.assert_outcomes(failed=1)


def test_reports_and_answers_of_a_test_that_goes_elsewhere_lie_where_the_run_was_started(
    project: pytest.Pytester,
) -> None:
    body = (
        ELSEWHERE
        + "import os\n\n"
        + MARKED
        + "def test_it(): os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
    )
    options = ("--pluralism-report=r.json", "--pluralism-answers=kept")
    run(project, body, "--pluralism-model=table:m", *options).assert_outcomes(passed=1)
    assert (project.path / "r.json").is_file()
    assert list((project.path / "kept").iterdir())
