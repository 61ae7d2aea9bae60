"""Panels: what responses are worth to jurors, with the scale on which they said so.

A panel is read from a file or computed from a source; nothing here asks a model or decides anything.
A vote that was not given is missing, never 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.parameters import FloatArray, IntArray
from pytest_pluralism.datasets.reading import Record, shown

__all__ = [
    "KINDS",
    "MOST_VOTES",
    "Juror",
    "Panel",
    "PanelQuery",
    "PanelResponse",
    "UtilityScale",
    "make_panel",
    "shown",
]


#: The most votes of one panel: they fit into 300 MB.
MOST_VOTES = 5_000_000

#: The most levels of a scale; with more it is a continuous one.
MOST_LEVELS = 1_000_000

#: The utility of the lowest value of a scale without levels.
DEFAULT_FLOOR = 0.01

#: The kinds of jurors.
KINDS = ("recorded", "estimated", "made up")


@dataclass(frozen=True)
class UtilityScale:
    r"""The scale on which votes were given, and its mapping to utilities in (0, 1].

    .. math:: u = f + (1 - f)\,\frac{v - \text{lowest}}{\text{highest} - \text{lowest}}

    with :math:`1 - (\dots)` for a scale on which lower is better, and :math:`f` the utility of the worst value.

    Attributes
    ----------
    lowest, highest : float
        The range of the votes; both can be given.
    higher_is_better : bool
        Which end of the range is the good one.
    measurement : {"cardinal", "ordinal"}
        Whether differences between values mean something. On an ordinal scale the mapping takes the steps to be equal,
        which welfare depends on, and the satisfied share and the leximin order do not.
    levels : int or None
        Number of different values of the scale, equally far apart; ``None`` for a continuous one.
    floor : float or None
        The utility :math:`f` of the worst value, in [0, 1). ``None`` is 1 / levels, or 0.01 for a continuous scale.
        Welfare with ``alpha >= 1`` is 0 as soon as one juror has utility 0, so that a floor of 0 is refused there.
    mapped : bool
        ``False`` takes the votes as utilities, as they are.

    Examples
    --------
    >>> UtilityScale(-1, 1, levels=3).utilities([-1.0, 0.0, 1.0]).round(3).tolist()
    [0.333, 0.667, 1.0]
    >>> UtilityScale(1, 5, levels=5, higher_is_better=False).mapping
    'utility = 0.2 + 0.8 * (5 - value) / 4, 5 levels'
    """

    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    measurement: str = "cardinal"
    levels: int | None = None
    floor: float | None = None
    mapped: bool = True

    def __post_init__(self) -> None:
        for name in ("lowest", "highest"):
            value = getattr(self, name)
            if not is_number(value):
                raise invalid_parameter(name, "UtilityScale", "a finite number", shown(value))
            object.__setattr__(self, name, float(value))
        if self.lowest >= self.highest:
            raise invalid_parameter("highest", "UtilityScale", f"above lowest ({self.lowest:g})", f"{self.highest:g}")
        for name in ("higher_is_better", "mapped"):
            if not isinstance(getattr(self, name), bool):
                raise invalid_parameter(name, "UtilityScale", "True or False", repr(getattr(self, name)))
        if self.measurement not in ("cardinal", "ordinal"):
            raise invalid_parameter("measurement", "UtilityScale", "'cardinal' or 'ordinal'", repr(self.measurement))
        levels = self.levels
        if levels is not None and (
            isinstance(levels, bool) or not isinstance(levels, int) or not 2 <= levels <= MOST_LEVELS
        ):
            must = f"an integer in [2, {MOST_LEVELS}], or None"
            raise invalid_parameter("levels", "UtilityScale", must, shown(levels))
        floor = self.floor
        if floor is not None and (
            isinstance(floor, bool) or not isinstance(floor, (int, float)) or not 0.0 <= floor < 1.0
        ):
            raise invalid_parameter("floor", "UtilityScale", "a float in [0, 1), or None", shown(floor))
        if not self.mapped and not self.higher_is_better:
            raise invalid_parameter("mapped", "UtilityScale", "True on a scale where lower is better", "False")

    @property
    def worst_utility(self) -> float:
        """The utility of the worst value."""
        if not self.mapped:
            return self.lowest
        if self.floor is not None:
            return float(self.floor)
        return 1.0 / self.levels if self.levels is not None else DEFAULT_FLOOR

    @property
    def mapping(self) -> str:
        """The mapping in words, for provenance."""
        if not self.mapped:
            return f"utility = value, in [{self.lowest:g}, {self.highest:g}]"
        floor, width = self.worst_utility, self.highest - self.lowest
        above = f"(value - {self.lowest:g})" if self.higher_is_better else f"({self.highest:g} - value)"
        words = f"utility = {floor:.4g} + {1 - floor:.4g} * {above} / {width:g}"
        if self.levels is not None:
            words += f", {self.levels} levels"
        return words + (", ordinal: steps taken to be equal" if self.measurement == "ordinal" else "")

    def utilities(self, values: npt.ArrayLike, /) -> FloatArray:
        """Return the utilities of values in the range; NaN stays NaN."""
        array = np.asarray(values, dtype=np.float64)
        if not self.mapped:
            return array
        above = array - self.lowest if self.higher_is_better else self.highest - array
        floor = self.worst_utility
        result: FloatArray = floor + (1.0 - floor) * (above / (self.highest - self.lowest))
        return result

    def contains(self, value: float, /) -> bool:
        """Return whether a value is on the scale (with levels: on one of them)."""
        slack = 1e-9 * (self.highest - self.lowest)
        if not self.lowest - slack <= value <= self.highest + slack:
            return False
        if self.levels is None:
            return True
        step = (value - self.lowest) / (self.highest - self.lowest) * (self.levels - 1)
        return abs(step - round(step)) <= 1e-6

    def as_json(self) -> Record:
        """Return the scale and its mapping as plain JSON values."""
        return {**asdict(self), "mapping": self.mapping}


@dataclass(frozen=True, slots=True)
class Juror:
    """One member of a panel.

    ``attributes`` maps a kind of group to the juror's group (``{"party": "Democrat"}``).
    ``weight`` is how much the juror counts, relative to the others.
    ``statement`` is what the juror wrote, for juror functions that read it.
    ``kind`` is ``"recorded"`` for a person who voted, ``"estimated"`` for a prediction, ``"made up"`` for an example:
    nothing but a recorded juror is ever called a person.
    """

    juror_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    statement: str = ""
    kind: str = "recorded"


@dataclass(frozen=True, slots=True)
class PanelResponse:
    """One response that jurors could judge, and its author (``""`` if unknown)."""

    response_id: str
    text: str
    author: str = ""


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query with its recorded responses."""

    query_id: str
    text: str
    responses: tuple[PanelResponse, ...] = ()


@dataclass(frozen=True, eq=False)
class Panel:
    """Jurors, queries with responses, and the votes of the jurors on the responses.

    Attributes
    ----------
    name : str
        Of the file or the source.
    jurors : tuple of Juror
        In order of first appearance.
    queries : tuple of PanelQuery
        In order of first appearance.
    scale : UtilityScale
        The scale of the votes, and its mapping to utilities.
    vote_jurors, vote_responses : numpy.ndarray of int, shape (n_votes,)
        The place of the juror, and of the response among all responses in the order of the queries.
    vote_values : numpy.ndarray of float, shape (n_votes,)
        The votes on their own scale. All three arrays are read-only.
    sha256 : str
        The hash of jurors, queries, scale and votes.
    source : str
        Where the votes come from, and what was left out.
    warnings : tuple of str
        Sentences about possible faults of the votes.
    """

    name: str
    jurors: tuple[Juror, ...]
    queries: tuple[PanelQuery, ...]
    scale: UtilityScale
    vote_jurors: IntArray
    vote_responses: IntArray
    vote_values: FloatArray
    sha256: str
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def n_votes(self) -> int:
        """Number of votes."""
        return len(self.vote_values)

    @property
    def utilities(self) -> FloatArray:
        """The utility of each vote, shape (n_votes,)."""
        return self.scale.utilities(self.vote_values)

    @property
    def response_queries(self) -> IntArray:
        """The place of the query of each response, shape (n_responses,)."""
        return np.repeat(np.arange(len(self.queries)), [len(query.responses) for query in self.queries])

    @property
    def responses(self) -> tuple[PanelResponse, ...]:
        """All responses, in the order of the queries."""
        return tuple(response for query in self.queries for response in query.responses)

    @property
    def weights(self) -> FloatArray:
        """The weight of each juror, shape (n_jurors,)."""
        return np.array([juror.weight for juror in self.jurors], dtype=np.float64)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The kinds of groups that every juror belongs to, in order of first appearance."""
        names = dict.fromkeys(name for juror in self.jurors for name in juror.attributes)
        return tuple(name for name in names if all(name in juror.attributes for juror in self.jurors))

    def groups(self, by: str | None = None, /) -> tuple[str, ...] | None:
        """Return the group of each juror, or ``None`` when the panel knows no groups and none are asked for.

        Parameters
        ----------
        by : str or None
            The kind of group; by default ``"group"``, or the first kind in which not every juror is alone.

        Raises
        ------
        InvalidParameterError
            If the panel has no such kind of group.
        """
        known = self.attributes
        if by is None:
            if not known:
                return None
            by = "group" if "group" in known else next((name for name in known if self._tells_groups(name)), None)
            if by is None:
                return None
        if not isinstance(by, str) or by not in known:
            lacking = self.without_group(by) if isinstance(by, str) else ""
            raise InvalidParameterError(lacking or unknown_name(f"kind of group of panel {self.name}", str(by), known))
        return tuple(juror.attributes[by] for juror in self.jurors)

    def without_group(self, by: str = "group", /) -> str:
        """Return which jurors lack a kind of group that others have, as a sentence; empty where none or all do."""
        alone = [juror.juror_id for juror in self.jurors if by not in juror.attributes]
        if not 0 < len(alone) < len(self.jurors):
            return ""
        others = f" and {len(alone) - 1} other(s) have" if len(alone) > 1 else " has"
        return (
            f"In panel {self.name} juror {alone[0]!r}{others} no {by!r}, so that it is not read as a kind of group. "
            "Give every juror one, or leave these jurors out."
        )

    def _tells_groups(self, by: str) -> bool:
        """Return whether some group has two jurors; an attribute such as an address differs for every juror."""
        return len({juror.attributes[by] for juror in self.jurors}) < len(self.jurors)

    def matrix(self) -> FloatArray:
        """Return the utilities as a matrix, shape (n_jurors, n_responses), NaN where nobody voted."""
        cells = len(self.jurors) * len(self.responses)
        if cells > 10 * MOST_VOTES:
            raise DatasetError(f"Panel {self.name} is too large for a matrix ({cells:,} cells). Select queries first.")
        result = np.full((len(self.jurors), len(self.responses)), np.nan)
        result[self.vote_jurors, self.vote_responses] = self.utilities
        return result

    def select(self, *, jurors: Iterable[str] | None = None, queries: Iterable[str] | None = None) -> Panel:
        """Return the panel of some jurors and some queries, in the order of this one.

        Raises
        ------
        InvalidParameterError
            If an id is unknown.
        """
        known_jurors = {juror.juror_id: place for place, juror in enumerate(self.jurors)}
        known_queries = {query.query_id: place for place, query in enumerate(self.queries)}
        kept_jurors = _places(jurors, known_jurors, "juror", self.name)
        kept_queries = _places(queries, known_queries, "query", self.name)
        new_juror = np.full(len(self.jurors), -1, dtype=np.intp)
        new_juror[kept_jurors] = np.arange(len(kept_jurors))
        kept_responses = np.flatnonzero(np.isin(self.response_queries, kept_queries))
        new_response = np.full(len(self.responses), -1, dtype=np.intp)
        new_response[kept_responses] = np.arange(len(kept_responses))
        keep = (new_juror[self.vote_jurors] >= 0) & (new_response[self.vote_responses] >= 0)
        return make_panel(
            self.name,
            tuple(self.jurors[place] for place in kept_jurors),
            tuple(self.queries[place] for place in kept_queries),
            self.scale,
            new_juror[self.vote_jurors[keep]],
            new_response[self.vote_responses[keep]],
            self.vote_values[keep],
            source=self.source,
            warnings=self.warnings,
        )


def _places(wanted: Iterable[str] | None, known: Mapping[str, int], kind: str, panel: str) -> list[int]:
    if wanted is None:
        return list(range(len(known)))
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise invalid_parameter(f"{kind} ids", "select", "a list of them", shown(wanted))
    wanted = list(wanted)
    for name in wanted:
        if not isinstance(name, str) or name not in known:
            raise InvalidParameterError(unknown_name(f"{kind} of panel {panel}", str(name), list(known)))
    return sorted({known[name] for name in wanted})


def make_panel(
    name: str,
    jurors: tuple[Juror, ...],
    queries: tuple[PanelQuery, ...],
    scale: UtilityScale,
    vote_jurors: npt.ArrayLike,
    vote_responses: npt.ArrayLike,
    vote_values: npt.ArrayLike,
    *,
    source: str = "",
    warnings: tuple[str, ...] = (),
) -> Panel:
    """Return the record of checked parts: votes in the order of responses and jurors, arrays read-only, hashed."""
    who = np.array(vote_jurors, dtype=np.intp)
    what = np.array(vote_responses, dtype=np.intp)
    values = np.array(vote_values, dtype=np.float64)
    order = np.lexsort((who, what))
    who, what, values = who[order], what[order], values[order]
    digest = hashlib.sha256()
    header = {
        "jurors": [[one.juror_id, sorted(one.attributes.items()), one.weight, one.statement] for one in jurors],
        "queries": [[one.query_id, one.text, [[r.response_id, r.text] for r in one.responses]] for one in queries],
        "scale": asdict(scale),
    }
    digest.update(json.dumps(header, sort_keys=True).encode("utf-8", "surrogatepass"))
    for array in (who.astype("<i8"), what.astype("<i8"), values.astype("<f8")):
        digest.update(array.tobytes())
    for array in (who, what, values):
        array.setflags(write=False)
    return Panel(name, jurors, queries, scale, who, what, values, digest.hexdigest(), source, warnings)
