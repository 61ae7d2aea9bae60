"""Numbers for the views of a jury in a report: curves, groups, inequality, the worst-off, and agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from pytest_pluralism.core.estimation.welfare_bands import welfare_band
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics.jury import conditional_value_at_risk, gini_coefficient
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, group_means, juror_means
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.jurors import scale_range
from pytest_pluralism.evaluation.jury.settings import JurySettings
from pytest_pluralism.evaluation.measures.agreement import MOST_CELLS, krippendorff_alpha

__all__ = ["SWEEP", "agreement", "jury_details"]

#: The aversions of the curve in the report.
SWEEP = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)

#: The share of the jury, by weight, that the views call the worst-off.
WORST_SHARE = 0.1


def jury_details(
    panel: Panel,
    full: JuryTable,
    table: JuryTable,
    settings: JurySettings,
    by_group: Mapping[str, float],
    made: Mapping[str, object],
    /,
) -> dict[str, object]:
    """Return what the views of a report are made from."""
    positive = not len(table.utility) or float(table.utility.min()) > 0.0
    alphas = [alpha for alpha in SWEEP if positive or alpha < 1.0]
    if len(table.utility) and float(table.utility.min()) < 0.0:
        alphas = [0.0]
    details: dict[str, object] = {
        "rule": settings.rule.words,
        "scale": panel.scale.as_json(),
        "jurors": {**made, "n": len(panel.jurors), "votes": panel.n_votes},
        "by_group": dict(by_group),
        "curve": welfare_band(
            table,
            alphas=alphas,
            confidence_level=settings.confidence_level,
            whole_jury=settings.whole_jury,
            scale=scale_range(panel),
            seed=settings.seed,
        ).as_json(),
        "worst_off": _worst_off(panel, table),
    }
    if len(full.group_names) > 1 and settings.group is None:
        curves = [group_means(full, WelfareRule(alpha=alpha)) for alpha in alphas]
        details["curve_by_group"] = {
            name: [finite_or_none(float(curve[name])) for curve in curves] for name in full.group_names
        }
    means = juror_means(table)
    counted = np.isfinite(means) & (table.weights > 0.0)
    if int(counted.sum()) > 1:
        means, weights = means[counted], table.weights[counted]
        if means.min() >= 0.0 and means.max() > 0.0:
            details["gini"] = float(gini_coefficient(means, weights=weights))
        details["worst_decile"] = float(conditional_value_at_risk(means, share=WORST_SHARE, weights=weights))
    found = agreement(panel)
    if found is not None:
        details["agreement"] = found
    return details


def _worst_off(panel: Panel, table: JuryTable, *, most: int = 5) -> list[dict[str, object]]:
    """Return the jurors who are served worst, and the query that serves each worst; those of weight 0 do not count."""
    means = np.where(table.weights > 0.0, juror_means(table), np.nan)
    result = []
    for place in np.argsort(np.where(np.isfinite(means), means, np.inf), kind="stable")[:most].tolist():
        if not np.isfinite(means[place]):
            break
        mine = np.flatnonzero(table.juror == place)
        query = table.response_query[table.response[mine]]
        share = table.share[table.response[mine]]
        total = np.bincount(query, share, table.n_queries)
        sums = np.bincount(query, share * table.utility[mine], table.n_queries)
        by_query = np.where(total > 0.0, sums / np.where(total > 0.0, total, 1.0), np.inf)
        juror = panel.jurors[place]
        result.append(
            {
                "juror": juror.juror_id,
                "kind": juror.kind,
                "attributes": dict(juror.attributes),
                "mean": float(means[place]),
                "worst_query": panel.queries[int(by_query.argmin())].query_id,
                "worst_value": float(by_query.min()),
            }
        )
    return result


def agreement(panel: Panel, /) -> float | None:
    """Return Krippendorff's alpha of the votes, ordinal or interval as the scale is; ``None`` where it is not known.

    It needs the package ``krippendorff``, two jurors and votes that differ. Votes with more than 40 different values
    are rounded to a fortieth of the scale first, since the work grows with the square of their number.
    """
    if panel.sha256 not in _AGREEMENTS:
        _AGREEMENTS[panel.sha256] = _agreement(panel)
    return _AGREEMENTS[panel.sha256]


#: By the hash of the panel: every gate on a panel shows the same one.
_AGREEMENTS: dict[str, float | None] = {}


def _agreement(panel: Panel) -> float | None:
    if len(panel.jurors) * len(panel.responses) > MOST_CELLS:
        return None
    table = np.full((len(panel.jurors), len(panel.responses)), np.nan)
    table[panel.vote_jurors, panel.vote_responses] = panel.vote_values
    level: Literal["ordinal", "interval"] = "ordinal" if panel.scale.measurement == "ordinal" else "interval"
    return krippendorff_alpha(table, level=level, lowest=panel.scale.lowest, highest=panel.scale.highest)
