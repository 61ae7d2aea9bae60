"""The layers of a network through ``torch.compile``, on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Network

__all__ = ["compile_layers"]

#: The names of the feed-forward part of a layer, by architecture.
FEED_FORWARD = ("mlp", "feed_forward", "DenseReluDense")

REMEDY = "Leave out --pluralism-compile."


def compile_layers(network: Network, name: str, /) -> int:
    """Compile the feed-forward part of each layer for batches of any shape, in place.

    Attention is left as it is: what it computes depends on what its cache holds, and it would be compiled anew for
    each state of it. The parts of all layers are alike, so that few graphs serve them all.

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    name : str
        The name of the model, for errors.

    Returns
    -------
    int
        How many parts are compiled.

    Raises
    ------
    ModelError
        If the network has no such part, or this machine lacks what ``torch.compile`` needs.
    """
    import torch

    found = [
        part
        for module in network.modules()
        for field in FEED_FORWARD
        if isinstance(part := getattr(module, field, None), torch.nn.Module)
    ]
    if not found:
        raise ModelError(
            f"The model {name!r} cannot be compiled: no layer has a part called {', '.join(FEED_FORWARD)}. {REMEDY}"
        )
    for part in found:
        part.compile(dynamic=True)
    width = network.config.get_text_config(decoder=True).hidden_size
    weight = next(network.parameters())
    try:
        # Compiled now, for one row and for many: whether it works shows before the prompts are made, and warnings
        # of torch meanwhile are not warnings of the run. All other parts use the same graphs.
        with torch.inference_mode():
            for shape in ((2, 2), (1, 2), (2, 1), (1, 1)):
                found[0](torch.zeros(*shape, width, dtype=weight.dtype, device=weight.device))
    except Exception as error:
        words = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ModelError(
            f"torch.compile does not work for the model {name!r} on this machine ({words}). On a CPU it needs a C++ "
            f"compiler such as g++, on a GPU triton. {REMEDY}"
        ) from error
    return len(found)
