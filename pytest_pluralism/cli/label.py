"""``pluralism label``: people say which answers responses hold, and the errors of the judge follow."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.cli.showing import (
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    check_output,
    option,
    say,
    say_json,
    shown,
)
from pytest_pluralism.core.finite import is_number

if TYPE_CHECKING:
    from pytest_pluralism.core.judges import CombinedJudge
    from pytest_pluralism.core.records.plain import JsonObject

__all__ = ["add_label"]

#: The keys that say something.
KEYS = {"y": True, "n": False}

HELP = "y: holds it   n: does not   s: skip   u: undo   q: stop, and go on another time"

QUESTION = (
    "Does the response present this view as one that people hold? (A rebuttal, a question and the mere topic do not.)"
)

#: The share of the pairs that counts as near the threshold, where the judge errs most.
NEAR = 0.2


@dataclass(frozen=True)
class _Item:
    """One response and one answer of a report, with the stratum that it is drawn from and the size of that."""

    key: str
    query_id: str
    query: str
    response: str
    answer: str
    score: float
    is_close: bool = False
    stratum: int = 0
    size: int = 1


def add_label(commands: Commands) -> None:
    """Add ``pluralism label``."""
    add_command(
        commands,
        "label",
        label,
        "label the answers that responses hold, to measure the errors of the judge on your own data",
        option("report", type=Path, metavar="RUN.json", help="a report of --pluralism-report with Overton coverage"),
        option("--labels", type=Path, default=Path("labels.jsonl"), metavar="FILE", help="keeps the labels"),
        option("--n", type=int, default=100, metavar="N", help="how many labels (100)"),
        option("--nodeid", metavar="NODEID", help="the test, where the report has several with Overton coverage"),
        option("--seed", type=int, default=0, metavar="N", help="draws what is asked"),
        option(
            "--judges",
            type=Path,
            metavar="FILE",
            help="the file of judges that judged, for the weights of the combined judge",
        ),
        option("--output", type=Path, default=Path("judges.json"), metavar="FILE", help="the file of judges to write"),
        description="Show responses and answers one after the other, keep what is typed, and write a file of judges "
        "for entailment_judge=FILE. It can be stopped and gone on with.",
    )


def label(arguments: argparse.Namespace) -> int:
    """Ask for labels until there are enough, and write the calibration."""
    from pytest_pluralism.report.reading import load_report

    check_output(arguments.output, (".json",))
    if arguments.n < 2:
        raise UsageError(f"--n must be at least 2. Got {arguments.n}.")
    verdict = _verdict(load_report(arguments.report), arguments.nodeid)
    try:
        threshold, items = _threshold(verdict["settings"]), list(_items(verdict))
    except _DamagedError as error:
        raise UsageError(
            f"{arguments.report}: {error}. Write the report again with --pluralism-report=run.json."
        ) from None
    drawn = _drawn(items, arguments.n, threshold, arguments.seed)
    known = _read_labels(arguments.labels)
    weights = _weights(arguments.judges, verdict["settings"])
    _ask(drawn, known, arguments.labels)
    labelled = [(one, known[one.key]) for one in drawn if known.get(one.key) is not None]
    if not labelled:
        say(f"no labels yet; they will be kept in {shown(arguments.labels)}")
        return EXIT_OK
    if len(labelled) < len(drawn):
        say(f"{len(labelled)} of {len(drawn)} are labelled; the same command goes on")
    unasked = {one.stratum for one in drawn if one.key not in known} - {one.stratum for one, _ in labelled}
    if unasked:
        say(f"nothing is written to {shown(arguments.output)} yet: the labels so far are of a part of the scores only")
        return EXIT_OK
    return _write(arguments, verdict["settings"], labelled, weights)


class _DamagedError(Exception):
    """A part of a report is not as a report has it."""


def _verdict(report: JsonObject, nodeid: str | None) -> JsonObject:
    """Return the one verdict of the report whose responses are labelled."""
    found = [
        verdict
        for verdict in report["verdicts"]
        if isinstance(verdict, dict)
        and verdict.get("metric") == "overton_coverage"
        and isinstance(verdict.get("settings"), dict)
        and verdict["settings"].get("protocol") == "sound"
        and (nodeid is None or verdict.get("nodeid") == nodeid)
    ]
    if not found:
        raise UsageError("the report has no Overton coverage to label" + (f" of {nodeid}" if nodeid else "") + ".")
    if len(found) > 1:
        names = ", ".join(shown(str(verdict.get("nodeid"))) for verdict in found[:5])
        raise UsageError(f"the report has Overton coverage of several tests; name one with --nodeid: {names}.")
    verdict: JsonObject = found[0]
    return verdict


def _threshold(settings: JsonObject) -> float:
    """Return the threshold at which the judge of a report judged."""
    found = settings.get("threshold")
    if not is_number(found) or not 0.0 < found <= 1.0:
        raise _DamagedError(f"the threshold of its judge must be a number in (0, 1]. Got {_told(found)}")
    return float(found)


def _items(verdict: JsonObject) -> Iterator[_Item]:
    """Yield every response beside every answer of its window, and say which pairs the report lists as close."""
    details = verdict.get("details")
    listed = details.get("close_pairs") if isinstance(details, dict) else None
    close = {
        tuple(str(pair.get(name)) for name in ("query_id", "draw", "answer"))
        for pair in (listed if isinstance(listed, list) else [])
        if isinstance(pair, dict)
    }
    for place, unit in enumerate(_list(verdict.get("units"), "its units")):
        where = f"unit {place}"
        query_id, query = _text(unit, "id", where), _text(unit, "text", where, default="")
        # A report without what the judge said of each draw names its answers alone.
        for answer in _list(unit.get("answers", []), f"the answers of {where}"):
            scores = answer.get("entailment_by_draw", [])
            if not isinstance(scores, list):
                raise _DamagedError(f"'entailment_by_draw' of {where} must be a list. Got {_told(scores)}")
            text, own = _text(answer, "text", where), answer.get("id")
            responses = unit.get("responses")
            for draw, score in enumerate(scores):
                if not is_number(score) or not 0.0 <= score <= 1.0:
                    raise _DamagedError(f"what the judge said in {where} must be in [0, 1]. Got {_told(score)}")
                if not isinstance(responses, list) or draw >= len(responses) or not isinstance(responses[draw], str):
                    raise _DamagedError(f"the text of response {draw} of {where} is missing")
                content = json.dumps([query_id, responses[draw], text])
                key = hashlib.sha256(content.encode()).hexdigest()[:24]
                is_close = (query_id, str(draw), str(own)) in close
                yield _Item(key, query_id, query, responses[draw], text, float(score), is_close)


def _list(found: object, name: str) -> list[JsonObject]:
    """Return a list of objects of a report."""
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _DamagedError(f"{name} must be a list of objects. Got {_told(found)}")
    return found


def _text(found: JsonObject, name: str, where: str, *, default: str | None = None) -> str:
    """Return a text of a report."""
    value = found.get(name, default)
    if not isinstance(value, str):
        raise _DamagedError(f"the {name!r} in {where} must be a text. Got {_told(value)}")
    return value


def _told(value: object) -> str:
    """Return a value as a message shows it."""
    return shown(json.dumps(value)[:60])


def _drawn(items: Sequence[_Item], n: int, threshold: float, seed: int) -> list[_Item]:
    """Return a sample: the pairs that the report lists as too close to call first, then others in random order.

    The others are drawn in equal numbers from those near the threshold, above it and below it.
    """
    distinct: dict[str, _Item] = {}
    for one in items:
        if one.key not in distinct or one.is_close:
            distinct[one.key] = one
    if not distinct:
        raise UsageError("the report does not hold what the judge said of each response. Run again with this version.")
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    others = sorted((one for one in distinct.values() if not one.is_close), key=lambda one: abs(one.score - threshold))
    border = max(1, int(len(others) * NEAR))
    strata = [
        [one for one in distinct.values() if one.is_close],
        others[:border],
        [one for one in others[border:] if one.score >= threshold],
        [one for one in others[border:] if one.score < threshold],
    ]
    strata = [one for one in strata if one]
    chosen: list[_Item] = []
    left = n
    for place, stratum in enumerate(sorted(strata, key=len)):
        some = draw.sample(stratum, min(len(stratum), left // (len(strata) - place)))
        left -= len(some)
        chosen += [replace(one, stratum=place, size=len(stratum)) for one in some]
    draw.shuffle(chosen)
    return sorted(chosen, key=lambda one: not one.is_close)


def _read_labels(file: Path) -> dict[str, bool | None]:
    """Return the labels of a file by their keys; ``None`` where somebody skipped."""
    if not file.is_file():
        return {}
    found: dict[str, bool | None] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 text (byte {error.start}). Labels are written as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            held = row["held"]
            if not (held is None or isinstance(held, bool)) or not isinstance(row["key"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{file}, line {number}: is not a label. Correct or remove the line.") from None
        found[row["key"]] = held
    return found


def _ask(drawn: Sequence[_Item], known: dict[str, bool | None], file: Path) -> None:
    """Ask about what is not labelled yet, and keep each label at once."""
    left = [one for one in drawn if one.key not in known]
    place = 0
    while place < len(left):
        one = left[place]
        say(*_shown(one, len(drawn) - len(left) + place + 1, len(drawn)))
        key = _typed()
        if key == "q":
            return
        if key == "u":
            place = max(place - 1, 0)
            continue
        known[one.key] = KEYS.get(key)
        row = {"key": one.key, "held": known[one.key], "query_id": one.query_id, "answer": one.answer}
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        place += 1


def _shown(one: _Item, number: int, n: int) -> list[str]:
    return [
        "",
        f"{number}/{n}  {shown(one.query)}",
        f"response: {shown(one.response)}",
        f"view:     {shown(one.answer)}",
        QUESTION,
    ]


def _typed() -> str:
    """Return the key that somebody types: y, n, s, u or q; the end of the input stops."""
    while True:
        sys.stdout.write("[y/n/s/u/q] ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            return "q"
        key = line.strip().lower()[:1]
        if key in {"y", "n", "s", "u", "q"}:
            return key
        say(HELP)


def _weights(file: Path | None, settings: JsonObject) -> CombinedJudge | None:
    """Return the weights of the combined judge that judged a report; ``None`` of another judge."""
    from pytest_pluralism.core.errors import ModelError
    from pytest_pluralism.models.calibration import judges_of, read_judges
    from pytest_pluralism.models.specification import EMBEDDED_ENTAILMENT_MODELS

    if settings.get("entailment_judge") != "combined":
        return None
    files = [] if file is None else [read_judges(file)]
    for name in EMBEDDED_ENTAILMENT_MODELS if file is None else ():
        # Where it is not here, another may have judged.
        with contextlib.suppress(ModelError):
            files.append(judges_of(f"embedded:{name}"))
    known = [one for one in files if one is not None and one.combined is not None]
    if not known:
        raise UsageError("the combined judge needs the weights of the file that judged: --judges=FILE.")
    for one in known:
        if settings.get("judge_sha256", one.sha256) == one.sha256:
            return one.combined
    where = "the file of an embedded entailment model" if file is None else shown(file)
    raise UsageError(f"{where} did not judge this report. Name the file of judges that did: --judges=FILE.")


def _model_hash(settings: JsonObject) -> str:
    """Return the hash of the entailment model of a report; empty where it does not say it."""
    model = settings.get("entailment_model")
    found = model.get("sha256", "") if isinstance(model, dict) else ""
    return found if isinstance(found, str) else ""


def _write(
    arguments: argparse.Namespace,
    settings: JsonObject,
    labelled: Sequence[tuple[_Item, bool | None]],
    weights: CombinedJudge | None,
) -> int:
    """Write the file of judges, and say what it says."""
    from pytest_pluralism.core.errors import InvalidParameterError
    from pytest_pluralism.core.estimation.labelled import Label, calibrate_from_labels
    from pytest_pluralism.core.judges import JUDGES
    from pytest_pluralism.models.calibration import JudgeFile, judges_text

    name = settings.get("entailment_judge", "forward")
    if name not in JUDGES:
        raise UsageError(f"the report was judged by {_told(name)}, which this version does not know.")
    content = json.dumps([[one.key, held] for one, held in labelled])
    # The labels of a stratum stand for all its pairs, however many of them were skipped or not reached.
    times = Counter(one.stratum for one, _ in labelled)
    labels = [Label(one.score, bool(held), one.size / times[one.stratum], one.query_id) for one, held in labelled]
    try:
        found = calibrate_from_labels(
            labels,
            threshold=float(settings["threshold"]),
            data=f"{len(labels)} labels of {arguments.labels.name}",
            data_sha256=hashlib.sha256(content.encode()).hexdigest(),
            model_sha256=_model_hash(settings),
            seed=arguments.seed,
        )
    except InvalidParameterError as error:
        say(str(error))
        return EXIT_PROBLEMS
    judges = JudgeFile(name, {name: found}, weights)
    arguments.output.write_text(judges_text(judges), encoding="utf-8")
    if arguments.json:
        say_json(json.loads(judges_text(judges)))
        return EXIT_OK
    errors = (found.sensitivity_error or 0.0, found.specificity_error or 0.0)
    say(f"{len(labels)} labels: {found.n_entailing} held, {found.n_other} not")
    rates = (("sensitivity", found.sensitivity), ("specificity", found.specificity))
    told = [f"{words} {value:.2f} ± {error:.2f}" for (words, value), error in zip(rates, errors, strict=True)]
    say(f"judge {name}: {', '.join(told)}")
    say(f"written: {shown(arguments.output)}; use it with entailment_judge={str(arguments.output)!r}")
    return EXIT_OK
