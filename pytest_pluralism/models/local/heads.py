"""Output layers that compute only the positions that are read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Network


@contextlib.contextmanager
def _chosen(model: Network, choose: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let the output layer see what is chosen of its input, at the door of the layer.

    So whatever a network does to its logits afterwards (scaling, capping) still happens. Input that is not of three
    dimensions is left as it is.
    """
    head = model.get_output_embeddings()
    if head is None:
        yield
        return

    def narrow(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (choose(inputs[0]), *inputs[1:]) if inputs[0].dim() == 3 else inputs

    handle = head.register_forward_pre_hook(narrow)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def no_logits(model: Network) -> Iterator[None]:
    """Let the output layer see nothing: for one row it reads as many weights as for many, and here none is wanted."""
    with _chosen(model, lambda hidden: hidden[:, :0]):
        yield


@contextlib.contextmanager
def only_last(model: Network, last: torch.Tensor) -> Iterator[None]:
    """Let the output layer see each row's last position only: logits of every position would fill the memory."""

    def choose(hidden: torch.Tensor) -> torch.Tensor:
        if hidden.shape[0] != last.shape[0]:
            return hidden
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last.to(hidden.device)][:, None]

    with _chosen(model, choose):
        yield


@contextlib.contextmanager
def only_positions(model: Network, rows: torch.Tensor, positions: torch.Tensor, n_rows: int) -> Iterator[list[bool]]:
    """Let the output layer see chosen positions only, as if they were one row; the list is not empty once it has."""
    chosen: list[bool] = []

    def choose(hidden: torch.Tensor) -> torch.Tensor:
        if hidden.shape[0] != n_rows:
            return hidden
        chosen.append(True)
        return hidden[rows.to(hidden.device), positions.to(hidden.device)][None]

    with _chosen(model, choose):
        yield chosen
