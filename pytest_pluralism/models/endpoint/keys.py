"""Keys of served models and passwords of proxies: read from the environment, sent in one header, and never shown."""

from __future__ import annotations

import base64
import functools
import html
import json
import logging
import os
import re
from urllib.parse import quote, unquote

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.address import API_KEY, OPENAI_KEY, Replica

__all__ = ["PROXIES", "headers_of", "how_to_give_a_key", "mask_logs", "reply_without_secrets", "without_secrets"]

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


#: The variables with the proxies of httpx, whose URLs may hold a user name and a password.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

#: A shorter secret is a word such as "none" or "EMPTY", which replies hold for reasons of their own.
LEAST_IN_REPLIES = 12

#: The loggers of httpx and of what it uses, which show the headers of replies at the level DEBUG.
_LOGGERS = ("httpx", *(f"httpcore.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))


def without_secrets(text: str, /) -> str:
    """Return a text in which no key and no password of a proxy stands, however it is written."""
    for form, _ in _forms(_environment()):
        text = text.replace(form, "***")
    return text


def reply_without_secrets(content: bytes, /) -> bytes:
    """Return the bytes of a reply in which no secret of ours stands; one with a secret would be kept, and reported."""
    for form, raw in _forms(_environment()):
        if len(form) >= LEAST_IN_REPLIES and raw in content:
            content = content.replace(raw, b"***")
    return content


def mask_logs() -> None:
    """Keep our secrets out of what the packages for HTTP log: a server may send them back in its headers."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Masked) for one in logger.filters):
            logger.addFilter(_Masked())


class _Masked(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the secrets of a record; all records pass."""
        message = record.getMessage()
        masked = without_secrets(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def _environment() -> tuple[str, ...]:
    """Return the variables that hold secrets: first keys, then URLs of proxies."""
    names = (API_KEY, OPENAI_KEY, *PROXIES, *map(str.lower, PROXIES))
    return tuple(os.environ.get(name, "").strip() for name in names)


@functools.lru_cache(maxsize=8)
def _forms(values: tuple[str, ...], /) -> tuple[tuple[str, bytes], ...]:
    """Return every form in which secrets may come back, the longest first."""
    secrets = set(values[:2])
    for proxy in values[2:]:
        # By hand, since a URL that cannot be read holds a password too.
        user, _, password = proxy.rpartition("@")[0].rpartition("://")[2].partition(":")
        plain = f"{unquote(user)}:{unquote(password)}"
        # The last is what a proxy is sent; without a password the name may be a token.
        secrets |= {password or user, unquote(password or user), base64.b64encode(plain.encode()).decode()}
    forms = set()
    for secret in secrets - {""}:
        escaped = json.dumps(secret)[1:-1]
        forms |= {secret, quote(secret, safe=""), html.escape(secret), escaped, escaped.replace("/", "\\/")}
    return tuple((form, form.encode()) for form in sorted(forms, key=len, reverse=True) if len(form) >= 4)
