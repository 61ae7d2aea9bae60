"""Make source distributions reproducible: members in one order, with one time, owner and mode.

    python tools/settled_sdist.py dist/*.tar.gz

The time is ``SOURCE_DATE_EPOCH``, or 0. Two builds of one commit then have the same bytes.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def settle(path: Path, /) -> None:
    """Rewrite a ``.tar.gz`` file in place."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    plain = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            content = old.extractfile(member) if member.isfile() else None
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, content)
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed:
        packed.write(plain.getvalue())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        settle(Path(name))
