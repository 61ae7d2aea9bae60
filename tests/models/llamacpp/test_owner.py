"""With pytest-xdist one worker owns the server of llama.cpp; it stops with that worker, however the worker ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

#: A run of its own with two workers takes some seconds.
pytestmark = pytest.mark.slow

SUITE = """
import os, pathlib, signal
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=1.0)
def test_north(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=1.0)
def test_south(): ...

@pytest.mark.parametrize("number", range(3))
def test_plain(number): ...
"""

#: While the owner works, its server answers; the test ends its worker once, and the next owner passes it.
WATCHES = """
def test_watches(language_model):
    import httpx

    process, address = pathlib.Path("servers.txt").read_text().splitlines()[-1].split()
    assert int(process) == os.getpid()
    assert httpx.get(f"{address}/health", trust_env=False).status_code == 200
    pathlib.Path("watched.txt").write_text(process)
"""

DIES = """
def test_dies(language_model):
    assert language_model.identity
    if not pathlib.Path("died").exists():
        pathlib.Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""

#: Each server that starts leaves its process and its address, and each worker its process.
LOGGED = """
import os
import xllamacpp

_Server = xllamacpp.Server

def _start(wanted):
    server = _Server(wanted)
    with open("servers.txt", "a") as file:
        file.write(f"{os.getpid()} {server.listening_address}\\n")
    return server

xllamacpp.Server = _start

def pytest_runtest_call(item):
    with open("workers.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    rows = []
    for number in range(6):
        people = [
            {"population": name, "probabilities": [0.6, 0.4], "n_respondents": 500} for name in ("North", "South")
        ]
        question = {"question_id": f"q{number}", "question": f"Thing {number}?", "options": ["Yes", "No"]}
        rows.append(question | {"distributions": people})
    (pytester.path / "town.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pytester.makeconftest(LOGGED)
    (pytester.path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(pytester.path / "temporary"))
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def run(suite: pytest.Pytester, path: Path, *options: str) -> tuple[pytest.RunResult, list[tuple[int, str]]]:
    """Return how a run with two workers ended, and the process and the address of each server."""
    model = (f"--pluralism-model=llamacpp:{path}", "--pluralism-answers=off")
    # A random network hardly answers by a letter; the server is what is tested.
    accepted = "--pluralism-suppress-health-check=low_option_mass"
    result = suite.runpytest_subprocess(*model, accepted, "-n", "2", *options)
    lines = (suite.path / "servers.txt").read_text().splitlines()
    return result, [(int(line.split()[0]), line.split()[1]) for line in lines]


def workers(suite: pytest.Pytester) -> set[str]:
    return set((suite.path / "workers.txt").read_text().split())


def assert_nothing_is_left(servers: list[tuple[int, str]]) -> None:
    for process, address in servers:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        place = urlsplit(address)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((place.hostname, place.port), timeout=5).close()


def test_two_workers_have_one_server_which_stops_with_its_owner(suite: pytest.Pytester, tiny_file) -> None:
    suite.makepyfile(test_a=SUITE + WATCHES, test_b=SUITE)
    result, servers = run(suite, tiny_file(context=2048))
    result.assert_outcomes(passed=11)
    assert len(servers) == 1
    assert len(workers(suite)) == 2
    assert (suite.path / "watched.txt").read_text() == str(servers[0][0])
    assert_nothing_is_left(servers)
    # The states of beginnings lie in a folder that the owner removes.
    assert list((suite.path / "temporary").glob("pluralism-*")) == []


def test_a_server_whose_owner_is_killed_is_replaced_and_nothing_is_left(suite: pytest.Pytester, tiny_file) -> None:
    suite.makepyfile(test_a=SUITE + DIES, test_b=SUITE + WATCHES)
    result, servers = run(suite, tiny_file(context=2048))
    # The test that killed its worker is an error; all others are judged by the next owner.
    result.assert_outcomes(passed=11, failed=1)
    assert len({process for process, _ in servers}) == len(servers) == 2
    assert_nothing_is_left(servers)


#: One server, started as a process of its own, which every worker of a run is told of.
SERVES = """
import sys, time, xllamacpp

wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.model_alias = sys.argv[1], {"tiny"}
wanted.port, wanted.n_ctx, wanted.n_parallel, wanted.cpuparams.n_threads, wanted.verbosity = 0, 2048, 1, 1, -1
server = xllamacpp.Server(wanted)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def test_with_dist_each_every_worker_asks_the_same_server_and_judges_alike(suite: pytest.Pytester, tiny_file) -> None:
    suite.makepyfile(test_a=SUITE)
    command = [sys.executable, "-c", SERVES, str(tiny_file(context=2048))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().strip()
        options = ("-n", "2", "--dist", "each", "--pluralism-answers=off", "--pluralism-report=r.json")
        accepted = "--pluralism-suppress-health-check=low_option_mass"
        model = f"--pluralism-model=endpoint:{address}#tiny"
        result = suite.runpytest_subprocess(model, accepted, *options)
        place = urlsplit(address)
        # The server is not the run's own, and goes on.
        socket.create_connection((place.hostname, place.port), timeout=5).close()
        server.stdin.close()
    # Two promises and three other tests, in each of two workers.
    result.assert_outcomes(passed=10)
    assert len(workers(suite)) == 2
    assert not (suite.path / "servers.txt").exists()
    verdicts = json.loads((suite.path / "r.json").read_text())["verdicts"]
    assert {one["outcome"] for one in verdicts} == {"passed"}
    assert len({one["estimate"]["value"] for one in verdicts if "north" in one["nodeid"]}) == 1


def test_with_dist_each_every_worker_has_a_server_of_its_own_which_stops_with_it(
    suite: pytest.Pytester, tiny_file
) -> None:
    suite.makepyfile(test_a=SUITE)
    result, servers = run(suite, tiny_file(context=2048), "--dist", "each")
    result.assert_outcomes(passed=10)
    assert len({process for process, _ in servers}) == len(servers) == 2
    assert_nothing_is_left(servers)
