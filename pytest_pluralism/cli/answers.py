"""``pluralism answers``: look after the store of answers."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.showing import (
    EXIT_OK,
    EXIT_PROBLEMS,
    Commands,
    UsageError,
    add_command,
    complain,
    group,
    option,
    say,
    say_json,
    shown,
    size,
    table,
    time_words,
)
from pytest_pluralism.core.errors import unknown_name
from pytest_pluralism.core.untrusted import printable

if TYPE_CHECKING:
    from pytest_pluralism.models.answers.store import AnswerStore
    from pytest_pluralism.models.answers.upkeep import StoredModel

__all__ = ["add_answers"]

SCHEMA = "pytest-pluralism/answers/1"

#: The kinds of answers, and what they are called.
_KINDS = {
    "answers": "answers",
    "responses": "responses",
    "full_answers": "scored full answers",
    "entailments": "entailment scores",
    "rewards": "rewards",
}


def add_answers(commands: Commands) -> None:
    """Add ``pluralism answers``."""
    actions = group(commands, "answers", "inspect, move and clean the store of answers", "Look after the answer store.")
    where = "the folder of the store (default: answers in $PLURALISM_CACHE, or in the user's cache)"
    which = "only the answers of this model: its name, or at least 8 digits of its sha256"
    common = (
        option("--folder", type=Path, metavar="DIR", help=where),
        option("--model", metavar="NAME", help=which),
    )
    add_command(actions, "list", list_answers, "show what is stored, one line a model", *common)
    checks = "check the file and every answer in it; changes nothing"
    add_command(actions, "verify", verify_answers, checks, *common)
    unused = "answers that no run has used for this many days"
    large = "how large the file may be: bytes, or a number with K, M or G"
    add_command(
        actions,
        "prune",
        prune_answers,
        "remove answers, and give the space back to the disk",
        *common,
        option("--older-than", type=_days, metavar="DAYS", help=unused),
        option("--most-bytes", type=_bytes, metavar="N", help=large),
        description="Remove the answers to which --model and --older-than both apply; then, with --most-bytes, those "
        "of all models that were used longest ago until the rest fits.",
    )


def list_answers(arguments: argparse.Namespace) -> int:
    """Show what the store holds, one line a model."""
    with _looked_at(arguments) as (store, models):
        if arguments.json:
            times = [{"created": time_words(one.created), "used": time_words(one.used)} for one in models]
            listed = [{**dataclasses.asdict(one), **when} for one, when in zip(models, times, strict=True)]
            say_json({**_about(arguments), "file_bytes": store.file_bytes() if store else 0, "models": listed})
        elif store is None:
            say(_nothing(arguments))
        else:
            counts = {kind: sum(getattr(one, kind) for one in models) for kind in _KINDS}
            say(f"{shown(store.path)}: {_counted(counts)}, {size(store.file_bytes())}")
            # Columns of what hardly anybody stores would only make the others hard to read.
            kinds = [kind for kind, count in counts.items() if count or kind == "answers"]
            names = [kind.replace("_", " ") for kind in kinds]
            rows = [("model", "sha256", "dtype", "device", *names, "size", "first", "last used")]
            for one in models:
                named = ((one.name, 50), (one.sha256[:12], 12), (one.dtype, 12), (one.device, 12))
                words = [printable(word, most=most) for word, most in named]
                numbers = [f"{getattr(one, kind):,}" for kind in kinds]
                days = (time_words(one.created)[:10], time_words(one.used)[:10])
                rows.append((*words, *numbers, size(one.bytes), *days))
            for line in table(rows) if models else ():
                say(line)
            _say_set_aside(arguments)
    return EXIT_OK


def verify_answers(arguments: argparse.Namespace) -> int:
    """Check the file, and every answer against its checksum."""
    from pytest_pluralism.models.answers.upkeep import StoreCheck

    with _looked_at(arguments) as (store, models):
        chosen = [one.sha256 for one in models] if arguments.model else None
        check = StoreCheck(0, 0, 0) if store is None else store.verify(model_sha256s=chosen)
        if arguments.json:
            say_json({**_about(arguments), **dataclasses.asdict(check)})
        elif store is None:
            say(_nothing(arguments))
        else:
            say(f"{shown(store.path)}: {_counted(dataclasses.asdict(check))} checked, {check.damaged:,} damaged")
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
    complain(*notes)
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


def _about(arguments: argparse.Namespace) -> Content:
    return {"schema": SCHEMA, "folder": str(_folder(arguments)), "set_aside": _set_aside(arguments)}


def _counted(counts: Mapping[str, int]) -> str:
    """Say how many of each kind there are; kinds of which there are none are left out, answers excepted."""
    words = (f"{counts[kind]:,} {name}" for kind, name in _KINDS.items() if counts[kind] or kind == "answers")
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
