"""Output layers that compute only the positions that are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def no_logits(model: Any) -> Iterator[None]:
    """Let the output layer see nothing: for one row it reads as many weights as for many, and here none is wanted."""
    head = model.get_output_embeddings()
    if head is None:
        yield
        return

    def choose(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][:, :0], *inputs[1:]) if inputs[0].dim() == 3 else inputs

    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def only_last(model: Any, last: torch.Tensor) -> Iterator[None]:
    """Let the output layer see each row's last position only: logits of every position would fill the memory.

    The choice is made at the door of the layer, so that whatever a network does to its logits afterwards (scaling,
    capping) still happens.
    """
    head = model.get_output_embeddings()
    if head is None:
        yield
        return

    def choose(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = inputs[0]
        if hidden.dim() != 3 or hidden.shape[0] != last.shape[0]:
            return inputs
        chosen = hidden[torch.arange(hidden.shape[0], device=hidden.device), last.to(hidden.device)]
        return (chosen[:, None], *inputs[1:])

    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def only_positions(model: Any, rows: torch.Tensor, positions: torch.Tensor, n_rows: int) -> Iterator[list[bool]]:
    """Let the output layer see chosen positions only, as if they were one row; the list is not empty once it has.

    As in :func:`only_last`, the choice is made at the door of the layer.
    """
    chosen: list[bool] = []
    head = model.get_output_embeddings()
    if head is None:
        yield chosen
        return

    def choose(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = inputs[0]
        if hidden.dim() != 3 or hidden.shape[0] != n_rows:
            return inputs
        chosen.append(True)
        return (hidden[rows.to(hidden.device), positions.to(hidden.device)][None], *inputs[1:])

    handle = head.register_forward_pre_hook(choose)
    try:
        yield chosen
    finally:
        handle.remove()
