"""In which language a text is: enough to warn when responses and windows are in different ones.

An entailment model that reads two languages at once gives numbers that mean nothing, and nothing else shows it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from typing import Any

__all__ = ["detect_language", "script_of"]

#: Shorter texts are too often taken for another language.
LEAST_CHARACTERS = 40

#: How sure the detector must be.
LEAST_PROBABILITY = 0.9


def detect_language(text: str, /) -> str | None:
    """Return the language of a text, or ``None`` where it is too short or too mixed to say.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str or None
        A code of ISO 639 such as ``"en"`` where the package ``py3langid`` is installed, else the script of most
        letters (``"LATIN"``, ``"CJK"``), which tells Chinese from English but not English from French.

    Examples
    --------
    >>> detect_language("OK") is None
    True
    """
    letters = sum(character.isalpha() for character in text)
    script = script_of(text)
    # A sign of Chinese or Japanese says as much as several letters.
    if script is None or letters < (LEAST_CHARACTERS if script == "LATIN" else LEAST_CHARACTERS // 4):
        return None
    identifier = _identifier()
    if identifier is None:
        return script
    language, probability = identifier.classify(text)
    return str(language) if probability >= LEAST_PROBABILITY else None


def script_of(text: str, /) -> str | None:
    """Return the script of most letters of a text, by the first word of their names in Unicode.

    Examples
    --------
    >>> script_of("Straße 7"), script_of("何故"), script_of("7!")
    ('LATIN', 'CJK', None)
    """
    found = Counter(unicodedata.name(character, "?").split()[0] for character in text[:4000] if character.isalpha())
    return found.most_common(1)[0][0] if found else None


@functools.cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
