"""The network of a trainer as a model that can be asked, and left as it was found."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, Trainer

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.models.local.budget import TokenBudget
from pytest_pluralism.models.local.language_model import HuggingFaceModel
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["asked_network", "live_model", "undisturbed"]


def asked_network(model: torch.nn.Module, /) -> torch.nn.Module:
    """Return the network that is asked: of an adapter of peft the network that it changes, with its changes.

    Raises
    ------
    InvalidParameterError
        The network does not write text, or its adapter changes the prompt and not the weights.
    """
    network = model
    if hasattr(model, "get_base_model") and hasattr(model, "peft_config"):
        adapter = model.peft_config.get(getattr(model, "active_adapter", None))
        if getattr(adapter, "is_prompt_learning", False):
            raise InvalidParameterError(
                f"PluralismCallback measures adapters that change weights, such as LoRA. {type(adapter).__name__} "
                "changes the prompt. Measure its checkpoints after training."
            )
        network = model.get_base_model()
    if not hasattr(network, "config") or not hasattr(network, "get_output_embeddings"):
        raise InvalidParameterError(
            f"PluralismCallback measures networks of transformers. Got a {type(network).__name__}."
        )
    if network.get_output_embeddings() is None:
        raise InvalidParameterError(
            f"PluralismCallback asks a model that writes text, and {type(network).__name__} has no output layer over "
            "tokens. Leave the callback out for rewards and classifiers."
        )
    return network


def live_model(
    network: Any, tokenizer: PreTrainedTokenizerBase, /, *, step: int, dtype: str, budget: TokenBudget | None
) -> HuggingFaceModel:
    """Return a network that is being trained as a model of the engine.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The network that :func:`asked_network` returned, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    step : int
        The number of steps that were trained; part of the identity.
    dtype : str
        The number format in which it computes.
    budget : TokenBudget or None
        The token budget of the measurement before, which is kept; memory may have run out there.
    """
    name = str(getattr(network.config, "_name_or_path", "") or type(network).__name__)
    text = f"training:{name}@{step}"
    # Nothing is stored under this identity: the weights of two runs at one step are different.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    identity = ModelIdentity(
        spec=text,
        name=f"{name} at step {step}",
        sha256=digest,
        dtype=dtype,
        device=str(network.device),
        architecture=type(network).__name__,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    model = HuggingFaceModel(network, tokenizer, identity)
    # The optimizer fills a part of the memory: what was measured without it says nothing here, and the other way round.
    model.scorer.budget = budget or TokenBudget(model.device.type)
    return model


@contextlib.contextmanager
def undisturbed(model: torch.nn.Module, /) -> Iterator[None]:
    """Put a network into evaluation mode, and leave it and all random states as they were.

    The mode of each part comes back by itself, because a trainer may keep some of them in evaluation mode. So do the
    buffers, which position codes of variable length replace.
    """
    parts = list(model.modules())
    modes = [part.training for part in parts]
    buffers = [dict(part._buffers) for part in parts]
    lengths = [
        {name: value for name, value in vars(part).items() if name.endswith("max_seq_len_cached")} for part in parts
    ]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - those that trainers use
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    model.eval()
    try:
        yield
    finally:
        for part, mode, held, seen in zip(parts, modes, buffers, lengths, strict=True):
            part.training = mode
            part._buffers.update(held)
            vars(part).update(seen)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def refuse_sharded(trainer: Trainer, /) -> None:
    """Refuse a trainer whose processes hold parts of the network: one of them alone cannot compute.

    Raises
    ------
    ModelError
        The weights are spread by FSDP, by stage 3 of DeepSpeed, or by tensor parallelism.
    """
    state = getattr(trainer.accelerator, "state", None)
    stage = getattr(getattr(state, "deepspeed_plugin", None), "zero_stage", 0)
    parallel = getattr(trainer.accelerator, "parallelism_config", None)
    how = (
        "FSDP"
        if getattr(trainer, "is_fsdp_enabled", False) or getattr(trainer, "is_fsdp_xla_enabled", False)
        else "stage 3 of DeepSpeed"
        if getattr(trainer, "is_deepspeed_enabled", False) and stage == 3
        else "tensor parallelism"
        if getattr(parallel, "tp_enabled", False) or getattr(parallel, "cp_enabled", False)
        else ""
    )
    if how:
        raise ModelError(
            f"PluralismCallback measures in the main process alone, which holds a part of the weights under {how}. "
            "Leave the callback out, and draw the checkpoints afterwards: pluralism sweep RUN/checkpoint-* -o page.html"
        )
