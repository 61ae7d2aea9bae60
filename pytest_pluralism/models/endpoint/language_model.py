"""A language model behind one or more servers."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from pytest_pluralism.core.errors import ModelChangedError, ModelError, invalid_parameter
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    more_draws,
    sampled_answer,
)
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.endpoint.abilities import CHAT, COMPLETIONS, Abilities, Sent, messages_of
from pytest_pluralism.models.endpoint.client import Client, Server
from pytest_pluralism.models.endpoint.draws import Draws, draw_key
from pytest_pluralism.models.endpoint.letters import MOST_TOKENS, PARSE, named_label
from pytest_pluralism.models.endpoint.options import NEGLIGIBLE, Options, answer_of, read_options, widest
from pytest_pluralism.models.endpoint.probe import NAMED, SAME, tokenize_body
from pytest_pluralism.models.endpoint.replies import (
    NextToken,
    Written,
    check_model,
    next_token,
    scored_tokens,
    token_ids_of,
    written,
)
from pytest_pluralism.models.local.full_answers import answer_rows
from pytest_pluralism.models.prompts import PromptReader, render_prompt
from pytest_pluralism.models.protocol import (
    ModelIdentity,
    Progress,
    Receive,
    ReceiveFullAnswers,
    ReceiveResponses,
)

__all__ = ["EndpointModel", "Way"]

ResultT = TypeVar("ResultT")
AskedT = TypeVar("AskedT", bound=Hashable)

#: The likeliest tokens that are asked for first where a server gives any number of them.
FIRST_TOP_K = 100

#: Wider bounds than this, as a share of what is on the labels, are worth asking for more tokens.
WIDE = 1e-3

#: The most of them.
MOST_TOP_K = 1_000_000

#: The number of texts that one request asks for.
MOST_TEXTS = 16

#: The texts before a label, in whose places a server's tokenizer may spell it in different tokens.
PLACES = ("", " ", "\n", "\n\n", ":", ": ", "a\n", "(")

NOTHING: Mapping[str, object] = MappingProxyType({})

#: Sends one request and returns the JSON of its reply.
Send = Callable[[str, Mapping[str, object]], Awaitable[object]]


@dataclasses.dataclass(frozen=True)
class Way:
    """The way in which a served model is asked.

    Attributes
    ----------
    abilities : Abilities
        The abilities of its servers.
    reader : PromptReader or None
        Reads prompts with the tokenizer that was named.
    has_chat_form : bool
        True where the model has a chat form of its own.
    """

    abilities: Abilities
    reader: PromptReader | None
    has_chat_form: bool

    def sent(self, prompt: Prompt, /, *, model: str) -> Sent:
        """Return what is sent for a prompt.

        Raises
        ------
        ModelError
            The servers have no route for a prompt of this form.
        """
        raw = prompt.verbatim is not None or prompt.template == "raw"
        if self.reader is not None and self.abilities.numbers:
            text = render_prompt(prompt, chat=self.reader.chat_renderer(), model=model)
            return self.reader.encode(text)
        if not raw and self.has_chat_form:
            return messages_of(prompt, folds_system=self.abilities.folds_system)
        if not raw and prompt.template == "chat":
            raise ModelError(
                f"{model} has no chat form where it is served, so it cannot be asked in chat form. Ask with "
                "--pluralism-template=raw, or auto, which takes the chat form only where there is one."
            )
        if COMPLETIONS not in self.abilities.top_k:
            raise ModelError(
                f"{model} is served in chat form alone, so a raw prompt cannot be asked. Ask with "
                "--pluralism-template=auto, or serve the route /completions."
            )
        return render_prompt(prompt, chat=None, model=model)

    def top_k(self, sent: Sent, /) -> int:
        """Return how many likeliest tokens the servers give after a prompt."""
        return self.abilities.top_k.get(CHAT if isinstance(sent, list) else COMPLETIONS, 0)


class EndpointModel:
    """A model behind one or more servers, which answers closed questions, scores whole answers and writes texts.

    Parameters
    ----------
    client : Client
        The connections to its servers.
    way : Way
        How it is asked.
    identity : ModelIdentity
        The identity of the model.
    notes : sequence of str
        Sentences about it that the run should say.

    Notes
    -----
    The probabilities of labels are exact where the servers give the log-probability of every token that spells them.
    Else they are the middles of bounds, which stand beside them. Where the servers give no log-probabilities, answers
    are sampled and counted.
    """

    #: The likeliest tokens that are asked for first.
    first_top_k = FIRST_TOP_K

    def __init__(self, client: Client, way: Way, identity: ModelIdentity, *, notes: Sequence[str] = ()) -> None:
        self.client, self.way = client, way
        self._identity = identity
        self._notes = list(notes)
        self._spellings: dict[str, tuple[int, ...]] = {}
        self._told = dataclasses.replace(client.counts)
        self._draws = Draws(client.address.samples)
        if self.reads_probabilities:
            # Of sampled answers no numeric noise can be told apart from the drawing.
            self.answer_in_batches = self._answer_in_batches

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""
        return self._identity

    @identity.setter
    def identity(self, identity: ModelIdentity) -> None:
        self._identity = identity

    @property
    def name(self) -> str:
        """The name of the model at its servers."""
        return self.client.address.model

    @property
    def reads_probabilities(self) -> bool:
        """True where the servers give log-probabilities on the route that closed questions take."""
        way = self.way
        route = CHAT if way.has_chat_form and (way.reader is None or not way.abilities.numbers) else COMPLETIONS
        return way.abilities.top_k.get(route, 0) > 0

    @property
    def n_samples(self) -> int:
        """The number of sampled texts for a prompt that no promise is about, where answers are sampled."""
        return self._draws.many()

    def take_draws(self, wanted: Mapping[Prompt, int], /) -> None:
        """Take how many sampled texts promises need to each prompt; ``?samples=N`` of the spec overrides it."""
        self._draws.take(wanted)

    def begin(self, found: Mapping[Prompt, Answer | None], /) -> list[Prompt]:
        """Take answers that were counted before, and return the prompts of those with fewer texts than are needed."""
        return self._draws.begin(found)

    def close(self) -> None:
        """Close the connections; the model cannot be asked any more."""
        self.client.close()

    def tell(self, notes: Iterable[str], /) -> None:
        """Add what the run should say."""
        self._notes += notes

    def take_notes(self) -> list[str]:
        """Return what the run should say, once: the abilities of the servers, and what the last call took."""
        counts, told = self.client.counts, self._told
        notes, self._notes = self._notes, []
        if counts.requests > told.requests:
            used = [
                f"{counts.requests:,} requests",
                f"{counts.prompt_tokens:,} tokens of prompts",
                f"{counts.completion_tokens:,} tokens of answers",
            ]
            again = f" ({counts.retries:,} of them again)" if counts.retries else ""
            prices = self.client.address.prices
            cost = ""
            if prices:
                spent = (counts.prompt_tokens * prices[0] + counts.completion_tokens * prices[1]) / 1e6
                cost = f", at the given prices {spent:.4f}"
            notes.append(f"{self.name}: {used[0]}{again}, {used[1]} and {used[2]} since the start{cost}")
            self._told = dataclasses.replace(counts)
        return notes

    def reading(self, asked: object, /) -> object:
        """Return what the servers read for a request: token ids, text or messages."""
        if isinstance(asked, Prompt):
            return self.way.sent(asked, model=self.name)
        if isinstance(asked, FullAnswerPrompt):
            return [self.way.sent(one, model=self.name) for one in (asked.prompt, asked.neutral_prompt)]
        return None

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the text that is sent for a prompt, or the messages, to which the server applies its template."""
        sent = self.way.sent(prompt, model=self.name)
        if isinstance(sent, tuple) and self.way.reader is not None:
            return self.way.reader.text_of(prompt)
        if isinstance(sent, list):
            return "\n\n".join(f"[{one['role']}] {one['content']}" for one in sent)
        return str(sent)

    # -------------------------------------------------------------------------------------------------------- answers

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt; the answers come in the order of the prompts, and to ``receive`` as they come.

        Raises
        ------
        ModelError
            A server cannot be reached, or gives what cannot be true.
        """
        return self._each(prompts, lambda prompt: self.answered(prompt, self.send), progress, receive)

    def _answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt as :meth:`answer` does, with at most ``batch_size`` requests at once."""
        before = self.client.concurrency
        self.client.concurrency = before if isinstance(batch_size, str) else min(batch_size, before)
        try:
            return self.answer(prompts)
        finally:
            self.client.concurrency = before

    async def answered(self, prompt: Prompt, send: Send, /) -> Answer:
        """Return the answer to one prompt."""
        sent = self.way.sent(prompt, model=self.name)
        if not self.way.top_k(sent):
            return await self._sampled(prompt, sent, send)
        abilities = self.way.abilities
        spellings = await self._spelled(prompt.labels, send)
        most = self.way.top_k(sent) if abilities.capped else MOST_TOP_K
        top_k = min(self.first_top_k, most)
        while True:
            found = await self._next(sent, send, top_k)
            options = read_options(found, prompt.labels, spellings)
            if options.width > NEGLIGIBLE and abilities.chosen and spellings:
                options = await self._chosen(prompt, sent, send, spellings, found)
            if top_k >= most or len(found.tokens) < top_k or widest(options) <= WIDE:
                return answer_of(found, options)
            top_k = min(top_k * 20, most)

    async def _next(self, sent: Sent, send: Send, top_k: int, more: Mapping[str, object] = NOTHING) -> NextToken:
        """Return the likeliest tokens after a prompt, once the reply was checked."""
        route, body = self.way.abilities.body(self.name, sent)
        reply = await send(route, {**self.way.abilities.with_top(route, body, top_k), **more})
        found = next_token(reply, place=self.place)
        self._check_count(sent, found.n_prompt)
        return found

    def _check_count(self, sent: Sent, counted: int | None) -> None:
        """Refuse the reply of a server that did not read the tokens that it was sent."""
        wanted = None
        if isinstance(sent, tuple):
            wanted = len(sent)
        elif isinstance(sent, str) and self.way.reader is not None:
            wanted = len(self.way.reader.encode(sent))
        if wanted is not None and counted is not None and counted != wanted:
            raise ModelError(
                f"{self.place} read {counted} tokens of a prompt that has {wanted} by the tokenizer of {self.name}. "
                "Its tokenizer may drop or add the token for a beginning, or it cuts prompts off. Serve the model with "
                "its own tokenizer and a context that is long enough."
            )

    async def _chosen(
        self, prompt: Prompt, sent: Sent, send: Send, spellings: Mapping[str, tuple[int, ...]], top: NextToken
    ) -> Options:
        """Return the exact probabilities of labels from a server that gives those of chosen tokens."""
        ids = sorted({token for tokens in spellings.values() for token in tokens})
        more: dict[str, object] = {"logprob_token_ids": ids, **NAMED}
        if not isinstance(sent, list):
            more["logprobs"] = len(ids)
        else:
            more["top_logprobs"] = 0
        found = await self._next(sent, send, 1, more)
        values = {number: math.exp(value) for _, number, value in found.tokens if number is not None}
        if not set(ids) <= set(values):
            raise ModelError(f"{self.place} did not give the log-probabilities of all tokens that were asked for.")
        exact = tuple(math.fsum(values[token] for token in spellings[label]) for label in prompt.labels)
        listed = read_options(top, prompt.labels, spellings)
        for label, value, low, high in zip(prompt.labels, exact, listed.low, listed.high, strict=True):
            if not low - SAME <= value <= high + SAME:
                raise ModelError(
                    f"{self.place} gives the label {label!r} a probability of {value:.4f} by itself, and of {low:.4f} "
                    f"to {high:.4f} among the likeliest tokens. One of the two is not over all tokens."
                )
        return Options(exact, exact)

    async def _spelled(self, labels: Sequence[str], send: Send) -> dict[str, tuple[int, ...]]:
        """Return the tokens that spell each label, by the named tokenizer or by that of the server; else nothing."""
        if self.way.reader is not None:
            return dict(zip(labels, self.way.reader.label_tokens(labels), strict=True))
        if not self.way.abilities.tokenizes:
            return {}
        for label in labels:
            if label not in self._spellings:
                self._spellings[label] = await self._spelled_by_server(label.strip(), send)
        return {label: self._spellings[label] for label in labels}

    async def _spelled_by_server(self, label: str, send: Send) -> tuple[int, ...]:
        """Return the tokens that spell a label in the places where it can stand, as the server's tokenizer gives them.

        Raises
        ------
        ModelError
            No single token spells the label.
        """
        found: dict[int, None] = {}
        for before in PLACES:
            head, whole = [await self._tokens(text, send) if text else () for text in (before, before + label)]
            if len(whole) == 1 or (len(whole) == len(head) + 1 and whole[:-1] == head):
                found[whole[-1]] = None
        if not found:
            raise ModelError(
                f"The label {label!r} is not one token of the tokenizer of {self.name}. Label the options with single "
                "letters, such as A, B, C."
            )
        return tuple(found)

    async def _tokens(self, text: str, send: Send) -> tuple[int, ...]:
        field = self.way.abilities.tokenizes
        reply = await send("//tokenize", tokenize_body(field, self.name, text, special=False))
        return token_ids_of(reply, place=self.place)

    async def _sampled(self, prompt: Prompt, sent: Sent, send: Send) -> Answer:
        """Return the answer that sampled texts make, counted by the label that each names."""
        key, begun = draw_key(prompt, 0), self._draws.begun(prompt)
        n_before = int(begun.n_drawn) if begun is not None else 0
        seeds = [key + number for number in range(n_before, self._draws.many(prompt))]
        texts = await self._texts(sent, send, seeds, MOST_TOKENS)
        named = [named_label(one.text, prompt.labels) for one in texts]
        counts = [named.count(number) for number in range(len(prompt.labels))]
        commonest = Counter(one.text for one in texts).most_common(1)[0][0]
        if begun is not None:
            return more_draws(begun, counts, n_drawn=len(texts), top_text=commonest)
        if not any(counts):
            raise ModelError(
                f"None of {len(texts)} sampled texts of {self.name} names a label; the commonest is "
                f"{printable(commonest)!r}. {PARSE[0].upper()}{PARSE[1:]}."
            )
        return sampled_answer(counts, n_drawn=len(texts), top_text=commonest)

    async def drawn_texts(self, prompt: Prompt, send: Send, /) -> set[str]:
        """Return the texts that a few draws give: a server that gives one text alone does not draw."""
        sent = self.way.sent(prompt, model=self.name)
        return {one.text for one in await self._texts(sent, send, range(4), MOST_TOKENS)}

    async def greedy_text(self, prompt: Prompt, send: Send, /) -> str:
        """Return the text that a model writes at temperature 0, which tells one model from another."""
        sent = self.way.sent(prompt, model=self.name)
        (one,) = await self._texts(sent, send, [0], MOST_TOKENS, {"temperature": 0.0})
        return one.text

    async def _texts(
        self, sent: Sent, send: Send, seeds: Sequence[int], new: int, more: Mapping[str, object] = NOTHING
    ) -> list[Written]:
        """Return sampled texts, one for each seed, several a request where the server can."""
        found: list[Written] = []
        size = MOST_TEXTS if self.way.abilities.several else 1
        for place in range(0, len(seeds), size):
            some = seeds[place : place + size]
            route, body = self.way.abilities.body(self.name, sent, new=new, seed=some[0])
            reply = await send(route, {**body, **more, **({"n": len(some)} if len(some) > 1 else {})})
            given = reply if isinstance(reply, dict) else {}
            choices = given.get("choices")
            if not isinstance(choices, list) or len(choices) != len(some):
                raise ModelError(f"{self.place} did not give the {len(some)} texts that were asked for.")
            found += [written({**given, "choices": [choice]}, place=self.place) for choice in choices]
        return found

    # -------------------------------------------------------------------------------------------- whole answers, texts

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        """Return how likely each whole answer to each prompt is, in the order of the prompts.

        Raises
        ------
        ModelError
            The servers do not give the log-probabilities of a prompt's own tokens, or no tokenizer is named.
        """
        if not self.way.abilities.echo:
            raise ModelError(
                f"{self.place} does not give the log-probabilities of a prompt's own tokens, so that whole answers of "
                f"{self.name} cannot be scored. Ask for letters (--pluralism-scoring=letters), or serve the model with "
                "vLLM, whose completions have them (echo)."
            )
        if self.way.reader is None or not self.way.abilities.numbers:
            raise ModelError(
                f"Whole answers of {self.name} are scored from token ids, which needs its tokenizer and a server that "
                f"takes them. Name the tokenizer: endpoint:{self.client.address.replicas[0].api}#{self.name}"
                "?tokenizer=FOLDER."
            )
        return self._each(prompts, self._scored, progress, receive)

    async def _scored(self, asked: FullAnswerPrompt) -> FullAnswerScores:
        """Return the scores of the answers to one prompt."""
        reader = self.way.reader
        assert reader is not None  # noqa: S101 - score_answers has seen to it
        sums: list[list[float]] = []
        counts: list[int] = []
        for prompt in (asked.prompt, asked.neutral_prompt):
            rows, start, _ = answer_rows(reader, prompt, asked.answers)
            values = [await self._values_of(row, start) for row in rows]
            sums.append([math.fsum(one) for one in values])
            counts = counts or [len(one) for one in values]
        return FullAnswerScores(
            log_likelihoods=tuple(sums[0]),
            neutral_log_likelihoods=tuple(sums[1]),
            n_tokens=tuple(counts),
            n_bytes=tuple(len(answer.encode("utf-8", "surrogatepass")) for answer in asked.answers),
        )

    async def _values_of(self, row: tuple[int, ...], start: int) -> list[float]:
        """Return the log-probabilities of the tokens of a row from a place on."""
        route, body = self.way.abilities.body(self.name, row)
        scored = scored_tokens(await self.send(route, body | {"echo": True, "logprobs": 1}), place=self.place)
        self._check_count(row, scored.n_prompt)
        values = scored.values[start : len(row)]
        if len(values) != len(row) - start or any(value is None for value in values):
            raise ModelError(f"{self.place} gave log-probabilities for {len(values)} of {len(row) - start} tokens.")
        return [value for value in values if value is not None]

    def generate(
        self,
        prompts: Sequence[Prompt],
        /,
        settings: GenerationSettings,
        *,
        n_draws: int = 1,
        progress: Progress | None = None,
        receive: ReceiveResponses | None = None,
    ) -> list[tuple[Response, ...]]:
        """Write ``n_draws`` texts after each prompt, in the order of the prompts.

        The seed of a draw is made from the seed of the settings, the prompt and its number; what a server makes of it
        is its own. With temperature 0 the draws are alike, and written once.

        Raises
        ------
        ModelError
            A server cannot be reached, or gives what cannot be true.
        InvalidParameterError
            If ``n_draws`` is not a whole number from 1.
        """
        if isinstance(n_draws, bool) or not isinstance(n_draws, int) or n_draws < 1:
            raise invalid_parameter("n_draws", "generate", "a whole number from 1", repr(n_draws))
        distinct = list(dict.fromkeys(prompts))
        asked = [(prompt, draw) for prompt in distinct for draw in range(1 if settings.greedy else n_draws)]
        drawn: dict[Prompt, dict[int, Response]] = {prompt: {} for prompt in distinct}

        def pass_on(pairs: Sequence[tuple[tuple[Prompt, int], Response]]) -> None:
            fresh = []
            for (prompt, draw), response in pairs:
                for number in range(n_draws) if settings.greedy else (draw,):
                    drawn[prompt][number] = dataclasses.replace(response, draw=number)
                    fresh.append((prompt, drawn[prompt][number]))
            if receive is not None:
                receive(fresh)

        self._each(asked, lambda one: self._drawn(*one, settings), progress, pass_on)
        return [tuple(drawn[prompt][draw] for draw in range(n_draws)) for prompt in prompts]

    async def _drawn(self, prompt: Prompt, draw: int, settings: GenerationSettings) -> Response:
        """Return one text."""
        sent = self.way.sent(prompt, model=self.name)
        more: dict[str, object] = {"temperature": settings.temperature, "top_p": settings.top_p}
        if settings.top_k is not None:
            if "top_k" not in self.way.abilities.untouched:
                raise ModelError(f"{self.place} does not take top_k={settings.top_k}. Leave top_k out.")
            more["top_k"] = settings.top_k
        if settings.stop:
            more["stop"] = list(settings.stop)
        seed = draw_key(prompt, settings.seed) + draw
        (one,) = await self._texts(sent, self.send, [seed], settings.max_new_tokens, more)
        text, why = one.text, "length" if one.why == "length" else "eos"
        cuts = [place for stop in settings.stop if (place := text.find(stop)) >= 0]
        if cuts:
            text = text[: min(cuts)]
        if cuts or one.stop is not None or (settings.stop and why == "eos"):
            why = "stop"
        return Response(text, one.n_tokens or 0, why, draw)

    # ------------------------------------------------------------------------------------------------------- requests

    @property
    def place(self) -> str:
        """The servers, as the subject of a sentence."""
        return f"The endpoint {', '.join(replica.api for replica in self.client.address.replicas)}"

    async def send(self, path: str, body: Mapping[str, object]) -> object:
        """Send a request to whichever server is up, and check that the model is the one that was asked."""
        return self._checked(path, await self.client.post(path, body, tokens=_n_tokens(body)))

    def sender(self, server: Server, /, *, patient: bool = False) -> Send:
        """Return what sends a request to one server, once, or (``patient``) again where that may help."""

        async def send(path: str, body: Mapping[str, object]) -> object:
            if patient:
                return self._checked(path, await self.client.post(path, body, server=server, tokens=_n_tokens(body)))
            return self._checked(path, await self.client.once(server, path, body))

        return send

    def _checked(self, path: str, reply: object) -> object:
        if path in {COMPLETIONS, CHAT}:
            check_model(reply, self.name, place=self.place)
        return reply

    def _each(
        self,
        asked: Sequence[AskedT],
        ask: Callable[[AskedT], Awaitable[ResultT]],
        progress: Progress | None,
        receive: Callable[[Sequence[tuple[AskedT, ResultT]]], None] | None,
    ) -> list[ResultT]:
        """Ask for each thing once, several at a time; the results come in the order of what is asked."""
        distinct = list(dict.fromkeys(asked))
        found: dict[AskedT, ResultT] = {}

        def pass_on(batch: list[tuple[int, ResultT]]) -> None:
            pairs = [(distinct[number], result) for number, result in batch]
            found.update(pairs)
            if receive is not None:
                receive(pairs)
            if progress is not None:
                progress(len(asked) if len(found) == len(distinct) else len(found), len(asked))

        try:
            self.client.each([functools.partial(ask, one) for one in distinct], pass_on)
        except ModelError:
            # A model that changed may be the reason, and then its last answers are wrong too.
            if found:
                self._find_change()
            raise
        self.client.verify_all()
        return [found[one] for one in asked]

    def _find_change(self) -> None:
        try:
            self.client.verify_all()
        except ModelChangedError:
            raise
        except ModelError:
            return


def _n_tokens(body: Mapping[str, object]) -> int:
    """Return about how many tokens a request takes, for the rate limit: four characters are one."""
    asked = body.get("prompt", body.get("messages", ""))
    n_prompt = len(asked) if isinstance(asked, list) and asked and isinstance(asked[0], int) else len(str(asked)) // 4
    new = body.get("max_tokens", body.get("max_completion_tokens", 0))
    n = body.get("n", 1)
    return n_prompt + (new * n if isinstance(new, int) and isinstance(n, int) else 0)
