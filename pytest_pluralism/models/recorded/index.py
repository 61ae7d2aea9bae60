"""Finds the rows of a recording by their keys, with a few bytes of memory for each row."""

from __future__ import annotations

import hashlib
import json
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.recorded.filters import Filters
from pytest_pluralism.models.recorded.kept import KeptIndex
from pytest_pluralism.models.recorded.opening import found_in, is_header, is_plain_lines
from pytest_pluralism.models.recorded.readers import reader_of
from pytest_pluralism.models.recorded.rows import Row, RowError, read_row, row_of_line

__all__ = ["Recording"]

REMEDY = 'A row is {"question_id": "q1", "probabilities": {"Yes": 0.6, "No": 0.4}}: see "Gate what you have recorded".'

#: The index of a larger file, in bytes, is kept for the next run.
LEAST_KEPT = 20_000_000

#: Maximum number of wrong rows that an error names.
MOST_NAMED = 10


class Recording:
    """The rows of one file, checked once, and read again from the file when they are asked for.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ModelError
        The file or a row is wrong; the message names up to ten lines.
    """

    def __init__(self, path: Path, /) -> None:
        self.path = path
        #: The limits of the log of a tool, which may say less than rows do.
        self.note = ""
        #: How many rows answer nothing, by what they are, such as the setup of a log.
        self.left_out = 0
        self._hashes, self._offsets, self._draws = array("Q"), array("Q"), array("i")
        self._is_text = array("b")
        self._streams: list[IO[bytes]] = []
        self._close = weakref.finalize(self, _close_all, self._streams)
        self._stream = self._opened(path.open("rb") if is_plain_lines(path) else _temporary())
        kept = KeptIndex(path) if is_plain_lines(path) and path.stat().st_size >= LEAST_KEPT else None
        columns = None if kept is None else kept.read()
        if columns is not None:
            self._hashes, self._offsets, self._draws, self._is_text = columns
        else:
            try:
                self._read()
            except BaseException:
                self.close()
                raise
            # Of the log of another tool, the rows do not stand in the file.
            if kept is not None and len(self._streams) == 1:
                kept.write((self._hashes, self._offsets, self._draws, self._is_text))
        hashes = np.frombuffer(self._hashes, dtype=np.uint64) if self._hashes else np.zeros(0, np.uint64)
        self._order = np.argsort(hashes, kind="stable").astype(np.uint32)
        self._sorted = hashes[self._order]
        self._used = np.zeros(len(hashes), dtype=bool)
        self._refuse_doubled()

    def __len__(self) -> int:
        return len(self._hashes)

    def close(self) -> None:
        """Close the file."""
        self._close()

    def _opened(self, stream: IO[bytes]) -> IO[bytes]:
        """Return a stream that is closed with the recording."""
        self._streams.append(stream)
        return stream

    def rows(self, key: str, /) -> list[Row]:
        """Return the rows of a key, in the order of the file, and remember that they were used."""
        wanted = _hash_of(key)
        found = []
        for place in range(int(np.searchsorted(self._sorted, np.uint64(wanted))), len(self._sorted)):
            if int(self._sorted[place]) != wanted:
                break
            number = int(self._order[place])
            row = self._row(number)
            if row.key == key:
                self._used[number] = True
                found.append(row)
        return found

    def unused(self) -> tuple[int, str]:
        """Return how many rows nobody asked for, and the first of them as a message shows it."""
        left = np.flatnonzero(~self._used)
        return len(left), self._row(int(left[0])).shown if len(left) else ""

    def _row(self, number: int) -> Row:
        self._stream.seek(self._offsets[number])
        line = self._stream.readline()
        try:
            return read_row(row_of_line(line.removeprefix(b"\xef\xbb\xbf").strip()))
        except RowError as error:
            raise ModelError(f"{self.path} changed while it was read: a row {error}. Run again.") from None

    def _read(self) -> None:
        spooled = not is_plain_lines(self.path)
        problems: list[str] = []
        wrong = 0
        for content, where, offset in self._own_rows(spooled):
            try:
                row = read_row(content)
            except RowError as error:
                wrong += 1
                if len(problems) < MOST_NAMED:
                    problems.append(f"{where}: the row {error}.")
                continue
            self._hashes.append(_hash_of(row.key))
            self._offsets.append(offset)
            self._draws.append(-1 if row.draw is None else min(row.draw, 2**31 - 1))
            self._is_text.append(row.kind == "text")
        if problems:
            more = [f"and {wrong - len(problems)} more"] if wrong > len(problems) else []
            raise ModelError("\n  ".join([f"{self.path} has {wrong} wrong rows:", *problems, *more, REMEDY]))
        if not len(self):
            raise ModelError(f"{self.path} holds no rows. {REMEDY}")

    def _own_rows(self, spooled: bool) -> Iterator[tuple[dict[str, object], str, int]]:
        """Yield each row in our own form, its place, and the offset of its line in the stream."""
        reader, is_first, filters = None, True, Filters()
        for number, found in enumerate(found_in(self.path)):
            try:
                if number == 0 and is_header(found.content):
                    continue
                if is_first:
                    reader, is_first = reader_of(found.content), False
                    self.note = reader.note if reader is not None else ""
                if reader is None:
                    yield found.content, found.where, found.offset if not spooled else self._spool(found.content)
                    continue
                if reader.is_filtered and filters.repeats(found.content):
                    self.note = filters.note
                    continue
                own = list(reader.rows(found.content))
            except RowError as error:
                raise ModelError(f"{self.path}, {found.where}: the row {error}.\n{REMEDY}") from None
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                shape = f"is not in the shape of {'its log' if reader is None else reader.name}"
                raise ModelError(f"{self.path}, {found.where}: the row {shape} ({error!r:.80}).\n{REMEDY}") from None
            self.left_out += not own
            if not spooled:
                # Rows of our own form stand in a file of their own.
                spooled = True
                self._stream = self._opened(_temporary())
            for content in own:
                yield content, found.where, self._spool(content)

    def _spool(self, content: dict[str, object]) -> int:
        offset = self._stream.tell()
        self._stream.write(json.dumps(content).encode("ascii") + b"\n")
        return offset

    def _refuse_doubled(self) -> None:
        same = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        for place in same.tolist():
            first, second = int(self._order[place]), int(self._order[place + 1])
            texts = self._is_text[first] and self._is_text[second]
            draws = self._draws[first], self._draws[second]
            if texts and draws == (-1, -1):
                continue
            twice = self._doubled_draw(place) if texts and -1 not in draws else None
            if texts and -1 not in draws and twice is None:
                continue
            one, other = self._row(first), self._row(second)
            if one.key != other.key:
                continue
            which = f" and draw {twice}" if twice is not None else ""
            raise ModelError(
                f"{self.path} has two rows about {one.shown!r}{which}. Keep one of them; several texts about one "
                "question need no draw, or a different one each."
            )

    def _doubled_draw(self, place: int) -> int | None:
        """Return the draw that two texts of one key have, from a place of the sorted rows on."""
        seen = set()
        for end in range(place, len(self._sorted)):
            if self._sorted[end] != self._sorted[place]:
                return None
            draw = self._draws[int(self._order[end])]
            if draw in seen:
                return draw
            seen.add(draw)
        return None


def _temporary() -> IO[bytes]:
    """Return a file that is gone when it is closed."""
    return tempfile.TemporaryFile()


def _close_all(streams: list[IO[bytes]]) -> None:
    for stream in streams:
        stream.close()


def _hash_of(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
