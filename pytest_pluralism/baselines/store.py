"""One JSON file a model, meant for git: read with suspicion, written whole or not at all.

A baseline may come from a stranger's pull request, so it is parsed as data, bounded in size, and checked before use.
Missing, corrupt and not comparable are different errors with different remedies; none of them is ever a pass.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import BaselineError, nearest_names
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import compare_crossed
from pytest_pluralism.core.messages import printable
from pytest_pluralism.core.records import Estimate, Provenance, Scores
from pytest_pluralism.files import write_atomically

__all__ = ["SCHEMA", "baseline_file", "compare_with_baseline", "merge_entries", "read_baseline"]

SCHEMA = "pytest-pluralism/baseline/1"

#: A larger file is refused unread: 400 questions x 12 groups need about 2 MB.
MOST_BYTES = 100_000_000

#: How long to wait for another run that writes the same file.
LOCK_SECONDS = 30

#: Settings that change what is asked; a baseline with others answers another question.
ASKING = (
    *("protocol", "template", "option_order", "repetitions", "examples", "seed", "refusals"),
    *("rule", "by", "jury", "jurors"),
)


def baseline_file(path: Path, model_name: str, /) -> Path:
    """Return the file of a model: ``path`` itself when it ends with ``.json``, else a file in that folder."""
    if path.suffix == ".json":
        return path
    safe = re.sub(r"[^A-Za-z0-9._-]+", "--", model_name).strip(".-") or "model"
    return path / f"{safe}.json"


def read_baseline(file: Path, model_name: str, /, *, update: str) -> dict[str, Any]:
    """Read the entries of a baseline file.

    Parameters
    ----------
    file : Path
        The file.
    model_name : str
        The model whose results are wanted.
    update : str
        The command that writes a baseline, for the messages.

    Returns
    -------
    dict
        The entries by key.

    Raises
    ------
    BaselineError
        The file is missing, too large, not UTF-8, not JSON, of another schema, of another model, or damaged.
    """
    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise BaselineError(f"baseline {file} has {size} bytes, more than the {MOST_BYTES} that are read.")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BaselineError(f"no baseline: {file} does not exist. To store one: {update}") from None
    except UnicodeDecodeError as error:
        raise BaselineError(f"corrupt baseline: {file} is not UTF-8 text ({error.reason}). {_restore(file)}") from None
    except OSError as error:
        raise BaselineError(f"baseline {file} cannot be read: {error.strerror}.") from None
    if re.search(r"^(<{7}|>{7}) ", text, flags=re.MULTILINE):
        raise BaselineError(
            f"corrupt baseline: {file} has merge conflict markers. Take one side whole (git checkout --ours or "
            f"--theirs) or store it anew: {update}"
        )
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"corrupt baseline: {file} is not JSON ({error}). {_restore(file)}") from None
    _check(content, file, model_name, update)
    entries: dict[str, Any] = content["entries"]
    return entries


def merge_entries(file: Path, model_name: str, new: Mapping[str, Any], /) -> None:
    """Store entries beside those that are there, atomically.

    A file that is there but cannot be read is never overwritten.

    Raises
    ------
    BaselineError
        The file that is there is corrupt or of another model, or nothing can be written.
    """
    from filelock import FileLock, Timeout

    # Two runs that update one file at once take turns. The lock stands among the temporary files, so that nothing is
    # left in a folder that is meant for git.
    digest = hashlib.sha256(str(file.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    lock = FileLock(Path(tempfile.gettempdir()) / f"pytest-pluralism-{digest[:24]}.lock", timeout=LOCK_SECONDS)
    try:
        with lock:
            entries: dict[str, Any] = {}
            if file.exists():
                entries = read_baseline(file, model_name, update="delete the file first")
            entries.update(new)
            content = {"schema": SCHEMA, "model": model_name, "entries": dict(sorted(entries.items()))}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    except Timeout:
        raise BaselineError(
            f"baseline {file} has been written by another run for more than {LOCK_SECONDS} seconds. "
            "Nothing was changed."
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BaselineError(f"baseline {file} cannot be written: {why}. Nothing was changed.") from None


def entry_of(scores: Scores, estimate: Estimate, provenance: Provenance, population: str | None, /) -> dict[str, Any]:
    """Return the entry that stores one measurement."""
    entry: dict[str, Any] = {
        "metric": scores.metric,
        "population": population,
        "estimate": {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "standard_error": estimate.standard_error,
            "n": estimate.n,
            "n_clusters": estimate.n_clusters,
        },
        "model": dict(provenance.model),
        "dataset": dict(provenance.dataset),
        "settings": {name: provenance.settings[name] for name in ASKING if name in provenance.settings},
        "versions": dict(provenance.versions),
        "units": [{"id": unit.unit_id, "cluster": unit.cluster, "value": unit.value} for unit in scores.units],
    }
    if scores.crossed is not None:
        entry["crossed"] = [{"id": unit.unit_id, "value": unit.value} for unit in scores.crossed.units]
    return entry


def compare_with_baseline(
    scores: Scores,
    provenance: Provenance,
    entry: Mapping[str, Any] | None,
    /,
    *,
    confidence_level: float | None,
    where: str,
    update: str,
) -> Estimate:
    """Return the paired change, candidate minus baseline, by unit.

    Raises
    ------
    BaselineError
        There is no entry, or it was measured on another survey, in another way or on other units.
    """
    if entry is None:
        raise BaselineError(f"no baseline: {where}. To store one: {update}")
    differences = list(_differences(scores, provenance, entry))
    if differences:
        raise BaselineError(f"baseline not comparable: {'; '.join(differences)}. To store a new one: {update}")
    stored = {unit["id"]: unit["value"] for unit in entry["units"]}
    if scores.crossed is not None and confidence_level is not None:
        others = {unit["id"]: unit["value"] for unit in entry["crossed"]}
        return compare_crossed(
            [unit.value for unit in scores.units],
            [stored[unit.unit_id] for unit in scores.units],
            [unit.value for unit in scores.crossed.units],
            [others[unit.unit_id] for unit in scores.crossed.units],
            confidence_level=confidence_level,
            unit_ids=[unit.unit_id for unit in scores.units],
            crossed_ids=[unit.unit_id for unit in scores.crossed.units],
        )
    return compare_paired(
        [unit.value for unit in scores.units],
        [stored[unit.unit_id] for unit in scores.units],
        clusters=[unit.cluster for unit in scores.units],
        confidence_level=confidence_level,
        unit_ids=[unit.unit_id for unit in scores.units],
    )


def _differences(scores: Scores, provenance: Provenance, entry: Mapping[str, Any]) -> list[str]:
    found = []
    if entry["metric"] != scores.metric:
        found.append(f"it holds {entry['metric']!r}, not {scores.metric!r}")
    for part, label in (("name", "survey"), ("sha256", "survey content")):
        then, now = entry["dataset"].get(part), provenance.dataset.get(part)
        if then != now:
            found.append(f"{label} was {str(then)[:16]!r}, is {str(now)[:16]!r}")
    for name in ASKING:
        then, now = entry["settings"].get(name), provenance.settings.get(name)
        if then != now:
            found.append(f"{name} was {then!r}, is {now!r}")
    then, now = entry["model"].get("dtype"), provenance.model.get("dtype")
    if then != now:
        found.append(f"dtype was {then!r}, is {now!r}")
    crossed = scores.crossed.units if scores.crossed is not None else ()
    for kind, now_units, then_units in (
        ("units", scores.units, entry["units"]),
        ("units of the second dimension", crossed, entry.get("crossed", [])),
    ):
        ours = {unit.unit_id for unit in now_units}
        theirs = {unit["id"] for unit in then_units}
        if ours != theirs:
            odd = sorted(ours ^ theirs)
            some = f"{', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''}"
            found.append(f"{len(odd)} {kind} are on one side only ({some})")
    return found


def _check(content: Any, file: Path, model_name: str, update: str) -> None:
    def corrupt(what: str) -> BaselineError:
        return BaselineError(f"corrupt baseline: {file}: {what}. {_restore(file)}")

    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise corrupt("it does not name its schema")
    schema = content["schema"]
    if schema != SCHEMA:
        family, _, version = schema.rpartition("/")
        if family == SCHEMA.rpartition("/")[0] and version.isdigit() and int(version) > int(SCHEMA.rpartition("/")[2]):
            raise BaselineError(
                f"baseline {file} has the newer schema {schema!r}; this version reads {SCHEMA!r}. "
                "Install the version of pytest-pluralism that wrote it, or a later one."
            )
        raise corrupt(f"its schema is {schema!r}, not {SCHEMA!r}")
    entries = content.get("entries")
    if not isinstance(entries, dict):
        raise corrupt("'entries' is not an object")
    if content.get("model") != model_name:
        raise BaselineError(
            f"baseline not comparable: {file} holds the results of another model ({content.get('model')!r}, not "
            f"{model_name!r}). To compare with them all the same: "
            f"--pluralism-baseline-model={shlex.quote(printable(str(content.get('model'))))}. "
            f"To store this model's own: {update} (with another --pluralism-baseline PATH)"
        )
    for key, entry in entries.items():
        problem = _entry_problem(entry)
        if problem:
            raise corrupt(f"entry {key!r}: {problem}")


def _entry_problem(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return "it is not an object"
    for name, kind in (
        ("metric", str),
        ("estimate", dict),
        ("model", dict),
        ("dataset", dict),
        ("settings", dict),
        ("units", list),
    ):
        if not isinstance(entry.get(name), kind):
            return f"{name!r} is missing or of the wrong type"
    if not isinstance(entry.get("crossed", []), list):
        return "'crossed' is of the wrong type"
    problem = _units_problem(entry["units"]) or _units_problem(entry.get("crossed", []))
    if problem:
        return problem
    if not entry["units"]:
        return "it has no units"
    for name, number in entry["estimate"].items():
        if number is not None and not _is_number(number):
            return f"its estimate has {name} {str(number)[:40]!r}"
    stored = entry["estimate"].get("value")
    mean = sum(unit["value"] for unit in entry["units"]) / len(entry["units"])
    if not _is_number(stored) or abs(stored - mean) > 1e-6:
        return f"its value {stored!r} is not the mean of its units ({mean:.6f}); was it edited by hand?"
    return None


def _units_problem(units: list[Any]) -> str | None:
    seen = set()
    for unit in units:
        if not isinstance(unit, dict) or not isinstance(unit.get("id"), str):
            return "a unit has no 'id'"
        if not _is_number(unit.get("value")):
            return f"unit {unit['id']!r} has the value {str(unit.get('value'))[:40]!r}"
        if unit["id"] in seen:
            return f"unit {unit['id']!r} stands there twice"
        seen.add(unit["id"])
    return None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _restore(file: Path) -> str:
    return f"Restore it (git checkout -- {file}), or delete it and store a new one."


def nearest_keys(key: str, entries: Sequence[str], /) -> str:
    """Return a hint at entries with similar keys, for a test that was renamed."""
    near = nearest_names(key, entries, most=1)
    return f" (nearest: {near[0]!r})" if near else ""
