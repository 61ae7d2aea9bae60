"""Cassettes: exchanges with a real server on loopback, kept as JSON, and played again without a network.

Each file says in ``recorded_from`` which server gave the answers, and what stood between. ``tools/record_cassettes.py``
writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).parent / "cassettes"

#: The headers of a reply that are kept.
KEPT = ("content-type", "retry-after")

#: The address in all cassettes.
BASE = "http://127.0.0.1:8000"


def key_of(method: str, path: str, body: bytes) -> str:
    """Return what an exchange is found by."""
    content = json.loads(body) if body else None
    return json.dumps([method, path, content], sort_keys=True)


class Recording(httpx.AsyncBaseTransport):
    """Pass requests on, and keep what comes back."""

    def __init__(self, inner: httpx.AsyncBaseTransport, kept: list[dict[str, Any]]) -> None:
        self.inner, self.kept = inner, kept

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        reply = await self.inner.handle_async_request(request)
        content = await reply.aread()
        headers = {name: value for name, value in reply.headers.items() if name in KEPT}
        self.kept.append(
            {
                "method": request.method,
                "path": request.url.path,
                "body": json.loads(body) if body else None,
                "status": reply.status_code,
                "headers": headers,
                "reply": json.loads(content),
            }
        )
        return httpx.Response(reply.status_code, headers=headers, content=content)


class Played(httpx.AsyncBaseTransport):
    """Answer with what was recorded for the same request; the last reply to it stays."""

    def __init__(self, name: str) -> None:
        self.content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        self.asked: list[str] = []
        self._replies: dict[str, list[dict[str, Any]]] = {}
        for one in self.content["exchanges"]:
            body = b"" if one["body"] is None else json.dumps(one["body"]).encode()
            self._replies.setdefault(key_of(one["method"], one["path"], body), []).append(one)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = key_of(request.method, request.url.path, await request.aread())
        assert key in self._replies, f"not on this cassette; run tools/record_cassettes.py: {key[:300]}"
        found = self._replies[key]
        one = found.pop(0) if len(found) > 1 else found[0]
        self.asked.append(key)
        return httpx.Response(one["status"], headers=one["headers"], content=json.dumps(one["reply"]).encode())
