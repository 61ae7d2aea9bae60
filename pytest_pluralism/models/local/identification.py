"""Identify a model by its files, without its weights in memory. Torch is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.local.adapters import described_model
from pytest_pluralism.models.local.devices import chosen_device
from pytest_pluralism.models.local.files import fetched, read_json, refuse_remote_code
from pytest_pluralism.models.local.loading import identity_of, load_parts
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.prompts import PromptReader
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.specification import ADAPTER_CONFIG, ModelSpec

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import AutoClass, Config, Network

__all__ = ["identify", "prompt_reader"]


def identify(
    named: ModelSpec,
    /,
    *,
    device: str,
    dtype: str,
    allow_pickle: bool = False,
    compiled: bool = False,
    merge_adapters: bool = True,
) -> ModelIdentity | None:
    """Return the identity that a model has when it is loaded.

    Its files are hashed; tokenizer and configuration are read; the network is built without any numbers in it.

    Parameters
    ----------
    named : ModelSpec
        Which model.
    device, dtype, allow_pickle, compiled, merge_adapters
        As for :func:`pytest_pluralism.models.load_model`.

    Returns
    -------
    ModelIdentity or None
        ``None`` where only loading tells: the checkpoint decides about the number format (``dtype="auto"`` beside a
        CPU), some parts keep a format of their own, there is an adapter, or the network cannot be built without its
        weights.

    Raises
    ------
    ModelError
        If the model cannot be found, or is refused.
    """
    backend_of(named.kind).require()
    place = chosen_device(device)
    if dtype == "auto" and place != "cpu":
        return None
    with quiet_transformers():
        found = described_model(named, allow_pickle=allow_pickle, merged=merge_adapters)
        config, tokenizer, auto = load_parts(
            found.folder, found.named, trust_remote_code=False, tokenizer_folder=found.tokenizer
        )
        # An adapter may add parts and tokens.
        if getattr(config, "quantization_config", None) or found.adapters:
            return None
        network = _without_weights(config, auto, "float32" if dtype == "auto" else dtype)
    return None if network is None else identity_of(named, found.parts, tokenizer, network, place, compiled=compiled)


def prompt_reader(named: ModelSpec, /, *, allow_pickle: bool = False, needs_weights: bool = True) -> PromptReader:
    """Return what reads prompts as a model does, without loading the model.

    Parameters
    ----------
    named : ModelSpec
        Which model.
    allow_pickle : bool
        As for :func:`pytest_pluralism.models.load_model`.
    needs_weights : bool
        False where the configuration and the tokenizer are enough: weights are neither looked at nor fetched.

    Raises
    ------
    ModelError
        If the model cannot be found, or is refused.
    """
    backend_of(named.kind).require()
    folder = Path(named.target)
    with quiet_transformers():
        if not needs_weights and named.kind == "hf":
            folder = fetched(named, trust_remote_code=False, allow_pickle=False, needs_weights=False)
        if not needs_weights and named.kind in {"folder", "hf"} and not (folder / ADAPTER_CONFIG).is_file():
            refuse_remote_code(folder, read_json(folder / "config.json"), named)
            add_bos = None
            config, tokenizer, _ = load_parts(folder, named, trust_remote_code=False)
        else:
            found = described_model(named, allow_pickle=allow_pickle)
            add_bos = found.add_bos
            config, tokenizer, _ = load_parts(
                found.folder, found.named, trust_remote_code=False, tokenizer_folder=found.tokenizer
            )
    closes = bool(getattr(config, "is_encoder_decoder", False))
    return PromptReader(tokenizer, model=named.name, add_bos=add_bos, closes_text=closes)


def _without_weights(config: Config, auto: AutoClass, dtype: str) -> Network | None:
    """Return the network without numbers in it, or ``None`` where only loading tells its number format."""
    import torch

    try:
        with torch.device("meta"):
            network = auto.from_config(config, dtype=getattr(torch, dtype))
    except Exception:  # noqa: BLE001 - whatever an architecture may raise: then it is loaded
        return None
    own = any(getattr(network, name, None) for name in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict"))
    return None if own and dtype != "float32" else network
