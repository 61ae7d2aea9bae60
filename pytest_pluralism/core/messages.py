"""The words of verdicts: records in, text out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_pluralism.core.records import Estimate, Gate, Measure, Outcome, ReportEntry, Verdict
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.untrusted import harmless, printable
from pytest_pluralism.core.words import CLUSTERS, in_order

__all__ = [
    "farthest_of",
    "gained_over",
    "gate_words",
    "harmless",
    "headline",
    "interval_words",
    "length_words",
    "needed_words",
    "printable",
    "subject",
    "verdict_message",
]

#: How many other populations stand in a message before the rest is counted.
MOST_POPULATIONS = 3

#: How many answers of one kind stand in a message before the rest is counted.
MOST_ANSWERS = 3


def interval_words(estimate: Estimate, /, *, signed: bool = False) -> str:
    """Return ``0.382 [0.361, 0.404]``, with signs for a change; the value alone where no interval is known."""
    style = "+.3f" if signed else "z.3f"
    if estimate.confidence_level is None or math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{estimate.value:{style}}"
    return f"{estimate.value:{style}} [{estimate.low:{style}}, {estimate.high:{style}}]"


#: The words of each bound of a gate, in their order.
_BOUNDS = (
    ("at_least", "must be at least {:.3f}"),
    ("at_most", "must be at most {:.3f}"),
    ("better_than", "must be better than {}"),
    ("max_increase", "may rise by at most {:.3f}"),
    ("max_decrease", "may fall by at most {:.3f}"),
    ("max_change", "may change by at most {:.3f} either way"),
    ("max_drift", "by at most {:.3f} from the anchor"),
    ("max_unit_increase", "no unit may rise by more than {:.3f}"),
    ("max_unit_decrease", "no unit may fall by more than {:.3f}"),
)


def gate_words(gate: Gate, /) -> str:
    """Return the promise in words, ``must be at most 0.300``."""
    bounds = ((getattr(gate, name), words) for name, words in _BOUNDS)
    return " and ".join(words.format(bound) for bound, words in bounds if bound is not None)


def subject(measure: Measure, population: str | None, dataset: str, /, *, over: str | None = None) -> str:
    """Return what was measured, ``JS distance to Democrat (gss)``.

    ``over`` names what a gain is over.
    """
    title = measure.title if over is None else f"{measure.title} over {over}"
    whom = measure.everybody if population is None else population
    return f"{title} {measure.towards} {whom} ({dataset})" if whom else f"{title} ({dataset})"


def gained_over(settings: Mapping[str, object], /) -> str | None:
    """Return what a gain in steering is over, by the settings that a report keeps; ``None`` where it is none."""
    steering = settings.get("steering")
    over = steering.get("over") if isinstance(steering, Mapping) else None
    return over if isinstance(over, str) else None


def headline(entry: ReportEntry, /) -> str:
    """Return the first line of a message: the numbers, the promise, then what they are of."""
    verdict = entry.verdict
    gate, estimate, change = verdict.gate, verdict.estimate, verdict.change
    level = "" if gate.confidence_level is None else f", {100 * gate.confidence_level:g} % interval"
    over = gained_over(entry.provenance.settings)
    what = f"{subject(entry.measure, entry.population, entry.dataset, over=over)}{level}"
    if estimate is None:
        return f"nothing measured, {gate_words(gate)}: {what}"
    if gate.needs_baseline and not gate.bounds_value:
        if change is None and verdict.drift is not None:
            away = interval_words(verdict.drift, signed=True)
            return f"{away} from the anchor, {gate_words(gate)}: {what}; {change_origin(estimate, verdict.drift)}"
        if change is None:
            return f"not compared, {gate_words(gate)}: {what}; now {interval_words(estimate)}"
        then = change_origin(estimate, change)
        name = (entry.baseline or {}).get("name")
        against = f" ({printable(str(name))})" if name else ""
        against += _from_anchor(verdict)
        return f"{interval_words(change, signed=True)}, {gate_words(gate)}: change of {what}; {then}{against}"
    line = f"{interval_words(estimate)}, {gate_words(gate)}: {what}"
    if verdict.advantage is not None:
        line += f"; better than {gate.better_than} by {interval_words(verdict.advantage, signed=True)}"
    if change is not None:
        line += f"; change {interval_words(change, signed=True)}"
    return line + _from_anchor(verdict)


def _from_anchor(verdict: Verdict) -> str:
    return "" if verdict.drift is None else f"; from the anchor {interval_words(verdict.drift, signed=True)}"


def change_origin(estimate: Estimate, change: Estimate, /) -> str:
    """Return what a change is between, ``was 0.351, is 0.382``."""
    return f"was {estimate.value - change.value:.3f}, is {estimate.value:.3f}"


def verdict_message(entry: ReportEntry, /) -> str:
    """Return the message of a verdict that did not pass: numbers first, what to type last.

    The first line fits the short summary of pytest; nothing in the text can be obeyed by a terminal.
    """
    # Names of populations, units and models come from files and models, and stand anywhere in these lines.
    return harmless("\n".join([headline(entry), *(f"  {line}" for line in _lines(entry))]))


def _lines(entry: ReportEntry) -> Iterator[str]:
    verdict, said = entry.verdict, ""
    if verdict.outcome is Outcome.INCONCLUSIVE:
        if verdict.units_needed is not None:
            yield needed_words(entry.measure, verdict.units_needed)
        else:
            said = verdict.reason
            yield f"undecided: {said}"
    elif verdict.reason and not _says_no_more(entry):
        said = verdict.reason
        yield said
    length = (entry.baseline or {}).get("length")
    if length:
        yield length_words(length)
    if verdict.estimate is not None:
        yield _counts(entry, verdict.estimate)
    references = list(_references(entry))
    if references:
        yield "   ".join(references)
    yield from _witness(entry)
    if entry.scores is not None:
        # A health problem that decides is the reason already.
        yield from (f"warning {printable(one, most=240)}" for one in entry.scores.warnings if one not in said)
    yield _origin(entry)
    yield _commands(entry)


def needed_words(measure: Measure, units: int, /) -> str:
    """Return how much more would decide, ``too close to call; about 58 more questions needed``."""
    return f"too close to call; about {units:,} more {measure.unit.of(units)} needed"


def length_words(length: JsonObject, /) -> str:
    """Return the part of a change that stays at equal length, and the part that comes of the length of responses.

    Examples
    --------
    >>> part = {"value": -0.08, "low": -0.12, "high": -0.04}
    >>> length_words({"words": 54.2, "words_before": 96.0, "at_equal_length": part, "by_length": part})
    'at equal length -0.080 [-0.120, -0.040], by length -0.080 [-0.120, -0.040] (words 96 before, 54 now)'
    """
    parts = [
        f"{words} {one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
        for words, one in (("at equal length", length["at_equal_length"]), ("by length", length["by_length"]))
    ]
    return f"{', '.join(parts)} (words {length['words_before']:.0f} before, {length['words']:.0f} now)"


def _says_no_more(entry: ReportEntry) -> bool:
    """Return whether the reason only repeats the numbers of the headline: a value on the wrong side of its bound."""
    verdict = entry.verdict
    if entry.scores is not None and entry.scores.guards:
        # The headline holds the number itself, and what must hold beside it may be what broke the promise.
        return False
    decisive = verdict.change if verdict.change is not None else verdict.estimate
    gate = verdict.gate
    if gate.max_unit_increase is not None or gate.max_unit_decrease is not None or verdict.drift is not None:
        # The headline holds the mean, and a single unit, or the anchor, may be what broke the promise.
        return False
    return verdict.outcome is Outcome.FAILED and decisive is not None and math.isfinite(decisive.value)


def _counts(entry: ReportEntry, estimate: Estimate) -> str:
    units = entry.scores.units if entry.scores is not None else ()
    measure = entry.measure
    words = [f"{measure.unit.many} {estimate.n}"]
    if entry.scores is not None and entry.scores.crossed is not None:
        words[0] += f" x {measure.people.many} {len(entry.scores.crossed.units)}"
    elif estimate.how.may_count_people:
        # An interval over queries and jurors that keeps no jurors.
        fewer = estimate.n_clusters < estimate.n
        words[0] += f" x {measure.people.many} {estimate.n_clusters}" if fewer else ""
    else:
        words[0] += f" in {estimate.n_clusters} {CLUSTERS.of(estimate.n_clusters)}"
    seed = entry.provenance.settings.get("seed")
    if seed is not None:
        words.append(f"seed {seed}")
    if units and "n_draws" in units[0].details:
        words.append(f"draws {units[0].details['n_draws']}")
    masses = [(one.option_mass, one.unit_id) for one in units if one.option_mass is not None]
    if masses:
        mean = sum(mass for mass, _ in masses) / len(masses)
        lowest, where = min(masses)
        words.append(f"option mass {mean:.2f} (lowest {lowest:.2f} on {printable(where, most=30)})")
    return "   ".join(words)


def farthest_of(others: Mapping[str, float], measure: Measure, direction: str | None, /) -> list[tuple[str, float]]:
    """Return the population that differs most from the measured one: its answers are what a model must not give.

    It is the first item of a list, which is empty where there is nothing to choose from.
    """
    if len(others) < 2 or not measure.has_nearest:
        return []
    pick = min if direction == "higher" else max
    return [pick(others.items(), key=lambda pair: pair[1])]


def _references(entry: ReportEntry) -> Iterator[str]:
    if entry.scores is None:
        return
    others = entry.scores.other_populations
    first = farthest_of(others, entry.measure, entry.measure.direction)
    shown = list(dict([*first, *others.items()]).items())[:MOST_POPULATIONS]
    told = [f"{printable(name, most=30)} {value:.2f}" for name, value in shown]
    yield from told[: len(first)]
    for words, value in in_order(entry.scores.references, entry.measure.references, brief=True):
        yield f"{words} {value:.2f}"
    yield from told[len(first) :]
    if len(others) > len(shown):
        left = len(others) - len(shown)
        yield f"and {left} more {entry.measure.others.of(left)}"


def _witness(entry: ReportEntry) -> Iterator[str]:
    verdict = entry.verdict
    if verdict.witness is None or entry.scores is None:
        return
    found = [unit for unit in entry.scores.units if unit.unit_id == verdict.witness.unit_id]
    if not found:
        # The evaluation named the group that decides, which is not a unit.
        text = f' "{printable(verdict.witness.text)}"' if verdict.witness.text else ""
        yield f"worst   {printable(verdict.witness.unit_id, most=40)}{text} {verdict.witness.value:.2f}"
        return
    unit = found[0]
    changes = verdict.change or Estimate(0, 0, 0, 0, 0, 0)
    compared = (unit.unit_id, verdict.witness.value) in set(zip(changes.unit_ids, changes.values, strict=False))
    number = f"{verdict.witness.value:+.2f}" if compared else f"{verdict.witness.value:.2f}"
    line = f'worst   {printable(unit.unit_id, most=40)} "{printable(unit.text)}" {number}'
    if unit.model_probabilities and unit.reference_probabilities:
        # The option on which the two differ most says more than the likeliest one.
        gaps = [
            ours - theirs for ours, theirs in zip(unit.model_probabilities, unit.reference_probabilities, strict=True)
        ]
        most = max(range(len(gaps)), key=lambda index: abs(gaps[index]))
        people = unit.population or entry.measure.people.many
        line += (
            f": model {100 * unit.model_probabilities[most]:.0f} % "
            f'"{printable(unit.options[most], most=40)}", '
            f"{printable(people, most=30)} {100 * unit.reference_probabilities[most]:.0f} %"
        )
    yield line
    yield from _answers(unit.details)


def _answers(details: JsonObject) -> Iterator[str]:
    """Yield which answers of a window the responses miss, which they hold, and where they leave the window."""
    answers = details.get("answers", ())
    missed = [one for one in answers if not one["held"]]
    held = [one for one in answers if one["held"]]
    argued = [one for one in details.get("unreasonable_answers", ()) if one["held"]]
    for word, chosen, cited in (("missed ", missed, False), ("held   ", held, True), ("argued ", argued, True)):
        if chosen:
            yield f"{word} {_listed_answers(chosen, cited=cited)}"


def _listed_answers(answers: Sequence[JsonObject], *, cited: bool) -> str:
    parts = []
    for one in answers[:MOST_ANSWERS]:
        words = f'"{printable(one["text"])}"'
        if one.get("stance"):
            words += f" ({printable(one['stance'], most=20)})"
        if cited and one.get("evidence"):
            words += f' by "{printable(one["evidence"])}"'
        parts.append(words)
    if len(answers) > MOST_ANSWERS:
        parts.append(f"and {len(answers) - MOST_ANSWERS} more")
    return "; ".join(parts)


def _origin(entry: ReportEntry) -> str:
    model, dataset = entry.provenance.model, entry.provenance.dataset
    words = f"model   {printable(str(model.get('name', '?')))} sha256:{str(model.get('sha256', '?'))[:12]}"
    words += f" {model.get('dtype', '?')} {model.get('device', '?')}"
    words += f"    {entry.measure.data} {printable(str(dataset.get('name', '?')))}"
    words += f" sha256:{str(dataset.get('sha256', '?'))[:12]}"
    return words


def _commands(entry: ReportEntry) -> str:
    # The node id is quoted as a shell needs it: brackets are patterns to some.
    nodeid = "'" + printable(entry.path or entry.nodeid, most=1000).replace("'", "'\\''") + "'"
    options = f"{entry.options} " if entry.options else ""
    words = f"to inspect: pytest {options}--pluralism-report=report.html {nodeid}"
    if entry.verdict.gate.needs_baseline and (entry.verdict.change is not None or entry.verdict.drift is None):
        words += f"    to accept: pytest {options}--pluralism-update-baseline {nodeid}"
    if entry.verdict.drift is not None:
        words += f"    to accept the drift: pytest {options}--pluralism-move-anchor={nodeid}"
    return words
