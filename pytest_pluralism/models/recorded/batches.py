"""Exported requests in the batch formats of OpenAI and vLLM, one request a line under the id of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records.plain import JsonFields, JsonObject

__all__ = ["FORMATS", "BatchForm", "batch_line"]

#: The formats that ``pluralism export`` writes.
FORMATS = ("plain", "openai", "vllm")

#: Maximum number of likeliest tokens that each API gives for a reply in chat form.
TOP_TOKENS: Mapping[str, int] = {"openai": 20, "vllm": 20}

#: Maximum number of likeliest tokens that the older API of completions gives.
TOP_OF_COMPLETIONS: Mapping[str, int] = {"openai": 5, "vllm": 20}

#: Maximum number of new tokens of a sampled answer to a closed question.
SAMPLED_TOKENS = 16


@dataclass(frozen=True, slots=True)
class BatchForm:
    """The form of a batch.

    Attributes
    ----------
    name : {"openai", "vllm"}
        The format.
    model : str
        The name of the model in each request.
    chat : bool
        Whether prompts that may take either form are sent as messages.
    samples : int
        How many answers are drawn to each closed question; 0 asks for the likeliest tokens instead.
    """

    name: str
    model: str
    chat: bool = True
    samples: int = 0


def batch_line(row: JsonObject, form: BatchForm, /) -> JsonFields | None:
    """Return one exported row as a request of a batch; ``None`` where a batch cannot ask it.

    Whole answers, entailment and rewards are not in these formats.

    Raises
    ------
    ModelError
        The row is not one that ``pluralism export`` writes.
    """
    work = row.get("work")
    if work not in ("answers", "responses"):
        return None
    as_chat = "messages" in row and (form.chat or "prompt" not in row)
    if not as_chat and "prompt" not in row:
        raise ModelError(f"Row {str(row.get('prompt_id'))[:60]!r} has neither a prompt nor messages. Export it again.")
    body: JsonFields = {"model": form.model}
    body |= {"messages": row["messages"]} if as_chat else {"prompt": row["prompt"]}
    if work == "responses":
        how = row["settings"]
        body |= {
            "max_tokens": how["max_new_tokens"],
            "temperature": how.get("temperature", 1.0),
            "n": row.get("n_draws", 1),
            "seed": how.get("seed", 0),
        }
        body |= {name: how[name] for name in ("top_p", "stop") if name in how}
        if form.name == "vllm" and "top_k" in how:
            body["top_k"] = how["top_k"]
    elif form.samples:
        body |= {"max_tokens": SAMPLED_TOKENS, "temperature": 1.0, "n": form.samples}
    elif as_chat:
        body |= {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": TOP_TOKENS[form.name]}
    else:
        body |= {"max_tokens": 1, "temperature": 0.0, "logprobs": TOP_OF_COMPLETIONS[form.name]}
    url = "/v1/chat/completions" if as_chat else "/v1/completions"
    return {"custom_id": row["prompt_id"], "method": "POST", "url": url, "body": body}
