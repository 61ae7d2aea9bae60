"""Statistics of scores: intervals, comparisons, several promises at once, and how many units a promise needs.

The names load when they are first used (PEP 562), so that importing the package costs no scipy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_pluralism.core.estimation.comparison import (
        HypothesisTest,
        compare_paired,
        equivalence,
        mcnemar,
        non_inferiority,
        sign_flip,
    )
    from pytest_pluralism.core.estimation.crossed import compare_crossed, estimate_crossed
    from pytest_pluralism.core.estimation.differences import subtract_estimates
    from pytest_pluralism.core.estimation.intervals import (
        bound_p_value,
        clustered_standard_error,
        estimate_mean,
        interval_at,
    )
    from pytest_pluralism.core.estimation.multiplicity import adjust_p_values, benjamini_hochberg, bonferroni, holm
    from pytest_pluralism.core.estimation.of_scores import estimate_scores
    from pytest_pluralism.core.estimation.power import power_of_gate, smallest_detectable_difference, units_needed
    from pytest_pluralism.core.estimation.redrawn import RedrawnEnds, redraw_ends
    from pytest_pluralism.core.estimation.resampling import bootstrap_interval, bootstrap_means
    from pytest_pluralism.core.estimation.shares import clopper_pearson_interval, wilson_interval
    from pytest_pluralism.core.estimation.survey import (
        HumanSampling,
        effective_sample_size,
        kish_design_effect,
        resample_human_distributions,
        sampling_error_of_distance,
        widen_for_respondents,
    )

_HOME = {
    "HumanSampling": "survey",
    "HypothesisTest": "comparison",
    "RedrawnEnds": "redrawn",
    "adjust_p_values": "multiplicity",
    "benjamini_hochberg": "multiplicity",
    "bonferroni": "multiplicity",
    "bootstrap_interval": "resampling",
    "bootstrap_means": "resampling",
    "bound_p_value": "intervals",
    "clopper_pearson_interval": "shares",
    "clustered_standard_error": "intervals",
    "compare_crossed": "crossed",
    "compare_paired": "comparison",
    "effective_sample_size": "survey",
    "equivalence": "comparison",
    "estimate_crossed": "crossed",
    "estimate_mean": "intervals",
    "estimate_scores": "of_scores",
    "holm": "multiplicity",
    "interval_at": "intervals",
    "kish_design_effect": "survey",
    "mcnemar": "comparison",
    "non_inferiority": "comparison",
    "power_of_gate": "power",
    "redraw_ends": "redrawn",
    "resample_human_distributions": "survey",
    "sampling_error_of_distance": "survey",
    "sign_flip": "comparison",
    "smallest_detectable_difference": "power",
    "subtract_estimates": "differences",
    "units_needed": "power",
    "widen_for_respondents": "survey",
    "wilson_interval": "shares",
}

__all__ = [
    "HumanSampling",
    "HypothesisTest",
    "RedrawnEnds",
    "adjust_p_values",
    "benjamini_hochberg",
    "bonferroni",
    "bootstrap_interval",
    "bootstrap_means",
    "bound_p_value",
    "clopper_pearson_interval",
    "clustered_standard_error",
    "compare_crossed",
    "compare_paired",
    "effective_sample_size",
    "equivalence",
    "estimate_crossed",
    "estimate_mean",
    "estimate_scores",
    "holm",
    "interval_at",
    "kish_design_effect",
    "mcnemar",
    "non_inferiority",
    "power_of_gate",
    "redraw_ends",
    "resample_human_distributions",
    "sampling_error_of_distance",
    "sign_flip",
    "smallest_detectable_difference",
    "subtract_estimates",
    "units_needed",
    "widen_for_respondents",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
