"""Judges of whether a text holds an argument, as formulas on what an entailment model and an encoder say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_pluralism.core.cues import CUES
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records import EntailmentScores

__all__ = ["FEATURES", "JUDGES", "CombinedJudge", "features_of"]

#: The judges that need no file of their own: a premise entails an argument, is entailed by it, the mean of both
#: probabilities, and a logistic regression on all that is known of the pair.
JUDGES = ("forward", "backward", "both", "combined")

#: The features of the combined judge.
FEATURES = ("entails", "contradicts", "entailed", "contradicted", "similarity", "lead", "similar_lead", *CUES)


def features_of(
    said: str,
    argument: str,
    forward: EntailmentScores,
    backward: EntailmentScores,
    similarity: float,
    others: float | None,
    /,
) -> dict[str, float]:
    """Return what the combined judge looks at, by name.

    Parameters
    ----------
    said, argument : str
        A part of a response, and an argument.
    forward, backward : EntailmentScores
        How far the part entails the argument, and the argument the part, by a model that knows three classes.
    similarity : float
        The cosine of the two texts.
    others : float or None
        The largest cosine of the part and another answer of the same window: a part that says another answer rather
        than this one is about as like this one, because both are about one topic. ``None`` where there is no other.

    Raises
    ------
    InvalidParameterError
        The model knows two classes.

    Examples
    --------
    >>> even = EntailmentScores(0.3, 0.4, 0.3)
    >>> found = features_of("It is false that taxes help.", "Taxes help.", even, even, 0.75, 0.25)
    >>> found["denial"], found["turned"], found["question"], found["lead"]
    (1.0, 1.0, 0.0, 0.5)
    """
    if forward.contradiction is None or backward.contradiction is None:
        must = "the scores of a model that knows entailment, neutral and contradiction"
        raise invalid_parameter("forward", "features_of", must, "those of one that knows entailment alone")
    lead = 0.0 if others is None else similarity - others
    return {
        "entails": forward.entailment,
        "contradicts": forward.contradiction,
        "entailed": backward.entailment,
        "contradicted": backward.contradiction,
        "similarity": similarity,
        "lead": lead,
        # A lead among texts that are all unlike the part is chance.
        "similar_lead": similarity * lead,
        **{name: float(cue(said, argument)) for name, cue in CUES.items()},
    }


@dataclass(frozen=True)
class CombinedJudge:
    r"""A logistic regression on what is known of a part of a response and an argument.

    .. math:: P = \frac{1}{1 + \exp(-(b + \sum_k w_k x_k))}

    Attributes
    ----------
    intercept : float
        :math:`b`.
    weights : mapping of str to float
        :math:`w_k` by the name of the feature; a feature without a weight is not looked at.
    least_similarity : float
        An answer of which no text is more like the part is not held by it, and the entailment model is not asked.

    Raises
    ------
    InvalidParameterError
        A number is not finite, or a feature is unknown.

    Examples
    --------
    >>> judge = CombinedJudge(-2.0, {"similarity": 4.0, "denial": -3.0})
    >>> sure = EntailmentScores(0.9, 0.1, 0.0)
    >>> round(judge.probability("Taxes help.", "Taxes are of use.", sure, sure, 0.8, 0.3), 3)
    0.769
    >>> round(judge.probability("It is false that taxes help.", "Taxes are of use.", sure, sure, 0.8, 0.3), 3)
    0.142
    """

    intercept: float
    weights: Mapping[str, float]
    least_similarity: float = 0.0

    def __post_init__(self) -> None:
        numbers = {"intercept": self.intercept, "least_similarity": self.least_similarity, **self.weights}
        for name, value in numbers.items():
            if not is_number(value):
                raise invalid_parameter(name, "CombinedJudge", "a finite number", repr(value)[:80])
        unknown = sorted(self.weights.keys() - set(FEATURES))
        if unknown:
            must = "weights of " + ", ".join(map(repr, FEATURES))
            raise invalid_parameter("weights", "CombinedJudge", must, f"the unknown {unknown[0]!r}")

    def probability(
        self,
        said: str,
        argument: str,
        forward: EntailmentScores,
        backward: EntailmentScores,
        similarity: float,
        others: float | None,
        /,
    ) -> float:
        """Return the probability that a part of a response holds an argument; as for :func:`features_of`."""
        if similarity < self.least_similarity:
            return 0.0
        found = features_of(said, argument, forward, backward, similarity, others)
        total = self.intercept + sum(weight * found[name] for name, weight in self.weights.items())
        return 1.0 / (1.0 + math.exp(-min(max(total, -700.0), 700.0)))
