"""The rows of recorded answers: the fields of one row, what each may hold, and the key under which it is found."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

from pytest_pluralism.core.errors import ModelError, did_you_mean
from pytest_pluralism.core.finite import is_finite, is_number
from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.recorded.ids import text_key

__all__ = ["KINDS", "MOST_CHARACTERS", "Row", "RowError", "name_key", "read_row", "row_of_line"]

#: By so much probabilities may exceed 1 in total.
ROUNDED_UP = 1e-3

#: Maximum number of characters of one text.
MOST_CHARACTERS = 1_000_000

#: The fields that say which request a row answers; each row has one.
KEYS = ("prompt_id", "custom_id", "question_id", "query_id", "prompt", "messages")

#: The fields that hold an answer, and the kind of answer; each row has one.
KINDS: Mapping[str, str] = {
    "probabilities": "answer",
    "log_probabilities": "answer",
    "samples": "answer",
    "top_log_probabilities": "answer",
    "log_likelihoods": "full_answers",
    "response": "text",
    "responses": "text",
    "entailment": "entailment",
    "reward": "reward",
}

#: The fields that stand beside those.
_BESIDE = (
    *("population", "steering", "context", "draw", "stopped_by", "n_tokens", "neutral_log_likelihoods"),
    *("label_logits", "top_tokens", "neutral", "contradiction", "n_drawn", "error", "round", "role", "work", "model"),
    *("unread_choice", "options"),
)

FIELDS = (*KEYS, *KINDS, *_BESIDE)
_KNOWN = frozenset(FIELDS)


class RowError(ModelError):
    """A row that cannot be read; the text says why, without the place."""


class Row(NamedTuple):
    """One row.

    Attributes
    ----------
    key : str
        Under which it is found.
    shown : str
        The key as a message shows it.
    kind : {"answer", "full_answers", "text", "entailment", "reward"}
        Of the answer.
    field : str
        The field that holds the answer.
    content : dict
        The whole row.
    by_name : bool
        Whether its options are those of a question of a survey, in the survey's order, and not the labels of a prompt.
    draw : int or None
        The number of the draw, where it is said.
    """

    key: str
    shown: str
    kind: str
    field: str
    content: JsonFields
    by_name: bool
    draw: int | None

    @property
    def value(self) -> Any:
        """The answer as it was written."""
        return self.content[self.field]


def name_key(name: str, steering: str = "", context: str = "", /) -> str:
    """Return the key of a question or query, put plainly or steered to an attribute in a context."""
    return "name:" + json.dumps([name, steering, context], ensure_ascii=True)


def row_of_line(line: bytes, /) -> JsonFields:
    """Return the JSON object of a line.

    Raises
    ------
    RowError
        It is not one, or names a field or an option twice.
    """
    try:
        text = line.decode("utf-8")
        content, end = _DECODER.raw_decode(text) if text.startswith("{") else (None, -1)
        if end != len(text):
            # Blanks around it are read over, and anything else is an error.
            content = _DECODER.decode(text)
    except RowError:
        raise
    except (ValueError, RecursionError) as error:
        cut = " (the file may be cut off)" if not line.rstrip().endswith(b"}") else ""
        raise RowError(f"is not JSON{cut}: {str(error)[:120]}") from None
    if not isinstance(content, dict):
        raise RowError('must be a JSON object, such as {"question_id": "q1", "probabilities": {"Yes": 0.6, "No": 0.4}}')
    return content


def _once_each(pairs: list[tuple[str, object]]) -> JsonFields:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError(f"has {twice[:60]!r} twice. Leave one out")
    return found


def read_row(content: JsonFields, /) -> Row:
    """Return a row, checked as far as that goes without the question.

    Raises
    ------
    RowError
        A field is missing, unknown, doubled or wrong.
    """
    if content.get("error"):
        raise RowError(f"holds an error instead of an answer ({str(content['error'])[:120]}). Ask it again")
    if not content.keys() <= _KNOWN:
        unknown = next(name for name in content if name not in _KNOWN)
        hint = did_you_mean(unknown, FIELDS)
        raise RowError(f"has an unknown field {unknown[:60]!r}.{hint}")
    field = _one_of(content, KINDS, "an answer")
    kind = KINDS[field]
    key, shown, by_name = _key(content)
    draw = content.get("draw")
    if draw is not None and (type(draw) is not int or draw < 0):
        raise RowError(f"has draw {draw!r}. It must be a whole number from 0")
    if draw is not None and field == "responses":
        raise RowError("has one draw for several 'responses'. Leave the draw out, or write a row for each response")
    _CHECKS[field](field, content[field])
    _check_drawn(content)
    _check_options(content.get("options"))
    if field == "log_likelihoods" and content.get("neutral_log_likelihoods") is not None:
        _check_log_likelihoods("neutral_log_likelihoods", content["neutral_log_likelihoods"])
    return Row(key, shown, kind, field, content, by_name, draw)


#: One decoder for all lines; making one costs as much as reading a short line.
_DECODER = json.JSONDecoder(object_pairs_hook=_once_each)


def _one_of(content: JsonFields, names: Collection[str], what: str) -> str:
    there = content.keys() & names
    if len(there) == 1:
        (name,) = there
        if content[name] is not None:
            return name
    found = [name for name in content if name in names and content[name] is not None]
    if len(found) != 1:
        got = "none" if not found else " and ".join(map(repr, found))
        raise RowError(f"must have {what}: one of {', '.join(names)}. Got {got}")
    return found[0]


def _key(content: JsonFields) -> tuple[str, str, bool]:
    field = _one_of(content, KEYS, "the name of what it answers")
    value = content[field]
    if field == "messages":
        messages = value if isinstance(value, list) else []
        if not messages or not all(isinstance(one, dict) and {"role", "content"} <= one.keys() for one in messages):
            raise RowError("has 'messages' that are not a list of objects with role and content")
        return text_key([{"role": one["role"], "content": one["content"]} for one in messages]), "messages", False
    if isinstance(value, int) and not isinstance(value, bool) and field in ("question_id", "query_id"):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise RowError(f"has {field!r} {str(value)[:40]!r}. It must be a text that is not empty")
    if field == "prompt":
        return text_key(value), f"prompt {value[:40]!r}", False
    if field in ("prompt_id", "custom_id"):
        return f"id:{value}", value, False
    steering, context = _steering(content)
    return name_key(value, steering, context), f"{value}{f' steered to {steering}' if steering else ''}", True


def _steering(content: JsonFields) -> tuple[str, str]:
    given = [content.get(name) or "" for name in ("population", "steering", "context")]
    if not all(isinstance(one, str) for one in given):
        raise RowError("has a population, steering or context that is not a text")
    population, steering, context = given
    if population and steering and population != steering:
        raise RowError(f"has the population {population!r} and the steering {steering!r}. Name one of them")
    return steering or population, context


def _numbers(name: str, value: object) -> list[float]:
    numbers = list(value.values()) if isinstance(value, dict) else value
    if isinstance(numbers, list) and set(map(type, numbers)) == _FLOATS and not any(map(math.isnan, numbers)):
        return numbers
    if not isinstance(numbers, list) or not numbers:
        raise RowError(f"has {name!r} that is neither an object of numbers by option nor a list of numbers")
    for number in numbers:
        is_odd = isinstance(number, bool) or not isinstance(number, int | float) or number != number
        if is_odd or (isinstance(number, int) and not is_finite(number)):
            raise RowError(f"has {str(number)[:40]!r} among its {name}. Each must be a number")
    return cast("list[float]", numbers)


_FLOATS = {float}


def _check_log_likelihoods(name: str, value: object) -> None:
    if max(_numbers(name, value)) > ROUNDED_UP:
        raise RowError(f"has {name} above 0: {str(value)[:80]}. They must be natural logarithms of likelihoods")


def _check_probabilities(name: str, value: object) -> None:
    numbers = _numbers(name, value)
    if min(numbers) < 0.0 or max(numbers) > 1.0 + ROUNDED_UP:
        raise RowError(f"has {name} outside of [0, 1]: {str(value)[:80]}")
    _check_total(name, math.fsum(numbers))


def _check_log_probabilities(name: str, value: object) -> None:
    numbers = _numbers(name, value)
    if max(numbers) > ROUNDED_UP:
        raise RowError(f"has {name} above 0: {str(value)[:80]}. They must be natural logarithms of probabilities")
    _check_total(name, math.fsum(math.exp(number) for number in numbers))


def _check_total(name: str, total: float) -> None:
    if total > 1.0 + ROUNDED_UP:
        raise RowError(f"has {name} that sum to {total:.4g}. They must be at most 1 in total")
    if total <= 0.0:
        raise RowError(f"has {name} that are all 0, so that nothing can be compared")


def _check_drawn(content: JsonFields) -> None:
    """Refuse a number of draws that is smaller than the counts."""
    drawn = content.get("n_drawn")
    if drawn is None:
        return
    if "samples" not in content or not is_number(drawn):
        raise RowError(f"has n_drawn {str(drawn)[:40]!r}. It must be the number of draws beside samples")
    total = math.fsum(_numbers("samples", content["samples"]))
    if not total <= drawn:
        raise RowError(f"has n_drawn {drawn:g}, and samples that sum to {total:g}")


def _check_options(shown: object) -> None:
    if shown is None:
        return
    if not isinstance(shown, list) or not shown or not all(isinstance(one, str) and one.strip() for one in shown):
        raise RowError(f"has options {str(shown)[:80]}. They must be a list of texts, in the order that was shown")
    if len({one.strip().casefold() for one in shown}) < len(shown):
        raise RowError(f"shows an option twice: {str(shown)[:80]}")


def _check_samples(name: str, value: object) -> None:
    numbers = _numbers(name, value)
    if min(numbers) < 0 or any(number != int(number) for number in numbers if math.isfinite(number)):
        raise RowError(f"has {name} that are not counts: {str(value)[:80]}")
    if not 0 < math.fsum(numbers) < math.inf:
        raise RowError(f"has {name} that are all 0 or infinite, so that nothing can be compared")


def _check_text(name: str, value: object) -> None:
    texts = value if isinstance(value, list) and name == "responses" else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"has {name!r} that is not a text" + (" or a list of texts" if name == "responses" else ""))
    if max(map(len, texts)) > MOST_CHARACTERS:
        raise RowError(f"has a text of more than {MOST_CHARACTERS:,} characters")


def _check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise RowError(f"has {name} {str(value)[:40]!r}. It must be a probability")


def _check_number(name: str, value: object) -> None:
    if not is_number(value):
        raise RowError(f"has {name} {str(value)[:40]!r}. It must be a finite number")


_CHECKS = {
    "probabilities": _check_probabilities,
    "log_probabilities": _check_log_probabilities,
    "samples": _check_samples,
    "top_log_probabilities": _check_log_probabilities,
    "log_likelihoods": _check_log_likelihoods,
    "response": _check_text,
    "responses": _check_text,
    "entailment": _check_share,
    "reward": _check_number,
}
