"""From votes as a source gives them to a panel: everything is checked, and all that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.panels.records import (
    MOST_VOTES,
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
    make_panel,
    shown,
)
from pytest_pluralism.datasets.reading import Problems

__all__ = ["ReadVote", "assemble_panel", "reversed_jurors"]

#: A juror whose votes correlate this negatively with the others', over so many responses, may have read the scale the
#: wrong way round.
REVERSED_CORRELATION = -0.5
REVERSED_LEAST = 8


@dataclass(frozen=True, slots=True)
class ReadVote:
    """One vote as a source gives it, unchecked, and the place where it stands; ``None`` is a missing vote."""

    juror: Any
    query: Any
    response: Any
    value: Any
    where: str = ""


def assemble_panel(
    name: str,
    votes: Iterable[ReadVote],
    /,
    *,
    problems: Problems,
    jurors: Sequence[Juror] | None = None,
    queries: Sequence[PanelQuery] | None = None,
    scale: UtilityScale | None = None,
    source: str = "",
    leave_out_empty: bool = False,
) -> Panel:
    """Check what was read and make the record.

    Parameters
    ----------
    name : str
        The name of the panel.
    votes : iterable of ReadVote
        The votes, in any order.
    problems : Problems
        What the reader has already found; raised together with what is found here.
    jurors, queries : sequence, optional
        Who and what is declared. Where they are, a vote by anybody or on anything else is an error; without them they
        are those of the votes, and a query or response without a text is its own.
    scale : UtilityScale, optional
        The scale. Without one the votes must be utilities in [0, 1], which are taken as they are.
    source : str
        Where the votes come from.
    leave_out_empty : bool
        Leave out jurors and queries without any vote, and count them in ``source``, instead of refusing them: for
        sources that a user cannot correct.

    Returns
    -------
    Panel
        With at least one juror and one query.

    Raises
    ------
    DatasetError
        If anything is wrong; up to ten problems are named.
    """
    declared = scale
    scale = scale or UtilityScale(0.0, 1.0, mapped=False)
    juror_places: dict[str, int] = {}
    for juror in jurors or ():
        if juror.juror_id in juror_places:
            problems.add("", f"juror {juror.juror_id!r} is declared twice; keep one")
        juror_places.setdefault(juror.juror_id, len(juror_places))
    response_places: dict[tuple[str, str], int] = {}
    texts: dict[str, dict[str, PanelResponse]] = {}
    query_texts: dict[str, str] = {}
    for query in queries or ():
        if query.query_id in texts:
            problems.add("", f"query {query.query_id!r} is declared twice; keep one")
        texts[query.query_id] = {response.response_id: response for response in query.responses}
        query_texts[query.query_id] = query.text
    who: list[int] = []
    what: list[tuple[str, str]] = []
    values: list[float] = []
    seen: dict[tuple[int, str, str], str] = {}
    asked: set[int] = set()
    for vote in votes:
        before = len(problems.found)
        for part, label in ((vote.juror, "juror"), (vote.query, "query"), (vote.response, "response")):
            if not isinstance(part, str) or not part.strip():
                problems.add(vote.where, f"{label!r} must be a non-empty string, not {shown(part)}")
        if len(problems.found) > before:
            continue
        if vote.juror not in juror_places:
            if jurors is not None:
                problems.add(
                    vote.where,
                    f"{unknown_name('juror', vote.juror, list(juror_places))} Declare this juror, or correct the name.",
                )
                continue
            juror_places[vote.juror] = len(juror_places)
        if vote.query not in texts:
            if queries is not None:
                known = unknown_name("query", vote.query, list(texts))
                problems.add(vote.where, f"{known} Declare this query, or correct the name.")
                continue
            texts[vote.query] = {}
            query_texts[vote.query] = vote.query
        texts[vote.query].setdefault(vote.response, PanelResponse(vote.response, vote.response))
        place = juror_places[vote.juror]
        asked.add(place)
        key = (place, vote.query, vote.response)
        if key in seen:
            problems.add(
                vote.where,
                f"juror {vote.juror!r} votes a second time on query {vote.query!r}, response {vote.response!r} (first "
                f"at {seen[key] or 'an earlier place'}); keep one of the two",
            )
            continue
        seen[key] = vote.where
        value = vote.value
        if value is None:
            continue
        if not is_number(value):
            problems.add(vote.where, f"the vote must be a finite number, not {shown(value)}; leave a missing vote out")
            continue
        if not scale.contains(float(value)):
            on = f"[{scale.lowest:g}, {scale.highest:g}]" + (f" in {scale.levels} levels" if scale.levels else "")
            how = 'declare the scale: scale={"lowest": ..., "highest": ...}, or such a row of a JSON file'
            remedy = "correct it or the scale" if declared else how
            problems.add(vote.where, f"the vote {value:g} of juror {vote.juror!r} is not on the scale {on}; {remedy}")
            continue
        if len(values) >= MOST_VOTES:
            problems.add(vote.where, f"holds more than {MOST_VOTES:,} votes; split the panel or select queries")
            break
        who.append(place)
        what.append((vote.query, vote.response))
        values.append(float(value))
    if not values and not problems.found and not any(juror.statement for juror in jurors or ()):
        problems.add("", "holds no vote at all; a panel needs one, or jurors with statements")
    members = list(jurors) if jurors is not None else [Juror(juror_id) for juror_id in juror_places]
    _check_jurors(members, problems)
    voted, on = set(who), {query for query, _ in what}
    empty = [one.juror_id for place, one in enumerate(members) if place not in voted and not one.statement]
    blank = [query for query in texts if query not in on]
    if any(juror.statement for juror in members):
        blank = []
    if values and not leave_out_empty:
        for kind, names in (("juror", empty), ("query", blank)):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                problems.add("", f"{kind} {names[0]!r}{more} has no vote at all; remove it, or add its votes")
    problems.raise_if_any()
    members = _of_a_size_that_adds_up(members)
    if leave_out_empty and (empty or blank):
        gone = {place for place, one in enumerate(members) if one.juror_id in set(empty)}
        new = np.cumsum([place not in gone for place in range(len(members))]) - 1
        who = [int(new[place]) for place in who]
        members = [one for place, one in enumerate(members) if place not in gone]
        texts = {query: found for query, found in texts.items() if query in on}
        source += f"; left out: {len(empty)} juror(s) and {len(blank)} querie(s) without a vote"
    asked_queries = tuple(
        PanelQuery(query, query_texts[query], tuple(found.values())) for query, found in texts.items()
    )
    for query, found in texts.items():
        for response in found:
            response_places[query, response] = len(response_places)
    panel = make_panel(
        name,
        tuple(members),
        asked_queries,
        scale,
        who,
        [response_places[pair] for pair in what],
        values,
        source=source,
    )
    return replace(panel, warnings=tuple(_warnings(panel)))


def _check_jurors(jurors: Sequence[Juror], problems: Problems) -> None:
    for juror in jurors:
        weight = juror.weight
        if not is_number(weight) or weight < 0:
            problems.add("", f"juror {juror.juror_id!r}: the weight must be a number in [0, inf), not {shown(weight)}")
            return
    if jurors and not any(juror.weight for juror in jurors):
        problems.add("", "every juror has the weight 0; give at least one a positive weight")


def _of_a_size_that_adds_up(jurors: list[Juror]) -> list[Juror]:
    """Return jurors whose weights can be summed: only their ratios count, so that huge or tiny ones are scaled."""
    largest = max((float(juror.weight) for juror in jurors), default=1.0)
    if 1e-150 <= largest <= 1e150:
        return jurors
    return [replace(juror, weight=float(juror.weight) / largest) for juror in jurors]


def reversed_jurors(panel: Panel, /) -> dict[str, float]:
    """Return the jurors whose votes correlate strongly negatively with the mean of the others', and how strongly.

    Only jurors with at least eight votes on responses that others voted on are looked at.
    """
    values, who, what = panel.utilities, panel.vote_jurors, panel.vote_responses
    if not len(values):
        return {}
    totals, counts = np.bincount(what, weights=values), np.bincount(what)
    use = counts[what] > 1
    own, who, what = values[use], who[use], what[use]
    others = (totals[what] - own) / (counts[what] - 1)
    n_jurors = len(panel.jurors)
    n = np.bincount(who, minlength=n_jurors).astype(np.float64)
    safe = np.maximum(n, 1.0)
    own = own - (np.bincount(who, own, n_jurors) / safe)[who]
    others = others - (np.bincount(who, others, n_jurors) / safe)[who]
    together = np.bincount(who, own * others, n_jurors)
    spread = np.sqrt(np.bincount(who, own**2, n_jurors) * np.bincount(who, others**2, n_jurors))
    correlation = np.where(spread > 1e-12, together / np.where(spread > 1e-12, spread, 1.0), 0.0)
    found = np.flatnonzero((n >= REVERSED_LEAST) & (correlation <= REVERSED_CORRELATION))
    return {panel.jurors[place].juror_id: float(correlation[place]) for place in found.tolist()}


def _warnings(panel: Panel) -> Iterable[str]:
    odd = reversed_jurors(panel)
    if odd:
        worst = min(odd, key=lambda one: odd[one])
        yield (
            f"reversed scale suspected for {len(odd)} of {len(panel.jurors)} jurors: their votes run against those of "
            f"the others (worst: {worst}, correlation {odd[worst]:.2f}); check the direction of their scale"
        )
