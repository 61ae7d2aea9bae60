"""Entries of a baseline are called unused, and are removed, by runs alone that have seen all tests of their suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

MARKED = '@pytest.mark.js_distance("town.jsonl", population="{whom}", max_increase=0.02)\ndef test_{name}(): ...\n\n'
BODY = "import pytest\n\n" + "".join(
    MARKED.format(whom=whom, name=name) for whom, name in (("North", "one"), ("South", "two"), ("North", "three"))
)
#: A suite in which the last two tests have new names.
RENAMED = BODY.replace("test_two", "test_to").replace("test_three", "test_tree")

STORE = ("--pluralism-update-baseline",)
PRUNE = ("--pluralism-prune-baseline",)


def run(project: pytest.Pytester, *options: str, base: str = "base") -> pytest.RunResult:
    return project.runpytest_inprocess("--pluralism-model=table:m", f"--pluralism-baseline={base}", *options)


def stored(folder: Path) -> list[str]:
    entries = json.loads((folder / "m.json").read_text())["entries"]
    return [key.split()[0].partition("::test_")[2] for key in entries]


@pytest.fixture
def suite(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(test_gate=BODY)
    run(project, *STORE).assert_outcomes(passed=3)
    return project


TAKES_OUT = """

import pytest

@pytest.hookimpl(HOW)
def pytest_collection_modifyitems(items):
    items[:] = items[:1]
"""


@pytest.mark.whole
@pytest.mark.parametrize("how", ["", "tryfirst=True", "trylast=True"])
def test_a_plugin_that_takes_tests_out_leaves_their_entries(suite: pytest.Pytester, how: str) -> None:
    conftest = suite.path / "conftest.py"
    conftest.write_text(conftest.read_text() + TAKES_OUT.replace("HOW", how))
    result = run(suite, *PRUNE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nothing was pruned from the baseline: only a part of the tests was collected"])
    assert stored(suite.path / "base") == ["one", "three", "two"]
    assert "unused" not in run(suite).stdout.str()


@pytest.mark.whole
@pytest.mark.parametrize("option", ["--lf", "--sw"])
def test_what_failed_last_is_a_part_of_the_tests(suite: pytest.Pytester, option: str) -> None:
    suite.makeini("[pytest]\naddopts = -p no:hypothesispytest\n")
    body = BODY.replace('"South", max_increase=0.02', '"South", max_increase=0.02, at_most=0.0001')
    suite.makepyfile(test_gate=body)
    run(suite, *(["--sw"] if option == "--sw" else [])).assert_outcomes(passed=1 if option == "--sw" else 2, failed=1)
    result = run(suite, option, *PRUNE)
    assert "unused" not in result.stdout.str()
    assert "removed from" not in result.stdout.str()
    assert stored(suite.path / "base") == ["one", "three", "two"]


@pytest.mark.whole
def test_a_marker_that_is_wrong_keeps_its_entry(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_gate=BODY.replace('population="South", max_increase', 'population="South", max_incraese'))
    result = run(suite, *PRUNE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert stored(suite.path / "base") == ["one", "three", "two"]


@pytest.mark.whole
def test_a_run_that_fails_to_judge_prunes_nothing(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_gate=RENAMED)
    result = run(suite, "-x", *PRUNE)
    result.stdout.fnmatch_lines(["nothing was pruned from the baseline: the run did not judge all promises"])
    assert stored(suite.path / "base") == ["one", "three", "two"]


@pytest.mark.whole
@pytest.mark.parametrize("name", ["test_gate.py", "test_other.py"])
def test_another_suite_that_stores_in_the_same_folder_keeps_its_entries(
    suite: pytest.Pytester, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its file has the same name, or is not in this suite at all.
    other = suite.mkdir("other")
    for file in ("conftest.py", "town.jsonl", "tox.ini"):
        (other / file).write_text((suite.path / file).read_text())
    (other / name).write_text(BODY.replace("test_", "test_other_"))
    (suite.path / "tox.ini").write_text("[pytest]\naddopts = -p no:hypothesispytest --ignore=other\n")
    monkeypatch.chdir(other)
    run(suite, *STORE, base="../base").assert_outcomes(passed=3)
    monkeypatch.chdir(suite.path)
    both = ["one", "other_one", "other_three", "other_two", "three", "two"]
    assert sorted(stored(suite.path / "base")) == both
    assert "unused" not in run(suite).stdout.str()
    suite.makepyfile(test_gate=RENAMED)
    result = run(suite, "--pluralism-update-baseline=new", *PRUNE)
    result.assert_outcomes(passed=3)
    left = ["one", "other_one", "other_three", "other_two", "to", "tree"]
    assert sorted(stored(suite.path / "base")) == left
    # Its own entries it does remove.
    monkeypatch.chdir(other)
    (other / name).write_text(BODY.replace("test_", "test_our_"))
    run(suite, "--pluralism-update-baseline=new", *PRUNE, base="../base").assert_outcomes(passed=3)
    assert sorted(stored(suite.path / "base")) == ["one", "our_one", "our_three", "our_two", "to", "tree"]


@pytest.mark.whole
def test_an_entry_that_names_no_suite_goes_with_its_file_alone(suite: pytest.Pytester) -> None:
    # As version 0.1.0 and what came before this field stored it.
    file = suite.path / "base" / "m.json"
    content = json.loads(file.read_text())
    for entry in content["entries"].values():
        del entry["suite"]
    file.write_text(json.dumps(content))
    (suite.path / "test_gate.py").rename(suite.path / "test_moved.py")
    run(suite, "--pluralism-update-baseline=new", *PRUNE).assert_outcomes(passed=3)
    assert stored(suite.path / "base") == ["one", "three", "two"] * 2
    (suite.path / "test_moved.py").rename(suite.path / "test_gate.py")
    (suite.path / "test_gate.py").write_text(RENAMED)
    run(suite, "--pluralism-update-baseline=new", *PRUNE).assert_outcomes(passed=3)
    # Those of the file that is gone name their suite.
    assert stored(suite.path / "base") == ["one", "to", "tree"]


@pytest.mark.whole
def test_all_that_is_unused_is_listed(project: pytest.Pytester) -> None:
    many = "@pytest.mark.parametrize('number', range(9))\n" + MARKED.format(whom="North", name="it()").replace(
        "()()", "(number)"
    )
    project.makepyfile(test_gate="import pytest\n\n" + many)
    run(project, *STORE).assert_outcomes(passed=9)
    project.makepyfile(test_gate="import pytest\n\n" + many.replace("range(9)", "range(1)"))
    told = run(project)
    told.stdout.fnmatch_lines(
        ["unused in base/m.json: 8. Re-run pytest with --pluralism-prune-baseline to remove them."]
    )
    removed = run(project, *PRUNE)
    removed.stdout.fnmatch_lines(["removed from base/m.json: 8"])
    for result in (told, removed):
        result.stdout.fnmatch_lines([f"  test_gate.py::test_it[[]{number}] js_distance*" for number in range(1, 9)])
    assert stored(project.path / "base") == ["it[0]"]
