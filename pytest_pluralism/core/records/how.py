"""The record of how an interval was made: code decides on it, and its words are for people alone."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields

__all__ = ["MAY_COUNT_PEOPLE", "IntervalKind", "IntervalMethod"]


class IntervalKind(enum.StrEnum):
    """The formula behind an interval."""

    UNKNOWN = "unknown"
    NO_SCORES = "no_scores"
    WHOLE_SET = "whole_set"
    T = "t"
    SATTERTHWAITE = "satterthwaite"
    SKEWNESS = "skewness"
    OUTER = "outer"
    EXACT = "clopper-pearson"
    WILSON = "wilson"
    BCA = "bca"
    BOOTSTRAP_T = "bootstrap_t"
    CROSSED = "crossed"
    TWO_INTERVALS = "two_intervals"
    BAND = "band"
    QUANTILES = "quantiles"


_SHARES = (IntervalKind.EXACT, IntervalKind.WILSON)

_CORRECTED = (IntervalKind.SKEWNESS, IntervalKind.OUTER)

_BOOTSTRAPS = (IntervalKind.BCA, IntervalKind.BOOTSTRAP_T)

#: The origin of an interval that was made again, at another level or after something was added.
_REMADE = ("", "units", "standard error")


#: Intervals whose number of clusters is that of the jurors where there are fewer of them than units.
MAY_COUNT_PEOPLE = (IntervalKind.CROSSED, IntervalKind.BAND)


@dataclass(frozen=True, kw_only=True)
class IntervalMethod:
    """A record of how an interval was made.

    Attributes
    ----------
    kind : IntervalKind
        The formula; ``UNKNOWN`` for an interval that was made elsewhere, of which nothing is assumed.
    two_way, crossed, clustered, weighted : bool
        The sources of variation in the standard error: two crossed clusterings of units, units beside another
        dimension (jurors), clusters of several units, weights.
    difference : bool
        Whether the value is a difference, which is not a share even where all units are 0 or 1.
    paired : bool
        Whether the units are paired differences, of whatever: a change, or one estimate less another.
    within_exact : bool
        Whether the ends lie within those of the exact interval of shares, which holds for any scores in [0, 1].
    respondents : bool
        Whether the interval holds the sampling error of the people who were asked.
    bias : float
        How much too high the value is estimated to be: the interval is that of the value without it.
    remade : {"", "units", "standard error"}
        The origin of an interval that was made again at another confidence level; empty for the first one.
    freedom : float or None
        The degrees of freedom that an interval of Satterthwaite's kind tells.
    n_resamples, n_objectives : int
        The resamples of a bootstrap; the objectives that the upper end allows for.
    lowest, highest : float or None
        The ends of the scale that the interval was drawn into; ``None`` where it was not.
    people_variance : float
        The part of the squared standard error that the people who were asked share over all units.
    told : str
        A description of an interval that no kind describes. Only people read it.
    """

    kind: IntervalKind = IntervalKind.UNKNOWN
    two_way: bool = False
    crossed: bool = False
    clustered: bool = False
    weighted: bool = False
    difference: bool = False
    paired: bool = False
    within_exact: bool = False
    respondents: bool = False
    bias: float = 0.0
    remade: str = ""
    freedom: float | None = None
    n_resamples: int = 0
    n_objectives: int = 0
    lowest: float | None = None
    highest: float | None = None
    people_variance: float = 0.0
    told: str = ""

    @property
    def is_share(self) -> bool:
        """Whether the interval is one of a share."""
        return self.kind in _SHARES

    @property
    def is_corrected_for_skewness(self) -> bool:
        """Whether the skewness of the scores was taken out."""
        return self.kind in _CORRECTED

    @property
    def is_bootstrap(self) -> bool:
        """Whether the interval was drawn."""
        return self.kind in _BOOTSTRAPS

    @property
    def may_count_people(self) -> bool:
        """Whether the number of clusters is that of the jurors where there are fewer of them than units."""
        return self.kind in MAY_COUNT_PEOPLE

    @property
    def is_mean_of_units(self) -> bool:
        """Whether the interval is one of the mean of independent units, which the units alone give again."""
        return self.kind not in _NOT_OF_UNITS

    def words(self) -> str:
        """Return the words that a report shows."""
        text = self._kind_words()
        if self.bias:
            text += ", corrected for bias"
        if self.difference:
            text += " of differences"
        if self.n_objectives:
            text += f", upper end for {self.n_objectives} objectives"
        if self.respondents:
            text += ", respondents resampled"
        if self.people_variance:
            text += ", the people a sample"
        if self.remade:
            text += f", from the {self.remade}"
        return text

    def _kind_words(self) -> str:
        kind = self.kind
        if kind in (IntervalKind.UNKNOWN, IntervalKind.BAND, IntervalKind.QUANTILES):
            # An interval of which nothing is known is stretched as one of Student's t is.
            return self.told or ("t" if self.remade else "")
        if kind is IntervalKind.NO_SCORES:
            return "no scores"
        if kind is IntervalKind.WHOLE_SET:
            return f"{'two-way, ' if self.two_way else 'crossed, ' if self.crossed else ''}whole set"
        if kind is IntervalKind.CROSSED:
            return "crossed t"
        if kind is IntervalKind.TWO_INTERVALS:
            return "two intervals"
        if self.is_share:
            return f"{kind.value}, clustered" if self.clustered else kind.value
        if self.is_bootstrap:
            return f"{kind.value}, {self.n_resamples} resamples"
        return self._t_words()

    def _t_words(self) -> str:
        if self.kind is IntervalKind.T and self.remade == "standard error" and not (self.two_way or self.weighted):
            return "t"
        text = f"{'two-way ' if self.two_way else 'weighted ' if self.weighted else ''}clustered t"
        if self.kind is IntervalKind.SATTERTHWAITE and self.freedom is not None:
            return f"{text}, {self.freedom:.1f} degrees of freedom"
        if self.kind is IntervalKind.OUTER:
            return f"{text}, outer ends, corrected for skewness"
        return f"{text}, corrected for skewness" if self.kind is IntervalKind.SKEWNESS else text

    def as_json(self) -> dict[str, object]:
        """Return what differs from the defaults, as plain JSON values; without what is only told."""
        changed = {name: getattr(self, name) for name, default in _DEFAULTS.items() if getattr(self, name) != default}
        return changed | ({"kind": self.kind.value} if "kind" in changed else {})

    @classmethod
    def from_json(cls, content: object, /) -> IntervalMethod:
        """Return the record that a report holds; one of an unknown kind where it holds none or one that is not whole.

        Parameters
        ----------
        content : object
            The value in the file. Files of version 0.1.0 hold words only, which say nothing here.
        """
        if not isinstance(content, Mapping) or not set(content) <= _DEFAULTS.keys():
            return cls()
        known = {kind.value: kind for kind in IntervalKind}
        found = {**content, "kind": known.get(str(content.get("kind")))}
        flags = all(type(found[name]) is bool for name in found if type(_DEFAULTS[name]) is bool)
        counts = all(type(found[name]) is int and found[name] >= 0 for name in found if type(_DEFAULTS[name]) is int)
        numbers = [found.get(name, 0.0) for name in ("freedom", "lowest", "highest", "bias", "people_variance")]
        if found["kind"] is None or not flags or not counts or found.get("remade", "") not in _REMADE:
            return cls()
        if any(one is not None and (isinstance(one, bool) or not isinstance(one, int | float)) for one in numbers):
            return cls()
        return cls(**found)


_DEFAULTS = {field.name: field.default for field in fields(IntervalMethod) if field.name != "told"}

#: Kinds whose interval does not follow from the units and their clusters.
_NOT_OF_UNITS = (
    IntervalKind.CROSSED,
    IntervalKind.TWO_INTERVALS,
    IntervalKind.BAND,
    IntervalKind.QUANTILES,
)
