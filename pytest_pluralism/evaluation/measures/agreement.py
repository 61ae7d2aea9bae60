"""Agreement between people who judge the same things, through the package ``krippendorff``."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pytest_pluralism.core.parameters import FloatArray

__all__ = ["krippendorff_alpha"]

#: A table with more cells is not put together for this.
MOST_CELLS = 5_000_000

#: The work grows with the square of the number of values; more are rounded to so many steps of the scale.
MOST_VALUES = 40


def krippendorff_alpha(
    table: FloatArray,
    /,
    *,
    level: Literal["ordinal", "interval"],
    lowest: float = 0.0,
    highest: float = 1.0,
) -> float | None:
    """Return Krippendorff's alpha; ``None`` where it is not known.

    It needs the package ``krippendorff``, something that two people judged, and values that differ.

    Parameters
    ----------
    table : numpy.ndarray, shape (n_people, n_things)
        The rating of each item by each rater; NaN where there is none.
    level : {"ordinal", "interval"}
        Whether steps of the scale are equal.
    lowest, highest : float
        The ends of the scale.

    Returns
    -------
    float or None
        1 is perfect agreement, 0 that of chance.

    References
    ----------
    Krippendorff 2011, "Computing Krippendorff's alpha-reliability".
    """
    known = np.isfinite(table)
    values = np.unique(table[known])
    if table.size > MOST_CELLS or len(values) < 2 or not (known.sum(axis=0) > 1).any():
        return None
    try:
        import krippendorff
    except ImportError:
        return None
    if len(values) > MOST_VALUES:
        step = (highest - lowest) / MOST_VALUES
        table = np.round(table / step) * step
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level))
