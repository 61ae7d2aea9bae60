"""Words that show how a sentence takes an argument: as denied, as asked, as left open, or as held."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["CUES", "asks", "comments_on", "denies", "is_negative", "leaves_open", "takes_no_side"]

_FALSE = (
    r"(?:false|untrue|incorrect|mistaken|baseless|groundless|unfounded|misleading|nonsense|absurd|debunked|"
    r"disproved|disproven|refuted|discredited|inaccurate|erroneous|fallacious|unsupported|(?:a|the|one|another)\s+"
    r"(?:\w+\s+)?(?:myth|misconception|fallacy|lie|hoax|misunderstanding|falsehood))"
)
_CLAIM = r"(?:claims?|idea|notion|belief|view|assertion|argument|statement|suggestion|theory|assumption|opinion|point)"

_SAY = r"(?:claim|say|think|believe|assume|suggest|argue|conclude)"

#: A clause that takes back what it names.
_DENIAL = re.compile(
    rf"""
      \b(?:is|are|was|were|be|been|['’]s|['’]re)\s+(?:\w+ly\s+|quite\s+|just\s+|long\s+been\s+|now\s+)?{_FALSE}\b
    | \b(?:wrong|(?:mistake|error))\s+to\s+{_SAY}\b
    | \b(?:this|that|it|they|which|{_CLAIM})\s+(?:is|are|was|were)\s+(?:simply\s+|just\s+)?wrong\b(?!\s+to\b)
    | \b(?:has|have)\s+(?:\w+\s+)?been\s+(?:\w+ly\s+)?{_FALSE}\b
    | \b(?:not|n['’]t|hardly|never|neither)\s+(?:\w+ly\s+)?(?:true|correct|right|accurate|the\s+case|valid|so)\b
    | \bnor\s+is\s+it\s+(?:true|the\s+case)\b
    | \b(?:no|little|not\s+any|without)\s+(?:\w+\s+)?(?:evidence|proof|truth|basis|reason\s+to\s+believe)\b
    | \bno\s+(?:\w+\s+)?(?:study|studies|research|data|facts?)\s+(?:show|suggest|support|prove)
    | \bnothing\s+(?:\w+\s+)?(?:suggests|shows|supports|proves|indicates)\b
    | \b(?:do|does|should|would|can|could|must)(?:\s+not|n['’]t|not)\s+(?:\w+ly\s+)?(?:believe|accept|conclude|think)\b
    | \b(?:nobody|no\s+one)\s+(?:\w+\s+)?(?:believe|accept|conclude|think)s?\b
    | \bcontrary\s+to\b | \bfar\s+from\s+(?:it\s+)?being\b | \bmyths?\b | \bmisconceptions?\b | \bfallac(?:y|ies)\b
    | \b(?:refut|debunk|disprov)(?:e?s|ed|ing|e)?\b
    | \b(?:dismiss|reject|rebut|discredit)(?:e?s|ed|ing)?\s+
      (?:the|this|that|these|those|any|all)\s+(?:\w+\s+)?{_CLAIM}\b
    | \b(?:facts|data|evidence|studies|research|reality)\s+(?:clearly\s+)?(?:says?|shows?|suggests?|proves?)\s+
      (?:otherwise|the\s+opposite)
    | \b(?:does|do)(?:\s+not|n['’]t)\s+(?:hold\s+up|stand\s+up|follow\s+that|add\s+up)
    | \bin\s+(?:reality|fact|truth),?\s+(?:this|that|it)\s+is\s+(?:not|un)
    | (?:^|[?]\s*)["'“]?no[,.!]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_OPEN = re.compile(
    r"\bwhether\b|\b(?:nobody|no\s+one)\s+knows\b|\bremains\s+(?:an\s+open|unclear|unknown)|\b(?:un(?:clear|known|certain)|"
    r"debatable|open\s+question)\b|\bhave\s+not\s+settled\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|hardly|unable|fails?\s+to|lacks?)\b|n['’]t\b",
    re.IGNORECASE,
)
_NO_SIDE = re.compile(
    r"""
      \b(?:it|that|this|much|answer|(?:would|could|might|will|really|all))\s+depends?\b
    | \b(?:do\s+not|don['’]t|cannot|can['’]t)\s+(?:really\s+)?
      (?:know|say|tell|decide|judge|take\s+(?:a\s+)?(?:sides?|position|stance))\b
    | \b(?:not\s+|un)(?:sure|certain)\b | \bundecided\b | \bneutral\b
    | \b(?:no|not\s+have\s+(?:any\s+)?)\s*(?:\w+\s+)?(?:opinions?|position|stance)\b
    | \b(?:hard|difficult|impossible)\s+to\s+say\b | \byes\s+and\s+no\b
    | \b(?:both|all|many|several)\s+(?:sides|perspectives|viewpoints|views|opinions)\b
    | \b(?:complex|complicated|controversial|difficult|personal|debated|sensitive|contested)\s+(?:and\s+\w+\s+)?
      (?:issue|topic|question|matter|subject|one)\b
    | \b(?:not\s+able|unable|not\s+in\s+a\s+position)\s+to\b
    | \b(?:some|those|people|many|supporters|proponents)\b.*\b(?:others?|opponents|critics|(?:and|while|but)\s+some|
      and\s+people)\b
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(
    rf"""^\W*(?:(?:but|yet|however|still|actually|in\s+(?:fact|reality|truth)|of\s+course|clearly),?\s+)*
    (?:(?:this|that|such|the|these|those)(?:\s+{_CLAIM})?|it|they|he|she|there|none\s+of\s+(?:this|that|it))\b""",
    re.IGNORECASE | re.VERBOSE,
)
#: A comment on the sentence before is short.
_MOST_COMMENT_WORDS = 14


def denies(text: str, /) -> bool:
    """Return whether a text takes back something that it names.

    Examples
    --------
    >>> denies("It is a myth that taxes hurt."), denies("Taxes hurt."), denies("They claim it, but this is false.")
    (True, False, True)
    """
    return _DENIAL.search(text) is not None


def asks(text: str, /) -> bool:
    """Return whether a text ends with a question.

    Examples
    --------
    >>> asks("Do taxes hurt?"), asks("Taxes hurt.")
    (True, False)
    """
    return text.rstrip(" \"'”’)*_").endswith("?")


def leaves_open(text: str, /) -> bool:
    """Return whether a text says that something is not known or not decided.

    Examples
    --------
    >>> leaves_open("It is unclear whether taxes hurt."), leaves_open("Taxes hurt.")
    (True, False)
    """
    return _OPEN.search(text) is not None


def takes_no_side(text: str, /) -> bool:
    """Return whether a text says that its writer has no answer, or reports the answers of several sides.

    Examples
    --------
    >>> takes_no_side("It depends."), takes_no_side("Some would spend more, others less."), takes_no_side("Spend more.")
    (True, True, False)
    """
    return _NO_SIDE.search(text) is not None


def is_negative(text: str, /) -> bool:
    """Return whether a text says what is not so: an odd number of negations, of which a denial counts as one.

    Examples
    --------
    >>> is_negative("Taxes do not hurt."), is_negative("It is a myth that taxes do not hurt.")
    (True, False)
    """
    rest = _DENIAL.sub(" ", text)
    return (len(_NEGATION.findall(rest)) + denies(text)) % 2 == 1


def comments_on(sentence: str, /) -> bool:
    """Return whether a sentence is a short comment that takes back the one before it.

    Examples
    --------
    >>> comments_on("This is false."), comments_on("In reality, that is a myth."), comments_on("Taxes pay for schools.")
    (True, True, False)
    """
    short = len(sentence.split()) <= _MOST_COMMENT_WORDS
    return short and _COMMENT.match(sentence) is not None and denies(sentence)


def _turned(said: str, argument: str) -> bool:
    return is_negative(said) != is_negative(argument)


#: The cues of a sentence beside an argument, by the name of the feature: each is 1 where it shows, else 0.
CUES: dict[str, Callable[[str, str], bool]] = {
    "denial": lambda said, argument: denies(said) and not denies(argument),
    "turned": _turned,
    "question": lambda said, argument: asks(said) and not asks(argument),
    "open": lambda said, argument: leaves_open(said) and not leaves_open(argument),
}
