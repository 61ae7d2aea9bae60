"""The scoring engine: token ids in, log-probabilities of labels out, with as few tokens computed as possible.

Prompts are rows of token ids.
Equal rows are computed once; rows that start alike share the keys and values of what they have in common, where the
network allows that; the rest goes in batches of rows that are about equally long.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.local.budget import REPEATS, TokenBudget
from pytest_pluralism.models.local.heads import no_logits, only_last, only_positions
from pytest_pluralism.models.local.prefixes import PrefixNode, least_saving, plan_prefixes, why_no_prefix_reuse
from pytest_pluralism.models.measured import MeasuredFile

__all__ = [
    "ContinuationRequest",
    "ContinuationScores",
    "ScoreRequest",
    "Scorer",
    "TokenScores",
    "input_device",
]


_Result = TypeVar("_Result")

#: How many of the likeliest next tokens are recorded: what the published protocol modular_pluralism looks at.
TOP_TOKENS = 10


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One row to score: its token ids, and for each label the tokens that spell it."""

    token_ids: tuple[int, ...]
    spellings: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What the network says at the end of one row."""

    log_probabilities: tuple[float, ...]
    option_mass: float
    top_token: int
    top_probability: float
    label_logits: tuple[tuple[float, ...], ...] = ()
    top_tokens: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ContinuationRequest:
    """One row whose end is scored: its token ids, and how many of them come before what is scored."""

    token_ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class ContinuationScores:
    """The natural logarithm of the probability of each token of a continuation, given all tokens before it."""

    log_probabilities: tuple[float, ...]


#: How many logits are held at once, in numbers: 256 MB of float32.
MOST_LOGITS = 2**26

#: Called with the requests of a batch that are done, by index, and their scores.
Receive = Callable[[list[tuple[int, TokenScores]]], None]


def input_device(model: Any, /) -> torch.device:
    """Return the device that a network takes its input on, also where its layers lie on several."""
    places = list((getattr(model, "hf_device_map", None) or {}).values())
    if len(set(map(str, places))) < 2:
        device: torch.device = model.device
        return device
    # Layers in main memory or on a disk are computed on the first device that computes, if there is one.
    computing = [place for place in places if str(place) not in {"cpu", "disk"}]
    return torch.device(computing[0] if computing else "cpu")


class _SharingChangesAnswersError(Exception):
    """Rows that share a beginning come out differently from rows that are computed whole."""


class Scorer:
    """Computes rows on one network.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The network, on its device, in evaluation mode.
    pad_token : int
        The token that fills short rows up; masked, so its choice does not matter.
    batch_size : int or "auto"
        At most so many rows at once; ``"auto"`` bounds tokens instead.
    share_prefixes : bool
        Whether rows may share the computation of their beginnings.
    measured : MeasuredFile or None
        Where the token budget of this network on this device is kept, once it was measured; with ``None`` it is not
        measured.
    """

    def __init__(
        self,
        model: Any,
        /,
        *,
        pad_token: int = 0,
        batch_size: int | str = "auto",
        share_prefixes: bool = True,
        measured: MeasuredFile | None = None,
    ) -> None:
        self.model = model
        self.pad_token = pad_token
        self.device = input_device(model)
        self.max_rows: int | None = batch_size if isinstance(batch_size, int) else None
        #: How many tokens go through the network at once.
        self.budget = TokenBudget(self.device.type, kept=None if self.max_rows is not None else measured)
        self._notes: list[str] = []
        places = list(dict.fromkeys(map(str, (getattr(model, "hf_device_map", None) or {}).values())))
        #: Whether the layers of the network lie on several devices.
        self.is_spread = len(places) > 1
        if self.is_spread:
            self._notes.append("the network is spread over the devices " + ", ".join(places))
        self.minimum_saving = least_saving(self.device.type)
        self.computed_tokens = 0
        #: What went through the network only to be timed, and is no part of ``computed_tokens``.
        self.timed_tokens = 0
        self._decoder_start: int | None = None
        if getattr(model.config, "is_encoder_decoder", False):
            generation = getattr(model, "generation_config", None)
            start = getattr(generation, "decoder_start_token_id", None)
            if start is None:
                start = getattr(model.config, "decoder_start_token_id", None)
            self._decoder_start = pad_token if start is None else int(start)
        self.share_prefixes = share_prefixes
        if share_prefixes:
            reason = why_no_prefix_reuse(model)
            if reason is not None:
                self.share_prefixes = False
                self._notes.append(f"prompts are computed whole, without sharing their beginnings: {reason}")
        self._checked = False

    @property
    def notes(self) -> list[str]:
        """What a reader of the results should know of how they were computed."""
        return [*self._notes, *self.budget.notes]

    @property
    def token_budget(self) -> int:
        """How many tokens one forward may have."""
        return self.budget.tokens

    # ------------------------------------------------------------------------------------------------ the whole way

    def score(
        self,
        requests: Sequence[ScoreRequest],
        /,
        *,
        progress: Callable[[int], None] | None = None,
        receive: Receive | None = None,
    ) -> list[TokenScores]:
        """Score rows; the results come in the order of the requests.

        ``progress`` is called with the number of requests that are done, ``receive`` with the scores of each batch.

        Raises
        ------
        ModelError
            If the network gives NaN, or there is no memory even for one row at a time.
        """
        try:
            return self._score(requests, progress, receive)
        except _SharingChangesAnswersError as error:
            # No network that is known does this; a new one may, and then the slow way is the right one.
            self.share_prefixes = False
            self._notes.append(
                "prompts are computed whole, without sharing their beginnings: "
                f"sharing changed the first answer by {error.args[0]:.2g} nats"
            )
            return self._score(requests, progress, receive)

    def _score(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int], None] | None, receive: Receive | None
    ) -> list[TokenScores]:
        wanted: dict[tuple[int, ...], list[int]] = {}
        for index, request in enumerate(requests):
            wanted.setdefault(request.token_ids, []).append(index)
        rows = list(wanted)
        results: list[TokenScores | None] = [None] * len(requests)
        done = 0

        def solve(batch: list[int], cache: Any, cached: int) -> bool:
            nonlocal done
            logits = self._try_batch([rows[row][cached:] for row in batch], cache, cached)
            if logits is None:
                return False
            # A few rows at a time where memory is what counts: the sum makes copies as large as the logits.
            few = 4 if self.device.type == "cpu" else len(logits)
            totals = torch.cat([torch.logsumexp(part, dim=-1) for part in logits.split(few)])
            if not bool(torch.isfinite(totals).all()):
                raise self._no_numbers()
            if cache is not None and not self._checked:
                self._check_sharing(logits[0], rows[batch[0]])
            fresh = [
                (index, _read(logits[position], totals[position], requests[index].spellings))
                for position, row in enumerate(batch)
                for index in wanted[rows[row]]
            ]
            for index, scores in fresh:
                results[index] = scores
            done += len(fresh)
            if receive is not None:
                receive(fresh)
            if progress is not None:
                progress(done)
            return True

        with torch.inference_mode():
            if self.share_prefixes and len(rows) > 1:
                root = plan_prefixes(rows, minimum_saving=self.minimum_saving)
            else:
                root = PrefixNode(0, rows=list(range(len(rows))))
            self._find_budget(root, rows)
            self._walk(root, None, 0, rows, solve)
        return [result for result in results if result is not None]

    # ---------------------------------------------------------------------------------------------- whole answers

    def score_continuations(
        self,
        requests: Sequence[ContinuationRequest],
        /,
        *,
        progress: Callable[[int], None] | None = None,
        receive: Callable[[list[tuple[int, ContinuationScores]]], None] | None = None,
    ) -> list[ContinuationScores]:
        """Score the ends of rows; the results come in the order of the requests.

        Rows share their beginnings as in :meth:`score`, up to where what is scored begins.
        Only the positions whose next token is scored go through the output layer.
        ``progress`` is called with the number of requests that are done, ``receive`` with the scores of each batch.

        Raises
        ------
        ModelError
            If the network is an encoder-decoder or gives NaN, or there is no memory even for one row at a time.
        """
        if self._decoder_start is not None:
            raise ModelError(
                f"{type(self.model).__name__} is an encoder-decoder, of which whole answers are not scored. "
                "Ask it closed questions with one-letter labels, or name a causal language model."
            )
        try:
            return self._score_continuations(requests, progress, receive)
        except _SharingChangesAnswersError as error:
            self.share_prefixes = False
            self._notes.append(
                "prompts are computed whole, without sharing their beginnings: "
                f"sharing changed the first answer by {error.args[0]:.2g} nats"
            )
            return self._score_continuations(requests, progress, receive)

    def _score_continuations(
        self,
        requests: Sequence[ContinuationRequest],
        progress: Callable[[int], None] | None,
        receive: Callable[[list[tuple[int, ContinuationScores]]], None] | None,
    ) -> list[ContinuationScores]:
        wanted: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for index, request in enumerate(requests):
            wanted.setdefault((request.token_ids, request.start), []).append(index)
        distinct = list(wanted)
        rows = [token_ids for token_ids, _ in distinct]
        starts = [start for _, start in distinct]
        results: list[ContinuationScores | None] = [None] * len(requests)
        done = 0

        def solve(batch: list[int], cache: Any, cached: int) -> bool:
            nonlocal done
            found = self._continuations([rows[row] for row in batch], [starts[row] for row in batch], cache, cached)
            if found is None:
                return False
            if cache is not None and not self._checked:
                self._checked = True
                whole = self._continuations([rows[batch[0]]], [starts[batch[0]]], None, 0)
                if whole is not None:
                    self._compare_sharing(abs(sum(whole[0]) - sum(found[0])) / len(found[0]))
            fresh = [
                (index, ContinuationScores(values))
                for row, values in zip(batch, found, strict=True)
                for index in wanted[distinct[row]]
            ]
            for index, scores in fresh:
                results[index] = scores
            done += len(fresh)
            if receive is not None:
                receive(fresh)
            if progress is not None:
                progress(done)
            return True

        def batch_at(pending: list[int], cached: int) -> int:
            # As many rows as have no more scored positions together than may be held as logits.
            room, count = self._most_positions(), 0
            for row in pending:
                room -= len(rows[row]) - starts[row]
                if room < 0 and count:
                    break
                count += 1
            return count

        with torch.inference_mode():
            if self.share_prefixes and len(rows) > 1:
                # The last token before what is scored is computed for each row: its output is read.
                limits = [start - 1 for start in starts]
                root = plan_prefixes(rows, minimum_saving=self.minimum_saving, limits=limits)
            else:
                root = PrefixNode(0, rows=list(range(len(rows))))
            self._find_budget(root, rows)
            self._walk(root, None, 0, rows, solve, batch_at)
        return [result for result in results if result is not None]

    def _most_positions(self) -> int:
        vocabulary = getattr(self.model.config.get_text_config(decoder=True), "vocab_size", None) or 2**17
        return max(1, MOST_LOGITS // int(vocabulary))

    def _continuations(
        self, rows: list[tuple[int, ...]], starts: list[int], cache: Any, cached: int
    ) -> list[tuple[float, ...]] | None:
        """Return for each row the log-probabilities of its tokens from its start on; ``None`` without memory."""
        most = self._most_positions()
        if len(rows) > 1 or len(rows[0]) - starts[0] <= most or not self.share_prefixes:
            suffixes = [row[cached:] for row in rows]
            reads = [
                [(position - 1 - cached, row[position]) for position in range(start, len(row))]
                for row, start in zip(rows, starts, strict=True)
            ]
            return self._try(lambda: self._token_log_probabilities(suffixes, reads, _copies(cache, len(rows)), cached))
        # One long answer: computed piece by piece, each with the keys and values of those before it.
        from transformers import DynamicCache

        (row,), (start,) = rows, starts
        grown = DynamicCache(config=self.model.config) if cache is None else branched(cache, 1)
        values: list[float] = []
        for low in range(start, len(row), most):
            high = min(low + most, len(row))
            # The token at high - 1 is computed with the next piece, which reads its output.
            piece, done = row[cached : high - 1], cached
            reads = [[(position - 1 - done, row[position]) for position in range(low, high)]]
            found = self._try(functools.partial(self._token_log_probabilities, [piece], reads, grown, done))
            if found is None:
                return None
            values += found[0]
            cached = high - 1
        return [tuple(values)]

    def _token_log_probabilities(
        self, suffixes: list[tuple[int, ...]], reads: list[list[tuple[int, int]]], cache: Any, cached: int
    ) -> list[tuple[float, ...]]:
        """Return the log-probability of each (position, next token) of each row, by one forward."""
        arguments = self._arguments(suffixes, cache, cached)
        rows = [row for row, pairs in enumerate(reads) for _ in pairs]
        positions = [position for pairs in reads for position, _ in pairs]
        targets = torch.tensor([token for pairs in reads for _, token in pairs], device=self.device)
        where = torch.tensor(rows, device=self.device), torch.tensor(positions, device=self.device)
        with only_positions(self.model, *where, len(suffixes)) as chosen:
            logits = self.model(**arguments).logits
        logits = logits[0] if chosen else logits[where]
        values: list[float] = []
        # In float32 a few at a time: all at once would be a second copy of half-precision logits, and twice as large.
        for low in range(0, len(logits), 64):
            part = logits[low : low + 64].float()
            picked = part.gather(1, targets[low : low + 64, None].to(part.device))[:, 0]
            totals = torch.logsumexp(part, dim=-1)
            if not bool(torch.isfinite(totals).all()):
                raise self._no_numbers()
            values += (picked - totals).tolist()
        ends = list(itertools.accumulate(len(pairs) for pairs in reads))
        return [tuple(values[end - len(pairs) : end]) for pairs, end in zip(reads, ends, strict=True)]

    def _no_numbers(self) -> ModelError:
        return ModelError(
            f"The network of {type(self.model).__name__} gives NaN or infinity ({_dtype_name(self.model)}). "
            "Load it with --pluralism-dtype float32, and check its weights."
        )

    def _walk(
        self,
        node: PrefixNode,
        cache: Any,
        cached: int,
        rows: Sequence[tuple[int, ...]],
        solve: Callable[[list[int], Any, int], bool],
        most: Callable[[list[int], int], int] | None = None,
    ) -> None:
        """Compute what a node has beyond the one above it, then all that hangs on it: longest rows first.

        ``solve`` computes a batch and says whether there was memory for it; ``most`` bounds the rows of the next one.
        """
        if node.length > cached:
            cache = self._extended(cache, rows[node.any_row()][cached : node.length], cached)
        lengths = [len(row) for row in rows]
        for child in sorted(node.children, key=lambda child: -child.longest(lengths)):
            self._walk(child, cache, node.length, rows, solve, most)
        pending = sorted(node.rows, key=lambda row: -lengths[row])
        while pending:
            batch = self._next_batch(pending, lengths, node.length)
            if most is not None:
                batch = batch[: most(batch, node.length)]
            if not solve(batch, cache, node.length):
                self._shrink(len(batch), lengths[batch[0]] - node.length)
                continue
            pending = pending[len(batch) :]

    def _next_batch(self, pending: list[int], lengths: Sequence[int], cached: int) -> list[int]:
        """Take the longest rows that fit: the first decides how wide the batch is."""
        width = lengths[pending[0]] - cached
        if self.max_rows is not None:
            return pending[: self.max_rows]
        fitting = min(self.token_budget // max(width, 1), 8 * self.token_budget // max(width + cached, 1))
        return pending[: max(1, fitting)]

    def _shrink(self, n_rows: int, width: int) -> None:
        """Halve what is computed at once, for the rest of this model's life."""
        if n_rows <= 1:
            raise ModelError(
                f"There is not enough memory on {self.device} for one prompt of {width} tokens. "
                "Choose a smaller number format (--pluralism-dtype bfloat16), another device (--pluralism-device cpu), "
                "or a smaller model."
            )
        if self.max_rows is not None:
            self.max_rows = max(1, min(self.max_rows, n_rows) // 2)
        else:
            self.budget.no_memory(n_rows * width)

    def _find_budget(self, root: PrefixNode, rows: Sequence[tuple[int, ...]]) -> None:
        """Time forwards of growing size, with rows of the run, as long as that is a small part of what is planned."""
        planned = root.n_tokens([len(row) for row in rows])
        if self.budget.next_size(planned, self.budget.smallest) is None:
            return
        # About as long as what is mostly computed: a row without the beginning that it shares.
        width = max(16, min(planned // len(rows), 512, max(map(len, rows))))
        ends = [row[-width:] for row in rows if len(row) >= width] or [max(rows, key=len)]
        counted = self.computed_tokens

        def rate(size: int) -> float:
            batch = [ends[place % len(ends)] for place in range(max(1, size // width))]
            self._synchronize()
            started = time.perf_counter()
            if self._try(lambda: self._forward(batch, None, 0)) is None:
                return 0.0
            self._synchronize()
            return sum(map(len, batch)) / (time.perf_counter() - started)

        # The first forward of a process is slow whatever its size.
        rate(self.budget.smallest)
        while (size := self.budget.next_size(planned, self.computed_tokens - counted)) is not None:
            spare = self._memory_to_spare()
            rates = list(itertools.takewhile(bool, (rate(size) for _ in range(REPEATS))))
            if len(rates) < REPEATS:
                self.budget.no_memory_while_measuring(size)
                break
            self.budget.record(size, max(rates))
            if spare is not None:
                peak = torch.cuda.max_memory_allocated(self.device) - torch.cuda.memory_allocated(self.device)
                # Twice as many tokens need twice as much; rows that share a beginning come with its keys and values.
                if 4 * peak > spare:
                    self.budget.no_room()
        self.budget.keep()
        self.timed_tokens += self.computed_tokens - counted
        self.computed_tokens = counted

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _memory_to_spare(self) -> int | None:
        """Return how many bytes of the device are free or held by nothing; ``None`` where that is not told."""
        if self.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        free, _ = torch.cuda.mem_get_info(self.device)
        held: int = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(free) + held

    # ---------------------------------------------------------------------------------------------------- one forward

    def _try_batch(self, suffixes: list[tuple[int, ...]], cache: Any, cached: int) -> torch.Tensor | None:
        """Compute one batch; ``None`` when there is no memory for it."""
        return self._try(lambda: self._forward(suffixes, _copies(cache, len(suffixes)), cached))

    def _try(self, forward: Callable[[], _Result]) -> _Result | None:
        """Run a forward; ``None`` when there is no memory for it."""
        try:
            return forward()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out here the traceback no longer holds the tensors of the failed forward.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _extended(self, cache: Any, tokens: tuple[int, ...], cached: int) -> Any:
        """Return the keys and values of a longer beginning; those of the shorter one stay as they are."""
        from transformers import DynamicCache

        longer = DynamicCache(config=self.model.config) if cache is None else branched(cache, 1)
        try:
            arguments = self._arguments([tokens], longer, cached)
            with no_logits(self.model):
                self.model(**arguments)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            longer = None
        if longer is None:
            self._shrink(1, cached + len(tokens))
        return longer

    def _forward(self, suffixes: list[tuple[int, ...]], cache: Any, cached: int) -> torch.Tensor:
        """Return the logits [rows, vocabulary] behind each row's last token, in float32.

        Rows are filled up on the right: causal attention never looks there, and positions count from the left by
        themselves, so that neither needs to be told.
        """
        arguments = self._arguments(suffixes, cache, cached)
        if self._decoder_start is not None:
            start = torch.full((len(suffixes), 1), self._decoder_start, dtype=torch.long, device=self.device)
            output = self.model(**arguments, decoder_input_ids=start)
            logits: torch.Tensor = output.logits[:, -1].float()
            return logits
        last = torch.tensor([len(suffix) - 1 for suffix in suffixes], device=self.device)
        with only_last(self.model, last):
            logits = self.model(**arguments).logits
        if logits.shape[1] == 1:
            return logits[:, 0].float()
        return logits[torch.arange(len(suffixes), device=self.device), last].float()

    def _arguments(self, suffixes: list[tuple[int, ...]], cache: Any, cached: int) -> dict[str, Any]:
        """Return what the network is called with, filled up on the right."""
        width = max(len(suffix) for suffix in suffixes)
        ids = torch.full((len(suffixes), width), self.pad_token, dtype=torch.long)
        mask = torch.ones((len(suffixes), cached + width), dtype=torch.long)
        for row, suffix in enumerate(suffixes):
            ids[row, : len(suffix)] = torch.tensor(suffix, dtype=torch.long)
            mask[row, cached + len(suffix) :] = 0
        self.computed_tokens += ids.numel()
        arguments: dict[str, Any] = {
            "input_ids": ids.to(self.device),
            "attention_mask": mask.to(self.device),
            "return_dict": True,
        }
        if cache is not None:
            arguments |= {"past_key_values": cache, "use_cache": True}
        elif "use_cache" in inspect.signature(self.model.forward).parameters:
            arguments["use_cache"] = False
        return arguments

    def _check_sharing(self, shared: torch.Tensor, row: tuple[int, ...]) -> None:
        """Compute one row whole, once a model, and believe in shared beginnings only if it comes out the same."""
        self._checked = True
        whole = self._try_batch([row], None, 0)
        if whole is None:
            return
        expected, got = torch.log_softmax(whole[0], dim=-1), torch.log_softmax(shared, dim=-1)
        # What is all but impossible may differ more: rounding in the logits counts there too.
        likely = expected >= expected.max() - 7.0
        self._compare_sharing(float((expected - got)[likely].abs().max()))

    def _compare_sharing(self, difference: float) -> None:
        allowed = 1e-3 if next(self.model.parameters()).dtype == torch.float32 else 0.5
        if not difference <= allowed:
            raise _SharingChangesAnswersError(difference)


def _copies(cache: Any, n_rows: int) -> Any:
    return None if cache is None else branched(cache, n_rows)


def branched(cache: Any, n_rows: int) -> Any:
    """Return a cache that starts as ``n_rows`` copies of another, of one row, and leaves that one alone.

    A forward writes into the layers of its cache, so each gets new ones; the tensors themselves are shared until then,
    and are replaced, never written to.
    """
    branch = copy.copy(cache)
    branch.layers = []
    for layer in cache.layers:
        own = copy.copy(layer)
        if getattr(own, "keys", None) is not None and own.keys.dim() == 4:
            own.keys = own.keys.expand(n_rows, -1, -1, -1)
            own.values = own.values.expand(n_rows, -1, -1, -1)
        branch.layers.append(own)
    return branch


def _read(logits: torch.Tensor, total: torch.Tensor, spellings: tuple[tuple[int, ...], ...]) -> TokenScores:
    """Read one row: for each label the logsumexp over its spellings, against the whole vocabulary."""
    by_label = [logits[torch.tensor(tokens, device=logits.device)] for tokens in spellings]
    values = [float(torch.logsumexp(chosen, dim=0) - total) for chosen in by_label]
    tops = torch.topk(logits, min(TOP_TOKENS, len(logits)))
    probabilities = (tops.values - total).exp().tolist()
    return TokenScores(
        log_probabilities=tuple(values),
        option_mass=min(1.0, float(torch.tensor(values, dtype=torch.float64).exp().sum())),
        top_token=int(tops.indices[0]),
        top_probability=probabilities[0],
        label_logits=tuple(tuple(chosen.tolist()) for chosen in by_label),
        top_tokens=tuple(zip(tops.indices.tolist(), probabilities, strict=True)),
    )


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _dtype_name(model: Any) -> str:
    return str(next(model.parameters()).dtype).removeprefix("torch.")
