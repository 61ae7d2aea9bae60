"""Untrusted text made fit to print: neither a terminal nor the runner of a code host obeys anything in it."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["as_parameter_id", "harmless", "has_secret", "printable", "without_commands"]

#: A user name with a password in a URL.
_PASSWORD = re.compile(r"://[^\s/#?,@:]*:[^\s/#?,]*@")

#: A user name, which may be a token, or a query, which may hold a key, in the URL of an endpoint.
_ENDPOINT_SECRET = re.compile(r"\Aendpoint:[^#]*(?:://[^\s/#?,]*@|\?)")

#: Categories of characters that are not seen, or that a terminal obeys.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

#: ``##[error]`` of GitHub Actions holds anywhere in a line; ``##vso[`` and ``##teamcity[`` are of its relatives.
_HASHED = re.compile(r"##(?=\w*\[)")

#: ``::error::`` of GitHub Actions holds where a line begins, behind blanks of every kind.
_LEADING = re.compile(r"^(\s*)::")


def printable(text: str, /, *, most: int = 60) -> str:
    """Return untrusted text as a part of one line, shortened to ``most`` characters.

    Control characters (ANSI escapes and line feeds among them), marks that turn the writing direction, and lone
    surrogates are shown as escapes, and so is one character of what a code host would take for a command.
    """
    cut = text[: most + 1]
    result = without_commands("".join(_shown(character) for character in cut))
    return result if len(result) <= most and len(text) <= most else result[: most - 1].rstrip() + "…"


def harmless(text: str, /) -> str:
    """Return a message of several lines, whole, with the same cleaning as :func:`printable` in each line."""
    lines = ("".join(map(_shown, line)) for line in text.split("\n"))
    return "\n".join(map(without_commands, lines))


def has_secret(text: str, /) -> bool:
    """Return whether a URL holds what may be a secret.

    Examples
    --------
    >>> has_secret("https://me:hunter2@example.org/baselines"), has_secret("endpoint:http://token@host#model")
    (True, True)
    >>> has_secret("endpoint:http://host:8000/v1#model?timeout=5"), has_secret("sftp://me@host/baselines")
    (False, False)
    """
    return _PASSWORD.search(text) is not None or _ENDPOINT_SECRET.search(text) is not None


def without_commands(line: str, /) -> str:
    r"""Return a line in which the runner of a code host finds no command; escape sequences stay.

    Examples
    --------
    >>> print(without_commands("  ::error::forged"))
      :\x3aerror::forged
    >>> print(without_commands("all is ##[error]well"))
    all is #\x23[error]well
    """
    return _LEADING.sub(r"\1:\\x3a", _HASHED.sub(r"#\\x23", line))


def as_parameter_id(text: str, /) -> str:
    """Return a text for the brackets of a node id, in which the runner of a code host finds no command.

    pytest escapes what a terminal would obey, and a backslash once more.
    """
    return _HASHED.sub("#_", text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
