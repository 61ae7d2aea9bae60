"""Every measure of the package, under one roof: pure functions on arrays.

Names load when they are first used, so that one measure does not import the needs of all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_pluralism.core.metrics.distributional import (
        BrierDecomposition,
        PopulationFidelity,
        TetrachoricCorrelation,
        brier_decomposition,
        brier_score,
        calibration_error,
        entropy,
        entropy_ratio,
        jensen_shannon_distance,
        jensen_shannon_divergence,
        kullback_leibler_divergence,
        mode_agreement,
        opinion_alignment,
        option_order_bias,
        population_fidelity_score,
        sampling_floor,
        shuffle_control,
        tetrachoric_correlation,
        total_variation_distance,
        wasserstein_distance,
    )
    from pytest_pluralism.core.metrics.multi_objective import (
        LinearCommensuration,
        SingleObjective,
        commensurate,
        diagonal_dominance,
        hypervolume,
        is_pareto_improvement,
        pareto_front,
        pareto_ranks,
        summed_reward,
        trade_off_matrix,
        trade_off_regret,
    )
    from pytest_pluralism.core.metrics.overton import (
        SidedCoverage,
        WindowScores,
        cluster_coverage,
        coverage,
        false_balance,
        overton_score,
        pairwise_win_rate,
        sided_coverage,
        soft_coverage,
        window_precision_recall_f1,
    )

#: Which module is the home of which names.
_HOMES = {
    "distributional": (
        "BrierDecomposition",
        "PopulationFidelity",
        "TetrachoricCorrelation",
        "brier_decomposition",
        "brier_score",
        "calibration_error",
        "entropy",
        "entropy_ratio",
        "jensen_shannon_distance",
        "jensen_shannon_divergence",
        "kullback_leibler_divergence",
        "mode_agreement",
        "opinion_alignment",
        "option_order_bias",
        "population_fidelity_score",
        "sampling_floor",
        "shuffle_control",
        "tetrachoric_correlation",
        "total_variation_distance",
        "wasserstein_distance",
    ),
    "jury": (
        "maximal_lottery",
        "satisfied_share",
        "welfare",
    ),
    "multi_objective": (
        "LinearCommensuration",
        "SingleObjective",
        "commensurate",
        "diagonal_dominance",
        "hypervolume",
        "is_pareto_improvement",
        "pareto_front",
        "pareto_ranks",
        "summed_reward",
        "trade_off_matrix",
        "trade_off_regret",
    ),
    "overton": (
        "SidedCoverage",
        "WindowScores",
        "cluster_coverage",
        "coverage",
        "false_balance",
        "overton_score",
        "pairwise_win_rate",
        "sided_coverage",
        "soft_coverage",
        "window_precision_recall_f1",
    ),
    "steerable": ("classification_scores",),
}

__all__ = [
    "BrierDecomposition",
    "LinearCommensuration",
    "PopulationFidelity",
    "SidedCoverage",
    "SingleObjective",
    "TetrachoricCorrelation",
    "WindowScores",
    "brier_decomposition",
    "brier_score",
    "calibration_error",
    "classification_scores",
    "cluster_coverage",
    "commensurate",
    "coverage",
    "diagonal_dominance",
    "entropy",
    "entropy_ratio",
    "false_balance",
    "hypervolume",
    "is_pareto_improvement",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "kullback_leibler_divergence",
    "maximal_lottery",
    "mode_agreement",
    "opinion_alignment",
    "option_order_bias",
    "overton_score",
    "pairwise_win_rate",
    "pareto_front",
    "pareto_ranks",
    "population_fidelity_score",
    "sampling_floor",
    "satisfied_share",
    "shuffle_control",
    "sided_coverage",
    "soft_coverage",
    "summed_reward",
    "tetrachoric_correlation",
    "total_variation_distance",
    "trade_off_matrix",
    "trade_off_regret",
    "wasserstein_distance",
    "welfare",
    "window_precision_recall_f1",
]

_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
