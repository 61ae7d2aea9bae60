"""Names of requests that a file can hold: the same request has the same id in every run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from pytest_pluralism.core.records import (
    EntailmentPair,
    FullAnswerPrompt,
    GenerationSettings,
    Prompt,
    RewardRequest,
)
from pytest_pluralism.models.answers.kinds import canonical

__all__ = ["Asked", "messages_of", "prompt_id", "text_key"]

#: A request that a file can answer.
Asked = Prompt | FullAnswerPrompt | EntailmentPair | RewardRequest

#: The first letter of an id says what is asked for.
_LETTERS: Mapping[type, str] = {FullAnswerPrompt: "f", EntailmentPair: "e", RewardRequest: "w"}


def prompt_id(asked: Asked, settings: GenerationSettings | None = None, /) -> str:
    """Return the id of a request: a letter and 32 hexadecimal digits.

    Parameters
    ----------
    asked : Prompt, FullAnswerPrompt, EntailmentPair or RewardRequest
        The request.
    settings : GenerationSettings, optional
        The settings of a text that is asked for. The draws of one prompt share an id.

    Examples
    --------
    >>> prompt_id(Prompt("Is it?", ("A", "B")))[:2]
    'a-'
    """
    letter = _LETTERS.get(type(asked), "a" if settings is None else "r")
    content = {"asked": _said(asked), "settings": None if settings is None else _said(settings)}
    return f"{letter}-{hashlib.sha256(canonical(content)).hexdigest()[:32]}"


def _said(record: object) -> object:
    """Return what differs from the defaults of a record, so that a later field does not change the ids of today."""
    if isinstance(record, tuple):
        return [_said(one) for one in record]
    if not dataclasses.is_dataclass(record):
        return record
    return {
        field.name: _said(value)
        for field in dataclasses.fields(record)
        if (value := getattr(record, field.name)) != field.default
    }


def messages_of(prompt: Prompt, /) -> list[dict[str, str]]:
    """Return the messages of a prompt in chat form: the system's, an exchange for each example, and the question.

    Examples
    --------
    >>> messages_of(Prompt("Is it?", ("A", "B"), system="Answer."))[0]
    {'role': 'system', 'content': 'Answer.'}
    """
    messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
    for turn in prompt.examples:
        messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    return [*messages, {"role": "user", "content": prompt.question}]


def text_key(asked: object, /) -> str:
    """Return the key of a rendered text, or of messages."""
    kind = "text" if isinstance(asked, str) else "messages"
    return f"{kind}:{hashlib.sha256(canonical(asked)).hexdigest()}"
