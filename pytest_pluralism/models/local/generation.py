"""Writing texts: prompts as rows of token ids in, drawn tokens out, the same whatever else is in the batch.

A batch starts with the prompts, filled up on the left, goes on with one token a row, and is left by rows that are done.
The network runs where it runs; the token is drawn on the CPU, from float32 probabilities, with numbers that only the
seed, the prompt, the number of the draw and the position decide.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.models.local.devices import is_out_of_memory
from pytest_pluralism.models.local.forwards import branched
from pytest_pluralism.models.local.heads import only_last
from pytest_pluralism.models.local.scoring import MOST_LOGITS, Scorer, difference_of

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Cache, Config

__all__ = ["DrawnTokens", "GenerationRequest", "Generator", "draw_key", "uniform"]

#: Stop texts are looked for in this many tokens more than the longest has bytes: tokenizers may drop a leading space,
#: and a special token has no text.
SLACK = 8


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One row to go on with: its token ids, and the key that decides its draw."""

    token_ids: tuple[int, ...]
    key: bytes


@dataclass(frozen=True, slots=True)
class DrawnTokens:
    """The tokens that were drawn for one row, the one that ended it included, and what ended it."""

    token_ids: tuple[int, ...]
    stopped_by: str


#: Called with the requests that are done, by index, and their tokens.
Receive = Callable[[list[tuple[int, DrawnTokens]]], None]


def draw_key(prompt: Prompt, seed: int, draw: int, /) -> bytes:
    """Return the key that decides one draw: the SHA-256 over the seed, the fields of the prompt, and its number.

    The model is not part of it, so that two models are compared with the same random numbers.
    """
    content = json.dumps([seed, dataclasses.asdict(prompt), draw], sort_keys=True)
    return hashlib.sha256(content.encode("ascii")).digest()


def uniform(key: bytes, position: int, /) -> float:
    """Return the random number in [0, 1) of one position of a draw.

    It is the first 53 bits of SHA-256(key, position): the same with every version of torch and on every device, and no
    state that a batch could share. ``torch.Generator`` reads 32 bits of its seed only.
    """
    digest = hashlib.sha256(key + position.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53


def choose_tokens(
    logits: torch.Tensor, uniforms: Sequence[float], settings: GenerationSettings, /
) -> list[int]:  # [rows, vocabulary] of float32 on the CPU
    """Choose the next token of each row.

    The token is the first in the order of the vocabulary at which the cumulative probability exceeds the row's random
    number. In that order a rounding error of 1e-7 in a probability moves a border by 1e-7; in the order of the
    probabilities two tokens that are about as likely could change places.
    """
    if settings.greedy:
        return [int(token) for token in logits.argmax(dim=-1)]
    # Against the largest logit first: a very small temperature may not overflow.
    scaled = (logits - logits.max(dim=-1, keepdim=True).values) / settings.temperature
    if settings.top_k is not None and settings.top_k < scaled.shape[-1]:
        least = torch.topk(scaled, settings.top_k, dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = torch.softmax(scaled, dim=-1)
    if settings.top_p < 1:
        probabilities = probabilities.masked_fill(probabilities < _nucleus(probabilities, settings.top_p), 0.0)
    cumulative = probabilities.double().cumsum(dim=-1)
    chosen = []
    for row, number in enumerate(uniforms):
        borders = cumulative[row]
        token = int(torch.searchsorted(borders, number * float(borders[-1]), right=True))
        if token >= len(borders):
            # number * total was rounded up to the total itself.
            token = int(probabilities[row].nonzero()[-1])
        chosen.append(token)
    return chosen


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return for each row the least probability in the smallest set of likeliest tokens that has ``top_p``."""
    size = probabilities.shape[-1]
    for most in (min(1024, size), size):
        # Nearly always the first thousand tokens are enough, and sorting a quarter of a million is not needed.
        ordered = torch.topk(probabilities, most, dim=-1).values
        reached = ordered.double().cumsum(dim=-1) >= top_p
        if most == size or bool(reached.any(dim=-1).all()):
            break
    first = torch.where(reached.any(dim=-1), reached.to(torch.int8).argmax(dim=-1), most - 1)
    return ordered.gather(1, first[:, None])


@dataclass(slots=True)
class _Row:
    """A row that is being written."""

    index: int
    request: GenerationRequest
    drawn: list[int] = field(default_factory=list)


class Generator:
    """Writes texts with one network.

    Parameters
    ----------
    scorer : Scorer
        The engine that computes rows on the network: its notes, its memory budget and its shared beginnings are used.
    ends : set of int
        The tokens that end a text.
    decode : callable
        Turns drawn tokens into text, to look for stop texts.
    """

    def __init__(self, scorer: Scorer, /, *, ends: frozenset[int], decode: Callable[[Sequence[int]], str]) -> None:
        self.scorer = scorer
        self.model = scorer.model
        self.device = scorer.device
        self.ends = ends
        self.decode = decode
        #: Maximum number of rows at once, where that was asked for; halved when memory runs out.
        self.most_rows: int | None = scorer.max_rows
        parameters = inspect.signature(self.model.forward).parameters
        #: True where rows of different lengths may stand side by side: positions must be told, not counted.
        self.takes_positions = "position_ids" in parameters or any(
            parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
        )
        #: True where padding in the middle of a row is certain to be harmless.
        self.shares = "position_ids" in parameters
        # Keys and values are used where they are also safe to share; elsewhere every step computes the whole row.
        self._caches = scorer.share_prefixes
        #: The steps of a batch, from 0, that came out as by computing a row alone and whole.
        self._checked: set[int] = set()
        text = self.model.config.get_text_config(decoder=True)
        self.window = _smallest_window(text)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        settings: GenerationSettings,
        /,
        *,
        progress: Callable[[int], None] | None = None,
        receive: Receive | None = None,
    ) -> list[DrawnTokens]:
        """Continue rows of tokens, and return the results in the order of the requests.

        Raises
        ------
        ModelError
            If the network is an encoder-decoder or gives NaN, or there is no memory even for one row at a time.
        """
        if getattr(self.model.config, "is_encoder_decoder", False):
            raise ModelError(
                f"{type(self.model).__name__} is an encoder-decoder, which writes no texts here. "
                "Ask it closed questions, or name a causal language model."
            )
        results: list[DrawnTokens | None] = [None] * len(requests)
        done = 0

        def finish(rows: list[tuple[_Row, str]]) -> None:
            for row, why in rows:
                results[row.index] = DrawnTokens(tuple(row.drawn), why)

        # Longest first: what does not fit shows at once. Draws of one prompt stay together and share its computation.
        pending = sorted(
            range(len(requests)), key=lambda index: (-len(requests[index].token_ids), requests[index].token_ids, index)
        )
        with torch.inference_mode():
            while pending:
                batch = self._next_batch(pending, requests, settings)
                attempt = functools.partial(self._write, [requests[index] for index in batch], batch, settings, finish)
                if self.scorer.forwards.attempt(attempt) is None:
                    self._shrink(len(batch), requests[batch[0]], settings)
                    continue
                pending = pending[len(batch) :]
                done += len(batch)
                if receive is not None:
                    receive([(index, result) for index in batch if (result := results[index]) is not None])
                if progress is not None:
                    progress(done)
        return [result for result in results if result is not None]

    # -------------------------------------------------------------------------------------------------------- batches

    def _next_batch(
        self, pending: list[int], requests: Sequence[GenerationRequest], settings: GenerationSettings
    ) -> list[int]:
        length = len(requests[pending[0]].token_ids)
        vocabulary = int(getattr(self.model.config.get_text_config(decoder=True), "vocab_size", None) or 2**17)
        # As for scoring: a forward has the tokens of the budget, and keys and values of eight times as many.
        room = 8 * self.scorer.token_budget
        if self.scorer.budget.cached_tokens is not None:
            room = min(room, self.scorer.budget.cached_tokens)
        fitting = room // (length + settings.max_new_tokens)
        most = max(1, min(fitting, MOST_LOGITS // vocabulary))
        if self.most_rows is not None:
            most = min(most, self.most_rows)
        batch = pending[:most]
        if self.scorer.alone:
            return pending[:1]
        if (not self.takes_positions and self._caches) or self.scorer.one_length:
            batch = [index for index in batch if len(requests[index].token_ids) == length]
        return batch

    def _shrink(self, n_rows: int, request: GenerationRequest, settings: GenerationSettings) -> None:
        if n_rows <= 1:
            raise ModelError(
                f"There is not enough memory on {self.device} to go on with one prompt of {len(request.token_ids)} "
                "tokens. Choose fewer new tokens, a smaller number format (--pluralism-dtype=bfloat16), another device "
                "(--pluralism-device=cpu), or a smaller model."
            )
        if self.most_rows is not None:
            self.most_rows = min(self.most_rows, n_rows // 2)
            return
        self.scorer.budget.no_memory_while_writing(n_rows * (len(request.token_ids) + settings.max_new_tokens))

    def _write(
        self,
        requests: Sequence[GenerationRequest],
        indices: Sequence[int],
        settings: GenerationSettings,
        finish: Callable[[list[tuple[_Row, str]]], None],
    ) -> bool:
        """Write the rows of one batch to their ends."""
        # Every attempt starts anew, with the same random numbers.
        active = [_Row(index, request) for index, request in zip(indices, requests, strict=True)]
        state = _Cached(self, active, settings.max_new_tokens) if self._caches else None
        state, logits = self._next(state, active, None if state is None else state.start)
        while True:
            numbers = [uniform(row.request.key, len(row.drawn)) for row in active]
            for row, token in zip(active, choose_tokens(logits, numbers, settings), strict=True):
                row.drawn.append(token)
            verdicts = [self._stopped(row, settings) for row in active]
            finish([(row, why) for row, why in zip(active, verdicts, strict=True) if why])
            kept = [position for position, why in enumerate(verdicts) if not why]
            if not kept:
                return True
            if len(kept) < len(active):
                active = [active[position] for position in kept]
                if state is not None:
                    state.keep(kept)
            drawn = [row.drawn[-1] for row in active]
            state, logits = self._next(state, active, None if state is None else functools.partial(state.step, drawn))

    def _next(
        self, state: _Cached | None, active: list[_Row], compute: Callable[[], torch.Tensor] | None
    ) -> tuple[_Cached | None, torch.Tensor]:
        """Return the logits behind each row; without keys and values once they were found to change them."""
        if state is None or compute is None:
            return None, self._whole(active)
        step = len(active[0].drawn)
        try:
            logits = compute()
            if step in self._checked or step > 1:
                return state, logits
            # The shortest row is the one that is filled up, and has other positions than its columns say.
            place = min(range(len(active)), key=lambda one: len(active[one].request.token_ids))
            row = (*active[place].request.token_ids, *active[place].drawn)
            expected = self.scorer.uncounted(lambda: self.scorer.forwards.last_logits([row], None, 0)[0])
            difference = difference_of(expected, logits[place])
            why = "" if self.scorer.agrees(difference) else f"they changed the first text by {difference:.2g} nats"
        except ModelError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            why = " ".join(f"they raised {type(error).__name__}: {error}".split())[:120]
        if not why:
            self._checked.add(step)
            return state, logits
        self._caches = False
        self.scorer.note(f"texts are written without keys and values: {why}")
        return None, self._whole(active)

    def _stopped(self, row: _Row, settings: GenerationSettings) -> str:
        """Return what ended a row; empty where it goes on."""
        if row.drawn[-1] in self.ends:
            return "eos"
        if settings.stop:
            tail = max(len(text.encode("utf-8", "surrogatepass")) for text in settings.stop) + SLACK
            text = self.decode(row.drawn[-tail:])
            if any(stop in text for stop in settings.stop):
                return "stop"
        return "length" if len(row.drawn) >= settings.max_new_tokens else ""

    def _whole(self, rows: Sequence[_Row]) -> torch.Tensor:
        """Compute the rows from their beginnings: for networks whose keys and values are not used."""
        texts = [(*row.request.token_ids, *row.drawn) for row in rows]
        if not self.scorer.alone and len(set(map(len, texts))) > 1:
            # Rows side by side must come out as each does alone.
            order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
            found = self.scorer.together([texts[place] for place in order])
            if found is not None:
                back = torch.tensor(sorted(range(len(order)), key=order.__getitem__), device=found.device)
                return self.checked(found[back])
        most = 1 if self.scorer.alone else max(1, self.scorer.token_budget // max(map(len, texts)))
        forwards = self.scorer.forwards
        parts = [
            forwards.by_itself(functools.partial(forwards.last_logits, texts[low : low + most], None, 0))
            for low in range(0, len(texts), most)
        ]
        return self.checked(torch.cat(parts))

    def checked(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits on the CPU in float32, having looked for NaN."""
        logits = logits.float()
        if not bool(torch.isfinite(torch.logsumexp(logits, dim=-1)).all()):
            raise self.scorer.forwards.no_numbers()
        return logits.cpu()


class _Cached:
    """The keys and values of the rows of one batch.

    Rows are filled up on the left, so that all go on in the same column, and positions are told.
    The beginning that all prompts of a batch share is computed once. The filling then stands behind it, where a sliding
    window, which counts columns, would cut off too early; so it is done only as far as no window is reached.
    """

    def __init__(self, generator: Generator, rows: Sequence[_Row], n_new: int) -> None:
        self.generator = generator
        self.rows = [row.request.token_ids for row in rows]
        self.mask = torch.zeros(0)
        self.positions = torch.zeros(0)
        self.cache: Cache = generator.scorer.forwards.new_cache()
        self.n_new = n_new

    def start(self) -> torch.Tensor:
        """Compute the prompts; return the logits behind their last tokens."""
        generator, scorer = self.generator, self.generator.scorer
        prompts = list(dict.fromkeys(self.rows))
        order = torch.tensor([prompts.index(row) for row in self.rows])
        width = max(map(len, prompts))
        shared = self._shared(prompts, width)
        prefix = scorer.forwards.extended(None, [prompts[0][:shared]], 0) if shared else None
        if shared and prefix is None:
            raise scorer.forwards.no_memory(shared)
        # Few enough prompts at once that a forward has no more tokens than one of scoring; their caches are joined.
        most = max(1, scorer.token_budget // max(1, width - shared))
        pieces, outputs, masks = [], [], []
        for low in range(0, len(prompts), most):
            part = prompts[low : low + most]
            cache = scorer.forwards.new_cache() if prefix is None else branched(prefix, len(part))
            ids = torch.full((len(part), width - shared), scorer.forwards.pad_token, dtype=torch.long)
            mask = torch.ones((len(part), width), dtype=torch.long)
            for row, prompt in enumerate(part):
                ids[row, width - len(prompt) :] = torch.tensor(prompt[shared:], dtype=torch.long)
                mask[row, shared : shared + width - len(prompt)] = 0
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
            outputs.append(self._forward(ids, mask, positions, cache))
            pieces.append(cache)
            masks.append(mask)
        self.cache = _joined(pieces, order)
        self.mask = torch.cat(masks)[order]
        self.positions = self.mask.sum(dim=1)
        return generator.checked(torch.cat(outputs)[order.to(generator.device)])

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Go on by one token a row; return the logits behind them."""
        self.mask = torch.cat([self.mask, torch.ones((len(tokens), 1), dtype=torch.long)], dim=1)
        ids = torch.tensor(tokens, dtype=torch.long)[:, None]
        logits = self._forward(ids, self.mask, self.positions[:, None], self.cache)
        self.positions = self.positions + 1
        return self.generator.checked(logits)

    def keep(self, rows: Sequence[int]) -> None:
        """Let all other rows go."""
        chosen = torch.tensor(rows)
        self.mask, self.positions = self.mask[chosen], self.positions[chosen]
        # An index in main memory fits the keys and values of every device.
        scorer = self.generator.scorer
        self.cache.batch_select_indices(chosen if scorer.is_spread else chosen.to(scorer.device))

    def _shared(self, prompts: Sequence[tuple[int, ...]], width: int) -> int:
        """Return how long a beginning of all prompts is computed once."""
        window = self.generator.window
        if len(prompts) < 2 or not self.generator.shares or (window is not None and width + self.n_new >= window):
            return 0
        least, largest = min(prompts), max(prompts)
        shared = 0
        most = min(map(len, prompts)) - 1
        while shared < most and least[shared] == largest[shared]:
            shared += 1
        return shared if (len(prompts) - 1) * shared >= self.generator.scorer.minimum_saving else 0

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Return the logits [rows, vocabulary] behind each row's last column."""
        generator = self.generator
        arguments: dict[str, object] = {
            "input_ids": ids.to(generator.device),
            "attention_mask": mask.to(generator.device),
            "past_key_values": cache,
            "use_cache": True,
            "return_dict": True,
        }
        if generator.takes_positions:
            arguments["position_ids"] = positions.to(generator.device)
        generator.scorer.forwards.computed_tokens += ids.numel()
        last = torch.full((len(ids),), ids.shape[1] - 1, device=generator.device)
        with only_last(generator.model, last):
            return generator.scorer.forwards.run(arguments).logits[:, -1]


def _joined(caches: Sequence[Cache], order: torch.Tensor) -> Cache:
    """Return one cache with the rows of several, in an order in which they may be repeated or left out."""
    first = caches[0]
    for number, layer in enumerate(first.layers):
        if getattr(layer, "keys", None) is None or layer.keys.dim() != 4:
            continue
        rows = order.to(layer.keys.device)
        layer.keys = torch.cat([cache.layers[number].keys for cache in caches])[rows]
        layer.values = torch.cat([cache.layers[number].values for cache in caches])[rows]
    return first


def _smallest_window(config: Config) -> int | None:
    """Return the smallest sliding window of a network, if it has one at all."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not any("sliding" in str(kind) for kind in kinds):
        return None
    window = getattr(config, "sliding_window", None)
    return int(window) if isinstance(window, int) and window > 0 else None
