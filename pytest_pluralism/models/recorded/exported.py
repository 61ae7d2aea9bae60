"""Requests as rows of a file, and rows answered elsewhere: what ``pluralism export`` writes, and who may answer it.

A row holds the whole request, so that any machine with this package can answer it without the suite
(:func:`answered_rows`), and its text and messages, so that any other program can.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    FullAnswerPrompt,
    GenerationSettings,
    Prompt,
    RequestName,
    Response,
    RewardRequest,
    Turn,
)
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.models.prompts import render_prompt
from pytest_pluralism.models.recorded.ids import Asked, messages_of, prompt_id

__all__ = ["answered_rows", "exported_row", "request_of"]

#: The kinds of work that rows can ask for, with the type of their requests.
WORKS: Mapping[str, type] = {
    "answers": Prompt,
    "full_answers": FullAnswerPrompt,
    "responses": Prompt,
    "entailment": EntailmentPair,
    "rewards": RewardRequest,
}


def exported_row(
    asked: Asked,
    /,
    *,
    work: str,
    role: str,
    number: int,
    settings: GenerationSettings | None = None,
    n_draws: int = 1,
    name: RequestName | None = None,
) -> JsonFields:
    """Return one request as plain JSON values.

    Parameters
    ----------
    asked : Prompt, FullAnswerPrompt, EntailmentPair or RewardRequest
        The request.
    work, role : str
        The kind of work, and the model that does it.
    number : int
        The number of the round, from 1.
    settings : GenerationSettings, optional
        The settings of texts.
    n_draws : int
        The number of texts.
    name : RequestName, optional
        The name that people use for it.
    """
    row: JsonFields = {"prompt_id": prompt_id(asked, settings), "round": number, "role": role, "work": work}
    if name is not None:
        row["question_id"] = name.name
        row |= {part: value for part in ("steering", "context") if (value := getattr(name, part))}
    prompt = asked.prompt if isinstance(asked, FullAnswerPrompt) else asked
    if isinstance(prompt, Prompt):
        row |= {"labels": list(prompt.labels)} if work == "answers" else {}
        row["template"] = "raw" if prompt.verbatim is not None else prompt.template
        if prompt.template != "chat":
            row["prompt"] = render_prompt(dataclasses.replace(prompt, template="raw"), chat=None)
        if row["template"] != "raw":
            row["messages"] = messages_of(prompt)
    row["request"] = _plain(asked)
    if settings is not None:
        row |= {"settings": _plain(settings), "n_draws": n_draws}
    return row


def request_of(row: JsonObject, /) -> tuple[Asked, GenerationSettings | None, int]:
    """Return the request of a row, the settings of its texts, and how many are wanted.

    Raises
    ------
    ModelError
        The row is not one of :func:`exported_row`, or was changed.
    """
    try:
        asked = _rebuilt(WORKS[row["work"]], row["request"])
        settings = _rebuilt(GenerationSettings, row["settings"]) if row.get("settings") else None
        same = prompt_id(asked, settings) == row["prompt_id"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"A row is not one that pluralism export writes ({error}). Export the suite again.") from None
    if not same:
        raise ModelError(
            f"The request of row {str(row['prompt_id'])[:60]!r} is not the one that it was written with. Export the "
            "suite again with the version that answers it."
        )
    return asked, settings, int(row.get("n_draws", 1))


def answered_rows(model: Any, rows: Sequence[JsonObject], /) -> Iterator[JsonFields]:
    """Yield the recorded answers of a model to exported rows, as ``responses:FILE`` reads them.

    Parameters
    ----------
    model : LanguageModel, EntailmentModel or ValueModel
        The model.
    rows : sequence of mapping
        Rows of :func:`exported_row`. All that one call holds is asked at once, so that batches can be large.

    Raises
    ------
    ModelError
        A row was changed, or the model cannot answer it.
    """
    by_work: dict[tuple[str, GenerationSettings | None, int], list[Asked]] = {}
    for row in rows:
        asked, settings, n_draws = request_of(row)
        by_work.setdefault((row["work"], settings, n_draws), []).append(asked)
    for (work, settings, n_draws), requests in by_work.items():
        if work == "responses":
            written = model.generate(requests, settings, n_draws=n_draws)
            for asked, draws in zip(requests, written, strict=True):
                for one in draws:
                    yield {
                        "prompt_id": prompt_id(asked, settings),
                        "response": one.text,
                        "draw": one.draw,
                        "n_tokens": one.n_tokens,
                        "stopped_by": one.stopped_by,
                        **_marked(one),
                    }
            continue
        methods = {"answers": "answer", "full_answers": "score_answers", "entailment": "entail", "rewards": "reward"}
        results = getattr(model, methods[work])(requests)
        for asked, result in zip(requests, results, strict=True):
            yield {"prompt_id": prompt_id(asked), **_written(work, result)}


def _written(work: str, result: Any) -> JsonFields:
    if work == "rewards":
        return {"reward": float(result)}
    if work == "entailment":
        return {name: value for name, value in dataclasses.asdict(result).items() if value is not None}
    if work == "full_answers":
        return {
            "log_likelihoods": list(result.log_likelihoods),
            "neutral_log_likelihoods": list(result.neutral_log_likelihoods),
            "n_tokens": list(result.n_tokens),
        }
    if result.is_sampled:
        return {"samples": list(result.counts), "n_drawn": result.n_drawn, **_marked(result)}
    beside = {
        **({"label_logits": [list(row) for row in result.label_logits]} if result.label_logits else {}),
        **({"top_tokens": [list(row) for row in result.top_tokens]} if result.top_tokens else {}),
    }
    return {"log_probabilities": list(result.log_probabilities), **beside, **_marked(result)}


def _marked(result: Answer | Response) -> JsonFields:
    return {"unread_choice": True} if result.unread_choice else {}


def _plain(record: object) -> Any:
    """Return what differs from the defaults of a record as JSON values."""
    if isinstance(record, tuple):
        return [_plain(one) for one in record]
    if not dataclasses.is_dataclass(record):
        return record
    return {
        field.name: _plain(value)
        for field in dataclasses.fields(record)
        if (value := getattr(record, field.name)) != field.default
    }


def _rebuilt(kind: type, content: JsonObject) -> Any:
    nested: Mapping[str, type] = {"prompt": Prompt, "neutral": Prompt} if kind is FullAnswerPrompt else {}
    values = {}
    for name, value in content.items():
        if name in nested:
            values[name] = _rebuilt(nested[name], value)
        elif name == "examples":
            values[name] = tuple(_rebuilt(Turn, one) for one in value)
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
