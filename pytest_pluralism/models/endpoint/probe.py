"""Finds out what a server can do with a model, with short requests whose answers can be checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.address import EndpointAddress
from pytest_pluralism.models.endpoint.abilities import CHAT, COMPLETIONS, TOP_K, Abilities, Sent
from pytest_pluralism.models.endpoint.client import Client, RefusedError, Server
from pytest_pluralism.models.endpoint.replies import (
    NextToken,
    check_model,
    is_same_model,
    listed_models,
    next_token,
    scored_tokens,
    token_ids_of,
)

__all__ = ["CHATML", "NAMED", "UNTOUCHED", "Probe", "has_chat_form", "tokenize_body"]

#: How long a server may take to come up, in seconds: a mistyped URL is told soon.
FIRST_PATIENCE = 20.0

#: Texts after which many words may come, so that a server that shows a part of the tokens as the whole is found out.
OPEN_TEXTS = ("My favourite word is", "The", "Here is a list of things in no order:", "He said that")

#: So close to 1 may a few tokens come together after each of those texts.
WHOLE = 1.0 - 1e-6

#: By so much the probability of a token may depend on how many tokens are asked for.
SAME = 5e-3

#: A mark of the template that llama.cpp takes for the chat template of a model that has none.
CHATML = "<|im_start|>"

_REFUSALS = frozenset({400, 404, 405, 415, 422, 501})

#: The fields that switch off what servers do to probabilities by default, by the kind of server.
UNTOUCHED: Mapping[str, Mapping[str, object]] = {
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "typical_p": 1.0, "xtc_probability": 0.0},
    "tgi": {},
}


class Probe:
    """Asks one server what it can do.

    Parameters
    ----------
    client : Client
        The connections.
    server : Server
        The server.

    Attributes
    ----------
    notes : list of str
        Sentences that a reader of the results should know.
    template : str or None
        The chat template, where the server tells it.
    """

    def __init__(self, client: Client, server: Server) -> None:
        self.client, self.server = client, server
        self.address: EndpointAddress = client.address
        self.model = self.address.model
        self.place = f"The endpoint {server.replica.api}"
        self.notes: list[str] = []
        self.template: str | None = None

    def run(self) -> Abilities:
        """Return what the server can do.

        Raises
        ------
        ModelError
            The server cannot be reached, does not serve the model, or gives log-probabilities that cannot be used.
        """
        found = self._identified()
        found = self._routes(found)
        if not found.top_k:
            raise ModelError(
                f"{self.place} answers neither {COMPLETIONS} nor {CHAT} for the model {self.model!r}. Give the URL "
                "below which these routes stand, such as http://HOST:PORT/v1."
            )
        if COMPLETIONS in found.top_k:
            found = self._completions(found)
        if CHAT in found.top_k:
            found = replace(found, folds_system=self._folds_system(found))
        found = replace(found, several=self._gives_several(found))
        for route, top_k in found.top_k.items():
            if top_k:
                self._check_whole(found, route, top_k)
        return found

    def _get(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        return self.client.ask(path, body, server=self.server)

    def _try(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Return a reply, or ``None`` where the server refuses the request for good."""
        try:
            return self._get(path, body)
        except RefusedError as error:
            if error.status in _REFUSALS:
                return None
            raise

    # ---------------------------------------------------------------------------------------------- who it says it is

    def _identified(self) -> Abilities:
        """Find the model in the list of the server, and the kind of the server."""
        try:
            listed = listed_models(
                self.client.ask("/models", server=self.server, patience=min(FIRST_PATIENCE, self.address.patience)),
                place=self.place,
            )
        except RefusedError as error:
            if error.status not in _REFUSALS:
                raise
            self.notes.append("the server lists no models, so that nothing says that it serves this one")
            return Abilities(said={"model": self.model})
        ours = next((one for one in listed if one.name == self.model), None)
        ours = ours or next((one for one in listed if is_same_model(self.model, one.name)), None)
        if ours is None:
            names = ", ".join(printable(one.name, most=100) for one in listed[:8]) or "none"
            raise ModelError(
                f"{self.place} does not serve a model {self.model!r}. It lists: {names}. Name one of these: "
                f"endpoint:{self.server.replica.api}#MODEL."
            )
        kind = ours.owner.replace(".", "").casefold()
        kind = kind if kind in UNTOUCHED else ""
        said = {"model": ours.name, "owner": printable(ours.owner), **ours.facts}
        said = {name: value for name, value in said.items() if value}
        version = self._try("//version") if kind in {"vllm", ""} else None
        if isinstance(version, dict) and isinstance(version.get("version"), str):
            said["version"] = printable(version["version"])
        if not kind and isinstance(info := self._try("//info"), dict) and isinstance(info.get("model_id"), str):
            kind, said["model_id"] = "tgi", printable(info["model_id"])
        if kind == "llamacpp" and isinstance(props := self._try("//props"), dict):
            template = props.get("chat_template")
            self.template = template if isinstance(template, str) else None
        return Abilities(kind=kind, said=said, untouched=UNTOUCHED.get(kind, {}))

    # ------------------------------------------------------------------------------------------------------ the routes

    def _routes(self, found: Abilities) -> Abilities:
        """Find out which routes work, with which fields, and how many likeliest tokens they give."""
        tops: dict[str, int] = {}
        given = 0
        ask: Sequence[Sent] = ("The", [{"role": "user", "content": "Say one word."}])
        for sent in ask:
            for one in self._dialects(found):
                route, body = one.body(self.model, sent)
                reply = self._try(route, body)
                if reply is not None:
                    check_model(reply, self.model, place=self.place)
                    found = one
                    tops[route], given = self._top_k(found, sent)
                    break
        # A server that gave as many as were asked for may give more.
        return replace(found, top_k=tops, capped=given < TOP_K[0])

    def _dialects(self, found: Abilities) -> Iterable[Abilities]:
        """Yield the ways to ask, with all fields first: some servers refuse a field that they do not know."""
        for untouched, seeded, most in itertools.product(
            dict.fromkeys((tuple(found.untouched.items()), ())), (True, False), ("max_tokens", "max_completion_tokens")
        ):
            yield replace(found, untouched=dict(untouched), seeded=seeded, most=most)

    def _top_k(self, found: Abilities, sent: Sent) -> tuple[int, int]:
        """Return how many likeliest tokens a route gives, and the number that was asked for."""
        route, body = found.body(self.model, sent)
        for top_k in TOP_K:
            reply = self._try(route, found.with_top(route, body, top_k))
            if reply is None:
                continue
            try:
                given = len(next_token(reply, place=self.place).tokens)
            except ModelError as error:
                if "were asked for" in str(error):
                    # A server that ignores the field.
                    return 0, 0
                raise
            return min(given, top_k), top_k if given >= top_k else 0
        return 0, 0

    def _completions(self, found: Abilities) -> Abilities:
        """Find out what the route of completions can do besides."""
        text = "The answer is: A"
        field, ids = self._tokenizer(text)
        found = replace(found, tokenizes=field)
        if ids:
            _, body = found.body(self.model, ids)
            reply = self._try(COMPLETIONS, body)
            counted = None if reply is None else (reply.get("usage") or {}).get("prompt_tokens")
            found = replace(found, numbers=counted == len(ids))
        _, body = found.body(self.model, text)
        reply = self._try(COMPLETIONS, body | {"echo": True, "logprobs": 1})
        if reply is not None:
            try:
                scored = scored_tokens(reply, place=self.place)
                n_known = sum(value is not None for value in scored.values)
                found = replace(found, echo=len(scored.values) > 2 and n_known >= len(scored.values) - 1)
            except ModelError:
                # A server that does not know the field gives the new token alone.
                pass
        if ids and found.kind == "vllm":
            wanted = ids[-2:]
            reply = self._try(
                COMPLETIONS, {**body, "logprobs": len(wanted), "logprob_token_ids": list(wanted), **NAMED}
            )
            if reply is not None:
                listed = {number for _, number, _ in next_token(reply, place=self.place).tokens}
                found = replace(found, chosen=listed >= set(wanted))
        return found

    def _tokenizer(self, text: str) -> tuple[str, tuple[int, ...]]:
        """Return the field in which the route of the tokenizer takes a text, and the tokens of a text."""
        for name in ("prompt", "content", "inputs"):
            reply = self._try("//tokenize", tokenize_body(name, self.model, text))
            try:
                ids = token_ids_of(reply, place=self.place) if reply is not None else ()
            except ModelError:
                continue
            if ids:
                return name, ids
        return "", ()

    def _folds_system(self, found: Abilities) -> bool:
        """Return whether the chat template of the server refuses a system text, or drops it in silence."""
        user = {"role": "user", "content": "Say one word."}
        system = {"role": "system", "content": "Zebras and umbrellas stand beside the quiet river this morning."}
        counts = []
        for messages in ([user], [system, user]):
            reply = self._try(*found.body(self.model, messages))
            counts.append(None if reply is None else (reply.get("usage") or {}).get("prompt_tokens"))
        without, with_system = counts
        if with_system is None:
            return without is not None
        # A template may have a system text of its own, in whose place ours stands.
        drops = isinstance(without, int) and with_system == without
        if drops:
            self.notes.append(
                "its chat template has no place for a system text, which stands before the first question"
            )
        return drops

    def _gives_several(self, found: Abilities) -> bool:
        """Return whether one request may ask for several texts."""
        sent: Sent = "The" if COMPLETIONS in found.top_k else [{"role": "user", "content": "Say one word."}]
        route, body = found.body(self.model, sent)
        reply = self._try(route, body | {"n": 2})
        choices = reply.get("choices") if isinstance(reply, dict) else None
        return isinstance(choices, list) and len(choices) == 2

    # ---------------------------------------------------------------------------------------------- what cannot be true

    def _check_whole(self, found: Abilities, route: str, top_k: int) -> None:
        """Refuse log-probabilities over a part of the tokens, and answers that do not depend on the question."""
        few = min(top_k, 5)
        answers: list[NextToken] = []
        for text in OPEN_TEXTS:
            sent: Sent = text if route == COMPLETIONS else [{"role": "user", "content": f"Go on: {text}"}]
            _, body = found.body(self.model, sent)
            answers.append(next_token(self._get(route, found.with_top(route, body, few)), place=self.place))
        if all(one.mass >= WHOLE for one in answers):
            raise ModelError(
                f"{self.place} gives the {few} likeliest tokens all the probability there is, after each of "
                f"{len(OPEN_TEXTS)} texts that may go on in many ways: it shows probabilities over a part of the "
                "tokens. Serve the model without top-k, top-p or min-p by default, and with raw log-probabilities."
            )
        if len({one.tokens for one in answers}) == 1:
            raise ModelError(
                f"{self.place} gives the same log-probabilities after {len(OPEN_TEXTS)} different texts, so that it "
                "does not read what it is asked. See whether something between answers in its place."
            )
        if top_k > few:
            many = next_token(self._get(route, found.with_top(route, body, min(top_k, 100))), place=self.place)
            by_text = {(text, number): math.exp(value) for text, number, value in many.tokens}
            moved = [
                abs(math.exp(value) - by_text.get((text, number), 0.0))
                for text, number, value in answers[-1].tokens[:few]
            ]
            if max(moved) > SAME:
                raise ModelError(
                    f"{self.place} gives a token another probability when more tokens are asked for (by "
                    f"{max(moved):.3f}): its probabilities are over those that it shows, and not over all. Serve the "
                    "model with raw log-probabilities."
                )


#: Names tokens by their numbers, which tells those apart that are written alike.
NAMED: Mapping[str, object] = {"return_tokens_as_token_ids": True}


NOTHING: Mapping[str, object] = {}


def tokenize_body(field: str, model: str, text: str, *, special: bool = True) -> dict[str, object]:
    """Return the request that asks a server for the tokens of a text."""
    more: Mapping[str, Mapping[str, object]] = {
        "prompt": {"model": model, "add_special_tokens": special},
        "content": {"add_special": special},
    }
    return {field: text, **more.get(field, NOTHING)}


def has_chat_form(template: str | None, found: Abilities, mark: Sequence[int], /) -> bool:
    """Return whether a model has a chat form of its own.

    llama.cpp gives every model a chat form: where its template is of the default kind, and the mark of that kind is not
    one token of the model, the model has none.

    Parameters
    ----------
    template : str or None
        The chat template, where the server tells it.
    found : Abilities
        The abilities of the server.
    mark : sequence of int
        The tokens of :data:`CHATML`.
    """
    if CHAT not in found.top_k:
        return False
    return not (found.kind == "llamacpp" and template is not None and CHATML in template and len(mark) > 1)
