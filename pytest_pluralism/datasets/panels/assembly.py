"""Check the votes that a reader of panels found, and make the record of them: the one place for all readers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.names import Names, clean_name
from pytest_pluralism.datasets.panels.records import (
    MOST_VOTES,
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
    make_panel,
)
from pytest_pluralism.datasets.reading import Problems, shown

__all__ = ["ReadVote", "VoteColumns", "assemble_panel", "reversed_jurors"]

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


IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass
class VoteColumns:
    """Many votes as a source gives them, in columns, so that millions of them fit into little memory.

    Attributes
    ----------
    where : callable
        Returns the place of the vote of a row.
    jurors, responses : list
        The different jurors, and pairs of a query and a response, with clean names.
    who, what : array of int
        For each vote the places in ``jurors`` and ``responses``.
    values : array of float
        The votes; NaN for a missing one, and for those in ``odd``.
    odd : dict
        The votes that are not finite numbers, by their rows.
    """

    where: Callable[[int], str]
    jurors: list[str] = field(default_factory=list)
    responses: list[tuple[str, str]] = field(default_factory=list)
    who: array[int] = field(default_factory=lambda: array("q"))
    what: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    odd: dict[int, object] = field(default_factory=dict)

    def add(self, who: int, what: int, vote: float | str | None) -> None:
        """Take in one vote as it stands in its cell."""
        if isinstance(vote, float) and math.isfinite(vote):
            self.values.append(vote)
        else:
            if vote is not None:
                self.odd[len(self.values)] = vote
            self.values.append(math.nan)
        self.who.append(who)
        self.what.append(what)

    def extend(self, who: Sequence[int], what: Sequence[int], votes: Sequence[float]) -> None:
        """Take in many votes, each a finite number."""
        self.who.extend(who)
        self.what.extend(what)
        self.values.extend(votes)

    def add_row(self, who: int, votes: Sequence[float], odd: Mapping[int, object]) -> None:
        """Take in the votes of a juror on all responses."""
        start = len(self.values)
        self.odd.update({start + place: vote for place, vote in odd.items()})
        self.values.extend(votes)
        self.who.extend([who] * len(votes))
        self.what.extend(range(len(votes)))

    def arrays(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Return ``who``, ``what`` and ``values``."""
        who, what = np.frombuffer(self.who, np.int64), np.frombuffer(self.what, np.int64)
        return who, what, np.frombuffer(self.values, np.float64)

    @property
    def keys(self) -> IntArray:
        """A number for each vote, the same where a juror votes on the same response."""
        return np.frombuffer(self.who, np.int64) * max(len(self.responses), 1) + np.frombuffer(self.what, np.int64)

    @property
    def n_repeated(self) -> int:
        """The number of votes of a juror on a response on which the juror has voted before."""
        # To sort is faster than to count the different ones.
        keys = np.sort(self.keys)
        return int(np.count_nonzero(keys[1:] == keys[:-1]))

    def vote(self, row: int) -> ReadVote:
        """Return one vote with its place."""
        value: object = self.values[row]
        if row in self.odd:
            value = self.odd[row]
        elif self.values[row] != self.values[row]:
            value = None
        return ReadVote(self.jurors[self.who[row]], *self.responses[self.what[row]], value, self.where(row))


def assemble_panel(
    name: str,
    votes: Iterable[ReadVote] | VoteColumns,
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
    votes : iterable of ReadVote, or VoteColumns
        The votes, in any order.
    problems : Problems
        The problems that the reader has found; raised together with those that are found here.
    jurors, queries : sequence, optional
        The declared jurors and queries. Where they are declared, a vote by or on any other is an error; otherwise they
        are those of the votes, and the text of a query or response is its name.
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
    cast = _Cast(problems, scale or UtilityScale(0.0, 1.0, mapped=False), scale is not None, jurors, queries)
    if isinstance(votes, VoteColumns):
        cast.add_columns(votes)
    else:
        for vote in votes:
            cast.add(vote)
    if source:
        missing = cast.n_seen - len(cast.values)
        source += f"; {len(cast.values)} votes read" + (f", {missing} missing" if missing else "")
    if not cast.values and not problems.count and not any(juror.statement for juror in jurors or ()):
        problems.add("", "holds no vote at all; a panel needs one, or jurors with statements")
    members = list(jurors) if jurors is not None else [Juror(juror_id) for juror_id in cast.juror_places]
    _check_jurors(members, problems)
    pairs = list(cast.pairs)
    voted, on = set(cast.who), {pairs[place][0] for place in set(cast.what)}
    empty = {place for place, one in enumerate(members) if place not in voted and not one.statement}
    blank = {query for query in cast.texts if query not in on and not any(juror.statement for juror in members)}
    if cast.values and not leave_out_empty:
        for kind, names in (
            ("juror", [members[place].juror_id for place in sorted(empty)]),
            ("query", [query for query in cast.texts if query in blank]),
        ):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                problems.add("", f"{kind} {names[0]!r}{more} has no vote at all; remove it, or add its votes")
    problems.raise_if_any()
    members = _of_a_size_that_adds_up(members)
    who, what = np.frombuffer(cast.who, dtype=np.int64), np.frombuffer(cast.what, dtype=np.int64)
    if leave_out_empty and (empty or blank):
        new = np.cumsum([place not in empty for place in range(len(members))]) - 1
        who = new[who]
        members = [one for place, one in enumerate(members) if place not in empty]
        cast.texts = {query: found for query, found in cast.texts.items() if query not in blank}
        source += f"; left out: {len(empty)} juror(s) and {len(blank)} querie(s) without a vote"
    responses = ((query, response) for query, found in cast.texts.items() for response in found)
    places = {pair: place for place, pair in enumerate(responses)}
    panel = make_panel(
        name,
        tuple(members),
        tuple(PanelQuery(query, cast.query_texts[query], tuple(found.values())) for query, found in cast.texts.items()),
        cast.scale,
        who,
        np.array([places.get(pair, -1) for pair in pairs], dtype=np.int64)[what] if pairs else what,
        np.frombuffer(cast.values),
        source=source,
    )
    return replace(panel, warnings=tuple(_warnings(panel)))


@dataclass
class _Cast:
    """The votes that were cast, checked against the jurors and queries that are declared."""

    problems: Problems
    scale: UtilityScale
    scale_is_declared: bool
    jurors: Sequence[Juror] | None
    queries: Sequence[PanelQuery] | None
    juror_places: dict[str, int] = field(default_factory=dict)
    texts: dict[str, dict[str, PanelResponse]] = field(default_factory=dict)
    query_texts: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[int, str, str], str] = field(default_factory=dict)
    n_seen: int = 0
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    who: array[int] = field(default_factory=lambda: array("q"))
    what: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    clean: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for juror in self.jurors or ():
            if juror.juror_id in self.juror_places:
                self.problems.add("", f"juror {juror.juror_id!r} is declared twice; keep one")
            self.juror_places.setdefault(juror.juror_id, len(self.juror_places))
        for query in self.queries or ():
            if query.query_id in self.texts:
                self.problems.add("", f"query {query.query_id!r} is declared twice; keep one")
            self.texts[query.query_id] = {response.response_id: response for response in query.responses}
            self.query_texts[query.query_id] = query.text

    def add(self, vote: ReadVote) -> None:
        """Check one vote and take it in; a missing one is only placed."""
        vote = self._named(vote)
        place = self._place(vote)
        if place is None:
            return
        key = (place, vote.query, vote.response)
        if key in self.seen:
            self.problems.add(
                vote.where,
                f"juror {vote.juror!r} votes a second time on query {vote.query!r}, response {vote.response!r} (first "
                f"at {self.seen[key] or 'an earlier place'}); keep one of the two",
            )
            return
        self.seen[key] = vote.where
        self.n_seen += 1
        value = vote.value
        if value is None:
            return
        if not is_number(value):
            what = f"the vote must be a finite number, not {shown(value)}; leave a missing vote out"
            self.problems.add(vote.where, what)
        elif not self.scale.contains(float(value)):
            on = f"[{self.scale.lowest:g}, {self.scale.highest:g}]"
            on += f" in {self.scale.levels} levels" if self.scale.levels else ""
            how = 'declare the scale: scale={"lowest": ..., "highest": ...} in the marker, '
            how += "--scale=1,5 for pluralism check, or such a row of a JSON file"
            remedy = "correct it or the scale" if self.scale_is_declared else how
            what = f"the vote {value:g} of juror {vote.juror!r} is not on the scale {on}; {remedy}"
            self.problems.add(vote.where, what)
        elif len(self.values) >= MOST_VOTES:
            self.problems.add(vote.where, f"holds more than {MOST_VOTES:,} votes; split the panel or select queries")
            self.problems.raise_if_any()
        else:
            self.who.append(place)
            pair = (vote.query, vote.response)
            self.what.append(self.pairs.setdefault(pair, len(self.pairs)))
            self.values.append(float(value))

    def add_columns(self, votes: VoteColumns) -> None:
        """Check many votes and take them in; only those that are not in order are looked at one by one."""
        who, what, values = votes.arrays()
        missing = np.isnan(values)
        missing[list(votes.odd)] = False
        wrong = ~missing & ~self._on_scale(values)
        known = [self._is_known(name, self.juror_places, self.jurors) for name in votes.jurors]
        answered = [
            self._is_known(query, self.texts, self.queries) and bool(response.strip())
            for query, response in votes.responses
        ]
        cast_by, cast_on = np.array(known, bool), np.array(answered, bool)
        wrong |= ~cast_by[who] | ~cast_on[what]
        if votes.n_repeated:
            _, places, counts = np.unique(votes.keys, return_inverse=True, return_counts=True)
            wrong |= counts[places] > 1
        for row in np.flatnonzero(wrong).tolist():
            # Each is a problem, or the first of two votes.
            self.add(votes.vote(row))
        right = ~wrong & ~missing
        if len(self.values) + int(right.sum()) > MOST_VOTES:
            self.problems.add("", f"holds more than {MOST_VOTES:,} votes; split the panel or select queries")
            self.problems.raise_if_any()
        self.n_seen += int((~wrong).sum())
        # The names of votes that are wrong stand for nothing.
        jurors = [
            self.juror_places.setdefault(name, len(self.juror_places)) if is_known else -1
            for name, is_known in zip(votes.jurors, cast_by.tolist(), strict=True)
        ]
        pairs = [-1] * len(votes.responses)
        for place, (query, response) in enumerate(votes.responses):
            if cast_on[place]:
                self.query_texts.setdefault(query, query)
                self.texts.setdefault(query, {}).setdefault(response, PanelResponse(response, response))
                pairs[place] = self.pairs.setdefault((query, response), len(self.pairs))
        if right.any():
            self.who.frombytes(np.array(jurors, np.int64)[who[right]].tobytes())
            self.what.frombytes(np.array(pairs, np.int64)[what[right]].tobytes())
            self.values.frombytes(values[right].tobytes())

    def _on_scale(self, values: FloatArray) -> npt.NDArray[np.bool_]:
        different, places = np.unique(values, return_inverse=True)
        known = np.array([self.scale.contains(value) for value in different.tolist()], bool)
        return known[places] if len(values) else np.zeros(0, bool)

    @staticmethod
    def _is_known(name: str, known: Mapping[str, object], declared: Sequence[object] | None) -> bool:
        return bool(name.strip()) and (declared is None or name in known)

    def _named(self, vote: ReadVote) -> ReadVote:
        """Return a vote whose names have one Unicode form, each name cleaned once."""
        given = (vote.juror, vote.query, vote.response)
        if all(isinstance(name, str) and name in self.clean for name in given):
            return vote
        changed = {}
        for part, name in zip(("juror", "query", "response"), given, strict=True):
            if isinstance(name, str) and name not in self.clean:
                changed[part] = clean_name(name)
                self.clean.add(changed[part])
        return replace(vote, **changed)

    def _place(self, vote: ReadVote) -> int | None:
        """Return the place of the juror of a vote, and make one for what is new where nothing is declared."""
        before = self.problems.count
        for part, label in ((vote.juror, "juror"), (vote.query, "query"), (vote.response, "response")):
            if not isinstance(part, str) or not part.strip():
                self.problems.add(vote.where, f"{label!r} must be a non-empty string, not {shown(part)}")
        if self.problems.count > before:
            return None
        for name, kind, known, declared in (
            (vote.juror, "juror", self.juror_places, self.jurors),
            (vote.query, "query", self.texts, self.queries),
        ):
            if name not in known and declared is not None:
                hint = "" if self.problems.are_many else unknown_name(kind, name, list(known))
                what = f"{hint} Declare this {kind}, or correct the name."
                self.problems.add(vote.where, what)
                return None
        self.query_texts.setdefault(vote.query, vote.query)
        self.texts.setdefault(vote.query, {}).setdefault(vote.response, PanelResponse(vote.response, vote.response))
        return self.juror_places.setdefault(vote.juror, len(self.juror_places))


def _check_jurors(jurors: Sequence[Juror], problems: Problems) -> None:
    for juror in jurors:
        weight = juror.weight
        if not is_number(weight) or weight < 0:
            problems.add("", f"juror {juror.juror_id!r}: the weight must be a number in [0, inf), not {shown(weight)}")
            return
    names: dict[str, Names] = {}
    for juror in jurors:
        for kind, group in juror.attributes.items():
            where = f"juror {juror.juror_id!r}"
            called = names.setdefault(kind, Names("group" if kind == "group" else f"{kind} group"))
            if alike := called.alike(group, where):
                problems.add(where, alike)
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
