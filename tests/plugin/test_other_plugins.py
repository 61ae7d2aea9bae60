"""Twenty-five markers in odd places have one verdict a promise, whatever other plugins a suite is run with.

``tox -e pytest84`` and its like install the plugins; a plugin that is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter

import pytest

SUITE = """
import unittest

import pytest
from hypothesis import given, settings, strategies


def mark(population="South", **promise):
    return pytest.mark.js_distance("town.jsonl", population=population, **(promise or {"at_most": 0.0001}))


KEPT = mark("North", at_most=0.9)
BROKEN = mark()

pytestmark = []


@BROKEN
class TestClass:
    def test_in_a_class(self): ...

    class TestInside:
        @KEPT
        def test_own_and_inherited(self): ...


@BROKEN
class TestCase(unittest.TestCase):
    def test_case(self): ...

    def test_with_subtests(self):
        for number in range(2):
            with self.subTest(number=number):
                pass


class TestMethods(unittest.TestCase):
    @BROKEN
    def test_method(self): ...

    @unittest.expectedFailure
    @BROKEN
    def test_expected(self): ...


class TestAsync(unittest.IsolatedAsyncioTestCase):
    @BROKEN
    async def test_async(self): ...


@pytest.mark.parametrize(
    "number", [1, pytest.param(2, marks=BROKEN), pytest.param("[a/b]::\\u00fc-" + "z" * 99, marks=KEPT)]
)
def test_parameter(number): ...


@pytest.mark.parametrize("number", [1, 2])
@BROKEN
def test_each_parameter(number): ...


@pytest.mark.xfail(strict=True)
@BROKEN
def test_expected_to_be_broken(): ...


@pytest.mark.xfail
@KEPT
def test_unexpectedly_kept(): ...


@pytest.mark.skip
@BROKEN
def test_skipped(): ...


@pytest.mark.skipif("True", reason="not here")
@BROKEN
def test_skipped_by_a_condition(): ...


@pytest.mark.xfail(run=False)
@BROKEN
def test_not_run(): ...


@BROKEN
def test_that_skips_itself():
    pytest.skip("not now")


@KEPT
@BROKEN
def test_two(): ...


@mark("North", at_most=0.9, seed=1)
@mark("North", at_most=0.9, seed=2)
def test_two_seeds(): ...


@mark("North", at_most=0.9)
@mark("North", max_increase=0.01)
def test_the_same_twice(): ...


@mark(["North", "South"], at_most=0.9)
def test_two_populations(): ...


@BROKEN
@given(strategies.integers())
@settings(max_examples=3, deadline=None, database=None)
def test_property(number): ...


@KEPT
def test_fixture(tmp_path, request): ...


@KEPT
def test_verdict_is_read(pluralism):
    assert pluralism.verdict.passed


def test_added_by_a_hook(): ...


def test_plain(): ...
"""

HOOK = """

import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name.startswith("test_added_by_a_hook"):
            item.add_marker(pytest.mark.js_distance("town.jsonl", population="South", at_most=0.0001))
"""

#: How often each outcome is found for the tests of each name.
FOUND = {
    "test_in_a_class": {"failed": 1},
    "test_own_and_inherited": {"passed": 1, "failed": 1},
    "test_case": {"failed": 1},
    "test_with_subtests": {"failed": 1},
    "test_method": {"failed": 1},
    "test_expected": {"failed": 1},
    "test_async": {"failed": 1},
    "test_parameter": {"failed": 1, "passed": 1},
    "test_each_parameter": {"failed": 2},
    "test_expected_to_be_broken": {"failed": 1},
    "test_unexpectedly_kept": {"passed": 1},
    "test_two": {"passed": 1, "failed": 1},
    "test_two_seeds": {"passed": 2},
    "test_the_same_twice": {"error": 1},
    "test_two_populations": {"passed": 2},
    "test_property": {"failed": 1},
    "test_fixture": {"passed": 1},
    "test_verdict_is_read": {"passed": 1},
    "test_added_by_a_hook": {"failed": 1},
}

PLUGINS = {
    "alone": (None, []),
    "xdist": ("xdist", ["-n", "2"]),
    "xdist loadfile": ("xdist", ["-n", "2", "--dist", "loadfile"]),
    "rerunfailures": ("pytest_rerunfailures", ["--reruns", "1"]),
    "randomly": ("pytest_randomly", ["-p", "randomly", "-p", "no:cacheprovider"]),
    "timeout": ("pytest_timeout", ["--timeout=200"]),
    "cov": ("pytest_cov", ["--cov=town"]),
    "asyncio": ("pytest_asyncio", ["--asyncio-mode=auto"]),
    "asyncio, warnings are errors": (
        "pytest_asyncio",
        ["--asyncio-mode=auto", "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"],
    ),
    "subtests": ("pytest_subtests", []),
    "split": ("pytest_split", ["--splits=1", "--group=1"]),
    "order": ("pytest_order", ["--order-scope=module"]),
    "html": ("pytest_html", ["--html=page.html"]),
    "allure": ("allure_pytest", ["--alluredir=allure"]),
    "forked": ("pytest_forked", ["--forked"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLUGINS)
def test_each_promise_has_one_verdict(project: pytest.Pytester, name: str) -> None:
    module, options = PLUGINS[name]
    if module is not None and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + HOOK)
    project.makeini("[pytest]\n")
    project.makepyfile(test_gate=SUITE)
    result = project.runpytest_subprocess(
        "--pluralism-model=table:m", "--pluralism-report=out.json", *options, timeout=300
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    report = json.loads((project.path / "out.json").read_text())
    found: dict[str, Counter[str]] = {}
    for entry in report["verdicts"]:
        test = entry["nodeid"].rpartition("::test_")[2] if "parameter[" not in entry["nodeid"] else ""
        test = test or entry["nodeid"].partition("::test_")[2]
        found.setdefault("test_" + test.partition("[")[0], Counter())[entry["outcome"]] += 1
    if name == "forked" and not forks(project):
        unjudged = {test: {"error": sum(outcomes.values())} for test, outcomes in FOUND.items()}
        assert found == {**unjudged, "test_that_skips_itself": {"error": 1}}
        assert report["run"]["complete"] is False
        return
    assert {test: dict(outcomes) for test, outcomes in found.items()} == FOUND
    assert report["run"]["complete"] is True


def forks(project: pytest.Pytester) -> bool:
    """Return whether pytest-forked runs a plain test: under pytest 9.2 its version 1.7.5 fails every one."""
    plain = project.makepyfile(test_plain="def test_plain(): pass\n")
    return project.runpytest_subprocess("--forked", str(plain), timeout=100).ret == pytest.ExitCode.OK


@pytest.mark.slow
def test_an_expected_failure_hides_no_promise_whose_process_died(project: pytest.Pytester) -> None:
    pytest.importorskip("pytest_forked")
    project.makepyfile(
        test_gate="""
        import os

        import pytest


        @pytest.mark.xfail
        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
        def test_dies():
            os._exit(3)
        """
    )
    result = project.runpytest_subprocess("--forked", "--pluralism-model=table:m", "--pluralism-report=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    report = json.loads((project.path / "out.json").read_text())
    assert [entry["outcome"] for entry in report["verdicts"]] == ["error"]
    assert report["run"]["complete"] is False
