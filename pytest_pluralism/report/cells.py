"""Words that all reports share: a value with its interval, and a promise in signs."""

from __future__ import annotations

from datetime import datetime

from pytest_pluralism.baselines.schema import Entry
from pytest_pluralism.core.untrusted import printable

__all__ = [
    "Entry",
    "Ours",
    "bound_words",
    "estimate_words",
    "interval_cell",
    "outcome_of",
    "promise_cell",
    "shortened",
    "started_words",
    "warning_words",
]

_SIGNS = {
    "at_least": "≥ ",
    "at_most": "≤ ",
    "better_than": "better than ",
    "max_increase": "rise ≤ ",
    "max_decrease": "fall ≤ ",
    "max_change": "change ≤ ± ",
    "max_drift": "drift ≤ ",
    "max_unit_increase": "each rise ≤ ",
    "max_unit_decrease": "each fall ≤ ",
}


class Ours(str):
    """Words and numbers of the package, with nothing from outside in them; other text is escaped by every form."""

    __slots__ = ()


def bound_words(value: float | None, low: float | None, high: float | None, sign: str = "") -> Ours | None:
    """Return ``0.382 [0.361, 0.404]``, the value alone without an interval, and ``None`` without a value."""
    if value is None:
        return None
    # A zero that rounding left below 0 is shown as 0.
    form = f"{sign}z.3f"
    if low is None or high is None:
        return Ours(f"{value:{form}}")
    return Ours(f"{value:{form}} [{low:{form}}, {high:{form}}]")


def interval_cell(entry: Entry, /) -> str:
    """Return what a verdict decided on: the value with its interval, or the change where only that was promised."""
    is_change = "change" in entry and not {"at_most", "at_least", "better_than"} & set(entry.get("gate") or {})
    return estimate_words(entry["change"] if is_change else entry["estimate"], "+" if is_change else "")


def outcome_of(entry: Entry, /) -> str:
    """Return the outcome of a verdict; ``"stored"`` where a result was only stored, with nothing to compare it with."""
    is_bounded = {"at_most", "at_least", "better_than"} & set(entry.get("gate") or {})
    is_stored = (entry.get("baseline") or {}).get("stored") is True and not is_bounded
    return "stored" if is_stored and entry["outcome"] == "passed" else str(entry["outcome"])


def estimate_words(estimate: Entry | None, sign: str = "") -> str:
    """Return the words for an estimate of the JSON report, ``-`` without a value."""
    if estimate is None:
        return Ours("-")
    has_interval = estimate["confidence_level"] is not None
    low, high = (estimate["low"], estimate["high"]) if has_interval else (None, None)
    return bound_words(estimate["value"], low, high, sign) or Ours("-")


def warning_words(entry: Entry, /) -> str:
    """Return the warnings of a verdict that its reason does not say already, in one line; empty without any."""
    reason = str(entry.get("reason") or "")
    return "; ".join(str(one) for one in entry.get("warnings", ()) if str(one) not in reason)


def shortened(text: str, /, *, most: int) -> str:
    """Return a text of at most ``most`` characters, cut after a whole word, with an ellipsis in place of the rest.

    Examples
    --------
    >>> shortened("Should shops open on Sundays?", most=40)
    'Should shops open on Sundays?'
    >>> shortened("Should shops open on Sundays?", most=20)
    'Should shops open…'
    """
    if len(text) <= most:
        return text
    words = text[:most].rpartition(" ")[0].rstrip(" ,;:")
    # A text without a space, such as one in Chinese, is cut where it is.
    return f"{words if len(words) > most // 2 else text[: most - 1]}…"


def started_words(started: object, /) -> str:
    """Return the start of a run as people write it, ``21 November 2026, 08:49 UTC``; what is not a time as it is."""
    try:
        moment = datetime.fromisoformat(str(started))
    except ValueError:
        return str(started)
    zone = moment.tzname() or ""
    return Ours(f"{moment.day} {moment:%B %Y, %H:%M} {zone}".rstrip())


def promise_cell(gate: Entry, /) -> str:
    """Return the bounds of a promise, ``≤ 0.4``."""
    given = {name: gate[name] for name in _SIGNS if name in gate}
    words = ", ".join(
        f"{_SIGNS[name]}{printable(bound) if isinstance(bound, str) else format(bound, 'g')}"
        for name, bound in given.items()
    )
    # The name of a reference may be a population's, which comes from a file.
    return words if "better_than" in given else Ours(words)
