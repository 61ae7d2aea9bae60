"""Names of populations, groups and attributes: those that look the same are the same, or an error."""

from __future__ import annotations

import functools
import unicodedata

from pytest_pluralism.datasets.fields import Kind, UnfitError, as_text

__all__ = ["NAME", "Names", "clean_name"]

#: Characters that have no width: zero width space, word joiner, byte order mark, soft hyphen, marks of direction.
INVISIBLE = dict.fromkeys(
    [0x200B, 0x2060, 0xFEFF, 0xAD, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)

#: Small letters of Cyrillic and Greek, of which they or their capitals look like Latin ones, and signs that look alike.
LOOKALIKES = (
    str.maketrans(
        "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u051d"
        "\u03b1\u03b2\u03b5\u03b9\u03ba\u03bf\u03c1\u03c4\u03c7",
        "abekmhopctyxijsdqwabeikoptx",
    )
    | dict.fromkeys(map(ord, "\u2019\u2018\u02bc`\u00b4"), "'")
    | dict.fromkeys(map(ord, "\u2010\u2011\u2013\u2014\u2212"), "-")
)


# A table has few different names in many rows.
@functools.lru_cache(maxsize=1 << 16)
def clean_name(name: str, /) -> str:
    r"""Return a name in one Unicode form, without invisible characters, and with single spaces.

    Examples
    --------
    >>> clean_name("Co\u0302te  d\u2019Ivoire\u200b") == "C\u00f4te d\u2019Ivoire"
    True
    """
    return " ".join(unicodedata.normalize("NFC", name.translate(INVISIBLE)).split())


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
        key = unicodedata.normalize("NFKC", name.casefold()).translate(LOOKALIKES)
        first, place = self.seen.setdefault(key, (name, where))
        if first == name:
            return ""
        how = "case alone" if first.casefold() == name.casefold() else "letters that look alike"
        at = f" ({place})" if place else ""
        differing = [f"U+{ord(sign):04X}" for sign in name if sign not in first and not sign.isascii()][:3]
        signs = f" ({', '.join(differing)})" if differing else ""
        return (
            f"{self.kind} {name!r} differs from {first!r}{at} by {how}{signs}; write both the same, or tell them apart"
        )
