"""Upkeep of the store: list its models, check its rows, bound its size, remove rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pluralism.models.answers.file import AnswerFile
from pytest_pluralism.models.answers.kinds import KINDS, decode
from pytest_pluralism.models.answers.layout import COLUMNS, ROW_OVERHEAD, TABLES, is_of_earlier_version, is_whole

__all__ = ["StoreCheck", "StoredModel"]

#: Pages of a B-tree with random keys are about two thirds full, so this share of the bound may be content.
FULL = 0.6
EVICT_TO = 0.5


@dataclass(frozen=True, slots=True)
class StoredModel:
    """The contents of a store for one model: counts by kind, bytes, times of the first entry and the last use.

    ``answers`` are those to closed questions; ``full_answers`` are prompts whose whole answers were scored;
    ``entailments`` and ``similarities`` are pairs of texts, and ``rewards`` are of one response for one attribute.
    ``readings`` are not results: they say which tokens the model reads for a prompt.
    """

    name: str
    sha256: str
    dtype: str
    device: str
    answers: int
    bytes: int
    created: float
    used: float
    responses: int = 0
    full_answers: int = 0
    entailments: int = 0
    rewards: int = 0
    readings: int = 0
    similarities: int = 0


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """The result of a check of every row: counts by kind, and how many rows of all kinds together are of no use.

    ``damaged`` rows do not fit their checksums; ``unreadable`` ones are whole but of another version of the package.
    Neither is ever used.
    """

    answers: int
    damaged: int
    unreadable: int
    problems: tuple[str, ...] = ()
    responses: int = 0
    full_answers: int = 0
    entailments: int = 0
    rewards: int = 0
    readings: int = 0
    similarities: int = 0


def stored_models(file: AnswerFile) -> list[StoredModel]:
    """Return what a store holds, one entry a model, dtype and device, by name."""

    def count(connection: sqlite3.Connection) -> list[StoredModel]:
        every = " UNION ALL ".join(
            f"SELECT model, model_sha256, dtype, device, bytes, created, used, '{table}' AS kind FROM {table}"  # noqa: S608 - constant names
            for table in file.tables
        )
        kinds = ", ".join(f"total(kind = '{table}')" for table in TABLES)
        rows = connection.execute(
            f"SELECT model, model_sha256, dtype, device, total(bytes), min(created), max(used), {kinds} "  # noqa: S608 - constant names
            f"FROM ({every}) GROUP BY model, model_sha256, dtype, device ORDER BY model, model_sha256, dtype, device"
        )
        return [
            StoredModel(
                name=str(name),
                sha256=str(sha256),
                dtype=str(dtype),
                device=str(device),
                bytes=int(size),
                created=_seconds(created),
                used=_seconds(used),
                **{kind: int(count) for kind, count in zip(TABLES, counts, strict=True)},
            )
            for name, sha256, dtype, device, size, created, used, *counts in rows
        ]

    return file.do(count)


def check_rows(file: AnswerFile, model_sha256s: Sequence[str] | None) -> StoreCheck:
    """Check the file, and every row against its checksum; only the rows of some models when they are given."""

    def check(connection: sqlite3.Connection) -> StoreCheck:
        counts = dict.fromkeys((*TABLES, "damaged", "unreadable"), 0)
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        for kind in KINDS:
            if kind.table not in file.tables:
                continue
            for row in connection.execute(f"SELECT {COLUMNS} FROM {kind.table}"):  # noqa: S608 - constant names
                if model_sha256s is not None and row[1] not in model_sha256s:
                    continue
                counts[kind.table] += 1
                if is_of_earlier_version(row) or (is_whole(row) and decode(kind, row[5], None) is None):
                    counts["unreadable"] += 1
                elif not is_whole(row):
                    counts["damaged"] += 1
        return StoreCheck(**counts, problems=tuple(problems))

    return file.do(check)


def remove_rows(file: AnswerFile, *, model_sha256s: Sequence[str] | None, unused_since: float | None) -> int:
    """Remove the rows that both conditions hold for, none where neither is given; return how many there were."""
    conditions: list[str] = []
    parameters: list[str | float] = []
    if model_sha256s is not None:
        conditions.append(f"model_sha256 IN ({','.join('?' * len(model_sha256s))})")
        parameters += model_sha256s
    if unused_since is not None:
        conditions.append("used < ?")
        parameters.append(unused_since)
    if not conditions:
        return 0
    where = " AND ".join(conditions)

    def remove(connection: sqlite3.Connection) -> int:
        return sum(
            connection.execute(f"DELETE FROM {table} WHERE {where}", parameters).rowcount  # noqa: S608 - constant words
            for table in file.tables
        )

    return file.write(remove)


def shrink(file: AnswerFile, most_bytes: int) -> int:
    """Remove the rows that were used longest ago until the file has at most ``most_bytes``; return how many."""
    removed = 0
    # Measured after compacting, not estimated; one round is enough unless answers differ much in length.
    while (size := _pages(file)) > most_bytes:
        gone = _evict_to(file, _content_bytes(file) * most_bytes / size * 0.98)
        if not gone:
            break
        removed += gone
        compact(file)
    return removed


def evict(file: AnswerFile, most_bytes: int) -> None:
    """Remove the rows that were used longest ago when the file has become larger than ``most_bytes``."""
    if _pages(file) > most_bytes and _content_bytes(file) > FULL * most_bytes:
        _evict_to(file, EVICT_TO * most_bytes)


def compact(file: AnswerFile) -> None:
    """Give the space of removed rows back to the disk."""

    def vacuum(connection: sqlite3.Connection) -> None:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    file.do(vacuum)


def _evict_to(file: AnswerFile, content: float) -> int:
    """Remove the rows that were used longest ago until the others have at most ``content`` bytes."""

    def evict(connection: sqlite3.Connection) -> int:
        left = _total(file, connection)
        gone: dict[str, list[tuple[object]]] = {table: [] for table in file.tables}
        every = " UNION ALL ".join(f"SELECT '{table}', key, bytes, used FROM {table}" for table in gone)  # noqa: S608 - constant names
        for table, key, size, _used in connection.execute(f"{every} ORDER BY used, bytes, key"):
            if left <= content:
                break
            gone[table].append((key,))
            left -= size if isinstance(size, int) else ROW_OVERHEAD
        for table, keys in gone.items():
            connection.executemany(f"DELETE FROM {table} WHERE key = ?", keys)  # noqa: S608 - constant names
        return sum(map(len, gone.values()))

    return file.write(evict)


def _content_bytes(file: AnswerFile) -> float:
    """Return the bytes of all rows, without the empty parts of pages."""
    # A scan of the narrow index: 20 ms for 100,000 answers, and only asked for when the file is large.
    return file.do(lambda connection: _total(file, connection))


def _total(file: AnswerFile, connection: sqlite3.Connection) -> float:
    return sum(
        float(connection.execute(f"SELECT total(bytes) FROM {table}").fetchone()[0])  # noqa: S608 - constant names
        for table in file.tables
    )


def _pages(file: AnswerFile) -> int:
    """Return the bytes of all pages that are not free."""

    def count(connection: sqlite3.Connection) -> int:
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    return file.do(count)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
