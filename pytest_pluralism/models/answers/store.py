"""Answers that were given before, on the disk: found again by the content of the question and the model that was asked.

Beside the answers to closed questions it keeps the scores of whole answers, responses with their settings and seed,
what entailment models said of pairs of texts, and the rewards that value models gave.

One SQLite file in a folder, shared by every process of a run and by runs at the same time.
Whatever goes wrong with it costs time and never an answer: the caller gets an :class:`AnswerStoreError` with a remedy
and goes on without the store.
A store may come from elsewhere, so it is read as data: every row carries a checksum, and nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pytest_pluralism.core.errors import PluralismError, invalid_parameter
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    RewardRequest,
)
from pytest_pluralism.models.answers.kinds import (
    DECODERS,
    _decode,
    answer_key,
    decode_entailment,
    decode_full_answers,
    decode_response,
    decode_reward,
    encode,
    encode_entailment,
    encode_full_answers,
    encode_response,
    encode_reward,
    entailment_key,
    full_answer_key,
    response_key,
    reward_key,
)
from pytest_pluralism.models.answers.layout import (
    _TABLES,
    APPLICATION_ID,
    COLUMNS,
    ROW_OVERHEAD,
    TABLES,
    TABLES_OF,
    VERSION,
    _row,
    expected_tables,
    is_whole,
    rows_of,
    statements,
)
from pytest_pluralism.models.answers.upkeep import StoreCheck, StoredModel
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["FILE_NAME", "AnswerStore", "AnswerStoreError", "default_answers_folder"]

FILE_NAME = "answers.sqlite3"

#: About 2.5 million answers.
MOST_BYTES = 2**30

#: A smaller bound would hold nothing but the pages that every SQLite file has.
LEAST_BYTES = 2**16

#: How long to wait for a store that another process has locked, in seconds, and how long once that was in vain.
PATIENCE = 10.0
IMPATIENCE = 0.1

#: When an answer was last used is written at most once in this many seconds, so that a run that finds everything in the
#: store hardly writes to it.
TOUCH_AFTER = 3600.0

#: A large file is checked for at most this many seconds when it is opened; the checksums of the rows do the rest.
CHECK_SECONDS = 0.5

#: How many steps of SQLite's machine pass between two looks at the clock.
CHECK_STEPS = 10_000

#: Pages of a B-tree with random keys are about two thirds full, so this share of the bound may be content.
FULL = 0.6
EVICT_TO = 0.5

#: SQLite takes at least 999 parameters in one statement.
CHUNK = 500
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CHOOSE = "choose another folder: --pluralism-answers DIR, or none: --pluralism-answers off"

_Result = TypeVar("_Result")
_Asked = TypeVar("_Asked")


class AnswerStoreError(PluralismError):
    """The answer store cannot be used, or did not keep answers; nothing that a model answered is lost by that."""


class _DamagedError(Exception):
    """The file is not an answer store, or no longer a whole one."""


def default_answers_folder() -> Path:
    """Return where answers lie: ``answers`` in ``PLURALISM_CACHE``, or in the user's cache."""
    chosen = os.environ.get("PLURALISM_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "answers"
    import platformdirs

    return Path(platformdirs.user_cache_dir("pytest-pluralism", appauthor=False)) / "answers"


class AnswerStore:
    """Answers by content, in one SQLite file that several processes share.

    Parameters
    ----------
    folder : Path
        Where the file is; made when it is missing.
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
    >>> identity = ModelIdentity(spec="./m", name="m", sha256="1c5a", dtype="float32", device="cpu")
    >>> prompt = Prompt("Is it raining? Yes or no?", labels=("Yes", "No"))
    >>> with AnswerStore(Path(tempfile.mkdtemp())) as store:
    ...     store.keep(identity, [(prompt, Answer((-0.25, -1.5), 1.0, " Yes", 0.78))])
    ...     store.lookup(identity, [prompt])[prompt].log_probabilities
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
        self.path = self.folder / FILE_NAME
        self.most_bytes = most_bytes
        self.hits = self.misses = self.damaged = 0
        self._unstorable = self._lockouts = 0
        self._notes: list[str] = []
        self._full_patience = self._patience = float(patience)
        self._clock = clock
        self._read_only = read_only
        self._writable = not read_only
        self._connection: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._tables = TABLES
        self._closed = False
        self._guard = threading.RLock()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------------------- answers

    def lookup(self, identity: ModelIdentity, prompts: Sequence[Prompt], /) -> dict[Prompt, Answer]:
        """Return the answers that are there, by prompt; a prompt without one is missing from the result.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        wanted = {answer_key(identity, prompt): prompt for prompt in dict.fromkeys(prompts)}
        return self._lookup("answers", wanted, _decode)

    def lookup_responses(
        self, identity: ModelIdentity, prompts: Sequence[Prompt], settings: GenerationSettings, /, *, n_draws: int = 1
    ) -> dict[tuple[Prompt, int], Response]:
        """Return the responses that are there, by prompt and number of the draw (from 0 to ``n_draws`` - 1).

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        wanted = {
            response_key(identity, prompt, settings, draw): (prompt, draw)
            for prompt in dict.fromkeys(prompts)
            for draw in range(n_draws)
        }
        return self._lookup(
            "responses",
            wanted,
            lambda encoded, asked: decode_response(encoded, None if asked is None else (settings, asked[1])),
        )

    def lookup_full_answers(
        self, identity: ModelIdentity, prompts: Sequence[FullAnswerPrompt], /
    ) -> dict[FullAnswerPrompt, FullAnswerScores]:
        """Return the scores of whole answers that are there, by prompt.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        # Two prompts that differ in how they name the same neutral prompt have one key.
        wanted = {full_answer_key(identity, asked): asked for asked in dict.fromkeys(prompts)}
        found = self._lookup("full_answers", wanted, decode_full_answers)
        return {
            asked: found[same]
            for asked in dict.fromkeys(prompts)
            if (same := wanted[full_answer_key(identity, asked)]) in found
        }

    def lookup_entailments(
        self, identity: ModelIdentity, pairs: Sequence[EntailmentPair], /
    ) -> dict[EntailmentPair, EntailmentScores]:
        """Return the entailment scores that are there, by pair.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        wanted = {entailment_key(identity, pair): pair for pair in dict.fromkeys(pairs)}
        return self._lookup("entailments", wanted, lambda encoded, _: decode_entailment(encoded))

    def lookup_rewards(
        self, identity: ModelIdentity, requests: Sequence[RewardRequest], /
    ) -> dict[RewardRequest, float]:
        """Return the rewards that are there, by request.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now: it is locked, or closed.
        """
        wanted = {reward_key(identity, asked): asked for asked in dict.fromkeys(requests)}
        return self._lookup("rewards", wanted, lambda encoded, _: decode_reward(encoded))

    def _lookup(
        self,
        table: str,
        wanted: dict[bytes, _Asked],
        decode: Callable[[bytes, _Asked | None], _Result | None],
    ) -> dict[_Asked, _Result]:
        found: dict[_Asked, _Result] = {}
        damaged = 0
        stale: list[bytes] = []
        now = self._clock()
        with self._guard:
            rows: list[tuple[Any, ...]] = []
            for chunk in _chunks(list(wanted)):
                rows += self._do(functools.partial(self._rows, table=table, keys=chunk))
            for row in rows:
                if not is_whole(row):
                    damaged += 1
                    continue
                record = decode(row[5], wanted[row[0]])
                if record is not None:
                    found[wanted[row[0]]] = record
                    if not isinstance(row[9], float) or row[9] < now - TOUCH_AFTER:
                        stale.append(row[0])
            self._touch(table, stale, now)
            self.damaged += damaged
            self.hits += len(found)
            self.misses += len(wanted) - len(found)
        return found

    def _rows(self, connection: sqlite3.Connection, *, table: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        return rows_of(connection, table=table, keys=keys) if table in self._tables else []

    def keep(self, identity: ModelIdentity, pairs: Iterable[tuple[Prompt, Answer]], /) -> None:
        """Keep answers: all of this call or, when it is cut short, none.

        An answer that cannot be stored exactly (a NaN, a field that is not plain data, not one log-probability a label)
        is left out with a note.
        On a store that only looks up, nothing happens.

        Raises
        ------
        AnswerStoreError
            These answers were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        self._keep(
            "answers", identity, ((answer_key(identity, prompt), encode(answer, prompt)) for prompt, answer in pairs)
        )

    def keep_responses(
        self, identity: ModelIdentity, settings: GenerationSettings, pairs: Iterable[tuple[Prompt, Response]], /
    ) -> None:
        """Keep responses with their settings, as :meth:`keep` does answers.

        Raises
        ------
        AnswerStoreError
            These responses were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        self._keep(
            "responses",
            identity,
            (
                (response_key(identity, prompt, settings, response.draw), encode_response(response, settings))
                for prompt, response in pairs
            ),
        )

    def keep_full_answers(
        self, identity: ModelIdentity, pairs: Iterable[tuple[FullAnswerPrompt, FullAnswerScores]], /
    ) -> None:
        """Keep the scores of whole answers, as :meth:`keep` does answers.

        Raises
        ------
        AnswerStoreError
            These scores were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        self._keep(
            "full_answers",
            identity,
            ((full_answer_key(identity, asked), encode_full_answers(scores, asked)) for asked, scores in pairs),
        )

    def keep_entailments(
        self, identity: ModelIdentity, pairs: Iterable[tuple[EntailmentPair, EntailmentScores]], /
    ) -> None:
        """Keep entailment scores, as :meth:`keep` does answers.

        Raises
        ------
        AnswerStoreError
            These scores were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        self._keep(
            "entailments",
            identity,
            ((entailment_key(identity, pair), encode_entailment(scores)) for pair, scores in pairs),
        )

    def keep_rewards(self, identity: ModelIdentity, pairs: Iterable[tuple[RewardRequest, float]], /) -> None:
        """Keep rewards, as :meth:`keep` does answers.

        Raises
        ------
        AnswerStoreError
            These rewards were not kept: the store is locked, closed, or (at the first time) cannot be written.
        """
        self._keep(
            "rewards", identity, ((reward_key(identity, asked), encode_reward(reward)) for asked, reward in pairs)
        )

    def _keep(self, table: str, identity: ModelIdentity, contents: Iterable[tuple[bytes, bytes | None]]) -> None:
        now = self._clock()
        rows = []
        unstorable = 0
        for key, encoded in contents:
            if encoded is None:
                unstorable += 1
            else:
                rows.append(_row(identity, key, encoded, now))
        with self._guard:
            self._unstorable += unstorable
            if not rows or not self._writable:
                return
            marks = ",".join("?" * len(rows[0]))
            sql = f"INSERT OR REPLACE INTO {table} ({COLUMNS}) VALUES ({marks})"  # noqa: S608 - constant names
            self._write(lambda connection: connection.executemany(sql, rows))
            with contextlib.suppress(AnswerStoreError):
                # The answers are safe; a store that is a little too large is put right at the next call.
                self._evict()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        with self._guard:
            self._closed = True
            self._disconnect()

    @property
    def writable(self) -> bool:
        """Whether answers are kept; otherwise they are only looked up, and :attr:`notes` says why."""
        return self._writable and not self._closed

    @property
    def notes(self) -> tuple[str, ...]:
        """What a run should say about its store, in sentences; their text may come from outside."""
        notes = list(self._notes)
        if self.damaged:
            notes.append(
                f"{self.damaged} stored answers in {self.path} do not fit their checksums; they were not used, and "
                "were asked again."
            )
        if self._lockouts:
            notes.append(
                f"answer store {self.path} was locked by another process {self._lockouts} times; what could not be "
                "looked up or kept then cost time and no answers."
            )
        if self._unstorable:
            notes.append(f"{self._unstorable} answers were not kept because they hold NaN or other than plain values.")
        return tuple(notes)

    # -------------------------------------------------------------------------------------------------- looking after

    def models(self) -> list[StoredModel]:
        """Return what the store holds, one entry a model, dtype and device, by name.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now.
        """

        def count(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            every = " UNION ALL ".join(
                f"SELECT model, model_sha256, dtype, device, bytes, created, used, '{table}' AS kind FROM {table}"  # noqa: S608 - constant names
                for table in self._tables
            )
            kinds = ", ".join(f"total(kind = '{table}')" for table in TABLES)
            return connection.execute(
                f"SELECT model, model_sha256, dtype, device, total(bytes), min(created), max(used), {kinds} "  # noqa: S608 - constant names
                f"FROM ({every}) GROUP BY model, model_sha256, dtype, device "
                "ORDER BY model, model_sha256, dtype, device"
            ).fetchall()

        with self._guard:
            rows = self._do(count)
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

    def verify(self, *, model_sha256s: Sequence[str] | None = None) -> StoreCheck:
        """Check the file, and every row against its checksum; only the rows of some models when they are given.

        Raises
        ------
        AnswerStoreError
            The store cannot be read now.
        """
        counts = dict.fromkeys((*TABLES, "damaged", "unreadable"), 0)

        def check(connection: sqlite3.Connection) -> list[str]:
            counts.update(dict.fromkeys(counts, 0))
            problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
            for table in self._tables:
                for row in connection.execute(f"SELECT {COLUMNS} FROM {table}"):  # noqa: S608 - constant names
                    if model_sha256s is not None and row[1] not in model_sha256s:
                        continue
                    counts[table] += 1
                    if not is_whole(row):
                        counts["damaged"] += 1
                    elif DECODERS[table](row[5], None) is None:
                        counts["unreadable"] += 1
            return problems

        with self._guard:
            problems = self._do(check)
        return StoreCheck(**counts, problems=tuple(problems))

    def prune(
        self,
        *,
        model_sha256s: Sequence[str] | None = None,
        older_than: float | None = None,
        most_bytes: int | None = None,
    ) -> int:
        """Remove answers, responses and scores of every kind alike, and give the space back to the disk.

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
        removed = 0
        conditions: list[str] = []
        parameters: list[str | float] = []
        if model_sha256s is not None:
            conditions.append(f"model_sha256 IN ({','.join('?' * len(model_sha256s))})")
            parameters += list(model_sha256s)
        if older_than is not None:
            conditions.append("used < ?")
            parameters.append(self._clock() - older_than)
        with self._guard:
            self._must_be_writable()
            if conditions:
                where = " AND ".join(conditions)

                def remove(connection: sqlite3.Connection) -> int:
                    return sum(
                        connection.execute(f"DELETE FROM {table} WHERE {where}", parameters).rowcount  # noqa: S608 - constant words
                        for table in self._tables
                    )

                removed += self._write(remove)
            self._compact()
            if most_bytes is not None:
                # Measured after compacting, not estimated; one round is enough unless answers differ much in length.
                while (size := self._pages()) > most_bytes:
                    gone = self._evict_to(self._content_bytes() * most_bytes / size * 0.98)
                    if not gone:
                        break
                    removed += gone
                    self._compact()
        return removed

    def file_bytes(self) -> int:
        """Return how many bytes the store has on the disk."""
        total = 0
        for path in self._files():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    # -------------------------------------------------------------------------------------------------------- size

    def _evict(self) -> None:
        """Remove the answers that were used longest ago when the file has become too large."""
        if self._pages() > self.most_bytes and self._content_bytes() > FULL * self.most_bytes:
            self._evict_to(EVICT_TO * self.most_bytes)

    def _evict_to(self, content: float) -> int:
        """Remove the answers that were used longest ago until the others have at most ``content`` bytes."""

        def evict(connection: sqlite3.Connection) -> int:
            left = self._total(connection)
            gone: dict[str, list[tuple[Any]]] = {table: [] for table in self._tables}
            every = " UNION ALL ".join(f"SELECT '{table}', key, bytes, used FROM {table}" for table in gone)  # noqa: S608 - constant names
            for table, key, size, _used in connection.execute(f"{every} ORDER BY used, bytes, key"):
                if left <= content:
                    break
                gone[table].append((key,))
                left -= size if isinstance(size, int) else ROW_OVERHEAD
            for table, keys in gone.items():
                connection.executemany(f"DELETE FROM {table} WHERE key = ?", keys)  # noqa: S608 - constant names
            return sum(map(len, gone.values()))

        return self._write(evict)

    def _content_bytes(self) -> float:
        """Return the bytes of all answers, without the empty parts of pages."""
        # A scan of the narrow index: 20 ms for 100,000 answers, and only asked for when the file is large.
        return self._do(self._total)

    def _total(self, connection: sqlite3.Connection) -> float:
        total = 0.0
        for table in self._tables:
            total += connection.execute(f"SELECT total(bytes) FROM {table}").fetchone()[0]  # noqa: S608 - constant names
        return total

    def _pages(self) -> int:
        """Return the bytes of all pages that are not free."""

        def count(connection: sqlite3.Connection) -> int:
            pages, free, size = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * size

        return self._do(count)

    def _compact(self) -> None:
        def compact(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        self._do(compact)

    def _touch(self, table: str, keys: Sequence[bytes], now: float) -> None:
        if not keys or not self._writable or self._connection is None:
            return
        try:
            with _transaction(self._connection) as connection:
                sql = f"UPDATE {table} SET used = ? WHERE key = ?"  # noqa: S608 - constant names
                connection.executemany(sql, [(now, key) for key in keys])
        except sqlite3.Error:
            # What was used last is worth no waiting and no error; a real problem shows when answers are kept.
            return

    # ------------------------------------------------------------------------------------------------ doing and failing

    def _write(self, action: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run an action in one transaction of its own."""

        def run(connection: sqlite3.Connection) -> _Result:
            with _transaction(connection):
                return action(connection)

        return self._do(run)

    def _do(self, action: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run an action with patience, and turn what goes wrong into what a run can live with.

        Where the file proves damaged, it is set aside and the action is run on the new one.
        """
        self._follow_moved_file()
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
                code = _code(error)
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

    def _locked(self) -> AnswerStoreError:
        waited = self._patience
        # A second long wait would be as vain as the first: until the lock is gone, the run shall not stand still.
        self._patience = min(self._patience, IMPATIENCE)
        self._lockouts += 1
        return AnswerStoreError(
            f"answer store {self.path} was locked by another process for more than {waited:g} s, so it was not used, "
            f"and nothing was kept this time. Wait for the other process, or {_CHOOSE}."
        )

    def _failed(self, error: sqlite3.Error) -> AnswerStoreError:
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            why, remedy = "the disk is full", "Free some space (pluralism answers prune --most-bytes N), or"
        elif code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            why, remedy = "it cannot be written", f"Make {self.folder} writable, or"
        else:
            # On a disk that is full SQLite reports some writes as a plain input or output error.
            why, remedy = str(error), "Check the disk, or"
        self._only_look_up(why)
        return AnswerStoreError(f"answer store {self.path}: {why}, so answers are not kept. {remedy} {_CHOOSE}.")

    def _only_look_up(self, why: str) -> None:
        if self._writable:
            self._writable = False
            self._notes.append(f"answer store {self.path}: {why}; stored answers are used, new ones are not kept.")

    def _must_be_writable(self) -> None:
        if not self._writable:
            raise AnswerStoreError(f"answer store {self.path} cannot be written. Make {self.folder} writable.")

    # --------------------------------------------------------------------------------------- opening and setting aside

    def _open(self) -> None:
        if self._closed:
            raise AnswerStoreError(f"answer store {self.path} is closed.")
        if not self._writable:
            self._open_for_reading()
            return
        try:
            self._refuse_links()
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._file_lock():
                self._open_for_writing()
        except OSError as error:
            why = error.strerror or str(error)
            if not os.path.isfile(self.path):  # noqa: PTH113 - Path.is_file raises where the folder cannot be read
                raise AnswerStoreError(
                    f"answer store {self.path} cannot be made: {why}. Make the folder writable, or {_CHOOSE}."
                ) from None
            self._only_look_up(why)
            self._open_for_reading()

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Let one process at a time make, check or set aside the file."""
        import filelock

        lock = filelock.FileLock(self.folder / f"{FILE_NAME}.lock", timeout=self._patience)
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
            if not self._has_file():
                self._create()
            self._check_header()
            self._connect("mode=rw")
            self._inspect()
            self._migrate()
        except _DamagedError as error:
            self._set_aside(str(error))
            self._create()
            self._connect("mode=rw")
            self._tables = TABLES
        except sqlite3.Error as error:
            self._disconnect()
            if _code(error) in _LOCKED:
                raise self._locked() from None
            failed = self._failed(error)
            if not self.path.is_file():
                raise failed from None
            self._open_for_reading()

    def _open_for_reading(self) -> None:
        self._refuse_links()
        # In a folder that cannot be written, or on a full disk, SQLite may not be able to make the files with which it
        # reads beside writers; without them it reads what was last brought together in the file itself.
        ways = ("mode=ro", "mode=ro&immutable=1")
        try:
            if not self._has_file():
                raise AnswerStoreError(f"there is no answer store in {self.folder}.")
            self._check_header()
            for way in ways:
                try:
                    self._connect(way)
                    self._inspect()
                    return
                except sqlite3.OperationalError as error:
                    self._disconnect()
                    if way == ways[-1] or _code(error) in _LOCKED:
                        raise
        except _DamagedError as error:
            raise AnswerStoreError(f"answer store {self.path}: {error}. Delete it, or {_CHOOSE}.") from None
        except sqlite3.Error as error:
            if _code(error) in _LOCKED:
                raise self._locked() from None
            raise AnswerStoreError(f"answer store {self.path} cannot be read: {error}. C{_CHOOSE[1:]}.") from None
        except OSError as error:
            raise AnswerStoreError(
                f"answer store {self.path} cannot be read: {error.strerror}. C{_CHOOSE[1:]}."
            ) from None

    def _refuse_links(self) -> None:
        for path in (*self._files(), self.folder / f"{FILE_NAME}.lock"):
            # Writing through a link could change any file of the user, when the folder came from elsewhere.
            if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink raises where the folder cannot be read
                raise AnswerStoreError(f"{path} is a symbolic link, which is not followed. Remove it, or {_CHOOSE}.")

    def _has_file(self) -> bool:
        try:
            found = self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISREG(found.st_mode):
            raise AnswerStoreError(f"{self.path} is not a file. Remove it, or {_CHOOSE}.")
        return found.st_size > 0

    def _check_header(self) -> None:
        """Read what the file says that it is, before SQLite may touch it.

        Raises
        ------
        _DamagedError
            It is not an answer store.
        AnswerStoreError
            It is one of a newer version.
        """
        with self.path.open("rb") as file:
            header = file.read(100)
        if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
            raise _DamagedError("it is not an SQLite database")
        application, version = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
        self._check_version(application, version)

    def _check_version(self, application: int, version: int) -> None:
        if application != APPLICATION_ID:
            raise _DamagedError("it is the database of another program")
        if version > VERSION:
            raise AnswerStoreError(
                f"answer store {self.path} has the newer version {version}; this pytest-pluralism reads version "
                f"{VERSION}. Nothing was changed. Install the version of pytest-pluralism that made it, or a later "
                f"one, or {_CHOOSE}."
            )
        if version not in TABLES_OF:
            raise _DamagedError(f"its version is {version}, which never existed")

    def _connect(self, mode: str) -> None:
        self._disconnect()
        # isolation_level=None: transactions begin and end where this module says. SQLite itself waits only a little,
        # so that an interrupt is heard while this module waits.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=0.1,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection = connection
        connection.text_factory = _text
        for setting in (
            "trusted_schema=OFF",
            "cell_size_check=ON",
            "mmap_size=0",
            "synchronous=NORMAL",
            "journal_size_limit=4194304",
        ):
            self._patiently(connection, f"PRAGMA {setting}")
        found = self.path.stat()
        self._inode = (found.st_dev, found.st_ino)

    def _inspect(self) -> None:
        """Check that the database is ours in every detail, and as far as the time allows that it is whole.

        Raises
        ------
        _DamagedError
            It is not.
        """
        connection = self._connection
        assert connection is not None  # noqa: S101 - called right after connecting
        application = self._patiently(connection, "PRAGMA application_id")[0][0]
        version = self._patiently(connection, "PRAGMA user_version")[0][0]
        self._check_version(application, version)
        # Nothing but our own tables: a trigger in a file from elsewhere would run at the first insertion.
        if self._patiently(connection, _TABLES) != expected_tables(version):
            raise _DamagedError("its tables are not those of an answer store")
        self._tables = TABLES_OF[version]
        deadline = time.monotonic() + CHECK_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, CHECK_STEPS)
        try:
            found = self._patiently(connection, "PRAGMA quick_check(1)")[0][0]
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            connection.set_progress_handler(None, 0)
        if found != "ok":
            raise _DamagedError(str(found).splitlines()[-1])

    def _migrate(self) -> None:
        """Give a store of an older version the tables that came since; its answers stay as they are.

        It is one transaction, so a process that is killed in it leaves the older version; and since nothing is changed
        that is there, processes of an older version that have the file open go on.
        """
        connection = self._connection
        assert connection is not None  # noqa: S101 - called right after connecting
        missing = [table for table in TABLES if table not in self._tables]
        if not missing:
            return

        def add() -> None:
            with _transaction(connection):
                for table in missing:
                    for statement in statements(table):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version={VERSION}")

        self._with_patience(add)
        self._tables = TABLES

    def _patiently(self, connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement while a file is opened, waiting for others.

        Raises
        ------
        _DamagedError
            The file is damaged.
        """
        return self._with_patience(lambda: connection.execute(sql).fetchall())

    def _with_patience(self, action: Callable[[], _Result]) -> _Result:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return action()
            except sqlite3.DatabaseError as error:
                if _code(error) in _DAMAGE:
                    raise _DamagedError(str(error)) from None
                if _code(error) not in _LOCKED or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _create(self) -> None:
        """Make an empty store: whole beside its place, then moved there, so that nobody ever sees half of one."""
        for old in self.folder.glob(f"{FILE_NAME}.new*"):
            old.unlink()
        new = self.folder / f"{FILE_NAME}.new-{os.getpid()}"
        connection = sqlite3.connect(new, isolation_level=None)
        try:
            with _transaction(connection):
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={VERSION}")
                for table in TABLES:
                    for statement in statements(table):
                        connection.execute(statement)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
        except sqlite3.Error:
            connection.close()
            new.unlink(missing_ok=True)
            raise
        for path in self._files()[1:]:
            # What an earlier file left behind would be read as changes to the new one.
            path.unlink(missing_ok=True)
        new.replace(self.path)

    def _set_aside(self, why: str) -> None:
        self._disconnect()
        number = 1
        while (aside := self.folder / f"{FILE_NAME}.damaged-{number}").exists() or aside.is_symlink():
            number += 1
        try:
            self.path.rename(aside)
            for path in self._files()[1:]:
                if path.exists():
                    path.rename(aside.with_name(aside.name + path.name.removeprefix(FILE_NAME)))
        except OSError as error:
            raise AnswerStoreError(
                f"answer store {self.path}: {why}, and it could not be set aside ({error.strerror}). Delete it, or "
                f"{_CHOOSE}."
            ) from None
        self._notes.append(
            f"answer store {self.path}: {why}. It was set aside as {aside.name}, and a new one was begun; delete "
            f"{aside.name} when nobody needs it."
        )

    def _start_afresh(self, why: str) -> None:
        """After damage was met in the middle of a run: set the file aside and begin a new one."""
        ours = self._inode
        self._disconnect()
        if not self._writable:
            raise AnswerStoreError(f"answer store {self.path}: {why}. Delete it, or {_CHOOSE}.")
        try:
            with self._file_lock():
                # Another process may have met the damage first; its new file is not to be set aside.
                if self._inode_now() == ours:
                    self._set_aside(why)
                self._open_for_writing()
        except OSError as error:
            raise AnswerStoreError(f"answer store {self.path}: {why} ({error.strerror}). C{_CHOOSE[1:]}.") from None

    def _follow_moved_file(self) -> None:
        """Open the file again when it is not the one that was opened: set aside by another process, or deleted."""
        if self._connection is not None and self._inode_now() != self._inode:
            self._disconnect()

    def _inode_now(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return (-1, -1)
        return (found.st_dev, found.st_ino)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _files(self) -> tuple[Path, ...]:
        return tuple(self.folder / (FILE_NAME + ending) for ending in ("", "-wal", "-shm", "-journal"))


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


# --------------------------------------------------------------------------------------------------------- SQLite


def _text(raw: bytes) -> str:
    # Bytes that are no text belong to a damaged row, which its checksum tells; they must not stop a listing.
    return raw.decode("utf-8", "replace")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            # After some errors SQLite has rolled back already.
            connection.execute("ROLLBACK")
        raise
