"""The Population Fidelity Score of a model that answers as several groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics.distributional import (
    moved_mass,
    option_places,
)
from pytest_pluralism.core.parameters import (
    FloatArray,
    at_least_one,
    probability_array,
)

__all__ = [
    "PopulationFidelity",
    "population_fidelity_score",
]


@dataclass(frozen=True, slots=True)
class PopulationFidelity:
    """The fidelity of a model to a set of groups: a score and its three parts, all in [0, 1], best 1.

    Attributes
    ----------
    score : float
        The geometric mean of the parts; NaN when one of them is.
    accuracy : float
        One minus the mean normalised earth mover's distance to each group.
    adaptability : float
        Whether groups differ from each other as much as they do in the survey: min(A, 1/A), with A the ratio of the
        median distances between groups, the model's over the survey's.
    structure : float
        Whether the same groups are far apart: Spearman's correlation of the distances between groups, at least 0.
    n_groups, n_questions : int
        Number of groups and questions that were compared.
    """

    score: float
    accuracy: float
    adaptability: float
    structure: float
    n_groups: int
    n_questions: int


def population_fidelity_score(
    model: Sequence[npt.ArrayLike] | npt.ArrayLike,
    survey: Sequence[npt.ArrayLike] | npt.ArrayLike,
    /,
    *,
    positions: Sequence[npt.ArrayLike | None] | None = None,
) -> PopulationFidelity:
    r"""Compute the Population Fidelity Score of a model that answers as several groups.

    .. math:: PFS = (\text{accuracy} \cdot \text{adaptability} \cdot \text{structure})^{1/3}

    Distances are earth mover's distances divided by the length of the scale; those between groups are means over
    questions.

    Parameters
    ----------
    model, survey : sequence of array_like, each of shape (n_groups, n_options)
        One array a question (questions may have different numbers of options), with the same groups in the same rows.
    positions : sequence of array_like, optional
        One a question: the places of its options on the scale (``None``: 0, 1, ..., n_options - 1).

    Returns
    -------
    PopulationFidelity
        In [0, 1], best 1, with its parts.
        Adaptability is 0 where only one of the two has no differences between groups, NaN where neither has any (0/0).
        Structure is NaN where all distances of the model, or of the survey, are the same.

    Raises
    ------
    InvalidParameterError
        There is no question, or ``model``, ``survey`` and ``positions`` have different numbers of them.
    InvalidParameterError
        There are fewer than three groups: two groups have one distance, which has no structure.
    InvalidParameterError
        A distribution is not one, or shapes differ.
    InvalidParameterError
        The places of a question are not one finite number an option, or are all equal.

    References
    ----------
    .. [1] Population Fidelity Score. arXiv:2609.36253

    Examples
    --------
    >>> survey = [[[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]]
    >>> population_fidelity_score(survey, survey).score
    1.0
    >>> milder = [[[0.75, 0.25], [0.5, 0.5], [0.375, 0.625]]]
    >>> population_fidelity_score(milder, survey).adaptability
    0.5
    """
    function = "population_fidelity_score"
    for name, listed in (("model", model), ("survey", survey), ("positions", () if positions is None else positions)):
        if not isinstance(listed, Iterable) or isinstance(listed, (str, bytes)):
            raise invalid_parameter(name, function, "a sequence with one entry a question", repr(listed)[:80])
    ours = [probability_array(one, name="model", function=function) for one in model]  # type: ignore[union-attr]
    theirs = [probability_array(one, name="survey", function=function) for one in survey]  # type: ignore[union-attr]
    scales: list[npt.ArrayLike | None] = [None] * len(theirs) if positions is None else list(positions)
    at_least_one(theirs, "question", name="survey", function=function)
    for name, found in (("model", ours), ("positions", scales)):
        if len(found) != len(theirs):
            raise invalid_parameter(name, function, f"one entry a question ({len(theirs)})", f"{len(found)} entries")
    n_groups = theirs[0].shape[0]
    for one, other in zip(ours, theirs, strict=True):
        if one.ndim != 2 or one.shape != other.shape or other.shape[0] != n_groups:
            must = f"of the survey's shape, ({n_groups}, n_options), for each question"
            raise invalid_parameter("model", function, must, f"shapes {one.shape} and {other.shape}")
    if n_groups < 3:
        raise invalid_parameter("survey", function, "answers of at least three groups", f"{n_groups}")
    first, second = np.triu_indices(n_groups, k=1)
    away = np.zeros(n_groups)
    between_ours = np.zeros(len(first))
    between_theirs = np.zeros(len(first))
    # Questions are few and ragged; groups and their pairs are what is vectorised.
    for one, other, scale in zip(ours, theirs, scales, strict=True):
        places = option_places(scale, one.shape[-1], function)
        span = float(places.max() - places.min())
        if span == 0.0:
            raise invalid_parameter("positions", function, "at least two different places a question", repr(scale))
        away += moved_mass(one, other, places) / span
        between_ours += moved_mass(one[first], one[second], places) / span
        between_theirs += moved_mass(other[first], other[second], places) / span
    n_questions = len(theirs)
    accuracy = min(1.0, max(0.0, 1.0 - float(away.mean()) / n_questions))
    medians = sorted((float(np.median(between_ours)), float(np.median(between_theirs))))
    adaptability = medians[0] / medians[1] if medians[1] > 0.0 else math.nan
    structure = _spearman(between_ours, between_theirs)
    if structure < 0.0:
        structure = 0.0
    score = math.nan
    if not (math.isnan(adaptability) or math.isnan(structure)):
        score = math.cbrt(accuracy * adaptability * structure)
    return PopulationFidelity(score, accuracy, adaptability, structure, n_groups, n_questions)


def _spearman(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's correlation, NaN when one side has no spread."""
    ranks, others = stats.rankdata(first), stats.rankdata(second)
    ranks, others = ranks - ranks.mean(), others - others.mean()
    spread = float((ranks**2).sum() * (others**2).sum())
    if spread == 0.0:
        return math.nan
    return min(1.0, max(-1.0, float((ranks * others).sum()) / math.sqrt(spread)))
