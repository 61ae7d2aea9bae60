"""Time per request that the client of served models adds, and its throughput beside plain httpx at equal concurrency.

    python benchmarks/endpoint.py [N] [--url URL#MODEL] [--concurrency C]

Without a URL a server in another process answers at once, so that what is measured is the client. CPU time is that of
this process alone, and is the one to look at on a busy machine. Plain httpx works before and after the client, on other
prompts, since a server keeps the beginnings of those that it has read.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import math
import multiprocessing
import time

import httpx

from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.endpoint.abilities import Abilities
from pytest_pluralism.models.endpoint.client import Client
from pytest_pluralism.models.endpoint.language_model import EndpointModel, Way
from pytest_pluralism.models.endpoint.loading import load_endpoint_model
from pytest_pluralism.models.protocol import ModelIdentity

#: Twenty likeliest tokens, as a server gives them.
TOPS = {token: math.log(0.9 / 20) for token in "ABCDEFGHIJKLMNOPQRST"}
REPLY = json.dumps(
    {
        "model": "quick",
        "choices": [
            {"text": "A", "logprobs": {"tokens": ["A"], "token_logprobs": [TOPS["A"]], "top_logprobs": [TOPS]}}
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 1},
    }
).encode()


class Quick(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def serve(port: multiprocessing.Queue[int]) -> None:
    server = Server(("127.0.0.1", 0), Quick)
    port.put(server.server_address[1])
    server.serve_forever()


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def plain(url: str, bodies: list[dict[str, object]], concurrency: int) -> tuple[float, float]:
    """Return the seconds, on the wall and of this process, that plain httpx takes for the same requests."""

    async def everything() -> None:
        left = iter(bodies)
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:

            async def work() -> None:
                for body in left:
                    (await client.post(url, json=body)).json()

            await asyncio.gather(*(work() for _ in range(concurrency)))

    started = clocks()
    asyncio.run(everything())
    return tuple(now - then for now, then in zip(clocks(), started, strict=True))


def asked(start: int, n: int) -> list[Prompt]:
    return [Prompt(f"Is {start + number} a lot?\nA. Yes\nB. No", ("A", "B"), template="raw") for number in range(n)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", nargs="?", type=int, default=2000)
    parser.add_argument("--url", help="URL#MODEL of a real server")
    parser.add_argument("--concurrency", type=int, default=16)
    given = parser.parse_args()
    if given.url:
        model = load_endpoint_model(f"endpoint:{given.url}", batch_size=given.concurrency)
    else:
        context = multiprocessing.get_context("spawn")
        port: multiprocessing.Queue[int] = context.Queue()
        context.Process(target=serve, args=(port,), daemon=True).start()
        rest = f"http://127.0.0.1:{port.get()}#quick"
        client = Client(parse_address(rest, rest), concurrency=given.concurrency)
        way = Way(Abilities(top_k={"/completions": 20}), None, False)
        model = EndpointModel(client, way, ModelIdentity(rest, "quick", "0" * 64, "served", "endpoint"))
    way, api = model.way, model.client.address.replicas[0].api

    def bare(start: int) -> tuple[float, float]:
        bodies = []
        for prompt in asked(start, given.n):
            route, body = way.abilities.body(model.name, way.sent(prompt, model=model.name))
            most = min(model.first_top_k, way.top_k(str(body["prompt"])))
            bodies.append(way.abilities.with_top(route, body, most))
        return plain(api + route, bodies, given.concurrency)

    model.answer(asked(900_000, given.concurrency))
    earlier = bare(100_000)
    before = model.client.counts.requests
    started = clocks()
    model.answer(asked(200_000, given.n))
    ours = [now - then for now, then in zip(clocks(), started, strict=True)]
    sent = model.client.counts.requests - before
    theirs = [(one + other) / 2 for one, other in zip(earlier, bare(300_000), strict=True)]
    model.close()
    print(f"{given.n} prompts, {sent} requests, {given.concurrency} at once")
    for name, (wall, cpu), n in (("client", ours, sent), ("plain", theirs, given.n)):
        print(f"{name:8} {wall:7.2f} s, {1000 * wall / n:6.2f} ms a request, of CPU {1000 * cpu / n:6.2f} ms")
    more = [1000 * (mine / sent - other / given.n) for mine, other in zip(ours, theirs, strict=True)]
    print(f"overhead {more[0]:6.2f} ms a request, of CPU {more[1]:6.2f} ms")


if __name__ == "__main__":
    main()
