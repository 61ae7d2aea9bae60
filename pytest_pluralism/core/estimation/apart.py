"""A single change that stands apart from all others: where one question was turned round, more may have been."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_pluralism.core.records import Estimate

__all__ = ["GAPS_APART", "MOST_CLUSTERS", "N_OTHERS", "RARE_SHARE", "Apart", "change_apart"]

#: A change stands apart when the gap to the next one is more than so many times what the gaps after it lead to expect
#: (measured by ``tools/try_change_rules.py``; docs/explanation/statistics.md shows the table).
GAPS_APART = 3.0

#: The number of these other gaps.
N_OTHERS = 7

#: The share of questions that a release may turn round without being seen.
RARE_SHARE = 0.03

#: Of so many clusters 1 % of samples at most hold none of a share ``RARE_SHARE``, so that the interval sees them.
MOST_CLUSTERS = math.floor(math.log(0.01) / math.log(1.0 - RARE_SHARE))


@dataclass(frozen=True)
class Apart:
    """A change that stands apart.

    Attributes
    ----------
    name : str
        The cluster that changed; empty where the estimate keeps no names.
    change, next_change : float
        Its change, and the next one in the same direction.
    n_clusters : int
        The number of clusters that were compared.
    """

    name: str
    change: float
    next_change: float
    n_clusters: int


def change_apart(change: Estimate, /, *, margin: float) -> Apart | None:
    r"""Return the change of a single cluster that stands apart from the others; ``None`` where none does.

    .. math:: x_{(1)} - x_{(2)} > \frac{3}{7} \sum_{k=2}^{8} k \, (x_{(k)} - x_{(k+1)})

    for changes in descending order, or for their opposites. Under an exponential tail the gaps have the expectations
    1, 1/2, 1/3, ..., so that neither the size nor the spread of the noise enters the rule. A question that was turned
    round for the better counts, because others may have been turned round for the worse.

    Parameters
    ----------
    change : Estimate
        A paired difference that keeps its units.
    margin : float
        The promised margin, in [0, inf): a change within it does not stand apart.

    Returns
    -------
    Apart or None
        The larger of the two where both ends stand apart. ``None`` for fewer than 9 clusters, and for more than
        ``MOST_CLUSTERS`` (151), which hold rare changes often enough for the interval to show them.

    References
    ----------
    A. Rényi, "On the theory of order statistics", Acta Math. Acad. Sci. Hung. 4, 1953, doi:10.1007/BF02127580 (the
    gaps of an exponential sample).
    """
    moved = _by_cluster(change)
    if not N_OTHERS + 2 <= len(moved) <= MOST_CLUSTERS:
        return None
    found = []
    for side in (1.0, -1.0):
        largest = sorted(((side * value, name) for name, value in moved), reverse=True)[: N_OTHERS + 2]
        values = [value for value, _ in largest]
        if values[0] > margin and _is_apart(values):
            found.append(Apart(largest[0][1], side * values[0], side * values[1], len(moved)))
    return max(found, key=lambda one: abs(one.change), default=None)


def _is_apart(values: Sequence[float]) -> bool:
    gaps = [place * (above - below) for place, (above, below) in enumerate(pairwise(values), 1)]
    return gaps[0] > GAPS_APART * sum(gaps[1:]) / N_OTHERS


def _by_cluster(change: Estimate) -> list[tuple[str, float]]:
    """Return the mean change of each cluster, by name."""
    names = change.clusters or change.unit_ids or tuple(map(str, range(len(change.values))))
    groups: dict[str, list[float]] = defaultdict(list)
    for name, value in zip(names, change.values, strict=True):
        groups[name].append(value)
    named = bool(change.clusters or change.unit_ids)
    return [(name if named else "", math.fsum(values) / len(values)) for name, values in groups.items()]
