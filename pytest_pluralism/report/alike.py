"""Sentences about names in a report that look the same and are not: a reader would take them for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pytest_pluralism.core.alike import differing, look_alikes
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.report.cells import Entry

__all__ = ["alike_lines", "alike_names", "told_apart"]

#: Maximum number of pairs that are named.
MOST_PAIRS = 10

#: The fields of a verdict and its units whose texts, or whose keys, are names.
_NAMED = {"population": "population", "id": "unit", "cluster": "cluster", "group": "group", "juror": "juror"}
_KEYED = {"references": "reference", "other_populations": "population", "groups": "group", "jurors": "juror"}

#: Where a verdict holds fields with names.
_INSIDE = ("witness", "units", "details")


def alike_lines(entries: Iterable[Entry], /) -> list[str]:
    """Return a sentence for each name in a report that looks like another one of its kind.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    """
    kinds: dict[str, dict[str, None]] = {}
    for entry in entries:
        for kind, name in _names(entry):
            kinds.setdefault(kind, {})[name] = None
    return [line for kind, names in kinds.items() for line in alike_names(kind, names)]


def alike_names(kind: str, names: Iterable[str], /) -> list[str]:
    """Return a sentence for each of some names of one kind that looks like an earlier one."""
    found = look_alikes(names)
    lines = [
        f"{kind} {printable(name)!r} looks like {printable(other)!r} and is another one ({differing(name, other)})"
        for name, other in list(found.items())[:MOST_PAIRS]
    ]
    if len(found) > MOST_PAIRS:
        lines.append(f"{len(found) - MOST_PAIRS} more names look like another {kind}")
    return lines


def told_apart(names: Iterable[str], /, *, most: int) -> dict[str, str]:
    """Return each name as it is shown, cut to ``most`` characters unless others are cut to the same."""
    short = {name: printable(name, most=most) for name in names}
    times = Counter(short.values())
    return {
        name: cut if times[cut] == 1 else printable(name, most=max(most, 12 * len(name))) for name, cut in short.items()
    }


def _names(entry: Entry) -> Iterator[tuple[str, str]]:
    for kind, part in (("model", "model"), ("data set", "dataset")):
        if isinstance(entry.get(part), Mapping):
            yield kind, str(entry[part].get("name", ""))
    yield "test", str(entry.get("nodeid", ""))
    yield from _inside(entry, deeper=False)
    for part in _INSIDE:
        yield from _inside(entry.get(part))


def _inside(value: object, *, deeper: bool = True) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for field, one in value.items():
            if field in _NAMED and isinstance(one, str):
                yield _NAMED[field], one
            elif field in _KEYED and isinstance(one, Mapping):
                yield from ((_KEYED[field], str(name)) for name in one)
            elif field == "options" and isinstance(one, (list, tuple)):
                yield from (("option", name) for name in one if isinstance(name, str))
            if deeper and isinstance(one, (Mapping, list, tuple)):
                yield from _inside(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            if isinstance(one, (Mapping, list, tuple)):
                yield from _inside(one)
