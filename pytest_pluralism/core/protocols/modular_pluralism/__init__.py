"""The evaluations of Modular Pluralism: from recorded token probabilities, outputs and entailments to its numbers.

Feng et al., "Modular Pluralism: Pluralistic Alignment via Multi-LLM Collaboration", EMNLP 2024. arXiv:2406.15951

Three evaluations: the distribution of answers (GlobalOpinionQA, OpinionQA, MoralChoice), steering (Value Kaleidoscope)
and the values that a response covers (Overton).
"""

from __future__ import annotations

from pytest_pluralism.core.protocols.modular_pluralism.distributions import (
    DistributionNumbers,
    DistributionQuestion,
    DistributionQuirks,
    distribution_quirk_table,
    evaluate_distributions,
    option_probabilities,
    prompt,
)
from pytest_pluralism.core.protocols.modular_pluralism.overton import (
    OvertonNumbers,
    OvertonQuirks,
    OvertonSituation,
    evaluate_overton,
    overton_quirk_table,
)
from pytest_pluralism.core.protocols.modular_pluralism.steering import (
    SteeringNumbers,
    SteeringQuirks,
    evaluate_steering,
    parse_steering_answer,
    steering_quirk_table,
)

__all__ = [
    "DistributionNumbers",
    "DistributionQuestion",
    "DistributionQuirks",
    "OvertonNumbers",
    "OvertonQuirks",
    "OvertonSituation",
    "SteeringNumbers",
    "SteeringQuirks",
    "distribution_quirk_table",
    "evaluate_distributions",
    "evaluate_overton",
    "evaluate_steering",
    "option_probabilities",
    "overton_quirk_table",
    "parse_steering_answer",
    "prompt",
    "steering_quirk_table",
]
