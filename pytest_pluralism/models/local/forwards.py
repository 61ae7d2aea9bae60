"""Forward passes: rows of token ids in, logits or log-probabilities of tokens out, with a cache or without."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from pytest_pluralism.core.errors import ComputationError, ModelError, NoNumberError
from pytest_pluralism.models.local.devices import is_out_of_memory
from pytest_pluralism.models.local.heads import no_logits, only_last, only_positions
from pytest_pluralism.models.local.prefixes import rope_types
from pytest_pluralism.models.local.products import quick_products

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pytest_pluralism.models.local.interfaces import Cache, Network, Output

__all__ = ["Forwards", "branched", "copies", "input_device", "selected", "vocabulary_size"]

_Result = TypeVar("_Result")


def vocabulary_size(model: Network, /) -> int | None:
    """Return how many tokens a network has numbers for; ``None`` where its input layer does not tell."""
    try:
        size = getattr(model.get_input_embeddings(), "num_embeddings", None)
    except (AttributeError, NotImplementedError):
        return None
    return size if isinstance(size, int) else None


def input_device(model: Network, /) -> torch.device:
    """Return the device that a network takes its input on, also where its layers lie on several."""
    places = list((getattr(model, "hf_device_map", None) or {}).values())
    if len(set(map(str, places))) < 2:
        return model.device
    # Layers in main memory or on a disk are computed on the first device that computes, if there is one.
    computing = [place for place in places if str(place) not in {"cpu", "disk"}]
    return torch.device(computing[0] if computing else "cpu")


class Forwards:
    """Computes batches of rows on one network.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The network, on its device, in evaluation mode.
    pad_token : int
        The token that fills short rows up; masked, so its choice does not matter.

    Attributes
    ----------
    computed_tokens : int
        How many tokens went through the network.
    decoder_start : int or None
        The first token of an encoder-decoder's decoder; ``None`` for all other networks.
    """

    def __init__(self, model: Network, pad_token: int) -> None:
        self.model = model
        self.pad_token = pad_token
        self.device = input_device(model)
        self.computed_tokens = 0
        self.decoder_start: int | None = None
        if getattr(model.config, "is_encoder_decoder", False):
            generation = getattr(model, "generation_config", None)
            start = getattr(generation, "decoder_start_token_id", None)
            if start is None:
                start = getattr(model.config, "decoder_start_token_id", None)
            self.decoder_start = pad_token if start is None else int(start)
        ropes = rope_types(model.config.get_text_config(decoder=True))
        #: The parts whose position codes remember the longest row that they saw.
        self._ropes = list(model.modules()) if "dynamic" in ropes else []

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return next(self.model.parameters()).dtype

    def attempt(self, forward: Callable[[], _Result]) -> _Result | None:
        """Run a forward, and return ``None`` where there is not enough memory for it."""
        try:
            return forward()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out here the traceback no longer holds the tensors of the failed forward.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def extended(self, cache: Cache | None, tokens: list[tuple[int, ...]], cached: int) -> Cache | None:
        """Return the keys and values of longer beginnings, equally long, and leave those of the shorter ones.

        It is ``None`` where there is not enough memory.
        """
        longer = self.new_cache() if cache is None else branched(cache, len(tokens))

        def compute() -> Cache:
            with no_logits(self.model):
                self.run(self.arguments(tokens, longer, cached))
            return longer

        return self.attempt(compute)

    def new_cache(self) -> Cache:
        """Return an empty cache for the network."""
        from transformers import DynamicCache

        return cast("Cache", DynamicCache(config=cast("PreTrainedConfig", self.model.config)))

    def last_logits(self, suffixes: list[tuple[int, ...]], cache: Cache | None, cached: int) -> torch.Tensor:
        """Return the logits [rows, vocabulary] behind each row's last token, in float32.

        Rows are filled up on the right: causal attention never looks there, and positions count from the left by
        themselves, so that neither needs to be told.
        """
        arguments = self.arguments(suffixes, cache, cached)
        if self.decoder_start is not None:
            start = torch.full((len(suffixes), 1), self.decoder_start, dtype=torch.long, device=self.device)
            logits: torch.Tensor = self.run({**arguments, "decoder_input_ids": start}).logits[:, -1].float()
            return logits
        last = torch.tensor([len(suffix) - 1 for suffix in suffixes], device=self.device)
        with only_last(self.model, last):
            logits = self.run(arguments).logits
        if logits.shape[1] == 1:
            return logits[:, 0].float()
        return logits[torch.arange(len(suffixes), device=self.device), last].float()

    def run(self, arguments: dict[str, object]) -> Output:
        """Call the network, with the quickest matrix products that there are."""
        with quick_products(self.model):
            return self.model(**arguments)

    def arguments(self, suffixes: list[tuple[int, ...]], cache: Cache | None, cached: int) -> dict[str, object]:
        """Return what the network is called with, filled up on the right."""
        for module in self._ropes:
            _forget_lengths(module)
        width = max(len(suffix) for suffix in suffixes)
        ids = torch.full((len(suffixes), width), self.pad_token, dtype=torch.long)
        mask = torch.ones((len(suffixes), cached + width), dtype=torch.long)
        for row, suffix in enumerate(suffixes):
            ids[row, : len(suffix)] = torch.tensor(suffix, dtype=torch.long)
            mask[row, cached + len(suffix) :] = 0
        self.computed_tokens += ids.numel()
        arguments: dict[str, object] = {
            "input_ids": ids.to(self.device),
            "attention_mask": mask.to(self.device),
            "return_dict": True,
        }
        if cache is not None:
            arguments |= {"past_key_values": cache, "use_cache": True}
        elif "use_cache" in inspect.signature(self.model.forward).parameters:
            arguments["use_cache"] = False
        return arguments

    def token_log_probabilities(
        self, suffixes: list[tuple[int, ...]], reads: list[list[tuple[int, int]]], cache: Cache | None, cached: int
    ) -> list[tuple[float, ...]]:
        """Return the log-probability of each (position, next token) of each row, by one forward."""
        arguments = self.arguments(suffixes, cache, cached)
        rows = [row for row, pairs in enumerate(reads) for _ in pairs]
        positions = [position for pairs in reads for position, _ in pairs]
        targets = torch.tensor([token for pairs in reads for _, token in pairs], device=self.device)
        where = torch.tensor(rows, device=self.device), torch.tensor(positions, device=self.device)
        with only_positions(self.model, *where, len(suffixes)) as chosen:
            logits = self.run(arguments).logits
        logits = logits[0] if chosen else logits[where]
        values: list[float] = []
        # In float32 a few at a time: all at once would be a second copy of half-precision logits, and twice as large.
        for low in range(0, len(logits), 64):
            part = logits[low : low + 64].float()
            picked = part.gather(1, targets[low : low + 64, None].to(part.device))[:, 0]
            totals = torch.logsumexp(part, dim=-1)
            if not bool(torch.isfinite(totals).all()):
                raise self.no_numbers()
            values += (picked - totals).tolist()
        ends = list(itertools.accumulate(len(pairs) for pairs in reads))
        return [tuple(values[end - len(pairs) : end]) for pairs, end in zip(reads, ends, strict=True)]

    def no_memory(self, width: int) -> ModelError:
        """Return the error for a row that does not fit into the memory by itself."""
        return ModelError(
            f"There is not enough memory on {self.device} for one prompt of {width} tokens. "
            "Choose a smaller number format (--pluralism-dtype=bfloat16), another device (--pluralism-device=cpu), "
            "or a smaller model."
        )

    def by_itself(self, compute: Callable[[], _Result]) -> _Result:
        """Compute prompts in the last way that there is; errors of the network's own code become one of ours.

        Raises
        ------
        ComputationError
            Its code raised an error.
        """
        try:
            return compute()
        except ModelError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise self.failed(error) from error

    def failed(self, error: Exception) -> ComputationError:
        """Return the error for a network whose own code raises one for a prompt by itself."""
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return ComputationError(
            f"The network of {type(self.model).__name__} cannot compute a prompt by itself: {words}. Its configuration "
            "and weights may not belong together, or its code or device is at fault."
        )

    def no_numbers(self) -> ModelError:
        """Return the error for a network that gives NaN or infinity."""
        dtype = str(self.dtype).removeprefix("torch.")
        return NoNumberError(
            f"The network of {type(self.model).__name__} gives NaN or infinity ({dtype}). "
            "Load it with --pluralism-dtype=float32, and check its weights."
        )


def _forget_lengths(module: torch.nn.Module) -> None:
    """Let dynamic position codes begin anew: they would be those of the longest row of any forward before."""
    for name in [name for name in vars(module) if name.endswith("max_seq_len_cached")]:
        prefix = name.removesuffix("max_seq_len_cached")
        original = getattr(module, f"{prefix}original_inv_freq", None)
        if original is not None:
            device = getattr(module, f"{prefix}inv_freq").device
            module.register_buffer(f"{prefix}inv_freq", original.to(device), persistent=False)
            setattr(module, name, module.original_max_seq_len)


def copies(cache: Cache | None, n_rows: int) -> Cache | None:
    """Return a cache for ``n_rows`` rows that go on from one; ``None`` where there is none."""
    return None if cache is None else branched(cache, n_rows)


def selected(cache: Cache | None, places: list[int]) -> Cache | None:
    """Return a cache with chosen rows of another; ``None`` where there is none."""
    if cache is None:
        return None
    chosen = copy.copy(cache)
    chosen.layers = []
    for layer in cache.layers:
        own = copy.copy(layer)
        if getattr(own, "keys", None) is not None:
            index = torch.tensor(places, device=own.keys.device)
            own.keys, own.values = own.keys.index_select(0, index), own.values.index_select(0, index)
        chosen.layers.append(own)
    return chosen


def branched(cache: Cache, n_rows: int) -> Cache:
    """Return a cache that starts as ``n_rows`` copies of another, of one row, or of as many, and leaves that alone.

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
