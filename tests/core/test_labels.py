"""Labels of any kind are grouped by equality alone, and a missing label is not a label."""

from __future__ import annotations

import decimal
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.labels import code_labels
from pytest_pluralism.core.metrics import (
    attribute_faithfulness,
    classification_scores,
    cluster_coverage,
    overton_score,
    sided_coverage,
    steering_gain,
    worst_off_group,
)

D, R, DF = map(frozenset, ("D", "R", "DF"))


def test_sets_that_have_no_total_order_are_three_attributes():
    faithful = attribute_faithfulness([1, 0, 1, 0, 1, 0], [D, R, DF, D, R, DF])
    assert faithful.attributes == (D, R, DF)
    assert faithful.values.tolist() == [0.5, 0.5, 0.5]
    assert faithful.n_units == (2, 2, 2)


def test_sets_are_clusters():
    # D is rated 5, 5, 1 (mean 11/3 < 4), R is rated 1, 1: neither is covered at 4, one of two at 3.
    assert overton_score([5, 1, 5, 1, 1], [D, R, D, R, D]) == 0.0
    assert overton_score([5, 1, 5, 1, 1], [D, R, D, R, D], threshold=3) == 0.5


def test_sets_are_stances_and_questions():
    sides = sided_coverage([0.9, 0.1, 0.1, 0.9], [DF, D, DF, D], threshold=0.5)
    assert sides.stances == (DF, D)
    assert sides.shares.tolist() == [0.5, 0.5]
    assert cluster_coverage([5, 1, 5], ["a", "a", "a"], questions=[DF, D, DF]).tolist() == [1.0, 0.0]


def test_tuples_are_attributes():
    women, men = ("sex", "woman"), ("sex", "man")
    faithful = attribute_faithfulness([1, 0, 0], [women, men, women])
    assert faithful.attributes == (women, men)
    assert faithful.worst_attribute == men
    several = attribute_faithfulness([[1, 0, 0], [0, 1, 0]], [women, men, women])
    assert several.worst_attribute.tolist() == [men, women]
    assert steering_gain([1, 0], [0, 0], [women, men]).worst_attribute == men
    assert overton_score([[5, 1, 5]] * 2, [women, men, women]) == 0.5


def test_a_tuple_is_a_row_where_rows_fit():
    ratings = [[5, 1], [1, 5]]
    assert overton_score(ratings, (("a", "a"), ("a", "b"))) == overton_score(ratings, [["a", "a"], ["a", "b"]]) == 0.25


def test_a_number_and_its_text_are_two_labels():
    assert attribute_faithfulness([1, 0], [1, "1"]).attributes == (1, "1")
    assert overton_score([5, 1], [1, "1"]) == 0.5
    assert sided_coverage([0.9, 0.1], ["1", 1], threshold=0.5).stances == ("1", 1)
    assert worst_off_group([0.9, 0.1], ["1", 1]).group == 1
    assert classification_scores([1, "1"], ["1", "1"], labels=[1, "1"]).accuracy == 0.5


MISSING = [None, math.nan, np.float64("nan"), math.inf, np.datetime64("NaT"), decimal.Decimal("nan")]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
@pytest.mark.parametrize(
    "measure",
    [
        lambda labels: attribute_faithfulness([1, 0, 1], labels),
        lambda labels: overton_score([1, 5, 1], labels),
        lambda labels: overton_score([1, 5, 1], ["a", "a", "a"], questions=labels),
        lambda labels: sided_coverage([0.1, 0.5, 0.9], labels, threshold=0.5),
        lambda labels: worst_off_group([0.1, 0.5, 0.9], labels),
    ],
)
def test_missing_labels_are_refused_with_their_place(measure, missing):
    for labels in (["a", missing, "b"], np.array(["a", missing, "b"], dtype=object)):
        with pytest.raises(
            InvalidParameterError, match=r"^The '\w+' parameter of \w+ must be .* Got .* at index 1 inst"
        ):
            measure(labels)


def test_missing_labels_of_pandas_are_refused():
    pandas = pytest.importorskip("pandas")
    for labels in (
        ["a", pandas.NA, "b"],
        pandas.Series(["a", None, "b"]),
        pandas.Series(["a", None, "b"], dtype="string"),
        pandas.Categorical(["a", None, "b"]),
        pandas.Series(pandas.to_datetime(["2024-01-01", None, "2024-01-02"])),
    ):
        for measure in (attribute_faithfulness, overton_score, worst_off_group):
            with pytest.raises(InvalidParameterError, match="at index 1 instead"):
                measure([1, 0, 1], labels)
    whole = pandas.Categorical(["a", "b", "a"])
    assert attribute_faithfulness([1, 0, 1], whole).attributes == ("a", "b")


def test_a_missing_label_in_rows_and_behind_a_mask():
    with pytest.raises(InvalidParameterError, match=r"Got nan at index \(1, 0\) instead"):
        overton_score([[5, 1], [1, 5]], [[1.0, 2.0], [math.nan, 1.0]])
    with pytest.raises(InvalidParameterError, match="Got None at index 1 instead"):
        overton_score([5, 1], np.ma.array([1, 2], mask=[False, True]))


def test_labels_that_are_no_sequence_are_refused():
    for labels in ("ab", {"a", "b"}, {"a": 1, "b": 2}, 3):
        with pytest.raises(InvalidParameterError, match=r"one label a unit \(2\)"):
            attribute_faithfulness([1, 0], labels)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.lists(st.text("ab1", max_size=2), min_size=1),
        st.lists(st.integers(-3, 3), min_size=1),
        st.lists(st.frozensets(st.integers(0, 2)), min_size=1),
        st.lists(st.one_of(st.integers(0, 2), st.sampled_from("012"), st.tuples(st.integers(0, 1))), min_size=1),
    ),
    st.booleans(),
)
def test_codes_are_those_of_equality(labels, ordered):
    known, codes = code_labels(labels, (len(labels),), name="x", function="f", unit="a unit", ordered=ordered)
    assert [known[code] for code in codes] == labels
    assert len(set(known)) == len(known) == len(set(labels))
    if not ordered:
        assert list(known) == list(dict.fromkeys(labels))
    if all(isinstance(label, (int, str)) for label in labels) and len({type(label) for label in labels}) == 1:
        typed, same = code_labels(np.array(labels), codes.shape, name="x", function="f", unit="a unit", ordered=ordered)
        assert typed == known
        assert same.tolist() == codes.tolist()
