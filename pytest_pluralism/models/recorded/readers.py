"""Readers of the logs that other tools write: each turns one object of a log into rows of our own form.

Nothing of those tools is imported: their shapes are those of their public documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.recorded.rows import RowError

__all__ = ["READERS", "Reader", "reader_of"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of one kind of log.

    Attributes
    ----------
    name : str
        The name of the tool in messages.
    matches : callable
        Returns whether the first object of a file is of this kind.
    rows : callable
        Yields our rows for one object; none where it holds no answer.
    note : str
        The limits of what such a log says.
    is_filtered : bool
        Whether it has a row of each document for each filter.
    """

    name: str
    matches: Callable[[JsonFields], bool]
    rows: Callable[[JsonFields], Iterator[JsonFields]]
    note: str = ""
    is_filtered: bool = False


def reader_of(first: JsonFields, /) -> Reader | None:
    """Return the reader of a file by its first object; ``None`` where its rows are in our own form."""
    return next((reader for reader in READERS if reader.matches(first)), None)


def _has(content: JsonFields, *names: str) -> bool:
    return all(name in content for name in names)


# ------------------------------------------------------------------------------------- batches of OpenAI and vLLM


def _is_batch(content: JsonFields) -> bool:
    return _has(content, "custom_id", "response") and not isinstance(content["response"], str)


def _batch(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the choices of one result of a batch."""
    response = content["response"] if isinstance(content["response"], dict) else {}
    status, body = response.get("status_code", 200), response.get("body", response)
    if content.get("error") or status != 200 or not isinstance(body, dict) or not body.get("choices"):
        why = content.get("error") or (body.get("error") if isinstance(body, dict) else None) or f"status {status}"
        raise RowError(f"of {str(content['custom_id'])[:60]!r} holds no answer ({str(why)[:120]}). Ask it again")
    yield from _choices(body["choices"], {"custom_id": content["custom_id"]})


def _choices(choices: Any, key: JsonFields) -> Iterator[JsonFields]:
    """Yield a row for each choice of a completion: its likeliest first tokens where they are there, else its text."""
    for choice in choices:
        text = choice.get("text")
        if text is None:
            text = (choice.get("message") or {}).get("content")
        if text is None:
            raise RowError(f"of {next(iter(key.values()))!r} has a choice without a text")
        first = _first_tokens(choice.get("logprobs"))
        if first and len(choices) == 1 and str(key.get("custom_id", "a-")).startswith("a-"):
            yield {**key, "top_log_probabilities": first}
            return
        reason = choice.get("finish_reason") or choice.get("stop_reason")
        stopped = {"stop": "eos", "length": "length", "max_tokens": "length"}.get(str(reason), "eos")
        draw = choice.get("index", 0)
        yield {**key, "response": _text(text), "draw": draw, "stopped_by": stopped}


def _first_tokens(logprobs: object) -> dict[str, float]:
    """Return the log-probabilities of the likeliest first tokens, in the form of chats or of completions."""
    if not isinstance(logprobs, dict):
        return {}
    content, top = logprobs.get("content"), logprobs.get("top_logprobs")
    if isinstance(content, list) and content:
        listed = content[0].get("top_logprobs") or []
        return {one["token"]: one["logprob"] for one in listed}
    return dict(top[0]) if isinstance(top, list) and top and isinstance(top[0], dict) else {}


def _text(content: object) -> str:
    """Return the text of a message, whose parts may be a list."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)


# ---------------------------------------------------------------------------------------- lm-evaluation-harness


def _is_harness(content: JsonFields) -> bool:
    return _has(content, "doc_id", "doc", "arguments") and ("resps" in content or "filtered_resps" in content)


def _harness(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the likelihoods of the choices of one document, or the texts that were generated for it."""
    doc = content["doc"] if isinstance(content["doc"], dict) else {}
    name = next((str(doc[key]) for key in ("question_id", "query_id", "id") if key in doc), str(content["doc_id"]))
    arguments = content["arguments"]
    pairs = list(arguments.values()) if isinstance(arguments, dict) else arguments
    pairs = [[one.get("arg_0"), one.get("arg_1")] if isinstance(one, dict) else one for one in pairs]
    found = content.get("resps") or content["filtered_resps"]
    if pairs and isinstance(pairs[0][1], dict):
        # Settings of a generation instead of a continuation.
        texts = [text for one in found for text in (one if isinstance(one, list) else [one])]
        yield from ({"question_id": name, "response": str(text), "draw": draw} for draw, text in enumerate(texts))
        return
    values = [float(_first_number(one)) for one in found]
    endings = [str(pair[1]).strip() for pair in pairs]
    if len(values) != len(endings) or len(set(endings)) < len(endings):
        raise RowError(f"has {len(values)} likelihoods for {len(set(endings))} different continuations")
    if all(len(ending) == 1 for ending in endings):
        first = ord(min(endings))
        if endings != sorted(endings) and {ord(one) - first for one in endings} == set(range(len(endings))):
            listed = ", ".join(endings)
            raise RowError(
                f"lists its choices as {listed}, so that nobody knows their order. List them from {chr(first)}"
            )
        yield {"question_id": name, "log_probabilities": values}
    else:
        yield {"question_id": name, "log_likelihoods": dict(zip(endings, values, strict=True))}


def _first_number(value: Any) -> float:
    while isinstance(value, list) and value:
        value = value[0]
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise RowError(f"has the likelihood {str(value)[:40]!r}, which is not a number") from None


# --------------------------------------------------------------------------------------------------- inspect_ai


def _is_inspect(content: JsonFields) -> bool:
    whole = _has(content, "eval", "samples") or (_has(content, "eval", "status") and "version" in content)
    return whole or _has(content, "id", "epoch", "input", "output")


def _inspect(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the answers of one sample, or of all samples of a log that is one document."""
    if "epoch" not in content:
        for sample in content.get("samples") or ():
            yield from _inspect(sample)
        return
    name, draw = str(content["id"]), int(content["epoch"]) - 1
    key: JsonFields = {"question_id": name, **_shown(content.get("choices"))}
    choices = (content["output"] or {}).get("choices") or []
    if content.get("error") or not choices:
        why = str(content.get("error") or "no output")[:120]
        raise RowError(f"of sample {name!r} holds no answer ({why}). Run it again, or leave it out of the log")
    first = _first_tokens(choices[0].get("logprobs"))
    if first:
        # Likeliest tokens are the same answer in each epoch.
        yield from [{**key, "top_log_probabilities": first}] if draw == 0 else []
        return
    for row in _choices(choices[:1], key):
        yield {**row, "draw": draw}


def _shown(choices: object) -> JsonFields:
    """Return the options beside the letters of a prompt; nothing where letters are all that the log has."""
    if not isinstance(choices, list) or all(str(one).strip() == chr(65 + place) for place, one in enumerate(choices)):
        return {}
    return {"options": [str(one) for one in choices]}


# --------------------------------------------------------------------------------------------------------- HELM


def _is_helm(content: JsonFields) -> bool:
    return _has(content, "instance_id", "stats", "train_trial_index")


def _helm(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the option that a model chose in one trial; nothing for perturbed instances and other statistics."""
    if content.get("perturbation"):
        return
    for stat in content["stats"]:
        if stat["name"].get("name") == "predicted_index" and stat.get("count") == 1:
            letter = chr(ord("A") + int(stat["sum"]))
            yield {"question_id": content["instance_id"], "response": letter, "draw": content["train_trial_index"]}
            return


def _is_helm_states(content: JsonFields) -> bool:
    return _has(content, "adapter_spec", "request_states") or _has(content, "instance", "train_trial_index", "request")


def _helm_states(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the texts of one request to a model, or of all requests of a ``scenario_state.json``."""
    if "request_states" in content:
        for state in content["request_states"]:
            yield from _helm_states(state)
        return
    instance, result = content["instance"], content.get("result") or {}
    name = str(instance["id"])
    if instance.get("perturbation"):
        return
    if content.get("reference_index") is not None:
        raise RowError(
            f"of instance {name!r} scores one choice by itself, and only the display file says which one was taken. "
            "Run the scenario with the choices in one prompt (multiple_choice_joint)"
        )
    completions = result.get("completions") or []
    if result.get("success") is False or not completions:
        why = str(result.get("error") or "no completion")[:120]
        raise RowError(f"of instance {name!r} holds no answer ({why}). Run it again, or leave it out of the log")
    for number, one in enumerate(completions):
        draw = int(content["train_trial_index"]) * len(completions) + number
        text = _text(one["text"])
        # A letter stands for the option that this prompt showed beside it.
        said = (content.get("output_mapping") or {}).get(text.strip(), text)
        yield {"question_id": name, "response": str(said), "draw": draw}


def _is_helm_display(content: JsonFields) -> bool:
    return _has(content, "instance_id", "train_trial_index", "predicted_text")


def _helm_display(content: JsonFields) -> Iterator[JsonFields]:
    """Yield the text of one entry of ``display_predictions.json``: the option that HELM mapped it to, where it did."""
    if content.get("perturbation"):
        return
    mapped = content.get("mapped_output")
    text = mapped if isinstance(mapped, str) else _text(content["predicted_text"])
    yield {"question_id": str(content["instance_id"]), "response": text, "draw": content["train_trial_index"]}


READERS: tuple[Reader, ...] = (
    Reader("a batch of OpenAI or vLLM", _is_batch, _batch),
    Reader("lm-evaluation-harness", _is_harness, _harness, is_filtered=True),
    Reader("inspect_ai", _is_inspect, _inspect),
    # Its entries have all fields of the next kind too.
    Reader("HELM display_predictions", _is_helm_display, _helm_display),
    Reader(
        "HELM per_instance_stats",
        _is_helm,
        _helm,
        "HELM tells only the likeliest option of each question and trial, which is counted like a draw. It shows less "
        "variety than the model has",
    ),
    Reader("HELM scenario_state", _is_helm_states, _helm_states),
)
