"""The SQLite file of the store: opened, brought to this version, waited for, and set aside when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pytest_pluralism.models.answers import disk
from pytest_pluralism.models.answers.disk import CHOOSE, AnswerStoreError, DamagedError, error_code, transaction
from pytest_pluralism.models.answers.layout import (
    COLUMNS,
    SCHEMA_QUERY,
    TABLES,
    TABLES_OF,
    Row,
    expected_schema,
    is_of_earlier_version,
)

__all__ = ["AnswerFile"]

#: The patience, in seconds, after waiting was once in vain.
IMPATIENCE = 0.1

#: A large file is checked for at most this many seconds when it is opened; the checksums of the rows do the rest.
CHECK_SECONDS = 0.5

#: Number of steps of SQLite's machine between two looks at the clock.
CHECK_STEPS = 10_000

#: Set at every connection: nothing in the file is executed, damage is noticed, and little is flushed.
PRAGMAS = (
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    "synchronous=NORMAL",
    "journal_size_limit=4194304",
)

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NOT_WRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}

_Result = TypeVar("_Result")


class AnswerFile:
    """One file that several processes share; its user lets one thread in at a time.

    Parameters
    ----------
    folder : Path
        The folder of the file; made when it is missing.
    patience : float
        How long to wait for a file that another process has locked, in seconds.
    read_only : bool
        Look at the file as it is: nothing is made, repaired, set aside or written.

    Attributes
    ----------
    tables : tuple of str
        The tables that the file has; one of an older version that is only read lacks some.
    writable : bool
        Whether the file can be written; a file that turns out not to be is only read from then on.
    notes : list of str
        The note of the run about the file.
    lockouts : int
        How often waiting for another process was in vain.

    Raises
    ------
    AnswerStoreError
        The file cannot be opened.
    """

    def __init__(self, folder: Path, *, patience: float, read_only: bool) -> None:
        self.folder = folder
        self.path = disk.store_files(folder)[0]
        self.tables = TABLES
        self.writable = not read_only
        self.notes: list[str] = []
        self.lockouts = 0
        self.closed = False
        self._full_patience = self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._number = (0, 0)
        self._open()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self.closed = True
        self._disconnect()

    def write(self, action: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run an action in a transaction of its own; errors as :meth:`do`."""

        def run(connection: sqlite3.Connection) -> _Result:
            with transaction(connection):
                return action(connection)

        return self.do(run)

    def try_to_write(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Run an action in a transaction once, without waiting; where it fails, nothing is changed."""
        if self.writable and self._connection is not None:
            with contextlib.suppress(sqlite3.Error), transaction(self._connection) as connection:
                action(connection)

    def do(self, action: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run an action with patience; where the file proves damaged, run it on a new one.

        Raises
        ------
        AnswerStoreError
            The file is closed, locked, cannot be read or (at the first time) cannot be written.
        """
        if self._connection is not None and disk.file_number(self.path) != self._number:
            # Another process set it aside, or it was deleted.
            self._disconnect()
        deadline = time.monotonic() + self._patience
        restarted = False
        while True:
            if self._connection is None:
                self._open()
            connection = self._connection
            assert connection is not None  # noqa: S101 - _open raises where there is none
            try:
                result = action(connection)
            except sqlite3.Error as error:
                code = error_code(error)
                if code in _LOCKED and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                if code in _LOCKED:
                    raise self._locked() from None
                if code not in _DAMAGE or restarted:
                    raise self._failed(error) from None
                self._start_afresh(str(error))
                restarted = True
                continue
            self._patience = self._full_patience
            return result

    # ---------------------------------------------------------------------------------------------------- failing

    def _locked(self) -> AnswerStoreError:
        waited = self._patience
        # A second long wait would be as vain as the first: until the lock is gone, the run goes on.
        self._patience = min(self._patience, IMPATIENCE)
        self.lockouts += 1
        return AnswerStoreError(
            f"answer store {self.path} was locked by another process for more than {waited:g} s, so it was not used, "
            f"and nothing was kept this time. Wait for the other process, or {CHOOSE}."
        )

    def _failed(self, error: sqlite3.Error) -> AnswerStoreError:
        code = error_code(error)
        if code == sqlite3.SQLITE_FULL:
            why, remedy = "the disk is full", "Free some space (pluralism answers prune --most-bytes N), or"
        elif code in _NOT_WRITABLE:
            why, remedy = "it cannot be written", f"Make {self.folder} writable, or"
        else:
            # On a disk that is full SQLite reports some writes as a plain input or output error.
            why, remedy = str(error), "Check the disk, or"
        self._only_look_up(why)
        return AnswerStoreError(f"answer store {self.path}: {why}, so answers are not kept. {remedy} {CHOOSE}.")

    def _only_look_up(self, why: str) -> None:
        if self.writable:
            self.writable = False
            self.notes.append(f"answer store {self.path}: {why}; stored answers are used, new ones are not kept.")

    def _start_afresh(self, why: str) -> None:
        """Set the file aside and begin a new one, after damage was met in the middle of a run."""
        ours = self._number
        self._disconnect()
        if not self.writable:
            raise AnswerStoreError(f"answer store {self.path}: {why}. Delete it, or {CHOOSE}.")
        try:
            with self._file_lock():
                # Another process may have met the damage first; its new file is not to be set aside.
                if disk.file_number(self.path) == ours:
                    self.notes.append(disk.set_aside(self.folder, why))
                self._open_for_writing()
        except OSError as error:
            raise AnswerStoreError(f"answer store {self.path}: {why} ({error.strerror}). C{CHOOSE[1:]}.") from None

    # ---------------------------------------------------------------------------------------------------- opening

    def _open(self) -> None:
        if self.closed:
            raise AnswerStoreError(f"answer store {self.path} is closed.")
        if not self.writable:
            self._open_for_reading()
            return
        try:
            disk.refuse_links(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._file_lock():
                self._open_for_writing()
        except OSError as error:
            why = error.strerror or str(error)
            if not os.path.isfile(self.path):  # noqa: PTH113 - Path.is_file raises where the folder cannot be read
                raise AnswerStoreError(
                    f"answer store {self.path} cannot be made: {why}. Make the folder writable, or {CHOOSE}."
                ) from None
            self._only_look_up(why)
            self._open_for_reading()

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Let one process at a time make, check or set aside the file."""
        import filelock

        lock = filelock.FileLock(disk.lock_file(self.folder), timeout=self._patience)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise self._locked() from None
        try:
            yield
        finally:
            lock.release()

    def _open_for_writing(self) -> None:
        try:
            if not disk.has_file(self.path):
                disk.create_store(self.folder)
            disk.check_header(self.path)
            self._inspect(self._connect("mode=rw"))
            self._migrate()
        except DamagedError as error:
            self._disconnect()
            self.notes.append(disk.set_aside(self.folder, str(error)))
            disk.create_store(self.folder)
            self._connect("mode=rw")
            self.tables = TABLES
        except sqlite3.Error as error:
            self._disconnect()
            if error_code(error) in _LOCKED:
                raise self._locked() from None
            failed = self._failed(error)
            if not self.path.is_file():
                raise failed from None
            self._open_for_reading()

    def _open_for_reading(self) -> None:
        disk.refuse_links(self.folder)
        # In a folder that cannot be written, or on a full disk, SQLite may not be able to make the files with which it
        # reads beside writers; without them it reads what was last brought together in the file itself.
        ways = ("mode=ro", "mode=ro&immutable=1")
        try:
            if not disk.has_file(self.path):
                raise AnswerStoreError(f"there is no answer store in {self.folder}.")
            disk.check_header(self.path)
            for way in ways:
                try:
                    self._inspect(self._connect(way))
                    return
                except sqlite3.OperationalError as error:
                    self._disconnect()
                    if way == ways[-1] or error_code(error) in _LOCKED:
                        raise
        except DamagedError as error:
            raise AnswerStoreError(f"answer store {self.path}: {error}. Delete it, or {CHOOSE}.") from None
        except sqlite3.Error as error:
            if error_code(error) in _LOCKED:
                raise self._locked() from None
            raise AnswerStoreError(f"answer store {self.path} cannot be read: {error}. C{CHOOSE[1:]}.") from None
        except OSError as error:
            raise AnswerStoreError(
                f"answer store {self.path} cannot be read: {error.strerror}. C{CHOOSE[1:]}."
            ) from None

    def _connect(self, mode: str) -> sqlite3.Connection:
        self._disconnect()
        # isolation_level=None: transactions begin and end where this package says. SQLite itself waits only a little,
        # so that an interrupt is heard while this module waits.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=0.1,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection = connection
        # Bytes that are not text belong to a damaged row, which its checksum tells; they must not stop a listing.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        for pragma in PRAGMAS:
            self._patiently(connection, f"PRAGMA {pragma}")
        found = self.path.stat()
        self._number = (found.st_dev, found.st_ino)
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _inspect(self, connection: sqlite3.Connection) -> None:
        """Check that the database is ours in every detail, and as far as the time allows that it is whole.

        Raises
        ------
        DamagedError
            It is not.
        """
        application, version = (
            self._patiently(connection, f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version")
        )
        disk.check_version(self.path, application, version)
        # Nothing but our own tables: a trigger in a file from elsewhere would run at the first insertion.
        if self._patiently(connection, SCHEMA_QUERY) != expected_schema(version):
            raise DamagedError("its tables are not those of an answer store")
        self.tables = TABLES_OF[version]
        deadline = time.monotonic() + CHECK_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_STEPS)
        try:
            found = self._patiently(connection, "PRAGMA integrity_check(1)")[0][0]
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            connection.set_progress_handler(None, 0)
        if found != "ok":
            raise DamagedError(str(found).splitlines()[-1])

    def _migrate(self) -> None:
        """Give a store of an older version the tables that came since; its answers stay as they are.

        It is one transaction, so a process that is killed in it leaves the older version; and since nothing is changed
        that is there, processes of an older version that have the file open go on.
        """
        connection = self._connection
        assert connection is not None  # noqa: S101 - called right after connecting
        missing = tuple(table for table in TABLES if table not in self.tables)
        if not missing:
            return
        old = sum(self._patiently(connection, f"SELECT count(*) FROM {table}")[0][0] for table in self.tables)  # noqa: S608 - constant names
        sample = [
            row
            for table in self.tables
            for row in self._patiently(connection, f"SELECT {COLUMNS} FROM {table} LIMIT 1")  # noqa: S608 - constant names
        ]

        def add() -> None:
            with transaction(connection):
                disk.add_tables(connection, missing)

        self._with_patience(add)
        self.tables = TABLES
        if any(map(is_of_earlier_version, sample)):
            self.notes.append(
                f"answer store {self.path}: {old} answers of an earlier version are kept and not used, because answers "
                "now belong to the tokens that a model read; they are asked again. Remove the old ones with: pluralism "
                "answers prune --older-than=1"
            )

    def _patiently(self, connection: sqlite3.Connection, sql: str) -> list[Row]:
        """Run a statement while a file is opened, waiting for others; errors as :meth:`_with_patience`."""
        return self._with_patience(lambda: connection.execute(sql).fetchall())

    def _with_patience(self, action: Callable[[], _Result]) -> _Result:
        """Run an action while a file is opened, waiting for others.

        Raises
        ------
        DamagedError
            The file is damaged.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return action()
            except UnicodeDecodeError:
                # The schema of the file, and nothing else, is read as text here.
                raise DamagedError("its schema is not text") from None
            except sqlite3.DatabaseError as error:
                if error_code(error) in _DAMAGE:
                    raise DamagedError(str(error)) from None
                if error_code(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
