"""The record of how an interval was made: words say it to people, and nothing is computed from them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pytest_pluralism.core import Estimate, Gate, decide
from pytest_pluralism.core.estimation import (
    bound_p_value,
    compare_paired,
    estimate_crossed,
    estimate_mean,
    interval_at,
    power_of_gate,
    units_needed,
)
from pytest_pluralism.core.records import IntervalKind, IntervalMethod, Outcome
from pytest_pluralism.core.verdict import failure_p_value

WORDS = (
    "",
    "by hand",
    "wilson by hand",
    "clopper-pearson by hand",
    "clustered t, outer ends, corrected for skewness",
    "two-way table",
    "crossed t",
    "respondents resampled",
    "bca of differences",
)


@pytest.mark.parametrize("words", WORDS)
def test_words_compute_nothing(words):
    said = Estimate(0.30, 0.25, 0.35, 0.025, n=100, n_clusters=100, method=words)
    silent = Estimate(0.30, 0.25, 0.35, 0.025, n=100, n_clusters=100)
    assert said.method == words
    for level in (0.5, 0.95, 0.99):
        assert (interval_at(said, level).low, interval_at(said, level).high) == (
            interval_at(silent, level).low,
            interval_at(silent, level).high,
        )
    assert failure_p_value(Gate(at_most=0.25), said) == failure_p_value(Gate(at_most=0.25), silent)
    assert decide(Gate(at_most=0.32), said).units_needed == decide(Gate(at_most=0.32), silent).units_needed == 513
    assert units_needed(said, difference=0.03) == units_needed(silent, difference=0.03)
    assert power_of_gate(said, difference=0.05) == power_of_gate(silent, difference=0.05)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_words_do_not_make_a_constant_believed(words, value):
    constant = Estimate(value, value, value, 0.0, n=12, n_clusters=12, method=words)
    assert decide(Gate(at_most=0.5), constant).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("words", WORDS)
def test_words_beside_units_neither_compute_nor_crash(words):
    units = {"unit_ids": ("a", "b"), "values": (0.2, 0.4), "clusters": ("x", "y")}
    said = Estimate(0.3, 0.2, 0.4, 0.05, n=2, n_clusters=2, method=words, **units)
    silent = Estimate(0.3, 0.2, 0.4, 0.05, n=2, n_clusters=2, **units)
    gate = Gate(at_most=0.5, confidence_level=0.9)
    assert decide(gate, said).outcome is decide(gate, silent).outcome
    assert interval_at(said, 0.9).low == interval_at(silent, 0.9).low
    assert (said - said).low == (silent - silent).low


def test_an_interval_of_unknown_making_is_not_narrowed_by_its_labels():
    # Two crossed clusterings have the smaller number of clusters; labels of pairs would count each pair as one.
    made = estimate_mean(
        np.random.default_rng(0).random(20), clusters=np.arange(20) // 4, other_clusters=np.arange(20) % 4
    )
    pairs = tuple(map(str, zip(made.clusters, made.other_clusters, strict=True)))
    unknown = dataclasses.replace(made, how=IntervalMethod(), clusters=pairs, other_clusters=())
    again = interval_at(unknown, 0.99)
    assert again.how.remade == "standard error"
    assert again.high - again.low == pytest.approx(interval_at(made, 0.99).high - interval_at(made, 0.99).low)


@pytest.mark.parametrize(
    ("estimate", "kind", "words"),
    [
        (estimate_mean([0.1, 0.4, 0.2], method="t"), IntervalKind.T, "clustered t"),
        (estimate_mean([0.1, 0.4, 0.2]), IntervalKind.SKEWNESS, "clustered t, corrected for skewness"),
        (
            compare_paired([0.1, 0.4, 0.2], [0.1, 0.2, 0.3]),
            IntervalKind.OUTER,
            "clustered t, outer ends, corrected for skewness",
        ),
        (estimate_mean([0, 1, 1]), IntervalKind.EXACT, "clopper-pearson"),
        (estimate_mean([0, 1, 1, 1], clusters="aabb", method="wilson"), IntervalKind.WILSON, "wilson, clustered"),
        (estimate_mean([0.1, 0.4], confidence_level=None), IntervalKind.WHOLE_SET, "whole set"),
        (compare_paired([1, 0], [0, 0], confidence_level=None), IntervalKind.WHOLE_SET, "whole set of differences"),
        (estimate_mean([float("nan")]), IntervalKind.NO_SCORES, "no scores"),
        (estimate_mean([0.3]), IntervalKind.UNKNOWN, "unknown: fewer than two clusters"),
        (estimate_crossed([0.1, 0.3], [0.2, 0.4], bias=0.1), IntervalKind.CROSSED, "crossed t, corrected for bias"),
    ],
)
def test_words_are_made_from_the_record(estimate, kind, words):
    assert (estimate.how.kind, estimate.method) == (kind, words)
    other = dataclasses.replace(estimate, method="clopper-pearson")
    assert (other.how, other.method) == (estimate.how, words)


def test_a_p_value_follows_the_record():
    values = np.random.default_rng(3).gamma(1.0, size=20)
    plain, corrected = estimate_mean(values, method="t"), estimate_mean(values, method="outer")
    swapped = dataclasses.replace(plain, how=corrected.how, degrees_of_freedom=corrected.degrees_of_freedom)
    bound = plain.value + 0.2
    expected = bound_p_value(corrected, bound, alternative="less")
    assert bound_p_value(swapped, bound, alternative="less") == expected
    assert bound_p_value(plain, bound, alternative="less") != expected


@pytest.mark.parametrize(
    "how",
    [
        IntervalMethod(),
        IntervalMethod(kind=IntervalKind.OUTER, difference=True, remade="units"),
        IntervalMethod(kind=IntervalKind.WILSON, clustered=True),
        IntervalMethod(kind=IntervalKind.BCA, n_resamples=999),
        IntervalMethod(kind=IntervalKind.SATTERTHWAITE, freedom=3.5, weighted=True),
    ],
)
def test_a_record_survives_a_file(how):
    content = how.as_json()
    # Workers send plain values only.
    assert all(type(value) in (str, bool, int, float) for value in content.values())
    assert IntervalMethod.from_json(json.loads(json.dumps(content))) == how


@pytest.mark.parametrize(
    "content",
    [
        None,
        "clopper-pearson",
        ["wilson"],
        {"kind": "exact"},
        {"kind": "wilson", "clustered": "no"},
        {"kind": "wilson", "more": 1},
        {"kind": "bca", "n_resamples": -1},
        {"kind": "t", "remade": "thin air"},
        {"kind": "t", "freedom": True},
        {"kind": ["wilson"]},
        {"clustered": True},
    ],
)
def test_a_record_that_is_not_whole_says_nothing(content):
    assert IntervalMethod.from_json(content) == IntervalMethod()
