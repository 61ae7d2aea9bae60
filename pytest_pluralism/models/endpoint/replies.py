"""Reads replies of servers, and refuses those that cannot be true. No network here.

A status of 200 says little: servers ignore fields that they do not know, serve another model than the one that was
named, and wrap errors into replies. So the shape, the name of the model, the numbers of tokens and every
log-probability are checked before anything is made of them.
"""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.untrusted import printable

__all__ = [
    "Listed",
    "NextToken",
    "Scored",
    "Written",
    "check_model",
    "is_same_model",
    "listed_models",
    "next_token",
    "scored_tokens",
    "token_ids_of",
    "written",
]

#: By so much a log-probability may exceed 0, and a sum of probabilities 1: rounding of float32, or of bfloat16 logits.
ROUNDED_UP = 2e-3

#: The number that servers write for the logarithm of 0.
NOTHING = -9000.0

_VALUE = operator.itemgetter(2)

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})")
_TOKEN_ID = re.compile(r"token_id:(\d+)")


@dataclass(frozen=True, slots=True)
class Listed:
    """One model in the list of a server."""

    name: str
    owner: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NextToken:
    """The likeliest next tokens after a prompt, as a server gives them.

    Attributes
    ----------
    tokens : tuple of (str, int or None, float)
        Text, number where the server tells it, and natural log-probability; likeliest first, the one that was drawn
        included.
    drawn : str
        The text of the token that was drawn.
    n_prompt : int or None
        The tokens of the prompt, as the server counts them.
    """

    tokens: tuple[tuple[str, int | None, float], ...]
    drawn: str
    n_prompt: int | None

    @property
    def mass(self) -> float:
        """The probability of all listed tokens together, at most 1."""
        return min(1.0, math.fsum(math.exp(value) for _, _, value in self.tokens))

    @property
    def least(self) -> float:
        """The most that any token has that is not listed: the probability of the least likely listed one.

        The drawn token may be listed far below its rank, so that it does not count as the last.
        """
        last = self.tokens[-1]
        if len(self.tokens) > 1 and last[0] == self.drawn:
            last = self.tokens[-2]
        return min(math.exp(last[2]), 1.0)


@dataclass(frozen=True, slots=True)
class Scored:
    """The log-probability of each token of a text, after those before it."""

    texts: tuple[str, ...]
    values: tuple[float | None, ...]
    n_prompt: int | None


@dataclass(frozen=True, slots=True)
class Written:
    """A text that a server wrote."""

    text: str
    n_tokens: int | None
    why: str
    stop: str | None


def is_same_model(wanted: str, given: object) -> bool:
    """Return whether a server means the model that was asked: by its name, or by a dated snapshot of it."""
    if not isinstance(given, str):
        return False
    return given == wanted or (given.startswith(wanted) and _SNAPSHOT.fullmatch(given[len(wanted) :]) is not None)


def check_model(reply: object, model: str, /, *, place: str) -> None:
    """Refuse the reply of another model.

    Raises
    ------
    ModelError
        The reply is not an object, or names another model.
    """
    if not isinstance(reply, dict):
        raise _wrong(place, f"a {type(reply).__name__} where an object must be", reply)
    if "error" in reply and "choices" not in reply:
        raise _wrong(place, "an error with the status of a success", reply["error"])
    given = reply.get("model")
    if given is not None and not is_same_model(model, given):
        raise ModelError(
            f"{place} answers for the model {printable(str(given))!r}, and {model!r} was asked. Serve that model, or "
            "name the one that is served."
        )


def listed_models(reply: object, /, *, place: str) -> tuple[Listed, ...]:
    """Return the models that a server lists.

    Raises
    ------
    ModelError
        The list has another shape.
    """
    rows = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise _wrong(place, "a list of models of another shape", reply)
    found = []
    for row in rows:
        meta = row["meta"] if isinstance(row.get("meta"), dict) else {}
        facts = {name: row[name] for name in ("root", "parent", "max_model_len", "quantization") if row.get(name)}
        facts |= {name: meta[name] for name in ("n_vocab", "n_embd", "n_params", "size", "ftype") if meta.get(name)}
        names = [row["id"], *(name for name in row.get("aliases") or () if isinstance(name, str))]
        owner = row.get("owned_by")
        told = {name: printable(str(value), most=120) for name, value in facts.items()}
        found += [Listed(name, owner if isinstance(owner, str) else "", told) for name in dict.fromkeys(names)]
    return tuple(found)


def next_token(reply: object, /, *, place: str) -> NextToken:
    """Return the likeliest next tokens, from a reply in the form of completions or of chat.

    Raises
    ------
    ModelError
        The reply has another shape, has no log-probabilities, or has some that cannot be probabilities.
    """
    choice = _choice(reply, place)
    content = choice.get("logprobs")
    if not isinstance(content, dict):
        raise _wrong(place, "no log-probabilities, which were asked for", choice)
    if isinstance(content.get("content"), list):
        # The form of chat, which llama.cpp gives for completions too.
        rows = content["content"]
        if not rows or not isinstance(rows[0], dict):
            raise _wrong(place, "no log-probabilities of the first token", content)
        listed = _entries(rows[0].get("top_logprobs") or (), place)
        own = _entry(rows[0], place)
    else:
        tops, tokens, values = (content.get(name) for name in ("top_logprobs", "tokens", "token_logprobs"))
        if not (isinstance(tops, list) and isinstance(tokens, list) and isinstance(values, list) and tops and tokens):
            raise _wrong(place, "log-probabilities of another shape", content)
        top = tops[-1] if isinstance(tops[-1], dict) else {}
        listed = _entries([{"token": token, "logprob": value} for token, value in top.items()], place)
        own = _entry({"token": tokens[-1], "logprob": values[-1]}, place)
    # The one that was drawn stands first; where it is listed too, the list counts.
    by_token = {one[:2]: one for one in (own, *listed)}
    found = tuple(sorted([one for one in by_token.values() if one[2] > NOTHING], key=_VALUE, reverse=True))
    if not found or not listed:
        raise _wrong(place, "no likeliest tokens, which were asked for", content)
    total = math.fsum(math.exp(value) for _, _, value in found)
    if total > 1.0 + ROUNDED_UP:
        raise ModelError(
            f"{place} gives the {len(found)} likeliest tokens a probability of {total:.4f} together, which is above 1. "
            "These are no probabilities: see whether the server normalises over a part of the tokens."
        )
    return NextToken(found, own[0], _usage(reply, "prompt_tokens"))


def scored_tokens(reply: object, /, *, place: str) -> Scored:
    """Return the log-probabilities of a text that was given back with them (``echo``).

    Raises
    ------
    ModelError
        The reply has another shape, or log-probabilities that cannot be.
    """
    content = _choice(reply, place).get("logprobs")
    tokens, values = (
        (content.get(name) for name in ("tokens", "token_logprobs")) if isinstance(content, dict) else (None, None)
    )
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        raise _wrong(place, "no log-probabilities of the prompt, which were asked for", content)
    read = tuple(None if value is None else _value(value, place) for value in values)
    return Scored(tuple(map(str, tokens)), read, _usage(reply, "prompt_tokens"))


def written(reply: object, /, *, place: str) -> Written:
    """Return the text of a reply, in the form of completions or of chat.

    Raises
    ------
    ModelError
        The reply has another shape, or the server held the text back.
    """
    choice = _choice(reply, place)
    why = choice.get("finish_reason")
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if why == "content_filter":
        raise ModelError(f"{place} held a text back (finish_reason: content_filter). Nothing can be said of it.")
    if isinstance(message, dict) and text is None and isinstance(message.get("refusal"), str):
        text = message["refusal"]
    if text is None and isinstance(message, dict):
        raise ModelError(
            f"{place} gave no text: its model may have spent all tokens on thoughts. Allow more tokens, or serve the "
            "model without thoughts."
        )
    if not isinstance(text, str):
        raise _wrong(place, "no text", choice)
    stop = choice.get("stop_reason")
    return Written(
        text,
        _usage(reply, "completion_tokens"),
        why if isinstance(why, str) else "",
        stop if isinstance(stop, str) else None,
    )


def token_ids_of(reply: Any, /, *, place: str) -> tuple[int, ...]:
    """Return the numbers of the tokens of a text, as the server's tokenizer gives them.

    Raises
    ------
    ModelError
        The reply has another shape.
    """
    rows = reply.get("tokens") if isinstance(reply, dict) else reply
    # TGI gives a list of objects, SGLang and vLLM numbers in an object, llama.cpp either.
    ids: list[Any] = (
        [row.get("id") if isinstance(row, dict) else row for row in rows] if isinstance(rows, list) else [-1]
    )
    if not all(type(one) is int and one >= 0 for one in ids):
        raise _wrong(place, "tokens of another shape", reply)
    return tuple(ids)


def _choice(reply: object, place: str) -> JsonObject:
    """Return the one choice of a reply."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise _wrong(place, "something else than one choice", reply)
    choice: Mapping[str, object] = choices[0]
    return choice


def _entries(rows: Iterable[object], place: str) -> list[tuple[str, int | None, float]]:
    """Return the text, the number and the log-probability of each entry of a list, which may be long."""
    found = []
    for one in rows:
        if type(one) is dict:
            text, number, value = one.get("token"), one.get("id"), one.get("logprob")
            # As nearly all are; the others, and wrong ones, are looked at with care.
            if type(text) is str and type(value) is float and value <= 0.0 and not text.startswith("token_id:"):
                found.append((text, number if type(number) is int else None, value))
                continue
        found.append(_entry(one, place))
    return found


def _entry(one: object, place: str) -> tuple[str, int | None, float]:
    if not isinstance(one, dict) or not isinstance(one.get("token"), str):
        raise _wrong(place, "a token without its text", one)
    text, number = one["token"], one.get("id")
    named = _TOKEN_ID.fullmatch(text)
    if named is not None:
        number = int(named[1])
    return text, number if type(number) is int else None, _value(one.get("logprob"), place)


def _value(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= ROUNDED_UP:
        raise ModelError(
            f"{place} gives the log-probability {printable(str(value))}. It must be the natural logarithm of a "
            "probability: a number of at most 0."
        )
    # A whole number may be too large for a float.
    return min(float(value), 0.0) if value > -sys.float_info.max else -math.inf


def _usage(reply: object, name: str) -> int | None:
    usage = reply.get("usage") if isinstance(reply, dict) else None
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else None


def _wrong(place: str, what: str, given: object) -> ModelError:
    shown = printable(" ".join(str(given).split()), most=120)
    return ModelError(f"{place} gave {what}: {shown}. It does not speak the protocol of OpenAI as it is asked to.")
