"""Raked weights, and Cohen's kappa."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import rake
from pytest_pluralism.core.metrics import cohen_kappa


def test_raked_weights_meet_every_margin() -> None:
    rng = np.random.default_rng(0)
    people = {"sex": rng.choice(["f", "m"], 80).tolist(), "age": rng.choice(["young", "mid", "old"], 80).tolist()}
    margins = {"sex": {"f": 51, "m": 49}, "age": {"young": 0.2, "mid": 0.5, "old": 0.3}}
    weights = rake(people, margins)
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1)
    for kind, shares in margins.items():
        for group, share in shares.items():
            mine = weights[np.array(people[kind]) == group].sum() / weights.sum()
            assert mine == pytest.approx(share / sum(shares.values()), abs=1e-8)


@pytest.mark.parametrize(
    ("groups", "margins", "message"),
    [
        ({"sex": ["f", "m"]}, {"six": {"f": 1}}, "sex"),
        ({"sex": ["f", "m"]}, {"sex": {"f": 1}}, "of the groups that the sample has"),
        ({"sex": ["f", "f"]}, {"sex": {"f": 1, "m": 1}}, "of the groups that the sample has"),
        ({"sex": ["f", "m"]}, {"sex": {"f": 0, "m": 1}}, "above 0"),
        ({"sex": []}, {"sex": {"f": 1}}, "the same people"),
        (
            {"a": ["x", "x", "y"], "b": ["u", "u", "v"]},
            {"a": {"x": 0.5, "y": 0.5}, "b": {"u": 0.9, "v": 0.1}},
            "cannot all be met",
        ),
    ],
)  # fmt: skip
def test_margins_that_cannot_be_met_are_refused(groups: dict, margins: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidParameterError, match=message):
        rake(groups, margins)


def test_kappa_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for n in (5, 40, 300):
        one, other = rng.choice(["A", "B", "C"], (2, n)).tolist()
        assert cohen_kappa(one, other) == pytest.approx(metrics.cohen_kappa_score(one, other))


def test_kappa_of_one_label_is_unknown() -> None:
    assert math.isnan(cohen_kappa(["A", "A"], ["A", "A"]))
    assert cohen_kappa(["A", "A", "B"], ["A", "A", "A"]) == pytest.approx(0)
    with pytest.raises(InvalidParameterError, match="the same things"):
        cohen_kappa(["A"], [])
