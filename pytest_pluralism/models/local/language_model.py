"""Models that run in this process, through torch and transformers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
)
from pytest_pluralism.models.local.full_answers import answer_rows
from pytest_pluralism.models.local.loaded import LoadedModel
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.prompts import PromptReader, render_prompt
from pytest_pluralism.models.protocol import (
    ModelIdentity,
    Progress,
    Receive,
    ReceiveFullAnswers,
    ReceiveResponses,
)
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    from pytest_pluralism.models.local.generation import DrawnTokens, Generator
    from pytest_pluralism.models.local.interfaces import Config, Network, Tokenizer
    from pytest_pluralism.models.local.scoring import ContinuationScores, Scorer, TokenScores

__all__ = ["HuggingFaceModel"]


class HuggingFaceModel(LoadedModel):
    """A model of transformers that answers closed questions, scores whole answers and writes texts.

    Parameters
    ----------
    network, tokenizer, identity
        As for :class:`~pytest_pluralism.models.local.loaded.LoadedModel`.
    batch_size : int or "auto"
        See :func:`load_model`.
    add_bos : bool or None
        Whether prompts start with the token for a beginning; ``None`` leaves it to the tokenizer.
    share_prefixes : bool
        Whether prompts that start alike share the computation of their beginnings.
    """

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        identity: ModelIdentity,
        *,
        batch_size: int | str = "auto",
        add_bos: bool | None = None,
        share_prefixes: bool = True,
    ) -> None:
        from pytest_pluralism.models.local.forwards import vocabulary_size
        from pytest_pluralism.models.local.scoring import Scorer

        super().__init__(network, tokenizer, identity)
        #: Number of tokens that the network has numbers for; its tokenizer may have more.
        self._n_tokens = vocabulary_size(network)
        pad = tokenizer.pad_token_id
        if pad is not None and self._n_tokens is not None and pad >= self._n_tokens:
            # Fillings are masked, so any token does.
            pad = None
        self._scorer: Scorer | None = Scorer(
            network,
            pad_token=0 if pad is None else pad,
            batch_size=batch_size,
            share_prefixes=share_prefixes,
            measured=_budget_file(identity, network),
        )
        self._reader: PromptReader | None = PromptReader(
            tokenizer,
            model=identity.name,
            add_bos=add_bos,
            closes_text=bool(getattr(network.config, "is_encoder_decoder", False)),
        )
        self._context = _context_length(network.config)
        self._generator: Generator | None = None

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model, with notes on how its answers were computed."""
        if self._scorer is not None and self._reader is not None:
            notes = (*self._scorer.notes, *self._reader.notes)
            if notes != self._identity.notes:
                self._identity = replace(self._identity, notes=notes)
        return self._identity

    def token_ids(self, prompt: Prompt, /) -> tuple[int, ...]:
        """Return the token ids that the model reads for a prompt."""
        reader = self.reader
        return reader.encode(render_prompt(prompt, chat=reader.chat_renderer(), model=self.identity.name))

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the text that the model reads for a prompt, with all special tokens."""
        return self.reader.text_of(prompt)

    def full_answer_ids(self, asked: FullAnswerPrompt, /) -> list[tuple[int, ...]]:
        """Return the token ids that the model reads to score whole answers: after the prompt and the neutral one."""
        return [
            row
            for prompt in (asked.prompt, asked.neutral_prompt)
            for row in answer_rows(self.reader, prompt, asked.answers)[0]
        ]

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt; the answers come in the order of the prompts, and batch by batch to ``receive``.

        Raises
        ------
        ModelError
            If a label is not one token, a prompt is longer than the model's context, the network gives NaN, or there is
            no memory even for one prompt at a time.
        """
        from pytest_pluralism.models.local.scoring import ScoreRequest

        reader, scorer = self.reader, self.scorer
        distinct = list(dict.fromkeys(prompts))
        copies = dict.fromkeys(distinct, 0)
        for prompt in prompts:
            copies[prompt] += 1
        requests = []
        for prompt in distinct:
            ids = self.token_ids(prompt)
            self._refuse_long(prompt, ids)
            spellings = reader.label_tokens(prompt.labels)
            for label, tokens in zip(prompt.labels, spellings, strict=True):
                self._refuse_unknown(tokens, f"The label {label!r}")
            requests.append(ScoreRequest(ids, spellings))
        n_distinct, n_all = len(distinct), len(prompts)

        def report(done: int) -> None:
            if progress is not None:
                # Repeated prompts are done with the first of them.
                progress(n_all if done == n_distinct else done * n_all // n_distinct, n_all)

        def read(scores: TokenScores) -> Answer:
            return Answer(
                log_probabilities=scores.log_probabilities,
                option_mass=scores.option_mass,
                top_token=reader.decode(scores.top_token),
                top_probability=scores.top_probability,
                label_logits=scores.label_logits,
                top_tokens=tuple((reader.decode(token), probability) for token, probability in scores.top_tokens),
            )

        def pass_on(batch: list[tuple[int, TokenScores]]) -> None:
            if receive is not None:
                receive([(distinct[index], read(scores)) for index, scores in batch])

        answers = [read(scores) for scores in scorer.score(requests, progress=report, receive=pass_on)]
        by_prompt = dict(zip(distinct, answers, strict=True))
        return [by_prompt[prompt] for prompt in prompts]

    def answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt as :meth:`answer` does, with at most ``batch_size`` in one forward pass.

        With a batch size of 1 no prompt shares the computation of its beginning with another.
        """
        from pytest_pluralism.models.local.scoring import Scorer

        scorer = self.scorer
        other = Scorer(
            scorer.model,
            pad_token=scorer.forwards.pad_token,
            batch_size=batch_size,
            share_prefixes=scorer.share_prefixes and batch_size != 1,
        )
        if batch_size == "auto":
            other.budget.tokens = scorer.token_budget
        self._scorer = other
        try:
            return self.answer(prompts)
        finally:
            self._scorer = scorer

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        r"""Return how likely each whole answer to each prompt is, in the order of the prompts.

        .. math:: \log P(a \mid p) = \sum_t \log P(a_t \mid p, a_{<t})

        The prompt is read as :meth:`answer` reads it. The answer stands behind it after one space; in a chat prompt it
        begins the model's own turn. Prompts that start alike, and all answers to one prompt, share the computation.

        Parameters
        ----------
        prompts : sequence of FullAnswerPrompt
            The questions, the texts of their answers, and the neutral prompts.
        progress : callable, optional
            Called with (prompts done, prompts in all).
        receive : callable, optional
            Called with the prompts whose answers are all scored, and their scores, as they are done.

        Returns
        -------
        list of FullAnswerScores
            Log-likelihoods in (-inf, 0], larger is likelier; by byte and against the neutral prompt as properties.

        Raises
        ------
        ModelError
            If a prompt is empty or longer with an answer than the model's context, an answer has no tokens of its own,
            the model is an encoder-decoder, the network gives NaN, or there is no memory for one row at a time.

        Notes
        -----
        Prompt and answer are made into tokens together, and the sum begins at the first token in which any answer to
        the prompt differs from the prompt alone; where a tokenizer joins the end of a prompt with an answer, the joint
        token is part of the likelihood of every answer to it.

        Examples
        --------
        >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
        >>> asked = FullAnswerPrompt(Prompt("How is the weather?", ()), ("Fair", "Foul"))  # doctest: +SKIP
        >>> model.score_answers([asked])[0].log_likelihoods_per_byte  # doctest: +SKIP
        """
        from pytest_pluralism.models.local.scoring import ContinuationRequest

        reader, scorer = self.reader, self.scorer
        distinct = list(dict.fromkeys(prompts))
        requests: list[ContinuationRequest] = []
        owners: list[int] = []
        for number, asked in enumerate(distinct):
            _refuse_empty(asked.prompt)
            for prompt in (asked.prompt, asked.neutral_prompt):
                rows, start, _ = answer_rows(reader, prompt, asked.answers)
                for row in rows:
                    self._refuse_long(prompt, row)
                requests += [ContinuationRequest(row, start) for row in rows]
                owners += [number] * len(rows)
        first = [owners.index(number) for number in range(len(distinct))]
        missing = [2 * len(asked.answers) for asked in distinct]
        found: list[ContinuationScores | None] = [None] * len(requests)
        scores: dict[FullAnswerPrompt, FullAnswerScores] = {}

        def pass_on(batch: list[tuple[int, ContinuationScores]]) -> None:
            fresh = []
            for index, one in batch:
                found[index] = one
                missing[owners[index]] -= 1
                if not missing[owners[index]]:
                    asked = distinct[owners[index]]
                    scores[asked] = read(asked, first[owners[index]])
                    fresh.append((asked, scores[asked]))
            if receive is not None and fresh:
                receive(fresh)
            if progress is not None:
                progress(len(prompts) if len(scores) == len(distinct) else len(scores), len(prompts))

        def read(asked: FullAnswerPrompt, at: int) -> FullAnswerScores:
            n = len(asked.answers)
            values = [one.log_probabilities for one in found[at : at + 2 * n] if one is not None]
            sums = [math.fsum(one) for one in values]
            return FullAnswerScores(
                log_likelihoods=tuple(sums[:n]),
                neutral_log_likelihoods=tuple(sums[n:]),
                n_tokens=tuple(len(one) for one in values[:n]),
                n_bytes=tuple(len(answer.encode("utf-8", "surrogatepass")) for answer in asked.answers),
            )

        scorer.score_continuations(requests, receive=pass_on)
        return [scores[asked] for asked in prompts]

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

        Parameters
        ----------
        prompts : sequence of Prompt
            The prompts to continue; labels are not used. Equal prompts get equal texts.
        settings : GenerationSettings
            Everything that decides a text beside the prompt and the model; the model's own ``generation_config`` is
            not read.
        n_draws : int
            How many texts a prompt, at least 1. With temperature 0 they are all alike, and written once.
        progress : callable, optional
            Called with (draws done, draws in all).
        receive : callable, optional
            Called with prompts and responses as each batch is done.

        Returns
        -------
        list of tuple of Response
            For each prompt its draws, by number.

        Raises
        ------
        ModelError
            If a prompt is empty, a prompt with the new tokens is longer than the model's context, the model is an
            encoder-decoder, the network gives NaN, or there is no memory for one prompt at a time.
        InvalidParameterError
            If ``n_draws`` is not a whole number from 1.

        Notes
        -----
        A text ends with the tokenizer's or the configuration's token for an end, with the token with which the chat
        template closes the model's turn, before a stop text, or at ``max_new_tokens``.
        White space with which a text begins is kept where the tokenizer keeps it.

        A draw depends on the seed, the prompt and its number, and not on what else is in the batch.
        The probabilities themselves move in the last digits with the shape of a batch (about 1e-6 in float32, more in
        half precision), so a draw whose random number, or a greedy choice whose two best logits, are that close to a
        border may come out differently; none of 420 such texts of a tiny network did.

        Examples
        --------
        >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
        >>> settings = GenerationSettings(max_new_tokens=40, temperature=0.8)  # doctest: +SKIP
        >>> model.generate([Prompt("Should voting be compulsory?", ())], settings, n_draws=3)  # doctest: +SKIP
        """
        from pytest_pluralism.models.local.generation import GenerationRequest, draw_key

        reader = self.reader
        if not isinstance(settings, GenerationSettings):
            raise invalid_parameter("settings", "generate", "a GenerationSettings", repr(settings))
        if isinstance(n_draws, bool) or not isinstance(n_draws, int) or n_draws < 1:
            raise invalid_parameter("n_draws", "generate", "a whole number from 1", repr(n_draws))
        distinct = list(dict.fromkeys(prompts))
        n_written = 1 if settings.greedy else n_draws
        requests: list[GenerationRequest] = []
        for prompt in distinct:
            _refuse_empty(prompt)
            ids = self.token_ids(prompt)
            self._refuse_long(prompt, ids, n_new=settings.max_new_tokens)
            requests += [GenerationRequest(ids, draw_key(prompt, settings.seed, draw)) for draw in range(n_written)]
        ends = self.generator.ends
        responses: dict[Prompt, dict[int, Response]] = {prompt: {} for prompt in distinct}
        n_all = len(prompts) * n_draws

        def read(tokens: DrawnTokens, draw: int) -> Response:
            ids = tokens.token_ids[:-1] if tokens.token_ids[-1] in ends else tokens.token_ids
            text, why = reader.decode_text(ids), tokens.stopped_by
            cuts = [place for stop in settings.stop if (place := text.find(stop)) >= 0]
            if cuts:
                text, why = text[: min(cuts)], "stop"
            return Response(text, len(tokens.token_ids), why, draw)

        def pass_on(batch: list[tuple[int, DrawnTokens]]) -> None:
            fresh = []
            for index, tokens in batch:
                prompt = distinct[index // n_written]
                for draw in range(n_draws) if settings.greedy else (index % n_written,):
                    responses[prompt][draw] = read(tokens, draw)
                    fresh.append((prompt, responses[prompt][draw]))
            if receive is not None:
                receive(fresh)

        def report(done: int) -> None:
            if progress is not None:
                progress(n_all if done == len(requests) else done * n_all // len(requests), n_all)

        self.generator.generate(requests, settings, progress=report, receive=pass_on)
        return [tuple(responses[prompt][draw] for draw in range(n_draws)) for prompt in prompts]

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        # The notes stay known.
        _ = self.identity
        self._scorer = self._reader = self._generator = None
        super().close()

    @property
    def reader(self) -> PromptReader:
        """The reader, which makes tokens of prompts; an error once the model has been closed."""
        if self._reader is None:
            raise self._closed()
        return self._reader

    @property
    def scorer(self) -> Scorer:
        """The engine, which computes rows of tokens; an error once the model has been closed."""
        if self._scorer is None:
            raise self._closed()
        return self._scorer

    @property
    def generator(self) -> Generator:
        """The writer of texts, made when it is first asked for."""
        from pytest_pluralism.models.local.generation import Generator

        if self._generator is None:
            ends = _end_tokens(self.reader, self.scorer.model.config)
            self._generator = Generator(self.scorer, ends=ends, decode=self.reader.decode_text)
        return self._generator

    def _refuse_unknown(self, ids: Sequence[int], what: str) -> None:
        """Refuse tokens that the tokenizer has and the network does not."""
        if self._n_tokens is not None and max(ids) >= self._n_tokens:
            raise ModelError(
                f"{what} holds the token {self.reader.decode(max(ids))!r} (number {max(ids)}), and the network of "
                f"{self._identity.name} has numbers for {self._n_tokens} tokens only: its tokenizer is larger than the "
                "network. Save the model with the tokenizer it was trained with, or after resize_token_embeddings."
            )

    def _refuse_long(self, prompt: Prompt, ids: tuple[int, ...], *, n_new: int = 0) -> None:
        if not ids:
            raise ModelError("A prompt has no tokens: its text is empty.")
        words = " ".join((prompt.verbatim or prompt.question).split()[:8]) + " ..."
        self._refuse_unknown(ids, f"The prompt {words!r}")
        if self._context is not None and len(ids) + n_new > self._context:
            text = prompt.verbatim or prompt.question
            words = " ".join(text.split()[:8])
            if n_new:
                raise ModelError(
                    f"The prompt {words + ' ...'!r} has {len(ids)} tokens; with {n_new} new ones that is more than the "
                    f"{self._context} that {self._identity.name} can take. Choose fewer new tokens (max_new_tokens) or "
                    "a shorter prompt; nothing is cut off in silence."
                )
            raise ModelError(
                f"The prompt {words + ' ...'!r} has {len(ids)} tokens, and {self._identity.name} reads at most "
                f"{self._context}. Use fewer examples or a shorter context; nothing is cut off in silence."
            )


def _budget_file(identity: ModelIdentity, network: Network) -> MeasuredFile:
    """Return where the token budget of a network on this device is kept."""
    import torch

    device = network.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} of {os.cpu_count()}"
    return MeasuredFile(
        "budget",
        {
            "model": identity.sha256,
            "device": name,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "transformers": package_version("transformers"),
        },
    )


def _refuse_empty(prompt: Prompt) -> None:
    text = prompt.question if prompt.verbatim is None else prompt.verbatim
    if not text.strip():
        raise ModelError("A prompt is empty: its question (or verbatim text) holds nothing to go on from.")


def _end_tokens(reader: PromptReader, config: Config) -> frozenset[int]:
    """Return the tokens that end a text: of the tokenizer, of the configuration, and of the chat template's turns."""
    tokenizer = reader.tokenizer
    ends: set[int] = set()
    for owner in (tokenizer, config, config.get_text_config(decoder=True)):
        value = getattr(owner, "eos_token_id", None)
        ends.update(
            int(token) for token in (value if isinstance(value, list | tuple) else (value,)) if token is not None
        )
    chat = reader.chat_renderer()
    if chat is not None:
        # The special token that the template sets behind what the model said.
        said = "Zebra"
        messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": said}]
        try:
            text = chat.written(messages, add_generation_prompt=False)
        except ModelError:
            # A template that refuses this closes no turn.
            return frozenset(ends)
        behind = tokenizer(text.rpartition(said)[2].lstrip(), add_special_tokens=False)["input_ids"]
        if behind and (behind[0] in set(tokenizer.all_special_ids) or behind[0] in tokenizer.added_tokens_decoder):
            ends.add(int(behind[0]))
    return frozenset(ends)


def _context_length(config: Config) -> int | None:
    """Return the maximum number of tokens that a network reads (``None``: bounded by memory only)."""
    if getattr(config, "is_encoder_decoder", False) and not hasattr(config, "max_position_embeddings"):
        return None
    length = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return int(length) if isinstance(length, int) and length > 0 else None
