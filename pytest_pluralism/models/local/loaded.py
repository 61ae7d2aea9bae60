"""The base class of models: a network and its tokenizer, until they are given back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.local.devices import release_memory
from pytest_pluralism.models.protocol import ModelIdentity

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Network, Tokenizer

__all__ = ["LoadedModel"]


class LoadedModel:
    """A network and its tokenizer, until they are given back.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The network, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    identity : ModelIdentity
        The identity of the model.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer, identity: ModelIdentity) -> None:
        self._network: Network | None = network
        self._tokenizer: Tokenizer | None = tokenizer
        self._identity = identity
        self.device = next(network.parameters()).device

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""
        return self._identity

    @property
    def network(self) -> Network:
        """The network; an error once the model has been closed."""
        if self._network is None:
            raise self._closed()
        return self._network

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; an error once the model has been closed."""
        if self._tokenizer is None:
            raise self._closed()
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        if self._network is not None:
            self._network = self._tokenizer = None
            release_memory(self.device.type)

    def note_in_identity(self, note: str) -> None:
        """Put a note into the identity, in place of those that it has."""
        self._identity = replace(self._identity, notes=(note,))

    def _closed(self) -> ModelError:
        return ModelError(f"The model {self._identity.name} has been closed and cannot be asked any more.")
