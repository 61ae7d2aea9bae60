"""From the words of a marker to gates; every mistake is found here, before a model loads. No pytest here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError, did_you_mean
from pytest_pluralism.core.records import Gate, Measure, Survey
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.records.verdicts import BOUNDS as ALL_BOUNDS
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planner, Planning
from pytest_pluralism.evaluation.measures.worst import WORST, worst_of

__all__ = ["BOUNDS", "only_plan", "plan_of_words"]

#: The bounds that are numbers.
BOUNDS = tuple(name for name in ALL_BOUNDS if name != "better_than")

#: The promise that fits a measure whose better values lie the other way.
OPPOSITES = {
    "at_least": "at_most",
    "at_most": "at_least",
    "max_increase": "max_decrease",
    "max_decrease": "max_increase",
    "max_unit_increase": "max_unit_decrease",
    "max_unit_decrease": "max_unit_increase",
}

DEFAULT_CONFIDENCE_LEVEL = 0.95


def only_plan(plans: Sequence[PlannedGate], /) -> PlannedGate:
    """Return the plan of one estimate, or refuse several populations."""
    if len(plans) != 1:
        names = ", ".join(str(plan.population) for plan in plans[:6])
        raise InvalidParameterError(
            f"evaluate measures one population at a time, not {len(plans)} ({names}). Call it once for each."
        )
    return plans[0]


def plan_of_words(
    name: str,
    dataset: str,
    keywords: JsonObject,
    settings: JsonObject,
    *,
    planners: Mapping[str, Planner],
    load_survey: Callable[[str, Any], Survey],
    find_file: Callable[[str], Path] = Path,
    bring: Callable[..., object] = lambda *_, **__: None,
    promise: bool = True,
) -> list[PlannedGate]:
    """Return the gates of one measurement, with its promise or without.

    Markers, the fixture ``pluralism`` and :func:`pytest_pluralism.evaluate` all plan here.

    Parameters
    ----------
    name : str
        The measure.
    dataset : str
        The data, as a marker names them.
    keywords : mapping
        The keywords of the marker.
    settings : mapping
        The settings of the run, by name.
    planners : mapping of str to Planner
        The measures that can be named.
    load_survey, find_file, bring : callable
        The ways to the data, as in :class:`~pytest_pluralism.evaluation.measures.planning.Planning`.
    promise : bool
        Whether a bound is needed; otherwise none is allowed.

    Raises
    ------
    PluralismError
        All that is wrong, in paragraphs.
    """
    if name not in planners:
        hint = did_you_mean(name, planners)
        raise InvalidParameterError(f"unknown measure {name!r}. Known: {', '.join(planners)}.{hint}")
    planner = planners[name]
    measure = planner.MEASURE
    problems: list[str] = []
    gate = _gate(measure, keywords, planner.KEYWORDS, problems, promise=promise)
    named = keywords.get("population")
    is_worst = isinstance(named, str) and named == WORST
    if is_worst:
        keywords = {**keywords, "population": "all"}
    planning = Planning(
        measure=measure,
        dataset=dataset,
        keywords=keywords,
        settings=settings,
        gate=gate,
        confidence_level=keywords.get("confidence_level", DEFAULT_CONFIDENCE_LEVEL),
        load_survey=load_survey,
        find_file=find_file,
        bring=bring,
        planners=planners,
        problems=problems,
    )
    plans: list[PlannedGate] = []
    try:
        plans = planner.plan(planning)
        if is_worst and not problems:
            plans = [worst_of(plans, gate)]
    except PluralismError as error:
        problems.append(str(error))
    problems += _beyond(plans[0].measure if plans else measure, keywords)
    if not plans and not problems:
        problems.append("measures nothing: a keyword holds an empty list. Name at least one, or leave the keyword out.")
    if problems:
        raise InvalidParameterError("\n\n".join(problems))
    return plans


def _beyond(measure: Measure, keywords: Mapping[str, object]) -> list[str]:
    """Return the bounds that no value reaches; the planner knows the ends where they depend on what is measured."""
    return [
        f"{word}={bound!r} says nothing: {measure.title} lies in [{measure.lowest:g}, {measure.highest:g}]."
        for word in ("at_least", "at_most")
        if isinstance(bound := keywords.get(word), (int, float)) and (bound < measure.lowest or bound > measure.highest)
    ]


def _gate(
    measure: Measure, keywords: JsonObject, own: tuple[str, ...], problems: list[str], *, promise: bool
) -> Gate | None:
    relative = ("better_than",) if promise and measure.is_relative else ()
    allowed = (*(BOUNDS if promise else ()), *relative, "confidence_level", *own)
    # A bound in the wrong direction is refused, so that nothing suggests it.
    offered = [word for word in allowed if word not in OPPOSITES or word in measure.promises]
    for word in keywords:
        if word not in allowed:
            hint = did_you_mean(word, offered)
            problems.append(f"unknown keyword {word!r}.{hint} Keywords: {', '.join(offered)}.")
    wrong = [word for word in OPPOSITES if word in keywords and word not in measure.promises]
    problems += [
        f"{word}={keywords[word]!r} promises the wrong direction: of {measure.title}, {measure.direction} is "
        f"better. Use {OPPOSITES[word]}."
        for word in wrong
    ]
    level = keywords.get("confidence_level", DEFAULT_CONFIDENCE_LEVEL)
    bounds = {word: keywords[word] for word in (*BOUNDS, *relative) if keywords.get(word) is not None}
    if "better_than" in bounds:
        problems += _relative_problems(measure, bounds["better_than"], keywords)
    if not promise or wrong:
        bounds = bounds or {"at_most": 0.0}
    if not bounds:
        problems.append(
            f"no promise. Say what must hold, for example {_relative_example(measure)}{measure.promises[0]}=0.4 "
            f"(or {measure.promises[1]}=0.02 against a baseline)."
        )
        return None
    try:
        gate = Gate(confidence_level=level, **bounds)
    except PluralismError as error:
        problems.append(str(error))
        return None
    return gate if promise else None


def _relative_example(measure: Measure) -> str:
    return f"better_than={measure.comparisons[0].words!r} or " if measure.comparisons else ""


def _relative_problems(measure: Measure, reference: object, keywords: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a reference that a promise names."""
    if keywords.get("over") is not None:
        beside = f"better_than={reference!r} stands beside over={keywords['over']!r}. "
        why = "over changes the number that is measured; better_than compares it with a reference."
        return [f"{beside}{why} Leave one of them out."]
    if not isinstance(reference, str) or not reference.strip():
        return []
    try:
        measure.reference_key(reference)
    except PluralismError as error:
        return [str(error)]
    return []
