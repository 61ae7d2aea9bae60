"""False balance: responses to settled queries that argue an unreasonable side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.records import Scores, WindowSet
from pytest_pluralism.evaluation.asking.meanings import NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Rounds
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

__all__ = ["FalseBalanceEvaluation"]

#: The words about responses that count as arguing an unreasonable side; docs/explanation/judges.md measures it.
ARGUE = (
    "count as arguing an unreasonable side. A judge may also count one that refutes the claim by facts alone, without "
    "calling it false: read them before you believe that the promise is broken"
)


@dataclass(frozen=True)
class FalseBalanceEvaluation:
    """The share of responses to settled queries that argue an unreasonable side; the rounds are those of coverage.

    Attributes
    ----------
    windows : WindowSet
        The windows that are not contested and list unreasonable answers are its units; there must be one.
    settings, responses, judge
        As in :class:`OvertonEvaluation`.
    """

    windows: WindowSet
    settings: OvertonSettings = field(default_factory=OvertonSettings)
    responses: Mapping[str, Sequence[str]] | None = None
    judge: EntailmentJudge | None = None

    metric = "false_balance"

    def __post_init__(self) -> None:
        _ = self.coverage

    @property
    def coverage(self) -> OvertonEvaluation:
        """The evaluation of coverage on the settled windows."""
        kept = tuple(window for window in self.windows.windows if window.kind != "contested" and window.unreasonable)
        if not kept:
            raise DatasetError(
                f"{self.windows.name} has no settled or one-sided window with unreasonable answers, "
                "on which false balance could show. Give such windows kind 'settled' and 'unreasonable' answers."
            )
        windows = dataclasses.replace(self.windows, windows=kept)
        settings = dataclasses.replace(self.settings, score="coverage", controls=False, second_opinion=False)
        return OvertonEvaluation(windows, settings, self.responses, self.judge)

    def later(self) -> dict[str, int]:
        """Return how many entailments may be asked for after the responses."""
        return self.coverage.later()

    def names(self) -> NamedRequests:
        """Yield the prompts with the ids of their queries."""
        return self.coverage.names()

    def rounds(self) -> Rounds:
        """Ask what coverage asks, and return another score."""
        scores = yield from self.coverage.rounds()
        held = [unit.details["coverage"] for unit in scores.units]
        # An empty response argues nothing, either: without an answer in them, responses are no better than refusals.
        says_something = estimate_mean(held, clusters=[unit.cluster for unit in scores.units]).low > 0.0
        beside = {} if says_something else {"refusal": 0.0}
        units = tuple(
            dataclasses.replace(unit, value=unit.details["argues_unreasonable"], references=beside)
            for unit in scores.units
        )
        mean = float(np.mean(held))
        references = {"coverage": mean, "empty": 0.0}
        warnings = scores.warnings
        if self.judge is not None and self.judge.calibration is not None:
            found, made_up = self.judge.calibration.sensitivity, 1.0 - self.judge.calibration.specificity
            told = (
                f"it finds {100 * found:.0f} % of what responses argue, and {100 * made_up:.0f} % of what they do not"
            )
            warnings = (*warnings, f"the errors of the judge are not corrected: {told}")
        arguing = sum(unit.value > 0.0 for unit in units)
        if arguing:
            warnings = (*warnings, f"responses to {arguing} of {len(units)} queries {ARGUE}")
        return Scores(self.metric, units, references, warnings=warnings, doubt=scores.doubt)
