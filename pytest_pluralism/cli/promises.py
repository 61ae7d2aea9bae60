"""``pluralism promises``: every promise of a suite with its room, and which were loosened, dropped or skipped."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.baselines import DEFAULT_PLACE
from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.collecting import collect
from pytest_pluralism.cli.results import read_results, refuse_missing
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    complain,
    option,
    reading,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.messages import printable
from pytest_pluralism.report.cells import promise_cell

__all__ = ["add_promises", "loosened"]

SCHEMA = "pytest-pluralism/promises/1"

#: The ways in which a promise can get weaker, as ``--fail-on`` names them.
STATES = ("loosened", "dropped", "skipped")

#: The bounds of which a larger one promises less, beside those on a change of the mean.
_UPPER = ("at_most", "max_unit_increase", "max_unit_decrease")

#: The bounds on a change of the mean, by what they bound: one of them bounds both ways.
_CHANGES = {"a rise": ("max_increase", "max_change"), "a fall": ("max_decrease", "max_change")}


@dataclass(frozen=True)
class _Before:
    """The promises of before: in a commit, or when the results were stored.

    ``gates`` are the promises by key, one for each model that has results; ``of_part`` names, by the key of a
    measurement, the promise that is about several of them; of ``untold`` results no promise is kept.
    """

    gates: Mapping[str, list[Entry]]
    of_part: Mapping[str, str]
    untold: frozenset[str]

    def of(self, promise: Entry) -> list[Entry]:
        """Return what was promised in the place of a promise."""
        # An older version kept the promise about the worst group with each group alone.
        parts = (gate for part in promise["parts"] for gate in self.gates.get(part, ()))
        return self.gates.get(promise["key"]) or list(parts)

    def gone(self, promises: Sequence[Entry]) -> Iterator[tuple[str, Entry]]:
        """Yield the key and the bounds of each promise that no test makes any more; no bounds where none are kept."""
        wholes = {promise["key"] for promise in promises}
        known = wholes.union(*(promise["parts"] for promise in promises))
        yield from ((key, gates[0]) for key, gates in self.gates.items() if key not in known)
        for part, whole in self.of_part.items():
            if whole in wholes and part not in known:
                yield part, self.gates[whole][0]
        yield from ((key, {}) for key in sorted(self.untold - known - self.gates.keys()))

    def not_compared(self, promise: Entry) -> str | None:
        """Return why nothing is known of what was promised in the place of a promise; ``None`` where it is known."""
        if self.of(promise):
            return None
        if self.untold.intersection((promise["key"], *promise["parts"])):
            return "an older version stored its result without the promise. Store it anew to compare it from then on."
        older = ", or a level of the worst group, which older versions did not store"
        return f"nothing is stored of it: it is new{older if promise['population'] == 'worst' else ''}."


def add_promises(commands: Commands) -> None:
    """Add ``pluralism promises``."""
    results = f"a report, or a baseline or folder of them (default: {DEFAULT_PLACE} where it is there)"
    since = "compare with the promises that the baseline held in this commit, tag or branch; no old code is run"
    fail = f"exit with 1 where there are such promises: {', '.join(STATES)}, separated by commas"
    add_command(
        commands,
        "promises",
        show_promises,
        "list every promise of a suite with its room, and those that were loosened, dropped or skipped",
        option("tests", nargs="*", metavar="TESTS", help="files or folders of tests (default: as pytest finds them)"),
        option("--results", metavar="PATH", help=results),
        option("--model", metavar="NAME", help="the model, where the results are of several"),
        option("--since", metavar="REV", help=since),
        option("--fail-on", metavar="WORDS", default="", help=fail),
        description="List the promises of a suite, which pytest collects in a process of its own, beside what was "
        "measured, and say what they promised before.",
        epilog=f"{EXIT_CODES}; problems are what --fail-on names, and tests that cannot be collected",
    )


@reading
def show_promises(arguments: argparse.Namespace) -> int:
    """Show the promises."""
    wanted = [word for word in arguments.fail_on.split(",") if word]
    odd = [word for word in wanted if word not in STATES]
    if odd:
        raise UsageError(f"--fail-on must name {', '.join(STATES)}, separated by commas. Got {odd[0]!r}.")
    place = arguments.results
    if place is None and Path(DEFAULT_PLACE).exists():
        place = DEFAULT_PLACE
    measured = _measured(place, arguments.model)
    before = _before(place, arguments.since, measured)
    listed, problem = _listed(arguments.tests)
    rows = [_row(promise, measured, before) for promise in listed["promises"]]
    files = listed["skipped_files"]
    gone = [
        {"key": key, "gate": gate, "skipped": files.get(key.partition("::")[0])}
        for key, gate in (before.gone(listed["promises"]) if before else ())
        if _is_asked(key, arguments.tests)
    ]
    states = {state for row in rows for state in _states(row)}
    states |= {"skipped" if one["skipped"] is not None else "dropped" for one in gone}
    problems = [*listed["problems"], *([problem] if problem else [])]
    failed = bool(problems) or bool(states & set(wanted))
    if arguments.json:
        content = {"since": arguments.since, "results": place, "promises": rows, "gone": gone, "problems": problems}
        say_json({"schema": SCHEMA, **content})
    else:
        say(*_lines(rows, gone))
        complain(*problems)
    return EXIT_PROBLEMS if failed else EXIT_OK


def loosened(now: Entry, then: Entry, /) -> list[str]:
    """Return in words what a promise says less than it did.

    Parameters
    ----------
    now, then : mapping
        The promise and an earlier one of the same test, as an entry of a baseline keeps them in ``gate``.
    """
    found = []
    for name in (*_UPPER, "at_least", "better_than"):
        was, is_ = then.get(name), now.get(name)
        if was is None:
            continue
        if is_ is None:
            found.append(f"{name}={was} is gone")
        elif name == "better_than":
            found += [f"{name} was {was!r}, is {is_!r}"] if is_ != was else []
        elif (is_ < was) if name == "at_least" else (is_ > was):
            found.append(f"{name} was {was:g}, is {is_:g}")
    # A bound both ways is said once.
    found += dict.fromkeys(words for side in _CHANGES for words in _wider(now, then, side))
    was, is_ = then.get("confidence_level", 0.95), now.get("confidence_level", 0.95)
    if was is not None and (is_ is None or is_ < was):
        found.append(f"confidence_level was {was:g}, is {is_ if is_ is None else format(is_, 'g')}")
    return found


def _wider(now: Entry, then: Entry, side: str) -> Iterator[str]:
    """Yield in words what a promise says less of a rise, or of a fall, than it did; against the anchor, too."""
    before, after = (next((name for name in _CHANGES[side] if name in gate), None) for gate in (then, now))
    if before is None:
        return
    was = then[before]
    if after is None:
        halved = before == "max_change" and any(name in now for names in _CHANGES.values() for name in names)
        yield f"{before}={was} is gone" + (f", and nothing bounds {side}" if halved else "")
        return
    is_ = now[after]
    if is_ > was:
        yield f"{before} was {was:g}, is {is_:g}" if after == before else f"{before} was {was:g}, is {after}={is_:g}"
    was, is_ = then.get("max_drift", was), now.get("max_drift", is_)
    if is_ > was and "max_drift" in {*now, *then}:
        yield f"the margin against the anchor was {was:g}, is {is_:g}"


def _measured(place: str | None, model: str | None) -> Mapping[str, list[Entry]]:
    """Return the results by the key of their promise; a report has one for each of several baselines."""
    found: dict[str, list[Entry]] = {}
    for key, entry in ({} if place is None else read_results(place, model).entries).items():
        against = (entry.get("baseline") or {}).get("name")
        found.setdefault(key.removesuffix(f" against {against}") if against else key, []).append(entry)
    return found


def _before(place: str | None, since: str | None, measured: Mapping[str, list[Entry]]) -> _Before | None:
    """Return what was promised before; nothing where there are no results."""
    if since is None and place is None:
        return None
    if since is None:
        entries = measured
    else:
        from pytest_pluralism.baselines.history import entries_at
        from pytest_pluralism.baselines.places import is_remote

        if place is None:
            raise UsageError(f"--since reads baselines from git, and there is no {DEFAULT_PLACE}. Name one: --results.")
        if is_remote(place):
            raise BaselineError(f"baseline {place} is not in a git repository on this machine. Name a path: --results.")
        refuse_missing(place)
        entries = entries_at(Path(place), since)
    gates: dict[str, list[Entry]] = {}
    of_part: dict[str, str] = {}
    untold: set[str] = set()
    for key, found in entries.items():
        for entry in found:
            promise = entry.get("promise") or {"key": key, "gate": entry.get("gate") or {}}
            if promise["key"] != key:
                of_part[key] = promise["key"]
            if set(promise["gate"]) - {"confidence_level"}:
                gates.setdefault(promise["key"], []).append(promise["gate"])
            else:
                untold.add(key)
    return _Before(gates, of_part, frozenset(untold))


def _listed(tests: Sequence[str]) -> tuple[Content, str]:
    """Let pytest collect the tests in a process of its own; return what it wrote, and what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "promises.json"
        return collect([f"--pluralism-list-promises={file}"], tests, file)


def _is_asked(key: str, tests: Sequence[str]) -> bool:
    """Return whether a promise belongs to the tests that were asked for."""
    file = key.partition("::")[0]
    wanted = [Path(one.partition("::")[0]).as_posix().rstrip("/") for one in tests]
    return not wanted or any(one == "." or file == one or file.startswith(f"{one}/") for one in wanted)


def _row(promise: Entry, measured: Mapping[str, list[Entry]], before: _Before | None) -> Content:
    found = measured.get(promise["key"]) or _of_worst(promise, measured)
    slacks: dict[str, float] = {}
    for name, slack in (pair for entry in found for pair in _slacks(promise["gate"], entry)):
        slacks[name] = min(slack, slacks.get(name, slack))
    words = (loosened(promise["gate"], then) for then in (before.of(promise) if before else ()))
    return {
        **{name: promise[name] for name in ("key", "test", "metric", "direction", "dataset", "population", "gate")},
        "skipped": promise["skipped"],
        "value": found[0]["estimate"]["value"] if found and found[0].get("estimate") else None,
        "slacks": slacks,
        "loosened": next((some for some in words if some), []),
        "not_compared": before.not_compared(promise) if before else None,
    }


def _of_worst(promise: Entry, measured: Mapping[str, list[Entry]]) -> list[Content]:
    """Return what a baseline, which stores the groups one by one, says of the group that fares worst, if it does."""
    parts = [measured[key][0] for key in promise["parts"] if key in measured]
    if promise["population"] != "worst" or not parts or len(parts) < len(promise["parts"]):
        return []
    ends = [_ends(part.get("estimate")) for part in parts]
    known = [end for end in ends if end is not None]
    if len(known) < len(parts) or any(part["metric"] != promise["metric"] for part in parts):
        return []
    # A promise is kept when every group keeps it, so that the deciding end is the worst one of all groups.
    pick = min if promise["direction"] == "higher" else max
    value = pick(float(part["estimate"]["value"]) for part in parts)
    low, high = (pick(end[at] for end in known) for at in (0, 1))
    return [{"estimate": {"value": value, "low": low, "high": high}}]


def _slacks(gate: Entry, found: Entry) -> Iterator[tuple[str, float]]:
    """Yield how far the deciding end is from each bound whose number is known: below 0 the promise is not kept."""
    value, change = _ends(found.get("estimate")), _ends(found.get("change"))
    advantage = _ends(found.get("advantage"))
    if value is not None and "at_most" in gate:
        yield "at_most", gate["at_most"] - value[1]
    if value is not None and "at_least" in gate:
        yield "at_least", value[0] - gate["at_least"]
    if advantage is not None and "better_than" in gate:
        yield "better_than", advantage[0]
    if change is not None and "max_increase" in gate:
        yield "max_increase", gate["max_increase"] - change[1]
    if change is not None and "max_decrease" in gate:
        yield "max_decrease", gate["max_decrease"] + change[0]
    if change is not None and "max_change" in gate:
        yield "max_change", gate["max_change"] - max(change[1], -change[0])


def _ends(estimate: Entry | None) -> tuple[float, float] | None:
    """Return the ends of an interval; the value stands for an end that is not there."""
    if not estimate or estimate.get("value") is None:
        return None
    low, high = (estimate[name] if estimate.get(name) is not None else estimate["value"] for name in ("low", "high"))
    return float(low), float(high)


def _states(row: Entry) -> Iterator[str]:
    if row["loosened"]:
        yield "loosened"
    if row["skipped"] is not None:
        yield "skipped"


def _lines(rows: Sequence[Entry], gone: Sequence[Entry]) -> Iterator[str]:
    if not rows and not gone:
        yield "no promises"
        return
    lines: list[tuple[str, ...]] = [("promise", "measured", "slack", "", "measure")]
    for row in rows:
        slack = min(row["slacks"].values(), default=None)
        lines.append(
            (
                str(promise_cell(row["gate"])),
                "" if row["value"] is None else f"{row['value']:.3f}",
                "" if slack is None else f"{slack:+.3f}",
                ", ".join(_states(row)),
                printable(row["key"], most=160),
            )
        )
    for one in gone:
        state = "dropped" if one["skipped"] is None else "skipped"
        lines.append((str(promise_cell(one["gate"])), "", "", state, printable(one["key"], most=160)))
    yield from table(lines)
    for row in rows:
        for words in row["loosened"]:
            yield f"loosened: {printable(row['key'], most=160)}: {printable(words, most=200)}"
        if row["skipped"] is not None:
            yield f"skipped: {printable(row['key'], most=160)}: {printable(row['skipped'], most=200)}"
        if row["not_compared"] is not None:
            yield f"not compared: {printable(row['key'], most=160)}: {row['not_compared']}"
    for one in gone:
        why = "no test promises it any more" if one["skipped"] is None else printable(one["skipped"], most=200)
        yield f"{'dropped' if one['skipped'] is None else 'skipped'}: {shown(one['key'])}: {why}"
