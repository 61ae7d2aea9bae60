"""The parts of transformers' objects that are used here, for type checkers: nothing here is made or loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from pytest_pluralism.core.records.plain import JsonFields

__all__ = ["AutoClass", "Cache", "Config", "Layer", "Network", "Output", "Tokenizer"]


class Config(Protocol):
    """The configuration of a network; what only some architectures have is asked for with ``getattr``."""

    pad_token_id: int | None
    hidden_size: int

    def get_text_config(self, decoder: bool = False) -> Config:
        """Return the part that belongs to the text, for a network that reads other things too."""

    def to_dict(self) -> dict[str, object]:
        """Return the configuration as plain values."""


class Output(Protocol):
    """The output of a network."""

    logits: torch.Tensor


class Network(Protocol):
    """A network that was loaded, on its device."""

    config: Config
    device: torch.device
    forward: Callable[..., Output]

    def __call__(self, **arguments: object) -> Output:
        """Compute one batch."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Iterate over the weights."""

    def modules(self) -> Iterator[torch.nn.Module]:
        """Iterate over the parts."""

    def named_modules(self) -> Iterator[tuple[str, torch.nn.Module]]:
        """Iterate over the parts with their names."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Return the weights by name."""

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the layer that reads token ids."""

    def get_output_embeddings(self) -> torch.nn.Module | None:
        """Return the output layer, if the network has one."""

    def generate(self, **arguments: object) -> torch.Tensor:
        """Write token ids."""

    def to(self, device: str) -> Network:
        """Move the network to a device."""

    def eval(self) -> Network:
        """Turn off what belongs to training only."""


class Tokenizer(Protocol):
    """A tokenizer: text to token ids, and back."""

    pad_token: str | None
    eos_token: str | None
    pad_token_id: int | None
    is_fast: bool
    model_max_length: object
    chat_template: Any

    def __call__(self, *texts: str | Sequence[str], **arguments: object) -> Any:  # an encoding: by name or attribute
        """Return the token ids of a text, or of several."""

    def batch_decode(self, rows: torch.Tensor, *, skip_special_tokens: bool = False) -> list[str]:
        """Return the texts of rows of token ids."""

    def apply_chat_template(self, messages: list[JsonFields], /, **arguments: object) -> object:
        """Return messages as one text."""

    def save_pretrained(self, folder: Path) -> object:
        """Write the tokenizer into a folder."""


class AutoClass(Protocol):
    """A class of transformers that finds out by itself which network to load."""

    __name__: str

    def from_pretrained(self, folder: Path, /, **arguments: Any) -> Any:
        """Load a network, with a report of its weights where that is asked for."""

    def from_config(self, config: Config, /, **arguments: Any) -> Any:
        """Build a network without weights."""


class Layer(Protocol):
    """The keys and values of one layer."""

    keys: torch.Tensor
    values: torch.Tensor


class Cache(Protocol):
    """The keys and values of all layers; a layer that holds none yet, or a state of another kind, has no ``keys``."""

    layers: list[Layer]

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Let all other rows go."""
