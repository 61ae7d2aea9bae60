"""The files of the store: find them, check that they may be opened, make them, set them aside."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.files import cache_folder
from pytest_pluralism.models.answers.layout import APPLICATION_ID, TABLES, TABLES_OF, VERSION, statements

__all__ = ["CHOOSE", "FILE_NAME", "AnswerStoreError", "DamagedError", "default_answers_folder"]

FILE_NAME = "answers.sqlite3"

#: The end of every remedy.
CHOOSE = "choose another folder: --pluralism-answers=DIR, or none: --pluralism-answers=off"


class AnswerStoreError(PluralismError):
    """The answer store cannot be used, or did not keep answers; nothing that a model answered is lost by that."""


class DamagedError(Exception):
    """The file is not an answer store, or no longer a whole one."""


def default_answers_folder() -> Path:
    """Return where answers lie: ``answers`` in ``PLURALISM_CACHE``, or in the user's cache."""
    return cache_folder() / "answers"


def store_files(folder: Path) -> tuple[Path, ...]:
    """Return the file of a store and those that SQLite keeps beside it."""
    return tuple(folder / (FILE_NAME + ending) for ending in ("", "-wal", "-shm", "-journal"))


def lock_file(folder: Path) -> Path:
    """Return the file by which one process at a time makes, checks or sets aside a store."""
    return folder / f"{FILE_NAME}.lock"


def file_number(path: Path) -> tuple[int, int]:
    """Return the device and inode of a file, by which a replaced file is noticed; (-1, -1) where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)


def refuse_links(folder: Path) -> None:
    """Raise an error where one of the files is a symbolic link."""
    for path in (*store_files(folder), lock_file(folder)):
        # Writing through a link could change any file of the user, when the folder came from elsewhere.
        if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where the folder cannot be read
            raise AnswerStoreError(f"{path} is a symbolic link, which is not followed. Remove it, or {CHOOSE}.")


def has_file(path: Path) -> bool:
    """Return whether there is a file that is not empty; raise an error where something else stands in its place."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(found.st_mode):
        raise AnswerStoreError(f"{path} is not a file. Remove it, or {CHOOSE}.")
    return found.st_size > 0


def check_header(path: Path) -> None:
    """Read what the file says that it is, before SQLite may touch it.

    Raises
    ------
    DamagedError
        It is not an answer store.
    AnswerStoreError
        It is one of a newer version.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise DamagedError("it is not an SQLite database")
    application, version = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
    check_version(path, application, version)


def check_version(path: Path, application: int, version: int) -> None:
    """Check the numbers by which a file says that it is a store, and of which version; errors as `check_header`."""
    if application != APPLICATION_ID:
        raise DamagedError("it is the database of another program")
    if version > VERSION:
        raise AnswerStoreError(
            f"answer store {path} has the newer version {version}; this pytest-pluralism reads version {VERSION}. "
            "Nothing was changed. Install the version of pytest-pluralism that made it, or a later one, or "
            f"{CHOOSE}."
        )
    if version not in TABLES_OF:
        raise DamagedError(f"its version is {version}, which never existed")


def create_store(folder: Path) -> None:
    """Make an empty store: whole beside its place, then moved there, so that nobody ever sees half of one."""
    for old in folder.glob(f"{FILE_NAME}.new*"):
        old.unlink()
    new = folder / f"{FILE_NAME}.new-{os.getpid()}"
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        with transaction(connection):
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            add_tables(connection, TABLES)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    except sqlite3.Error:
        connection.close()
        new.unlink(missing_ok=True)
        raise
    path, *beside = store_files(folder)
    for left in beside:
        # The remains of an earlier file would be read as changes to the new one.
        left.unlink(missing_ok=True)
    new.replace(path)


def add_tables(connection: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    """Add tables to a store, which thereby becomes one of this version; called within a transaction."""
    for table in tables:
        for statement in statements(table):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


def set_aside(folder: Path, why: str) -> str:
    """Rename the files of a damaged store, and return the sentence that says so."""
    path, *beside = store_files(folder)
    number = 1
    while (aside := folder / f"{FILE_NAME}.damaged-{number}").exists() or aside.is_symlink():
        number += 1
    try:
        path.rename(aside)
        for left in beside:
            if left.exists():
                left.rename(aside.with_name(aside.name + left.name.removeprefix(FILE_NAME)))
    except OSError as error:
        raise AnswerStoreError(
            f"answer store {path}: {why}, and it could not be set aside ({error.strerror}). Delete it, or {CHOOSE}."
        ) from None
    return (
        f"answer store {path}: {why}. It was set aside as {aside.name}, and a new one was begun; delete {aside.name} "
        "when nobody needs it."
    )


def error_code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite behind an error."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Keep all changes of a block, or none where it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            # After some errors SQLite has rolled back already.
            connection.execute("ROLLBACK")
        raise
