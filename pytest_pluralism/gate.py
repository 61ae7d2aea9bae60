"""From a marker on a test to a promise that can be evaluated; every mistake is found here, before a model loads."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.errors import (
    DatasetError,
    InvalidParameterError,
    PluralismError,
    invalid_parameter,
    nearest_names,
)
from pytest_pluralism.core.records import Gate, Measure, Survey
from pytest_pluralism.evaluation.registry import MEASURES

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.distributional import AskSettings
    from pytest_pluralism.options import Settings

__all__ = ["PlannedGate", "plan_gates", "plan_measurement"]

BOUNDS = ("at_least", "at_most", "max_increase", "max_decrease")

#: Keywords that say how the model is asked; each overrides the setting of the same name.
ASKING = ("protocol", "template", "option_order", "repetitions", "examples", "seed")

KEYWORDS = (*BOUNDS, "population", "confidence_level", "refusals", *ASKING)

DEFAULT_CONFIDENCE_LEVEL = 0.95


@dataclass(frozen=True)
class PlannedGate:
    """One promise of one test: what is measured, on whom, how it is asked, and what is promised.

    ``population`` is ``None`` where the populations of a one-question survey are the units.
    """

    measure: Measure
    dataset: str
    survey: Survey
    population: str | None
    asking: AskSettings
    refusals: str
    gate: Gate | None
    confidence_level: float | None

    @property
    def key(self) -> str:
        """What distinguishes this promise from the others of its test."""
        parts = [self.measure.name, self.dataset]
        if self.population is not None:
            parts.append(self.population)
        return " ".join(parts)


def plan_gates(item: pytest.Item, settings: Settings) -> tuple[list[PlannedGate], list[str]]:
    """Return the promises that the markers of a test make, and what is wrong with the markers."""
    from pytest_pluralism.core.messages import harmless

    planned: list[PlannedGate] = []
    problems: list[str] = []
    if not hasattr(item, "fixturenames"):
        return [], [f"the markers of this plugin stand on test functions, not on a {type(item).__name__}."]
    for mark in reversed(list(item.iter_markers())):
        measure = MEASURES.get(mark.name)
        if measure is None:
            continue
        try:
            if len(mark.args) != 1 or not isinstance(mark.args[0], str):
                raise InvalidParameterError(
                    f"{mark.name} takes one positional argument, the name or file of a survey. "
                    f"Got {', '.join(map(repr, mark.args)) or 'none'} instead. "
                    f'Write @pytest.mark.{mark.name}("gss", {measure.promises[0]}=0.4).'
                )
            planned += plan_measurement(
                measure.name, mark.args[0], mark.kwargs, settings, folder=item.path.parent, config=item.config
            )
        except PluralismError as error:
            problems += [f"@pytest.mark.{mark.name}: {line}" for line in str(error).split("\n\n")]
        except Exception as error:  # noqa: BLE001 - a hook of the project may raise anything, and this is one test's error.
            problems.append(f"@pytest.mark.{mark.name}: {type(error).__name__}: {error}")
    keys = [plan.key for plan in planned]
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        problems.append(
            f"two markers promise the same measurement ({key}). Give the bounds in one marker, or write two tests."
        )
    return planned, [harmless(problem) for problem in problems]


def plan_measurement(
    name: str,
    dataset: str,
    keywords: Mapping[str, Any],
    settings: Settings,
    *,
    folder: Path,
    config: pytest.Config,
    promise: bool = True,
) -> list[PlannedGate]:
    """Return one plan a population for a measurement, with its promise or without.

    Raises
    ------
    PluralismError
        All that is wrong, in paragraphs.
    """
    from pytest_pluralism.evaluation.distributional import requests

    measure = MEASURES.get(name)
    if measure is None:
        near = nearest_names(name, MEASURES)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidParameterError(f"unknown measure {name!r}. Known: {', '.join(MEASURES)}.{hint}")
    problems: list[str] = []
    gate = _gate(measure, keywords, problems, promise=promise)
    asking = _asking(keywords, settings, problems)
    refusals = keywords.get("refusals", settings["refusals"])
    plans: list[PlannedGate] = []
    if refusals not in ("keep", "drop", "separate"):
        error = invalid_parameter("refusals", name, "'keep', 'drop' or 'separate'", repr(refusals))
        problems.append(str(error))
    else:
        try:
            survey = load_survey(dataset, refusals, folder, config)
            populations = _populations(survey, keywords.get("population"))
            if asking is not None:
                # A question that cannot be asked is found now, not when the model has been loaded.
                requests(survey, asking)
        except PluralismError as error:
            problems.append(str(error))
        else:
            plans = [
                PlannedGate(
                    measure=measure,
                    dataset=dataset,
                    survey=survey,
                    population=population,
                    asking=asking,
                    refusals=refusals,
                    gate=gate,
                    confidence_level=keywords.get("confidence_level", DEFAULT_CONFIDENCE_LEVEL),
                )
                for population in populations
                if asking is not None
            ]
    if problems:
        raise InvalidParameterError("\n\n".join(problems))
    return plans


def load_survey(dataset: str, refusals: str, folder: Path, config: pytest.Config) -> Survey:
    """Load a survey by name or file; a relative file is looked for beside the test, then under the root."""
    if not isinstance(dataset, str):
        raise invalid_parameter("dataset", "the measurement", "the name or file of a survey, a str", repr(dataset))
    # A file has an ending; a name without one is a survey's, whatever lies beside the test.
    if ":" not in dataset and Path(dataset).suffix:
        for base in (folder, config.rootpath):
            with contextlib.suppress(OSError, ValueError):
                if (base / dataset).is_file():
                    dataset = str(base / dataset)
                    break
    survey = config.hook.pytest_pluralism_load_survey(name=dataset, refusals=refusals)
    if not isinstance(survey, Survey):
        raise DatasetError(
            f"A hook pytest_pluralism_load_survey gave a {type(survey).__name__} for {dataset!r}. "
            "It must give a Survey."
        )
    return survey


def _gate(measure: Measure, keywords: Mapping[str, Any], problems: list[str], *, promise: bool) -> Gate | None:
    allowed = KEYWORDS if promise else tuple(word for word in KEYWORDS if word not in BOUNDS)
    for word in keywords:
        if word not in allowed:
            near = nearest_names(word, allowed)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            problems.append(f"unknown keyword {word!r}.{hint} Keywords: {', '.join(allowed)}.")
    wrong = [word for word in BOUNDS if word in keywords and word not in measure.promises]
    for word in wrong:
        opposite = dict(zip(BOUNDS, ("at_most", "at_least", "max_decrease", "max_increase"), strict=True))[word]
        problems.append(
            f"{word}={keywords[word]!r} promises the wrong direction: of {measure.title}, {measure.direction} is "
            f"better. Use {opposite}."
        )
    level = keywords.get("confidence_level", DEFAULT_CONFIDENCE_LEVEL)
    bounds = {word: keywords[word] for word in BOUNDS if word in keywords and keywords[word] is not None}
    for word in ("at_least", "at_most"):
        bound = bounds.get(word)
        if isinstance(bound, (int, float)) and (bound < measure.lowest or bound > measure.highest):
            problems.append(
                f"{word}={bound!r} says nothing: {measure.title} lies in [{measure.lowest:g}, {measure.highest:g}]."
            )
    if not promise or wrong:
        bounds = bounds or {"at_most": 0.0}
    if not bounds:
        problems.append(
            f"no promise. Say what must hold, for example {measure.promises[0]}=0.4 "
            f"(or {measure.promises[1]}=0.02 against a baseline)."
        )
        return None
    try:
        gate = Gate(confidence_level=level, **bounds)
    except PluralismError as error:
        problems.append(str(error))
        return None
    return gate if promise else None


def _asking(keywords: Mapping[str, Any], settings: Settings, problems: list[str]) -> AskSettings | None:
    from pytest_pluralism.evaluation.distributional import AskSettings
    from pytest_pluralism.evaluation.protocols import FIXED
    from pytest_pluralism.options import PROTOCOLS

    chosen = {name: keywords.get(name, settings[name]) for name in ASKING}
    if chosen["protocol"] not in PROTOCOLS:
        must = "one of " + ", ".join(repr(name) for name in PROTOCOLS)
        problems.append(str(invalid_parameter("protocol", "the marker", must, repr(chosen["protocol"]))))
        return None
    fixed = FIXED.get(chosen["protocol"], {})
    problems += [
        f"{name}={keywords[name]!r} cannot be chosen under the protocol {chosen['protocol']!r}, which has {value!r}. "
        "Leave it out, or use protocol='sound'."
        for name, value in fixed.items()
        if keywords.get(name, value) != value
    ]
    try:
        return AskSettings(**chosen)
    except PluralismError as error:
        problems.append(str(error))
        return None


def _populations(survey: Survey, wanted: Any) -> list[str | None]:
    """Return the populations to compare with: one verdict each; ``None`` makes them the units."""
    from pytest_pluralism.datasets import resolve_populations

    if wanted is None:
        if len(survey.questions) == 1 and len(survey.populations) > 1:
            return [None]
        wanted = survey.default_population
        if wanted is None and len(survey.populations) == 1:
            wanted = survey.populations[0]
        if wanted is None:
            raise InvalidParameterError(
                f"no population. {survey.name} has {len(survey.populations)}: "
                f"{', '.join(survey.populations[:6])}{', ...' if len(survey.populations) > 6 else ''}. "
                'Name one, a list of several, or population="all".'
            )
    return list(resolve_populations(survey, wanted))
