"""OvertonScore: the share of viewpoints that feel represented by a response, from ratings by people or by a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics.representation import cluster_coverage
from pytest_pluralism.core.records import Scores, UnitScore
from pytest_pluralism.datasets.windows.representation import RepresentationRatings

__all__ = ["RatingAgreement", "rating_agreement", "representation_scores"]

#: The lowest and highest unweighted score of eight models, rated by 1,208 people on 60 questions (arXiv 2512.01351).
PUBLISHED = {"published_lowest": 0.35, "published_highest": 0.41}

#: The rank correlation of the published automated ratings with those of people (the same paper).
PUBLISHED_AGREEMENT = 0.88


def representation_scores(
    ratings: RepresentationRatings, /, *, threshold: float = 4.0, weighted: bool = False
) -> Scores:
    """Return the OvertonScore of each question of a file of ratings.

    Parameters
    ----------
    ratings : RepresentationRatings
        The result of :func:`~pytest_pluralism.datasets.windows.representation.read_ratings`.
    threshold : float, default 4
        The mean rating from which on a viewpoint is represented.
    weighted : bool, default False
        Weigh viewpoints by their share of people.

    Returns
    -------
    Scores
        Units are questions, in the order of their ids, with values in [0, 1], best 1. The mean of the values is
        :func:`~pytest_pluralism.core.metrics.overton_score`. The reference ``everybody_weighted`` (or
        ``everybody_alike``) is the other way to weigh; without weights ``published_lowest`` and ``published_highest``
        are what models got from people in the paper.

    Raises
    ------
    InvalidParameterError
        If a parameter has a value that it must not have.

    Notes
    -----
    Poole-Dayan et al. 2026, "Benchmarking Overton Pluralism in LLMs" (arXiv 2512.01351).
    """

    def values(weighted: bool) -> np.ndarray:
        return cluster_coverage(
            ratings.ratings,
            ratings.clusters,
            questions=ratings.questions,
            threshold=threshold,
            weighted=weighted,
            sampling_weights=ratings.sampling_weights,
        )

    found = values(weighted)
    # The labels of the questions are sorted there too.
    units = tuple(
        UnitScore(question, question, float(value), details=dict(_viewpoints(ratings, question, threshold)))
        for question, value in zip(sorted(set(ratings.questions)), found, strict=True)
    )
    other = "everybody_alike" if weighted else "everybody_weighted"
    published = {} if weighted else PUBLISHED
    return Scores("overton_score", units, {other: float(values(not weighted).mean()), **published})


@dataclass(frozen=True)
class RatingAgreement:
    """The agreement of ratings that a model predicted with those that people gave.

    Attributes
    ----------
    rank_correlation : float
        Spearman's correlation of the scores of what both rated, in [-1, 1]; NaN where all scores of one side are equal.
    mean_absolute_error : float
        The mean difference of these scores, in [0, 1]; the best value is 0.
    n : int
        The number of scores that were compared.
    published_rank_correlation : float
        That of the automated benchmark of the paper with its people.
    """

    rank_correlation: float
    mean_absolute_error: float
    n: int
    published_rank_correlation: float = PUBLISHED_AGREEMENT


def rating_agreement(
    predicted: Mapping[str, RepresentationRatings], given: Mapping[str, RepresentationRatings], /
) -> RatingAgreement:
    """Compare the OvertonScores of several models by predicted ratings with those by people.

    Parameters
    ----------
    predicted, given : mapping of str to RepresentationRatings
        The ratings of each model, by its name; the same names in both.

    Raises
    ------
    InvalidParameterError
        The names differ, or there are fewer than three.

    Notes
    -----
    Poole-Dayan et al. 2026 (arXiv 2512.01351) rank eight models; with fewer, a rank correlation says little.
    """
    if predicted.keys() != given.keys() or len(given) < 3:
        must = "the ratings of the same models in both, of at least three"
        got = f"{len(predicted)} and {len(given)} models"
        raise invalid_parameter("predicted", "rating_agreement", must, got)
    pairs = np.array([[_mean_score(side[name]) for side in (predicted, given)] for name in given])
    constant = bool((np.ptp(pairs, axis=0) == 0.0).any())
    rank = math.nan if constant else float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
    return RatingAgreement(rank, float(np.abs(pairs[:, 0] - pairs[:, 1]).mean()), len(pairs))


def _mean_score(ratings: RepresentationRatings) -> float:
    return float(np.mean([unit.value for unit in representation_scores(ratings).units]))


def _viewpoints(
    ratings: RepresentationRatings, question: str, threshold: float
) -> Iterator[tuple[str, dict[str, float] | str | int]]:
    """Yield the mean rating of each viewpoint, and the one that is represented worst."""
    weights = ratings.sampling_weights or (1.0,) * len(ratings.ratings)
    sums: dict[str, tuple[float, float]] = {}
    rows = zip(ratings.questions, ratings.clusters, ratings.ratings, weights, strict=True)
    for asked, cluster, rating, weight in rows:
        if asked == question:
            total, people = sums.get(cluster, (0.0, 0.0))
            sums[cluster] = total + weight * rating, people + weight
    means = {cluster: total / people for cluster, (total, people) in sums.items()}
    yield "viewpoints", means
    yield "worst_viewpoint", min(means, key=lambda cluster: means[cluster])
    yield "n_represented", sum(compare(mean, threshold) >= 0 for mean in means.values())
