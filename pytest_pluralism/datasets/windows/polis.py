"""Polis conversations: statements that participants wrote, and how the opinion groups voted on them.

A conversation is a folder with ``comments.csv`` (one row a statement) and ``participants-votes.csv`` (one row a
participant: opinion group, and a vote of 1, -1 or 0 on each statement that was seen), as Polis exports them.
``summary.csv``, if it is there, gives the topic.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.parameters import unit_interval, whole_number
from pytest_pluralism.datasets.reading import Problems, Table, read_table, read_text
from pytest_pluralism.datasets.windows.assembly import ReadAnswer, ReadWindow, normalised

__all__ = ["PolisConversation", "PolisStatement", "polis_window", "read_polis_conversation"]

COMMENT_COLUMNS = ("comment-id", "moderated", "comment-body")
VOTE_COLUMNS = ("participant", "group-id")

#: A statement that a moderator threw out.
REJECTED = "-1"

VOTES = {"1": 1, "-1": -1, "0": 0, "": None}


@dataclass(frozen=True, slots=True)
class PolisStatement:
    """One statement: its id, its text, and whether a moderator accepted, rejected or never saw it."""

    statement_id: str
    text: str
    moderated: str


@dataclass(frozen=True)
class PolisConversation:
    """A conversation: statements, participants with their opinion groups, and votes.

    ``votes[i][j]`` is what participant ``i`` said to statement ``j``: 1 agrees, -1 disagrees, 0 passes, ``None`` did
    not vote. The group of a participant who voted too little is ``None``.
    """

    name: str
    topic: str
    statements: tuple[PolisStatement, ...]
    participants: tuple[str, ...]
    groups: tuple[str | None, ...]
    votes: tuple[tuple[int | None, ...], ...]

    @property
    def group_names(self) -> tuple[str, ...]:
        """The opinion groups, sorted."""
        return tuple(sorted({group for group in self.groups if group is not None}))


def read_polis_conversation(folder: Path, /) -> PolisConversation:
    """Read the folder of one conversation.

    Parameters
    ----------
    folder : Path
        With ``comments.csv`` and ``participants-votes.csv``.

    Returns
    -------
    PolisConversation
        Statements in the order of the votes table; a statement that nobody could vote on is left out.

    Raises
    ------
    DatasetError
        If a file or column is missing, an id stands twice, or a vote is not 1, -1, 0 or empty.
    """
    comments = _file_in(folder, "comments.csv")
    problems = Problems(str(comments))
    texts: dict[str, PolisStatement] = {}
    for where, row in _rows(comments, COMMENT_COLUMNS, problems).rows:
        identifier = row["comment-id"]
        if identifier in texts:
            problems.add(where, f"the comment-id {identifier!r} stands twice")
        texts[identifier] = PolisStatement(identifier, row["comment-body"], row["moderated"])
    problems.raise_if_any()
    path = _file_in(folder, "participants-votes.csv")
    problems = Problems(str(path))
    table = _rows(path, VOTE_COLUMNS, problems)
    statements = [texts[column] for column in table.columns if column in texts]
    if not statements:
        problems.add("line 1", f"no column is the comment-id of a statement of {comments}")
        problems.raise_if_any()
    participants: dict[str, str | None] = {}
    votes: list[tuple[int | None, ...]] = []
    for where, row in table.rows:
        participant = row["participant"]
        if participant in participants:
            problems.add(where, f"participant {participant!r} stands twice")
        participants[participant] = row["group-id"] or None
        for statement in statements:
            if row[statement.statement_id] not in VOTES:
                which = f"the vote on statement {statement.statement_id}"
                problems.add(where, f"{which} must be 1, -1, 0 or empty, not {row[statement.statement_id]!r}")
        votes.append(tuple(VOTES.get(row[statement.statement_id]) for statement in statements))
    problems.raise_if_any()
    if not participants:
        raise DatasetError(f"{path}: nobody voted.")
    name = folder.resolve().name
    return PolisConversation(
        name=name,
        topic=_topic(folder / "summary.csv") or name.replace("-", " ").replace(".", " "),
        statements=tuple(statements),
        participants=tuple(participants),
        groups=tuple(participants.values()),
        votes=tuple(votes),
    )


def polis_window(
    conversation: PolisConversation,
    /,
    *,
    query: str | None = None,
    at_least: float = 0.6,
    least_votes: int = 5,
    most_answers: int | None = None,
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
        Keep so many statements: of each group in turn the one with the most agreement.

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
    names = conversation.group_names
    held: list[tuple[str, float, ReadAnswer]] = []
    seen: set[str] = set()
    for place, statement in enumerate(conversation.statements):
        key = normalised(statement.text)
        if statement.moderated == REJECTED or not statement.text or key in seen:
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
