"""Few changes that stand apart from all others: where one question was turned round, more may have been."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy import special

from pytest_pluralism.core.records import Estimate

__all__ = ["APART", "MOST_CLUSTERS", "RARE_SHARE", "Apart", "changes_apart"]

#: So many changes stand apart when the gap to the next one is more than so many times what the gaps after it lead to
#: expect. One is the usual case; several, such as two equal ones, must be far away (measured by
#: ``tools/try_change_rules.py``; docs/explanation/statistics.md shows the table).
APART = {1: 3.0, 2: 12.0, 3: 12.0, 4: 12.0, 5: 12.0}

#: The number of these other gaps.
N_OTHERS = 7

#: The share of questions that a release may turn round without being seen.
RARE_SHARE = 0.03

#: Of so many clusters 1 % of samples at most hold none of a share ``RARE_SHARE``, so that the interval sees them.
MOST_CLUSTERS = math.floor(math.log(0.01) / math.log(1.0 - RARE_SHARE))


@dataclass(frozen=True)
class Apart:
    """Changes that stand apart, in one direction.

    Attributes
    ----------
    names : tuple of str
        The clusters that changed, the largest change first; empty where the estimate keeps no names.
    change, next_change : float
        The smallest of their changes, and the next one in the same direction.
    n_apart, n_clusters : int
        Their number, and the number of clusters that were compared.
    """

    names: tuple[str, ...]
    change: float
    next_change: float
    n_apart: int
    n_clusters: int

    @property
    def largest_share(self) -> float:
        """The largest share of such clusters, with 95 % confidence (Clopper and Pearson, one-sided)."""
        return float(special.betaincinv(self.n_apart + 1, self.n_clusters - self.n_apart, 0.95))


def changes_apart(change: Estimate, /, *, least: float, room: float, longest: float = math.inf) -> Apart | None:
    r"""Return the few changes that stand apart from the others and leave a promise open; ``None`` where none do.

    .. math:: j \, (x_{(j)} - x_{(j+1)}) > c_j \, \frac{1}{7} \sum_{k=j+1}^{j+7} k \, (x_{(k)} - x_{(k+1)})

    for changes in descending order, or for their opposites, and j from 1 to 5. Under an exponential tail the gaps have
    the expectations 1, 1/2, 1/3, ..., so that neither the size nor the spread of the noise enters the rule. A question
    that was turned round for the better counts, because others may have been turned round for the worse.

    Parameters
    ----------
    change : Estimate
        A paired difference that keeps its units.
    least : float
        A change within this, in [0, inf), does not stand apart: the margin, or the noise of a single unit.
    room : float
        By how much the mean may still change before the promise is broken, in [0, inf). Where the largest share of
        such clusters could not use it up, even if each made the longest change, nothing is left open.
    longest : float
        The longest change that a cluster can make: the length of the scale.

    Returns
    -------
    Apart or None
        Those with the largest change where both ends stand apart. ``None`` for fewer than 9 clusters, and for more
        than ``MOST_CLUSTERS`` (151), which hold rare changes often enough for the interval to show them.

    References
    ----------
    A. Rényi, "On the theory of order statistics", Acta Math. Acad. Sci. Hung. 4, 1953, doi:10.1007/BF02127580 (the
    gaps of an exponential sample). C. J. Clopper, E. S. Pearson, Biometrika 26, 1934, doi:10.1093/biomet/26.4.404.
    """
    moved = _by_cluster(change)
    if not N_OTHERS + 2 <= len(moved) <= MOST_CLUSTERS:
        return None
    found = []
    for side in (1.0, -1.0):
        ordered = sorted(((side * value, name) for name, value in moved), reverse=True)
        values = [value for value, _ in ordered]
        n_apart = _number_apart(values, least)
        if n_apart:
            names = tuple(name for _, name in ordered[:n_apart] if name)
            ends_of = side * values[n_apart - 1], side * values[n_apart]
            found.append(Apart(names, *ends_of, n_apart, len(moved)))
    open_ones = [one for one in found if one.largest_share * longest > room]
    return max(open_ones, key=lambda one: abs(one.change), default=None)


def _number_apart(values: Sequence[float], least: float) -> int:
    """Return how many of the first values stand apart; 0 where none do."""
    gaps = [place * (above - below) for place, (above, below) in enumerate(pairwise(values), 1)]
    for n_apart, times in APART.items():
        others = gaps[n_apart : n_apart + N_OTHERS]
        if len(others) < N_OTHERS or values[n_apart - 1] <= least:
            break
        if gaps[n_apart - 1] > times * sum(others) / N_OTHERS:
            return n_apart
    return 0


def _by_cluster(change: Estimate) -> list[tuple[str, float]]:
    """Return the mean change of each cluster, by name."""
    names = change.clusters or change.unit_ids
    groups: dict[str, list[float]] = defaultdict(list)
    for place, value in enumerate(change.values):
        groups[names[place] if names else str(place)].append(value)
    return [(name if names else "", math.fsum(values) / len(values)) for name, values in groups.items()]
