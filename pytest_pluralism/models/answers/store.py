"""The answer store: results on the disk, found again by what was asked and the model that was asked.

It keeps the answers to closed questions, the scores of whole answers, responses with their settings and seed, what
entailment models said of pairs of texts, and the rewards that value models gave: one table a kind of work.

One SQLite file in a folder, shared by every process of a run and by runs at the same time.
An error in it costs time and never an answer: the caller gets an :class:`AnswerStoreError` with a remedy
and goes on without the store.
A store may come from elsewhere, so it is read as data: every row carries a checksum, and nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.models.answers import upkeep
from pytest_pluralism.models.answers.disk import FILE_NAME, AnswerStoreError, default_answers_folder, store_files
from pytest_pluralism.models.answers.file import AnswerFile
from pytest_pluralism.models.answers.kinds import AskedT, Kind, ResultT, decode, encode, key_of
from pytest_pluralism.models.answers.layout import COLUMNS, Row, is_whole, row_of, rows_of
from pytest_pluralism.models.answers.upkeep import StoreCheck, StoredModel
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["FILE_NAME", "AnswerStore", "AnswerStoreError", "default_answers_folder"]

#: About 2.5 million answers.
MOST_BYTES = 2**30

#: A smaller bound would hold nothing but the pages that every SQLite file has.
LEAST_BYTES = 2**16

#: Seconds to wait for a store that another process has locked.
PATIENCE = 10.0

#: When an answer was last used is written at most once in this many seconds, so that a run that finds everything in the
#: store hardly writes to it.
TOUCH_AFTER = 3600.0

#: No model read anything: the results of models that have no tokenizer here.
NOTHING_READ: Mapping[Any, str] = MappingProxyType({})

#: SQLite takes at least 999 parameters in one statement.
CHUNK = 500


class AnswerStore:
    """Results by content, in one SQLite file that several processes share.

    Parameters
    ----------
    folder : Path
        The folder of the file; made when it is missing.
    most_bytes : int
        How large the file may become, in bytes, at least 65536.
        Beyond that the answers that were used longest ago are removed.
        The bound is kept to about a fifth, because pages of the file are partly empty.
    patience : float
        How long to wait for a store that another process has locked, in seconds.
    read_only : bool
        Look at a store as it is: nothing is made, repaired, set aside or written.
    clock : callable
        Returns the time in seconds since 1970.

    Attributes
    ----------
    hits, misses, damaged : int
        How many answers were found and not found, and how many rows were not used because they do not fit their
        checksums (they count as misses too).

    Raises
    ------
    AnswerStoreError
        There can be no store: the folder cannot be made or read, the file belongs to a newer version, it is a link or a
        folder, or another process has it locked.

    Notes
    -----
    A file that is damaged or not ours is set aside as ``answers.sqlite3.damaged-<n>``, with a note in :attr:`notes`.
    A store that can be read but not written (a read-only folder, a full disk) goes on as one that only looks up.
    An answer is safe against a killed process when :meth:`keep` returns; a power cut may take the last ones, and never
    damages the others.

    Examples
    --------
    >>> import tempfile
    >>> from pytest_pluralism.core.records import Answer, Prompt
    >>> from pytest_pluralism.models.answers.kinds import ANSWERS
    >>> identity = ModelIdentity(spec="./m", name="m", sha256="1c5a", dtype="float32", device="cpu")
    >>> prompt = Prompt("Is it raining? Yes or no?", labels=("Yes", "No"))
    >>> with AnswerStore(Path(tempfile.mkdtemp())) as store:
    ...     store.keep(ANSWERS, identity, [(prompt, Answer((-0.25, -1.5), 1.0, " Yes", 0.78))])
    ...     store.lookup(ANSWERS, identity, [prompt])[prompt].log_probabilities
    (-0.25, -1.5)
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = MOST_BYTES,
        patience: float = PATIENCE,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(most_bytes, bool) or not isinstance(most_bytes, int) or most_bytes < LEAST_BYTES:
            raise invalid_parameter(
                "most_bytes", "AnswerStore", f"a whole number of bytes in [{LEAST_BYTES}, inf)", repr(most_bytes)
            )
        if isinstance(patience, bool) or not isinstance(patience, (int, float)) or not 0 <= patience < math.inf:
            raise invalid_parameter("patience", "AnswerStore", "a finite number in [0, inf)", repr(patience))
        self.folder = Path(folder)
        self.most_bytes = most_bytes
        self.hits = self.misses = self.damaged = 0
        self._unstorable = 0
        self._clock = clock
        self._guard = threading.RLock()
        self._file = AnswerFile(self.folder, patience=float(patience), read_only=read_only)
        self.path = self._file.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        with self._guard:
            self._file.close()

    @property
    def writable(self) -> bool:
        """True where answers are kept; otherwise they are only looked up, and :attr:`notes` says why."""
        return self._file.writable and not self._file.closed

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences that a run should say about its store; their text may come from outside."""
        notes = list(self._file.notes)
        if self.damaged:
            notes.append(
                f"{self.damaged} stored answers in {self.path} do not fit their checksums; they were not used, and "
                "were asked again."
            )
        if self._file.lockouts:
            notes.append(
                f"answer store {self.path} was locked by another process {self._file.lockouts} times; what could not "
                "be looked up or kept then cost time and no answers."
            )
        if self._unstorable:
            notes.append(f"{self._unstorable} answers were not kept because they hold NaN or other than plain values.")
        return tuple(notes)

    # --------------------------------------------------------------------------------------------- looking up, keeping

    def lookup(
        self,
        kind: Kind[AskedT, ResultT],
        identity: ModelIdentity,
        asked: Iterable[AskedT],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> dict[AskedT, ResultT]:
        """Return the results of one kind that are there, by what was asked; what has no result is missing.

        Parameters
        ----------
        kind : Kind
            One of :data:`~pytest_pluralism.models.answers.kinds.KINDS`.
        identity : ModelIdentity
            Which model was asked.
        asked : iterable
            The requests: a ``Prompt`` each for answers, a ``FullAnswerPrompt`` for scores of whole answers, an
            ``EntailmentPair`` for entailment, a ``RewardRequest`` for rewards, a prompt with its settings and the
            number of the draw for responses.
        readings : mapping
            The text that the model reads for each request: :func:`~pytest_pluralism.models.answers.kinds.reading_of`.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        wanted: dict[bytes, list[AskedT]] = {}
        for one in dict.fromkeys(asked):
            reading = readings.get(one, "") if readings else ""
            wanted.setdefault(key_of(kind, identity, one, reading=reading), []).append(one)
        found: dict[AskedT, ResultT] = {}
        damaged = hits = 0
        stale: list[bytes] = []
        now = self._clock()
        with self._guard:
            # In the order of the table, so that each of its pages is read once.
            for row in self._rows(kind.table, sorted(wanted)):
                if not is_whole(row):
                    damaged += 1
                    continue
                key = row[0]
                same = wanted[key]
                result = decode(kind, row[5], same[0])
                if result is not None:
                    hits += 1
                    for one in same:
                        found[one] = result
                    if not isinstance(row[9], float) or row[9] < now - TOUCH_AFTER:
                        stale.append(key)
            self._touch(kind.table, stale, now)
            self.damaged += damaged
            self.hits += hits
            self.misses += len(wanted) - hits
        return found

    def keep(
        self,
        kind: Kind[AskedT, ResultT],
        identity: ModelIdentity,
        pairs: Iterable[tuple[AskedT, ResultT]],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> None:
        """Keep results of one kind: all of this call or, when it is cut short, none.

        A result that cannot be stored exactly (a NaN, a field that is not plain data, not one log-probability a label)
        is left out with a note.
        On a store that only looks up, nothing happens.

        Parameters
        ----------
        kind : Kind
            As for :meth:`lookup`.
        identity : ModelIdentity
            Which model was asked.
        pairs : iterable of tuple
            The requests, as for :meth:`lookup`, and their results.
        readings : mapping
            As for :meth:`lookup`.

        Raises
        ------
        AnswerStoreError
            These results were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        now = self._clock()
        rows = []
        unstorable = 0
        for asked, result in pairs:
            encoded = encode(kind, asked, result)
            if encoded is None:
                unstorable += 1
            else:
                key = key_of(kind, identity, asked, reading=readings.get(asked, ""))
                rows.append(row_of(identity, key, encoded, now))
        with self._guard:
            self._unstorable += unstorable
            if not rows or not self._file.writable:
                return
            marks = ",".join("?" * len(rows[0]))
            sql = f"INSERT OR REPLACE INTO {kind.table} ({COLUMNS}) VALUES ({marks})"  # noqa: S608 - constant names
            self._file.write(lambda connection: connection.executemany(sql, rows))
            with contextlib.suppress(AnswerStoreError):
                # The answers are safe; a store that is a little too large is put right at the next call.
                upkeep.evict(self._file, self.most_bytes)

    def forget(
        self,
        kind: Kind[AskedT, ResultT],
        identity: ModelIdentity,
        asked: Iterable[AskedT],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> None:
        """Remove results of one kind; the parameters are those of :meth:`lookup`.

        Raises
        ------
        AnswerStoreError
            These results are still there: the store is locked, or closed.
        """
        keys = [(key_of(kind, identity, one, reading=readings.get(one, "")),) for one in asked]
        with self._guard:
            if keys and self._file.writable:
                sql = f"DELETE FROM {kind.table} WHERE key = ?"  # noqa: S608 - constant names
                self._file.write(lambda connection: connection.executemany(sql, keys))

    def _rows(self, table: str, keys: Sequence[bytes]) -> Iterator[Row]:
        """Yield the rows of a table that have one of the keys; a file of an older version may lack the table."""

        def find(connection: sqlite3.Connection, chunk: Sequence[bytes]) -> list[Row]:
            return rows_of(connection, table=table, keys=chunk) if table in self._file.tables else []

        for start in range(0, len(keys), CHUNK):
            yield from self._file.do(functools.partial(find, chunk=keys[start : start + CHUNK]))

    def _touch(self, table: str, keys: Sequence[bytes], now: float) -> None:
        """Write down when answers were used; it is worth no waiting and no error."""
        if keys:
            sql = f"UPDATE {table} SET used = ? WHERE key = ?"  # noqa: S608 - constant names
            self._file.try_to_write(lambda connection: connection.executemany(sql, [(now, key) for key in keys]))

    # -------------------------------------------------------------------------------------------------- looking after

    def models(self) -> list[StoredModel]:
        """Return what the store holds, one entry a model, dtype and device, by name.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now.
        """
        with self._guard:
            return upkeep.stored_models(self._file)

    def verify(self, *, model_sha256s: Sequence[str] | None = None) -> StoreCheck:
        """Check the file, and every row against its checksum; only the rows of some models when they are given.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now.
        """
        with self._guard:
            return upkeep.check_rows(self._file, model_sha256s)

    def prune(
        self,
        *,
        model_sha256s: Sequence[str] | None = None,
        older_than: float | None = None,
        most_bytes: int | None = None,
    ) -> int:
        """Remove results of every kind alike, and give the space back to the disk.

        Parameters
        ----------
        model_sha256s : sequence of str, optional
            Only the answers of these models.
        older_than : float, optional
            Only answers that nobody has used for this many seconds.
        most_bytes : int, optional
            Then remove the answers that were used longest ago until the file has at most this many bytes.

        Returns
        -------
        int
            How many answers were removed, of all kinds together.

        Raises
        ------
        AnswerStoreError
            The store cannot be written now.
        """
        with self._guard:
            if not self._file.writable:
                raise AnswerStoreError(f"answer store {self.path} cannot be written. Make {self.folder} writable.")
            since = None if older_than is None else self._clock() - older_than
            removed = upkeep.remove_rows(self._file, model_sha256s=model_sha256s, unused_since=since)
            upkeep.compact(self._file)
            return removed + (0 if most_bytes is None else upkeep.shrink(self._file, most_bytes))

    def file_bytes(self) -> int:
        """Return how many bytes the store has on the disk."""
        total = 0
        for path in store_files(self.folder):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total
