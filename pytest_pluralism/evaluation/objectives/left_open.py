"""Trade-offs whose answers are only known within bounds: all numbers are linear in the shares of the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.datasets.steering.trade_offs import Scenario
from pytest_pluralism.evaluation.surveys.answered import ModelDistribution
from pytest_pluralism.evaluation.surveys.left_open import linear_bounds

__all__ = ["OpenTradeOffs", "open_trade_offs", "pairs_of"]


@dataclass(frozen=True)
class OpenTradeOffs:
    """The least and the most of the numbers of a trade-off by scenario, shape (2, n_scenarios).

    Attributes
    ----------
    advantage, reward, unsteered : numpy.ndarray
        The advantage, the reward by the weightings, and that without steering.
    gains : tuple of numpy.ndarray
        For each weighting its reward over no steering.
    """

    advantage: FloatArray
    reward: FloatArray
    unsteered: FloatArray
    gains: tuple[FloatArray, ...]

    @property
    def over_unsteered(self) -> FloatArray:
        """The reward less that without steering."""
        return self.reward - self.unsteered[::-1]


def open_trade_offs(
    scenarios: Sequence[Scenario], sides: Sequence[Mapping[str, ModelDistribution]], weights: Sequence[float], /
) -> OpenTradeOffs | None:
    """Return the bounds of a trade-off; ``None`` where all answers are known.

    Parameters
    ----------
    scenarios : sequence of Scenario
        The scenarios.
    sides : sequence of mapping of str to ModelDistribution
        The answers without steering, then under every weighting.
    weights : sequence of float
        The weight of the first value in each weighting.
    """
    if not any(one.bounds for side in sides for one in side.values()):
        return None
    n = len(weights)
    each = np.array([[weight, 1.0 - weight] for weight in weights]).T
    numbers: dict[str, list[FloatArray]] = {"advantage": [], "reward": [], "unsteered": []}
    gains: list[list[FloatArray]] = [[] for _ in weights]
    for one in scenarios:
        # Axes: options, weightings.
        worth = np.asarray(one.served) @ each
        plain, *steered = (side[one.scenario_id].share_bounds for side in sides)
        elsewhere = (worth.sum(axis=1, keepdims=True) - worth) / (n - 1)
        for name, of in (("advantage", (worth - elsewhere) / n), ("reward", worth / n)):
            ends = [linear_bounds(of[:, place], bounds) for place, bounds in enumerate(steered)]
            numbers[name].append(np.sum(np.asarray(ends), axis=0))
        numbers["unsteered"].append(np.asarray(linear_bounds(worth.mean(axis=1), plain)))
        for place, bounds in enumerate(steered):
            low, high = linear_bounds(worth[:, place], bounds)
            least, most = linear_bounds(worth[:, place], plain)
            gains[place].append(np.array([low - most, high - least]))
    found = {name: np.array(ends).T for name, ends in numbers.items()}
    return OpenTradeOffs(**found, gains=tuple(np.array(ends).T for ends in gains))


def pairs_of(ends: FloatArray, /) -> list[tuple[float, float]]:
    """Return bounds of shape (2, n) as pairs."""
    return [(float(low), float(high)) for low, high in ends.T]
