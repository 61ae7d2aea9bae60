"""The kinds of work whose results are kept: one row a kind, with its key and its format."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import numbers
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    RewardRequest,
)
from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ANSWERS",
    "ENGINE_NUMERICS",
    "ENTAILMENTS",
    "FULL_ANSWERS",
    "KINDS",
    "READINGS",
    "RESPONSES",
    "REWARDS",
    "SIMILARITIES",
    "Draw",
    "Kind",
    "Read",
    "canonical",
    "decode",
    "device_type",
    "encode",
    "key_of",
    "read_by",
    "reading_of",
]

#: Raised by one whenever a change of the engine moves its numbers by more than rounding: older answers are then misses.
#: 2: keys hold what a model read, and reward models fill rows up on the right.
ENGINE_NUMERICS = 2

#: A longer row was not written by us, and is not read.
MOST_ROW_BYTES = 1_000_000

#: One text to write: the prompt, the settings, and the number of the draw from 0.
Draw = tuple[Prompt, GenerationSettings, int]

#: The part of a request that a model reads.
Read = Prompt | FullAnswerPrompt | RewardRequest

#: The method of a model that returns the token ids of what it reads, by the kind of request.
_READERS = {Prompt: "token_ids", FullAnswerPrompt: "full_answer_ids", RewardRequest: "reward_ids"}

#: A stored JSON object.
Content: TypeAlias = JsonFields

AskedT = TypeVar("AskedT", bound=Hashable)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Kind(Generic[AskedT, ResultT]):
    """One kind of work whose results are kept.

    Attributes
    ----------
    table : str
        The table of the store that holds the results.
    since : int
        The first version of the store that has the table.
    covered : callable
        Returns what the key covers of a request, beside model, type of device and :data:`ENGINE_NUMERICS`.
    written : callable
        Returns what is stored as JSON for a request and its result; raises ``TypeError`` or ``ValueError`` where the
        result is not of this kind.
    read : callable
        Returns the result that a stored JSON object holds, or ``None`` where it does not hold one that fits the
        request. The request is ``None`` where only the stored object is checked.
    """

    table: str
    since: int
    covered: Callable[[AskedT], Mapping[str, object]]
    written: Callable[[AskedT, ResultT], object]
    read: Callable[[Content, AskedT | None], ResultT | None]


def key_of(kind: Kind[AskedT, ResultT], identity: ModelIdentity, asked: AskedT, /, *, reading: str = "") -> bytes:
    """Return the SHA-256 under which a result is kept.

    It covers the hash of the model (checkpoint, tokenizer, chat template, dtype), the type of the device,
    :data:`ENGINE_NUMERICS`, all that decides the result of a request of this kind, and the ``reading``
    (:func:`reading_of`): the token ids that the model read. A model without a tokenizer here has no reading; what it
    gets is the request itself.
    """
    content = {"model": identity.sha256, "device": device_type(identity), "numerics": ENGINE_NUMERICS}
    read = {"read": reading} if reading else {}
    return hashlib.sha256(canonical(content | read | dict(kind.covered(asked)))).digest()


def read_by(asked: object, /) -> Read | None:
    """Return the part of a request that a model reads as token ids; ``None`` where a request has none."""
    one = asked[0] if isinstance(asked, tuple) and asked else asked
    return one if isinstance(one, Prompt | FullAnswerPrompt | RewardRequest) else None


def reading_of(model: object, read: Read, /) -> str:
    """Return the SHA-256 of the token ids that a model reads; empty where the model has no tokenizer here.

    Raises
    ------
    ModelError
        The model cannot read it, for instance because of its chat template.
    """
    # A served model reads texts or messages where nobody has its tokenizer. Its class is asked, because a model that is
    # not loaded would be loaded for a name that it does not have.
    method = getattr(model, "reading" if hasattr(type(model), "reading") else _READERS[type(read)], None)
    ids = method(read) if callable(method) else None
    return hashlib.sha256(canonical(ids)).hexdigest() if ids else ""


def encode(kind: Kind[AskedT, ResultT], asked: AskedT, result: ResultT, /) -> bytes | None:
    """Return a result as JSON from which it comes back exactly, or ``None`` where there is none."""
    try:
        encoded = canonical(kind.written(asked, result))
        same = len(encoded) <= MOST_ROW_BYTES and decode(kind, encoded, asked) == result
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded if same else None


def decode(kind: Kind[AskedT, ResultT], encoded: bytes, asked: AskedT | None, /) -> ResultT | None:
    """Return the result that was stored, or ``None`` when this version cannot read it without a guess."""
    try:
        text = encoded.decode("utf-8", "surrogatepass")
        content, end = _DECODER.raw_decode(text)
        if end != len(text):
            return None
        return kind.read(content, asked) if isinstance(content, dict) else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _read_answer(content: Content, asked: Prompt | None) -> Answer | None:
    answer = Answer(**_frozen_values(content))
    values = answer.log_probabilities
    if not isinstance(values, tuple) or not isinstance(answer.top_token, str):
        return None
    if asked is not None and len(values) != len(asked.labels):
        return None
    counts, drawn = content.get("counts", ()), content.get("n_drawn", 0.0)
    if counts and (not isinstance(counts, list) or len(counts) != len(values)):
        return None
    bounds = answer.bounds
    if bounds and (len(bounds) != len(values) or not all(isinstance(one, tuple) and len(one) == 2 for one in bounds)):
        return None
    if not all(_is_number(low) and _is_number(high) and 0 <= low <= high <= 1 for low, high in bounds):
        return None
    numbers = (*values, answer.option_mass, answer.top_probability, *counts, drawn)
    return answer if all(map(_is_number, numbers)) and isinstance(answer.unread_choice, bool) else None


def _write_answer(_asked: Prompt | None, answer: Answer) -> object:
    # Rows without these are written as they were before there were sampled answers and bounds.
    later = {"counts": ("counts", "n_drawn"), "bounds": ("bounds",), "unread_choice": ("unread_choice",)}
    left_out = {name for kept, names in later.items() if not getattr(answer, kept, ()) for name in names}
    return {name: value for name, value in _fields(answer).items() if name not in left_out}


def _write_response(asked: Draw, response: Response) -> object:
    content = _fields(response)
    if not response.unread_choice:
        # Such rows are written as they were before there were choices.
        del content["unread_choice"]
    return {"response": content, "settings": asked[1]}


def _read_response(content: Content, asked: Draw | None) -> Response | None:
    response = Response(**content["response"])
    settings = GenerationSettings(**_frozen_values(content["settings"]))
    if not isinstance(response.text, str) or not isinstance(response.stopped_by, str):
        return None
    if not isinstance(response.unread_choice, bool):
        return None
    if not all(map(_is_count, (response.n_tokens, response.draw))):
        return None
    return response if asked is None or asked[1:] == (settings, response.draw) else None


def _cover_full_answers(asked: FullAnswerPrompt) -> Mapping[str, object]:
    # Two requests that differ in how they name the same neutral prompt have one key.
    return {"kind": "full answers", "asked": dataclasses.replace(asked, neutral=asked.neutral_prompt)}


def _read_full_answers(content: Content, asked: FullAnswerPrompt | None) -> FullAnswerScores | None:
    scores = FullAnswerScores(**_frozen_values(content))
    values = (scores.log_likelihoods, scores.neutral_log_likelihoods)
    counts = (scores.n_tokens, scores.n_bytes)
    n = len(scores.log_likelihoods) if asked is None else len(asked.answers)
    if not all(isinstance(given, tuple) and len(given) == n for given in (*values, *counts)):
        return None
    if not all(_is_number(number) for given in values for number in given):
        return None
    return scores if all(_is_count(number) and number > 0 for given in counts for number in given) else None


def _read_entailment(content: Content, _asked: EntailmentPair | None) -> EntailmentScores | None:
    scores = EntailmentScores(**content)
    others = (scores.neutral, scores.contradiction)
    # A two-way model gives neither of the others, a three-way one both.
    known = [scores.entailment, *(value for value in others if value is not None)]
    return scores if len(known) != 2 and all(_is_number(value) and 0 <= value <= 1 for value in known) else None


def _write_reward(_asked: RewardRequest, reward: float) -> object:
    # A model of a project's own may give numbers of numpy.
    if isinstance(reward, bool) or not isinstance(reward, numbers.Real):
        raise TypeError
    return {"reward": float(reward)}


def _read_reward(content: Content, _asked: RewardRequest | None) -> float | None:
    value = content.get("reward") if len(content) == 1 else None
    # A reward may have any sign and size, but a model that gives an infinite one has not said anything.
    return value if type(value) is float and math.isfinite(value) else None


def _write_similarity(_asked: EntailmentPair, similarity: float) -> object:
    return {"similarity": similarity}


def _read_similarity(content: Content, _asked: EntailmentPair | None) -> float | None:
    value = content.get("similarity") if len(content) == 1 else None
    # Rounding may take a cosine a little beyond 1.
    return value if type(value) is float and abs(value) <= 1.001 else None


def _read_reading(content: Content, _asked: Read | None) -> str | None:
    value = content.get("reading") if len(content) == 1 else None
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def _reader_versions() -> list[str]:
    """Return the versions of what turns requests into token ids."""
    names = ("pytest-pluralism", "transformers", "tokenizers", "sentencepiece", "jinja2")
    return [f"{name} {version}" for name in names if (version := package_version(name))]


ANSWERS: Kind[Prompt, Answer] = Kind(
    "answers",
    since=1,
    covered=lambda asked: {"prompt": asked},
    written=_write_answer,
    read=_read_answer,
)
RESPONSES: Kind[Draw, Response] = Kind(
    "responses",
    since=2,
    covered=lambda asked: {"kind": "response", "prompt": asked[0], "settings": asked[1], "draw": asked[2]},
    written=_write_response,
    read=_read_response,
)
FULL_ANSWERS: Kind[FullAnswerPrompt, FullAnswerScores] = Kind(
    "full_answers",
    since=2,
    covered=_cover_full_answers,
    written=lambda _, scores: scores,
    read=_read_full_answers,
)
ENTAILMENTS: Kind[EntailmentPair, EntailmentScores] = Kind(
    "entailments",
    since=3,
    covered=lambda asked: {"kind": "entailment", "pair": asked},
    written=lambda _, scores: scores,
    read=_read_entailment,
)
REWARDS: Kind[RewardRequest, float] = Kind(
    "rewards",
    since=4,
    covered=lambda asked: {"kind": "reward", "asked": asked},
    written=_write_reward,
    read=_read_reward,
)

#: The text that a model reads, remembered so that a run whose answers are all stored needs no tokenizer. The reading
#: is that of one model (its files cover tokenizer and chat template) and of the versions of the packages that read it.
READINGS: Kind[Read, str] = Kind(
    "readings",
    since=5,
    covered=lambda asked: {
        "kind": "reading",
        "of": type(asked).__name__,
        "read": asked,
        "versions": _reader_versions(),
    },
    written=lambda _, reading: {"reading": reading},
    read=_read_reading,
)

#: How like two texts are to an encoder.
SIMILARITIES: Kind[EntailmentPair, float] = Kind(
    "similarities",
    since=6,
    covered=lambda asked: {"kind": "similarity", "pair": asked},
    written=_write_similarity,
    read=_read_similarity,
)

#: Every kind, in the order of the tables.
KINDS: tuple[Kind[Any, Any], ...] = (
    *(ANSWERS, RESPONSES, FULL_ANSWERS, ENTAILMENTS, REWARDS, READINGS),
    SIMILARITIES,
)


def _frozen_values(content: Content) -> Content:
    return {name: _frozen(value) if type(value) is list else value for name, value in content.items()}


def _frozen(value: object) -> object:
    if type(value) is not list:
        return value
    return tuple([_frozen(one) if type(one) is list else one for one in value])


def _is_number(value: object) -> bool:
    if type(value) is float:
        # Nearly every value is one.
        return value == value
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def canonical(content: object) -> bytes:
    """Return plain values and records as JSON in UTF-8, the same for equal contents."""
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def _fields(record: DataclassInstance) -> dict[str, object]:
    # Several times faster than dataclasses.asdict, which copies every string, and asked for once a prompt.
    return {name: getattr(record, name) for name in _field_names(type(record))}


@functools.lru_cache(maxsize=64)
def _field_names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


#: Not ensure_ascii: as escapes, a lone pair of surrogates could not be told from the character that they make. An
#: object that contains itself is a RecursionError, whether or not the encoder looks for it.
_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_fields
)


#: Rows are written without blanks around them, which this reader does not pass over.
_DECODER = json.JSONDecoder()


def device_type(identity: ModelIdentity) -> str:
    """Return the type of the device that a model runs on, such as ``cuda`` for ``cuda:1``."""
    return identity.device.partition(":")[0]
