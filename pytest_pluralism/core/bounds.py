"""The bounds of a promise, one by one: whether a bound is kept, broken, or neither, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.estimation.at_level import half_of_people, interval_at, without_people
from pytest_pluralism.core.estimation.left_open import open_sides, without_bounds
from pytest_pluralism.core.estimation.more_units import more_units
from pytest_pluralism.core.estimation.trust import (
    CLUSTERS_NEEDED_WITHOUT_VARIANCE,
    ROUNDING,
    clusters_needed,
    is_alike_but_one,
    is_too_certain,
    missed_scores,
    trusted_p_value,
    units_to_see,
    unseen_end,
)
from pytest_pluralism.core.records import Estimate, Gate, Outcome

__all__ = [
    "Part",
    "bound_p_value_of",
    "change_part",
    "guard_is_broken",
    "is_unchanged",
    "mean_bounds",
    "other_units",
    "over_looks",
    "relative_part",
    "units_part",
    "unseen_words",
    "value_part",
]


def other_units(estimate: Estimate, change: Estimate) -> bool:
    """Whether a change is about other units than the estimate; units missing from the change alone are not other."""
    if estimate.n + estimate.n_missing != change.n + change.n_missing:
        return True
    if estimate.unit_ids and change.unit_ids:
        return not set(change.unit_ids) <= set(estimate.unit_ids)
    return False


def is_unchanged(change: Estimate, gate: Gate, floor: float) -> bool:
    """Whether no unit changed by more than the noise floor, and nothing else can have."""
    if (
        change.extra_variance > ROUNDING
        or change.n == 0
        or change.n_missing
        or (change.n_clusters < 2 and gate.confidence_level is not None)
    ):
        return False
    if change.bounds:
        return all(max(abs(low), abs(high)) <= max(floor, ROUNDING) for low, high in change.bounds)
    if change.values:
        return all(abs(difference) <= max(floor, ROUNDING) for difference in change.values)
    return change.value == change.low == change.high == change.standard_error == 0.0


#: The remedy where the answers of a model leave a value open.
NARROWER = (
    "Serve the model with more likeliest tokens (vLLM: --max-logprobs), or with a server that gives the "
    "log-probabilities of chosen tokens; of answers in free text draw more, or ask so that more of them say an option"
)


@dataclass(frozen=True, slots=True)
class Part:
    """The verdict of one bound of a gate."""

    outcome: Outcome
    reason: str = ""
    units_needed: int | None = None


#: The advantage of answers that are alike but for rounding (of probabilities in single precision) is not above this.
LEAST_ADVANTAGE = 1e-5


def relative_part(gate: Gate, estimate: Estimate, advantage: Estimate | None, floor: float) -> Part:
    """Compare the advantage over the reference with 0, which it must exceed by more than numeric noise."""
    if math.isnan(estimate.value) or estimate.n == 0:
        return Part(Outcome.ERROR, "nothing was measured: the estimate has no value")
    if advantage is None:
        return Part(Outcome.INCONCLUSIVE, f"there is no value of the reference {gate.better_than!r} to compare with")
    known = interval_at(advantage, gate.confidence_level)
    part = _bound(known, 0.0, upper=False, what=f"the advantage over {gate.better_than}", floor=0.0)
    least = max(floor, LEAST_ADVANTAGE)
    if part.outcome is Outcome.PASSED and compare(known.low, least) <= 0:
        above = "0" if compare(known.low, 0.0) <= 0 else f"numeric noise ({least:.1g})"
        return Part(Outcome.INCONCLUSIVE, f"the advantage over {gate.better_than} is {known} and must be above {above}")
    return part


def mean_bounds(gate: Gate, floor: float, *, of_drift: bool) -> Iterator[tuple[float, bool]]:
    """Yield the margins of the mean change, each with whether it bounds a rise; of equivalence there are two."""
    ends = {"max_increase": (True,), "max_decrease": (False,), "max_change": (True, False)}
    for name, uppers in ends.items():
        promise = getattr(gate, name)
        if promise is None:
            continue
        if of_drift and gate.max_drift is not None:
            promise = gate.max_drift
        yield from ((max(promise, floor), upper) for upper in uppers)


def change_part(
    gate: Gate, estimate: Estimate, change: Estimate | None, margin: float, floor: float, *, upper: bool, what: str
) -> Part:
    """Compare a change with its margin; an unchanged model keeps every promise about a change."""
    known = _comparable(estimate, change)
    if isinstance(known, Part):
        return known
    if is_unchanged(known, gate, floor):
        return Part(Outcome.PASSED)
    bound = margin if upper else -margin
    return _bound(interval_at(known, gate.confidence_level), bound, upper=upper, what=what, floor=floor)


def unseen_words(gate: Gate, estimate: Estimate, change: Estimate | None, floor: float) -> str:
    """Return in words what a promise could not see although it is kept."""
    if gate.confidence_level is None:
        return ""
    return "; ".join([*_unseen_scores(gate, estimate), *_unseen_changes(gate, change, floor)])


def _unseen_scores(gate: Gate, estimate: Estimate) -> Iterator[str]:
    """Yield which scores would break a bound of the value, and are so few that a sample often holds none of them."""
    for bound, worst, upper in ((gate.at_most, 1, True), (gate.at_least, 0, False)):
        missed = None if bound is None else missed_scores(estimate, upper=upper)
        if (
            bound is None
            or missed is None
            or (compare(missed[1], bound) <= 0 if upper else compare(missed[1], bound) >= 0)
        ):
            continue
        units = "units" if estimate.n_clusters == estimate.n else "clusters"
        yield (
            f"scores of {worst} confined to fewer than {100 * missed[0]:.2g} % of the {units} may not show; with so "
            f"many of them the value would be {missed[1]:.3f}"
        )


def _unseen_changes(gate: Gate, change: Estimate | None, floor: float) -> list[str]:
    """Return which changes a kept promise about a change could not see."""
    if change is None or change.n_clusters < 1:
        return []
    # More often than in 5 % of samples none of so few is among the units.
    share = 1.0 - math.pow(0.05, 1.0 / change.n_clusters)
    found = []
    for bound, verb, past, side in (
        (gate.max_increase if gate.max_change is None else gate.max_change, "rise", "rose", 1.0),
        (gate.max_decrease if gate.max_change is None else gate.max_change, "fall", "fell", -1.0),
    ):
        if bound is None:
            continue
        words = f"a {verb} confined to fewer than {100 * share:.2g} % of the units may not show"
        if change.values:
            most, name = max((side * value, place) for place, value in enumerate(change.values))
            where = f" ({change.unit_ids[name]})" if change.unit_ids else ""
            words += f"; the largest single {verb} was {most:.3f}{where}" if most > floor else f"; no unit {past}"
        found.append(words)
    return found


def over_looks(part: Part, gate: Gate, change: Estimate | None, margin: float, *, upper: bool, looks: float) -> Part:
    """Take back a failure that so many looks at one baseline explain."""
    level = gate.confidence_level
    if part.outcome is not Outcome.FAILED or looks <= 1.0 or change is None or level is None:
        return part
    p_value = looks * bound_p_value_of(gate, change, margin if upper else -margin, "greater" if upper else "less")
    if p_value < (1.0 - level) / 2.0:
        return part
    chance = f"(p times {looks:g} = {p_value:.2g})"
    why = f"{part.reason}; over repeated comparisons with this baseline, this may be chance {chance}"
    return Part(Outcome.INCONCLUSIVE, why)


def _comparable(estimate: Estimate, change: Estimate | None) -> Estimate | Part:
    """Return the change where it can be judged, else what that amounts to."""
    if math.isnan(estimate.value) or estimate.n == 0:
        return Part(Outcome.ERROR, "nothing was measured: the estimate has no value")
    if estimate.n_missing:
        return Part(Outcome.INCONCLUSIVE, _missing(estimate))
    if change is None:
        return Part(Outcome.INCONCLUSIVE, "there is no comparable baseline to compare with")
    if change.n and not math.isnan(change.value) and other_units(estimate, change):
        counts = f"{change.n + change.n_missing} units, the estimate {estimate.n + estimate.n_missing}"
        if change.n + change.n_missing == estimate.n + estimate.n_missing:
            counts = "units that the estimate has not"
        return Part(Outcome.INCONCLUSIVE, f"the change is not comparable with the estimate: it is about {counts}")
    if math.isnan(change.low) and change.n_clusters > 1:
        # Not even a change of 0 shows that nothing changed.
        return Part(Outcome.INCONCLUSIVE, f"the interval of the change is {change.how.told or 'unknown'}")
    return change


def units_part(estimate: Estimate, change: Estimate | None, margin: float, *, upper: bool) -> Part:
    """Look at each unit by itself: none may have got worse by more than the margin."""
    known = _comparable(estimate, change)
    if isinstance(known, Part):
        return known
    if not known.values or len(known.unit_ids) != len(known.values):
        return Part(Outcome.INCONCLUSIVE, "the change keeps no values by unit, so that no unit can be guarded")
    # A rise that is open counts with the least of it as broken, and with the most of it as kept.
    sure = [low if upper else -high for low, high in known.bounds] or [v if upper else -v for v in known.values]
    worse = list(zip(sure, known.unit_ids, strict=True))
    broken = [pair for pair in worse if compare(pair[0], margin) > 0]
    if broken:
        most, name = max(broken)
        verb = "rise" if upper else "fall"
        others = f"; {len(broken)} of {len(worse)} units did" if len(broken) > 1 else ""
        return Part(
            Outcome.FAILED,
            f"{name} {'rose' if upper else 'fell'} by {most:.3f}, no unit may {verb} by more than {margin:.3g}{others}",
        )
    if known.n_missing:
        return Part(Outcome.INCONCLUSIVE, _missing(known))
    most = max((high if upper else -low for low, high in known.bounds), default=-math.inf)
    if compare(most, margin) > 0:
        words = f"a unit may have {'risen' if upper else 'fallen'} by {most:.3f}, as far as the answers leave it open"
        return Part(Outcome.INCONCLUSIVE, f"{words}; no unit may by more than {margin:.3g}. {NARROWER}")
    return Part(Outcome.PASSED)


def guard_is_broken(gate: Gate, change: Estimate | None, floor: float) -> bool:
    """Return whether a single unit changed by more than its guard allows."""
    if change is None:
        return False
    lows, highs = ([pair[side] for pair in change.bounds] or change.values for side in (0, 1))
    higher, lower = max(lows, default=-math.inf), min(highs, default=math.inf)
    rose = gate.max_unit_increase is not None and compare(higher, max(gate.max_unit_increase, floor)) > 0
    fell = gate.max_unit_decrease is not None and compare(-lower, max(gate.max_unit_decrease, floor)) > 0
    return rose or fell


def value_part(gate: Gate, estimate: Estimate, bound: float, floor: float, *, upper: bool) -> Part:
    """Compare a value with its bound, and with what the scores cannot show."""
    at_gate = interval_at(estimate, gate.confidence_level)
    part = _bound(at_gate, bound, upper=upper, what="the value", floor=floor)
    if part.outcome is not Outcome.PASSED:
        return part
    end = unseen_end(at_gate, upper=upper)
    if end is None or (compare(end, bound) <= 0 if upper else compare(end, bound) >= 0):
        return part
    needed = units_to_see(at_gate, bound, upper=upper)
    more = None if needed is None or needed <= estimate.n else needed - estimate.n
    return Part(
        Outcome.INCONCLUSIVE,
        f"the value is {at_gate} and must be at {'most' if upper else 'least'} {bound:.3g}: with scores that "
        f"{_counted(estimate)} may miss it may be {end:.3f}" + (f"; {more} more units would show them" if more else ""),
        more,
    )


def _counted(estimate: Estimate) -> str:
    """Return in words how many units there are, and in how many clusters where these are fewer."""
    clusters = f" in {estimate.n_clusters} clusters" if estimate.n_clusters < estimate.n else ""
    return f"{estimate.n} units{clusters}"


def _bound(estimate: Estimate, bound: float, *, upper: bool, what: str, floor: float) -> Part:
    """Compare an interval with a bound: an upper one, or a lower one."""
    if math.isnan(estimate.value) or estimate.n == 0:
        return Part(Outcome.ERROR, f"nothing was measured: {what} is unknown")
    level = estimate.confidence_level
    inferring = level is not None
    if inferring and estimate.n_clusters < 2:
        return Part(Outcome.INCONCLUSIVE, f"{what} comes from a single cluster, which shows nothing about others")
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return Part(Outcome.INCONCLUSIVE, f"the interval of {what} is {estimate.how.told or 'unknown'}")
    if is_too_certain(estimate, noise_floor=floor):
        needed = clusters_needed(estimate)
        return Part(
            Outcome.INCONCLUSIVE,
            f"{what} does not vary over {estimate.n_clusters} clusters, too few to trust that "
            f"(at least {needed} are needed)",
            math.ceil((needed - estimate.n_clusters) * estimate.n / estimate.n_clusters),
        )
    kept = compare(estimate.high, bound) <= 0 if upper else compare(estimate.low, bound) >= 0
    broken = compare(estimate.low, bound) > 0 if upper else compare(estimate.high, bound) < 0
    must = f"must be at {'most' if upper else 'least'} {bound:.3g}"
    told = f"{estimate}" + (f" ({estimate.method})" if estimate.how.remade else "")
    if broken:
        return Part(Outcome.FAILED, f"{what} is {told} and {must}")
    if estimate.n_missing:
        return Part(Outcome.INCONCLUSIVE, _missing(estimate))
    if kept and is_alike_but_one(estimate, bound, upper=upper, noise_floor=floor):
        needed = CLUSTERS_NEEDED_WITHOUT_VARIANCE
        return Part(
            Outcome.INCONCLUSIVE,
            f"{what} comes from {estimate.n} units of which all but one are equal, too few to trust that "
            f"(at least {needed} clusters are needed)",
            math.ceil((needed - estimate.n_clusters) * estimate.n / estimate.n_clusters),
        )
    if kept:
        return Part(Outcome.PASSED)
    more, hint = _remedy(estimate, bound)
    return Part(Outcome.INCONCLUSIVE, f"{what} is {told} and {must}: {hint}", more)


def _remedy(estimate: Estimate, bound: float) -> tuple[int | None, str]:
    """Return how many more units would decide, and what would in words: with too few people no number of units does."""
    below, above = open_sides(estimate)
    if estimate.value - below <= bound <= estimate.value + above and below + above > 0.0:
        told = f"the answers leave it open from {estimate.value - below:.3f} to {estimate.value + above:.3f}"
        return None, f"{told}, which no number of units changes. {NARROWER}"
    estimate = without_bounds(estimate)
    distance, people = abs(bound - estimate.value), half_of_people(estimate)
    if people and people >= distance:
        return None, (
            f"too few people were asked: their answers alone leave the value open by {people:.3f} either way, which no "
            "number of units changes; compare with more people"
        )
    left = math.copysign(math.sqrt(distance**2 - people**2), bound - estimate.value)
    more = more_units(without_people(estimate), estimate.value + left)
    return more, "no number of units would decide" if more is None else f"about {more} more units would decide"


def _missing(estimate: Estimate) -> str:
    return f"{estimate.n_missing} of {estimate.n + estimate.n_missing} units have no score"


def bound_p_value_of(gate: Gate, measured: Estimate, bound: float, alternative: str) -> float:
    """Return the p-value of a bound at the level of its promise; NaN where the value alone decides."""
    level = gate.confidence_level
    if level is None:
        return math.nan
    below, above = open_sides(measured)
    # The end that the answers leave open is what is compared.
    at_end = bound + below if alternative == "greater" else bound - above
    return trusted_p_value(without_bounds(measured), at_end, alternative=alternative, confidence_level=level)
