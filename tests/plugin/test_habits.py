"""Suites name the plugin twice, expect failures, ask under two seeds, and keep their settings in TOML."""

from __future__ import annotations

import json
from typing import Any

import pytest

MARKED = '@pytest.mark.js_distance("town.jsonl", population="North", {promise})\ndef test_{name}(): {body}\n\n'


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_inprocess("--pluralism-model=table:m", *options)


def report(project: pytest.Pytester) -> list[dict[str, Any]]:
    verdicts: list[dict[str, Any]] = json.loads((project.path / "out.json").read_text())["verdicts"]
    return verdicts


# -------------------------------------------------------------------------------------------------- expected failures


@pytest.mark.parametrize("mark", ["xfail", "xfail(strict=True)", "xfail(raises=Exception)"])
def test_an_expected_failure_hides_no_promise_that_was_not_judged(project: pytest.Pytester, mark: str) -> None:
    tests = {
        "keyword": ("at_mots=0.3", "..."),
        "baseline": ("max_increase=0.02", "..."),
        "broken": ("at_most=0.0001", "..."),
        "body": ("at_most=0.9", "assert False"),
    }
    body = "".join(
        f"@pytest.mark.{mark}\n{MARKED.format(promise=promise, name=name, body=code)}"
        for name, (promise, code) in tests.items()
    )
    project.makepyfile(test_gate="import pytest\n\n" + body.replace("raises=Exception", "raises=BaseException"))
    result = run(project, "--pluralism-report=out.json", "-rA")
    # The wrong keyword and the missing baseline; a broken promise and a failing body are what was expected.
    result.assert_outcomes(errors=1, failed=1, xfailed=2)
    result.stdout.fnmatch_lines(["ERROR *test_keyword*", "FAILED *test_baseline*"])
    assert {one["nodeid"].partition("::test_")[2]: one["outcome"] for one in report(project)} == {
        "keyword[table:m]": "error",
        "baseline[table:m]": "error",
        "broken[table:m]": "failed",
    }


@pytest.mark.parametrize("mark", ["xfail(run=False)", "xfail(True, reason='later', run=False)"])
@pytest.mark.parametrize("options", [(), pytest.param(("-n", "1"), marks=pytest.mark.whole), ("--runxfail",)])
def test_a_wrong_keyword_is_an_error_where_the_test_never_runs(
    project: pytest.Pytester, mark: str, options: tuple[str, ...]
) -> None:
    if "-n" in options:
        pytest.importorskip("xdist")
    tests = {"keyword": "at_mots=0.3", "direction": "at_least=0.3", "fine": "at_most=0.0001"}
    body = "".join(
        f"@pytest.mark.{mark}\n{MARKED.format(promise=promise, name=name, body='...')}"
        for name, promise in tests.items()
    )
    project.makepyfile(test_gate="import pytest\n\n" + body)
    result = run(project, "--pluralism-report=out.json", "-rA", *options)
    result.assert_outcomes(errors=2, **({"failed": 1} if "--runxfail" in options else {"xfailed": 1}))
    result.stdout.fnmatch_lines(["ERROR *test_keyword*"])
    found = {one["nodeid"].partition("::test_")[2]: one["outcome"] for one in report(project)}
    assert {name: found[name] for name in ("keyword[table:m]", "direction[table:m]")} == {
        "keyword[table:m]": "error",
        "direction[table:m]": "error",
    }


# ---------------------------------------------------------------------------------------------------------- two seeds


@pytest.mark.whole
def test_two_markers_with_seeds_of_their_own_are_two_promises(project: pytest.Pytester) -> None:
    body = MARKED.format(promise="at_most=0.9, seed=1", name="it", body="...")
    two = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.0001, seed=2)\n'
    project.makepyfile(test_gate="import pytest\n\n" + two + body)
    result = run(project, "--pluralism-report=out.json", "-s")
    result.assert_outcomes(failed=1)
    keys = {one["key"]: one["outcome"] for one in report(project)}
    assert keys == {
        "js_distance town.jsonl North seed 1": "passed",
        "js_distance town.jsonl North seed 2": "failed",
    }
    (asked,) = (line for line in result.outlines if "ASKED" in line)
    # More than the prompts of one seed; some orders of the options are those of both.
    assert 72 < int(asked.rpartition("ASKED ")[2]) <= 144
    # Each has an entry of its own in a baseline.
    relative = "import pytest\n\n" + (two + body).replace("at_most=0.9", "max_increase=0.01")
    project.makepyfile(test_gate=relative.replace("at_most=0.0001", "max_increase=0.01"))
    run(project, "--pluralism-update-baseline").assert_outcomes(passed=1)
    run(project, "--pluralism-report=out.json").assert_outcomes(passed=1)
    assert [one["outcome"] for one in report(project)] == ["passed", "passed"]


def test_two_markers_of_one_seed_are_an_error(project: pytest.Pytester) -> None:
    body = MARKED.format(promise="at_most=0.9, seed=1", name="it", body="...")
    again = '@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.1, seed=1)\n'
    project.makepyfile(test_gate="import pytest\n\n" + again + body)
    result = run(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*two markers promise the same measurement*Give the bounds in one marker*"])


# ----------------------------------------------------------------------------------------------------- named two times


@pytest.mark.parametrize(
    ("way", "names"),
    [
        ("conftest", ["pytest_pluralism.plugin"]),
        ("conftest", ["pluralism"]),
        ("option", ["pytest_pluralism.plugin"] * 2),
        pytest.param("conftest", ["pytest_pluralism.plugin"] * 2, marks=pytest.mark.slow),
        pytest.param("option", ["pytest_pluralism.plugin"], marks=pytest.mark.slow),
        pytest.param("option", ["pluralism"], marks=pytest.mark.slow),
    ],
)
def test_the_plugin_may_be_named_once_more(project: pytest.Pytester, way: str, names: list[str]) -> None:
    options = [] if way == "conftest" else [word for name in names for word in ("-p", name)]
    if way == "conftest":
        conftest = project.path / "conftest.py"
        conftest.write_text(f"pytest_plugins = {names}\n" + conftest.read_text())
    project.makepyfile(test_gate="import pytest\n\n" + MARKED.format(promise="at_most=0.9", name="it", body="..."))
    run_ = project.runpytest_subprocess("--pluralism-model=table:m", *options)
    run_.assert_outcomes(passed=1)


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.whole
@pytest.mark.skipif(int(pytest.__version__.partition(".")[0]) < 9, reason="pytest 9 reads native types of TOML")
@pytest.mark.parametrize("form", ["[pytest]", "[tool.pytest]"])
def test_the_native_types_of_toml_are_read(project: pytest.Pytester, form: str) -> None:
    (project.path / "tox.ini").unlink()
    settings = [
        'addopts = ["-p", "no:hypothesispytest"]',
        "pluralism_seed = 0",
        'pluralism_model = "table:one"',
        'pluralism_report = ["out.json"]',
        "pluralism_prune_baseline = false",
        "pluralism_show_prompt = true",
        "pluralism_batch_size = 8",
    ]
    name = "pytest.toml" if form == "[pytest]" else "pyproject.toml"
    (project.path / name).write_text("\n".join([form, *settings]) + "\n")
    project.makepyfile(test_gate="import pytest\n\n" + MARKED.format(promise="at_most=0.9", name="it", body="..."))
    project.runpytest_subprocess().assert_outcomes(passed=1)
    found = json.loads((project.path / "out.json").read_text())["run"]["settings"]
    shown = {name: found[name]["value"] for name in ("seed", "model", "prune_baseline", "show_prompt", "batch_size")}
    assert shown == {"seed": 0, "model": ["table:one"], "prune_baseline": False, "show_prompt": True, "batch_size": 8}
    assert {found[name]["origin"] for name in shown} == {"ini"}
    (project.path / name).write_text(f"{form}\npluralism_seed = [1]\n")
    wrong = project.runpytest_subprocess()
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(["*pluralism_seed*Got '[[]1[]]'*"])


def test_nothing_stands_among_a_quiet_list_of_tests(project: pytest.Pytester) -> None:
    # Editors read it.
    body = MARKED.format(promise="at_mots=0.9", name="wrong", body="...")
    project.makepyfile(test_gate="import pytest\n\n" + body + "def test_plain(): ...\n")
    result = run(project, "--collect-only", "-q")
    assert result.ret == pytest.ExitCode.OK
    listed = [line for line in result.outlines if line]
    assert sorted(listed[:2]) == ["test_gate.py::test_plain", "test_gate.py::test_wrong[table:m]"]
    assert listed[2].startswith("pluralism: ERROR test_gate.py::test_wrong[table:m]: @pytest.mark.js_distance: unknown")
    assert listed[-1].startswith("2 tests collected")
    loud = run(project, "--collect-only")
    loud.stdout.fnmatch_lines(["pluralism: ERROR *test_wrong*unknown keyword 'at_mots'*"])


# ---------------------------------------------------------------------------------------------------- tests beside them


LATE = """
@pytest.fixture
def late():
    yield
    raise RuntimeError("not closed")

"""


@pytest.mark.whole
@pytest.mark.parametrize(
    ("test", "options"),
    [
        ("def test_plain(): assert False", ()),
        ("def test_plain(away): ...", ()),
        ("def test_plain(pluralism): assert pluralism.evaluate('js_distance', 'town.jsonl').value > 9", ()),
        (LATE + MARKED.format(promise="at_most=0.9", name="plain", body="...").replace("()", "(late)"), ()),
        ("@pytest.mark.xfail(strict=True)\ndef test_plain(): ...", ()),
    ],
    ids=["body", "fixture", "assertion", "teardown", "strict"],
)
def test_no_report_lets_a_model_pass_whose_run_failed(
    project: pytest.Pytester, test: str, options: tuple[str, ...]
) -> None:
    body = "import pytest\n\n" + MARKED.format(promise="at_most=0.9", name="it", body="...") + test + "\n"
    project.makepyfile(test_gate=body)
    reports = [f"--pluralism-report=out.{ending}" for ending in ("json", "md", "html")]
    assert run(project, *reports, *options).ret == pytest.ExitCode.TESTS_FAILED
    (failed,) = json.loads((project.path / "out.json").read_text())["run"]["failed_tests"]
    assert failed.startswith("test_gate.py::test_plain")
    for ending in ("md", "html"):
        text = (project.path / f"out.{ending}").read_text()
        assert "Do not release: another test of the run failed; " in text
        assert "May be released" not in text
        assert "Failed, and no promise of it is broken" in text
    project.makepyfile(test_gate=body.partition(test)[0])
    run(project, *reports).assert_outcomes(passed=1)
    assert "failed_tests" not in json.loads((project.path / "out.json").read_text())["run"]
    assert "May be released" in (project.path / "out.md").read_text()
