"""Names of populations, groups and attributes: those that look the same are the same, or an error."""

from __future__ import annotations

import functools
import unicodedata

from pytest_pluralism.core.alike import differing, look, without_unseen
from pytest_pluralism.datasets.fields import Kind, UnfitError, as_text

__all__ = ["NAME", "Names", "clean_name"]

#: Small letters of Cyrillic and Greek whose capitals look like Latin ones.
_BY_CAPITAL = str.maketrans("\u0432\u043a\u043c\u043d\u0442\u03b2\u03b5\u03c4", "bkmhtbet")


# A table has few different names in many rows.
@functools.lru_cache(maxsize=1 << 16)
def clean_name(name: str, /) -> str:
    r"""Return a name in one Unicode form, without invisible characters, and with single spaces.

    Examples
    --------
    >>> clean_name("Co\u0302te  d\u2019Ivoire\u200b") == "C\u00f4te d\u2019Ivoire"
    True
    """
    return " ".join(unicodedata.normalize("NFC", without_unseen(name)).split())


def _named(value: object) -> str:
    name = clean_name(as_text(value))
    if not name:
        raise UnfitError
    return name


#: The kind of a name.
NAME = Kind("a non-empty string", _named)


class Names:
    """The names of one kind in a file, of which no two may look alike.

    Parameters
    ----------
    kind : str
        The kind in words: ``"population"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.seen: dict[str, tuple[str, str]] = {}
        self.known: set[str] = set()

    def alike(self, name: str, where: str, /) -> str:
        """Return a sentence about a new name that differs from an earlier one by case or look-alike letters alone.

        It is empty where there is no such name.
        """
        if name in self.known:
            return ""
        self.known.add(name)
        key = look(unicodedata.normalize("NFKC", name)).casefold().translate(_BY_CAPITAL)
        first, place = self.seen.setdefault(key, (name, where))
        if first == name:
            return ""
        how = "case alone" if first.casefold() == name.casefold() else "letters that look alike"
        at = f" ({place})" if place else ""
        signs = f" ({differing(name, first)})" if how != "case alone" else ""
        return (
            f"{self.kind} {name!r} differs from {first!r}{at} by {how}{signs}; write both the same, or tell them apart"
        )
