"""A change of coverage told apart from the length of responses."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_pluralism.core.estimation.lengths import change_by_length

QUERIES = [f"q{number}" for number in range(40)]
CLUSTERS = {name: name for name in QUERIES}


def curve(sentences: list[bool], n_answers: int) -> list[list[float]]:
    """Return the curve of a response of ten-word sentences, each of which holds a new answer or none."""
    found, held = [[0.0, 0.0]], 0
    for at, holds in enumerate(sentences, start=1):
        held += holds
        found.append([10.0 * at, held / n_answers])
    return [*found, [10.0 * len(sentences), held / n_answers]]


def drawn(rng: np.random.Generator, n: int, chance: float) -> dict[str, list[list[list[float]]]]:
    return {name: [curve([bool(rng.random() < chance) for _ in range(n)], 10) for _ in range(4)] for name in QUERIES}


@pytest.mark.whole
def test_a_model_that_only_says_less_has_no_change_at_equal_length() -> None:
    rng = np.random.default_rng(5)
    misses = 0
    for _ in range(40):
        then, now = drawn(rng, 9, 0.6), drawn(rng, 5, 0.6)
        found = change_by_length(now, then, clusters=CLUSTERS)
        assert found.by_length.high < -0.15
        misses += not found.at_equal_length.low <= 0.0 <= found.at_equal_length.high
        assert (found.words_now, found.words_then) == (50.0, 90.0)
    assert misses <= 6


def test_a_model_that_says_as_much_and_less_of_it_has_all_of_its_change_at_equal_length() -> None:
    rng = np.random.default_rng(6)
    found = change_by_length(drawn(rng, 8, 0.4), drawn(rng, 8, 0.7), clusters=CLUSTERS)
    assert found.at_equal_length.value == pytest.approx(-0.24, abs=0.04)
    assert found.by_length.value == found.by_length.high == 0.0


def test_the_two_parts_add_up_and_carry_what_is_not_known_of_the_judge() -> None:
    rng = np.random.default_rng(7)
    then, now = drawn(rng, 9, 0.6), drawn(rng, 6, 0.5)
    found = change_by_length(now, then, clusters=CLUSTERS)
    whole = np.mean([np.mean([c[-1][1] for c in now[q]]) - np.mean([c[-1][1] for c in then[q]]) for q in QUERIES])
    assert found.at_equal_length.value + found.by_length.value == pytest.approx(whole)
    unsure = change_by_length(now, then, clusters=CLUSTERS, relative_variance=0.04)
    assert unsure.by_length.standard_error**2 - found.by_length.standard_error**2 == pytest.approx(
        0.04 * found.by_length.value**2
    )
