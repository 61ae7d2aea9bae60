"""Faults around a run: it is killed, its disk is full, its cache cannot be used. No answer is lost or wrong.

The store by itself is tested in tests/models/answers/test_answers.py; here are whole runs of pytest.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="all", at_most=0.99)
def test_all(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, seed=1)
def test_other_seed(): ...
"""

#: The table model answers in batches, as a network does: each takes a while and is passed on when it is done.
IN_BATCHES = """

BATCH, PAUSE = 6, 0.02

_answer = TableModel.answer

def _in_batches(self, prompts, *, progress=None, receive=None):
    import pathlib, time
    log = pathlib.Path(__file__).parent / "batches"
    result = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        time.sleep(PAUSE)
        answers = _answer(self, batch)
        if receive is not None:
            receive(list(zip(batch, answers)))
        result += answers
        with log.open("a") as file:
            file.write(f"{len(batch)}\\n")
    return result

TableModel.answer = _in_batches
"""

#: How many distinct prompts the two tests ask.
N_PROMPTS = 132


@pytest.fixture
def batched(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PLURALISM_ANSWERS")
    monkeypatch.setenv("PLURALISM_CACHE", str(project.path / "cache"))
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + IN_BATCHES)
    project.makepyfile(test_town=BODY)
    return project


def command(*options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "-q", "--pluralism-model=table:plain", "--pluralism-report=out.json"),
        *options,
    ]


def finished(project: pytest.Pytester, *options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*options), check=False, cwd=project.path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def finished_here(project: pytest.Pytester, *options: str) -> None:
    """Run in this process, where nothing is wrong yet."""
    assert project.runpytest_inprocess(*command(*options)[3:]).ret == pytest.ExitCode.OK


def report(project: pytest.Pytester) -> tuple[Any, dict[str, int]]:
    """Return the verdicts of the last run, and how many answers it computed and found.

    The command that repeats a verdict is left out: the runs have different options.
    """
    content = json.loads((project.path / "out.json").read_text())
    verdicts = [{name: one for name, one in verdict.items() if name != "repeat"} for verdict in content["verdicts"]]
    return verdicts, content["run"]["answers"]


def done_batches(project: pytest.Pytester) -> int:
    log = project.path / "batches"
    return sum(map(int, log.read_text().split())) if log.exists() else 0


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_gives_the_report_of_one_that_is_not(batched: pytest.Pytester) -> None:
    finished(batched, "--pluralism-answers=whole")
    expected, counts = report(batched)
    assert counts == {"computed": N_PROMPTS, "from_store": 0}
    (batched.path / "out.json").unlink()
    (batched.path / "batches").unlink()
    # Slow enough to be met in a batch, and small enough to leave work for twenty runs.
    conftest = batched.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("BATCH, PAUSE = 6, 0.02", "BATCH, PAUSE = 2, 0.1"))
    rng = random.Random(7)
    in_a_batch = 0
    for _ in range(20):
        before = done_batches(batched)
        with subprocess.Popen(
            command("--pluralism-answers=killed"), cwd=batched.path, stdout=subprocess.DEVNULL, start_new_session=True
        ) as run:
            deadline = time.monotonic() + 60
            # From the first finished batch of this run on, any moment of the next two.
            while done_batches(batched) == before and run.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.25))
            in_a_batch += run.poll() is None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert not (batched.path / "out.json").exists()
    assert in_a_batch == 20
    kept = done_batches(batched)
    assert 20 <= kept < N_PROMPTS
    finished(batched, "--pluralism-answers=killed")
    verdicts, counts = report(batched)
    assert verdicts == expected
    assert sum(counts.values()) == N_PROMPTS
    # Each kill lost at most the batch in flight: whatever was passed on is there.
    assert counts["from_store"] >= kept
    with contextlib.closing(sqlite3.connect(batched.path / "killed" / "answers.sqlite3")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def in_a_namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount things which nobody else sees, and which are gone when it ends."""
    start = [shutil.which("unshare") or "unshare", "--map-root-user", "--mount", "sh", "-e", "-c"]
    try:
        mount = f"mount -t tmpfs -o size=1m none '{folder}'"
        tried = subprocess.run([*start, mount], check=False, capture_output=True).returncode == 0
    except OSError:
        tried = False
    if not tried:
        pytest.skip("this machine does not let these tests mount a file system")
    return subprocess.run([*start, script], check=False, cwd=folder.parent, capture_output=True, text=True, timeout=120)


def quoted(*options: str) -> str:
    return " ".join(f"'{word}'" for word in command(*options))


@pytest.mark.whole
def test_a_run_whose_disk_fills_up_goes_on(batched: pytest.Pytester) -> None:
    finished_here(batched, "--pluralism-answers=off")
    expected, _ = report(batched)
    disk = batched.path / "disk"
    disk.mkdir()
    # Room for the empty store and its first batches only.
    ballast = f"dd if=/dev/zero of='{disk}/ballast' bs=4096 count=230 status=none"
    done = in_a_namespace(
        f"mount -t tmpfs -o size=1m none '{disk}'; {ballast}; {quoted(f'--pluralism-answers={disk}')}", disk
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers are not kept: " in done.stdout
    verdicts, counts = report(batched)
    assert verdicts == expected
    assert counts == {"computed": N_PROMPTS, "from_store": 0}


@pytest.mark.whole
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_a_run_with_a_cache_that_cannot_be_written_goes_on(batched: pytest.Pytester, filled: bool) -> None:
    cache = batched.path / "cache"
    cache.mkdir()
    finished_here(batched, *(() if filled else ("--pluralism-answers=off",)))
    expected, _ = report(batched)
    done = in_a_namespace(f"mount --bind '{cache}' '{cache}'; mount -o remount,bind,ro '{cache}'; {quoted()}", cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Read-only file system" in done.stdout
    verdicts, counts = report(batched)
    assert verdicts == expected
    assert counts["from_store" if filled else "computed"] == N_PROMPTS


@pytest.mark.whole
def test_a_store_of_a_newer_version_is_left_alone(batched: pytest.Pytester) -> None:
    finished_here(batched)
    expected, _ = report(batched)
    path = batched.path / "cache" / "answers" / "answers.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version=99")
        store.commit()
    before = path.read_bytes()
    done = finished(batched)
    assert "answers are not kept: " in done.stdout
    assert "newer version 99" in done.stdout
    verdicts, counts = report(batched)
    assert verdicts == expected
    assert counts == {"computed": N_PROMPTS, "from_store": 0}
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_store_that_another_process_has_locked_costs_time_and_no_answers(batched: pytest.Pytester) -> None:
    finished(batched)
    expected, _ = report(batched)
    path = batched.path / "cache" / "answers" / "answers.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        done = finished(batched)
        other.execute("ROLLBACK")
    assert "locked by another process" in done.stdout
    verdicts, counts = report(batched)
    assert verdicts == expected
    assert counts["computed"] + counts["from_store"] == N_PROMPTS
    # The lock is gone, and so is the trouble.
    assert "locked" not in finished(batched).stdout
