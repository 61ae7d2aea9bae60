"""Guards: what must hold beside a promise, so that a number is not bought with a loss elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_pluralism.core.records import Gate, Outcome, Verdict
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.core.verdict import decide

__all__ = ["guarded"]


def guarded(verdict: Verdict, guards: Sequence[Guard], /) -> Verdict:
    """Return a verdict that passes only where its guards hold.

    Each guard is a number that must not be below its bound, which is 0 by default. A promise passes only when every
    guard that must be shown has its whole interval at the bound or above. It fails when a guard has its whole interval
    below the bound at the level that is left to each of k guards, 1 - (1 - level) / k, so that many guards raise no
    more false alarms than one.

    Parameters
    ----------
    verdict : Verdict
        The verdict on the number itself; an ERROR, and a promise about a change alone, stay as they are.
    guards : sequence of Guard
        The bounds that must hold beside it.

    Returns
    -------
    Verdict
        The worse of the two, with the reason of what decides.

    Examples
    --------
    >>> from pytest_pluralism.core.records import Estimate
    >>> passed = decide(Gate(at_least=0.1), Estimate(0.3, 0.2, 0.4, 0.05, n=50, n_clusters=50))
    >>> loss = Guard("the reward over no steering", Estimate(-0.3, -0.4, -0.2, 0.05, n=50, n_clusters=50))
    >>> guarded(passed, [loss]).reason
    'the reward over no steering is -0.300 [-0.400, -0.200] and must be at least 0'
    """
    gate = verdict.gate
    if not guards or verdict.outcome is Outcome.ERROR or not gate.bounds_value:
        return verdict
    level = gate.confidence_level
    guards = [one for one in guards if level is not None or not one.of_sample]
    if not guards:
        return verdict
    strict = None if level is None else 1.0 - (1.0 - level) / len(guards)
    broken = [
        one for one in guards
        if decide(Gate(at_least=one.least, confidence_level=strict), one.estimate).outcome is Outcome.FAILED
    ]  # fmt: skip
    if broken:
        return replace(verdict, outcome=Outcome.FAILED, reason=_reason(broken), units_needed=None)
    open_ = [
        one for one in guards
        if one.must_be_shown
        and decide(Gate(at_least=one.least, confidence_level=level), one.estimate).outcome is not Outcome.PASSED
    ]  # fmt: skip
    if open_ and verdict.passed:
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=_reason(open_))
    # No number of units says what the sample does not hold.
    return replace(verdict, units_needed=None) if any(one.of_sample for one in open_) else verdict


def _reason(guards: Sequence[Guard]) -> str:
    words = [one.told or f"{one.words} is {one.estimate} and must be at least {one.least:zg}" for one in guards]
    return "; ".join(dict.fromkeys(words))
