"""``pluralism answers``: look after the store of answers."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    EXIT_PROBLEMS,
    UsageError,
    complain,
    say,
    say_json,
    shown,
    size,
    table,
    time_words,
)
from pytest_pluralism.core.errors import unknown_name
from pytest_pluralism.core.messages import printable

if TYPE_CHECKING:
    from pytest_pluralism.models.answers.store import AnswerStore
    from pytest_pluralism.models.answers.upkeep import StoreCheck, StoredModel

__all__ = ["add_answers"]

SCHEMA = "pytest-pluralism/answers/1"


def add_answers(commands: Any) -> None:
    """Add ``pluralism answers``."""
    answers = commands.add_parser(
        "answers", help="the store of answers that models gave before", description="Look after the answer store.",
        epilog=EXIT_CODES,
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
        "list", parents=[common], help="show what is stored, one line a model", epilog=EXIT_CODES
    )
    listing.set_defaults(run=list_answers)
    verify = actions.add_parser(
        "verify", parents=[common], help="check the file and every answer in it; changes nothing", epilog=EXIT_CODES
    )
    verify.set_defaults(run=verify_answers)
    prune = actions.add_parser(
        "prune",
        parents=[common],
        help="remove answers, and give the space back to the disk",
        description="Remove the answers to which --model and --older-than both apply; then, with --most-bytes, those "
        "of all models that were used longest ago until the rest fits.",
        epilog=EXIT_CODES,
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
                    "created": time_words(one.created),
                    "used": time_words(one.used),
                }
                for one in models
            ],
            "set_aside": _set_aside(arguments),
        }
        if arguments.json:
            say_json(content)
        elif store is None:
            say(_nothing(arguments))
        else:
            every = ("answers", "responses", "full_answers", "entailments", "rewards")
            counts = [sum(getattr(one, kind) for one in models) for kind in every]
            say(f"{shown(store.path)}: {_counted(*counts)}, {size(store.file_bytes())}")
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
                days = (time_words(one.created)[:10], time_words(one.used)[:10])
                rows.append((*words, f"{one.answers:,}", *numbers, size(one.bytes), *days))
            for line in table(rows) if models else ():
                say(line)
            _say_set_aside(arguments)
    return EXIT_OK


def verify_answers(arguments: argparse.Namespace) -> int:
    """Check the file, and every answer against its checksum."""
    from pytest_pluralism.models.answers.upkeep import StoreCheck

    with _looked_at(arguments) as (store, models):
        if store is None:
            if arguments.json:
                say_json(_check_content(arguments, StoreCheck(0, 0, 0)))
            else:
                say(_nothing(arguments))
            return EXIT_OK
        check = store.verify(model_sha256s=[one.sha256 for one in models] if arguments.model else None)
        if arguments.json:
            say_json(_check_content(arguments, check))
        else:
            counted = _counted(check.answers, check.responses, check.full_answers, check.entailments, check.rewards)
            say(f"{shown(store.path)}: {counted} checked, {check.damaged:,} damaged")
            if check.damaged:
                say("Damaged answers are never used; they are replaced when their questions are asked again.")
            if check.unreadable:
                say(f"{check.unreadable:,} answers are of another version of pytest-pluralism, and not used.")
            for problem in check.problems:
                say(f"the file: {shown(problem)}")
            if check.problems:
                say("The next run sets the file aside and begins a new one.")
            _say_set_aside(arguments)
    return EXIT_PROBLEMS if check.damaged or check.problems else EXIT_OK


def prune_answers(arguments: argparse.Namespace) -> int:
    """Remove answers of a model, old ones, or as many as are too many."""
    from pytest_pluralism.models.answers.store import AnswerStore

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
        say_json({"schema": SCHEMA, **content})
    elif looked is None:
        say(_nothing(arguments))
    else:
        say(f"{shown(store.path)}: removed {removed:,} answers; {size(before)} before, {size(after)} now")
    for note in notes:
        complain(note)
    return EXIT_PROBLEMS if notes else EXIT_OK


@contextlib.contextmanager
def _looked_at(arguments: argparse.Namespace) -> Iterator[tuple[AnswerStore | None, list[StoredModel]]]:
    """Open the store as it is, with the models that were asked for; ``None`` where nothing was ever stored."""
    from pytest_pluralism.models.answers.store import FILE_NAME, AnswerStore

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
    from pytest_pluralism.models.answers.store import default_answers_folder

    return arguments.folder if arguments.folder is not None else default_answers_folder()


def _set_aside(arguments: argparse.Namespace) -> list[str]:
    from pytest_pluralism.models.answers.store import FILE_NAME

    pattern = re.compile(re.escape(FILE_NAME) + r"\.damaged-\d+")
    return sorted(
        path.name for path in _folder(arguments).glob(f"{FILE_NAME}.damaged-*") if pattern.fullmatch(path.name)
    )


def _say_set_aside(arguments: argparse.Namespace) -> None:
    names = _set_aside(arguments)
    if names:
        say(f"set aside as damaged, and not used: {', '.join(names)} (delete them when nobody needs them)")


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
    return f"no answers are stored in {shown(_folder(arguments))}"


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
