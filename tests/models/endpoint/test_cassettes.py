"""Hosted APIs, as recorded cassettes: chat with log-probabilities, a cap on them, none of them, and a limited rate."""

from __future__ import annotations

import functools
import getpass
import importlib.util
import json
import math
import re
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from pytest_pluralism.core.records import Prompt

_SPEC = importlib.util.spec_from_file_location("endpoint_tape", Path(__file__).with_name("tape.py"))
tape = importlib.util.module_from_spec(_SPEC)
sys.modules["endpoint_tape"] = tape
_SPEC.loader.exec_module(tape)

PROMPTS = [
    Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B")),
    Prompt("How often do you read?\n" + "\n".join(f"{one}. Way {one}" for one in "ABCDQ"), tuple("ABCDQ")),
]

NAMES = sorted(path.stem for path in tape.FOLDER.glob("*.json"))


@pytest.fixture
def played(monkeypatch, tmp_path, opened):
    """Open the model of a cassette."""
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path))
    monkeypatch.setenv("PLURALISM_ENDPOINT_API_KEY", "sk-of-this-test-alone")

    def load(name):
        transport = tape.Played(name)
        monkeypatch.setattr(httpx, "AsyncClient", functools.partial(httpx.AsyncClient, transport=transport))
        return opened(f"endpoint:{tape.BASE}#smollm2?samples=8", batch_size=1), transport

    return load


def test_there_is_a_cassette_for_each_shape():
    assert NAMES == ["chat_capped", "chat_rate_limited", "chat_with_logprobs", "chat_without_logprobs"]


def test_chat_with_log_probabilities_is_read_with_bounds_for_what_is_not_listed(played):
    model, transport = played("chat_with_logprobs")
    assert "at most 20 likeliest tokens from chat/completions" in " ".join(model.identity.notes)
    answer = model.answer(PROMPTS[:1])[0]
    question = next(
        one
        for one in transport.content["exchanges"]
        if one["body"] and "like rain" in json.dumps(one["body"]) and one["status"] == 200
    )
    listed = question["reply"]["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    for place, label in enumerate("AB"):
        low = math.fsum(math.exp(one["logprob"]) for one in listed if one["token"].strip() == label)
        given = answer.bounds[place] if answer.bounds else (math.exp(answer.log_probabilities[place]),) * 2
        assert given[0] == pytest.approx(low, abs=1e-6)


def test_a_cap_leaves_wider_bounds_than_more_tokens_do(played):
    wide = played("chat_capped")[0].answer(PROMPTS)
    narrow = played("chat_with_logprobs")[0].answer(PROMPTS)
    for few, many in zip(wide, narrow, strict=True):
        assert few.open_share >= many.open_share
        for (low, high), (least, most) in zip(few.bounds, many.bounds or [], strict=False):
            assert low <= least + 1e-6
            assert most <= high + 1e-6
    assert max(one.open_share for one in wide) > 0.01


def test_without_log_probabilities_letters_are_counted(played):
    model, _ = played("chat_without_logprobs")
    answer = model.answer(PROMPTS[:1])[0]
    assert answer.is_sampled
    assert answer.n_drawn == 8


def test_a_limited_rate_is_waited_for(played):
    model, transport = played("chat_rate_limited")
    assert [one["headers"]["retry-after"] for one in transport.content["exchanges"] if one["status"] == 429] == ["1"]
    started = time.monotonic()
    model.answer(PROMPTS[:1])
    assert time.monotonic() - started >= 1.0
    assert model.client.counts.retries == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_cassette_says_where_it_is_from_and_holds_no_secret(name):
    text = (tape.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert "llama.cpp" in content["recorded_from"]
    assert "loopback" in content["recorded_from"]
    assert not re.search(r"(?i)authorization|bearer|api[-_ ]?key|\bsk-|cookie|password|token=", text)
    hosts = set(re.findall(r"https?://([^/\"\\ ]+)", text))
    assert hosts <= {"127.0.0.1:8000"}
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert getpass.getuser() == "root" or getpass.getuser() not in text
    assert all(set(one["headers"]) <= set(tape.KEPT) for one in content["exchanges"])
