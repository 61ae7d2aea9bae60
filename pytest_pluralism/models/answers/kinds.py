"""Kinds of answers: the key of each, how it is written, and how it is read back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import numbers
from collections.abc import Callable
from typing import Any

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
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["ENGINE_NUMERICS", "answer_key", "entailment_key", "full_answer_key", "response_key", "reward_key"]


#: Raised by one whenever a change of the engine moves its numbers by more than rounding: older answers are then misses.
ENGINE_NUMERICS = 1

#: A longer row was not written by us, and is not read.
MOST_ROW_BYTES = 1_000_000


def answer_key(identity: ModelIdentity, prompt: Prompt, /) -> bytes:
    """Return the SHA-256 under which an answer is kept.

    It covers the hash of the model (checkpoint, tokenizer, chat template, dtype), the type of the device, every field
    of the prompt, and :data:`ENGINE_NUMERICS`.
    """
    return _key(identity, {"prompt": prompt})


def response_key(identity: ModelIdentity, prompt: Prompt, settings: GenerationSettings, draw: int, /) -> bytes:
    """Return the SHA-256 under which a response is kept.

    It covers all that :func:`answer_key` covers, every setting (the seed among them), and the number of the draw.
    """
    return _key(identity, {"kind": "response", "prompt": prompt, "settings": settings, "draw": draw})


def full_answer_key(identity: ModelIdentity, asked: FullAnswerPrompt, /) -> bytes:
    """Return the SHA-256 under which the scores of whole answers are kept.

    It covers all that :func:`answer_key` covers, the texts of the answers, and the neutral prompt.
    """
    asked = dataclasses.replace(asked, neutral=asked.neutral_prompt)
    return _key(identity, {"kind": "full answers", "asked": asked})


def entailment_key(identity: ModelIdentity, pair: EntailmentPair, /) -> bytes:
    """Return the SHA-256 under which the scores of a pair of texts are kept.

    It covers the hash of the entailment model (checkpoint, tokenizer, labels, temperature, dtype), the type of the
    device, both texts with their order, and :data:`ENGINE_NUMERICS`.
    """
    return _key(identity, {"kind": "entailment", "pair": pair})


def reward_key(identity: ModelIdentity, asked: RewardRequest, /) -> bytes:
    """Return the SHA-256 under which a reward is kept.

    It covers the hash of the value model (checkpoint, tokenizer, mode, dtype), the type of the device, prompt, response
    and attribute, and :data:`ENGINE_NUMERICS`.
    """
    return _key(identity, {"kind": "reward", "asked": asked})


def _key(identity: ModelIdentity, asked: dict[str, Any]) -> bytes:
    content = {"model": identity.sha256, "device": device_type(identity), "numerics": ENGINE_NUMERICS}
    return hashlib.sha256(canonical(content | asked)).digest()


def encode(answer: Answer, prompt: Prompt) -> bytes | None:
    """Return an answer as JSON from which it comes back exactly, or ``None`` where there is none."""
    try:
        encoded = canonical(answer)
        same = len(encoded) <= MOST_ROW_BYTES and _decode(encoded, prompt) == answer
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded if same else None


def _decode(encoded: bytes, prompt: Prompt | None) -> Answer | None:
    """Return the answer that was stored, or ``None`` when this version cannot read it without a guess."""
    try:
        content = json.loads(encoded.decode("utf-8", "surrogatepass"))
        if not isinstance(content, dict):
            return None
        answer = Answer(**{name: _frozen(value) for name, value in content.items()})
        numbers = answer.log_probabilities
        if not isinstance(numbers, tuple) or not isinstance(answer.top_token, str):
            return None
        if not all(map(_is_number, (*numbers, answer.option_mass, answer.top_probability))):
            return None
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    if prompt is not None and len(numbers) != len(prompt.labels):
        return None
    return answer


def encode_response(response: Response, settings: GenerationSettings) -> bytes | None:
    """Return a response with its settings as JSON from which it comes back exactly, or ``None``."""
    try:
        encoded = canonical({"response": response, "settings": settings})
        same = len(encoded) <= MOST_ROW_BYTES and decode_response(encoded, (settings, response.draw)) == response
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded if same else None


def decode_response(encoded: bytes, asked: tuple[GenerationSettings, int] | None) -> Response | None:
    """Return the response that was stored, or ``None`` when this version cannot read it without a guess."""
    try:
        content = json.loads(encoded.decode("utf-8", "surrogatepass"))
        response = Response(**content["response"])
        settings = GenerationSettings(**{name: _frozen(value) for name, value in content["settings"].items()})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    if not isinstance(response.text, str) or not isinstance(response.stopped_by, str):
        return None
    if not all(type(number) is int and number >= 0 for number in (response.n_tokens, response.draw)):
        return None
    return response if asked is None or asked == (settings, response.draw) else None


def encode_full_answers(scores: FullAnswerScores, asked: FullAnswerPrompt) -> bytes | None:
    """Return the scores of whole answers as JSON from which they come back exactly, or ``None``."""
    try:
        encoded = canonical(scores)
        same = len(encoded) <= MOST_ROW_BYTES and decode_full_answers(encoded, asked) == scores
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded if same else None


def decode_full_answers(encoded: bytes, asked: FullAnswerPrompt | None) -> FullAnswerScores | None:
    """Return the scores that were stored, or ``None`` when this version cannot read them without a guess."""
    try:
        content = json.loads(encoded.decode("utf-8", "surrogatepass"))
        scores = FullAnswerScores(**{name: _frozen(value) for name, value in content.items()})
        values = (scores.log_likelihoods, scores.neutral_log_likelihoods)
        counts = (scores.n_tokens, scores.n_bytes)
        n = len(scores.log_likelihoods) if asked is None else len(asked.answers)
        if not all(isinstance(numbers, tuple) and len(numbers) == n for numbers in (*values, *counts)):
            return None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if not all(_is_number(number) for numbers in values for number in numbers):
        return None
    return scores if all(type(number) is int and number > 0 for numbers in counts for number in numbers) else None


def encode_entailment(scores: EntailmentScores) -> bytes | None:
    """Return entailment scores as JSON from which they come back exactly, or ``None``."""
    try:
        encoded = canonical(scores)
        same = len(encoded) <= MOST_ROW_BYTES and decode_entailment(encoded) == scores
    except (TypeError, ValueError, RecursionError):
        return None
    return encoded if same else None


def decode_entailment(encoded: bytes) -> EntailmentScores | None:
    """Return the entailment scores that were stored, or ``None`` when this version cannot read them without a guess."""
    try:
        scores = EntailmentScores(**json.loads(encoded.decode("utf-8", "surrogatepass")))
    except (ValueError, TypeError, RecursionError):
        return None
    others = (scores.neutral, scores.contradiction)
    # A two-way model gives neither of the others, a three-way one both.
    known = [scores.entailment, *(value for value in others if value is not None)]
    if len(known) == 2 or not all(_is_number(value) and 0 <= value <= 1 for value in known):
        return None
    return scores


def encode_reward(reward: float) -> bytes | None:
    """Return a reward as JSON from which it comes back exactly, or ``None``."""
    # A model of a project's own may give numbers of numpy.
    if isinstance(reward, bool) or not isinstance(reward, numbers.Real):
        return None
    encoded = canonical({"reward": float(reward)})
    return encoded if decode_reward(encoded) == reward else None


def decode_reward(encoded: bytes) -> float | None:
    """Return the reward that was stored, or ``None`` when this version cannot read it without a guess."""
    try:
        content = json.loads(encoded.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    value = content.get("reward") if isinstance(content, dict) and len(content) == 1 else None
    # Rewards may have any sign and size, but a model that gives one without end has not said anything.
    return value if type(value) is float and math.isfinite(value) else None


DECODERS: dict[str, Callable[[bytes, None], object]] = {
    "answers": lambda encoded, asked: _decode(encoded, asked),
    "responses": lambda encoded, asked: decode_response(encoded, asked),
    "full_answers": lambda encoded, asked: decode_full_answers(encoded, asked),
    "entailments": lambda encoded, asked: decode_entailment(encoded),
    "rewards": lambda encoded, asked: decode_reward(encoded),
}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def canonical(content: Any) -> bytes:
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def _fields(record: Any) -> dict[str, Any]:
    # Several times faster than dataclasses.asdict, which copies every string, and asked for once a prompt.
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


#: Not ensure_ascii: as escapes, a lone pair of surrogates could not be told from the character that they make.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_fields)


def device_type(identity: ModelIdentity) -> str:
    return identity.device.partition(":")[0]
