"""Models: how they are named, loaded and asked."""

from __future__ import annotations

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


def load_model(spec: str, /, **options: Unpack[_LanguageOptions]) -> LanguageModel:
    """Load a language model of any kind; options as for :func:`pytest_pluralism.models.local.loading.load_model`."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_model_spec

    # The name is read first: a typing error should not wait for torch.
    model: LanguageModel = backend_of(parse_model_spec(spec).kind).loader(spec, "language_model")(spec, **options)
    return model


def load_entailment_model(spec: str, /, **options: Unpack[LoadingOptions]) -> EntailmentModel:
    """Load an entailment model; see :func:`pytest_pluralism.models.local.entailment.load_entailment_model`."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_entailment_spec

    backend = backend_of(parse_entailment_spec(spec)[0].kind)
    model: EntailmentModel = backend.loader(spec, "entailment_model")(spec, **options)
    return model
