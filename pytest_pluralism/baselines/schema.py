"""The content of a baseline: a summary for people, and the values by unit in a companion, one line an entry.

The summary names the line of each entry by its SHA-256, so that a companion of another time or hand is noticed, and a
companion may hold lines that no summary names: that is what lets both be replaced one after the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.core.untrusted import printable

__all__ = [
    "SCHEMA",
    "SCHEMA_1",
    "SCHEMA_2",
    "Content",
    "Entry",
    "anchor_of",
    "baseline_texts",
    "checkout",
    "parse_baseline",
    "parse_summary",
    "restore",
    "summary_model",
    "variance_of",
]

#: A JSON object: an entry of a baseline or report, or a part of one. A stranger may have written it.
Entry: TypeAlias = JsonObject

#: A JSON object that is being made.
Content: TypeAlias = JsonFields

SCHEMA_1 = "pytest-pluralism/baseline/1"
SCHEMA_2 = "pytest-pluralism/baseline/2"
SCHEMA = "pytest-pluralism/baseline/3"

#: Names that a version 1 file must have and a version 2 file too.
_PARTS = (("metric", str), ("estimate", dict), ("model", dict), ("dataset", dict), ("settings", dict))

#: The largest difference between an estimate and its units that rounding explains.
_ROUNDING = 1e-6

_CONFLICT = re.compile(r"^(<{7}|>{7}) ", flags=re.MULTILINE)

#: The parts of an anchor that it shares with its entry as long as both were measured in one way.
_ANCHORED = (
    *("noise_floor", "model", "dataset", "prompts_sha256", "settings", "versions"),
    *("extra_variance", "from_version"),
)

#: The numbers of draws that a unit of sampled answers keeps: its own, and the mean where drawing biases the value.
_DRAWS = ("drawn", "biased_draws")

_ORDER = (
    *("metric", "direction", "population", "estimate", "variance", "noise_floor", "gate", "promise", "looks", "anchor"),
    *("model", "dataset"),
    *("prompts_sha256", "settings", "origins", "versions"),
)

#: Summaries of version 1 hold their units themselves, and no more than these parts.
_ADDED: Entry = {"prompts_sha256": None, "noise_floor": None, "origins": {}, "gate": {}}


def baseline_texts(model_name: str, entries: Mapping[str, Entry], /) -> tuple[str, dict[str, str]]:
    """Return the text of a summary, and the lines of its companion by their SHA-256, in the order of the keys."""
    lines: dict[str, str] = {}
    shown: Content = {}
    for key, entry in sorted(entries.items()):
        units = _shown_units(key, entry, lines)
        # The parts stand in one order, from any source.
        names = [*(name for name in _ORDER if name in entry), *sorted(entry.keys() - {*_ORDER, "units", "crossed"})]
        rest = {name: entry[name] for name in names}
        anchor = entry.get("anchor") or anchor_of(entry)
        own = {name: anchor.get(name) for name in _ANCHORED if anchor.get(name) != entry.get(name)}
        moved = {"moved": anchor["moved"]} if anchor.get("moved") else {}
        rest["looks"] = entry.get("looks", 0)
        rest["anchor"] = {
            **moved,
            "estimate": anchor["estimate"],
            **own,
            "units": _shown_units(key, anchor, lines),
        }
        shown[key] = {**{name: rest[name] for name in sorted(rest, key=_place)}, "units": units}
    content = {"schema": SCHEMA, "model": model_name, "entries": shown}
    return _encodable(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)) + "\n", lines


def anchor_of(entry: Entry, /) -> Content:
    """Return an entry as an anchor: what later results of the same test are compared with, until somebody moves it."""
    names = ("metric", "direction", "population", "estimate", *_ANCHORED, "units", "crossed")
    return {name: entry[name] for name in names if name in entry}


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _shown_units(key: str, entry: Entry, lines: dict[str, str]) -> Content:
    """Return what a summary says of some units, and add their line to those of the companion."""
    line = _line(key, entry)
    digest = _digest(line)
    lines[digest] = line
    crossed = {"n_crossed": len(entry["crossed"])} if entry.get("crossed") else {}
    return {"n": len(entry["units"]), **crossed, "sha256": digest}


def parse_summary(text: str, /, *, name: str, update: str) -> Content:
    """Return the content of a summary of any version that is known, as it stands there, checked in its outline.

    Raises
    ------
    BaselineError
        It has conflict markers, is not JSON, is of a newer schema or lacks a part.
    """
    _refuse_conflict(text, name, update)
    try:
        content = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"corrupt baseline: {name} is not JSON ({error}). {restore(name)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise _corrupt(name, "it does not name its schema")
    schema = content["schema"]
    if schema not in (SCHEMA, SCHEMA_2, SCHEMA_1):
        family, _, version = schema.rpartition("/")
        if (
            family == SCHEMA.rpartition("/")[0]
            and re.fullmatch(r"[0-9]{1,9}", version)
            and int(version) > int(SCHEMA.rpartition("/")[2])
        ):
            raise BaselineError(
                f"baseline {name} has the newer schema {schema!r}; this version reads {SCHEMA!r}. "
                "Install the version of pytest-pluralism that wrote it, or a later one."
            )
        raise _corrupt(name, f"its schema is {printable(schema)!r}, not {SCHEMA!r}")
    if not isinstance(content.get("entries"), dict) or not isinstance(content.get("model"), str):
        raise _corrupt(name, "'entries' is not an object, or 'model' no name")
    for key, entry in content["entries"].items():
        problem = _outline_problem(entry, schema)
        if problem:
            raise _corrupt(name, f"entry {printable(key, most=200)!r}: {problem}")
    return content


def parse_baseline(text: str, companion: str | None, /, *, name: str, companion_name: str, update: str) -> Content:
    """Return the entries of a baseline, with their units, in the form of the newest version.

    Parameters
    ----------
    text, companion : str
        The two files; ``None`` where there is no companion, as beside a summary of version 1.
    name, companion_name : str
        Their names, for the messages.
    update : str
        The command that writes a baseline, for the messages.

    Returns
    -------
    dict
        The entries by key.

    Raises
    ------
    BaselineError
        The errors of :func:`parse_summary`; or the units are not those of the summary, or do not give its estimates.
    """
    content = parse_summary(text, name=name, update=update)
    if content["schema"] == SCHEMA_1:
        entries = {key: _own_anchor(_migrated(entry)) for key, entry in content["entries"].items()}
    else:
        lines = _lines(companion, content["entries"], name, companion_name, update)
        entries = {
            key: _with_anchor(key, entry, lines, name, companion_name) for key, entry in content["entries"].items()
        }
    for key, entry in entries.items():
        try:
            problem = _entry_problem(entry) or _anchor_problem(entry)
        except ArithmeticError:
            problem = "its numbers are too large to add up"
        if problem:
            raise _corrupt(name, f"entry {printable(key, most=200)!r}: {problem}")
    return entries


def summary_model(content: Entry, model_name: str, /, *, name: str, update: str) -> None:
    """Refuse a baseline that holds the results of another model.

    Raises
    ------
    BaselineError
        The models have different names.
    """
    there = content["model"]
    if there != model_name:
        raise BaselineError(
            f"baseline not comparable: {name} holds the results of another model ({there!r}, not "
            f"{model_name!r}). To compare with them all the same: "
            f"--pluralism-baseline-model={shlex.quote(printable(there))}. "
            f"To store this model's own: {update} (with another --pluralism-baseline=PATH)"
        )


def restore(name: str, /) -> str:
    """Return what to do about a damaged file."""
    return f"Restore it ({checkout(name)}), or delete it and store a new one."


def checkout(*names: str) -> str:
    """Return the command that restores files from git, as a shell takes it."""
    return f"git checkout -- {shlex.join(names)}"


# ------------------------------------------------------------------------------------------------------ companions


def _line(key: str, entry: Entry) -> str:
    """Return the units of an entry as one line, column by column, which is shorter and changes value by value."""
    units, crossed = entry["units"], entry.get("crossed") or []
    columns: Content = {
        "key": key,
        "ids": [unit["id"] for unit in units],
        "values": [unit["value"] for unit in units],
    }
    if any(unit.get("cluster", unit["id"]) != unit["id"] for unit in units):
        columns["clusters"] = [unit.get("cluster", unit["id"]) for unit in units]
    if any(unit.get("sha256") for unit in units):
        columns["sha256s"] = [unit.get("sha256") for unit in units]
    if any(unit.get("bounds") for unit in units):
        columns["bounds"] = [unit.get("bounds") for unit in units]
    if any(unit.get("by_length") for unit in units):
        columns["by_length"] = [unit.get("by_length") for unit in units]
    for name in _DRAWS:
        if any(name in unit for unit in units):
            columns[name] = [unit.get(name) for unit in units]
    if crossed:
        columns["crossed_ids"] = [unit["id"] for unit in crossed]
        columns["crossed_values"] = [unit["value"] for unit in crossed]
    return _encodable(json.dumps(columns, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _encodable(text: str) -> str:
    """Return JSON whose lone surrogates, which a name can hold, are escapes that JSON reads again."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _bare(line: str) -> str:
    return line.rstrip("\r")


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8")).hexdigest()


def _lines(companion: str | None, entries: Entry, name: str, companion_name: str, update: str) -> dict[str, str]:
    if companion is None:
        if not entries:
            return {}
        raise BaselineError(
            f"corrupt baseline: {companion_name} is missing, which holds the values by unit of {name}. "
            f"Restore it ({checkout(companion_name)}), or delete both and store a new one: {update}"
        )
    _refuse_conflict(companion, companion_name, update)
    # Git may have given the file the line ends of another system.
    return {_digest(line): line for line in map(_bare, companion.split("\n")) if line}


def _with_units(key: str, entry: Entry, lines: Mapping[str, str], name: str, companion_name: str) -> Content:
    shown = printable(key, most=200)
    line = lines.get(entry["units"]["sha256"])
    if line is None:
        raise BaselineError(
            f"corrupt baseline: {companion_name} does not hold the units of entry {shown!r} that {name} was written "
            f"with (sha256 {printable(str(entry['units']['sha256']))[:16]}...): one of the two was edited, cut off, or "
            f"comes from another time. Restore both ({checkout(name, companion_name)}), or delete both and "
            "store a new one."
        )
    try:
        columns = json.loads(line, parse_constant=_refuse_constant)
        ids, values = columns["ids"], columns["values"]
        clusters, hashes = columns.get("clusters") or ids, columns.get("sha256s") or [None] * len(ids)
        bounds = columns.get("bounds") or [None] * len(ids)
        units = [
            {"id": unit_id, "cluster": cluster, "value": value, "sha256": digest} | ({"bounds": ends} if ends else {})
            for unit_id, cluster, value, digest, ends in zip(ids, clusters, values, hashes, bounds, strict=True)
        ]
        for unit, curves in zip(units, columns.get("by_length") or [], strict=bool(columns.get("by_length"))):
            if curves is not None:
                unit["by_length"] = _curves(curves)
        for column in _DRAWS:
            for unit, draws in zip(units, columns.get(column) or [], strict=bool(columns.get(column))):
                unit |= {} if draws is None else {column: draws}
        pairs = zip(columns.get("crossed_ids", []), columns.get("crossed_values", []), strict=True)
        crossed = [{"id": unit_id, "value": value} for unit_id, value in pairs]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _corrupt(companion_name, f"the line of entry {shown!r} holds no units ({error})") from None
    if columns.get("key") != key:
        raise _corrupt(name, f"entry {shown!r} names the units of {printable(str(columns.get('key')), most=200)!r}")
    rest = {part: value for part, value in entry.items() if part != "units"}
    return {**_ADDED, **rest, "units": units, **({"crossed": crossed} if crossed else {})}


def _curves(found: Any) -> list[list[list[float]]]:
    """Return the values of beginnings of responses, checked.

    Raises
    ------
    ValueError
        They are not lists of pairs of numbers.
    """
    curves = [[[float(n), float(value)] for n, value in curve] for curve in found]
    if not curves or not all(curve and curve[0][0] <= 0.0 for curve in curves):
        raise ValueError("the values by length do not begin at 0 words")
    if not all(is_number(number) for curve in curves for pair in curve for number in pair):
        raise ValueError("a value by length is not a number")
    return curves


def _with_anchor(key: str, entry: Entry, lines: Mapping[str, str], name: str, companion_name: str) -> Content:
    """Return an entry with its units and its anchor; one of version 2 is its own anchor."""
    found = _with_units(key, entry, lines, name, companion_name)
    shown = entry.get("anchor")
    if shown is None:
        return _own_anchor(found)
    kept = {part: shown[part] if part in shown else found.get(part) for part in _ANCHORED}
    parts = {"estimate": shown["estimate"], "units": shown["units"], "metric": found["metric"]}
    known = {part: value for part, value in kept.items() if value is not None or part in _ADDED}
    moved = {"moved": shown["moved"]} if shown.get("moved") else {}
    about = {part: found.get(part) for part in ("direction", "population")}
    anchor = _with_units(key, {**about, **known, **moved, **parts}, lines, name, companion_name)
    return {**found, "looks": entry.get("looks") or 0, "anchor": anchor}


def _own_anchor(entry: Content) -> Content:
    return {**entry, "looks": 0, "anchor": anchor_of(entry)}


def _migrated(entry: Entry) -> Content:
    """Return an entry of version 1 in the form of version 2; what version 1 did not keep is unknown."""
    units = [
        {"cluster": unit.get("id"), "sha256": None, **unit} if isinstance(unit, dict) else unit
        for unit in entry["units"]
    ]
    return {**_ADDED, **entry, "units": units, "from_version": 1}


# ---------------------------------------------------------------------------------------------------------- checks


def _outline_problem(entry: object, schema: str) -> str | None:
    if not isinstance(entry, dict):
        return "it is not an object"
    for name, kind in (*_PARTS, ("units", list if schema == SCHEMA_1 else dict)):
        if not isinstance(entry.get(name), kind):
            return f"{name!r} is missing or of the wrong type"
    if not isinstance(entry.get("crossed", []), list):
        return "'crossed' is of the wrong type"
    if schema != SCHEMA_1 and not isinstance(entry["units"].get("sha256"), str):
        return "its units have no sha256"
    problem = _estimate_problem(entry["estimate"]) or _anchor_outline_problem(entry, schema)
    if problem:
        return problem
    for name, kind in (("versions", dict), ("origins", dict), ("gate", dict), ("prompts_sha256", str)):
        if entry.get(name) is not None and not isinstance(entry[name], kind):
            return f"{name!r} is of the wrong type"
    promise = entry.get("promise")
    if promise is not None and not (
        isinstance(promise, dict) and isinstance(promise.get("key"), str) and isinstance(promise.get("gate"), dict)
    ):
        return "'promise' has no key or no gate"
    floor = entry.get("noise_floor")
    if floor is not None and (not is_number(floor) or floor < 0):
        return f"its noise floor is {str(floor)[:40]!r}"
    extra = entry.get("extra_variance")
    if extra is not None and (not is_number(extra) or extra < 0):
        return f"its extra variance is {str(extra)[:40]!r}"
    return None


def _estimate_problem(estimate: Entry) -> str | None:
    for name, number in estimate.items():
        if number is not None and name != "method" and not is_number(number):
            return f"its estimate has {name} {str(number)[:40]!r}"
    return None if is_number(estimate.get("value")) else "its estimate has no value"


def _anchor_outline_problem(entry: Entry, schema: str) -> str | None:
    """Say what is wrong with the outline of an anchor: every entry of version 3 has one, and no older one."""
    if schema != SCHEMA:
        odd = next((name for name in ("anchor", "looks") if name in entry), None)
        return f"it has {odd!r}, which its schema does not know; was it edited by hand?" if odd else None
    anchor, looks = entry.get("anchor"), entry.get("looks")
    if not isinstance(anchor, dict) or not all(isinstance(anchor.get(name), dict) for name in ("estimate", "units")):
        return "'anchor' is missing or of the wrong type"
    if type(looks) is not int or looks < 0:
        return f"its number of looks is {str(looks)[:40]!r}"
    # Where a part is not there, it is the entry's.
    merged = {**entry, **anchor}
    problem = _outline_problem({name: merged[name] for name in merged if name not in ("anchor", "looks")}, SCHEMA_2)
    moved = anchor.get("moved")
    if moved is not None and not (isinstance(moved, dict) and isinstance(moved.get("date"), str)):
        problem = "'moved' has no date"
    return f"its anchor: {problem}" if problem else None


def _anchor_problem(entry: Entry) -> str | None:
    problem = _entry_problem(entry["anchor"])
    return f"its anchor: {problem}" if problem else None


def _entry_problem(entry: Entry) -> str | None:
    """Say what is wrong between an estimate and its units."""
    units = entry["units"]
    problem = _units_problem(units) or _units_problem(entry.get("crossed", []))
    if problem:
        return problem
    if not units:
        return "it has no units"
    problem = _claim_problem(entry)
    if problem:
        return problem
    estimate = entry["estimate"]
    stored, mean = estimate.get("value"), math.fsum(unit["value"] for unit in units) / len(units)
    if not is_number(stored) or abs(stored - mean) > _ROUNDING:
        return f"its value {stored!r} is not the mean of its units ({mean:.6f}); was it edited by hand?"
    if estimate.get("n") is not None and estimate["n"] != len(units):
        return f"it says n={estimate['n']!r} but has {len(units)} units; was it edited by hand?"
    low, high = estimate.get("low"), estimate.get("high")
    if low is not None and high is not None and not low - _ROUNDING <= stored <= high + _ROUNDING:
        return f"its value {stored!r} lies outside its interval [{low!r}, {high!r}]; was it edited by hand?"
    variance = entry.get("variance")
    if variance is not None:
        known = variance_of(units)
        if not is_number(variance) or known is None or abs(variance - known) > _ROUNDING:
            return f"its variance {str(variance)[:40]} is not that of its units; was it edited by hand?"
    return None


def _claim_problem(entry: Entry) -> str | None:
    """Say what is wrong with an entry that says it is an older one, of which less is compared."""
    version = entry.get("from_version")
    if version is None:
        return None
    if type(version) is not int or version != 1:
        return (
            f"it says that it is of version {str(version)[:40]!r}, and only 1 is an older one; was it edited by hand?"
        )
    kept = [name for name in _ADDED if entry.get(name)]
    kept += ["sha256s"] if any(unit.get("sha256") for unit in entry["units"]) else []
    if kept:
        return f"it says that it is of version 1, which did not keep {', '.join(kept)}; was it edited by hand?"
    return None


def variance_of(units: Iterable[Entry], /) -> float | None:
    """Return the sample variance of the values of some units, or ``None`` for fewer than two."""
    values = [unit["value"] for unit in units]
    return statistics.variance(values) if len(values) > 1 else None


def _units_problem(units: list[object]) -> str | None:
    seen = set()
    for unit in units:
        if not isinstance(unit, dict) or not isinstance(unit.get("id"), str):
            return "a unit has no 'id'"
        if not is_number(unit.get("value")):
            return f"unit {unit['id']!r} has the value {str(unit.get('value'))[:40]!r}"
        if not isinstance(unit.get("cluster", ""), str) or not isinstance(unit.get("sha256") or "", str):
            return f"unit {unit['id']!r} has a cluster or a hash that is not a text"
        ends = unit.get("bounds")
        if ends is not None and not (isinstance(ends, list) and len(ends) == 2 and all(map(is_number, ends))):
            return f"unit {unit['id']!r} has bounds that are not two numbers"
        if not all(is_number(unit.get(name, 1)) for name in _DRAWS):
            return f"unit {unit['id']!r} has a number of draws that is not a number"
        if unit["id"] in seen:
            return f"unit {unit['id']!r} stands there twice"
        seen.add(unit["id"])
    return None


def _refuse_conflict(text: str, name: str, update: str) -> None:
    if _CONFLICT.search(text):
        raise BaselineError(
            f"corrupt baseline: {name} has merge conflict markers. Take one side whole, with its companion (git "
            f"checkout --ours or --theirs -- {shlex.quote(name)}) or store it anew: {update}"
        )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _once_each(pairs: list[tuple[str, object]]) -> Content:
    # JSON would silently take the last of two entries that a merge left behind.
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{printable(twice, most=200)!r} stands there twice")
    return found


def _corrupt(name: str, what: str) -> BaselineError:
    return BaselineError(f"corrupt baseline: {name}: {what}. {restore(name)}")
