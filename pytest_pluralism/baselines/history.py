"""The history of a baseline in git: each measure over the commits that changed it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_pluralism.baselines.git import git_output
from pytest_pluralism.baselines.places import MOST_BYTES, BaselineFile, LocalFile, companion_name
from pytest_pluralism.baselines.schema import Entry, parse_baseline, parse_summary
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.records import Estimate

__all__ = ["Revision", "entries_at", "history_gaps", "history_of", "interval_drawing"]

#: Between the fields of a line of git log; no name of a tag or hash holds it.
_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Revision:
    """One commit that changed a baseline.

    ``entries`` are those of its summary, ``problem`` says why there are none; ``commit`` is empty for the file as it is
    in the working tree. ``drifts`` are the changes of entries from their anchors, by key, where that is another result
    that can be compared, and the values by unit are there.
    """

    commit: str
    date: str
    tags: tuple[str, ...]
    subject: str
    entries: Mapping[str, Entry]
    problem: str = ""
    drifts: Mapping[str, Estimate] = field(default_factory=dict)


def history_of(file: BaselineFile, /, *, most: int = 100) -> list[Revision]:
    """Return what git stores of a baseline, oldest first, and the file itself where it differs from the last commit.

    Parameters
    ----------
    file : BaselineFile
        A baseline in a git repository on this machine.
    most : int
        Maximum number of commits, the newest ones.

    Raises
    ------
    BaselineError
        The baseline is elsewhere, git is not installed, or the file is in no repository.
    """
    if not isinstance(file, LocalFile):
        raise BaselineError(f"baseline {file} is not in a git repository on this machine. Name a path.")
    path = file.path
    form = _BETWEEN.join(("%H", "%cI", "%D", "%s"))
    log = git_output(
        path.parent,
        "log", f"--max-count={most}", "--decorate-refs=refs/tags", f"--format={form}", "--", f"./{path.name}",
    )  # fmt: skip
    found = []
    # Not splitlines: a subject may hold what it takes for an end of a line.
    for line in reversed([line for line in log.split("\n") if line]):
        commit, date, refs, subject = line.split(_BETWEEN, 3)
        tags = tuple(one.strip().removeprefix("tag: ") for one in refs.split(",") if one.strip())
        found.append(_revision(path, commit, date, tags, subject))
    text = file.read()
    if text is not None:
        now = _parsed(text, str(file))
        if not found or found[-1].entries != now[0]:
            drifts = _drifts(text, file.read(companion=True), str(file))
            found.append(Revision("", "", (), "as it is", *now, drifts))
    if not found:
        raise BaselineError(
            f"no baseline: {file} does not exist, and git remembers none. "
            "To store one: pytest --pluralism-update-baseline"
        )
    return found


def history_gaps(file: LocalFile, /) -> tuple[str, ...]:
    """Return what the history of a baseline lacks, in sentences: commits that a shallow clone left out, older names.

    Raises
    ------
    BaselineError
        Git is not installed, or the file is in no repository.
    """
    path, gaps = file.path, []
    if git_output(path.parent, "rev-parse", "--is-shallow-repository").strip() == "true":
        gaps.append("this clone is shallow, so that older commits are missing; fetch them with git fetch --unshallow")
    renamed = git_output(
        path.parent,
        "log", "--follow", "--diff-filter=R", "--name-status", "--format=", "-1", "-z", "--", f"./{path.name}",
    )  # fmt: skip
    if renamed:
        _, old, *_ = renamed.strip("\0\n").split("\0")
        gaps.append(f"the file was called {old} before; what it held under that name is not shown")
    return tuple(gaps)


def entries_at(place: Path, revision: str, /) -> dict[str, list[Entry]]:
    """Return the entries that the baselines of a place had in a commit, by key: one for each model.

    Parameters
    ----------
    place : Path
        A folder of baselines, or a single ``.json`` file.
    revision : str
        A name that git knows: a tag, a branch, a hash.

    Raises
    ------
    BaselineError
        Git does not know the revision or the folder, or a file of that time cannot be read.
    """
    folder = place.parent if place.suffix == ".json" else place
    # A name that begins with a dash would be an option of git.
    commit = git_output(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()
    names = [name for name in git_output(folder, "ls-tree", "--name-only", "-z", commit, "./").split("\0") if name]
    files = [folder / Path(name).name for name in names if name.endswith(".json")]
    found: dict[str, list[Entry]] = {}
    for file in files:
        if place.suffix == ".json" and file.name != place.name:
            continue
        name = f"{file.as_posix()} of {commit[:10]}"
        try:
            text = _blob(file, commit)
        except ValueError as error:
            raise BaselineError(f"{name}: {error}") from None
        for key, entry in parse_summary(text, name=name, update="pytest --pluralism-update-baseline")[
            "entries"
        ].items():
            found.setdefault(key, []).append(entry)
    return found


def interval_drawing(low: float, value: float, high: float, first: float, last: float, /, *, width: int = 24) -> str:
    """Return an interval as a line of text between two ends of a scale.

    Examples
    --------
    >>> interval_drawing(0.2, 0.4, 0.6, 0.0, 1.0, width=11)
    '  --o--    '
    """

    def place(number: float) -> int:
        share = 0.5 if last <= first else (number - first) / (last - first)
        return min(width - 1, max(0, round(share * (width - 1))))

    cells = [" "] * width
    for cell in range(place(low), place(high) + 1):
        cells[cell] = "-"
    cells[place(value)] = "o"
    return "".join(cells)


def _revision(path: Path, commit: str, date: str, tags: tuple[str, ...], subject: str) -> Revision:
    try:
        text = _blob(path, commit)
    except BaselineError:
        # This commit removed the file.
        return Revision(commit, date, tags, subject, {}, "removed")
    except ValueError as error:
        return Revision(commit, date, tags, subject, {}, str(error))
    name = f"{path.as_posix()} of {commit[:10]}"
    entries, problem = _parsed(text, name)
    companion = None
    with contextlib.suppress(BaselineError, ValueError):
        companion = _blob(path.with_name(companion_name(path.name)), commit)
    return Revision(commit, date, tags, subject, entries, problem, {} if problem else _drifts(text, companion, name))


def _blob(path: Path, commit: str) -> str:
    """Return the text of a file as a commit has it.

    Raises
    ------
    BaselineError
        The commit has no such file.
    ValueError
        It is too large.
    """
    where = f"{commit}:./{path.name}"
    size = int(git_output(path.parent, "cat-file", "-s", where))
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes, more than the {MOST_BYTES} that are read")
    return git_output(path.parent, "cat-file", "blob", where)


def _drifts(text: str, companion: str | None, name: str) -> dict[str, Estimate]:
    """Return the changes of the entries of a baseline from their anchors."""
    from pytest_pluralism.baselines.comparison import differences, paired_change

    try:
        entries = parse_baseline(text, companion, name=name, companion_name=companion_name(name), update="")
    except BaselineError:
        # The summary alone can be read, as before there were anchors.
        return {}
    found = {}
    for key, entry in entries.items():
        anchor = entry["anchor"]
        if anchor["units"] != entry["units"] and next(differences(entry, anchor), None) is None:
            level = (entry.get("gate") or {}).get("confidence_level", entry["estimate"].get("confidence_level"))
            found[key] = paired_change(entry, anchor, confidence_level=level)
    return found


def _parsed(text: str, name: str) -> tuple[Entry, str]:
    try:
        entries: Entry = parse_summary(text, name=name, update="pytest --pluralism-update-baseline")["entries"]
    except BaselineError as error:
        return {}, str(error)
    return entries, ""
