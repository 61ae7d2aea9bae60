"""Indexes of large recordings, kept in the user's cache for as long as their files do not change.

Losing one costs the time of a reading and nothing else, so one that is damaged or of another version is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from pytest_pluralism import __version__
from pytest_pluralism.files import cache_folder

__all__ = ["Columns", "KeptIndex"]

#: The hash of the key of each row, the offset of its line, its draw, and whether it is a text.
Columns = tuple["array[int]", "array[int]", "array[int]", "array[int]"]

#: The name and the type of each column.
_COLUMNS = (("hashes", "Q"), ("offsets", "Q"), ("draws", "i"), ("is_text", "b"))

#: Raised when rows are read in another way.
VERSION = 2


class KeptIndex:
    """The kept index of one recording.

    Parameters
    ----------
    path : Path
        The recording; its size, times and inode tell when it has changed.
    """

    def __init__(self, path: Path, /) -> None:
        status = path.stat()
        # The second time changes also where the first is set back.
        times = [status.st_mtime_ns, status.st_ctime_ns]
        about = [VERSION, __version__, str(path.resolve()), status.st_size, *times, status.st_ino]
        digest = hashlib.sha256(json.dumps(about).encode("utf-8", "surrogatepass")).hexdigest()
        self.path = cache_folder() / "recordings" / f"{digest[:32]}.npz"

    def read(self) -> Columns | None:
        """Return the columns; ``None`` where there is no index that can be used."""
        try:
            with np.load(self.path, allow_pickle=False) as content:
                columns: Any = tuple(array(code, content[name].tobytes()) for name, code in _COLUMNS)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return columns if len({len(column) for column in columns}) == 1 and columns[0] else None

    def write(self, columns: Columns, /) -> None:
        """Keep the columns, where the cache can be written."""
        stream = io.BytesIO()
        # Names as in _COLUMNS.
        hashes, offsets, draws, is_text = (np.array(column) for column in columns)
        np.savez(stream, hashes=hashes, offsets=offsets, draws=draws, is_text=is_text)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(stream.getbuffer())
            Path(name).replace(self.path)
