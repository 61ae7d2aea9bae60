"""With pytest-xdist each model has one owner, whatever the number of workers and the way to distribute."""

from __future__ import annotations

import json

import pytest

from pytest_pluralism.run.workers import group_of

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_north(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.9)
@pytest.mark.xdist_group("south")
def test_south(): ...

@pytest.mark.parametrize("number", range(3))
def test_plain(number): ...
"""

#: Each process that loads a model leaves a file.
LOGGED = """

_loads = TableModel.__init__

def _load(self, spec):
    import os, pathlib
    _loads(self, spec)
    with open(pathlib.Path(__file__).parent / f"loaded-{self.identity.name}-{os.getpid()}", "a") as file:
        file.write("x")

TableModel.__init__ = _load
"""


@pytest.fixture
def spread(project: pytest.Pytester) -> pytest.Pytester:
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + LOGGED)
    project.makepyfile(test_a=BODY, test_b=BODY, test_c=BODY)
    return project


def loads(project: pytest.Pytester) -> list[str]:
    found = [(path.name.split("-")[1], path.read_text()) for path in project.path.glob("loaded-*")]
    assert all(times == "x" for _, times in found)
    return sorted(name for name, _ in found)


SLOW_MODES = ("load", "worksteal", "loadscope", "loadgroup")


@pytest.mark.parametrize(
    "mode",
    [
        *(pytest.param(mode, marks=pytest.mark.whole) for mode in ("default", "loadfile")),
        *(pytest.param(mode, marks=pytest.mark.slow) for mode in SLOW_MODES),
    ],
)
def test_each_model_is_loaded_by_one_worker(spread: pytest.Pytester, mode: str) -> None:
    options = () if mode == "default" else ("--dist", mode)
    models = ("--pluralism-model=table:one", "--pluralism-model=table:two")
    result = spread.runpytest_inprocess(*models, "-n", "2", "--pluralism-report=out.json", *options)
    result.assert_outcomes(passed=21)
    assert loads(spread) == ["one", "two"]
    report = json.loads((spread.path / "out.json").read_text())
    assert len(report["verdicts"]) == 12
    assert report["run"]["answers"] == {"computed": 144, "from_store": 0}


@pytest.mark.whole
def test_the_owner_asks_for_all_its_tests_at_once(spread: pytest.Pytester) -> None:
    spread.makepyfile(test_a=BODY.replace('"North", at', '"North", seed=5, at'))
    result = spread.runpytest_inprocess("--pluralism-model=table:one", "-n", "2", "-rP")
    result.assert_outcomes(passed=15)
    # Captured output of whichever test came first.
    assert result.stdout.str().count("ASKED") == 1


@pytest.mark.whole
def test_every_worker_has_its_own_where_that_is_what_was_asked_for(spread: pytest.Pytester) -> None:
    spread.runpytest_inprocess("--pluralism-model=table:one", "-n", "2", "--dist", "each").assert_outcomes(passed=30)
    assert loads(spread) == ["one", "one"]


@pytest.mark.whole
def test_a_scheduler_of_the_project_is_left_alone(spread: pytest.Pytester) -> None:
    conftest = spread.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """

def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScheduling

    class Own(LoadScheduling):
        def schedule(self):
            print("OWN SCHEDULER")
            return super().schedule()

    return Own(config, log)
"""
    )
    result = spread.runpytest_inprocess("--pluralism-model=table:one", "-n", "2", "-s")
    result.assert_outcomes(passed=15)
    assert "OWN SCHEDULER" in result.stdout.str()


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("test_a.py::test_it[a-b]", "a-b"),
        ("test_a.py::test_it[a]", "a"),
        ("test_a.py::test_it[x-a-y]", "a"),
        ("test_a.py::test_it[ORG/NAME-1]", "ORG/NAME"),
        ("test_a.py::test_it[ab]", None),
        ("test_a.py::test_a", None),
        ("test_a.py::test_it[a]@group", "a"),
    ],
)
def test_the_model_of_a_node_id(nodeid: str, group: str | None) -> None:
    assert group_of(nodeid, ["a", "a-b", "ORG/NAME"]) == group
