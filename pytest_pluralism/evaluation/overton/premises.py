"""Premises of a response for an entailment model: the whole, each sentence, or a sliding window of sentences.

Every premise is a slice of the response, so that a report can mark where it stands.
"""

from __future__ import annotations

import re
from itertools import pairwise

from pytest_pluralism.core.cues import comments_on
from pytest_pluralism.core.errors import invalid_parameter, needed_for

__all__ = ["PREMISE_FORMS", "premises", "sentences"]

#: How a response can become premises.
PREMISE_FORMS = ("whole", "sentences", "windows")

#: The mark before an entry of a list or a heading: it is not part of a sentence, and the line before has ended.
_MARK = re.compile(r"(?m)^[ \t]*(?:[-*+•–]|\d{1,3}[.)]|[a-zA-Z][)]|\(\w{1,3}\)|\#{1,6})[ \t]+")
#: A line that is a heading; many models write headings in bold.
_HEADING = re.compile(r"(?m)^[ \t]*(?:\#{1,6}[ \t].+|(?:\*\*|__).+(?:\*\*|__):?[ \t]*)$\n?")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_WORD = re.compile(r"\w")


def premises(
    response: str,
    /,
    *,
    form: str = "whole",
    n_sentences: int = 3,
    language: str = "en",
    join_comments: bool = False,
) -> tuple[str, ...]:
    """Return the premises that a response makes.

    Parameters
    ----------
    response : str
        The text of a model or a person.
    form : {"whole", "sentences", "windows"}
        The whole response as one premise; each of its sentences; or every run of ``n_sentences`` sentences, one
        sentence further each time, which finds what one sentence alone does not say.
    n_sentences : int
        The length of a window, at least 1; a response with fewer sentences is one window.
    language : str
        The language of the response, as a code of ISO 639 (``"en"``).

    join_comments : bool
        Whether a short sentence that takes back the one before it ("This is false.") counts as a part of that one: a
        sentence that stands alone would be read as held.

    Returns
    -------
    tuple of str
        Slices of the response, without white space around them, in its order, none of them empty. A response without a
        letter or digit has no premise at all.

    Raises
    ------
    InvalidParameterError
        If ``form`` or ``n_sentences`` is not one of the values above.
    MissingExtraError
        If sentences are asked for and the package that finds them is not installed.

    Examples
    --------
    >>> premises("Taxes pay for schools. They also cost work. Dr. Roe disagrees.", form="sentences")
    ('Taxes pay for schools.', 'They also cost work.', 'Dr. Roe disagrees.')
    >>> premises("One. Two. Three.", form="windows", n_sentences=2)
    ('One. Two.', 'Two. Three.')
    >>> premises("Some say that taxes hurt. This is a myth.", form="sentences", join_comments=True)
    ('Some say that taxes hurt. This is a myth.',)
    >>> premises("  ", form="whole")
    ()
    """
    if form not in PREMISE_FORMS:
        raise invalid_parameter("form", "premises", "one of " + ", ".join(map(repr, PREMISE_FORMS)), repr(form))
    if isinstance(n_sentences, bool) or not isinstance(n_sentences, int) or n_sentences < 1:
        raise invalid_parameter("n_sentences", "premises", "a whole number from 1", repr(n_sentences))
    if not _WORD.search(response):
        return ()
    if form == "whole":
        return (response.strip(),)
    places = _sentence_places(response, language)
    if not places:
        # Nothing but the mark of a list.
        return ()
    if join_comments:
        places = _joined(response, places)
    length = 1 if form == "sentences" else min(n_sentences, len(places))
    return tuple(response[places[at][0] : places[at + length - 1][1]] for at in range(len(places) - length + 1))


def _joined(text: str, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the places of sentences, with each comment on a sentence as a part of it."""
    found: list[tuple[int, int]] = []
    for start, end in places:
        if found and comments_on(text[start:end]):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def sentences(text: str, /, *, language: str = "en") -> tuple[str, ...]:
    r"""Return the sentences of a text, which are slices of it.

    Entries of lists, and headings, stand each on their own, without the marks before them.

    Raises
    ------
    MissingExtraError
        If the package that finds sentences is not installed.

    Examples
    --------
    >>> sentences("Some say yes:\n- it is fair\n- it is cheap. Others say no!")
    ('Some say yes:', 'it is fair', 'it is cheap.', 'Others say no!')
    """
    return tuple(text[start:end] for start, end in _sentence_places(text, language))


def _sentence_places(text: str, language: str) -> list[tuple[int, int]]:
    """Return where each sentence begins and ends, white space left out."""
    with needed_for("Splitting a response into sentences", "pip install sentencex"):
        import sentencex
    marks = [match.span() for match in _MARK.finditer(text)]
    cuts = {0, len(text), *(place for span in marks for place in span)}
    cuts.update(place for match in _HEADING.finditer(text) for place in match.span())
    cuts.update(match.end() for match in _BLANK_LINE.finditer(text))
    # Where a mark begins, the mark itself is left out.
    skipped = {start for start, _ in marks}
    borders = sorted(cuts)
    places = []
    for start, end in pairwise(borders):
        if start in skipped:
            continue
        at = start
        for piece in sentencex.segment(language, text[start:end]):
            found = text.find(piece, at, end) if piece else -1
            if found < 0:
                continue
            at = found + len(piece)
            left = found + len(piece) - len(piece.lstrip())
            right = found + len(piece.rstrip())
            if _WORD.search(text, left, right):
                places.append((left, right))
    return places
