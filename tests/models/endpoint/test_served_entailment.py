"""Entailment models and judges behind servers."""

from __future__ import annotations

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores
from pytest_pluralism.models.endpoint.entailment import CANARIES, load_endpoint_entailment_model
from pytest_pluralism.models.specification import parse_entailment_spec

FAST = "timeout=2&patience=2"
PAIRS = [EntailmentPair(f"premise {number}", f"hypothesis {number}") for number in range(6)]


@pytest.fixture
def judged(serve, reply):
    """Start a server that judges on one route; ``content`` makes the reply from the text of a request."""

    def start(path, content):
        served = serve("judge", routes=())
        served.fault = lambda request: reply(content(str(request.body))) if request.path == path else None
        return served

    return start


def probability(text):
    """Return what the small judge thinks: 0.9 of the pair that is entailment, 0.1 of its opposites, else 0.25."""
    return 0.9 if "makes music" in text else 0.1 if CANARIES[1].premise in text or "shop" in text else 0.25


def three(text):
    value = probability(text)
    names = ("entailment", "NEUTRAL", "contradiction")
    return [[{"label": name, "score": share} for name, share in zip(names, (value, 0.05, 0.95 - value), strict=True)]]


ROUTES = {
    "classify": ("/predict", three, EntailmentScores(0.25, 0.05, pytest.approx(0.7))),
    "score": ("/v1/score", lambda text: {"data": [{"index": 0, "score": probability(text)}]}, EntailmentScores(0.25)),
    "rerank": (
        "/v1/rerank",
        lambda text: {"results": [{"index": 0, "relevance_score": probability(text)}]},
        EntailmentScores(0.25),
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_is_found_and_read(judged, route):
    path, content, wanted = ROUTES[route]
    served = judged(path, content)
    model = load_endpoint_entailment_model(f"{served.spec}?{FAST}")
    passed_on = []
    scores = model.entail([*PAIRS, PAIRS[0]], receive=passed_on.extend)
    model.close()
    assert model.route == route
    assert len(scores) == 7
    assert all(one == wanted for one in scores)
    assert len(passed_on) == 6
    assert "cannot prove" in model.identity.notes[0]


def test_another_model_under_the_same_name_is_another_identity(judged):
    path, content, _ = ROUTES["score"]
    first = load_endpoint_entailment_model(f"{judged(path, content).spec}?{FAST}")
    again = load_endpoint_entailment_model(f"{judged(path, content).spec}?{FAST}")
    other = load_endpoint_entailment_model(
        f"{judged(path, lambda text: {'data': [{'score': probability(text) * 0.9}]}).spec}?{FAST}"
    )
    for model in (first, again, other):
        model.close()
    assert first.identity.sha256 == again.identity.sha256 != other.identity.sha256


def change_score(value):
    return lambda text: {"data": [{"score": value if "premise" in text else probability(text)}]}


@pytest.mark.parametrize("value", [1.2, -0.1, None, "0.5", float("nan"), True])
def test_a_score_that_is_no_probability_is_refused(judged, value):
    model = load_endpoint_entailment_model(f"{judged('/v1/score', change_score(value)).spec}?{FAST}")
    with pytest.raises(ModelError, match=r"not a probability in \[0, 1\]"):
        model.entail(PAIRS)
    model.close()


def test_outputs_of_another_kind_are_refused(judged):
    rows = [[{"label": "LABEL_0", "score": 0.5}, {"label": "LABEL_1", "score": 0.5}]]
    with pytest.raises(ModelError, match="not entailment, neutral and contradiction"):
        load_endpoint_entailment_model(f"{judged('/predict', lambda text: rows).spec}?{FAST}")


def test_a_server_that_does_not_know_entailment_from_its_opposite_is_refused(judged):
    with pytest.raises(ModelError, match="does not judge entailment on the route score"):
        load_endpoint_entailment_model(f"{judged('/v1/score', lambda text: {'data': [{'score': 0.6}]}).spec}?{FAST}")


def test_a_language_model_judges_by_the_share_of_its_answers(serve):
    served = serve("judge")
    # The small model is made to know the three pairs.
    plain = served.log_probabilities

    def knows(text):
        values = plain(text)
        if "Does text 1 say" in text:
            wanted = probability(text)
            values |= {"A": -0.5 if wanted > 0.5 else -3.0, "B": -3.0 if wanted > 0.5 else -0.5}
            values |= {token: -20.0 for token in values if token.strip() not in {"A", "B"}} | {" A": -20.0, " B": -20.0}
        return values

    served.log_probabilities = knows
    model = load_endpoint_entailment_model(f"{served.spec}?{FAST}&route=judge")
    (scores,) = model.entail(PAIRS[:1])
    model.close()
    assert scores.entailment == pytest.approx(1 / (1 + 2.718281828**2.5))
    assert any(
        "Does text 1 say" in str(one.body) or "what text 2 says" in note
        for one in served.log
        for note in model.identity.notes
    )


def test_a_language_model_that_cannot_judge_is_refused(serve):
    with pytest.raises(ModelError, match="does not judge entailment on the route judge"):
        load_endpoint_entailment_model(f"{serve('judge').spec}?{FAST}&route=judge")


def test_the_spec_is_read():
    named, labels = parse_entailment_spec("endpoint:http://h:8000#org/nli?route=score")
    assert (named.kind, named.name, labels) == ("endpoint", "org/nli", None)
