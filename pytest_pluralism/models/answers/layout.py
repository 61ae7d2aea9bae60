"""The tables and rows of the store."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from pytest_pluralism.models.answers.kinds import KINDS, MOST_ROW_BYTES, canonical, device_type
from pytest_pluralism.models.protocol import ModelIdentity

#: "PLUR": how a file says that it is ours (``PRAGMA application_id``).
APPLICATION_ID = 0x504C5552

#: The layout of the tables (``PRAGMA user_version``): the version in which the last kind came. Files of earlier
#: versions are read, and become this version where they lie when they are opened for writing.
VERSION = max(kind.since for kind in KINDS)

#: The beginning of what a checksum covers, by which rows of this version differ from those of earlier ones.
FORMAT = "2\n"

#: Bytes that a row takes beside its texts: keys, checksum, numbers, and its entry in the index.
ROW_OVERHEAD = 120

#: All tables have the same columns, so that all rows are checked, counted and removed alike; ``answer`` holds the
#: content, whatever it is.
TABLES = tuple(kind.table for kind in KINDS)

#: The tables of each version that ever was.
TABLES_OF = {version: tuple(kind.table for kind in KINDS if kind.since <= version) for version in range(1, VERSION + 1)}

COLUMNS = "key, model_sha256, model, dtype, device, answer, checksum, bytes, created, used"

#: The texts of a row are remembered as JSON up to this number of characters.
MOST_KEPT = 4096

#: Selects every table and index that a file has.
SCHEMA_QUERY = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"

#: One row, as SQLite takes and gives it.
Row = tuple[Any, ...]


def statements(table: str) -> tuple[str, str]:
    """Return the statements that create a table of answers and its index."""
    return (
        f"""CREATE TABLE {table} (
    key BLOB NOT NULL PRIMARY KEY,
    model_sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    dtype TEXT NOT NULL,
    device TEXT NOT NULL,
    answer BLOB NOT NULL,
    checksum BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID""",
        f"CREATE INDEX {table}_by_use ON {table} (used, bytes)",
    )


def row_of(identity: ModelIdentity, key: bytes, encoded: bytes, now: float) -> Row:
    """Return the row that holds a result, with its checksum."""
    texts = tuple(
        text.encode("utf-8", "backslashreplace").decode("utf-8")
        for text in (identity.sha256, identity.name, identity.dtype, device_type(identity))
    )
    size = ROW_OVERHEAD + len(encoded) + sum(map(len, texts))
    return (key, *texts, encoded, checksum_of(key, texts, encoded), size, now, now)


def is_whole(row: Row) -> bool:
    """Return whether a row has the types that were written and its checksum agrees."""
    return _has_types(row) and bool(checksum_of(row[0], row[1:5], row[5]) == row[6])


def is_of_earlier_version(row: Row) -> bool:
    """Return whether a row is whole, but was kept before keys held what a model read: no key finds it any more."""
    return _has_types(row) and bool(checksum_of(row[0], row[1:5], row[5], format_name="") == row[6])


#: The types of the columns up to the answer.
_TYPES = [bytes, str, str, str, str, bytes]


def _has_types(row: Row) -> bool:
    return list(map(type, row[:6])) == _TYPES


def checksum_of(key: bytes, texts: Sequence[str], encoded: bytes, *, format_name: str = FORMAT) -> bytes:
    """Return the checksum of a row."""
    # The key is part of it: a whole row under the key of another prompt is as wrong as a torn one.
    head = f'{format_name}["{key.hex()}",'.encode("ascii")
    rest = _written(tuple(texts)) if sum(map(len, texts)) < MOST_KEPT else canonical(texts)[1:]
    return hashlib.sha256(b"".join((head, rest, b"\n", encoded))).digest()


@functools.lru_cache(maxsize=64)
def _written(texts: tuple[str, ...]) -> bytes:
    """Return the rest of the JSON list that begins with a key; all rows of a model have the same texts."""
    return canonical(texts)[1:]


def rows_of(connection: sqlite3.Connection, *, table: str, keys: Sequence[bytes]) -> list[Row]:
    """Return the rows of a table that have one of the keys; an answer that is too long comes back as NULL."""
    columns = COLUMNS.replace("answer,", f"CASE WHEN length(answer) <= {MOST_ROW_BYTES} THEN answer END,")
    marks = ",".join("?" * len(keys))
    return connection.execute(f"SELECT {columns} FROM {table} WHERE key IN ({marks})", keys).fetchall()  # noqa: S608 - constant words


def expected_schema(version: int) -> list[Row]:
    """Return the tables and indexes that a store of this version has."""
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        for table in TABLES_OF[version]:
            for statement in statements(table):
                empty.execute(statement)
        return empty.execute(SCHEMA_QUERY).fetchall()
