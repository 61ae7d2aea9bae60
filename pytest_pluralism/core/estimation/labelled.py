"""The errors of a judge, from what people said of a sample of what it judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records.calibration import JudgeCalibration

__all__ = ["Label", "calibrate_from_labels"]

#: Resamples of clusters for the standard errors.
RESAMPLES = 1000


@dataclass(frozen=True)
class Label:
    """The word of a person on one response and one answer.

    Attributes
    ----------
    score : float
        The probability that the judge gave.
    held : bool
        Whether the response holds the answer, by the person.
    weight : float
        How many responses and answers it stands for: one over the chance that it was drawn.
    cluster : str
        The query: labels of one query belong together.
    """

    score: float
    held: bool
    weight: float
    cluster: str


def calibrate_from_labels(
    labels: Sequence[Label], /, *, threshold: float, data: str, data_sha256: str, model_sha256: str = "", seed: int = 0
) -> JudgeCalibration:
    r"""Return the errors of a judge at its threshold, from labels of a sample with known chances.

    .. math:: \text{se} = \frac{\sum_i w_i y_i [s_i \ge t]}{\sum_i w_i y_i}, \qquad
        \text{sp} = \frac{\sum_i w_i (1 - y_i) [s_i < t]}{\sum_i w_i (1 - y_i)}

    Parameters
    ----------
    labels : sequence of Label
        At least one of each kind.
    threshold : float
        The threshold :math:`t`, in (0, 1].
    data, data_sha256, model_sha256 : str
        As for :class:`~pytest_pluralism.core.records.calibration.JudgeCalibration`.
    seed : int
        Draws the resamples of clusters, from which the standard errors come.

    Returns
    -------
    JudgeCalibration
        ``n_entailing`` and ``n_other`` are numbers of labels.

    Raises
    ------
    InvalidParameterError
        Nobody labelled a held answer, or one that is not held; or the judge is not better than chance.

    Examples
    --------
    >>> labels = [Label(0.9, True, 1.0, "a"), Label(0.2, True, 1.0, "b"), Label(0.1, False, 2.0, "c")]
    >>> found = calibrate_from_labels(labels, threshold=0.5, data="ours", data_sha256="ab")
    >>> found.sensitivity, found.specificity
    (0.5, 1.0)
    """
    held = np.array([label.held for label in labels], dtype=bool)
    if not held.any() or held.all():
        kind = "not held" if held.any() else "held"
        raise InvalidParameterError(
            f"None of the {len(labels)} labels says that an answer is {kind}, so that the errors of the judge on such "
            "answers are not known. Label more."
        )
    found = np.array([label.score >= threshold for label in labels])
    weights = np.array([label.weight for label in labels], dtype=np.float64)

    def rates(times: np.ndarray) -> tuple[float, float]:
        counted = weights * times
        of_held, of_others = counted[held].sum(), counted[~held].sum()
        return (
            float((counted * found)[held].sum() / of_held) if of_held else math.nan,
            float((counted * ~found)[~held].sum() / of_others) if of_others else math.nan,
        )

    names = sorted({label.cluster for label in labels})
    places = np.array([names.index(label.cluster) for label in labels])
    generator = np.random.default_rng(seed)
    drawn = [
        rates(np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))[places])
        for _ in range(RESAMPLES)
    ]
    errors = np.nanstd(np.array(drawn), axis=0)
    sensitivity, specificity = rates(np.ones(len(labels)))
    return JudgeCalibration(
        sensitivity=sensitivity,
        specificity=specificity,
        threshold=threshold,
        n_entailing=int(held.sum()),
        n_other=int((~held).sum()),
        data=data,
        data_sha256=data_sha256,
        model_sha256=model_sha256,
        sensitivity_error=min(float(errors[0]), 0.5),
        specificity_error=min(float(errors[1]), 0.5),
    )
