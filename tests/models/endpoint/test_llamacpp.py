"""A real server: llama.cpp with a packaged model, beside the same model in this process."""

from __future__ import annotations

import math
import socket

import pytest

from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings, Prompt

#: The tiny files of tests/models/llamacpp and the servers of this folder show the same in less time.
pytestmark = [pytest.mark.model, pytest.mark.slow]

#: llama.cpp rounds activations to 8 bits where weights have 4: by so much a probability of a label may differ, and so
#: far the distribution over the labels may be from that in float32.
PROBABILITY_FLOOR, DISTANCE_FLOOR = 0.05, 0.06

PROMPTS = [
    Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B")),
    Prompt("Should voting be compulsory?\nA. Yes\nB. No\nC. It depends", ("A", "B", "C"), system="Answer by a letter."),
    Prompt("How often do you read?\nA. Daily\nB. Weekly\nC. Never\nD. Seldom", ("A", "B", "C", "D"), template="raw"),
]


@pytest.fixture(scope="module")
def server():
    """Start llama.cpp on loopback."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp (the server of llama.cpp) is not installed")
    embedded = pytest.importorskip("pytest_pluralism.models.embedded")
    weights = embedded.find_embedded("smollm2-135m-instruct").parts[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = str(weights), {"smollm2"}
    # One request at a time: batches move the numbers of llama.cpp by up to 0.15 nats.
    wanted.port, wanted.n_ctx, wanted.n_parallel, wanted.cpuparams.n_threads = port, 2048, 1, 1
    running = xllamacpp.Server(wanted)
    yield running.listening_address
    del running


@pytest.fixture(scope="module")
def model(server):
    pytest.importorskip("httpx", reason="the extra endpoint is not installed")
    from pytest_pluralism.models.endpoint.loading import load_endpoint_model

    served = load_endpoint_model(f"endpoint:{server}#smollm2", batch_size=1)
    yield served
    served.close()


def test_llama_cpp_says_what_it_can_do(model):
    notes = " ".join(model.identity.notes)
    assert "owner llamacpp" in notes
    assert "at least 1000 likeliest tokens from completions" in notes
    assert "prompts as token ids: yes, /tokenize: yes, logprob_token_ids: no" in notes
    assert "log-probabilities of prompts: no" in notes
    assert model.identity.parameters == 134_515_008


def test_llama_cpp_answers_as_the_model_in_this_process_within_the_floor(model):
    from pytest_pluralism.models import load_model

    local = load_model("embedded:smollm2-135m-instruct", device="cpu", dtype="float32")
    served, ours = model.answer(PROMPTS), local.answer(PROMPTS)
    local.close()
    for theirs, mine in zip(served, ours, strict=True):
        shares = [[math.exp(value) for value in answer.log_probabilities] for answer in (theirs, mine)]
        assert max(abs(a - b) for a, b in zip(*shares, strict=True)) < PROBABILITY_FLOOR
        left, right = ([value / sum(one) for value in one] for one in shares)
        assert jensen_shannon_distance(left, right) < DISTANCE_FLOOR
        assert all(low <= share <= high for (low, high), share in zip(theirs.bounds, shares[0], strict=False))
        # The likeliest tokens leave next to nothing open here.
        assert all(high - low < 1e-3 for low, high in theirs.bounds)


def test_llama_cpp_writes_texts_and_repeats_them_under_a_seed(model):
    settings = GenerationSettings(max_new_tokens=8, temperature=0.8, seed=3)
    (first,) = model.generate(PROMPTS[:1], settings, n_draws=2)
    (again,) = model.generate(PROMPTS[:1], settings, n_draws=2)
    assert first == again
    assert first[0].text != first[1].text
    assert [one.draw for one in first] == [0, 1]
    assert all(0 < one.n_tokens <= 8 for one in first)


def test_llama_cpp_scores_no_whole_answers_and_says_why(model):
    from pytest_pluralism.core.errors import ModelError

    with pytest.raises(ModelError, match="does not give the log-probabilities of a prompt's own tokens"):
        model.score_answers([FullAnswerPrompt(PROMPTS[0], ("Yes", "No"))])


def test_llama_cpp_is_known_again_when_it_is_opened_again(server, model):
    from pytest_pluralism.models.endpoint.loading import load_endpoint_model

    again = load_endpoint_model(f"endpoint:{server}#smollm2", batch_size=1)
    again.close()
    assert again.identity.sha256 == model.identity.sha256
