"""One baseline a model, meant for git: read with suspicion, written whole or not at all.

A baseline may come from a stranger's pull request, so it is parsed as data, bounded in size, and checked before use.
Missing, corrupt and not comparable are different errors with different remedies; none of them is ever a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from pytest_pluralism.baselines.places import BaselineFile, LocalFile, place_of
from pytest_pluralism.baselines.schema import (
    SCHEMA,
    SCHEMA_1,
    Content,
    Entry,
    anchor_of,
    baseline_texts,
    parse_baseline,
    parse_summary,
    summary_model,
)
from pytest_pluralism.core.errors import BaselineError, did_you_mean

__all__ = [
    "SCHEMA",
    "SCHEMA_1",
    "baseline_file",
    "change_entries",
    "merge_entries",
    "missing_words",
    "model_of",
    "nearest_keys",
    "read_baseline",
    "remove_entries",
]

#: Maximum number of times that a pair of files is read again while it is being replaced.
_ATTEMPTS = 20


def baseline_file(place: str | Path, model_name: str, /) -> BaselineFile:
    """Return the baseline of a model: ``place`` itself when it ends with ``.json``, else a file in that folder."""
    return place_of(place, model_name)


def read_baseline(file: BaselineFile | Path, model_name: str | None, /, *, update: str) -> Content:
    """Read the entries of a baseline.

    Parameters
    ----------
    file : BaselineFile or Path
        The baseline.
    model_name : str or None
        The model whose results are wanted; ``None`` takes any.
    update : str
        The command that writes a baseline, for the messages.

    Returns
    -------
    dict
        The entries by key.

    Raises
    ------
    BaselineError
        A file is missing, too large, a link out of its folder, not UTF-8, not JSON, of another schema, of another
        model, or damaged.
    """
    return _read(_file(file), model_name, update)[0]


def model_of(file: BaselineFile | Path, /) -> str:
    """Return the name of the model whose results a baseline holds; its units are not read.

    Raises
    ------
    BaselineError
        The summary is missing or damaged.
    """
    file = _file(file)
    text = _text(file, "pytest --pluralism-update-baseline")
    name: str = parse_summary(text, name=str(file), update="pytest --pluralism-update-baseline")["model"]
    return name


def merge_entries(
    file: BaselineFile | Path,
    model_name: str,
    new: Entry,
    /,
    *,
    mode: str = "all",
    moved: Mapping[str, Entry] | None = None,
    plan: int | str = "counted",
) -> tuple[str, ...]:
    """Store entries beside those that are there, and return the keys of those that were stored.

    An entry that replaces another one keeps its anchor, and counts one look more.

    Parameters
    ----------
    file : BaselineFile or Path
        The baseline; a file of an older version becomes one of version 3.
    model_name : str
        The model that gave these results.
    new : mapping
        The entries by key.
    mode : {"all", "new", "better"}
        ``"new"`` never changes an entry that is there, ``"better"`` replaces one only where the new value is shown to
        be better, by the interval of the change and over all looks so far; else it counts the look.
    moved : mapping, optional
        The keys whose anchor becomes the new result, each with the ``date`` and the ``reason`` that the file keeps.
    plan : int or {"counted", "each"}
        How looks are counted (:func:`~pytest_pluralism.core.estimation.look_factor`).

    Raises
    ------
    BaselineError
        The present file is corrupt or of another model and is never overwritten, or nothing can be written.
    """
    stored: list[str] = []

    def merged(there: Entry) -> Content:
        moves = moved or {}
        chosen = {
            key: _anchored(entry, there.get(key), moves.get(key))
            for key, entry in new.items()
            if key in moves or _is_wanted(entry, there.get(key), mode, plan)
        }
        stored[:] = list(chosen)
        looked = new.keys() & there.keys() if mode == "better" else ()
        left = {key: {**there[key], "looks": _looks(new[key], there[key])} for key in looked}
        return {**there, **left, **chosen}

    change_entries(file, model_name, merged)
    return tuple(stored)


def remove_entries(file: BaselineFile | Path, model_name: str, keys: Collection[str], /) -> None:
    """Remove entries from a baseline, and the lines of its companion that nothing names any more.

    Raises
    ------
    BaselineError
        As for :func:`merge_entries`.
    """
    change_entries(file, model_name, lambda there: {key: entry for key, entry in there.items() if key not in keys})


def change_entries(file: BaselineFile | Path, model_name: str, change: Callable[[Entry], Entry], /) -> None:
    """Replace the entries of a baseline by what ``change`` makes of them; two runs take turns.

    The companion is written first, with the lines of the old entries and of the new ones, then the summary, then the
    companion without the old lines: whenever this is interrupted, the old or the new baseline is there, whole.

    Raises
    ------
    BaselineError
        As for :func:`merge_entries`.
    """
    file = _file(file)
    with file.locked():
        there: Content = {}
        old_text = file.read()
        old_companion = file.read(companion=True)
        if old_text is not None:
            there, old_text, old_companion = _read(file, model_name, "delete the file first")
        try:
            text, lines = baseline_texts(model_name, change(there))
        except ValueError as error:
            raise BaselineError(f"baseline {file} cannot be written: {error}. Nothing was changed.") from None
        if text == old_text and old_companion == _companion(lines.values()):
            return
        kept = {line for line in (old_companion or "").split("\n") if line} if old_text is not None else set()
        if not set(lines.values()) <= kept:
            file.write(_companion([*kept, *(line for line in lines.values() if line not in kept)]), companion=True)
        if text != old_text:
            file.write(text)
        if file.read(companion=True) != _companion(lines.values()):
            file.write(_companion(lines.values()), companion=True)


def nearest_keys(key: str, entries: Sequence[str], /) -> str:
    """Return a hint at entries with similar keys, for a test that was renamed."""
    return did_you_mean(key, entries, " (nearest: {!r})")


def _file(file: BaselineFile | Path) -> BaselineFile:
    return LocalFile(file) if isinstance(file, Path) else file


def _text(file: BaselineFile, update: str) -> str:
    text = file.read()
    if text is None:
        raise BaselineError(missing_words(file, update))
    return text


def missing_words(file: BaselineFile | Path, update: str, /, instead: str = "") -> str:
    """Return the error about a baseline that does not exist; ``instead`` says which others do."""
    return f"no baseline: {file} does not exist. {instead}To store one: {update}"


def _read(file: BaselineFile, model_name: str | None, update: str) -> tuple[Content, str, str | None]:
    from pytest_pluralism.baselines.places import companion_name

    for attempt in range(_ATTEMPTS):
        text = _text(file, update)
        companion = file.read(companion=True)
        # Another run may have replaced one of the two in between.
        if file.read() == text:
            break
        time.sleep(0.01 * attempt)
    name = str(file)
    content = parse_summary(text, name=name, update=update)
    if model_name is not None:
        summary_model(content, model_name, name=name, update=update)
    entries = parse_baseline(text, companion, name=name, companion_name=companion_name(name), update=update)
    return entries, text, companion


def _companion(lines: Collection[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _is_wanted(entry: Entry, there: Entry | None, mode: str, plan: int | str) -> bool:
    if there is None or mode == "all":
        return True
    if mode == "new":
        return False
    from pytest_pluralism.baselines.comparison import is_shown_better
    from pytest_pluralism.core.estimation import look_factor

    return is_shown_better(entry, there, looks=look_factor(there["looks"] + 1, plan=plan))


def _anchored(entry: Entry, there: Entry | None, moved: Entry | None) -> Content:
    """Return an entry that keeps the anchor of the one it replaces, unless that is moved."""
    if moved is not None:
        return {**entry, "looks": 0, "anchor": {**anchor_of(entry), "moved": dict(moved)}}
    if there is None:
        return {**entry, "looks": 0, "anchor": anchor_of(entry)}
    return {**entry, "looks": _looks(entry, there), "anchor": there["anchor"]}


def _looks(entry: Entry, there: Entry) -> int:
    """Return how often one looked: the same result again shows nothing new, and gives chance nothing to choose from."""
    looks: int = there["looks"]
    return looks if entry["units"] == there["units"] else looks + 1
