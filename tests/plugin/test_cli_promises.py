"""``pluralism promises``: what a suite promises, how much room is left, and what became of earlier promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.cli.promises import loosened

BODY = """
    import sys

    import pytest

    FAST = True

    @pytest.mark.js_distance("town.jsonl", population="North", at_most={at_most}, max_increase={rise})
    def test_north(): ...

    {mark}
    @pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.05)
    def test_south(): ...
"""

NORTH, SOUTH = (f"test_town.py::test_{name} js_distance town.jsonl {name.title()}" for name in ("north", "south"))


def suite(project: pytest.Pytester, *, at_most: float = 0.4, rise: float = 0.02, mark: str = "") -> None:
    project.makepyfile(test_town=BODY.format(at_most=at_most, rise=rise, mark=mark))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first project of this module is kept for the others; empty before."""
    return tmp_path_factory.mktemp("kept") / "project"


@pytest.fixture
def stored(project: pytest.Pytester, in_this_process: None, kept: Path) -> pytest.Pytester:
    """A project whose promises are stored and committed."""
    if not kept.exists():
        suite(project)
        done = project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline")
        done.assert_outcomes(passed=2)
        for words in (("init", "--initial-branch=main"), ("add", "."), ("commit", "--message", "first"), ("tag", "v1")):
            git(project.path, *words)
        shutil.copytree(project.path, kept)
    else:
        shutil.copytree(kept, project.path, dirs_exist_ok=True)
    return project


def git(folder: Path, *words: str) -> None:
    who = {f"GIT_{role}_{part}": "x@y.z" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    program = shutil.which("git") or pytest.skip("no git here")
    subprocess.run([program, "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **who})


def promises(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["promises", *words, "--json"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert content.pop("schema") == "pytest-pluralism/promises/1"
    return code, content


@pytest.mark.whole
def test_every_promise_with_its_value_and_slack(stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    code, content = promises(capsys)
    assert (code, content["gone"], content["problems"]) == (0, [], [])
    north, south = content["promises"]
    assert [north["key"], south["key"]] == [NORTH, SOUTH]
    assert north["gate"] == {"at_most": 0.4, "max_increase": 0.02, "confidence_level": 0.95}
    (file,) = (stored.path / "pluralism-baselines").glob("*.json")
    estimate = json.loads(file.read_text(encoding="utf-8"))["entries"][NORTH]["estimate"]
    assert north["value"] == estimate["value"]
    # A baseline holds no change, so that only the level has a slack.
    assert north["slacks"] == {"at_most": pytest.approx(0.4 - estimate["high"])}
    assert (north["loosened"], north["skipped"], south["slacks"]) == ([], None, {})
    # A report holds the change, too.
    stored.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-report=out.json")
    _, content = promises(capsys, "--results=out.json")
    assert content["promises"][1]["slacks"] == {"max_increase": pytest.approx(0.05)}
    assert main(["promises"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["promise", "measured", "slack", "measure"]
    assert NORTH in lines[1]
    assert f"{estimate['value']:.3f}" in lines[1]


@pytest.mark.whole
def test_without_results_the_numbers_are_blank(project: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite(project)
    code, content = promises(capsys)
    assert code == 0
    assert [(one["value"], one["slacks"], one["loosened"]) for one in content["promises"]] == [(None, {}, [])] * 2


@pytest.mark.whole
def test_what_was_loosened_dropped_or_skipped(stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite(stored, at_most=0.5, rise=0.01, mark='@pytest.mark.skip(reason="flaky")')
    code, content = promises(capsys, "--since=v1")
    assert (code, content["since"]) == (0, "v1")
    north, south = content["promises"]
    assert north["loosened"] == ["at_most was 0.4, is 0.5"]
    assert (south["loosened"], south["skipped"]) == ([], "flaky")
    for words, expected in (("skipped", 1), ("dropped", 0), ("dropped,loosened", 1)):
        assert promises(capsys, "--since=v1", f"--fail-on={words}")[0] == expected
    assert main(["promises", "--since=v1"]) == 0
    out = capsys.readouterr().out
    assert f"loosened: {NORTH}: at_most was 0.4, is 0.5" in out
    assert f"skipped: {SOUTH}: flaky" in out
    # A test that is gone keeps nothing any more.
    stored.makepyfile(test_town="def test_nothing(): ...")
    code, content = promises(capsys, "--fail-on=dropped")
    assert (code, content["promises"]) == (1, [])
    assert [(one["key"], one["skipped"]) for one in content["gone"]] == [(NORTH, None), (SOUTH, None)]
    assert content["gone"][0]["gate"]["at_most"] == 0.4


@pytest.mark.whole
def test_a_report_against_several_baselines_has_each_promise_once(
    stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [f"--pluralism-baseline={name}={folder}" for name, folder in (("last", "last"), ("best", "best"))]
    for one, model in zip(named, ("plain", "plain*0.5"), strict=True):
        stored.runpytest_inprocess(f"--pluralism-model=table:{model}", one, "--pluralism-update-baseline")
    stored.runpytest_inprocess("--pluralism-model=table:plain", *named, "--pluralism-report=run.json")
    code, content = promises(capsys, "--results=run.json", "--fail-on=loosened,dropped,skipped")
    assert (code, content["gone"]) == (0, [])
    north, south = content["promises"]
    assert north["value"] is not None
    # The slack is that beside the baseline that leaves less of it.
    changes = {
        one["baseline"]["name"]: one["change"]
        for one in json.loads((stored.path / "run.json").read_text(encoding="utf-8"))["verdicts"]
        if one["population"] == "South"
    }
    assert set(changes) == {"last", "best"}
    assert south["slacks"]["max_increase"] == pytest.approx(min(0.05 - one["high"] for one in changes.values()))


@pytest.mark.whole
def test_since_reads_the_file_of_then(stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    # The promise is loosened and stored anew: the baseline of today knows nothing about it, the one of v1 does.
    suite(stored, at_most=0.5)
    stored.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline")
    assert promises(capsys, "--fail-on=loosened")[0] == 0
    code, content = promises(capsys, "--fail-on=loosened", "--since=v1")
    assert (code, content["promises"][0]["loosened"]) == (1, ["at_most was 0.4, is 0.5"])


SKIPS = {
    '@pytest.mark.skipif(True, reason="no GPU")': "no GPU",
    "@pytest.mark.skipif(\"sys.version_info > (3,) and FAST\", reason='here')": "here",
    '@pytest.mark.skipif("not FAST", reason="slow")': None,
    '@pytest.mark.xfail(run=False, reason="known")': "known",
    "@pytest.mark.xfail(strict=True)": None,
    "@pytest.mark.skip": "unconditional skip",
}


def test_the_ways_to_skip(project: pytest.Pytester, in_this_process: None, capsys: pytest.CaptureFixture[str]) -> None:
    marked = '{}\n@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.05)\ndef test_{}(): ...\n'
    tests = "\n".join(marked.format(mark, place) for place, mark in enumerate(SKIPS))
    (project.path / "test_town.py").write_text(f"import sys\n\nimport pytest\n\nFAST = True\n\n{tests}")
    code, content = promises(capsys, "--fail-on=skipped")
    assert code == 1
    assert [one["skipped"] for one in content["promises"]] == list(SKIPS.values())
    kept = [mark for mark, why in SKIPS.items() if why is None]
    (project.path / "test_town.py").write_text(
        "import pytest\n\nFAST = True\n\n" + "\n".join(marked.format(mark, place) for place, mark in enumerate(kept))
    )
    code, content = promises(capsys, "--fail-on=skipped")
    assert (code, len(content["promises"])) == (0, len(kept))


def test_a_file_that_skips_itself_is_skipped_and_not_dropped(
    stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.makepyfile(test_town="import pytest\npytest.skip('not today', allow_module_level=True)")
    code, content = promises(capsys, "--fail-on=dropped")
    assert code == 0
    assert all("not today" in one["skipped"] for one in content["gone"])
    assert promises(capsys, "--fail-on=skipped")[0] == 1


@pytest.mark.whole
def test_a_suite_that_cannot_be_collected_is_a_problem(
    stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.makepyfile(test_other="import nothing_of_that_name")
    code, content = promises(capsys)
    assert code == 1
    assert "could not collect all tests" in content["problems"][-1]
    suite(stored, mark='@pytest.mark.js_distance("town.jsonl", at_mots=1)')
    (stored.path / "test_other.py").unlink()
    code, content = promises(capsys)
    assert code == 1
    assert any("unknown keyword 'at_mots'" in problem for problem in content["problems"])


SEVERAL = """
    import pytest

    @pytest.mark.js_distance("town.jsonl", population="worst", max_increase={rise})
    def test_change(): ...

    @pytest.mark.js_distance("town.jsonl", population="worst", at_most={level})
    def test_level(): ...

    @pytest.mark.pareto_improvement("both.json", against="baseline", at_least={gain})
    def test_pareto(): ...
"""

CHANGE, LEVEL, PARETO = (
    "test_town.py::test_change js_distance town.jsonl worst",
    "test_town.py::test_level js_distance town.jsonl worst",
    "test_town.py::test_pareto pareto_improvement both.json",
)


def objectives(project: pytest.Pytester, *names: str) -> None:
    listed = [
        {"name": name, "measure": "js_distance", "dataset": "town.jsonl", "population": name.title()} for name in names
    ]
    (project.path / "both.json").write_text(json.dumps({"objectives": [*listed, ENTROPY]}), encoding="utf-8")


ENTROPY = {"name": "entropy", "measure": "answer_entropy", "dataset": "town.jsonl", "population": "North"}


def as_an_older_version_stored_it(project: pytest.Pytester) -> None:
    """Leave out what older versions did not store: the promise beside each part, and groups whose level is promised."""
    (file,) = (project.path / "pluralism-baselines").glob("*.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    assert {entry.pop("promise")["key"] for entry in content["entries"].values()} == {CHANGE, LEVEL, PARETO}
    content["entries"] = {key: entry for key, entry in content["entries"].items() if not key.startswith(LEVEL)}
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.whole
def test_promises_about_several_measurements_are_compared_and_what_an_old_baseline_cannot_tell_is_said(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    objectives(project, "north", "south")
    project.makepyfile(test_town=SEVERAL.format(rise=0.1, level=0.5, gain=-0.1))
    project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline").assert_outcomes(
        passed=3
    )
    code, content = promises(capsys, "--fail-on=loosened,dropped,skipped")
    rows = content["promises"]
    assert (code, content["gone"], [row["key"] for row in rows]) == (0, [], [CHANGE, LEVEL, PARETO])
    assert [(row["loosened"], row["not_compared"]) for row in rows] == [([], None)] * 3
    assert rows[0]["value"] == rows[1]["value"] > 0
    objectives(project, "north")
    project.makepyfile(test_town=SEVERAL.format(rise=0.9, level=0.99, gain=-0.9))
    code, content = promises(capsys, "--fail-on=loosened")
    assert (code, [row["loosened"] for row in content["promises"]]) == (
        1,
        [["max_increase was 0.1, is 0.9"], ["at_most was 0.5, is 0.99"], ["at_least was -0.1, is -0.9"]],
    )
    # One of several measurements that the promise was about is gone.
    assert [one["key"] for one in content["gone"]] == [f"{PARETO} / south"]
    project.makepyfile(test_town="def test_nothing(): ...")
    code, content = promises(capsys, "--fail-on=dropped")
    assert (code, {one["key"]: one["gate"] for one in content["gone"]}) == (
        1,
        {
            CHANGE: {"max_increase": 0.1, "confidence_level": 0.95},
            LEVEL: {"at_most": 0.5, "confidence_level": 0.95},
            PARETO: {"at_least": -0.1, "confidence_level": 0.95},
        },
    )
    as_an_older_version_stored_it(project)
    code, content = promises(capsys, "--fail-on=dropped")
    parts = [*(f"{PARETO} / {name}" for name in ("entropy", "north", "south"))]
    assert (code, [one["key"] for one in content["gone"]]) == (
        1,
        [f"{CHANGE} / North", f"{CHANGE} / South", *parts],
    )
    objectives(project, "north", "south")
    project.makepyfile(test_town=SEVERAL.format(rise=0.9, level=0.99, gain=-0.9))
    assert main(["promises", "--fail-on=loosened"]) == 1
    out = capsys.readouterr().out
    assert f"loosened: {CHANGE}: max_increase was 0.1, is 0.9" in out
    assert f"not compared: {LEVEL}: nothing is stored of it: it is new, or a level of the worst group" in out
    assert f"not compared: {PARETO}: an older version stored its result without the promise" in out


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--fail-on=lowered",), 2, "--fail-on must name loosened, dropped, skipped"),
        (("--since=no-such-tag",), 1, "git says of"),
        (("--since=--output=x",), 1, "git says of"),
        (("--results=nowhere",), 2, "there is no file or folder nowhere"),
        (("--results=empty",), 2, "empty holds no baselines. Store results there: pytest --pluralism-update-baseline"),
        (("no_such_file.py",), 1, "file or directory not found: no_such_file.py"),
    ],
)
def test_a_wrong_command(
    stored: pytest.Pytester, words: tuple[str, ...], code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (stored.path / "empty").mkdir()
    capsys.readouterr()
    assert main(["promises", *words]) == code
    assert why in capsys.readouterr().err


def test_only_what_was_asked_for_is_dropped(stored: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    stored.makepyfile(test_other="def test_nothing(): ...")
    assert promises(capsys, "test_other.py", "--fail-on=dropped")[0] == 0
    suite(stored)
    assert len(promises(capsys, "test_town.py", "--fail-on=dropped")[1]["promises"]) == 2


def test_the_command_imports_no_pytest() -> None:
    code = "import sys, pytest_pluralism.cli.promises; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        ({"at_most": 0.3}, {"at_most": 0.4}, []),
        ({"at_least": 0.3}, {"at_least": 0.4}, ["at_least was 0.4, is 0.3"]),
        ({"at_least": 0.5}, {"at_least": 0.4}, []),
        ({"at_most": 0.3}, {"at_most": 0.3, "max_increase": 0.02}, ["max_increase=0.02 is gone"]),
        ({"max_change": 0.03}, {"max_change": 0.02}, ["max_change was 0.02, is 0.03"]),
        ({"better_than": "shuffled"}, {"better_than": "uniform"}, ["better_than was 'uniform', is 'shuffled'"]),
        (
            {"max_increase": 0.02, "max_drift": 0.1},
            {"max_increase": 0.02},
            ["the margin against the anchor was 0.02, is 0.1"],
        ),
        ({"max_increase": 0.02}, {"max_increase": 0.02, "max_drift": 0.1}, []),
        # A bound both ways is the same promise as one each way.
        ({"max_change": 0.02}, {"max_increase": 0.02, "max_decrease": 0.02}, []),
        ({"max_increase": 0.02, "max_decrease": 0.02}, {"max_change": 0.02}, []),
        ({"max_change": 0.03}, {"max_increase": 0.02}, ["max_increase was 0.02, is max_change=0.03"]),
        (
            {"max_increase": 0.02, "max_decrease": 0.05},
            {"max_change": 0.02},
            ["max_change was 0.02, is max_decrease=0.05"],
        ),
        ({"max_increase": 0.02}, {"max_change": 0.02}, ["max_change=0.02 is gone, and nothing bounds a fall"]),
        ({"at_most": 0.3}, {"max_change": 0.02}, ["max_change=0.02 is gone"]),
        (
            {"max_change": 0.02, "max_drift": 0.05},
            {"max_increase": 0.05, "max_decrease": 0.02},
            ["the margin against the anchor was 0.02, is 0.05"],
        ),
        (
            {"at_most": 0.3, "confidence_level": None},
            {"at_most": 0.3, "confidence_level": 0.95},
            ["confidence_level was 0.95, is None"],
        ),
        (
            {"at_most": 0.3, "confidence_level": 0.8},
            {"at_most": 0.3, "confidence_level": 0.95},
            ["confidence_level was 0.95, is 0.8"],
        ),
        ({"at_most": 0.3, "confidence_level": 0.99}, {"at_most": 0.3, "confidence_level": 0.95}, []),
    ],
)
def test_loosened(now: dict[str, Any], then: dict[str, Any], words: list[str]) -> None:
    assert loosened(now, then) == words
