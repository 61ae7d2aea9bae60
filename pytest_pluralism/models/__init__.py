"""Models: how they are named, loaded and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_pluralism.models.protocol import EntailmentModel, LanguageModel

__all__ = ["load_entailment_model", "load_model"]


def load_model(
    spec: str,
    /,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    compiled: bool = False,
) -> LanguageModel:
    """Load a model of any kind; see :func:`pytest_pluralism.models.local.loading.load_model` for the parameters."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_model_spec

    # The name is read first: a typing error should not wait for torch.
    load = backend_of(parse_model_spec(spec).kind).loader(spec, "language_model")
    model: LanguageModel = load(
        spec,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
        compiled=compiled,
    )
    return model


def load_entailment_model(
    spec: str,
    /,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> EntailmentModel:
    """Load an entailment model; see :func:`pytest_pluralism.models.local.entailment.load_entailment_model`."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_entailment_spec

    load = backend_of(parse_entailment_spec(spec)[0].kind).loader(spec, "entailment_model")
    model: EntailmentModel = load(
        spec,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    return model
