"""Measurements of models on one machine, kept in the user's cache. No torch here.

One small JSON file for each thing measured of each model on each device, replaced as a whole.
Losing one costs a measurement and nothing else, so a file that is damaged, old or of another version is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.files import write_atomically
from pytest_pluralism.models.answers.store import default_answers_folder

__all__ = ["MeasuredFile", "measured_folder", "threads_offered"]

SCHEMA = "pytest-pluralism/measured/1"

#: Drivers, neighbours on a shared device and the machine itself change; what is older is measured again.
MOST_AGE = 14 * 86400.0

#: A longer file was not written by us, and is not read.
MOST_BYTES = 100_000


def measured_folder() -> Path:
    """Return where measurements lie: ``measured`` beside the folder of answers in the user's cache."""
    return default_answers_folder().parent / "measured"


def threads_offered() -> int:
    """Return how many threads this process may use, as the environment says it, before torch is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        text = os.environ.get(name, "").partition(",")[0].strip()
        if text.isdigit() and int(text):
            return int(text)
    with contextlib.suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """The file of one measurement: ``kind`` says of what, ``key`` of which model, where and with what."""

    kind: str
    key: Mapping[str, str | int]

    @property
    def path(self) -> Path:
        """The file; the same for equal keys."""
        content = json.dumps([SCHEMA, self.kind, dict(self.key)], sort_keys=True)
        digest = hashlib.sha256(content.encode("ascii", "backslashreplace")).hexdigest()
        return measured_folder() / f"{self.kind}-{digest[:32]}.json"

    def read(self) -> tuple[JsonFields | None, str]:
        """Return what was kept, or ``None`` and why it cannot be used (nothing: there is no file, or an old one)."""
        path = self.path
        try:
            with path.open("rb") as stream:
                raw = stream.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"what was measured before cannot be read ({error.strerror}: {path}), so it is measured again"
        try:
            content = json.loads(raw.decode("utf-8"))
            known = content["schema"] == SCHEMA and content["kind"] == self.kind and content["key"] == dict(self.key)
            measured, created = content["measured"], float(content["created"])
            if not known or not isinstance(measured, dict) or not math.isfinite(created):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None, f"what was measured before is damaged, so it is measured again: {path}"
        return (measured, "") if abs(time.time() - created) <= MOST_AGE else (None, "")

    def write(self, measured: Mapping[str, object], /) -> str:
        """Keep something, in place of what was there; return why it could not be kept, or nothing."""
        path = self.path
        content = {
            "schema": SCHEMA,
            "kind": self.kind,
            "key": dict(self.key),
            "created": round(time.time(), 3),
            "measured": dict(measured),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
        except OSError as error:
            return f"what was measured cannot be kept for the next run ({error.strerror}: {path})"
        return ""
