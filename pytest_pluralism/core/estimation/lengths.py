"""The part of a change that stays when responses are cut to equal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.records import Estimate

__all__ = ["ByLength", "change_by_length"]

#: The value of the beginnings of one response: numbers of words, and the value from there on; the last entry is the
#: whole response.
Curve = Sequence[Sequence[float]]


@dataclass(frozen=True)
class ByLength:
    """A change, told apart from what comes of responses that became longer or shorter.

    Attributes
    ----------
    at_equal_length : Estimate
        The change where the responses to each query are cut, at ends of sentences, to the shorter of the two mean
        lengths.
    by_length : Estimate
        The rest of the change.
    words_now, words_then : float
        The mean number of words of the responses.
    """

    at_equal_length: Estimate
    by_length: Estimate
    words_now: float
    words_then: float

    def as_json(self) -> dict[str, object]:
        """Return the two parts as plain JSON values."""
        return {
            "words": self.words_now,
            "words_before": self.words_then,
            **{name: _numbers(getattr(self, name)) for name in ("at_equal_length", "by_length")},
        }


def _numbers(estimate: Estimate) -> dict[str, float]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high")}


def change_by_length(
    now: Mapping[str, Sequence[Curve]],
    then: Mapping[str, Sequence[Curve]],
    /,
    *,
    clusters: Mapping[str, str],
    confidence_level: float | None = 0.95,
    relative_variance: float = 0.0,
) -> ByLength:
    """Return the change of a mean over queries at equal length, and what is left of it.

    Parameters
    ----------
    now, then : mapping of str to sequence of curves
        By the id of the query, for each response the values of its beginnings.
    clusters : mapping of str to str
        The cluster of each query.
    confidence_level : float in (0, 1) or None
        Of the intervals, which are those of paired differences.
    relative_variance : float
        The variance that the errors of the judge add to a change, relative to its square.

    Examples
    --------
    >>> then = {name: [[[0, 0.0], [10, 0.5], [20, 1.0], [20, 1.0]]] for name in "abcd"}
    >>> now = {name: [[[0, 0.0], [10, 0.5], [10, 0.5]]] for name in "abcd"}
    >>> found = change_by_length(now, then, clusters={name: name for name in "abcd"})
    >>> found.at_equal_length.value, found.by_length.value
    (0.0, -0.5)
    """
    ids = list(now)
    words = [(_mean_words(now[name]), _mean_words(then[name])) for name in ids]
    equal = [
        (_mean_value(now[name], min(both)), _mean_value(then[name], min(both)))
        for name, both in zip(ids, words, strict=True)
    ]
    whole = [(_mean_value(now[name]), _mean_value(then[name])) for name in ids]
    kept = [mine - theirs for mine, theirs in equal]
    rest = [mine - theirs - same for (mine, theirs), same in zip(whole, kept, strict=True)]

    def estimated(differences: Sequence[float]) -> Estimate:
        found = compare_paired(
            differences,
            [0.0] * len(ids),
            clusters=[clusters[name] for name in ids],
            unit_ids=ids,
            confidence_level=confidence_level,
        )
        return with_extra_variance(found, relative_variance * found.value**2)

    return ByLength(
        estimated(kept),
        estimated(rest),
        sum(mine for mine, _ in words) / len(words),
        sum(theirs for _, theirs in words) / len(words),
    )


def _mean_words(curves: Sequence[Curve]) -> float:
    return sum(curve[-1][0] for curve in curves) / len(curves)


def _mean_value(curves: Sequence[Curve], words: float = float("inf")) -> float:
    """Return the mean value of responses that are cut at a number of words."""
    return sum(next(value for n, value in reversed(curve) if n <= words) for curve in curves) / len(curves)
