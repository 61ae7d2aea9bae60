"""The markers of a run: those of the package, and those of measures that plugins and ``conftest.py`` files bring."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.evaluation.measures.registry import MEASURES, PLANNERS, Planners

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import Planner

__all__ = [
    "MarkerLines",
    "marked_conftest",
    "marks_of",
    "misspelt_marks",
    "planners_of",
    "uncollected",
    "uncollected_class",
    "yielding",
]

HOOK = "pytest_pluralism_measures"

#: The markers of pytest itself, whose names no measure can have.
TAKEN = ("filterwarnings", "parametrize", "skip", "skipif", "tryfirst", "trylast", "usefixtures", "xfail")

#: A marker that is so near to one of a measure is a misspelt one.
MOST_EDITS = 2

#: The attributes that a planner must have, with their types.
PLANNED: Mapping[str, type] = MappingProxyType({"MEASURE": Measure, "KEYWORDS": tuple, "DATASET": str, "EXAMPLE": str})


#: The planners that hooks bring, by the name of the plugin; a ``conftest.py`` is one.
BROUGHT = pytest.StashKey[dict[str, Sequence["Planner"]]]()


class MarkerLines:
    """Register the marker of every measure with pytest: ours at once, others when their plugin is registered.

    Parameters
    ----------
    config : pytest.Config
        The configuration of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        config.stash[BROUGHT] = {}
        for name in PLANNERS:
            # An entry stands in a module that imports numpy, and is read where somebody wants to see it.
            self._add(_line(MEASURES[name]) if config.option.markers else f"{name}(dataset, ...)")

    @pytest.hookimpl
    def pytest_plugin_registered(self, plugin: object) -> None:
        """Register the markers of a plugin; a ``conftest.py`` is registered before the tests beside it are read."""
        for found in getattr(self._config.hook, HOOK).get_hookimpls():
            if found.plugin is plugin:
                planners = _checked(found.function(), found.plugin_name)
                self._config.stash[BROUGHT][found.plugin_name] = planners
                for planner in planners:
                    self._add(_line(planner.MEASURE))

    def _add(self, line: str) -> None:
        self._config.addinivalue_line("markers", line)


def planners_of(node: pytest.Item | pytest.Collector) -> Planners:
    """Return the planners that hold for a test: ours, and those of the plugins and of the ``conftest.py`` files above.

    Raises
    ------
    pytest.UsageError
        Two of them plan the same measure in different ways.
    """
    known = node.config.stash[BROUGHT]
    brought: dict[str, Planner] = {}
    for found in getattr(node.ihook, HOOK).get_hookimpls() if known else ():
        for planner in known[found.plugin_name]:
            name = planner.MEASURE.name
            if brought.setdefault(name, planner) is not planner:
                raise pytest.UsageError(
                    f"two hooks {HOOK} bring a measure {name!r} for {node.nodeid}. Give one of them another name."
                )
    return Planners(brought)


def marks_of(node: pytest.Item | pytest.Collector) -> list[pytest.Mark]:
    """Return the markers of measures on a test, the nearest first."""
    planners = planners_of(node)
    return [mark for mark in node.iter_markers() if mark.name in planners]


def misspelt_marks(node: pytest.Item) -> list[str]:
    """Return what is wrong with markers that are nearly those of measures: as they stand, they would promise nothing.

    A marker that the project registers itself means something else.
    """
    registered = {line.partition("(")[0].partition(":")[0].strip() for line in node.config.getini("markers")}
    unknown = {mark.name: None for mark in node.iter_markers() if mark.name not in {*registered, *TAKEN}}
    found = []
    for name in unknown:
        meant = next((known for known in planners_of(node) if _edits(name, known) <= MOST_EDITS), None)
        if meant is not None:
            found.append(
                f"@pytest.mark.{name} is not a marker, so that it promises nothing. Did you mean {meant}? A marker of "
                "the project's own is registered under 'markers' in the ini file."
            )
    return found


def uncollected(collector: pytest.Collector, name: str, function: object) -> str | None:
    """Return what is wrong where a function has a marker of a measure and pytest does not take it for a test."""
    if not inspect.isfunction(function) or getattr(function, "__test__", True) is False:
        return None
    mark = _measure_among(collector, _own_marks([function]))
    if mark is None:
        return None
    return (
        f"{name} has the marker {mark} and is not collected, since tests have names as python_functions says; its "
        "promise is not judged. Rename it, or take the marker off."
    )


def uncollected_class(collector: pytest.Collector, name: str, of: object) -> str | None:
    """Return what is wrong where a class holds a marker of a measure and pytest does not take it for one of tests."""
    module = getattr(getattr(collector, "obj", None), "__name__", None)
    if not inspect.isclass(of) or of.__module__ != module or of.__subclasses__() or not getattr(of, "__test__", True):
        # Those of other modules are collected there, and a base gives its markers to its subclasses.
        return None
    mark = _measure_among(collector, _own_marks([of, *filter(inspect.isfunction, vars(of).values())]))
    if mark is None:
        return None
    return (
        f"{name} has the marker {mark} and is not collected, since classes of tests have names as python_classes says; "
        "its promise is not judged. Rename it, or take the marker off."
    )


def marked_conftest(config: pytest.Config) -> str | None:
    """Return what is wrong where a ``conftest.py`` has a ``pytestmark`` with a measure: pytest does not read it."""
    measures = {*PLANNERS, *(one.MEASURE.name for some in config.stash[BROUGHT].values() for one in some)}
    for plugin in config.pluginmanager.get_plugins():
        if not inspect.ismodule(plugin) or Path(plugin.__file__ or "").name != "conftest.py":
            continue
        marks: object = vars(plugin).get("pytestmark", ())
        for one in marks if isinstance(marks, (list, tuple)) else [marks]:
            if (name := getattr(one, "name", None)) in measures:
                return (
                    f"{plugin.__file__} has a pytestmark with the marker {name}, which pytest does not read there, so "
                    "that it promises nothing. Put it into a module of tests."
                )
    return None


def yielding(collector: pytest.Module | pytest.Class, name: str, obj: object) -> str | None:
    """Return what is wrong where a test with a marker of a measure has a ``yield``: pytest does not run it.

    Some versions of pytest refuse it, and others expect it to fail, as pytest-asyncio does with an ``async`` one.
    """
    function = getattr(obj, "__func__", obj)
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        return None
    if not collector.istestfunction(obj, name):
        return None
    # Before pytest 8.4, the marks of a static method stand on itself and not on its function.
    mark = _measure_among(collector, [*_own_marks([obj, function]), *collector.iter_markers()])
    if mark is None:
        return None
    return (
        f"{name} has the marker {mark} and a yield, and pytest does not run tests that yield, so that its promise "
        "would not be judged. Take the yield out of the test; where it sets something up, put it into a fixture."
    )


def _own_marks(of: Iterable[object]) -> list[object]:
    """Return the marks that decorators have put on functions and classes."""
    lists: list[object] = [getattr(one, "pytestmark", ()) for one in of]
    return [mark for marks in lists if isinstance(marks, list) for mark in marks]


def _measure_among(collector: pytest.Collector, marks: Sequence[object]) -> str | None:
    """Return the name of the first mark of a measure; ``None`` where there is none."""
    known = planners_of(collector) if marks else {}
    return next((name for mark in marks if (name := getattr(mark, "name", None)) in known), None)


def _edits(a: str, b: str) -> int:
    """Return how many letters must be added, left out or replaced to make one word the other."""
    if abs(len(a) - len(b)) > MOST_EDITS:
        return MOST_EDITS + 1
    row = list(range(len(b) + 1))
    for place, letter in enumerate(a, start=1):
        last, row[0] = row[0], place
        for other, its in enumerate(b, start=1):
            last, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, last + (letter != its))
    return row[-1]


def _line(measure: Measure) -> str:
    return (
        f"{measure.name}(dataset, *, population=None, {'=None, '.join(measure.promises)}=None, "
        f"confidence_level=0.95, ...): promise about the {measure.title}: {measure.description}"
    )


def _checked(planners: object, where: str) -> Sequence[Planner]:
    """Return what a hook gave, if all of it plans measures that can be added."""
    if not isinstance(planners, (list, tuple)):
        raise pytest.UsageError(f"{where}: {HOOK} must return a list of planners. Got a {type(planners).__name__}.")
    for planner in planners:
        named = getattr(planner, "__name__", type(planner).__name__)
        for word, kind in PLANNED.items():
            if not isinstance(getattr(planner, word, None), kind):
                got = type(getattr(planner, word)).__name__ if hasattr(planner, word) else "nothing"
                raise pytest.UsageError(
                    f"{where}: the planner {named} must have {word}, a {kind.__name__}. Got {got} instead."
                )
        if not callable(getattr(planner, "plan", None)):
            raise pytest.UsageError(f"{where}: the planner {named} must have a function plan(planning).")
        name = planner.MEASURE.name
        if name in PLANNERS or name in TAKEN or not name.isidentifier():
            why = "is the name of another marker" if name.isidentifier() else "cannot be the name of a marker"
            raise pytest.UsageError(f"{where}: the measure {name!r} of {named} {why}. Give it another name.")
    return planners
