"""A model in llama.cpp: its prompts, one after another, with beginnings that are computed once and change no number."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
)
from pytest_pluralism.models.endpoint.abilities import COMPLETIONS
from pytest_pluralism.models.endpoint.client import Client
from pytest_pluralism.models.endpoint.language_model import EndpointModel, Way
from pytest_pluralism.models.prompts import PromptReader
from pytest_pluralism.models.protocol import ModelIdentity, Progress, Receive, ReceiveFullAnswers, ReceiveResponses

__all__ = ["PIECE", "LlamaCppModel"]

#: Prompts are computed in pieces of so many tokens. A beginning that ends with a piece is computed as it is in a whole
#: prompt, to the last bit; one that ends elsewhere moves log-probabilities of a quantised file by up to 0.6 nats.
PIECE = 32

Row = tuple[int, ...]


class LlamaCppModel(EndpointModel):
    """A model in a server of llama.cpp that this process owns.

    Parameters
    ----------
    client : Client
        The connection to the server, which takes one request at a time.
    way : Way
        How it is asked; with a reader.
    identity : ModelIdentity
        The identity of the model.
    server : object
        The server; it ends with this object.
    folder : TemporaryDirectory
        Where the server keeps the states of beginnings.
    context : int
        The most tokens of a prompt and what follows it.
    """

    #: Another request would read the prompt again, so that most labels are in the first.
    first_top_k = 1000

    def __init__(
        self,
        client: Client,
        way: Way,
        identity: ModelIdentity,
        *,
        server: Any,
        folder: tempfile.TemporaryDirectory[str],
        context: int,
    ) -> None:
        super().__init__(client, way, identity)
        self._context = context
        self._server: Any = server
        self._folder = folder
        #: The beginnings whose state is kept: each begins as the one before it does.
        self._kept: list[Row] = []
        #: For each row that is about to be asked, the lengths of its beginnings that are asked for again.
        self._ahead: dict[Row, list[int]] = {}
        self._shares = True
        self._checked_sharing = False

    @property
    def reader(self) -> PromptReader:
        """The reader, which makes tokens of prompts."""
        assert self.way.reader is not None  # noqa: S101 - it is opened with one
        return self.way.reader

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model, with notes on what its chat template needed."""
        notes = tuple(dict.fromkeys((*self._identity.notes, *self.reader.notes)))
        return dataclasses.replace(self._identity, notes=notes)

    @identity.setter
    def identity(self, identity: ModelIdentity) -> None:
        self._identity = identity

    @property
    def place(self) -> str:
        """The model, as the subject of a sentence."""
        return f"llama.cpp with {self._identity.name}"

    def close(self) -> None:
        """Stop the server; the model cannot be asked any more."""
        super().close()
        self.reader.tokenizer.close()
        self._server = None
        with contextlib.suppress(OSError):
            self._folder.cleanup()

    def take_notes(self) -> list[str]:
        """Return what the run should say, once: nothing of requests, which stay on this machine."""
        notes, self._notes = self._notes, []
        return notes

    def token_ids(self, prompt: Prompt, /) -> Row:
        """Return the token ids that the model reads for a prompt."""
        sent = self.way.sent(prompt, model=self._identity.name)
        assert isinstance(sent, tuple)  # noqa: S101 - it has a reader and takes numbers
        return sent

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt; the answers come in the order of the prompts, and to ``receive`` as they come.

        Raises
        ------
        ModelError
            A prompt is empty or longer than the context, or llama.cpp gives what cannot be true.
        """
        ordered = self._planned(prompts)
        found = dict(zip(ordered, super().answer(ordered, progress=progress, receive=receive), strict=True))
        return [found[prompt] for prompt in prompts]

    def _answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt: with a size of 1 by itself from its first token, else as :meth:`answer` does."""
        if batch_size != 1:
            return self.answer(prompts)
        before, self._shares = self._shares, False
        try:
            return super().answer(prompts)
        finally:
            self._shares = before

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
        """Write ``n_draws`` texts after each prompt, in the order of the prompts; equal draws are equal texts.

        Raises
        ------
        ModelError
            A prompt is empty, or longer than the context with the new tokens.
        InvalidParameterError
            If ``n_draws`` is not a whole number from 1.
        """
        ordered = self._planned(prompts, again=n_draws != 1 and not settings.greedy, n_new=settings.max_new_tokens)
        texts = super().generate(ordered, settings, n_draws=n_draws, progress=progress, receive=receive)
        found = dict(zip(ordered, texts, strict=True))
        return [found[prompt] for prompt in prompts]

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        """Refuse: llama.cpp gives the likelihoods of no tokens but the next.

        Raises
        ------
        ModelError
            Always.
        """
        raise ModelError(
            f"{self.place} cannot score whole answers: it gives log-probabilities of the next token alone. Ask for "
            "letters (--pluralism-scoring=letters), or run the file in transformers (--pluralism-gguf=transformers)."
        )

    # ---------------------------------------------------------------------------------------------------- beginnings

    def _planned(self, prompts: Sequence[Prompt], *, again: bool = False, n_new: int = 1) -> list[Prompt]:
        """Return distinct prompts by their tokens, and plan the beginnings that they share.

        With ``again`` each prompt is asked several times.
        """
        rows = {prompt: self._whole(prompt, n_new) for prompt in dict.fromkeys(prompts)}
        ordered = sorted(rows, key=lambda prompt: rows[prompt])
        self._ahead = {}
        later: set[int] = set()
        following: Row = ()
        for prompt in reversed(ordered):
            row = rows[prompt]
            shared = _shared(row, following) // PIECE * PIECE
            later = {min(length, shared) for length in {*later, shared}} - {0}
            own = {(len(row) - 1) // PIECE * PIECE} - {0} if again else set()
            self._ahead[row] = sorted(later | own)
            following = row
        return ordered

    def _whole(self, prompt: Prompt, n_new: int) -> Row:
        """Return the tokens of a prompt that has some, and fits into the context.

        Raises
        ------
        ModelError
            It has none, or too many.
        """
        row = self.token_ids(prompt)
        text = prompt.question if prompt.verbatim is None else prompt.verbatim
        if not row or not text.strip():
            raise ModelError("A prompt is empty: its question (or verbatim text) holds nothing to go on from.")
        if len(row) + n_new > self._context:
            words = " ".join(text.split()[:8]) + " ..."
            raise ModelError(
                f"The prompt {words!r} has {len(row)} tokens; with {n_new} new ones that is more than the "
                f"{self._context} that {self._identity.name} can take. Use fewer examples, a shorter context or fewer "
                "new tokens; nothing is cut off in silence."
            )
        return row

    async def send(self, path: str, body: Mapping[str, object]) -> object:
        """Send a request, with the state of the longest kept beginning in place."""
        prompt = body.get("prompt")
        if path != COMPLETIONS or not isinstance(prompt, list):
            return await super().send(path, body)
        row = tuple(prompt)
        if not self._shares:
            return await super().send(path, {**body, "cache_prompt": False})
        try:
            shared = await self._ready(row)
        except ModelError as error:
            # A network whose state cannot be kept.
            self._give_up(f"its state cannot be kept ({error})")
            shared = False
        reply = await super().send(path, {**body, "cache_prompt": shared})
        if shared and not self._checked_sharing:
            self._checked_sharing = True
            whole = await super().send(path, {**body, "cache_prompt": False})
            if _choices(whole) != _choices(reply):
                self._give_up("sharing them changed the first answer")
                return whole
        return reply

    def _give_up(self, why: str) -> None:
        """Compute every prompt whole from now on, and say so."""
        self._shares = False
        note = f"prompts are computed whole, without sharing their beginnings: {why}"
        self._identity = dataclasses.replace(self._identity, notes=(*self._identity.notes, note))

    async def _ready(self, row: Row) -> bool:
        """Let the server hold the longest beginning of a row that is worth it; return whether there is one."""
        while self._kept and self._kept[-1] != row[: len(self._kept[-1])]:
            self._kept.pop()
        base = len(self._kept[-1]) if self._kept else 0
        lengths = [length for length in self._ahead.get(row, ()) if length > base]
        if lengths and base:
            await self._state("restore")
        for length in lengths:
            body = {"prompt": list(row[:length]), "n_predict": 0, "cache_prompt": bool(self._kept)}
            await self.client.post("//completion", body)
            self._kept.append(row[:length])
            await self._state("save")
        usable = bool(self._kept) and len(self._kept[-1]) < len(row)
        if usable:
            await self._state("restore")
        return usable

    async def _state(self, action: str) -> None:
        """Write the state of the server to the file of the last beginning, or read it from there."""
        name = f"beginning-{len(self._kept) - 1}.bin"
        # A refusal here is one for good.
        await self.client.post(f"//slots/0?action={action}", {"filename": name}, patience=1.0)


def _shared(one: Row, other: Row) -> int:
    """Return how many first tokens two rows share, without the last of the shorter."""
    most = max(0, min(len(one), len(other)) - 1)
    return next((place for place in range(most) if one[place] != other[place]), most)


def _choices(reply: object) -> object:
    """Return the answers of a reply, without its times."""
    return reply.get("choices") if isinstance(reply, dict) else reply
