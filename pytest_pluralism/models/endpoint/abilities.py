"""The abilities of a server, as they were found out, and the requests that it understands. No network here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_pluralism.core.records import Prompt

__all__ = ["CHAT", "COMPLETIONS", "TOP_K", "Abilities", "Message", "Sent", "messages_of"]

#: The routes of the protocol.
COMPLETIONS, CHAT = "/completions", "/chat/completions"

#: The numbers of likeliest tokens that are tried, the most first: servers refuse more than their cap.
TOP_K = (1000, 100, 20, 10, 5, 1)

Message = dict[str, str]

#: The prompt as it is sent: numbers of tokens, a text, or messages.
Sent = tuple[int, ...] | str | list[Message]


@dataclass(frozen=True)
class Abilities:
    """The abilities of one server with one model.

    Attributes
    ----------
    kind : str
        ``"vllm"``, ``"sglang"``, ``"llamacpp"``, ``"tgi"``, or ``""`` where the server does not say.
    said : mapping of str to str
        The words of the server about itself and the model.
    top_k : mapping of str to int
        For each route that works the likeliest tokens that it gives; 0 where it gives no log-probabilities.
    capped : bool
        True where the server gives no more than ``top_k`` of them.
    most : str
        The name of the field for the maximum number of new tokens.
    untouched : mapping
        The fields that switch off what a server does to probabilities by default.
    seeded : bool
        True where the server takes a seed.
    several : bool
        True where one request may ask for several texts.
    numbers : bool
        True where a prompt may be given as numbers of tokens.
    tokenizes : str
        The field in which the route ``/tokenize`` takes a text; empty where there is no such route.
    chosen : bool
        True where the log-probabilities of chosen tokens can be asked for (``logprob_token_ids``).
    echo : bool
        True where the log-probabilities of a prompt's own tokens are given.
    folds_system : bool
        True where a system text must stand before the first question.
    """

    kind: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    top_k: Mapping[str, int] = field(default_factory=dict)
    capped: bool = True
    most: str = "max_tokens"
    untouched: Mapping[str, object] = field(default_factory=dict)
    seeded: bool = True
    several: bool = False
    numbers: bool = False
    tokenizes: str = ""
    chosen: bool = False
    echo: bool = False
    folds_system: bool = False

    def body(self, model: str, sent: Sent, *, new: int = 1, seed: int = 0) -> tuple[str, dict[str, object]]:
        """Return the route and the request that asks for new tokens, drawn from the model's own probabilities."""
        route = CHAT if isinstance(sent, list) else COMPLETIONS
        body: dict[str, object] = {"model": model, self.most if route == CHAT else "max_tokens": new}
        body |= {"messages": sent} if isinstance(sent, list) else {"prompt": list(sent) if sent_ids(sent) else sent}
        body |= {"temperature": 1.0, "top_p": 1.0, **self.untouched}
        if route == CHAT and self.kind in {"vllm", "sglang", "llamacpp"}:
            # A model that thinks first would not answer at the first position.
            body["chat_template_kwargs"] = {"enable_thinking": False, "thinking": False}
        if self.seeded:
            body["seed"] = seed
        return route, body

    def with_top(self, route: str, body: dict[str, object], top_k: int) -> dict[str, object]:
        """Return a request that asks for the likeliest tokens too."""
        return body | ({"logprobs": True, "top_logprobs": top_k} if route == CHAT else {"logprobs": top_k})

    def sentences(self, *, has_tokenizer: bool) -> list[str]:
        """Return what the server can do, in words."""
        routes = " and ".join(route.strip("/") for route in self.top_k)
        said = ", ".join(f"{name} {value}" for name, value in self.said.items()) or "nothing"
        can = {
            "prompts as token ids": self.numbers,
            "/tokenize": bool(self.tokenizes),
            "logprob_token_ids": self.chosen,
            "log-probabilities of prompts": self.echo,
            "seeds": self.seeded,
        }
        tops = " and ".join(
            f"{'at most' if self.capped else 'at least'} {top} likeliest tokens from {route.strip('/')}"
            if top
            else f"no log-probabilities from {route.strip('/')}"
            for route, top in self.top_k.items()
        )
        return [
            f"the server says of itself: {said}; that cannot be proved",
            f"it serves {routes}, with {tops}; "
            + ", ".join(f"{name}: {'yes' if works else 'no'}" for name, works in can.items())
            + f"; a tokenizer is {'named' if has_tokenizer else 'not named, so that token ids are not compared'}",
        ]


def sent_ids(sent: Sent) -> bool:
    """Return whether a prompt is numbers of tokens."""
    return isinstance(sent, tuple)


def messages_of(prompt: Prompt, /, *, folds_system: bool = False) -> list[Message]:
    """Return a prompt as messages of a chat; a cue has no place in it."""
    turns: Sequence[str] = [
        *(text for turn in prompt.examples for text in (turn.question, turn.answer)),
        prompt.question,
    ]
    messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
    if not prompt.system:
        return messages
    if folds_system:
        messages[0]["content"] = f"{prompt.system}\n\n{messages[0]['content']}"
        return messages
    return [{"role": "system", "content": prompt.system}, *messages]
