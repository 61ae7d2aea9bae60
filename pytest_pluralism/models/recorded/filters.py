"""Logs of lm-evaluation-harness hold every document once for each filter of its task; one of them is enough."""

from __future__ import annotations

import hashlib
import json

from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.recorded.rows import RowError

__all__ = ["Filters"]


class Filters:
    """The filters of one log, of which the first is read.

    A filter picks from the answers of a model, and its log has these answers too: rows of further filters say nothing
    new. Where the log has only what the filters left, they contradict each other, and the log is refused.
    """

    def __init__(self) -> None:
        self._first = ""
        self._others: dict[str, int] = {}
        self._seen: set[int] = set()

    def repeats(self, content: JsonFields, /) -> bool:
        """Return whether a row is that of a further filter about answers that were read before.

        Raises
        ------
        RowError
            It has other answers than the row of the first filter, or only what its filter left.
        """
        name = content.get("filter")
        if not isinstance(name, str) or "doc_id" not in content:
            return False
        self._first = self._first or name
        answers = content.get("resps")
        whole = json.dumps([content["doc_id"], content.get("doc"), answers], sort_keys=True).encode()
        known = int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "big")
        if name == self._first:
            self._seen.add(known)
            return False
        first, other = printable(self._first), printable(name)
        remedy = f'Keep the rows of one filter, such as those with "filter": "{first}"'
        if not answers:
            raise RowError(
                f'is that of a second filter, "{other}", and has no "resps", the answers before it. {remedy}'
            )
        if known not in self._seen:
            raise RowError(f'has answers under the filter "{other}" that no row of "{first}" above it has. {remedy}')
        self._others[other] = self._others.get(other, 0) + 1
        return True

    @property
    def note(self) -> str:
        """Which filter was read, where there were several."""
        if not self._others:
            return ""
        listed = ", ".join(f'"{name}"' for name in sorted(self._others))
        return (
            f'the log has every answer once for each filter: those of "{printable(self._first)}" were read, before the '
            f"filter, and {sum(self._others.values()):,} rows of {listed} repeat them"
        )
