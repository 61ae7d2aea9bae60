"""Plan the gates of the marker ``preference_accuracy``: one for everybody, or one for each group that is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import UNIT_COLUMNS
from pytest_pluralism.datasets.preferences.file import PERSONA, PreferenceSet, load_preferences
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.preferences.evaluation import PreferenceEvaluation, PreferenceSettings

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "preference_accuracy",
    "higher",
    "preference accuracy",
    "how often a reward model, or a language model as a judge, prefers what people prefer (1 is best, 0.5 is chance)",
    lowest=0.0,
    highest=1.0,
    unit=Noun("pair", "pairs"),
    data="preference pairs",
    people=Noun("person", "people"),
    towards="for",
    references=(Term("untold", "not told who"), Term("longer", "the longer response"), Term("uniform", "chance")),
    beside="longer",
    comparisons=(Term("untold", "untold"), Term("longer", "longer"), Term("uniform", "uniform")),
    others=Noun("group", "groups"),
    has_nearest=False,
    columns=UNIT_COLUMNS,
    facts=(Term("persona", "persona"), Term("preference", "preference")),
    figures=(Term("kappa", "Cohen's kappa of judge and people"), Term("ties", "pairs that are not told apart")),
)

KEYWORDS = ("judge", "tell", "population", "by", "template")

DATASET = "a file of preference pairs"
EXAMPLE = "pairs.jsonl"

#: An interval from fewer pairs of a group says little; a promise about one pair says nothing.
FEWEST_PAIRS = 2


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate for everybody; with ``population`` one for each group.

    Raises
    ------
    PluralismError
        The file, a group or a setting is wrong.
    """
    planning.refuse_protocols()
    preferences = load_preferences(planning.find_file(planning.dataset))
    settings = PreferenceSettings(
        planning.keywords.get("judge", "rewards"),
        planning.keywords.get("tell", "persona"),
        planning.choose("template"),
    )
    kind = _kind(planning, preferences)
    groups = _groups(planning, preferences, kind)
    evaluations = [PreferenceEvaluation(preferences, settings, kind, group) for group in groups]
    _check_untold(planning, evaluations)
    subject = "value_model" if settings.judge == "rewards" else "language_model"
    gates = [
        planning.planned(
            evaluation,
            source={"name": preferences.name, "sha256": preferences.sha256, "source": preferences.source},
            settings={**settings.as_json(), "by": kind},
            population=evaluation.group,
            n_units=len(evaluation.pairs()),
        )
        for evaluation in evaluations
    ]
    return [dataclasses.replace(gate, subject=subject) for gate in gates]


def _check_untold(planning: Planning, evaluations: Sequence[PreferenceEvaluation]) -> None:
    """Refuse a comparison with a judge that is not told who prefers, where the judge itself is told nothing."""
    if planning.gate is None or planning.gate.better_than != "untold":
        return
    if evaluations[0].settings.tell == "nothing":
        raise InvalidParameterError(
            "better_than='untold' compares with the same judge that is told nothing, and so is this one with "
            "tell='nothing'. Leave 'tell' out, or compare with 'longer' or 'uniform'."
        )
    for one in evaluations:
        if not any(one.preferences.description_of(pair) for pair in one.pairs()):
            whose = "" if one.group is None else f" of the {one.kind} {one.group!r}"
            raise InvalidParameterError(
                f"better_than='untold' compares with a judge that is not told who prefers, and {one.preferences.name} "
                f"describes nobody{whose}, so that no judge is told. Add lines "
                '{"persona": "...", "description": "..."}, or compare with \'longer\' or \'uniform\'.'
            )


def _kind(planning: Planning, preferences: PreferenceSet) -> str:
    """Return the kind of group that is listed and measured: the named one, the only one, or the personas."""
    by, kinds = planning.keywords.get("by"), preferences.kinds
    if by is not None:
        if not isinstance(by, str):
            raise invalid_parameter("by", planning.measure.name, "a kind of group, a str", repr(by)[:60])
        if by not in kinds:
            raise InvalidParameterError(unknown_name(f"kind of group of {preferences.name}", by, kinds))
        return by
    if len(kinds) > 1 and planning.keywords.get("population") is not None and PERSONA not in kinds:
        raise InvalidParameterError(
            f"{preferences.name} has several kinds of groups. Name one with by=: {', '.join(map(repr, kinds))}."
        )
    return PERSONA if PERSONA in kinds else kinds[0] if kinds else ""


def _groups(planning: Planning, preferences: PreferenceSet, kind: str) -> list[str | None]:
    wanted = planning.keywords.get("population")
    if wanted is None:
        return [None]
    if not kind:
        raise InvalidParameterError(
            f"{preferences.name} knows no groups, so population={wanted!r} names nobody. Give pairs 'groups' or a "
            "'persona', or leave 'population' out."
        )
    by_group = preferences.by_group(kind)
    names = list(by_group) if wanted == "all" else [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        must = "a group, a list of groups, 'all' or 'worst'"
        raise invalid_parameter("population", planning.measure.name, must, repr(wanted)[:60])
    problems = [
        unknown_name(f"{kind} of {preferences.name}", name, [*by_group]) for name in names if name not in by_group
    ]
    problems += [
        f"the {kind} {name!r} of {preferences.name} has {len(by_group[name])} pair, and an interval needs at least "
        f"{FEWEST_PAIRS}. Add pairs, or name a coarser kind with by=."
        for name in names
        if name in by_group and len(by_group[name]) < FEWEST_PAIRS
    ]
    if problems:
        raise InvalidParameterError("\n\n".join(problems[:10]))
    return list(dict.fromkeys(names))
