"""Workers and runs that die: each promise is judged or an error, nothing waits, and no report calls itself complete."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

#: A suite in which one test ends its process, in the way that the variable DIE names.
BODY = """
import os, pathlib, signal, time
import pytest

def die():
    how = os.environ["DIE"]
    if how == "once" and pathlib.Path("died").exists():
        return
    pathlib.Path("died").touch()
    if how == "wait":
        time.sleep(120)
    os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(0)

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_before(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.9)
def test_dies(language_model):
    if language_model.identity.name == "two":
        die()

@pytest.mark.skipif(True, reason="not here")
@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.9)
def test_skipped(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.0001)
def test_after(): ...
"""

MODELS = ("--pluralism-model=table:one", "--pluralism-model=table:two")


@pytest.fixture
def dying(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("DIE", "exit")
    # These tests may be those of a worker themselves.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project.makepyfile(test_gate=BODY)
    # The report of an earlier run, which said that all was well.
    (project.path / "out.json").write_text('{"run": {"complete": true}, "verdicts": []}', encoding="utf-8")
    return project


def run(project: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = project.runpytest_subprocess(*MODELS, "--pluralism-report=out.json", *options, timeout=200)
    return result, json.loads((project.path / "out.json").read_text())


def run_here(project: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    """Run in this process, where nothing dies."""
    result = project.runpytest_inprocess(*MODELS, "--pluralism-report=out.json", *options)
    return result, json.loads((project.path / "out.json").read_text())


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {entry["nodeid"].partition("::test_")[2]: entry["outcome"] for entry in report["verdicts"]}


JUDGED = {"before[table:one]": "passed", "dies[table:one]": "passed", "after[table:one]": "failed"}


@pytest.mark.parametrize(
    ("how", "options"),
    [
        pytest.param("exit", ("-n", "1"), marks=pytest.mark.whole),
        pytest.param("kill", ("-n", "2", "--dist", "loadfile"), marks=pytest.mark.slow),
        pytest.param("exit", ("-n", "3", "--dist", "loadgroup"), marks=pytest.mark.slow),
        pytest.param("exit", ("-n", "2", "--dist", "worksteal"), marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_dies_costs_one_test(
    dying: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DIE", how)
    update = ("--pluralism-baseline=base", "--pluralism-update-baseline")
    result, report = run(dying, *options, *update)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    died = {"before[table:two]": "passed", "dies[table:two]": "error", "after[table:two]": "failed"}
    assert outcomes(report) == JUDGED | died
    assert report["run"]["complete"] is False
    (error,) = (entry for entry in report["verdicts"] if entry["outcome"] == "error")
    assert "died while it ran this test" in error["reason"]
    # Under the name of the model, not of its spec.
    assert error["model"]["name"] == "two"
    result.stdout.fnmatch_lines(["* ERROR *js_distance town.jsonl South*"])
    # The verdicts that were reached are stored.
    stored = json.loads((dying.path / "base" / "two.json").read_text())
    assert [key.split()[0] for key in stored["entries"]] == ["test_gate.py::test_after", "test_gate.py::test_before"]


@pytest.mark.whole
def test_promises_that_no_worker_is_left_for_are_errors(dying: pytest.Pytester) -> None:
    result, report = run(dying, "-n", "1", "--max-worker-restart", "0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report) == JUDGED | {
        "before[table:two]": "passed",
        "dies[table:two]": "error",
        "after[table:two]": "error",
    }
    assert report["run"]["complete"] is False


@pytest.mark.whole
def test_workers_that_die_while_they_collect_leave_no_green_run(dying: pytest.Pytester) -> None:
    # pytest-xdist ends with 0 when one worker has collected and the others died.
    conftest = dying.path / "conftest.py"
    die = "import os\nif os.environ.get('PYTEST_XDIST_WORKER', 'gw0') != 'gw0':\n    os._exit(0)\n"
    conftest.write_text(die + conftest.read_text())
    result, report = run(dying, "-n", "2", "--max-worker-restart", "1")
    assert result.ret != pytest.ExitCode.OK
    assert set(outcomes(report).values()) == {"error"}
    assert len(report["verdicts"]) == 6
    result.stdout.fnmatch_lines(["* ERROR *js_distance town.jsonl South*"])


@pytest.mark.slow
def test_a_test_that_runs_again_after_its_worker_died_is_judged(
    dying: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIE", "once")
    _, report = run(dying, "-n", "2", "--reruns", "1", "-p", "rerunfailures")
    two = {"before[table:two]": "passed", "dies[table:two]": "passed", "after[table:two]": "failed"}
    assert outcomes(report) == JUDGED | two
    assert report["run"]["complete"] is True


@pytest.mark.whole
def test_tests_without_a_model_go_on_after_a_worker_died(project: pytest.Pytester) -> None:
    # Of pytest-xdist itself the new worker would get one of them, and wait for the next for ever.
    project.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(5))
        def test_plain(number):
            if number == 1:
                os._exit(1)
        """
    )
    result = project.runpytest_subprocess("--pluralism-model=table:one", "-n", "1", timeout=100)
    result.assert_outcomes(passed=4, failed=1)


# ------------------------------------------------------------------------------------------------ without workers


@pytest.mark.whole
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_run_that_dies_leaves_a_report_of_what_it_judged(
    dying: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # So the thread method of pytest-timeout ends a run, and a system that is out of memory.
    monkeypatch.setenv("DIE", how)
    result, report = run(dying)
    # Also with os._exit(0), which asks for success.
    assert result.ret != pytest.ExitCode.OK
    assert report["run"]["complete"] is False
    assert outcomes(report) == JUDGED | {
        "before[table:two]": "passed",
        "dies[table:two]": "error",
        "after[table:two]": "error",
    }
    (reason,) = {entry["reason"] for entry in report["verdicts"] if entry["outcome"] == "error"}
    assert reason == "not judged: the run ended before this test did"


@pytest.mark.whole
@pytest.mark.parametrize("place", ["test_first.py", "test_gate.py"])
def test_no_part_of_a_suite_ends_the_run_with_success(dying: pytest.Pytester, place: str) -> None:
    # While tests are collected, and in a test whose neighbors have failed; 256 is 0 to a system.
    body = "import os\nos._exit(256)\n" if place == "test_first.py" else BODY.replace("os._exit(0)", "os._exit(256)")
    (dying.path / place).write_text(body)
    result = dying.runpytest_subprocess(*MODELS, timeout=100)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stderr.fnmatch_lines(["pluralism: os._exit ended the run before all promises were judged*"])


@pytest.mark.whole
@pytest.mark.parametrize("place", ["test_first.py", "test_gate.py"])
def test_no_part_of_a_suite_becomes_another_program(dying: pytest.Pytester, place: str) -> None:
    # True ends with 0, as a run in which all is well does.
    gone = "os.execlp('true', 'true')"
    first = f"import os\n{gone}\ndef test_plain(): ...\n"
    (dying.path / place).write_text(first if place == "test_first.py" else BODY.replace("os._exit(0)", gone))
    result, report = run(dying)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.fnmatch_lines(["*RuntimeError: os.execv* would end this run before all promises are judged*"])
    assert "passed" not in {entry["outcome"] for entry in report["verdicts"] if "dies[table:two]" in entry["nodeid"]}


@pytest.mark.whole
def test_the_step_that_reads_a_report_finds_a_run_that_nothing_else_saw_end(dying: pytest.Pytester) -> None:
    # As the page on threats has it.
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "threats.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python -c '(.+)'$", page, re.MULTILINE)
    step = [sys.executable, "-c", command]
    dying.makepyfile(test_gate=BODY.replace("os._exit(0)", "__import__('ctypes').CDLL(None)._exit(0)"))
    result, _ = run(dying)
    assert result.ret == pytest.ExitCode.OK
    assert subprocess.run(step, cwd=dying.path, check=False).returncode == 1
    dying.makepyfile(test_gate=BODY.replace("die()\n\n@", "pass\n\n@"))
    run(dying)
    assert subprocess.run(step, cwd=dying.path, check=False).returncode == 0
    (dying.path / "out.json").unlink()
    assert subprocess.run(step, cwd=dying.path, check=False, capture_output=True).returncode == 1


@pytest.mark.whole
def test_a_process_that_a_test_forks_becomes_what_it_likes(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
        def test_forks():
            if (child := os.fork()) == 0:
                os.execlp("true", "true")
            assert os.waitpid(child, 0)[1] == 0
        """
    )
    result = project.runpytest_subprocess(MODELS[0], timeout=100)
    result.assert_outcomes(passed=1)


@pytest.mark.whole
def test_a_run_that_is_stopped_as_a_success_is_none_after_a_failure(dying: pytest.Pytester) -> None:
    stop = "\n\ndef test_last():\n    pytest.exit('enough', returncode=0)\n"
    dying.makepyfile(test_gate=BODY.replace("die()\n\n@", "pass\n\n@") + stop)
    result, report = run_here(dying)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(outcomes(report).values()) == {"passed", "failed"}


@pytest.mark.whole
def test_processes_of_a_suite_end_as_they_like(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import multiprocessing, os
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
        def test_forks():
            if (child := os.fork()) == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            started = multiprocessing.get_context("fork").Process(target=int)
            started.start()
            started.join()
            assert started.exitcode == 0
        """
    )
    result = project.runpytest_subprocess(MODELS[0], timeout=100)
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "workers",
    [pytest.param((), marks=pytest.mark.whole), pytest.param(("-n", "1"), marks=pytest.mark.slow)],
)
def test_a_run_that_is_told_to_end_writes_what_it_judged(
    dying: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DIE", "wait")
    command = [sys.executable, "-m", "pytest", *MODELS, "--pluralism-report=out.json", "--pluralism-report=out.md"]
    update = ["--pluralism-baseline=base", "--pluralism-update-baseline"]
    started = subprocess.Popen([*command, *update, *workers], cwd=dying.path, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (dying.path / "died").exists() and time.monotonic() < deadline and started.poll() is None:
        time.sleep(0.05)
    # A worker's report of the test before may still be under way.
    time.sleep(2.0 if workers else 0.0)
    started.send_signal(signal.SIGTERM)
    output, _ = started.communicate(timeout=100)
    assert started.returncode == pytest.ExitCode.INTERRUPTED, output
    report = json.loads((dying.path / "out.json").read_text())
    assert report["run"]["complete"] is False
    assert outcomes(report)["before[table:two]"] == "passed"
    assert outcomes(report)["dies[table:two]"] == outcomes(report)["after[table:two]"] == "error"
    assert "verdicts are missing" in (dying.path / "out.md").read_text()
    assert not (dying.path / "base" / "two.json").exists()


@pytest.mark.whole
def test_a_process_that_a_test_forks_is_ended_at_once(dying: pytest.Pytester) -> None:
    dying.makepyfile(
        test_gate="""
        import os, signal, time
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
        def test_forks():
            child = os.fork()
            if child == 0:
                time.sleep(60)
            time.sleep(0.2)
            os.kill(child, signal.SIGTERM)
            assert os.waitpid(child, 0)[1] == signal.SIGTERM
        """
    )
    result, report = run(dying)
    result.assert_outcomes(passed=2)
    assert report["run"]["complete"] is True


@pytest.mark.whole
def test_setting_fixtures_up_alone_judges_nothing_and_writes_nothing(dying: pytest.Pytester) -> None:
    before = (dying.path / "out.json").read_text()
    result, _ = run_here(dying, "--setup-only")
    assert result.ret == pytest.ExitCode.OK
    assert (dying.path / "out.json").read_text() == before


@pytest.mark.whole
def test_a_plugin_that_keeps_a_promise_from_being_judged_is_no_pass(dying: pytest.Pytester) -> None:
    conftest = dying.path / "conftest.py"
    hides = """

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if "after" in item.name else None
"""
    conftest.write_text(conftest.read_text() + hides)
    dying.makepyfile(test_gate=BODY.replace("die()\n\n@", "pass\n\n@"))
    result, report = run_here(dying)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(report)["after[table:one]"] == "error"
    assert report["run"]["complete"] is False


@pytest.mark.parametrize("stop", ["-x", "--maxfail=1"])
def test_somebody_who_stops_a_run_is_told_how_much_was_not_judged(dying: pytest.Pytester, stop: str) -> None:
    dying.makepyfile(test_gate=BODY.replace("at_most=0.9)\ndef test_before", "at_most=0.0001)\ndef test_before"))
    result, report = run_here(dying, stop)
    assert report["run"]["complete"] is False
    assert outcomes(report) == {"before[table:one]": "failed"}
    result.stdout.fnmatch_lines(["5 promises were not judged: the run was stopped before"])


@pytest.mark.whole
def test_a_plugin_that_raises_at_the_end_costs_neither_report_nor_baseline(dying: pytest.Pytester) -> None:
    conftest = dying.path / "conftest.py"
    conftest.write_text(
        conftest.read_text() + "\ndef pytest_sessionfinish():\n    raise RuntimeError('upload failed')\n"
    )
    dying.makepyfile(test_gate=BODY.replace("die()\n\n@", "pass\n\n@"))
    result, report = run_here(dying, "--pluralism-baseline=base", "--pluralism-update-baseline")
    assert result.ret != pytest.ExitCode.OK
    assert report["run"]["complete"] is True
    assert len(report["verdicts"]) == 6
    assert (dying.path / "base" / "two.json").exists()


@pytest.mark.whole
def test_a_run_that_never_began_leaves_its_process_as_it_was(dying: pytest.Pytester) -> None:
    conftest = dying.path / "conftest.py"
    conftest.write_text(conftest.read_text() + "\ndef pytest_sessionstart():\n    raise RuntimeError('no license')\n")
    code = (
        "import os, pytest\n"
        "ends, becomes = os._exit, os.execv\n"
        "assert pytest.main(['--pluralism-model=table:one', '-p', 'no:randomly']) == pytest.ExitCode.INTERNAL_ERROR\n"
        "assert (os._exit, os.execv) == (ends, becomes)\n"
    )
    assert dying.run(sys.executable, "-c", code, timeout=100).ret == 0
