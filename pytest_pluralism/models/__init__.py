"""Models: how they are named, loaded and asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

if TYPE_CHECKING:
    from pytest_pluralism.models.protocol import EntailmentModel, LanguageModel

__all__ = ["LoadingOptions", "load_entailment_model", "load_model"]


class LoadingOptions(TypedDict, total=False):
    """The options with which every model is loaded; see :func:`pytest_pluralism.models.local.loading.load_model`."""

    device: str
    dtype: str
    batch_size: int | str
    trust_remote_code: bool
    allow_pickle: bool


class _LanguageOptions(LoadingOptions, total=False):
    compiled: bool
    merge_adapters: bool
    gguf: str


def load_model(spec: str | os.PathLike[str], /, **options: Unpack[_LanguageOptions]) -> LanguageModel:
    """Load a language model of any kind; options as for :func:`pytest_pluralism.models.local.loading.load_model`.

    ``gguf`` says what runs a GGUF file, an embedded model too: ``"transformers"``, ``"llamacpp"``, or ``"auto"``
    (transformers, but llama.cpp where it alone is installed). A ``Path`` is always a file or folder.
    """
    from pytest_pluralism.core.errors import invalid_parameter
    from pytest_pluralism.models.backends import GGUF_WAYS, backend_of
    from pytest_pluralism.models.specification import parse_model_spec, placed

    spec = _spec_of(spec)
    gguf = options.get("gguf", "auto")
    if gguf not in GGUF_WAYS:
        raise invalid_parameter("gguf", "load_model", "one of " + ", ".join(map(repr, GGUF_WAYS)), repr(gguf))
    # The name is read first: a typing error should not wait for torch.
    named = placed(parse_model_spec(spec), gguf)
    backend = backend_of(named.kind)
    load = backend.loader(spec, "language_model")
    if backend.in_files:
        # Models that are made of others hand it on.
        options.pop("gguf", None)
    model: LanguageModel = load(named if named.kind == "llamacpp" else spec, **options)
    return model


def load_entailment_model(spec: str | os.PathLike[str], /, **options: Unpack[LoadingOptions]) -> EntailmentModel:
    """Load an entailment model; see :func:`pytest_pluralism.models.local.entailment.load_entailment_model`."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_entailment_spec

    spec = _spec_of(spec)
    backend = backend_of(parse_entailment_spec(spec)[0].kind)
    model: EntailmentModel = backend.loader(spec, "entailment_model")(spec, **options)
    return model


def _spec_of(given: str | os.PathLike[str]) -> str:
    """Return the spec of a model; of a path, one that is not read as a name."""
    if isinstance(given, str) or not isinstance(given, os.PathLike):
        return given
    path = Path(given)
    return str(path) if path.is_absolute() else f"{os.curdir}{os.sep}{path}"
