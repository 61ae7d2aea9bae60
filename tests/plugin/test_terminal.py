"""A real terminal, and a real Ctrl-C in the middle of a model's work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_quick(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, seed=7)
def test_slow(): ...
"""


@pytest.fixture
def slow_project(project: pytest.Pytester) -> pytest.Pytester:
    """A project whose model takes its time when it is asked a second time."""
    conftest = project.path / "conftest.py"
    text = conftest.read_text().replace(
        "        self.asked += len(prompts)\n",
        "        if self.asked:\n"
        "            if progress is not None:\n"
        "                progress(1, len(prompts))\n"
        "            import pathlib, time\n"
        "            if not pathlib.Path('working').exists():\n"
        "                pathlib.Path('working').touch()\n"
        "                time.sleep(WAIT)\n"
        "        self.asked += len(prompts)\n",
    )
    conftest.write_text(text.replace("class TableModel", "WAIT = 2.0\n\n\nclass TableModel"))
    project.makepyfile(test_town=BODY)
    return project


# `-x` asks for one test after the other.
ARGUMENTS = ("-x", "--pluralism-model=table:plain", "--pluralism-report=out.json")


@pytest.mark.whole
def test_a_log_has_a_line_on_progress_a_minute(slow_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # A minute of the test takes a second.
    monkeypatch.setattr("pytest_pluralism.run.models.LOG_SECONDS", 1.0)
    conftest = slow_project.path / "conftest.py"
    asleep = "            time.sleep(WAIT)\n"
    again = asleep + "            if progress is not None:\n                progress(2, len(prompts))\n"
    conftest.write_text(conftest.read_text().replace(asleep, again))
    logged = slow_project.runpytest_inprocess(*ARGUMENTS)
    logged.assert_outcomes(passed=2)
    logged.stdout.fnmatch_lines_random(["pluralism: asking plain: 2 of 72 after 0 min"])
    assert logged.stdout.str().count("pluralism: asking plain") == 1


@pytest.mark.whole
def test_a_terminal_shows_progress_and_a_pipe_does_not(slow_project: pytest.Pytester) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "pytest", *ARGUMENTS],
        cwd=str(slow_project.path),
        timeout=60,
        dimensions=(40, 120),
        encoding="utf-8",
        # A worker with more than 1,024 open files cannot use select.
        use_poll=True,
    )
    child.expect("asking plain")
    child.expect(r"1/72")
    child.expect("2 passed")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    (slow_project.path / "working").unlink()
    piped = slow_project.runpytest_inprocess(*ARGUMENTS)
    piped.assert_outcomes(passed=2)
    assert "asking plain" not in piped.stdout.str()


def heed_ctrl_c() -> None:
    # A shell makes what it starts in the background, this test with it, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.whole
def test_ctrl_c_while_a_model_works_leaves_whole_files(slow_project: pytest.Pytester) -> None:
    conftest = slow_project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("WAIT = 2.0", "WAIT = 60.0"))
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *ARGUMENTS, "--pluralism-baseline=base.json", "--pluralism-update-baseline"],
        cwd=slow_project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    working = slow_project.path / "working"
    deadline = time.monotonic() + 60
    while not working.exists() and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    report = json.loads((slow_project.path / "out.json").read_text())
    assert "stopped; kept: 1 verdict in each report, marked incomplete; no baseline was written" in output
    assert report["run"]["complete"] is False
    assert [entry["nodeid"] for entry in report["verdicts"]] == ["test_town.py::test_quick[table:plain]"]
    assert not (slow_project.path / "base.json").exists()
    assert not [path for path in Path(slow_project.path).iterdir() if path.suffix == ".tmp"]
