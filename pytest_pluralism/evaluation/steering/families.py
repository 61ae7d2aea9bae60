"""Comparisons within a family of attributes: those of one category, and the opposite of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

import numpy as np

from pytest_pluralism.core.equal import compare, difference
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.selection import compare_best
from pytest_pluralism.core.metrics.steerable import attribute_faithfulness
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Witness
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute

__all__ = [
    "Confusion",
    "by_attribute",
    "confusable",
    "confusion_table",
    "difference_json",
    "lost_groups",
    "nothing_gained",
    "regret_intervals",
    "worst_attribute",
]


class Confusion(TypedDict, total=False):
    """The mean scores of every steering for every group of one category, as a report holds them."""

    category: str
    groups: list[str]
    attributes: list[str]
    n_questions: int
    scores: list[list[float]]
    regret_interval: list[list[float] | None]
    diagonal_dominance: float
    best_alone: float
    tied: float
    regret: list[float]
    unsteered: list[float]


def confusable(steering: SteeringSet, attribute: Attribute, /) -> list[Attribute]:
    """Return the attributes that one may be confused with: those of its category, and its opposite."""
    others = [one for one in steering.family(attribute) if one.name != attribute.name]
    if attribute.opposite and attribute.opposite in steering.names:
        opposite = steering.attribute(attribute.opposite)
        others += [opposite] if opposite not in others else []
    return others


def confusion_table(
    category: str,
    groups: Sequence[Attribute],
    family: Sequence[Attribute],
    each: FloatArray,
    clusters: Sequence[str],
    /,
) -> Confusion:
    """Return the table of one category.

    Parameters
    ----------
    category : str
        The category.
    groups, family : sequence of Attribute
        The groups whose answers are compared, and the attributes that the model is steered to; the groups are among
        them.
    each : ndarray, shape (n_groups, n_family, n_questions)
        Scores, higher is better.
    clusters : sequence of str, shape (n_questions,)
        The cluster of each question.
    """
    scores = each.mean(axis=2)
    places = [family.index(group) for group in groups]
    own = np.array([scores[row, place] for row, place in enumerate(places)])
    others = scores.copy()
    others[np.arange(len(groups)), places] = -np.inf
    signs = np.asarray(compare(own, others.max(axis=1)))
    regret = difference(scores.max(axis=1), own)
    return {
        "category": category,
        "groups": [one.name for one in groups],
        "attributes": [one.name for one in family],
        "n_questions": each.shape[2],
        "scores": scores.tolist(),
        "regret_interval": regret_intervals(each, places, clusters),
        "diagonal_dominance": float((signs >= 0).mean()),
        "best_alone": float((signs > 0).mean()),
        "tied": float((signs == 0).mean()),
        "regret": regret.tolist(),
    }


def regret_intervals(each: FloatArray, own: Sequence[int], clusters: Sequence[str], /) -> list[list[float] | None]:
    """Return for each group the paired interval of what its best steering has over its own; ``None`` if that is best.

    The intervals allow for the number of steerings and of groups among which the best is looked for.

    Parameters
    ----------
    each : ndarray, shape (n_groups, n_steerings, n_questions)
        Scores, higher is better.
    own : sequence of int, shape (n_groups,)
        The place of each group's own steering.
    clusters : sequence of str, shape (n_questions,)
        The cluster of each question.
    """
    result: list[list[float] | None] = []
    for scores, place in zip(each, own, strict=True):
        interval = None
        if len(set(clusters)) > 1:
            best, found = compare_best(scores, place, clusters=clusters, n_looks=len(each))
            if best != place and math.isfinite(found.low) and math.isfinite(found.high):
                interval = [found.low, found.high]
        result.append(interval)
    return result


def lost_groups(tables: Iterable[Confusion], /) -> Iterator[str]:
    """Yield for each category a sentence about the groups that another steering fits better, beyond chance."""
    for family in tables:
        lost = [
            f"{name} (better: {family['attributes'][int(np.argmax(row))]})"
            for name, row, ends in zip(family["groups"], family["scores"], family["regret_interval"], strict=True)
            if ends is not None and ends[0] > 0
        ]
        if lost:
            yield f"another steering fits better than their own: {', '.join(lost[:4])}"


def nothing_gained(over: str | None, values: Sequence[float], /) -> Iterator[str]:
    """Yield a sentence where steering scores the same in every unit as what it must exceed."""
    if over is not None and values and not any(values):
        yield f"steering gains nothing over {over}: the scores are equal in all {len(values)} units"


def difference_json(
    ours: Sequence[float], theirs: Sequence[float], clusters: Sequence[str], /
) -> dict[str, float | int]:
    """Return the paired difference of two lists of scores with its interval, as plain JSON values."""
    found = compare_paired(ours, theirs, clusters=clusters)
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def worst_attribute(names: Sequence[str], values: Sequence[float], /) -> Witness | None:
    """Return the attribute with the lowest mean score; ``None`` where there is one attribute only."""
    if len(set(names)) < 2:
        return None
    each = attribute_faithfulness(values, names)
    return Witness(str(each.worst_attribute), float(np.min(each.values)), "the attribute that fares worst")


def by_attribute(names: Sequence[str], values: Sequence[float], most: int, /) -> list[Mapping[str, object]]:
    """Return the mean score of each attribute, the lowest ``most`` of them, in ascending order."""
    each = attribute_faithfulness(values, names)
    order = np.argsort(each.values, kind="stable")[:most]
    return [{"attribute": str(each.attributes[i]), "value": float(each.values[i]), "n": each.n_units[i]} for i in order]
