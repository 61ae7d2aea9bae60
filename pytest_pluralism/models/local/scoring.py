"""The scoring engine: token ids in, log-probabilities of labels out, with as few tokens computed as possible.

Prompts are rows of token ids.
Equal rows are computed once; rows that start alike share the keys and values of what they have in common, where the
network allows that; the rest goes in batches of rows that are about equally long.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.local.budget import REPEATS, TokenBudget
from pytest_pluralism.models.local.devices import is_out_of_memory
from pytest_pluralism.models.local.forwards import Forwards, branched, copies, selected
from pytest_pluralism.models.local.prefixes import (
    GRAIN,
    LENGTH_ROPES,
    PrefixNode,
    least_saving,
    plan_prefixes,
    rope_types,
    why_no_prefix_reuse,
)
from pytest_pluralism.models.local.rows import (
    ContinuationRequest,
    ContinuationScores,
    ScoreRequest,
    TokenScores,
    difference_of,
    token_scores,
)
from pytest_pluralism.models.measured import MeasuredFile

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Cache, Network

__all__ = [
    "ContinuationRequest",
    "ContinuationScores",
    "ScoreRequest",
    "Scorer",
    "TokenScores",
    "difference_of",
]


_Result = TypeVar("_Result")
_Value = TypeVar("_Value")

#: Maximum number of logits that are held at once: 256 MB of float32.
MOST_LOGITS = 2**26

#: Called with the requests of a batch that are done, by index, and their scores.
Receive = Callable[[list[tuple[int, TokenScores]]], None]


class _ChangesAnswersError(Exception):
    """Rows that share a beginning, or a forward, come out differently from rows that are computed whole and alone."""

    def __init__(self, why: str, *, padding: bool = False) -> None:
        super().__init__(why)
        self.padding = padding


@dataclass(frozen=True, slots=True)
class _Job(Generic[_Result]):
    """Rows to compute.

    ``compute`` returns the results of a batch of rows by the indices of their requests, ``None`` where there is no
    memory for it; it gets the rows by number, the keys and values of what they share, and how many tokens these are of.
    ``limits`` and ``most`` are as for ``plan_prefixes`` and ``_walk``.
    """

    rows: list[tuple[int, ...]]
    compute: Callable[[list[int], Cache | None, int], list[tuple[int, _Result]] | None]
    limits: list[int] | None = None
    most: Callable[[list[int], int], int] | None = None


class Scorer:
    """Computes rows on one network.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The network, on its device, in evaluation mode.
    pad_token : int
        The token that fills short rows up; masked, so its choice does not matter.
    batch_size : int or "auto"
        Maximum number of rows at once; ``"auto"`` bounds tokens instead.
    share_prefixes : bool
        Whether rows may share the computation of their beginnings.
    measured : MeasuredFile or None
        Where the token budget of this network on this device is kept, once it was measured; with ``None`` it is not
        measured.
    """

    def __init__(
        self,
        model: Network,
        /,
        *,
        pad_token: int = 0,
        batch_size: int | str = "auto",
        share_prefixes: bool = True,
        measured: MeasuredFile | None = None,
    ) -> None:
        self.model = model
        self.forwards = Forwards(model, pad_token)
        self.device = self.forwards.device
        self.max_rows: int | None = batch_size if isinstance(batch_size, int) else None
        #: The number of tokens that go through the network at once.
        self.budget = TokenBudget(self.device.type, kept=None if self.max_rows is not None else measured)
        self._notes: list[str] = []
        places = list(dict.fromkeys(map(str, (getattr(model, "hf_device_map", None) or {}).values())))
        #: True where the layers of the network lie on several devices.
        self.is_spread = len(places) > 1
        if self.is_spread:
            self._notes.append("the network is spread over the devices " + ", ".join(places))
        self.minimum_saving = least_saving(self.device.type)
        #: Number of tokens that went through the network only to be timed; ``computed_tokens`` does not count them.
        self.timed_tokens = 0
        self.share_prefixes = share_prefixes
        if share_prefixes:
            reason = why_no_prefix_reuse(model)
            if reason is not None:
                self.share_prefixes = False
                self._notes.append(f"prompts are computed whole, without sharing their beginnings: {reason}")
        #: True once a row was computed whole too, and came out as with a shared beginning.
        self.sharing_checked = False
        #: True where a row comes out differently beside longer rows: then each row is computed alone.
        self.alone = False
        #: True where only rows of one length may share a forward.
        self.one_length = bool(rope_types(model.config.get_text_config(decoder=True)) & LENGTH_ROPES)
        #: The widths, as powers of two, at which a row that was filled up came out as by itself.
        self.padding_checked: set[int] = set()

    @property
    def notes(self) -> list[str]:
        """Sentences for a reader of the results about the way in which they were computed."""
        return [*self._notes, *self.budget.notes]

    @property
    def computed_tokens(self) -> int:
        """Number of tokens that went through the network, without those that were only timed or checked a filling."""
        return self.forwards.computed_tokens

    @property
    def token_budget(self) -> int:
        """Maximum number of tokens in one forward."""
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
        wanted: dict[tuple[int, ...], list[int]] = {}
        for index, request in enumerate(requests):
            wanted.setdefault(request.token_ids, []).append(index)
        rows = list(wanted)

        def compute(batch: list[int], cache: Cache | None, cached: int) -> list[tuple[int, TokenScores]] | None:
            logits = self._try_batch([rows[row][cached:] for row in batch], cache, cached)
            if logits is None:
                return None
            # A few rows at a time where memory is what counts: the sum makes copies as large as the logits.
            few = 4 if self.device.type == "cpu" else len(logits)
            parts = [logits[low : low + few] for low in range(0, len(logits), few)]
            totals = torch.cat([torch.logsumexp(part, dim=-1) for part in parts])
            if not bool(torch.isfinite(totals).all()):
                raise self.forwards.no_numbers()
            self._check_batch(logits, [rows[row] for row in batch], shared=cache is not None)
            return [
                (index, token_scores(logits[position], totals[position], requests[index].spellings))
                for position, row in enumerate(batch)
                for index in wanted[rows[row]]
            ]

        return self._solved(_Job(rows, compute), progress, receive)

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
        if self.forwards.decoder_start is not None:
            raise ModelError(
                f"{type(self.model).__name__} is an encoder-decoder, of which whole answers are not scored. "
                "Ask it closed questions with one-letter labels, or name a causal language model."
            )
        wanted: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for index, request in enumerate(requests):
            wanted.setdefault((request.token_ids, request.start), []).append(index)
        distinct = list(wanted)
        rows = [token_ids for token_ids, _ in distinct]
        starts = [start for _, start in distinct]

        def compute(batch: list[int], cache: Cache | None, cached: int) -> list[tuple[int, ContinuationScores]] | None:
            found = self._continuations([rows[row] for row in batch], [starts[row] for row in batch], cache, cached)
            if found is None:
                return None
            if cache is not None and not self.sharing_checked:
                self.sharing_checked = True
                whole = self._continuations([rows[batch[0]]], [starts[batch[0]]], None, 0)
                if whole is not None:
                    self._compare(abs(sum(whole[0]) - sum(found[0])) / len(found[0]))
            if self._wants_padding_check([rows[row] for row in batch]):
                last = batch[-1]
                single = self.uncounted(lambda: self._continuations([rows[last]], [starts[last]], None, 0))
                if single is not None:
                    self._compare(abs(sum(single[0]) - sum(found[-1])) / len(found[-1]), padding=True)
            return [
                (index, ContinuationScores(values))
                for row, values in zip(batch, found, strict=True)
                for index in wanted[distinct[row]]
            ]

        def batch_at(pending: list[int], cached: int) -> int:
            # As many rows as have no more scored positions together than may be held as logits.
            room, count = self._most_positions(), 0
            for row in pending:
                room -= len(rows[row]) - starts[row]
                if room < 0 and count:
                    break
                count += 1
            return count

        # The last token before what is scored is computed for each row: its output is read.
        limits = [start - 1 for start in starts]
        return self._solved(_Job(rows, compute, limits=limits, most=batch_at), progress, receive)

    def _solved(
        self,
        job: _Job[_Result],
        progress: Callable[[int], None] | None,
        receive: Callable[[list[tuple[int, _Result]]], None] | None,
    ) -> list[_Result]:
        """Compute all rows of a job, and return the results in the order of their indices."""
        results: dict[int, _Result] = {}

        def solve(batch: list[int], cache: Cache | None, cached: int) -> bool:
            fresh = self._guarded(lambda: job.compute(batch, cache, cached), cache is not None, len(batch) > 1)
            if fresh is None:
                return False
            results.update(fresh)
            if receive is not None:
                receive(fresh)
            if progress is not None:
                progress(len(results))
            return True

        rows = job.rows
        with torch.inference_mode():
            root = PrefixNode(0, rows=list(range(len(rows))))
            if self.share_prefixes and len(rows) > 1:
                root = plan_prefixes(rows, minimum_saving=self.minimum_saving, grain=GRAIN, limits=job.limits)
            self._find_budget(root, rows)
            try:
                self._walk([root], None, rows, solve, job.most)
            except _ChangesAnswersError as error:
                # The slow way is the right one; what was passed on before was checked, and comes again.
                self.fall_back(error)
                return self._solved(job, progress, receive)
        return [results[index] for index in range(len(results))]

    def _most_positions(self) -> int:
        vocabulary = getattr(self.model.config.get_text_config(decoder=True), "vocab_size", None) or 2**17
        return max(1, MOST_LOGITS // int(vocabulary))

    def _continuations(
        self, rows: list[tuple[int, ...]], starts: list[int], cache: Cache | None, cached: int
    ) -> list[tuple[float, ...]] | None:
        """Return for each row the log-probabilities of its tokens from its start on; ``None`` without memory."""
        most, forwards = self._most_positions(), self.forwards
        if len(rows) > 1 or len(rows[0]) - starts[0] <= most or not self.share_prefixes:
            suffixes = [row[cached:] for row in rows]
            reads = [
                [(position - 1 - cached, row[position]) for position in range(start, len(row))]
                for row, start in zip(rows, starts, strict=True)
            ]
            some = copies(cache, len(rows))
            return forwards.attempt(lambda: forwards.token_log_probabilities(suffixes, reads, some, cached))
        # One long answer: computed piece by piece, each with the keys and values of those before it.
        (row,), (start,) = rows, starts
        grown = forwards.new_cache() if cache is None else branched(cache, 1)
        values: list[float] = []
        for low in range(start, len(row), most):
            high = min(low + most, len(row))
            # The token at high - 1 is computed with the next piece, which reads its output.
            piece, done = row[cached : high - 1], cached
            reads = [[(position - 1 - done, row[position]) for position in range(low, high)]]
            found = forwards.attempt(functools.partial(forwards.token_log_probabilities, [piece], reads, grown, done))
            if found is None:
                return None
            values += found[0]
            cached = high - 1
        return [tuple(values)]

    def _walk(
        self,
        nodes: list[PrefixNode],
        cache: Cache | None,
        rows: Sequence[tuple[int, ...]],
        solve: Callable[[list[int], Cache | None, int], bool],
        most: Callable[[list[int], int], int] | None = None,
    ) -> None:
        """Compute all that hangs on beginnings of one length: longer beginnings first, then rows, the longest first.

        The rows of the cache are those of the nodes. ``solve`` computes a batch and says whether there was memory for
        it; ``most`` bounds the rows of the next one.
        """
        cached = nodes[0].length
        lengths = [len(row) for row in rows]
        below: dict[int, list[tuple[int, PrefixNode]]] = {}
        for place, node in enumerate(nodes):
            for child in node.children:
                below.setdefault(child.length, []).append((place, child))
        for length, waiting in sorted(
            below.items(), key=lambda pair: -max(child.longest(lengths) for _, child in pair[1])
        ):
            while waiting:
                some = waiting[: self._most_rows(length - cached, length - cached)]
                places, children = [place for place, _ in some], [child for _, child in some]
                beginnings = [rows[child.any_row()][cached:length] for child in children]
                own = selected(cache, places) if len(nodes) > 1 else cache
                extend = functools.partial(self.forwards.extended, own, beginnings, cached)
                longer = self._guarded(extend, True, len(some) > 1)
                if longer is None:
                    self._shrink(len(some), length - cached)
                    continue
                self._walk(children, longer, rows, solve, most)
                waiting = waiting[len(some) :]
        owners = {row: place for place, node in enumerate(nodes) for row in node.rows}
        pending = sorted(owners, key=lambda row: -lengths[row])
        while pending:
            batch = self._next_batch(pending, lengths, cached)
            if most is not None:
                batch = batch[: most(batch, cached)]
            own = cache
            if len(nodes) > 1:
                batch = self._without_filling(batch, lengths)
                own = selected(cache, [owners[row] for row in batch])
            if not solve(batch, own, cached):
                self._shrink(len(batch), lengths[batch[0]] - cached)
                continue
            pending = pending[len(batch) :]

    def _most_rows(self, width: int, held: int) -> int:
        """Return how many rows of a width fit into a forward, each of which holds keys and values of tokens."""
        if self.alone:
            return 1
        if self.max_rows is not None:
            return self.max_rows
        return max(1, min(self.token_budget // max(width, 1), 8 * self.token_budget // max(held, 1)))

    def _next_batch(self, pending: list[int], lengths: Sequence[int], cached: int) -> list[int]:
        """Take the longest rows that fit: the first decides how wide the batch is."""
        width = lengths[pending[0]] - cached
        if self.one_length:
            pending = list(itertools.takewhile(lambda row: lengths[row] == lengths[pending[0]], pending))
        return pending[: self._most_rows(width, width + cached)]

    def _without_filling(self, batch: list[int], lengths: Sequence[int]) -> list[int]:
        """Leave shorter rows to a forward of their own where that saves as much filling as a forward costs."""
        widest = lengths[batch[0]]
        saved = [(len(batch) - place) * (widest - lengths[row]) for place, row in enumerate(batch)]
        return batch if max(saved) < self.minimum_saving else batch[: saved.index(max(saved))]

    def _shrink(self, n_rows: int, width: int) -> None:
        """Halve what is computed at once, for the rest of this model's life."""
        if n_rows <= 1:
            raise self.forwards.no_memory(width)
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
        counted = self.forwards.computed_tokens

        def rate(size: int) -> float:
            batch = [ends[place % len(ends)] for place in range(max(1, size // width))]
            self._synchronize()
            started = time.perf_counter()
            if self._try_batch(batch, None, 0) is None:
                return 0.0
            self._synchronize()
            return sum(map(len, batch)) / (time.perf_counter() - started)

        # The first forward of a process is slow whatever its size.
        rate(self.budget.smallest)
        while (size := self.budget.next_size(planned, self.forwards.computed_tokens - counted)) is not None:
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
        self.timed_tokens += self.forwards.computed_tokens - counted
        self.forwards.computed_tokens = counted

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

    # ---------------------------------------------------------------------------------------------------- sharing

    def _try_batch(self, suffixes: list[tuple[int, ...]], cache: Cache | None, cached: int) -> torch.Tensor | None:
        """Compute one batch, and return ``None`` where there is not enough memory for it."""
        forwards = self.forwards
        return forwards.attempt(lambda: forwards.last_logits(suffixes, copies(cache, len(suffixes)), cached))

    def _guarded(self, compute: Callable[[], _Value], shares: bool, several: bool) -> _Value:
        """Compute something; what goes wrong with a shared beginning or several rows falls back as wrong numbers do."""
        try:
            return compute()
        except (ModelError, _ChangesAnswersError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            if not shares and (self.alone or not several):
                raise self.forwards.failed(error) from error
            words = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise _ChangesAnswersError(f"raised {words}", padding=not shares) from error

    def fall_back(self, error: _ChangesAnswersError) -> None:
        """Give up sharing beginnings, or forwards, for the rest of this model's life, and note why."""
        if error.padding:
            self.alone = True
            self._notes.append(f"each prompt is computed alone: a forward with several {error}")
            return
        self.share_prefixes = False
        self._notes.append(f"prompts are computed whole, without sharing their beginnings: sharing {error}")

    def note(self, text: str) -> None:
        """Add a sentence on the way in which results are computed, once."""
        if text not in self._notes:
            self._notes.append(text)

    def together(self, rows: list[tuple[int, ...]]) -> torch.Tensor | None:
        """Return the logits behind rows, longest first, that share forwards; ``None`` once they may not."""
        most = max(1, self.token_budget // len(rows[0]))
        parts = []
        try:
            for low in range(0, len(rows), most):
                some = rows[low : low + most]
                parts.append(self._guarded(functools.partial(self.forwards.last_logits, some, None, 0), False, True))
                self.check_padding(parts[-1][-1], some)
        except _ChangesAnswersError as error:
            self.fall_back(error)
            return None
        return torch.cat(parts)

    def check_padding(self, found: torch.Tensor, rows: list[tuple[int, ...]]) -> None:
        """Compute the shortest row of a batch alone, once a width, and believe in fillings only if it is equal."""
        if self._wants_padding_check(rows):
            single = self.uncounted(lambda: self._try_batch([rows[-1]], None, 0))
            if single is not None:
                self._compare(difference_of(single[0], found), padding=True)

    def _check_batch(self, logits: torch.Tensor, rows: list[tuple[int, ...]], *, shared: bool) -> None:
        """Check a shared beginning, once a model, and a filling, once a width; one row can tell of both."""
        if not shared or self.sharing_checked:
            self.check_padding(logits[-1], rows)
            return
        if not self._wants_padding_check(rows):
            # The longest row is not filled up.
            self._check_sharing(logits[0], rows[0])
            return
        single = self.uncounted(lambda: self._try_batch([rows[-1]], None, 0))
        difference = 0.0 if single is None else difference_of(single[0], logits[-1])
        if not self.agrees(difference):
            self._check_sharing(logits[0], rows[0])
            self._compare(difference, padding=True)
        self.sharing_checked = True

    def uncounted(self, compute: Callable[[], _Value]) -> _Value:
        """Compute something only to check it: ``computed_tokens`` does not count it."""
        counted = self.forwards.computed_tokens
        try:
            return compute()
        finally:
            self.forwards.computed_tokens = counted

    def _wants_padding_check(self, rows: list[tuple[int, ...]]) -> bool:
        width = len(rows[0]).bit_length()
        if len(rows[0]) == len(rows[-1]) or width in self.padding_checked:
            return False
        self.padding_checked.add(width)
        return True

    def _check_sharing(self, shared: torch.Tensor, row: tuple[int, ...]) -> None:
        """Compute one row whole, once a model, and believe in shared beginnings only if it comes out the same."""
        self.sharing_checked = True
        whole = self._try_batch([row], None, 0)
        if whole is not None:
            self._compare(difference_of(whole[0], shared))

    def _compare(self, difference: float, *, padding: bool = False) -> None:
        if not self.agrees(difference):
            raise _ChangesAnswersError(f"changed the first answer by {difference:.2g} nats", padding=padding)

    def agrees(self, difference: float) -> bool:
        """Return whether two ways to compute a row differ by no more than rounding, in nats."""
        return difference <= (1e-3 if self.forwards.dtype == torch.float32 else 0.5)
