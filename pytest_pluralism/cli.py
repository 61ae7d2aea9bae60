"""The ``pluralism`` command: what is done outside a run of tests.

Every subcommand is one function that takes the parsed arguments and returns the exit code: 0 when all is well, 1 when
problems were found (or what was asked for could not be done), 2 for a command that is wrong.
Results go to the standard output, complaints to the standard error; names from outside are shown so that no terminal
obeys them.
"""

# argparse, and neither click nor typer: the command is small, and a plugin that others install beside their own tools
# should bring as few packages as it can.

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pluralism import __version__
from pytest_pluralism.core.errors import PluralismError, unknown_name
from pytest_pluralism.core.messages import printable

if TYPE_CHECKING:
    from pytest_pluralism.models.answers import AnswerStore, StoreCheck, StoredModel

__all__ = ["main"]

EXIT_OK, EXIT_PROBLEMS, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

SCHEMA = "pytest-pluralism/answers/1"

#: The longest path or message that is shown.
MOST_CHARACTERS = 2000

_EXIT_CODES = "exit codes: 0 all is well; 1 problems were found, or it could not be done; 2 the command is wrong"


class UsageError(Exception):
    """The command asks for something that is not there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (by default those of the process) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # A terminal that cannot show a character shows its code instead of ending the command.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except UsageError as error:
        _complain(error)
        return EXIT_USAGE
    except (PluralismError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read the output has seen enough (`| head`); Python would complain once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OK
        _complain(error)
        return EXIT_PROBLEMS
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pluralism",
        description="Look after what pluralism regression tests keep. The tests themselves run with pytest.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"pytest-pluralism {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_answers(commands)
    _add_leaderboard(commands)
    return parser


# ----------------------------------------------------------------------------------------------------- leaderboard


def _add_leaderboard(commands: Any) -> None:
    board = commands.add_parser(
        "leaderboard", help="models of several reports by all objectives that they share",
        description="Show which models no other improves on in every objective, and their ranks under each function.",
        epilog=_EXIT_CODES,
    )  # fmt: skip
    board.add_argument("reports", nargs="+", type=Path, metavar="RUN.json", help="reports of --pluralism-report")
    board.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME=W,W",
        help="a commensurating function: a weight for each objective, in the order of the table; repeatable",
    )
    board.set_defaults(run=show_leaderboard)


def show_leaderboard(arguments: argparse.Namespace) -> int:
    """Show a leaderboard as Markdown."""
    from pytest_pluralism.report.leaderboard import leaderboard_lines, read_leaderboard

    functions = {}
    for text in arguments.function:
        name, _, weights = text.partition("=")
        try:
            functions[name] = tuple(float(weight) for weight in weights.split(","))
        except ValueError:
            raise UsageError(f"--function must be NAME=WEIGHT,WEIGHT, such as equal=0.5,0.5. Got {text!r}.") from None
    for line in leaderboard_lines(read_leaderboard(arguments.reports), functions=functions):
        _say(line)
    return EXIT_OK


# --------------------------------------------------------------------------------------------------------- answers


def _add_answers(commands: Any) -> None:
    answers = commands.add_parser(
        "answers", help="the store of answers that models gave before", description="Look after the answer store.",
        epilog=_EXIT_CODES,
    )  # fmt: skip
    actions = answers.add_subparsers(title="actions", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="the folder of the store (default: answers in $PLURALISM_CACHE, or in the user's cache)",
    )
    common.add_argument(
        "--model",
        metavar="NAME",
        help="only the answers of this model: its name, or at least 8 digits of its sha256",
    )
    common.add_argument("--json", action="store_true", help="write JSON instead of text")
    listing = actions.add_parser(
        "list", parents=[common], help="show what is stored, one line a model", epilog=_EXIT_CODES
    )
    listing.set_defaults(run=list_answers)
    verify = actions.add_parser(
        "verify", parents=[common], help="check the file and every answer in it; changes nothing", epilog=_EXIT_CODES
    )
    verify.set_defaults(run=verify_answers)
    prune = actions.add_parser(
        "prune",
        parents=[common],
        help="remove answers, and give the space back to the disk",
        description="Remove the answers to which --model and --older-than both apply; then, with --most-bytes, those "
        "of all models that were used longest ago until the rest fits.",
        epilog=_EXIT_CODES,
    )
    prune.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="answers that no run has used for this many days"
    )
    prune.add_argument(
        "--most-bytes", type=_bytes, metavar="N", help="how large the file may be: bytes, or a number with K, M or G"
    )
    prune.set_defaults(run=prune_answers, parser=prune)


def list_answers(arguments: argparse.Namespace) -> int:
    """Show what the store holds, one line a model."""
    with _looked_at(arguments) as (store, models):
        content = {
            "schema": SCHEMA,
            "folder": str(_folder(arguments)),
            "file_bytes": store.file_bytes() if store else 0,
            "models": [
                {
                    "name": one.name,
                    "sha256": one.sha256,
                    "dtype": one.dtype,
                    "device": one.device,
                    "answers": one.answers,
                    "responses": one.responses,
                    "full_answers": one.full_answers,
                    "entailments": one.entailments,
                    "rewards": one.rewards,
                    "bytes": one.bytes,
                    "created": _time(one.created),
                    "used": _time(one.used),
                }
                for one in models
            ],
            "set_aside": _set_aside(arguments),
        }
        if arguments.json:
            _say_json(content)
        elif store is None:
            _say(_nothing(arguments))
        else:
            every = ("answers", "responses", "full_answers", "entailments", "rewards")
            counts = [sum(getattr(one, kind) for one in models) for kind in every]
            _say(f"{_shown(store.path)}: {_counted(*counts)}, {_size(store.file_bytes())}")
            # Columns of what hardly anybody stores would only make the others hard to read.
            kinds = [kind for kind, count in zip(every[1:], counts[1:], strict=True) if count]
            names = [kind.replace("_", " ") for kind in kinds]
            rows: list[tuple[str, ...]] = [
                ("model", "sha256", "dtype", "device", "answers", *names, "size", "first", "last used")
            ]
            for one in models:
                words = [printable(word, most=most) for word, most in ((one.name, 50), (one.sha256[:12], 12))]
                words += [printable(word, most=12) for word in (one.dtype, one.device)]
                numbers = [f"{getattr(one, kind):,}" for kind in kinds]
                days = (_time(one.created)[:10], _time(one.used)[:10])
                rows.append((*words, f"{one.answers:,}", *numbers, _size(one.bytes), *days))
            for line in _table(rows) if models else ():
                _say(line)
            _say_set_aside(arguments)
    return EXIT_OK


def verify_answers(arguments: argparse.Namespace) -> int:
    """Check the file, and every answer against its checksum."""
    from pytest_pluralism.models.answers import StoreCheck

    with _looked_at(arguments) as (store, models):
        if store is None:
            if arguments.json:
                _say_json(_check_content(arguments, StoreCheck(0, 0, 0)))
            else:
                _say(_nothing(arguments))
            return EXIT_OK
        check = store.verify(model_sha256s=[one.sha256 for one in models] if arguments.model else None)
        if arguments.json:
            _say_json(_check_content(arguments, check))
        else:
            counted = _counted(check.answers, check.responses, check.full_answers, check.entailments, check.rewards)
            _say(f"{_shown(store.path)}: {counted} checked, {check.damaged:,} damaged")
            if check.damaged:
                _say("Damaged answers are never used; they are replaced when their questions are asked again.")
            if check.unreadable:
                _say(f"{check.unreadable:,} answers are of another version of pytest-pluralism, and not used.")
            for problem in check.problems:
                _say(f"the file: {_shown(problem)}")
            if check.problems:
                _say("The next run sets the file aside and begins a new one.")
            _say_set_aside(arguments)
    return EXIT_PROBLEMS if check.damaged or check.problems else EXIT_OK


def prune_answers(arguments: argparse.Namespace) -> int:
    """Remove answers of a model, old ones, or as many as are too many."""
    from pytest_pluralism.models.answers import AnswerStore

    if arguments.model is None and arguments.older_than is None and arguments.most_bytes is None:
        arguments.parser.error("say what to remove: --model NAME, --older-than DAYS or --most-bytes N")
    with _looked_at(arguments) as (looked, models):
        before = looked.file_bytes() if looked else 0
    removed = after = 0
    notes: tuple[str, ...] = ()
    if looked is not None:
        with AnswerStore(_folder(arguments)) as store:
            removed = store.prune(
                model_sha256s=[one.sha256 for one in models] if arguments.model else None,
                older_than=None if arguments.older_than is None else arguments.older_than * 86400.0,
                most_bytes=arguments.most_bytes,
            )
            notes = store.notes
        after = store.file_bytes()
    if arguments.json:
        content = {"folder": str(_folder(arguments)), "removed": removed, "bytes_before": before, "bytes_after": after}
        _say_json({"schema": SCHEMA, **content})
    elif looked is None:
        _say(_nothing(arguments))
    else:
        _say(f"{_shown(store.path)}: removed {removed:,} answers; {_size(before)} before, {_size(after)} now")
    for note in notes:
        _complain(note)
    return EXIT_PROBLEMS if notes else EXIT_OK


@contextlib.contextmanager
def _looked_at(arguments: argparse.Namespace) -> Iterator[tuple[AnswerStore | None, list[StoredModel]]]:
    """Open the store as it is, with the models that were asked for; ``None`` where nothing was ever stored."""
    from pytest_pluralism.models.answers import FILE_NAME, AnswerStore

    folder = _folder(arguments)
    try:
        (folder / FILE_NAME).lstat()
    except (FileNotFoundError, NotADirectoryError):
        if arguments.folder is not None:
            raise UsageError(f"there is no answer store in {folder}.") from None
        yield None, []
        return
    with AnswerStore(folder, read_only=True) as store:
        yield store, _chosen(store.models(), arguments.model)


def _chosen(models: list[StoredModel], name: str | None) -> list[StoredModel]:
    if name is None:
        return models
    is_digits = re.fullmatch(r"(sha256:)?[0-9a-f]{8,64}", name) is not None
    digits = name.removeprefix("sha256:")
    chosen = [one for one in models if one.name == name or (is_digits and one.sha256.startswith(digits))]
    if not chosen:
        raise UsageError(unknown_name("model", name, sorted({one.name for one in models})))
    return chosen


def _folder(arguments: argparse.Namespace) -> Path:
    from pytest_pluralism.models.answers import default_answers_folder

    return arguments.folder if arguments.folder is not None else default_answers_folder()


def _set_aside(arguments: argparse.Namespace) -> list[str]:
    from pytest_pluralism.models.answers import FILE_NAME

    pattern = re.compile(re.escape(FILE_NAME) + r"\.damaged-\d+")
    return sorted(
        path.name for path in _folder(arguments).glob(f"{FILE_NAME}.damaged-*") if pattern.fullmatch(path.name)
    )


def _say_set_aside(arguments: argparse.Namespace) -> None:
    names = _set_aside(arguments)
    if names:
        _say(f"set aside as damaged, and not used: {', '.join(names)} (delete them when nobody needs them)")


def _check_content(arguments: argparse.Namespace, check: StoreCheck) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "folder": str(_folder(arguments)),
        "answers": check.answers,
        "responses": check.responses,
        "full_answers": check.full_answers,
        "entailments": check.entailments,
        "rewards": check.rewards,
        "damaged": check.damaged,
        "unreadable": check.unreadable,
        "problems": list(check.problems),
        "set_aside": _set_aside(arguments),
    }


def _counted(answers: int, responses: int, full_answers: int, entailments: int, rewards: int) -> str:
    """Say how many of each kind there are; kinds of which there are none are left out, answers excepted."""
    words = [f"{answers:,} answers"]
    words += [f"{responses:,} responses"] if responses else []
    words += [f"{full_answers:,} scored full answers"] if full_answers else []
    words += [f"{entailments:,} entailment scores"] if entailments else []
    words += [f"{rewards:,} rewards"] if rewards else []
    return ", ".join(words)


def _nothing(arguments: argparse.Namespace) -> str:
    return f"no answers are stored in {_shown(_folder(arguments))}"


# ------------------------------------------------------------------------------------------------ reading and showing


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of days in [0, inf). Got {text!r}")
    return days


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d{1,15})([KMG]?)B?", text, flags=re.ASCII | re.IGNORECASE)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be a whole number of bytes, or one with K, M or G. Got {text!r}")
    return int(found[1]) << 10 * " KMG".index(found[2].upper() or " ")


def _size(number: int) -> str:
    for unit, size in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def _time(seconds: float) -> str:
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def _shown(what: object) -> str:
    return printable(str(what), most=MOST_CHARACTERS)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _say_json(content: dict[str, Any]) -> None:
    # ASCII, so that names from outside reach no terminal as they are.
    _say(json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False))


def _complain(what: object) -> None:
    sys.stderr.write(f"pluralism: {_shown(what)}\n")


if __name__ == "__main__":
    sys.exit(main())
