"""Promises, verdicts, and the entries of a report."""

from __future__ import annotations

import enum
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_finite
from pytest_pluralism.core.records.estimates import Estimate
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.records.scores import Scores, Witness

__all__ = ["BOUNDS", "CHANGES", "MEAN_CHANGES", "Gate", "Outcome", "Provenance", "ReportEntry", "Verdict"]

#: The parts of a promise, in the order in which they are shown.
BOUNDS = (
    *("at_least", "at_most", "better_than", "max_increase", "max_decrease", "max_change", "max_drift"),
    *("max_unit_increase", "max_unit_decrease"),
)

#: The promises about the mean change: each is judged against the last release and against the anchor.
MEAN_CHANGES = ("max_increase", "max_decrease", "max_change")

#: The promises that a baseline is needed for.
CHANGES = (*MEAN_CHANGES, "max_drift", "max_unit_increase", "max_unit_decrease")


class Outcome(enum.StrEnum):
    """The outcome of a promise."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A promise about an estimate: at least one bound or a reference, and the confidence that decides.

    ``at_least`` and ``at_most`` bound the value; ``better_than`` names a reference that the value must beat on paired
    units; ``max_increase`` and ``max_decrease`` bound its change against a baseline, by unit, and ``max_change`` bounds
    it both ways (equivalence); ``max_drift`` is the margin of these three against the anchor of the baseline, by
    default the same; ``max_unit_increase`` and ``max_unit_decrease`` bound the change of each single unit.
    ``confidence_level=None`` decides on the value alone.
    """

    at_least: float | None = None
    at_most: float | None = None
    max_increase: float | None = None
    max_decrease: float | None = None
    max_change: float | None = None
    max_drift: float | None = None
    max_unit_increase: float | None = None
    max_unit_decrease: float | None = None
    better_than: str | None = None
    confidence_level: float | None = 0.95

    def __post_init__(self) -> None:
        bounds = [name for name in BOUNDS if name != "better_than"]
        for name in bounds:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not is_finite(value):
                raise invalid_parameter(name, "Gate", "a finite number", repr(value)[:80])
            if not isinstance(value, int):
                # Numbers of other libraries become plain ones, which a report can hold.
                object.__setattr__(self, name, int(value) if isinstance(value, numbers.Integral) else float(value))
            if name.startswith("max_") and value < 0:
                raise invalid_parameter(name, "Gate", "a number in [0, inf)", repr(value))
        if self.better_than is not None and not (isinstance(self.better_than, str) and self.better_than.strip()):
            raise invalid_parameter(
                "better_than", "Gate", "the name of a reference, a str", repr(self.better_than)[:80]
            )
        if self.better_than is None and all(getattr(self, name) is None for name in bounds):
            raise InvalidParameterError(
                "Gate promises nothing. Give at least one of at_least, at_most, better_than, max_increase, "
                "max_decrease, max_change, max_unit_increase, max_unit_decrease."
            )
        self._check_changes()
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise invalid_parameter(
                "at_least", "Gate", f"no greater than at_most ({self.at_most})", repr(self.at_least)
            )
        level = self.confidence_level
        if level is not None and (
            isinstance(level, bool) or not isinstance(level, numbers.Real) or not 0.0 < level < 1.0
        ):
            raise invalid_parameter("confidence_level", "Gate", "a float in (0, 1) or None", repr(level))
        if level is not None:
            object.__setattr__(self, "confidence_level", float(level))

    def _check_changes(self) -> None:
        """Refuse bounds on a change that say nothing, or say it twice."""
        promised = [name for name in MEAN_CHANGES if getattr(self, name) is not None]
        if self.max_drift is not None and not promised:
            raise InvalidParameterError(
                f"max_drift={self.max_drift!r} is the margin against the anchor of a promise about a change, and there "
                "is no such promise. Give max_increase, max_decrease or max_change beside it."
            )
        if self.max_change is not None and len(promised) > 1:
            raise InvalidParameterError(
                f"max_change={self.max_change!r} bounds the change both ways, and stands beside {promised[0]}. "
                "Leave one of them out."
            )

    def of_value(self) -> Gate:
        """Return the promise without its bounds on a change; it must have others."""
        return replace(self, **dict.fromkeys(CHANGES))

    def as_json(self) -> dict[str, object]:
        """Return the promise as plain JSON values: the bounds that were given, and the confidence level."""
        given = {name: getattr(self, name) for name in BOUNDS if getattr(self, name) is not None}
        return {**given, "confidence_level": self.confidence_level}

    @property
    def needs_baseline(self) -> bool:
        """Whether this promise compares with a stored past result."""
        return any(getattr(self, name) is not None for name in CHANGES)

    @property
    def needs_anchor(self) -> bool:
        """Whether this promise is judged against the anchor of a baseline, too."""
        return any(getattr(self, name) is not None for name in MEAN_CHANGES)

    @property
    def bounds_value(self) -> bool:
        """Whether this promise is about the value itself: a level, or more than a reference."""
        return self.at_least is not None or self.at_most is not None or self.better_than is not None


@dataclass(frozen=True)
class Verdict:
    """The outcome of one promise.

    Attributes
    ----------
    outcome : Outcome
        PASSED, FAILED or INCONCLUSIVE (ERROR where nothing could be computed).
    gate : Gate
        The promise.
    estimate : Estimate or None
        The estimate that was measured.
    change : Estimate or None
        The paired change against the baseline, if the promise asks for one.
    witness : Witness or None
        The unit that shows it.
    reason : str
        Why, in one sentence, for outcomes other than PASSED.
    unseen : str
        For PASSED: the changes, and the scores that would break a bound of the value, that are too rare to show in so
        many units.
    units_needed : int or None
        For INCONCLUSIVE: how many more units of the same kind would probably decide (``None``: no number would, or it
        is not known).
    advantage : Estimate or None
        By how much the value is better than the reference of ``better_than``, paired; above 0 is better.
    drift : Estimate or None
        The paired change against the anchor of the baseline, where that is another result than the last release.
    looks : float
        The number by which p-values of changes are multiplied because of repeated looks at one baseline.
    """

    outcome: Outcome
    gate: Gate
    estimate: Estimate | None = None
    change: Estimate | None = None
    witness: Witness | None = None
    reason: str = ""
    units_needed: int | None = None
    advantage: Estimate | None = None
    unseen: str = ""
    drift: Estimate | None = None
    looks: float = 1.0

    @property
    def passed(self) -> bool:
        """Whether the promise was kept."""
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True)
class Provenance:
    """The provenance of a number: everything that must agree before two numbers may be compared."""

    model: JsonObject
    dataset: JsonObject
    settings: JsonObject
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportEntry:
    """One verdict with everything that a report says about it.

    ``test`` is the node id without the model in its brackets, the same for every model; ``key`` tells the promises of
    one test apart.
    ``baseline`` says what the verdict was compared with; ``options`` are the options that repeat the run, and ``path``
    is the node id as it is typed in the folder where the run was started.
    """

    nodeid: str
    test: str
    key: str
    measure: Measure
    dataset: str
    population: str | None
    verdict: Verdict
    scores: Scores | None
    provenance: Provenance
    baseline: JsonObject | None = None
    options: str = ""
    path: str = ""
