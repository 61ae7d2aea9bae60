"""Matrix products of linear layers through oneDNN, on processors where MKL is slow.

On a CPU, torch multiplies float32 matrices with MKL, which serves Intel's own processors best.
On AMD's, oneDNN, which torch has on board too, takes as little as a third of the time for the few rows that most
forwards here have, from the same weights: nothing is copied or packed.
"""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Network

__all__ = ["has_slow_products", "quick_products"]

#: The makers of x86 processors that are not Intel's, as the processor gives their names.
OTHER_MAKERS = ("AuthenticAMD", "HygonGenuine")


@functools.cache
def has_slow_products() -> bool:
    """Return whether MKL multiplies the matrices of torch here, on a processor that is not Intel's."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    told = platform.processor()
    with contextlib.suppress(OSError):
        told += Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return any(maker in told for maker in OTHER_MAKERS)


def _multiply(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return found


@functools.cache
def _works() -> bool:
    """Try the operator of torch, which has no promise to stay, on numbers whose product is exact."""
    inputs, weight = torch.arange(24.0).reshape(2, 3, 4), torch.arange(20.0).reshape(5, 4)
    bias = torch.arange(5.0)
    try:
        with torch.inference_mode():
            return bool(torch.equal(_multiply(inputs, weight, bias), torch.nn.functional.linear(inputs, weight, bias)))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _forward(layer: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    weight, bias = layer.weight, layer.bias
    # One row is a product with a vector, which MKL does well.
    if inputs.dtype != torch.float32 or inputs.numel() <= weight.shape[1] or not inputs.is_contiguous():
        return torch.nn.functional.linear(inputs, weight, bias)
    return _multiply(inputs, weight, bias)


def _plain(tensor: torch.Tensor | None) -> bool:
    if tensor is None:
        return True
    return (
        type(tensor) in {torch.Tensor, torch.nn.Parameter}
        and tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and tensor.is_contiguous()
    )


@contextlib.contextmanager
def quick_products(network: Network | torch.nn.Module) -> Iterator[None]:
    """Let the linear layers of a network multiply with oneDNN meanwhile, where that is quicker.

    Layers of another kind, of another number format or on another device, and those whose forward somebody has
    replaced stay as they are, as does a network of which a part is compiled, or that learns.
    """
    if not has_slow_products() or torch.is_grad_enabled() or not _works():
        yield
        return
    parts = list(network.modules())
    chosen = [
        part
        for part in parts
        if type(part) is torch.nn.Linear
        and "forward" not in vars(part)
        and _plain(part.weight)
        and _plain(part.bias)
        and part.weight.numel()
    ]
    if any(getattr(part, "_compiled_call_impl", None) is not None for part in parts):
        chosen = []
    for part in chosen:
        vars(part)["forward"] = functools.partial(_forward, part)
    try:
        yield
    finally:
        for part in chosen:
            vars(part).pop("forward", None)
