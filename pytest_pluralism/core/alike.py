"""Texts that look the same although their characters differ."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Mapping

__all__ = ["differing", "look", "look_alikes", "without_unseen"]

#: Characters that nothing is seen of: without a width, marks of direction, fillers, variation selectors, tags.
_UNSEEN = dict.fromkeys(
    [
        0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0,
        *range(0x180B, 0x1810), 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10), *range(0xE0080, 0xE0200),
    ]
)  # fmt: skip

#: Tags are not seen either, except behind a black flag, which they make the flag of a country.
_TAGS, _FLAG = dict.fromkeys(range(0xE0000, 0xE0080)), "\U0001f3f4"

#: Joiners are letters of some scripts' spelling, and are not seen beside others.
_JOINERS = dict.fromkeys([0x200C, 0x200D])

#: Latin letters, and those of other scripts that look like them, in the same order.
_LETTERS = {
    # Cyrillic, small and capital
    "aeopcyxijsdqwhlvy": (
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u051d\u04bb\u04cf\u0475\u04af"
    ),
    "ABEKMHOPCTYXIJSGQWY": (
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
        "\u050c\u051a\u051c\u04ae"
    ),
    # Greek
    "aikvopuxcj": "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c5\u03c7\u03f2\u03f3",
    "ABEZHIKMNOPTYXCJ": (
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9\u037f"
    ),
    # Armenian
    "ounhqg": "\u0585\u057d\u0578\u0570\u0566\u0581",
    "UOLN": "\u054d\u0555\u053c\u0548",
    # Cherokee
    "DRTiYAJWMHGhZbRWLCPB": (
        "\u13a0\u13a1\u13a2\u13a5\u13a9\u13aa\u13ab\u13b3\u13b7\u13bb\u13c0\u13c2\u13c3\u13cf\u13d2"
        "\u13d4\u13de\u13df\u13e2\u13f4"
    ),
    # Latin letters that others are taken for
    "iagocuvz": "\u0131\u0251\u0261\u1d0f\u1d04\u1d1c\u1d20\u1d22",
}

#: Signs of which several look the same.
_SIGNS = {
    "'": "\u2018\u2019\u02bc\u02b9\u2032\u00b4`\uff07",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u02d7\ufe58",
    '"': "\u201c\u201d\u2033\u02ba",
    "/": "\u2044\u2215",
    ":": "\ua789\u02d0\u2236",
    ".": "\u2024\u06d4",
    ",": "\u201a",
    "|": "\u01c0\u2223",
    "!": "\u01c3",
}

_LOOKS = {
    **{
        ord(letter): latin
        for latins, letters in _LETTERS.items()
        for latin, letter in zip(latins, letters, strict=True)
    },
    **{ord(one): sign for sign, those in _SIGNS.items() for one in those},
}

#: Forms that Unicode takes for the same letter, and that are seen as another.
_SEEN_FORMS = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>", "<vertical>")


def look(text: str, /) -> str:
    r"""Return what is seen of a text: texts that look the same have one look.

    Unicode's forms of one letter, wide letters, letters of other scripts that look like Latin ones, characters that
    are not seen, and blanks of every kind and number do not count; case does.

    Examples
    --------
    >>> look("N\u043erth\u00a0 America\u200b")
    'North America'
    >>> look("10\u00b2 m") == look("102 m")
    False
    """
    if text.isascii():
        return " ".join(text.split())
    return _look(text)


@functools.lru_cache(maxsize=1 << 14)
def _look(text: str) -> str:
    text = unicodedata.normalize("NFC", without_unseen(text).translate(_JOINERS))
    seen = (
        one if one.isascii() or unicodedata.decomposition(one).startswith(_SEEN_FORMS) else _one_form(one)
        for one in text
    )
    return " ".join("".join(seen).translate(_LOOKS).split())


def without_unseen(text: str, /) -> str:
    """Return a text without the characters that are not seen; a blank of Braille is a blank."""
    text = text.translate(_UNSEEN).replace("\u2800", " ")
    return text if _FLAG in text else text.translate(_TAGS)


def _one_form(character: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", character))


def look_alikes(texts: Iterable[str], /) -> Mapping[str, str]:
    """Return the texts that look like an earlier one, each with that one."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        earlier = first.setdefault(look(text), text)
        if earlier != text:
            found[text] = earlier
    return found


def differing(text: str, other: str, /, *, most: int = 3) -> str:
    r"""Return the characters that a text has and another lacks, by their codes; how they differ where there is none.

    Examples
    --------
    >>> differing("N\u043erth", "North"), differing("Si\u0301", "S\u00ed"), differing("a  b", "a b")
    ('U+043E', 'U+0301', 'blanks')
    """
    codes = [f"U+{ord(one):04X}" for one in dict.fromkeys(text) if one not in other and not one.isascii()]
    codes = codes or [f"not U+{ord(one):04X}" for one in dict.fromkeys(other) if one not in text and not one.isascii()]
    return ", ".join(codes[:most]) or ("blanks" if text.split() == other.split() else "the order of marks")
