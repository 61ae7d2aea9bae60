"""``pluralism merge``: the verdicts of all shards of a run together."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    check_output,
    complain,
    option,
    say,
    say_json,
    shown,
)
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.files import write_atomically
from pytest_pluralism.models.recorded.merged import place_of
from pytest_pluralism.settings.table import SETTINGS

__all__ = ["add_merge"]

SCHEMA = "pytest-pluralism/shard/1"

#: The settings that a shard's command line hands on to the merged run; no other word of a shard becomes an option.
HANDED_ON = tuple(
    one.option
    for one in SETTINGS
    if one.name
    not in ("report", "shard", "answers", "update_baseline", "move_anchor", "anchor_reason", "prune_baseline")
)

#: The parts of a shard, each with its type.
_PARTS: Mapping[str, type] = {
    "shard": list,
    "suite": str,
    "options": str,
    "tests": list,
    "complete": bool,
    "errors": list,
    "models": dict,
    "noise": dict,
    "versions": dict,
    "results": list,
}


def add_merge(commands: Commands) -> None:
    """Add ``pluralism merge``."""
    update = "store the results as the baseline, as a run with --pluralism-update-baseline does"
    add_command(
        commands,
        "merge",
        merge,
        "judge all shards of a run together",
        option("shards", nargs="+", metavar="SHARD.json", help="the files that --pluralism-shard=I/N wrote, all N"),
        option("-o", "--output", metavar="RUN.json", required=True, help="the report to write (.json)"),
        option("--update-baseline", action="store_true", help=update),
        option("--pytest", action="append", default=[], metavar="ARG", help="an argument for pytest, several times"),
        description="Judge the promises that shards computed, adjusted for their number as in one run. The suite must "
        "be here; the models need not.",
        epilog=f"{EXIT_CODES}; problems are promises that are broken or undecided",
    )


def merge(arguments: argparse.Namespace) -> int:
    """Judge the shards."""
    output = Path(arguments.output)
    check_output(output, (".json",))
    paths = [Path(one).resolve() for one in arguments.shards]
    shards = [_read(path) for path in paths]
    _refuse_unlike(shards, arguments.shards)
    # Beside the report, so that nobody takes what is left of a merge that failed for one.
    written = output.resolve().with_name(f".{output.stem}.merging.json")
    words = [f"--pluralism-merge={path}" for path in paths]
    words += [f"--pluralism-report={written}"]
    words += ["--pluralism-update-baseline=all"] if arguments.update_baseline else []
    words += [word for word in shlex.split(shards[0]["options"]) if word.partition("=")[0] in HANDED_ON]
    tests = [str(one) for one in shards[0]["tests"]]
    command = [sys.executable, "-m", "pytest", "-q", *words, *arguments.pytest, "--", *tests]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = written.read_text(encoding="utf-8") if written.is_file() else ""
    finally:
        written.unlink(missing_ok=True)
    if done.returncode not in (0, 1) or not text:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UsageError(
            f"the merged run could not judge the suite (exit code {done.returncode}): {' '.join(said[-3:])}"
        )
    write_atomically(output, text)
    verdicts = json.loads(text)["verdicts"]
    counts: dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict["outcome"]] = counts.get(verdict["outcome"], 0) + 1
    computed = all(shard["complete"] for shard in shards)
    kept = computed and done.returncode == 0 and set(counts) <= {"passed"} and bool(counts)
    if arguments.json:
        say_json({"schema": "pytest-pluralism/merged/1", "output": str(output), "outcomes": counts, "kept": kept})
    else:
        # The file that is gone by now.
        say("\n".join(line for line in done.stdout.rstrip().splitlines() if written.name not in line))
        told = ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no promises"
        say(
            f"{len(shards)} {'shard' if len(shards) == 1 else 'shards'} merged: {told}; report written: {shown(output)}"
        )
    return EXIT_OK if kept else EXIT_PROBLEMS


def _read(path: Path) -> Content:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"{path} is damaged or cut off: {str(error)[:120]}. Run its shard again.") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InvalidParameterError(f"{path} is not a shard. Name files that --pluralism-shard=I/N wrote.")
    odd = next((name for name, kind in _PARTS.items() if not isinstance(content.get(name), kind)), None)
    if odd is None and not _is_place(content["shard"]):
        odd = "shard"
    if odd is None and not all(map(_is_result, content["results"])):
        odd = "results"
    if odd is not None:
        raise InvalidParameterError(f"{path} is damaged: {odd!r} is missing or wrong. Run its shard again.")
    return content


def _is_result(row: object) -> bool:
    """Return whether a row says what it answers."""
    match row:
        case {"model": str(), "work": str(), "id": str(), "draw": int(), "result": _}:
            return True
    return False


def _is_place(shard: Sequence[object]) -> bool:
    """Return whether a shard says which one it is, and of how many."""
    match shard:
        case [int(number), int(of)]:
            return 1 <= number <= of
    return False


def _refuse_unlike(shards: Sequence[Entry], names: Sequence[str]) -> None:
    """Refuse shards that are missing, doubled, unfinished or of different runs."""
    first = shards[0]
    of = first["shard"][1]
    seen: dict[int, str] = {}
    # A shard asks only the models that its promises need.
    asked: dict[str, tuple[str, Entry]] = {}
    for shard, name in zip(shards, names, strict=True):
        number, total = shard["shard"]
        if total != of:
            raise InvalidParameterError(f"{names[0]} is one of {of} shards, and {name} one of {total}. Merge one set.")
        if number in seen:
            raise InvalidParameterError(f"{seen[number]} and {name} are both shard {number} of {of}. Keep one of them.")
        seen[number] = name
        for part, what in (("suite", "suite"), ("options", "options"), ("versions", "set of versions")):
            if shard[part] != first[part]:
                raise InvalidParameterError(
                    f"{names[0]} and {name} are of different runs: another {what}. Run them alike."
                )
        for role, identity in shard["models"].items():
            other, known = asked.setdefault(role, (name, identity))
            for part in ("sha256", "dtype"):
                if known.get(part) != identity.get(part):
                    raise InvalidParameterError(
                        f"{other} and {name} asked different models as {role!r} ({part} {str(known.get(part))[:12]} "
                        f"and {str(identity.get(part))[:12]}). Run them with one checkpoint in one number format."
                    )
    missing = [str(number) for number in range(1, of + 1) if number not in seen]
    if missing:
        raise InvalidParameterError(
            f"{len(missing)} of {of} shards are missing: {', '.join(missing)}. Merge all of them."
        )
    for shard, name in zip(shards, names, strict=True):
        for error in shard["errors"][:5]:
            complain(f"{name}: {error}")
    if differing := _answered_otherwise(shards):
        complain(
            f"{differing} requests were answered differently by two shards, as by a model that samples or a server "
            "that is not repeatable; the answers of the first shard count"
        )


def _answered_otherwise(shards: Sequence[Entry]) -> int:
    """Return the number of requests to which two shards hold different results."""
    known: dict[tuple[str, ...], object] = {}
    differing = set()
    for shard in sorted(shards, key=lambda one: one["shard"][0]):
        for row in shard["results"]:
            place = (row["model"], *map(str, place_of(row)))
            if known.setdefault(place, row["result"]) != row["result"]:
                differing.add(place)
    return len(differing)
