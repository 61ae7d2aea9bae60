"""Polis conversations: statements that participants wrote, and how the opinion groups voted on them.

A conversation is a folder with ``comments.csv`` (one row a statement) and ``participants-votes.csv`` (one row a
participant: opinion group, and a vote of 1, -1 or 0 on each statement that was seen), as Polis exports them, or with
``votes.csv`` (one row a vote) in place of the latter. ``summary.csv``, if it is there, gives the topic.
Columns are known by their names, so that exports with and without ``xid`` are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.parameters import unit_interval, whole_number
from pytest_pluralism.datasets.reading import Problems, Table, number_in, read_table, read_text
from pytest_pluralism.datasets.windows.assembly import ReadAnswer, ReadWindow, normalised

__all__ = ["PolisConversation", "PolisStatement", "moderated", "polis_window", "read_polis_conversation"]

COMMENT_COLUMNS = ("comment-id", "moderated", "comment-body")
PARTICIPANT_COLUMNS = ("participant", "group-id")
VOTE_COLUMNS = ("comment-id", "voter-id", "vote")

#: The mark of a statement that a moderator rejected.
REJECTED = "-1"

VOTES = {"1": 1, "-1": -1, "0": 0, "": None}


@dataclass(frozen=True, slots=True)
class PolisStatement:
    """One statement: its id, its text (empty if ``comments.csv`` lacks it), and its mark of moderation."""

    statement_id: str
    text: str
    moderated: str


@dataclass(frozen=True)
class PolisConversation:
    """A conversation: statements, participants with their opinion groups, and votes.

    ``votes[i][j]`` is the vote of participant ``i`` on statement ``j``: 1 agrees, -1 disagrees, 0 passes, ``None`` did
    not vote. The group of a participant who voted too little is ``None``. ``notes`` say what was left out or changed.
    """

    name: str
    topic: str
    statements: tuple[PolisStatement, ...]
    participants: tuple[str, ...]
    groups: tuple[str | None, ...]
    votes: tuple[tuple[int | None, ...], ...]
    notes: tuple[str, ...] = ()

    def without_rejected(self) -> PolisConversation:
        """Return the conversation without the statements that a moderator rejected, and the votes on them."""
        kept = [place for place, statement in enumerate(self.statements) if statement.moderated != REJECTED]
        n_rejected = len(self.statements) - len(kept)
        if not n_rejected:
            return self
        votes = tuple(tuple(row[place] for place in kept) for row in self.votes)
        n_votes = sum(vote is not None for row in self.votes for vote in row)
        n_votes -= sum(vote is not None for row in votes for vote in row)
        note = f"left out: {n_rejected} statement(s) that moderators rejected, with {n_votes} vote(s)"
        statements = tuple(self.statements[place] for place in kept)
        return replace(self, statements=statements, votes=votes, notes=(*self.notes, note))

    @property
    def group_names(self) -> tuple[str, ...]:
        """The opinion groups, sorted."""
        return tuple(sorted({group for group in self.groups if group is not None}))


def read_polis_conversation(folder: Path, /) -> PolisConversation:
    """Read the folder of one conversation, with the statements that moderators rejected.

    Parameters
    ----------
    folder : Path
        With ``comments.csv``, and with ``participants-votes.csv`` or ``votes.csv``. Where a participant voted several
        times on a statement (``votes.csv``), the last vote counts.

    Returns
    -------
    PolisConversation
        Statements in the order of the votes table. A statement that nobody could vote on is left out.

    Raises
    ------
    DatasetError
        If a file or column is missing, an id stands twice, a vote is not 1, -1, 0 or empty, or votes are the reverse of
        the counts in ``comments.csv``.
    """
    comments = _file_in(folder, "comments.csv")
    problems = Problems(str(comments))
    texts: dict[str, PolisStatement] = {}
    counts: dict[str, tuple[int, int]] = {}
    for where, row in _rows(comments, COMMENT_COLUMNS, problems).rows:
        identifier = row["comment-id"]
        if identifier in texts:
            problems.add(where, f"the comment-id {identifier!r} stands twice")
        texts[identifier] = PolisStatement(identifier, row["comment-body"], row["moderated"])
        if row.get("agrees", "").isdigit() and row.get("disagrees", "").isdigit():
            counts[identifier] = (int(row["agrees"]), int(row["disagrees"]))
    problems.raise_if_any()
    matrix = folder / "participants-votes.csv"
    if matrix.is_file() or not (folder / "votes.csv").is_file():
        path = _file_in(folder, "participants-votes.csv")
        problems = Problems(str(path))
        asked, groups, votes, notes = _from_matrix(path, texts, problems)
    else:
        path = folder / "votes.csv"
        problems = Problems(str(path))
        asked, groups, votes, notes = _from_votes(path, texts, problems)
    problems.raise_if_any()
    if not groups:
        raise DatasetError(f"{path}: nobody voted.")
    _check_direction(asked, votes, counts, problems)
    unasked = [identifier for identifier in texts if identifier not in asked]
    if unasked:
        notes.append(f"left out: {len(unasked)} statement(s) that nobody could vote on")
    name = folder.resolve().name
    return PolisConversation(
        name=name,
        topic=_topic(folder / "summary.csv") or name.replace("-", " ").replace(".", " "),
        statements=tuple(texts.get(identifier, PolisStatement(identifier, "", "")) for identifier in asked),
        participants=tuple(groups),
        groups=tuple(groups.values()),
        votes=tuple(votes),
        notes=tuple(notes),
    )


#: The ids of statements, the participants with their groups, the votes of each, and notes.
_Votes = tuple[list[str], dict[str, str | None], list[tuple[int | None, ...]], list[str]]


def _from_matrix(path: Path, texts: Mapping[str, PolisStatement], problems: Problems) -> _Votes:
    """Read a table with one row a participant and one column a statement."""
    table = _rows(path, PARTICIPANT_COLUMNS, problems)
    # Every column that is called by a number is a statement, whether its text is known or not.
    asked = [column for column in table.columns if column in texts or column.isdigit()]
    if not any(column in texts for column in asked):
        problems.add("line 1", f"no column is the comment-id of a statement of {path.parent / 'comments.csv'}")
        problems.raise_if_any()
    groups: dict[str, str | None] = {}
    votes = []
    for where, row in table.rows:
        participant = row["participant"]
        if participant in groups:
            problems.add(where, f"participant {participant!r} stands twice")
        groups[participant] = row["group-id"] or None
        for name in asked:
            if row[name] not in VOTES:
                problems.add(where, f"the vote on statement {name} must be 1, -1, 0 or empty, not {row[name]!r}")
        votes.append(tuple(VOTES.get(row[name]) for name in asked))
    unknown = [name for name in asked if name not in texts]
    return asked, groups, votes, [f"{len(unknown)} statement(s) have no text"] if unknown else []


def _from_votes(path: Path, texts: Mapping[str, PolisStatement], problems: Problems) -> _Votes:
    """Read a table with one row a vote, of which the last of a participant on a statement counts."""
    table = _rows(path, VOTE_COLUMNS, problems)
    cast: dict[tuple[str, str], tuple[float, int]] = {}
    n_replaced = 0
    for where, row in table.rows:
        vote = VOTES.get(row["vote"])
        time = number_in(row.get("timestamp", "")) or 0.0
        if vote is None or not isinstance(time, float):
            problems.add(where, f"'vote' must be 1, -1 or 0 and 'timestamp' a number, not {row['vote']!r} and {time!r}")
            continue
        key = (row["voter-id"], row["comment-id"])
        n_replaced += key in cast
        if key not in cast or time >= cast[key][0]:
            cast[key] = (time, vote)
    groups: dict[str, str | None] = dict.fromkeys(voter for voter, _ in cast)
    voted = {statement for _, statement in cast}
    asked = [name for name in texts if name in voted]
    unknown = sorted(voted - texts.keys())
    asked += unknown
    votes = [tuple(cast[voter, name][1] if (voter, name) in cast else None for name in asked) for voter in groups]
    notes = [f"left out: {n_replaced} vote(s) that the same participant changed later"] if n_replaced else []
    notes += [f"{len(unknown)} statement(s) have no text"] if unknown else []
    return asked, groups, votes, [*notes, "no opinion groups in votes.csv"]


def _check_direction(
    asked: Sequence[str],
    votes: Sequence[tuple[int | None, ...]],
    counts: Mapping[str, tuple[int, int]],
    problems: Problems,
) -> None:
    """Raise an error if the counts of ``comments.csv`` say that -1 agrees: raw tables of Polis have this sign."""
    as_read = reversed_ = 0
    for place, name in enumerate(asked):
        if name in counts:
            cast = [row[place] for row in votes]
            agrees, disagrees = cast.count(1), cast.count(-1)
            as_read += abs(agrees - counts[name][0]) + abs(disagrees - counts[name][1])
            reversed_ += abs(agrees - counts[name][1]) + abs(disagrees - counts[name][0])
    # A few votes are cast or changed between two exports.
    if 4 * reversed_ < as_read:
        problems.add(
            "", "-1 agrees and 1 disagrees, by the counts 'agrees' and 'disagrees' of comments.csv; turn the sign"
        )
        problems.raise_if_any()


def polis_window(
    conversation: PolisConversation,
    /,
    *,
    query: str | None = None,
    at_least: float = 0.6,
    least_votes: int = 5,
    most_answers: int | None = None,
    rejected: str = "leave_out",
) -> ReadWindow:
    """Return the window of a conversation: every statement that a clear majority of some opinion group agrees with.

    A statement that no group agrees with is not reasonable by these votes, but neither is it known to be unreasonable:
    the window has no unreasonable answers.

    Parameters
    ----------
    conversation : PolisConversation
        Statements and votes.
    query : str, optional
        The query that a model is asked; by default made from the topic.
    at_least : float, default 0.6
        The share of agreement, among the votes of a group, from which on the group holds a statement.
    least_votes : int, default 5
        A group with fewer votes on a statement says nothing about it.
    most_answers : int, optional
        Maximum number of statements: of each group in turn the one with the most agreement.
    rejected : {"leave_out", "keep"}
        Whether statements that moderators rejected are left out, as in panels.

    Returns
    -------
    ReadWindow
        One answer a statement: its stance is the group with the most agreement, or ``"all groups"`` where each group
        holds it; its support is the share of agreement among all votes, also for each group.

    Raises
    ------
    DatasetError
        If no group holds any statement.
    InvalidParameterError
        If ``at_least`` is not in [0, 1], or a count is less than 1.
    """
    function = "polis_window"
    limit = unit_interval(at_least, name="at_least", function=function, open_interval=False)
    least = whole_number(least_votes, name="least_votes", function=function)
    if most_answers is not None:
        most_answers = whole_number(most_answers, name="most_answers", function=function)
    if query is not None and not query.strip():
        raise invalid_parameter("query", function, "a text that is not empty", repr(query))
    conversation = moderated(conversation, rejected, function=function)
    names = conversation.group_names
    held: list[tuple[str, float, ReadAnswer]] = []
    seen: set[str] = set()
    for place, statement in enumerate(conversation.statements):
        key = normalised(statement.text)
        if not statement.text or key in seen:
            continue
        cast = [(group, row[place]) for group, row in zip(conversation.groups, conversation.votes, strict=True)]
        shares = {}
        for name in names:
            theirs = [vote for group, vote in cast if group == name and vote is not None]
            if len(theirs) >= least:
                shares[name] = theirs.count(1) / len(theirs)
        if not shares or max(shares.values()) < limit:
            continue
        seen.add(key)
        everybody = [vote for _, vote in cast if vote is not None]
        best = max(shares, key=lambda name: shares[name])
        shared = len(shares) == len(names) and min(shares.values()) >= limit
        answer = ReadAnswer(
            statement.text,
            f"statement {statement.statement_id}",
            (),
            "all groups" if shared else f"group {best}",
            everybody.count(1) / len(everybody),
            {f"group {name}": share for name, share in shares.items()},
            f"Polis conversation {conversation.name}, statement {statement.statement_id}, {len(everybody)} votes",
        )
        held.append((best, shares[best], answer))
    if not held:
        raise DatasetError(
            f"Polis conversation {conversation.name}: no opinion group of at least {least} votes agrees with any "
            f"statement by {limit:g} or more. Lower at_least or least_votes."
        )
    if most_answers is not None:
        held = _in_turn(held, most_answers)
    asked = query or f"What do people think about {conversation.topic}, and why?"
    return ReadWindow(conversation.name, asked, [answer for _, _, answer in held], cluster=conversation.name)


def moderated(conversation: PolisConversation, rejected: str, /, *, function: str) -> PolisConversation:
    """Return a conversation with or without the statements that moderators rejected.

    Raises
    ------
    InvalidParameterError
        If ``rejected`` is neither ``"leave_out"`` nor ``"keep"``.
    """
    if rejected not in ("leave_out", "keep"):
        raise invalid_parameter("rejected", function, "'leave_out' or 'keep'", repr(rejected))
    return conversation if rejected == "keep" else conversation.without_rejected()


def _in_turn(held: list[tuple[str, float, ReadAnswer]], most: int) -> list[tuple[str, float, ReadAnswer]]:
    """Keep statements of each group in turn, so that a large group does not crowd out a small one."""
    queues: dict[str, list[tuple[str, float, ReadAnswer]]] = {}
    for one in sorted(held, key=lambda one: -one[1]):
        queues.setdefault(one[0], []).append(one)
    kept: list[tuple[str, float, ReadAnswer]] = []
    while len(kept) < most and any(queues.values()):
        for name in sorted(queues):
            if queues[name] and len(kept) < most:
                kept.append(queues[name].pop(0))
    return kept


def _file_in(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise DatasetError(
            f"{folder}: is no Polis conversation: there is no {name} in it. Name the folder that Polis exported, or a "
            "window file."
        )
    return folder / name


def _topic(path: Path) -> str:
    if not path.is_file():
        return ""
    # The rows of this file have no header, and as many cells as they like.
    rows = csv.reader(io.StringIO(read_text(path, what="file", holds="row")))
    return next((row[1].strip() for row in rows if len(row) > 1 and row[0].strip() == "topic"), "")


def _rows(path: Path, columns: tuple[str, ...], problems: Problems) -> Table:
    table = read_table(read_text(path, what="Polis file", holds="row"), problems)
    for column in columns:
        if column not in table.columns:
            problems.add("line 1", f"lacks the column {column!r}")
    problems.raise_if_any()
    return table
