"""The error rates of a judge, measured on texts whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_number

__all__ = ["JudgeCalibration"]


@dataclass(frozen=True)
class JudgeCalibration:
    """The errors of an entailment model at one threshold, on pairs of which people know whether they entail.

    Attributes
    ----------
    sensitivity : float
        The share of entailing pairs that the judge finds, in [0, 1].
    specificity : float
        The share of other pairs that it does not take for entailing, in [0, 1].
    threshold : float
        The probability from which a pair counts as entailing, in (0, 1].
    n_entailing, n_other : int
        The pairs that the two shares come from, at least 1 each.
    data : str
        The name of the pairs.
    data_sha256 : str
        The hash of their file.
    model_sha256 : str
        The hash of the model that was measured, as :class:`~pytest_pluralism.models.protocol.ModelIdentity` has it;
        empty where nobody wrote it down.
    sensitivity_error, specificity_error : float, optional
        The standard errors of the two shares, where they allow for pairs that belong together (those of one claim);
        without them every pair counts as one of its own.

    opposing_credit, other_credit : float, optional
        The shares of the answers of the opposing side, and of another query, that it finds in responses which hold none
        of them.
    bend, bend_error : float, optional
        By how much more the judge finds than the line between its ends of responses that hold a half of their answers,
        and the standard error of that: each answer that is said may be taken for one that is not. Without it the line
        is taken.

    Raises
    ------
    InvalidParameterError
        If a number is out of its range, the judge is not better than chance, or it finds less where more is held.

    Examples
    --------
    >>> round(JudgeCalibration(0.9, 0.95, 0.5, 200, 300, "pairs", "ab").power, 3)
    0.85
    """

    sensitivity: float
    specificity: float
    threshold: float
    n_entailing: int
    n_other: int
    data: str
    data_sha256: str
    model_sha256: str = ""
    sensitivity_error: float | None = None
    specificity_error: float | None = None
    opposing_credit: float | None = None
    other_credit: float | None = None
    bend: float | None = None
    bend_error: float | None = None

    def __post_init__(self) -> None:
        for name in ("sensitivity", "specificity", "threshold"):
            value = getattr(self, name)
            lowest = 0.0 if name != "threshold" else 1e-300
            if not is_number(value) or not lowest <= value <= 1.0:
                must = "a float in (0, 1]" if name == "threshold" else "a float in [0, 1]"
                raise invalid_parameter(name, "JudgeCalibration", must, repr(value)[:80])
        for name in ("n_entailing", "n_other"):
            value = getattr(self, name)
            if not isinstance(value, int) or not is_number(value) or value < 1:
                raise invalid_parameter(name, "JudgeCalibration", "an integer of at least 1", repr(value)[:80])
        for name in ("data", "data_sha256", "model_sha256"):
            if not isinstance(getattr(self, name), str):
                raise invalid_parameter(name, "JudgeCalibration", "a str", repr(getattr(self, name))[:80])
        for name in ("sensitivity_error", "specificity_error", "bend_error"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or not 0.0 <= value <= 0.5):
                raise invalid_parameter(name, "JudgeCalibration", "a float in [0, 0.5] or None", repr(value)[:80])
        for name in ("opposing_credit", "other_credit"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or not 0.0 <= value <= 1.0):
                raise invalid_parameter(name, "JudgeCalibration", "a float in [0, 1] or None", repr(value)[:80])
        if self.bend is not None and not is_number(self.bend):
            raise invalid_parameter("bend", "JudgeCalibration", "a finite float or None", repr(self.bend)[:80])
        if self.power <= 0.0:
            raise InvalidParameterError(
                f"A judge with a sensitivity of {self.sensitivity:g} and a specificity of {self.specificity:g} is not "
                "better than chance, so that nothing can be corrected by it. Use another judge, or another threshold."
            )

        if self.power <= 4.0 * abs(self.bend or 0.0):
            raise invalid_parameter(
                "bend",
                "JudgeCalibration",
                f"within a quarter of sensitivity + specificity - 1, {self.power / 4.0:g}",
                f"{self.bend:g}, so that it finds less where more is held",
            )

    @property
    def power(self) -> float:
        """Youden's index, by which errors shrink every change: sensitivity + specificity - 1, in (0, 1]."""
        return self.sensitivity + self.specificity - 1.0

    @property
    def variances(self) -> tuple[float, float]:
        """The variances of sensitivity and specificity.

        They come from the given standard errors, but are at least those of shares that count one more pair, half of
        them found.
        """
        return (
            _variance(self.sensitivity, self.n_entailing, self.sensitivity_error),
            _variance(self.specificity, self.n_other, self.specificity_error),
        )


def _variance(share: float, n: int, error: float | None) -> float:
    counted = (share * n + 0.5) / (n + 1.0)
    return max(counted * (1.0 - counted) / (n + 1), (error or 0.0) ** 2)
