"""Weights that make a sample agree with the known shares of a population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.parameters import FloatArray

__all__ = ["rake"]

#: The largest difference between a share of the weights and that of the population.
TOLERANCE = 1e-9
MOST_ROUNDS = 1000


def rake(groups: Mapping[str, Sequence[str]], margins: Mapping[str, Mapping[str, float]], /) -> FloatArray:
    r"""Return weights under which a sample has the shares of a population in every kind of group at once.

    Iterative proportional fitting: each round multiplies, one kind after the other, the weights of each group by
    :math:`t_g / \sum_{i \in g} w_i` with the share :math:`t_g` of the population, until nothing changes.

    Parameters
    ----------
    groups : mapping of str to sequence of str, shape (n_people,)
        For each kind the group of each person of the sample.
    margins : mapping of str to mapping of str to float
        For each kind that counts, for each group its share or count in the population, above 0: a census table.

    Returns
    -------
    ndarray of shape (n_people,)
        Weights above 0, with the mean 1.

    Raises
    ------
    InvalidParameterError
        A kind or a group is unknown, a share is not above 0, a group of the sample has no share, a group of the
        population has nobody in the sample, or the shares cannot all be met.

    References
    ----------
    W. E. Deming, F. F. Stephan, Annals of Mathematical Statistics 11, 1940, doi:10.1214/aoms/1177731829.

    Examples
    --------
    >>> rake({"sex": ["f", "f", "f", "m"]}, {"sex": {"f": 0.5, "m": 0.5}}).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    sizes = {len(one) for one in groups.values()}
    if not groups or not margins or len(sizes) != 1 or not next(iter(sizes)):
        must = "a group for each of the same people, at least one, with margins"
        raise invalid_parameter("groups", "rake", must, f"{sorted(sizes)} people and {len(margins)} margins")
    masks: list[tuple[np.ndarray, float]] = []
    for kind, shares in margins.items():
        if kind not in groups:
            raise InvalidParameterError(unknown_name("kind of group", kind, list(groups)))
        if not shares or not all(is_number(one) and one > 0 for one in shares.values()):
            raise invalid_parameter("margins", "rake", f"shares above 0 for {kind!r}", repr(dict(shares))[:80])
        here = np.asarray(groups[kind], dtype=object)
        odd = sorted(set(map(str, here)) ^ set(shares))
        if odd:
            raise invalid_parameter("margins", "rake", f"of the groups that the sample has of {kind!r}", repr(odd[:4]))
        total = float(sum(shares.values()))
        masks += [(here == group, share / total) for group, share in shares.items()]
    weights = np.full(next(iter(sizes)), 1.0 / next(iter(sizes)))
    for _ in range(MOST_ROUNDS):
        for mask, share in masks:
            weights[mask] *= share / weights[mask].sum()
        if max(abs(float(weights[mask].sum()) - share) for mask, share in masks) < TOLERANCE:
            found: FloatArray = weights * len(weights)
            return found
    raise InvalidParameterError(
        "The shares of the margins cannot all be met by weights on this sample. Use fewer kinds, or join small groups."
    )
