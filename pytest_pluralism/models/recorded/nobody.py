"""The model of tests whose texts were all recorded: it has an identity, and cannot be asked."""

from __future__ import annotations

import hashlib
from typing import NoReturn

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["RecordedTexts"]


class RecordedTexts:
    """Stands in the place of a language model where a test evaluates recorded texts, and no model was named.

    Parameters
    ----------
    remedy : str
        The message where something is asked all the same.
    """

    def __init__(self, remedy: str, /) -> None:
        self._remedy = remedy
        name = "recorded"
        self.identity = ModelIdentity(
            spec=name,
            name=name,
            sha256=hashlib.sha256(name.encode("ascii")).hexdigest(),
            dtype=name,
            device="elsewhere",
            architecture="recorded texts",
        )

    def answer(self, *_: object, **__: object) -> NoReturn:
        """Refuse to answer.

        Raises
        ------
        ModelError
            Always.
        """
        raise ModelError(self._remedy)

    score_answers = generate = answer

    def close(self) -> None:
        """Do nothing."""
