"""From a marker on a test to promises that can be evaluated; every mistake is found here, before a model loads."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, PluralismError, invalid_parameter
from pytest_pluralism.core.records import Survey
from pytest_pluralism.evaluation.measures.gates import plan_of_words
from pytest_pluralism.evaluation.measures.planning import PlannedGate
from pytest_pluralism.markers import marks_of, planners_of

if TYPE_CHECKING:
    from pytest_pluralism.settings.resolving import Settings

__all__ = ["plan_gates", "plan_measurement"]

#: The hook by which a project brings each type of data.
HOOKS = {
    "WindowSet": "pytest_pluralism_load_windows",
    "Panel": "pytest_pluralism_load_panel",
    "SteeringSet": "pytest_pluralism_load_steering",
}


def plan_gates(
    item: pytest.Item, settings: Settings, *, seed: int | None = None
) -> tuple[list[PlannedGate], list[str]]:
    """Return the promises that the markers of a test make, and what is wrong with the markers.

    With a ``seed`` everything is planned under that one, whatever the settings and the markers say.
    """
    from pytest_pluralism.core.untrusted import harmless

    planned: list[PlannedGate] = []
    problems: list[str] = []
    if seed is not None:
        settings = dataclasses.replace(settings, values={**settings.values, "seed": seed})
    if not hasattr(item, "fixturenames"):
        return [], [f"the markers of this plugin stand on test functions, not on a {type(item).__name__}."]
    for mark in reversed(marks_of(item)):
        try:
            if len(mark.args) != 1 or not isinstance(mark.args[0], str):
                planner = planners_of(item)[mark.name]
                raise InvalidParameterError(
                    f"{mark.name} takes one positional argument, {planner.DATASET}. "
                    f"Got {', '.join(map(repr, mark.args)) or 'none'} instead. "
                    f'Write @pytest.mark.{mark.name}("{planner.EXAMPLE}", {planner.MEASURE.promises[0]}=0.4).'
                )
            keywords = mark.kwargs if seed is None else {n: value for n, value in mark.kwargs.items() if n != "seed"}
            planned += plan_measurement(mark.name, mark.args[0], keywords, settings, item=item)
        except PluralismError as error:
            problems += [f"@pytest.mark.{mark.name}: {line}" for line in str(error).split("\n\n")]
        except Exception as error:  # noqa: BLE001 - a hook of the project may raise anything, and this is one test's error.
            problems.append(f"@pytest.mark.{mark.name}: {type(error).__name__}: {error}")
    planned = _by_seed(planned)
    keys = [plan.key for plan in planned]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        problems.append(
            f"two markers promise the same measurement ({key}). Give the bounds in one marker, or write two tests."
        )
    return planned, [harmless(problem) for problem in problems]


def _by_seed(planned: list[PlannedGate]) -> list[PlannedGate]:
    """Return the promises, those about the same measurement under seeds of their own with the seed in their keys."""
    seeds: dict[str, list[object]] = {}
    for plan in planned:
        seeds.setdefault(plan.key, []).append(plan.settings.get("seed"))
    apart = {key for key, found in seeds.items() if len(set(found)) == len(found) > 1}
    return [
        dataclasses.replace(plan, apart=f"seed {plan.settings.get('seed')}") if plan.key in apart else plan
        for plan in planned
    ]


def plan_measurement(
    name: str,
    dataset: str,
    keywords: Mapping[str, object],
    settings: Settings,
    *,
    item: pytest.Item,
    promise: bool = True,
) -> list[PlannedGate]:
    """Return the gates of one measurement of a test, with its promise or without.

    Raises
    ------
    PluralismError
        All that is wrong, in paragraphs.
    """
    return plan_of_words(
        name,
        dataset,
        keywords,
        settings.values,
        planners=planners_of(item),
        load_survey=functools.partial(load_survey, item=item),
        find_file=functools.partial(find_file, item=item),
        bring=functools.partial(bring, item=item),
        promise=promise,
    )


def find_file(name: str, item: pytest.Item) -> Path:
    """Return the path of a file that lies beside the test or under the root; else the name itself."""
    for base in (item.path.parent, item.config.rootpath):
        with contextlib.suppress(OSError, ValueError):
            if (base / name).is_file():
                return base / name
    return Path(name)


def bring(kind: type, name: object, *, item: pytest.Item, **arguments: object) -> object:
    """Return the data that a hook which holds for the test has under a name; ``None`` where none has.

    Raises
    ------
    DatasetError
        The hook gave something of another type.
    """
    if not isinstance(name, str):
        return None
    hook = HOOKS[kind.__name__]
    found: object = getattr(item.ihook, hook)(name=name, **arguments)
    if found is not None and not isinstance(found, kind):
        raise DatasetError(f"A hook {hook} gave a {type(found).__name__} for {name!r}. It must give a {kind.__name__}.")
    return found


def load_survey(dataset: str, refusals: str, item: pytest.Item) -> Survey:
    """Load a survey by name or file; a relative file is looked for beside the test, then under the root."""
    if not isinstance(dataset, str):
        raise invalid_parameter("dataset", "the measurement", "the name or file of a survey, a str", repr(dataset))
    # A file has an ending; a name without one is a survey's, whatever lies beside the test.
    if ":" not in dataset and Path(dataset).suffix:
        dataset = str(find_file(dataset, item))
    try:
        survey = item.ihook.pytest_pluralism_load_survey(name=dataset, refusals=refusals)
    except DatasetError as error:
        from pytest_pluralism.datasets.reading import files_like

        near = [] if ":" in dataset or Path(dataset).suffix else files_like(item.path.parent / dataset)
        if not near:
            raise
        raise DatasetError(f"{error} Files beside the test: {', '.join(map(repr, near))}.") from None
    if not isinstance(survey, Survey):
        raise DatasetError(
            f"A hook pytest_pluralism_load_survey gave a {type(survey).__name__} for {dataset!r}. "
            "It must give a Survey."
        )
    return survey
