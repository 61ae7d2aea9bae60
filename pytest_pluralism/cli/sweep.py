"""``pluralism sweep``: every promise of a suite over checkpoints by their steps, or adapters by their scales."""

from __future__ import annotations

import argparse
import fnmatch
import glob
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.running import JUDGED, options_of, suite_command
from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    check_output,
    complain,
    option,
    reading,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.suites import SUITES

if TYPE_CHECKING:
    from pytest_pluralism.report.leaderboard import Leaderboard
    from pytest_pluralism.report.sweep import Place

__all__ = ["add_sweep"]

#: The files into which a sweep can be written.
_ENDINGS = (".html", ".json", ".svg")

#: Several scales of one adapter.
_SCALES = re.compile(r"(?P<before>.*[?&]scale=)(?P<scales>[^&]*,[^&]*)(?P<behind>.*)", re.DOTALL)
_SCALE = re.compile(r"[?&]scale=([^&]*)")

#: The number of steps at the end of the name of a checkpoint.
_STEP = re.compile(r"(?:^|[^0-9.])([0-9]+)$")

#: The exit codes of pytest for a suite that could not be collected or a command that is wrong: the same for all models.
_WRONG = (2, 3, 4, 5)


def add_sweep(commands: Commands) -> None:
    """Add ``pluralism sweep``."""
    suites = ", ".join(SUITES)
    front = (
        "draw the Pareto front of a promise, and of another one or of a file FILE.json {SPEC: number} (more is better)"
    )
    add_command(
        commands,
        "sweep",
        sweep_models,
        "measure every promise of a suite over checkpoints or over scales of an adapter",
        option(
            "models", nargs="+", metavar="SPEC", help="checkpoints, or ADAPTER?scale=0.0,0.5,1.0; patterns are expanded"
        ),
        option("--suite", default="quick", metavar="NAME", help=f"a ready suite: {suites} (default: quick)"),
        option("--tests", type=Path, metavar="PATH", help="a file or folder of tests, in place of a ready suite"),
        option("--entailment-model", metavar="SPEC", help="the entailment model of the suite, where it needs one"),
        option("--before", metavar="SPEC", help="the model that promises about a change are compared with"),
        option("--pytest", default="", metavar="OPTIONS", help="options for pytest, in one text: '-n 2 -v'"),
        option("--front", nargs=2, metavar=("PROMISE", "OTHER"), help=front),
        option("-o", "--output", type=Path, metavar="PATH", help="write a .html page, a .json file or a .svg picture"),
        description="Run a suite on many models, one after the other, and draw each of its promises over the steps of "
        "checkpoints or the scales of adapters.",
        epilog=f"{EXIT_CODES}; problems are promises that are not kept, and models that were not measured",
    )


@reading
def sweep_models(arguments: argparse.Namespace) -> int:
    """Run the suite on every model, and show its promises."""
    from pytest_pluralism.files import write_atomically
    from pytest_pluralism.report.alike import alike_names
    from pytest_pluralism.report.sweep import front_json, sweep_html, sweep_json, sweep_picture

    output: Path | None = arguments.output
    if output is not None:
        check_output(output, _ENDINGS)
    if arguments.front and output is not None and output.suffix == ".svg":
        raise UsageError("--front needs a .html page or a .json file. Got " + shown(output))
    suite, command = _suite(arguments)
    specs = expanded(arguments.models)
    axis, places = placed(specs)
    helpfulness = _numbers_of(arguments.front[1], specs) if arguments.front else None
    try:
        measured = [_measured(place, command, number, len(places)) for number, place in enumerate(places, start=1)]
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    content = sweep_json(measured, axis, suite)
    if not content["promises"]:
        raise UsageError(f"no model was measured. {shown(measured[0].problem)}")
    board = None
    if arguments.front:
        board = _front(content, arguments.front, helpfulness)
        content["front"] = front_json(board)
    if output is not None:
        writers = {
            ".html": lambda: sweep_html(content, board),
            ".svg": lambda: sweep_picture(content),
            ".json": lambda: json.dumps(content, indent=1) + "\n",
        }
        write_atomically(output, writers[output.suffix]())
    if arguments.json:
        say_json(content)
    else:
        say(*_lines(content))
        if output is not None:
            say(f"written: {shown(output)}")
    for line in [*alike_names("model", specs), *alike_names("promise", [one["key"] for one in content["promises"]])]:
        complain(f"names that look the same: {line}")
    lost = [place for place in measured if place.problem]
    for place in lost:
        complain(f"{place.spec} was not measured: {place.problem}")
    gaps = list(_gaps(content))
    complain(*gaps)
    # pytest ends with 0 where a test was expected to fail: its promise is broken nevertheless.
    broken = any(one["outcome"] in ("failed", "error") for place in measured for one in place.verdicts)
    return EXIT_PROBLEMS if lost or gaps or broken or any(place.exit_code for place in measured) else EXIT_OK


def _gaps(content: Content) -> Iterator[str]:
    """Yield a sentence for each promise that was not judged on a model that was measured: its test was skipped."""
    for promise in content["promises"]:
        judged = {point["spec"] for point in promise["points"]}
        missing = [one["spec"] for one in content["models"] if not one["problem"] and one["spec"] not in judged]
        if missing:
            yield f"{promise['key']} was not judged on {', '.join(missing[:6])}"


def _suite(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the name of what is run, and the command without the model and the report."""
    words = options_of(arguments.pytest)
    judge = arguments.entailment_model
    if judge:
        words.append(f"--pluralism-entailment-model={judge}")
    if arguments.before:
        words += [f"--pluralism-reference-model={arguments.before}", "--pluralism-baseline=reference"]
    if arguments.tests is not None:
        if not arguments.tests.exists():
            raise UsageError(f"--tests must be a file or folder of tests. There is no {shown(arguments.tests)}.")
        return str(arguments.tests), [sys.executable, "-m", "pytest", *words, "--", str(arguments.tests)]
    if arguments.suite not in SUITES:
        raise UsageError(f"--suite must be one of {', '.join(SUITES)}. Got {shown(arguments.suite)!r}.")
    suite = SUITES[arguments.suite]
    if suite.judge and not judge:
        raise UsageError(f"--entailment-model=SPEC is missing: the suite {suite.name} needs a model that judges.")
    if suite.pair and not arguments.before:
        raise UsageError(f"--before=SPEC is missing: the suite {suite.name} compares each model with one.")
    return f"{suite.name}, version {suite.version}", suite_command(suite, words)


# ---------------------------------------------------------------------------------------------------- the models


@dataclass(frozen=True)
class _Read:
    """A spec with its folder, and the numbers in it."""

    spec: str
    folder: Path
    step: int | None
    scale: float | None


def expanded(models: Sequence[str], /) -> list[str]:
    """Return the specs that words stand for: patterns of folders, and several scales of one adapter.

    Raises
    ------
    UsageError
        A pattern matches nothing, or one model is named twice.
    """
    found: list[str] = []
    for word in models:
        for one in _with_scales(word):
            bare, separator, options = one.partition("?")
            # A pattern ends before the options of an adapter; a shell expands those without.
            pattern = one if "=" not in options else bare
            tail = "" if pattern == one else separator + options
            if glob.has_magic(pattern) and not Path(pattern).exists() and ":" not in pattern[:20]:
                matches = [match for match in glob.glob(pattern) if Path(match).is_dir() or match.endswith(".gguf")]  # noqa: PTH207 - the pattern may be absolute
                if not matches:
                    raise UsageError(f"no folder matches {shown(word)}. Name checkpoints: RUN/checkpoint-*")
                found += [match + tail for match in sorted(matches)]
            else:
                found.append(one)
    twice = next((spec for spec in found if found.count(spec) > 1), None)
    if twice is not None:
        raise UsageError(f"{shown(twice)} is named twice. Name each model once.")
    return found


def _with_scales(word: str) -> list[str]:
    several = _SCALES.fullmatch(word)
    if several is None:
        return [word]
    scales = [one.strip() for one in several["scales"].split(",")]
    if not all(scales):
        raise UsageError(f"scale= must be numbers with commas between them, such as 0.0,0.5,1.0. Got {shown(word)}.")
    return [f"{several['before']}{scale}{several['behind']}" for scale in scales]


def placed(specs: Sequence[str], /) -> tuple[str, list[Place]]:
    """Return the axis of a sweep, and the models by their places on it.

    The axis is that of scales where these differ, else that of steps where all names end with a number, else the order
    in which the models are named.

    Raises
    ------
    UsageError
        Two models of one run have the same place.
    """
    from pytest_pluralism.report.sweep import Place

    read = [_read(spec) for spec in specs]
    scales = {one.scale for one in read}
    if len(scales) > 1 and None not in scales:
        places = [Place(one.spec, float(one.scale or 0.0), _series(one), f"{one.scale:g}") for one in read]
        axis = "scale"
    elif all(one.step is not None for one in read):
        places = [Place(one.spec, float(one.step or 0), _series(one), f"{one.step}") for one in read]
        axis = "step"
    else:
        return "model", [Place(one.spec, float(at), "", one.folder.name or one.spec) for at, one in enumerate(read)]
    seen: dict[tuple[str, float], str] = {}
    for place in places:
        other = seen.setdefault((place.series, place.x), place.spec)
        if other != place.spec:
            raise UsageError(
                f"{shown(other)} and {shown(place.spec)} have the same {axis}, {place.label}. Name one of them."
            )
    return axis, sorted(places, key=lambda place: (place.series, place.x))


def _read(spec: str) -> _Read:
    bare, _, options = spec.partition("?")
    folder = Path(bare if "=" in options else spec)
    step = _STEP.search(folder.name)
    text = _SCALE.search(spec)
    try:
        scale = 1.0 if text is None else float(text[1])
    except ValueError:
        raise UsageError(f"scale= must be a number, such as scale=0.5. Got {shown(spec)}.") from None
    has_scale = text is not None
    return _Read(spec, folder, int(step[1]) if step else None, scale if has_scale else None)


def _series(one: _Read) -> str:
    """Return the run to which a model belongs: the folder of a checkpoint, or the adapter."""
    return one.folder.as_posix() if one.scale is not None else one.folder.parent.as_posix()


# --------------------------------------------------------------------------------------------------- measuring


def _measured(place: Place, command: Sequence[str], number: int, total: int) -> Place:
    """Run the suite on one model in a process of its own, so that one that ends badly does not end the others.

    Raises
    ------
    UsageError
        The suite itself is wrong.
    """
    from pytest_pluralism.report.reading import load_report

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "run.json")
        sys.stderr.write(f"pluralism: {number} of {total}: {shown(place.spec)}\n")
        sys.stderr.flush()
        head, tests = _split(command)
        words = [f"--pluralism-model={place.spec}", f"--pluralism-report={report}"]
        done = subprocess.run([*head, *words, *tests], check=False, capture_output=True, text=True, errors="replace")
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line.removeprefix("E").strip() for line in said if line.startswith("E ") or "rror:" in line]
        last = [*errors, *said[-1:], "nothing was said"][0]
        if done.returncode in _WRONG and not _is_of_model(said, place.spec):
            raise UsageError(f"pytest could not run the suite (exit code {done.returncode}): {shown(last)}")
        if done.returncode not in JUDGED or not report.is_file():
            told = f"exit code {done.returncode}: {printable(last, most=400)}"
            return replace(place, problem=told, exit_code=done.returncode)
        verdicts = load_report(report)["verdicts"]
    if not verdicts:
        return replace(place, problem="the suite makes no promise", exit_code=done.returncode)
    reasons = {str(one.get("reason") or "") for one in verdicts}
    if all(one["outcome"] == "error" for one in verdicts):
        told = printable(min(reasons), most=400)
        return replace(place, verdicts=verdicts, problem=told, exit_code=done.returncode)
    return replace(place, verdicts=verdicts, exit_code=done.returncode)


def _split(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command up to its tests, and the tests."""
    at = command.index("--")
    return list(command[:at]), list(command[at:])


def _is_of_model(said: Sequence[str], spec: str) -> bool:
    """Return whether a run ended because of the model, which another model need not share."""
    return any(spec in line for line in said[-8:])


# ------------------------------------------------------------------------------------------------------ the front


def _numbers_of(name: str, specs: Sequence[str]) -> Mapping[str, float] | None:
    """Return the numbers of a file of helpfulness by spec; nothing where a promise is named.

    Raises
    ------
    UsageError
        The file is not a JSON object of numbers, or holds none of the models.
    """
    if not name.endswith(".json"):
        return None
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{shown(name)} cannot be read as JSON: {shown(error)}") from None
    form = 'such as {"run/checkpoint-100": 0.71}'
    if not isinstance(content, dict) or not all(is_number(value) for value in content.values()):
        raise UsageError(f"{shown(name)} must be a JSON object with a number for each SPEC, {form}.")
    missing = [spec for spec in specs if spec not in content]
    if missing:
        raise UsageError(f"{shown(name)} has no number for {shown(missing[0])}. It needs one for each SPEC, {form}.")
    return content


def _front(content: Content, names: Sequence[str], helpfulness: Mapping[str, float] | None) -> Leaderboard:
    from pytest_pluralism.report.sweep import front_of

    first = _promise(content, names[0])
    second = helpfulness if helpfulness is not None else _promise(content, names[1])
    if first is second:
        raise UsageError(f"--front needs two promises, and both words match {shown(first['key'])}.")
    board, left_out = front_of(content, first, second)
    if left_out:
        complain(f"not on the front, because a value is missing: {', '.join(left_out[:6])}")
    return board


def _promise(content: Content, pattern: str) -> Content:
    """Return the promise that a word matches.

    Raises
    ------
    UsageError
        None does, or several do.
    """
    known = content["promises"]
    exact = [one for one in known if pattern in (one["key"], f"{one['test']} {one['key']}")]
    found = exact or [one for one in known if fnmatch.fnmatchcase(f"{one['test']} {one['key']}", f"*{pattern}*")]
    if len(found) != 1:
        names = "; ".join(one["key"] for one in found or known)
        raise UsageError(f"--front: {len(found)} promises match {shown(pattern)!r}. Name one: {shown(names)}")
    promise: Content = found[0]
    return promise


# ----------------------------------------------------------------------------------------------------- in words


def _lines(content: Content) -> Iterator[str]:
    """Yield the promises of a sweep as text."""
    from pytest_pluralism.baselines.history import interval_drawing

    yield f"{shown(content['suite'])}: {len(content['promises'])} promises over {len(content['models'])} models"
    for promise in content["promises"]:
        better = f"  ({promise['direction']} is better)" if promise.get("direction") else ""
        yield ""
        yield f"{printable(promise['key'], most=160)}{better}"
        known = [point for point in promise["points"] if is_number(point["value"])]
        ends = [_ends(point) for point in known]
        first, last = min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=1.0)
        rows = []
        for point in promise["points"]:
            cells = ["-", ""]
            if is_number(point["value"]):
                low, high = _ends(point)
                drawn = interval_drawing(low, point["value"], high, first, last)
                cells = [f"{point['value']:.3f} [{low:.3f}, {high:.3f}]", f"|{drawn}|"]
            place = printable(point["label"], most=40)
            rows.append((f"  {place}", printable(point["series"], most=40), *cells, point["outcome"]))
        yield from table(rows)
    front = content.get("front")
    if front:
        yield ""
        yield f"front of {' and '.join(printable(one['name'], most=80) for one in front['objectives'])}:"
        yield from table(
            [
                (
                    f"  {printable(one['name'], most=80)}",
                    *(f"{value:.3f}" for value in one["values"]),
                    "on the front" if one["on_front"] else "",
                )
                for one in front["models"]
            ]
        )


def _ends(point: Content) -> tuple[float, float]:
    low, high = (point["value"] if point[end] is None else point[end] for end in ("low", "high"))
    return float(low), float(high)
