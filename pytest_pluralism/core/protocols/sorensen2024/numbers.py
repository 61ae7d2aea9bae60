"""The published numbers of the case study, computed from the recorded questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics.chance import shuffle_control
from pytest_pluralism.core.metrics.distributional import entropy, jensen_shannon_distance
from pytest_pluralism.core.parameters import at_least_one
from pytest_pluralism.core.protocols import QuirkEffect, quirk_effects
from pytest_pluralism.core.protocols.sorensen2024.questions import (
    Sorensen2024Question,
    Sorensen2024Quirks,
    option_probabilities,
)

__all__ = [
    "Sorensen2024Numbers",
    "evaluate",
    "mpi_human_target",
    "quirk_table",
    "textbook_jensen_shannon",
]


@dataclass(frozen=True)
class Sorensen2024Numbers:
    """The numbers of one model: means over questions.

    Attributes
    ----------
    js_distance, shuffle, entropy : mapping of str to float
        By population: the Jensen-Shannon distance in base 2 to the model and to the shuffled model; the entropy, in
        nats, of the population.
    between : mapping of str to float
        By pair of populations: the distance between people.
    model_entropy : float
        In nats.
    n_questions : int
        Number of questions.
    n_dropped : mapping of str to int
        By number: how many questions fell out of its mean.
    """

    js_distance: Mapping[str, float]
    shuffle: Mapping[str, float]
    between: Mapping[str, float]
    entropy: Mapping[str, float]
    model_entropy: float
    n_questions: int
    n_dropped: Mapping[str, int]

    def as_mapping(self) -> dict[str, float]:
        """Return the numbers under flat names: ``js_distance[Japan]``, ``model_entropy``."""
        flat = {"model_entropy": self.model_entropy}
        for name in ("js_distance", "shuffle", "between", "entropy"):
            flat.update({f"{name}[{key}]": value for key, value in getattr(self, name).items()})
        return flat


def evaluate(
    questions: Sequence[Sorensen2024Question],
    /,
    *,
    quirks: Sorensen2024Quirks | None = None,
    rng: np.random.Generator | None = None,
) -> Sorensen2024Numbers:
    """Compute the numbers of the case study from what was recorded.

    Parameters
    ----------
    questions : sequence of Sorensen2024Question
        The recorded questions, with the same populations for every question.
    quirks : Sorensen2024Quirks, optional
        Which quirks are on; by default all.
    rng : numpy.random.Generator, optional
        Where the single permutation of the shuffle control comes from (used only when ``shuffles_once`` is on); by
        default a fresh ``numpy.random.default_rng(0)``.

    Returns
    -------
    Sorensen2024Numbers
        Means over questions.
        Without the dropping quirks a NaN stays: the mean of the number that it belongs to is NaN.

    Raises
    ------
    InvalidParameterError
        There are no questions, or they do not have the same populations.
    InvalidParameterError
        The distributions of a question have different lengths, or are not distributions.
    """
    on = quirks or Sorensen2024Quirks()
    function = "evaluate"
    at_least_one(questions, "question", name="questions", function=function)
    generator = np.random.default_rng(0) if rng is None else rng
    columns: dict[tuple[str, str], list[float]] = {}
    names: list[str] | None = None
    for question in questions:
        people = _people(question, on)
        if names is None:
            names = list(people)
        if set(people) != set(names):
            raise invalid_parameter("questions", function, f"answered by {names}", f"{sorted(people)}")
        sizes = {len(answers) for answers in people.values()}
        if len(sizes) != 1:
            must = f"one number of options for question {question.question_id!r}"
            raise invalid_parameter("populations", function, must, f"{sorted(sizes)}")
        (n_options,) = sizes
        model = option_probabilities(question, n_options=n_options, quirks=on)
        shuffled = generator.permutation(model) if on.shuffles_once else None
        columns.setdefault(("model_entropy", ""), []).append(_entropy_of(model, on))
        for place, name in enumerate(names):
            answers = people[name]
            columns.setdefault(("entropy", name), []).append(_entropy_of(answers, on))
            columns.setdefault(("js_distance", name), []).append(_distance(answers, model, on))
            by_chance = _expected_shuffle(answers, model) if shuffled is None else _distance(answers, shuffled, on)
            columns.setdefault(("shuffle", name), []).append(by_chance)
            for other in names[place + 1 :]:
                between = columns.setdefault(("between", f"{name} / {other}"), [])
                between.append(_distance(answers, people[other], on))
    means: dict[str, dict[str, float]] = {}
    dropped = {}
    for (number, key), values in columns.items():
        drops = on.drops_zero_cells if number in ("entropy", "model_entropy") else on.drops_nan_distances
        array = np.array(values)
        kept = array[~np.isnan(array)] if drops else array
        means.setdefault(number, {})[key] = float(kept.mean()) if kept.size else math.nan
        dropped[f"{number}[{key}]" if key else number] = int(array.size - kept.size)
    return Sorensen2024Numbers(
        js_distance=means.get("js_distance", {}),
        shuffle=means.get("shuffle", {}),
        between=means.get("between", {}),
        entropy=means.get("entropy", {}),
        model_entropy=means["model_entropy"][""],
        n_questions=len(questions),
        n_dropped=dropped,
    )


def quirk_table(questions: Sequence[Sorensen2024Question], /, *, seed: int = 0) -> tuple[QuirkEffect, ...]:
    """Show how far each quirk moves each number: every quirk alone turned off, and all of them.

    Parameters
    ----------
    questions : sequence of Sorensen2024Question
        The recorded questions.
    seed : int, default 0
        Seeds the shuffle control, afresh for each row.

    Returns
    -------
    tuple of QuirkEffect
        A row for each quirk and number, ``"all"`` last.

    Raises
    ------
    InvalidParameterError
        As :func:`evaluate`.
    """

    def numbers(quirks: Sorensen2024Quirks) -> dict[str, float]:
        return evaluate(questions, quirks=quirks, rng=np.random.default_rng(seed)).as_mapping()

    return quirk_effects(numbers, Sorensen2024Quirks)


def mpi_human_target(counts: Mapping[int, float], /, *, key: int = 1, broken: bool = True) -> tuple[float, ...]:
    """Return the human distribution of one item of the Machine Personality Inventory.

    Parameters
    ----------
    counts : mapping of int to float
        Number of people who answered 1 ... 5 as recorded, and 0 (no answer).
    key : {1, -1}, default 1
        -1 for an item that the survey scored in reverse: 1 and 5, 2 and 4 are swapped back.
    broken : bool, default True
        As published: the counts are sorted by frequency, so that what is dropped as "no answer" is the modal answer; a
        set then merges equal shares and orders the rest by their hash; in reverse-keyed items "no answer" is gone
        before, so that four shares remain for five options.

    Returns
    -------
    tuple of float
        Sound: the shares of A (very accurate, 5) ... E (very inaccurate, 1).
        Broken: at most five shares, in the order of a CPython set on a 64-bit machine.

    Raises
    ------
    InvalidParameterError
        A code is not in 0 ... 5, a count is negative, nobody answered, or ``key`` is neither 1 nor -1.

    Examples
    --------
    >>> people = {5: 200_000, 4: 180_000, 3: 90_000, 2: 80_000, 1: 60_000, 0: 3_000}
    >>> [round(share, 4) for share in mpi_human_target(people)]
    [0.4358, 0.1453, 0.2179, 0.1937, 0.0073]
    >>> [round(share, 4) for share in mpi_human_target(people, broken=False)]
    [0.3279, 0.2951, 0.1475, 0.1311, 0.0984]
    """
    function = "mpi_human_target"
    if key not in (1, -1):
        raise invalid_parameter("key", function, "1 or -1", repr(key))
    if not set(counts) <= set(range(6)) or any(not count >= 0 for count in counts.values()):
        raise invalid_parameter("counts", function, "counts of the codes 0 ... 5", repr(dict(counts)))
    coded = dict(counts) if key == 1 else {6 - code: count for code, count in counts.items() if code != 0}
    answered = sum(coded.get(code, 0) for code in range(1, 6))
    if answered <= 0:
        raise invalid_parameter("counts", function, "somebody's answers", repr(dict(counts)))
    if not broken:
        return tuple(coded.get(code, 0) / answered for code in (5, 4, 3, 2, 1))
    rest = sorted((count for count in coded.values() if count > 0), reverse=True)[1:]
    total = sum(rest)
    # The order is that of the set itself: it depends on nothing but the numbers and CPython's table of hashes.
    return tuple({count / total for count in rest})


def textbook_jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike, /, *, base: float = 2.0) -> float:
    r"""Compute the Jensen-Shannon distance as the root of two summed divergences, NaN where rounding makes it negative.

    .. math:: \sqrt{\left(\sum_i p_i \log (p_i / m_i) + \sum_i q_i \log (q_i / m_i)\right) / (2 \log b)}

    Parameters
    ----------
    p, q : array_like, shape (n_options,)
        Two sets of weights, each divided by its sum first.
    base : float, default 2.0
        The base of the logarithm.

    Returns
    -------
    float
        In [0, sqrt(log_base(2))], or NaN, the quirk that this function is here for: near-equal distributions may lose
        their distance. Use :func:`~pytest_pluralism.core.metrics.jensen_shannon_distance` for anything
        else.

    Examples
    --------
    >>> round(textbook_jensen_shannon([1, 0], [1, 1]), 4)
    0.5579
    """
    first, second = np.asarray(p), np.asarray(q)
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = first / first.sum(), second / second.sum()
        middle = (first + second) / 2.0
        divergence = special.rel_entr(first, middle).sum() + special.rel_entr(second, middle).sum()
        return float(np.sqrt(divergence / np.log(base) / 2.0))


def _people(question: Sorensen2024Question, on: Sorensen2024Quirks) -> dict[str, npt.NDArray[np.float64]]:
    if question.mpi_counts is not None:
        target = mpi_human_target(question.mpi_counts, key=question.mpi_key, broken=on.breaks_mpi_target)
        return {"MPI": np.array(target)}
    people = {name: np.array(answers, dtype=np.float64) for name, answers in question.populations.items()}
    for name, answers in people.items():
        if answers.ndim != 1 or not (answers >= 0).all() or not 0.0 < answers.sum() < math.inf:
            must = f"shares of answers, for question {question.question_id!r}"
            raise invalid_parameter("populations", "evaluate", must, f"{answers} of {name}")
    if not people:
        raise invalid_parameter(
            "populations", "evaluate", "at least one population", f"none ({question.question_id!r})"
        )
    return people


def _entropy_of(weights: npt.NDArray[np.floating], on: Sorensen2024Quirks) -> float:
    """Return the entropy in nats; as published, of the weights as they are, NaN when one of them is 0."""
    if on.drops_zero_cells:
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(-np.sum(weights * np.log(weights)))
    if np.isnan(weights).any() or len(weights) < 2:
        return math.nan if np.isnan(weights).any() else 0.0
    return float(entropy(_shares(weights), base=math.e))


def _distance(people: npt.NDArray[np.floating], other: npt.NDArray[np.floating], on: Sorensen2024Quirks) -> float:
    if on.drops_nan_distances:
        return textbook_jensen_shannon(people, other)
    if np.isnan(other).any() or len(people) < 2:
        return math.nan if np.isnan(other).any() else 0.0
    return float(jensen_shannon_distance(_shares(people), _shares(other)))


def _expected_shuffle(people: npt.NDArray[np.floating], model: npt.NDArray[np.floating]) -> float:
    if np.isnan(model).any() or len(people) < 2:
        return math.nan if np.isnan(model).any() else 0.0
    return float(shuffle_control(_shares(model), _shares(people)))


def _shares(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    precise = weights.astype(np.float64)
    result: npt.NDArray[np.float64] = precise / precise.sum()
    return result
