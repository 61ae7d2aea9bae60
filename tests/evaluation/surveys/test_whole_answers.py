"""From likelihoods of whole answers to shares: against scipy's softmax, and what cannot be compared."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import FullAnswerScores
from pytest_pluralism.evaluation.surveys.whole_answers import distributions

likelihoods = st.lists(st.floats(-2000, 0), min_size=2, max_size=30)


def scores(values, neutral=None, sizes=None):
    n = len(values)
    return FullAnswerScores(tuple(values), tuple(neutral or [-2.0] * n), (1,) * n, tuple(sizes or range(1, n + 1)))


@settings(max_examples=50, deadline=None)
@given(likelihoods)
def test_shares_are_softmaxes(values):
    found, sizes = scores(values), np.arange(1, len(values) + 1)
    assert distributions([found], "sum") == pytest.approx(softmax(values))
    assert distributions([found], "per_byte") == pytest.approx(softmax(np.array(values) / sizes * sizes.mean()))
    # A neutral prompt that favours no answer takes nothing off.
    assert distributions([found], "pmi") == pytest.approx(softmax(values))


def test_repetitions_count_the_same():
    shares = distributions([scores([-1.0, -900.0]), scores([-5.0, -5.0])], "sum")
    assert shares.tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("scoring", ["sum", "per_byte", "pmi"])
@pytest.mark.parametrize("values", [(-math.inf, -math.inf), (math.nan, -1.0)])
def test_what_has_no_likelihood_is_an_error(scoring, values):
    with pytest.raises(InvalidParameterError, match=r"nothing can be compared\. Inspect the model's logits"):
        distributions([scores(values)], scoring)


def test_an_impossible_answer_has_no_share():
    assert distributions([scores([-math.inf, -1.0])], "sum").tolist() == [0.0, 1.0]
