"""Models that are steered by weights instead of words: a LoRA adapter on the tested model, or another checkpoint."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.backends import forms
from pytest_pluralism.models.local.adapters import adapted
from pytest_pluralism.models.local.files import adapter_files, sha256_of_files, sha256_of_text
from pytest_pluralism.models.local.language_model import HuggingFaceModel
from pytest_pluralism.models.local.loading import COMPILED
from pytest_pluralism.models.protocol import LanguageModel

__all__ = ["ADAPTER", "adapted_model", "load_steered_model"]

#: The beginning of a spec of an adapter.
ADAPTER = "lora:"


def adapted_model(model: LanguageModel, folder: Path, /) -> HuggingFaceModel:
    """Return the model under test with a LoRA adapter merged into a copy of its weights.

    Parameters
    ----------
    model : HuggingFaceModel
        The model under test, or what loads it; it stays as it is.
    folder : Path
        The adapter, as peft saves it.

    Raises
    ------
    ModelError
        If the model has no weights in this process, or the adapter was made for another model.
    MissingExtraError
        If peft is not installed.
    """
    files = adapter_files(folder)
    # A model that waits to be loaded is loaded now.
    opened = model.opened() if hasattr(model, "opened") else model
    if not isinstance(opened, HuggingFaceModel):
        raise ModelError(
            f"{model.identity.name} has no weights in this process that an adapter could change. Use {forms()}."
        )
    reader = opened.reader
    network = adapted(
        copy.deepcopy(opened.scorer.model),
        folder,
        name=opened.identity.name,
        remedy="Train it on this model, or test the model that it belongs to.",
    )
    identity = opened.identity
    # A copy of a compiled network is not compiled.
    parts = {key: value for key, value in identity.parts.items() if key != COMPILED}
    parts["adapter"] = sha256_of_files(files)
    result = HuggingFaceModel(
        network,
        reader.tokenizer,
        replace(
            identity,
            spec=f"{identity.spec}+{ADAPTER}{folder}",
            name=f"{identity.name}+{folder.name}",
            sha256=sha256_of_text(json.dumps(parts, sort_keys=True)),
            parts=parts,
        ),
    )
    # How prompts begin was found out for the model under test.
    result.reader.opening = reader.opening
    return result


def load_steered_model(
    spec: str, model: LanguageModel, /, *, attribute: str, device: str = "auto", dtype: str = "auto"
) -> HuggingFaceModel:
    """Return the model of an attribute: an adapter on the model under test, or a checkpoint of its own.

    Raises
    ------
    ModelError
        If the attribute names no model, or it cannot be loaded.
    """
    if not spec:
        raise ModelError(
            f"The context 'model' asks the model that is steered to {attribute!r}, and the attribute names none. "
            "Give it a field 'model', such as \"lora:adapters/democrat\", or write the hook "
            "pytest_pluralism_load_steered_model."
        )
    if spec.startswith(ADAPTER):
        return adapted_model(model, Path(spec.removeprefix(ADAPTER)))
    from pytest_pluralism.models.local.loading import load_model

    return load_model(spec, device=device, dtype=dtype)
