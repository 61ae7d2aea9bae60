"""Keys of served models: read from the environment, sent in one header, and never shown."""

from __future__ import annotations

import os
import re

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.address import API_KEY, OPENAI_KEY, Replica

__all__ = ["headers_of", "how_to_give_a_key", "without_secrets"]

#: The one host to which the key of OpenAI is sent.
OPENAI_HOST = "api.openai.com"


def headers_of(replica: Replica, /) -> dict[str, str]:
    """Return the headers that carry the key of a server; none where the environment has no key for it.

    Raises
    ------
    ModelError
        A key holds what no header may hold.
    """
    for name in (API_KEY, OPENAI_KEY):
        key = os.environ.get(name, "").strip()
        if not key or (name == OPENAI_KEY and replica.host != OPENAI_HOST):
            continue
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ModelError(f"The key in {name} holds a blank or a character that no header may hold. Set it anew.")
        return {"Authorization": f"Bearer {key}"}
    return {}


def how_to_give_a_key(replica: Replica, /) -> str:
    """Return the sentence that says where a key belongs."""
    names = f"{API_KEY} or {OPENAI_KEY}" if replica.host == OPENAI_HOST else API_KEY
    return f"Set its key in the environment variable {names}."


def without_secrets(text: str, /) -> str:
    """Return a text of a server in which no key of ours stands."""
    for name in (API_KEY, OPENAI_KEY):
        key = os.environ.get(name, "").strip()
        if len(key) >= 4:
            text = text.replace(key, "***")
    return text
