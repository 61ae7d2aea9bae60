"""vLLM on a CPU (`tox -e vllm`), beside the same model in this process: letters, whole answers and texts agree."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings, Prompt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vLLM has an environment of its own: tox -e vllm"
    ),
]

#: In float32 a log-probability that vLLM gives differs by less than this from that of transformers.
FLOOR = 1e-4

TOPICS = ("rain", "snow", "tea", "dogs", "war", "art")
PROMPTS = [
    Prompt(f"Do you like {topic}?\nA. Yes\nB. No\nC. Perhaps", ("A", "B", "C"), template=template)
    for topic in TOPICS
    for template in ("raw", "chat")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the packaged model as a folder, in float32."""
    from pytest_pluralism.models import load_model

    path = tmp_path_factory.mktemp("model")
    model = load_model("embedded:smollm2-135m-instruct", device="cpu", dtype="float32")
    model.scorer.model.save_pretrained(path)
    model.reader.tokenizer.save_pretrained(path)
    model.close()
    return path


@pytest.fixture(scope="module")
def url(folder):
    """Start vLLM on loopback, in a group of processes that is ended as one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "smol", "--dtype", "float32", "--port", str(port), "--host", "127.0.0.1"]
    command += ["--max-model-len", "2048", "--enforce-eager"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, "vLLM ended before it was ready"
                assert time.monotonic() < until, "vLLM is not ready after 10 minutes"
                time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module", params=["", "?tokenizer={folder}"], ids=["texts", "token ids"])
def served(request, url, folder):
    from pytest_pluralism.models.endpoint.loading import load_endpoint_model

    model = load_endpoint_model(f"endpoint:{url}#smol{request.param.format(folder=folder)}")
    yield model
    model.close()


@pytest.fixture(scope="module")
def local(folder):
    from pytest_pluralism.models import load_model

    model = load_model(str(folder), device="cpu", dtype="float32")
    yield model
    model.close()


def test_letters_are_exact(served, local):
    assert served.way.abilities.chosen
    for theirs, mine in zip(served.answer(PROMPTS), local.answer(PROMPTS), strict=True):
        assert theirs.bounds == ()
        for one, other in zip(theirs.log_probabilities, mine.log_probabilities, strict=True):
            assert math.isclose(one, other, abs_tol=FLOOR)


def test_whole_answers_are_those_of_the_model_here(served, local):
    from pytest_pluralism.core.errors import ModelError

    asked = [
        FullAnswerPrompt(Prompt(f"Do you like {topic}?", ()), ("Yes, a lot", "Not at all")) for topic in TOPICS[:3]
    ]
    if served.way.reader is None:
        with pytest.raises(ModelError, match=r"\?tokenizer=FOLDER"):
            served.score_answers(asked)
        return
    for theirs, mine in zip(served.score_answers(asked), local.score_answers(asked), strict=True):
        assert theirs.n_tokens == mine.n_tokens
        pairs = zip(
            theirs.log_likelihoods + theirs.neutral_log_likelihoods,
            mine.log_likelihoods + mine.neutral_log_likelihoods,
            strict=True,
        )
        assert all(math.isclose(one, other, abs_tol=10 * FLOOR) for one, other in pairs)


def test_texts_are_the_same_at_temperature_0_and_repeat_under_a_seed(served, local):
    greedy = GenerationSettings(max_new_tokens=12, temperature=0.0)
    assert served.generate(PROMPTS[:4], greedy) == local.generate(PROMPTS[:4], greedy)
    drawn = GenerationSettings(max_new_tokens=12, temperature=0.9, seed=1)
    first = served.generate(PROMPTS[:2], drawn, n_draws=3)
    assert first == served.generate(PROMPTS[:2], drawn, n_draws=3)
    assert len({one.text for one in first[1]}) > 1
