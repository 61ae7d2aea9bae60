"""Networks that classify texts: rows of tokens in, logits out, in batches of rows of about one length.

Entailment models and reward models are such networks.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError, NoNumberError
from pytest_pluralism.models.local.devices import is_out_of_memory
from pytest_pluralism.models.local.loaded import LoadedModel
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.specification import ModelSpec

if TYPE_CHECKING:
    import torch

    from pytest_pluralism.models.local.interfaces import Network, Tokenizer

__all__ = ["Classifier", "Row", "declared_architectures", "token_limit"]

#: The tokens of one text or pair of texts, by the names that the network has for its inputs.
Row = dict[str, list[int]]

#: Maximum number of tokens in one forward pass, padding included, where ``batch_size`` is ``"auto"``. A processor is
#: fastest when a batch fits into its caches: 4096 tokens were a fifth slower than 1024.
MOST_TOKENS = {"cpu": 1024, "cuda": 131072}

#: The key of config.json that is ours: maximum number of tokens that are read at once.
TOKENS_KEY = "pluralism_max_tokens"

#: Fewer places for the premise than this, and a hypothesis leaves no room to read one.
LEAST_ROOM = 16


class Classifier(LoadedModel):
    """A network for sequence classification.

    Parameters
    ----------
    network, tokenizer, identity
        As for :class:`~pytest_pluralism.models.local.loaded.LoadedModel`.
    max_tokens : int or None
        Maximum number of tokens that the network reads at once (``None``: bounded by memory only).
    batch_size : int or "auto"
        Maximum number of rows in one forward pass; ``"auto"`` bounds the tokens instead.
    """

    #: The names of a row and of several in messages, and what to do where one does not fit into the memory.
    row_names = ("text", "texts")
    shorter = "shorter texts"

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        identity: ModelIdentity,
        *,
        max_tokens: int | None = None,
        batch_size: int | str = "auto",
    ) -> None:
        super().__init__(network, tokenizer, identity)
        self.max_tokens = max_tokens
        bounded = isinstance(batch_size, int)
        self._most_rows = batch_size if isinstance(batch_size, int) else 2**31
        self._most_tokens = 2**31 if bounded else MOST_TOKENS.get(self.device.type, MOST_TOKENS["cuda"])
        # Rows of different lengths stand in one batch only where there is a token that fills them up; networks that
        # read the last token of a row must know which one it is.
        self._pads = tokenizer.pad_token_id is not None
        if self._pads and getattr(network.config, "pad_token_id", None) is None:
            network.config.pad_token_id = tokenizer.pad_token_id

    def logits(self, rows: Sequence[Row]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Compute all rows, longest first, rows of about one length together.

        On a processor each of torch's threads computes a batch of its own: threads inside single operations would wait
        for each other at every one of them, which made it slower by a third.

        Yields
        ------
        tuple of list of int and torch.Tensor
            The places of the rows of a batch, and their logits in float64 on the CPU, shape (n_rows, n_labels).

        Raises
        ------
        ModelError
            The network gives NaN, or there is not enough memory for one row at a time.
        """
        lengths = [len(row["input_ids"]) for row in rows]
        # Longest first, so that a lack of memory shows at once.
        waiting = deque(sorted(range(len(rows)), key=lambda index: (-lengths[index], index)))
        with self._workers() as (n_workers, apply):
            while waiting:
                batches: list[list[int]] = []
                while waiting and len(batches) < n_workers:
                    n = min(len(waiting), self._n_rows(lengths[waiting[0]]))
                    batches.append([waiting.popleft() for _ in range(n)])
                results = apply([[rows[index] for index in batch] for batch in batches])
                failed = []
                for batch, logits in zip(batches, results, strict=True):
                    if logits is None:
                        failed.append(batch)
                    else:
                        yield batch, logits
                for batch in reversed(failed):
                    self._shrink(len(batch), lengths[batch[0]])
                    waiting.extendleft(reversed(batch))

    @contextlib.contextmanager
    def _workers(self) -> Iterator[tuple[int, Callable[[list[list[Row]]], list[torch.Tensor | None]]]]:
        """Yield how many batches are computed at once, and what computes them."""
        import torch

        n_threads = torch.get_num_threads()
        if self.device.type != "cpu" or n_threads == 1:
            yield 1, lambda batches: [self._compute(batch) for batch in batches]
            return
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                yield n_threads, lambda batches: list(pool.map(self._compute, batches))
            finally:
                # Threads that others start later would take over what the workers chose.
                torch.set_num_threads(n_threads)

    def _n_rows(self, length: int) -> int:
        most = min(self._most_rows, max(1, self._most_tokens // max(1, length)))
        return most if self._pads else 1

    def _compute(self, rows: Sequence[Row]) -> torch.Tensor | None:
        """Return the logits of all labels, or ``None`` where there is not enough memory."""
        import torch

        try:
            with torch.inference_mode():
                # Some accelerators have no float64.
                logits = self.network(**self._tensors(rows)).logits.float().cpu().double()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            if not bool(torch.isfinite(logits).all()):
                raise NoNumberError(
                    f"The model {self.identity.name} gave NaN or infinite logits in {self.identity.dtype}. Choose "
                    "another number format, such as --pluralism-dtype=float32, or another checkpoint."
                )
            return logits
        # Out here the traceback no longer holds the tensors of the failed forward.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _shrink(self, n_rows: int, length: int) -> None:
        """Halve what is computed at once from now on, after a lack of memory."""
        one, several = self.row_names
        if n_rows == 1:
            raise ModelError(
                f"There is not enough memory on {self.identity.device} for one {one} of {length} tokens with "
                f"{self.identity.name}. Use another device (--pluralism-device=cpu), or {self.shorter}."
            )
        half = n_rows // 2
        self._most_rows = min(self._most_rows, half)
        self._most_tokens = min(self._most_tokens, half * length)
        self.note_in_identity(f"memory was short: it goes on with at most {half} {several} of {length} tokens at once")

    def _tensors(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Return a batch, filled up on the right."""
        import torch

        fillers = {
            "input_ids": self.tokenizer.pad_token_id or 0,
            "token_type_ids": int(getattr(self.tokenizer, "pad_token_type_id", 0)),
            "attention_mask": 0,
        }
        longest = max(len(row["input_ids"]) for row in rows)
        return {
            name: torch.tensor(
                [row[name] + [fillers[name]] * (longest - len(row[name])) for row in rows], device=self.device
            )
            for name in rows[0]
        }


def declared_architectures(config: Mapping[str, object]) -> list[str]:
    """Return the classes of networks that a configuration names."""
    declared = config.get("architectures")
    return [str(name) for name in declared] if isinstance(declared, list) else []


def token_limit(
    config: Mapping[str, object], network: Network, tokenizer: Tokenizer, named: ModelSpec, /
) -> int | None:
    """Return the maximum number of tokens that a network reads at once (``None``: bounded by memory only).

    Raises
    ------
    ModelError
        The configuration has a limit that is not a whole number or too small.
    """
    chosen = config.get(TOKENS_KEY)
    limits: list[int] = []
    if chosen is not None:
        if isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 2 * LEAST_ROOM:
            raise ModelError(
                f"{TOKENS_KEY} in the config.json of {named.text!r} must be a whole number from {2 * LEAST_ROOM}. "
                f"Got {chosen!r} instead."
            )
        limits.append(chosen)
    length = getattr(network.config, "max_position_embeddings", None)
    if isinstance(length, int) and length > 0:
        # Networks of RoBERTa's family count positions from behind the padding index.
        paddings = [
            getattr(module, "padding_idx", None)
            for name, module in network.named_modules()
            if name.endswith("position_embeddings")
        ]
        offsets = [padding + 1 for padding in paddings if padding is not None]
        limits.append(length - max(offsets, default=0))
    # A tokenizer without a limit says so with a number beyond all bounds.
    if isinstance(tokenizer.model_max_length, int) and 0 < tokenizer.model_max_length < 10**6:
        limits.append(tokenizer.model_max_length)
    return min(limits, default=None)
