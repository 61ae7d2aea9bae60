"""Distributional preference learning: utilities that are estimated from preferences, with what is uncertain in them.

The quarter of a juror is the hidden context: it is dropped. All that is left of the votes is which of two responses a
juror says to prefer, with errors: the smaller the difference of two votes, the more often the worse one is named. Two
classes of jurors are estimated from that, by expectation and maximization; the utility of a response is the chance that
it wins a comparison within the class of the juror.
"""

import itertools
import json

import numpy as np
import pytest

from pytest_pluralism.datasets.panels.loading import load_panel

TOWN = load_panel("example_town")
#: The places of two responses to one query.
PAIRS = [
    (3 * query + one, 3 * query + other)
    for query in range(len(TOWN.queries))
    for one, other in itertools.combinations(range(3), 2)
]


def preferences():
    """Return whether each juror says to prefer the first response of each pair, drawn as by Bradley and Terry."""
    votes = TOWN.matrix()
    gaps = np.column_stack([votes[:, one] - votes[:, other] for one, other in PAIRS])
    return (np.random.default_rng(0).random(gaps.shape) < 1 / (1 + np.exp(-5 * gaps))).astype(float)


def classes(prefers, n_classes, rng):
    """Return how likely each juror is of each class, and how often each class prefers the first of each pair."""
    of_class = rng.dirichlet(np.ones(n_classes), len(prefers))
    for _ in range(200):
        # Half a comparison each way keeps a chance from being 0 or 1.
        chance = (of_class.T @ prefers + 0.5) / (of_class.sum(axis=0)[:, None] + 1.0)
        likely = prefers @ np.log(chance).T + (1 - prefers) @ np.log(1 - chance).T + np.log(of_class.mean(axis=0))
        of_class = np.exp(likely - likely.max(axis=1, keepdims=True))
        of_class /= of_class.sum(axis=1, keepdims=True)
    return of_class, chance


def utilities(n_classes):
    """Return the utility of each response for each juror."""
    of_class, chance = classes(preferences(), n_classes, np.random.default_rng(0))
    wins = np.zeros((n_classes, len(TOWN.responses)))
    for place, (one, other) in enumerate(PAIRS):
        wins[:, one] += chance[:, place] / 2
        wins[:, other] += (1 - chance[:, place]) / 2
    return of_class @ wins


def panel_of(values, path):
    """Write a panel with estimated utilities in the place of the votes, without the quarters."""
    rows = [{"scale": {"lowest": 0, "highest": 1, "floor": 0.01}}]
    names = [(query, response) for query in TOWN.queries for response in query.responses]
    rows += [{"query": query.query_id, "text": query.text} for query in TOWN.queries]
    rows += [{"query": q.query_id, "response": one.response_id, "text": one.text} for q, one in names]
    rows += [
        {"juror": juror.juror_id, "query": q.query_id, "response": one.response_id, "utility": round(float(value), 6)}
        for juror, row in zip(TOWN.jurors, values, strict=True)
        for (q, one), value in zip(names, row, strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def estimated(tmp_path):
    return panel_of(utilities(2), tmp_path / "estimated.jsonl")


def test_the_hidden_quarters_are_found():
    """One utility for everybody, as pooled preferences give, follows the votes far less than the classes do."""
    votes = TOWN.matrix()
    pooled, parted = (np.corrcoef(utilities(n).ravel(), votes.ravel())[0, 1] for n in (1, 2))
    of_class, _ = classes(preferences(), 2, np.random.default_rng(0))
    likeliest = of_class.argmax(axis=1)
    quarters = np.array([juror.attributes["group"] == "river" for juror in TOWN.jurors])
    assert ((likeliest == likeliest[0]) == (quarters == quarters[0])).all()
    assert pooled < 0.6 < 0.95 < parted
    # By the harmonic mean (alpha of 2) the response for the center comes first pooled, and that for both with classes.
    first = [(1 / (1 / utilities(n)).mean(axis=0)).reshape(-1, 3).argmax(axis=1).tolist() for n in (1, 2)]
    assert (first[0].count(0), first[1].count(1)) == (11, 12)


def test_welfare_under_hidden_context(pluralism, estimated):
    these = pluralism.evaluate("jury_welfare", estimated, alpha=2.0, jury="whole")
    others = pluralism.evaluate("jury_welfare", estimated, alpha=2.0)
    # The interval of jurors like these holds what is uncertain about the people.
    assert others.high - others.low > these.high - these.low
    pluralism.require(others, at_least=0.42)
