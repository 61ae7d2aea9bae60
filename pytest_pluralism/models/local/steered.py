"""Models that are steered by weights instead of words: a LoRA adapter on the tested model, or another checkpoint."""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.models.backends import forms
from pytest_pluralism.models.local.files import INSTALL_ADAPTERS, sha256_of_files, sha256_of_text
from pytest_pluralism.models.local.language_model import HuggingFaceModel
from pytest_pluralism.models.local.loading import COMPILED
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.protocol import LanguageModel

if TYPE_CHECKING:
    import torch

__all__ = ["ADAPTER", "adapted_model", "adapter_files", "load_steered_model"]

#: The beginning of a spec of an adapter.
ADAPTER = "lora:"


def adapter_files(folder: Path, /) -> tuple[Path, Path]:
    """Return the configuration and the weights of an adapter.

    Raises
    ------
    ModelError
        If the folder does not hold them, or its weights are pickled.
    """
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if not config.is_file():
        raise ModelError(
            f"{folder} holds no adapter: there is no adapter_config.json. Name the folder that peft saved."
        )
    if not weights.is_file():
        raise ModelError(
            f"{folder} holds no adapter_model.safetensors. Pickled adapters can run code when they are read; "
            "save it again with safe_serialization=True."
        )
    return config, weights


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
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("A LoRA adapter", INSTALL_ADAPTERS) from error
    files = adapter_files(folder)
    # A model that waits to be loaded is loaded now.
    opened = model.opened() if hasattr(model, "opened") else model
    if not isinstance(opened, HuggingFaceModel):
        raise ModelError(
            f"{model.identity.name} has no weights in this process that an adapter could change. Use {forms()}."
        )
    reader, base = opened.reader, cast("torch.nn.Module", opened.scorer.model)
    try:
        with quiet_transformers(), warnings.catch_warnings():
            # peft warns of weights that it does not find, and goes on with an adapter that does nothing. Coming
            # deprecations between peft and transformers are their own concern.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)
            adapted = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder), is_trainable=False)
            network = adapted.merge_and_unload()
    except Exception as error:
        # Files from elsewhere make peft and safetensors raise anything.
        words = " ".join(str(error).split()) or type(error).__name__
        given = _made_for(files[0])
        made_for = f" It says it was made for {given!r}." if given else ""
        raise ModelError(
            f"The adapter in {folder} does not fit {opened.identity.name}: {words[:200]}.{made_for} "
            "Train it on this model, or test the model that it belongs to."
        ) from error
    identity = opened.identity
    # A copy of a compiled network is not compiled.
    parts = {key: value for key, value in identity.parts.items() if key != COMPILED}
    parts["adapter"] = sha256_of_files(files)
    result = HuggingFaceModel(
        network.eval(),
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


def _made_for(config: Path) -> str:
    """Return the model that the configuration of an adapter names."""
    try:
        given = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(given.get("base_model_name_or_path") or "")[:200] if isinstance(given, dict) else ""


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
