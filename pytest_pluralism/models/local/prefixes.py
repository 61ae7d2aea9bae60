"""Plan the beginnings that prompts share, and refuse to share where a network does not allow it."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pytest_pluralism.models.local.interfaces import Config, Network

__all__ = ["GRAIN", "LENGTH_ROPES", "PrefixNode", "least_saving", "plan_prefixes", "rope_types", "why_no_prefix_reuse"]

#: Position codes that depend on the longest row of a forward.
LENGTH_ROPES = frozenset({"dynamic", "longrope"})


#: Long beginnings of this many rows or fewer are cut to a multiple of so many tokens.
FEW, GRAIN = 4, 8


@dataclass(slots=True)
class PrefixNode:
    """A beginning that several rows have in common: its length, the rows to finish here, and longer beginnings."""

    length: int
    rows: list[int] = field(default_factory=list)
    children: list[PrefixNode] = field(default_factory=list)

    def longest(self, lengths: Sequence[int]) -> int:
        """Return the length of the longest row below this node."""
        own = max((lengths[row] for row in self.rows), default=0)
        return max([own, *(child.longest(lengths) for child in self.children)])

    def any_row(self) -> int:
        """Return one of the rows below this node."""
        return self.rows[0] if self.rows else self.children[0].any_row()

    def n_tokens(self, lengths: Sequence[int], above: int = 0) -> int:
        """Return how many tokens are computed for this node and all below it."""
        own = self.length - above + sum(lengths[row] - self.length for row in self.rows)
        return own + sum(child.n_tokens(lengths, self.length) for child in self.children)


def least_saving(device: str, /) -> int:
    """Return how many tokens a shared beginning must save on a device to be worth a forward of its own."""
    return 64 if device.partition(":")[0] == "cpu" else 512


def plan_prefixes(
    rows: Sequence[tuple[int, ...]], /, *, minimum_saving: int, grain: int = 1, limits: Sequence[int] | None = None
) -> PrefixNode:
    """Arrange distinct rows as a tree of shared beginnings.

    A beginning becomes a node of its own when that saves at least ``minimum_saving`` tokens: so many tokens longer than
    the node above it, times one less than the rows that have it.
    Beginnings that few rows have, and that are several ``grain`` long, are cut to a multiple of it, so that more of
    them are equally long.
    At least the last token of each row is left out of every beginning, since its output is what is read; ``limits``
    says for each row how many of its first tokens may belong to a beginning, where more than the last is read.
    """
    order = sorted(range(len(rows)), key=lambda index: rows[index])
    common = [_common_length(rows[a], rows[b]) for a, b in itertools.pairwise(order)]
    if limits is not None:
        common = [
            min(length, limits[a], limits[b]) for length, (a, b) in zip(common, itertools.pairwise(order), strict=True)
        ]
    root = PrefixNode(0)
    stack = [(0, len(order), root)]
    while stack:
        low, high, node = stack.pop()
        if high - low == 1:
            node.rows.append(order[low])
            continue
        if high == low:
            continue
        shared = min(common[low : high - 1])
        is_cut = high - low <= FEW and shared - node.length >= 4 * grain
        length = shared - shared % grain if is_cut else shared
        if (high - low - 1) * (length - node.length) >= minimum_saving:
            child = PrefixNode(length)
            node.children.append(child)
            node = child
        start = low
        for cut in range(low, high - 1):
            if common[cut] == shared:
                stack.append((start, cut + 1, node))
                start = cut + 1
        stack.append((start, high, node))
    return root


def _common_length(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    most = min(len(a), len(b)) - 1
    if a[:most] == b[:most]:
        return most
    low, high = 0, most
    # The longest equal beginning by halving: comparing slices is quick, comparing tokens one by one is not.
    while high - low > 1:
        middle = (low + high) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle
    return low


def why_no_prefix_reuse(model: Network, /) -> str | None:
    """Return why rows cannot share the computation of their beginnings in a network; ``None`` where they can."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder-decoder"
    if getattr(model, "_is_stateful", False):
        return "it carries a state instead of keys and values"
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        return "it takes no cache of keys and values"
    text = config.get_text_config(decoder=True)
    if getattr(text, "use_bidirectional_attention", None):
        return "it looks ahead"
    if "chunked_attention" in (getattr(text, "layer_types", None) or ()):
        return "it attends in chunks"
    if rope_types(text) & LENGTH_ROPES:
        return "its position codes depend on the length of the whole text"
    try:
        layers = DynamicCache(config=cast("PreTrainedConfig", config)).layers
    except (AttributeError, KeyError, TypeError, ValueError):
        return "its cache is of an unknown kind"
    kinds = {type(layer) for layer in layers} - {DynamicLayer, *_sliding_layers()}
    return f"its cache has layers of kind {min(kind.__name__ for kind in kinds)}" if kinds else None


def _sliding_layers() -> set[type]:
    from transformers import cache_utils

    layer = getattr(cache_utils, "DynamicSlidingWindowLayer", None)
    return set() if layer is None else {layer}


def rope_types(config: Config) -> set[str]:
    """Return the kinds of position codes of a network."""
    found: set[str] = set()
    for name in ("rope_parameters", "rope_scaling"):
        value = getattr(config, name, None)
        if isinstance(value, dict):
            for entry in (value, *(inner for inner in value.values() if isinstance(inner, dict))):
                found.add(str(entry.get("rope_type", entry.get("type", ""))))
    return found
