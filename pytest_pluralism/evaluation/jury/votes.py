"""The votes behind a welfare: how many there are, whose they are, and whom they may not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, QueryWelfare, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import MOSTLY_JURORS, juror_share
from pytest_pluralism.core.parameters import BoolArray
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.settings import JurySettings

__all__ = [
    *("few_votes", "left_out_note", "missing_group", "missing_group_warnings", "vote_warnings"),
]

#: Single votes are told of from this share of the queries on: there they may carry the value.
TOLD_SHARE = 0.05

#: A group is said to be missing from a panel by chance when that happens in more than this share of panels.
CHANCE_OF_MISSING = 0.05

#: With fewer jurors than these more than one panel in twenty holds nobody of a group of 5 %, and where that group is
#: served badly 4 to 9 % of the intervals of a mean are too high instead of 2.5 % (measured:
#: docs/explanation/statistics.md).
SMALL_PANEL = 59


def few_votes(table: JuryTable, least: int, /) -> BoolArray:
    """Return which queries have a response that is given and has votes, but fewer than ``least``."""
    counts = np.bincount(table.response, table.weights[table.juror] > 0.0, len(table.share))
    few = (table.share > 0.0) & (counts > 0) & (counts < least)
    return np.asarray(np.bincount(table.response_query, few, table.n_queries) > 0)


def left_out_note(few: BoolArray, settings: JurySettings, name: str, /) -> list[str]:
    """Return what is to be said of queries that are left out, if any are.

    Raises
    ------
    InvalidParameterError
        If no query is left.
    """
    least = settings.votes_needed
    if few.all():
        raise InvalidParameterError(
            f"Panel {name}: every query has a response with fewer than {least} votes, which say too little of a jury "
            "for this measure. Lower 'least_votes', use alpha=0, or add votes."
        )
    if not few.any():
        return []
    votes = "a single vote" if least == 2 else f"fewer than {least} votes"
    told = f"{int(few.sum())} of {len(few)} queries have a response with {votes} and are left out"
    return [f"{told}: the measure speaks of the others (least_votes={least})"]


def vote_warnings(panel: Panel, table: JuryTable, settings: JurySettings, found: QueryWelfare, /) -> Iterator[str]:
    """Yield what is to be said of a welfare that single votes carry, or the votes of people on what they wrote."""
    known = np.isfinite(found.values)
    counts = np.bincount(table.response, table.weights[table.juror] > 0.0, len(table.share))
    alone = np.bincount(table.response_query, (table.share > 0.0) & (counts == 1), table.n_queries) > 0
    alone &= known
    n, n_alone = int(known.sum()), int(alone.sum())
    if n_alone >= max(1.0, TOLD_SHARE * n):
        told = f"{n_alone} of {n} queries have a response with a single vote, perhaps that of who wrote it"
        if n_alone < n:
            theirs, others = (float(found.values[one].mean()) for one in (alone, known & ~alone))
            told += f": their welfare is {theirs:.3f}, that of the others {others:.3f}"
        yield f"{told} (to leave them out: least_votes=2)"
    own = _own_votes(panel, table)
    if own.any():
        without = query_welfare(_without(table, own), settings.rule)
        both = known & np.isfinite(without.values)
        if not both.any():
            yield "nobody but their authors voted on the responses that are given"
            return
        moved = float((found.values - without.values)[both].mean())
        lost = int((known & ~both).sum())
        if lost or abs(moved) > found.standard_error / 2.0:
            rest = f", and {lost} of {n} queries have no other votes" if lost else ""
            yield (
                f"authors' own votes carry the value: without them it is {float(without.values[both].mean()):.3f} "
                f"instead of {float(found.values[both].mean()):.3f} on {int(both.sum())} queries{rest}"
            )


def missing_group(n_jurors: int, /) -> str:
    """Return what a panel of this size may not hold: a group that one in twenty such panels miss by chance."""
    share = 1.0 - CHANCE_OF_MISSING ** (1.0 / n_jurors)
    return (
        f"a group below {100.0 * share:.{0 if share >= 0.1 else 1}f} % of the people may be missing from this panel of "
        f"{n_jurors}, and nothing here would show how it is served"
    )


def missing_group_warnings(settings: JurySettings, found: QueryWelfare, /) -> Iterator[str]:
    """Yield which groups may be missing: in a small panel, or where one that is served badly counts for more."""
    n_jurors = int(np.isfinite(found.pseudo_values).sum())
    rule = settings.rule
    # Above an aversion of 0 a group that is served badly counts for more than its share.
    averse = max(rule.alpha, rule.between_alpha or 0.0) > 0.0 or rule.worst_share is not None
    averse = averse and rule.satisfied_above is None
    if settings.whole_jury or not n_jurors or not (averse or n_jurors < SMALL_PANEL):
        return
    yield missing_group(n_jurors)
    share = juror_share(found)
    if averse and share > MOSTLY_JURORS:
        yield (
            f"jurors differ far more than queries ({100.0 * share:.0f} % of the variance is theirs): in simulations of "
            "such juries 95 % intervals of an averse welfare held that of all jurors in 92 to 97 % of panels"
        )


def _own_votes(panel: Panel, table: JuryTable) -> BoolArray:
    """Return which cells are votes of people on responses that they wrote."""
    authors = [response.author for response in panel.responses]
    if len(authors) != len(table.share) or not any(authors):
        return np.zeros(len(table.juror), dtype=bool)
    places = {juror.juror_id: place for place, juror in enumerate(panel.jurors)}
    writer = np.array([places.get(author, -1) for author in authors], dtype=np.intp)
    return np.asarray(writer[table.response] == table.juror)


def _without(table: JuryTable, cells: BoolArray) -> JuryTable:
    keep = ~cells
    return replace(table, juror=table.juror[keep], response=table.response[keep], utility=table.utility[keep])
