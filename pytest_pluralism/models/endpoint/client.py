"""Sends requests to the servers of one model: several at once, again where that may help, and to whichever is up.

The event loop runs in a thread of its own, so that it works wherever pytest runs; results are passed on in the thread
that asks, since the answer store belongs to it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import queue
import ssl
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiolimiter
import anyio
import httpx
import stamina
from anyio.from_thread import BlockingPortal, start_blocking_portal

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.address import EndpointAddress, Replica
from pytest_pluralism.models.endpoint.keys import (
    headers_of,
    how_to_give_a_key,
    mask_logs,
    reply_without_secrets,
    without_secrets,
)

__all__ = ["CONCURRENCY", "Client", "Counts", "RefusedError", "Server"]

ResultT = TypeVar("ResultT")

#: The clients whose loop runs. One that is still open when Python ends would wait for a loop that no longer runs.
_OPEN: weakref.WeakSet[Client] = weakref.WeakSet()

#: Number of requests at once where the run does not say (``--pluralism-batch-size``).
CONCURRENCY = 16

#: The statuses after which the same request may succeed.
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})

#: A longer reply was not made for us.
MOST_BYTES = 256_000_000

#: How long a server that failed is left alone while another one is up, in seconds.
RESTING = 5.0


class RefusedError(ModelError):
    """A server refused a request, and would refuse it again.

    Attributes
    ----------
    status : int
        The status of the reply.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _TryAgainError(Exception):
    """A request failed in a way that may pass; ``after`` is the time in seconds that the server asks for."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass
class Counts:
    """The requests that were sent, and the tokens that were counted."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Server:
    """One replica while it is used.

    Attributes
    ----------
    opened : int
        Number of connections that were opened to it.
    verified : int
        Number of those after whose opening it was found to serve the same model as at the start: a server that was
        started anew takes new connections, and may serve another model.
    requests : int
        Number of requests that were sent to it.
    """

    replica: Replica
    http: httpx.AsyncClient
    rests_until: float = 0.0
    in_flight: int = 0
    opened: int = 0
    verified: int = 0
    requests: int = 0
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Client:
    """The connections to the servers of one model.

    Parameters
    ----------
    address : EndpointAddress
        The servers, time limits and rates.
    concurrency : int
        Maximum number of requests at once.

    Attributes
    ----------
    counts : Counts
        The counts since the start.
    verify : callable or None
        Awaited with a server after new connections to it; raises where it serves another model than before.
    """

    def __init__(self, address: EndpointAddress, /, *, concurrency: int = CONCURRENCY) -> None:
        self.address = address
        # Workers of pytest-xdist share the servers, and the rates that these allow.
        workers = max(1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT") or 1))
        self.concurrency = max(1, concurrency // workers)
        self.counts = Counts()
        self.verify: Callable[[Server], Awaitable[None]] | None = None
        self._process = os.getpid()
        self._running = start_blocking_portal()
        self._portal: BlockingPortal | None = self._running.__enter__()
        self._rates = [
            (aiolimiter.AsyncLimiter(max(rate / workers, 1.0), 60.0), counts_tokens)
            for rate, counts_tokens in ((address.requests_per_minute, False), (address.tokens_per_minute, True))
            if math.isfinite(rate)
        ]
        mask_logs()
        _OPEN.add(self)
        try:
            self.servers: tuple[Server, ...] = self._call(self._connect)
        except BaseException:
            self.close()
            raise
        # A model that nobody holds any more gives back its connections, as files do.
        self._finalizer = weakref.finalize(self, _shut_later, self._portal, self._running, self.servers)
        self._finalizer.atexit = False

    async def _connect(self) -> tuple[Server, ...]:
        """Make the connection pools, in the loop that uses them."""
        limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        certificates = httpx.create_ssl_context()
        return tuple(Server(one, self._pool(one, limits, certificates)) for one in self.address.replicas)

    def _pool(self, replica: Replica, limits: httpx.Limits, certificates: ssl.SSLContext) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                headers=headers_of(replica),
                timeout=httpx.Timeout(self.address.timeout, connect=min(10.0, self.address.timeout)),
                limits=limits,
                # SSL_CERT_FILE holds for every server.
                verify=certificates,
                # A proxy is for other machines than this one.
                trust_env=not replica.is_loopback,
                # The key would go to whatever host a reply names.
                follow_redirects=False,
            )
        except (httpx.InvalidURL, ValueError, ImportError) as error:
            # The words of an invalid URL are a part of it, maybe of its password.
            why = without_secrets(str(error)) if isinstance(error, ImportError) else "it is not the URL of a proxy"
            raise ModelError(
                f"A proxy for {_place(replica.api)} cannot be used: {why}. See HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and "
                "NO_PROXY; in a password write special characters as %23 or the like."
            ) from None

    def close(self) -> None:
        """Close all connections, and end the loop."""
        portal, self._portal = self._portal, None
        if portal is not None:
            if hasattr(self, "_finalizer"):
                self._finalizer.detach()
            _shut(portal, self._running, getattr(self, "servers", ()))

    def _call(self, function: Callable[..., Awaitable[ResultT]], *arguments: object) -> ResultT:
        if self._portal is None:
            raise ModelError(f"The model {self.address.model} has been closed and cannot be asked any more.")
        result: ResultT = self._portal.call(function, *arguments)
        return result

    # --------------------------------------------------------------------------------------------------- requests

    def ask(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        server: Server | None = None,
        patience: float | None = None,
    ) -> object:
        """Send one request, and wait for its reply; arguments as for :meth:`post`."""
        return self._call(lambda: self.post(path, body, server=server, patience=patience))

    def wait_for(self, function: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run a function in the loop, and wait for its result."""
        return self._call(function)

    def each(
        self,
        jobs: Sequence[Callable[[], Awaitable[ResultT]]],
        receive: Callable[[list[tuple[int, ResultT]]], None],
    ) -> None:
        """Do jobs, several at once, and pass on (number of the job, result) in this thread as they are done.

        After a failure no further job is begun; those that run are finished and passed on first, because what they
        bring is paid for.

        Raises
        ------
        Exception
            The first failure of a job.
        """
        if self._portal is None:
            raise ModelError(f"The model {self.address.model} has been closed and cannot be asked any more.")
        done: queue.SimpleQueue[tuple[int, ResultT] | None] = queue.SimpleQueue()
        failures: list[Exception] = []

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                if failures:
                    return
                try:
                    done.put((number, await jobs[number]()))
                except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
                    failures.append(error)

        async def everything() -> None:
            numbers = iter(range(len(jobs)))
            try:
                async with anyio.create_task_group() as group:
                    for _ in range(min(self.concurrency, len(jobs))):
                        group.start_soon(work, numbers)
            finally:
                done.put(None)

        running = self._portal.start_task_soon(everything)
        try:
            for batch in _batches(done):
                receive(batch)
        except BaseException:
            running.cancel()
            raise
        running.result()
        if failures:
            raise failures[0]

    async def post(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        server: Server | None = None,
        tokens: int = 0,
        patience: float | None = None,
    ) -> object:
        """Send one request, again where that may help, and return the JSON of its reply.

        Parameters
        ----------
        path : str
            The route: ``/...`` below the API, ``//...`` below the root of the server.
        body : mapping, optional
            The JSON that is sent; without it the request is a GET.
        server : Server, optional
            The one server that is asked; by default whichever is up and has least to do.
        tokens : int
            The tokens that the request takes, for the rate limit.
        patience : float, optional
            Longest time in seconds with all tries; by default that of the address.

        Raises
        ------
        RefusedError
            The server refused the request.
        ModelError
            There is no reply in the time that is allowed, or one that is not JSON.
        """
        started, tries = time.monotonic(), 0
        patience = self.address.patience if patience is None else patience

        def wait(error: Exception) -> bool | float:
            if not isinstance(error, _TryAgainError):
                return False
            left = patience - (time.monotonic() - started)
            if error.after is not None:
                return error.after if error.after < left else False
            # Another server may be up: it is asked at once.
            return 0.0 if server is None and self._someone_rested() and tries <= len(self.servers) else left > 0

        try:
            async for attempt in stamina.retry_context(
                on=wait, attempts=None, timeout=patience, wait_initial=0.2, wait_max=15.0, wait_jitter=0.3
            ):
                with attempt:
                    tries += 1
                    self.counts.retries += tries > 1
                    for limiter, counts_tokens in self._rates:
                        await limiter.acquire(min(max(tokens, 1), limiter.max_rate) if counts_tokens else 1)
                    chosen = server or self._choose()
                    reply = await self.once(chosen, path, body)
                    if server is None and self.verify is not None:
                        await self._verified(chosen)
                    return reply
        except _TryAgainError as error:
            asked = "" if error.after is None else f" (it asks for a pause of {error.after:g} s)"
            seconds = time.monotonic() - started
            raise ModelError(
                f"{error}{asked}. Given up after {tries} {'try' if tries == 1 else 'tries'} and {seconds:.0f} s. What "
                "was answered until then is kept: run again when the server is back, or allow more time "
                f"(endpoint:URL#MODEL?patience={2 * self.address.patience:g})."
            ) from None
        raise AssertionError  # pragma: no cover - the loop returns or raises

    async def _verified(self, chosen: Server) -> None:
        """See once, for all that wait, whether a server serves the same model as before behind new connections."""
        if chosen.verified >= chosen.opened:
            return
        async with chosen.lock:
            opened = chosen.opened
            if chosen.verified < opened and self.verify is not None:
                await self.verify(chosen)
                chosen.verified = opened

    def verify_all(self) -> None:
        """See whether every server that is up still serves the same model as at the start.

        Raises
        ------
        ModelError
            One serves another model; it may have changed without a new connection.
        """

        async def each() -> None:
            for server in self.servers:
                if self.verify is None or server.rests_until > time.monotonic():
                    continue
                # A server that went away is met by the next request, and seen to then.
                with contextlib.suppress(_TryAgainError):
                    await self.verify(server)

        self._call(each)

    def _someone_rested(self) -> bool:
        return any(one.rests_until <= time.monotonic() for one in self.servers)

    def _choose(self) -> Server:
        now = time.monotonic()
        return min(self.servers, key=lambda one: (max(one.rests_until - now, 0.0), one.in_flight, one.requests))

    async def once(self, server: Server, path: str, body: Mapping[str, object] | None) -> object:
        """Send one request once, and return the JSON of its reply."""
        replica = server.replica
        url = replica.root + path[1:] if path.startswith("//") else replica.api + path
        server.requests += 1
        server.in_flight += 1
        self.counts.requests += 1
        try:
            with anyio.fail_after(self.address.timeout):
                status, headers, content = await _exchange(server, url, body)
        except TimeoutError:
            raise self._failed(server, f"{_place(url)} gave no whole reply within {self.address.timeout:g} s") from None
        except httpx.RequestError as error:
            raise self._transport_error(server, url, error) from None
        finally:
            server.in_flight -= 1
        if status == httpx.codes.OK:
            return self._decoded(url, headers, content)
        words = _words(content)
        if status in RETRIED and "insufficient_quota" not in words:
            message = f"{_place(url)} replied with status {status}: {words}"
            after = _retry_after(headers)
            # A server that limits its rate is up.
            raise _TryAgainError(message, after=after) if status == 429 else self._failed(server, message, after)
        raise RefusedError(status, self._refusal(replica, url, status, headers, words))

    def _failed(self, server: Server, message: str, after: float | None = None) -> _TryAgainError:
        """Return the error of a server that is left alone for a while."""
        server.rests_until = time.monotonic() + RESTING
        return _TryAgainError(message, after=after)

    def _transport_error(self, server: Server, url: str, error: httpx.RequestError) -> Exception:
        """Return what to raise for a failure below HTTP."""
        words = without_secrets(" ".join(str(error).split())) or type(error).__name__
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
                return ModelError(
                    f"{_place(url)} cannot be reached over TLS: {words}. Trust its certificate (SSL_CERT_FILE), or, "
                    "where it speaks plain HTTP, write http://."
                )
            cause = cause.__cause__ or cause.__context__
        if "location header" in words:
            # The words are a part of that URL, in which anything may stand.
            return ModelError(f"{_place(url)} points to a URL that cannot be read. No redirection is followed.")
        if isinstance(error, (httpx.ProxyError, httpx.UnsupportedProtocol)):
            return ModelError(f"{_place(url)} cannot be reached: {words}. See HTTPS_PROXY, HTTP_PROXY and NO_PROXY.")
        return self._failed(server, f"{_place(url)} cannot be reached or broke off: {words}")

    def _decoded(self, url: str, headers: httpx.Headers, content: bytes) -> object:
        """Return the JSON of a reply, and count its tokens."""
        content = reply_without_secrets(content)
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError):
            kind = headers.get("content-type", "nothing said").partition(";")[0]
            what = "a page of HTML, as a proxy or a login page gives it" if b"<html" in content[:2000].lower() else kind
            raise ModelError(
                f"{_place(url)} replied with status 200, but not with JSON ({what}): {_words(content)}. See whether "
                "the URL is that of the server, and NO_PROXY."
            ) from None
        usage = reply.get("usage") if isinstance(reply, dict) else None
        if isinstance(usage, dict):
            for name in ("prompt_tokens", "completion_tokens"):
                value = usage.get(name)
                if type(value) is int and value >= 0:
                    setattr(self.counts, name, getattr(self.counts, name) + value)
        return reply

    def _refusal(self, replica: Replica, url: str, status: int, headers: httpx.Headers, words: str) -> str:
        """Return the message for a status that will not change."""
        if status in {401, 403}:
            return f"{_place(url)} refused the request (status {status}): {words}. {how_to_give_a_key(replica)}"
        if 300 <= status < 400:
            to = ""
            with contextlib.suppress(httpx.InvalidURL):
                to = httpx.URL(headers.get("location", "")).host
            to = printable(without_secrets(to)) or "elsewhere"
            return f"{_place(url)} points to {to} (status {status}). Name that URL; no redirection is followed."
        return f"{_place(url)} refused the request (status {status}): {words}"


async def _exchange(server: Server, url: str, body: Mapping[str, object] | None) -> tuple[int, httpx.Headers, bytes]:
    """Send a request, and read its reply, of limited size."""

    async def trace(event: str, info: Mapping[str, object]) -> None:
        server.opened += event == "connection.connect_tcp.complete"

    sent = None if body is None else json.dumps(body).encode()
    kind = None if body is None else {"Content-Type": "application/json"}
    method, extensions = "GET" if body is None else "POST", {"trace": trace}
    async with server.http.stream(method, url, headers=kind, content=sent, extensions=extensions) as response:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise ModelError(f"{_place(url)} gave a reply of more than {MOST_BYTES:,} bytes.")
        return response.status_code, response.headers, b"".join(parts)


def _batches(done: queue.SimpleQueue[tuple[int, ResultT] | None]) -> Iterator[list[tuple[int, ResultT]]]:
    """Yield what is done, as much as is there."""
    ended = False
    while not ended:
        batch: list[tuple[int, ResultT]] = []
        one = done.get()
        while True:
            if one is None:
                ended = True
                break
            batch.append(one)
            try:
                one = done.get_nowait()
            except queue.Empty:
                break
        if batch:
            yield batch


def _place(url: str) -> str:
    parts = httpx.URL(url)
    return f"The endpoint {parts.scheme}://{parts.netloc.decode()}{parts.path}"


def _words(content: bytes) -> str:
    """Return what an error reply says, fit to be shown."""
    text = content[:4000].decode("utf-8", "replace")
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        said = json.loads(content)
        error = said.get("error", said)
        known = [error.get(name) for name in ("code", "message")] if isinstance(error, dict) else [error]
        text = " ".join(str(part) for part in known if part) or text
    return printable(without_secrets(" ".join(text.split())) or "nothing", most=200)


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the pause in seconds that a server asks for."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _shut(
    portal: BlockingPortal | None, running: AbstractContextManager[BlockingPortal], servers: Sequence[Server]
) -> None:
    """Close the connections to servers, and end the loop."""
    for server in servers:
        with contextlib.suppress(Exception):
            if portal is not None:
                portal.call(server.http.aclose)
    running.__exit__(None, None, None)


def _shut_later(
    portal: BlockingPortal | None, running: AbstractContextManager[BlockingPortal], servers: Sequence[Server]
) -> None:
    """Do the same in a thread of its own: garbage may be collected in that of the loop, which cannot wait here."""
    threading.Thread(target=_shut, args=(portal, running, servers), daemon=True).start()


@atexit.register
def _close_all() -> None:
    """Close the clients that nobody closed, while their loops still run; those of a parent process are not ours."""
    for client in list(_OPEN):
        if client._process == os.getpid():
            with contextlib.suppress(Exception):
                client.close()
