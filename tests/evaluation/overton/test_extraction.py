"""Matching claims with answers, against trying every matching."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.evaluation.overton.extraction import match_claims

MATRICES = hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.floats(0, 1))


@given(MATRICES, st.sampled_from([0.2, 0.5, 0.9]))
def test_no_matching_is_better(matrix: np.ndarray, threshold: float) -> None:
    matrix.setflags(write=False)
    found = match_claims(matrix, threshold=threshold)
    worth = sum(matrix[pair] for pair in found.pairs)
    n_claims, n_answers = matrix.shape
    best = 0.0
    for chosen in permutations([*range(n_answers), *[None] * n_claims], n_claims):
        values = [matrix[claim, answer] for claim, answer in enumerate(chosen) if answer is not None]
        best = max(best, sum(value for value in values if value >= threshold))
    assert worth == pytest.approx(best)
    assert all(matrix[pair] >= threshold for pair in found.pairs)
    assert len({answer for _, answer in found.pairs}) == len(found.pairs) == len({claim for claim, _ in found.pairs})
    assert len(found.unmatched_claims) == n_claims - len(found.pairs)
    assert len(found.unmatched_answers) == n_answers - len(found.pairs)


def test_nothing_to_match() -> None:
    found = match_claims(np.zeros((0, 2)), threshold=0.5)
    assert (found.pairs, found.unmatched_claims, found.unmatched_answers) == ((), (), (0, 1))
    with pytest.raises(InvalidParameterError, match="probabilities of shape"):
        match_claims([0.5], threshold=0.5)
    with pytest.raises(InvalidParameterError, match="probabilities of shape"):
        match_claims([[1.5]], threshold=0.5)
    with pytest.raises(InvalidParameterError, match="'threshold'"):
        match_claims([[0.5]], threshold=2)
