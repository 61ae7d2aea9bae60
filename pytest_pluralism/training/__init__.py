"""Pluralism while a model is trained: a callback for the trainers of ``transformers`` and ``trl``.

:class:`~pytest_pluralism.training.callback.PluralismCallback` measures the live network once an epoch, or every so many
steps, writes the numbers into the trainer's own logs, and stops the training when a promise is broken.
"""

from __future__ import annotations

from pytest_pluralism.models.backends import require_packages
from pytest_pluralism.training.watching import Look, Watch

require_packages(
    "torch", "transformers", "accelerate", command='pip install "pytest-pluralism[training]"', what="The callback"
)

from pytest_pluralism.training.callback import PluralismCallback  # noqa: E402 - what it needs is looked for first

__all__ = ["Look", "PluralismCallback", "Watch"]
