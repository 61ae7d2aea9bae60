"""Comparing several responses, or several systems, before one jury: bridging, leximin, lotteries and consensus."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.metrics.bridging import BridgingFit, bridging_intercepts
from pytest_pluralism.core.metrics.jury import leximin_compare
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, group_means, juror_means, query_welfare
from pytest_pluralism.core.metrics.voting import maximal_lottery, pairwise_preferences
from pytest_pluralism.core.parameters import FloatArray, IntArray
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.jurors import JurorUtilities

__all__ = [
    "Consensus",
    "bridging_of_responses",
    "compare_systems",
    "consensus",
    "response_lottery",
    "system_lottery",
]


#: Human statements with fewer votes are not compared with: the best of many of them would be one by chance.
LEAST_VOTES_OF_A_STATEMENT = 20


def bridging_of_responses(
    panel: Panel, /, *, jurors: Sequence[int] | IntArray | None = None, **settings: Any
) -> BridgingFit:
    """Return the bridging scores of the recorded responses: approval beyond what shared viewpoints explain.

    Parameters
    ----------
    panel : Panel
        With votes; their place on the scale, from 0 for the worst to 1 for the best, is the rating.
    jurors : sequence of int, optional
        The places of the jurors who count, some of them perhaps more than once; by default each once.
    **settings
        Of :func:`~pytest_pluralism.core.metrics.bridging_intercepts`.

    Returns
    -------
    BridgingFit
        One score a response, in the order of ``panel.responses``.
    """
    matrix = np.full((len(panel.jurors), len(panel.responses)), np.nan)
    share = (panel.vote_values - panel.scale.lowest) / (panel.scale.highest - panel.scale.lowest)
    if not panel.scale.higher_is_better:
        share = 1.0 - share
    matrix[panel.vote_jurors, panel.vote_responses] = np.clip(share, 0.0, 1.0)
    return bridging_intercepts(matrix if jurors is None else matrix[np.asarray(jurors, dtype=np.intp)], **settings)


def _means_of(systems: Mapping[str, JuryTable], function: str) -> tuple[FloatArray, FloatArray]:
    """Return the means of the jurors who count and judged what every system gives, and their weights."""
    if not isinstance(systems, Mapping) or not all(isinstance(table, JuryTable) for table in systems.values()):
        raise invalid_parameter("systems", function, "a mapping from names to tables of a jury", repr(systems)[:60])
    if len(systems) < 2:
        raise invalid_parameter("systems", function, "a mapping of at least two systems", repr(list(systems)))
    sizes = {(len(table.weights), table.n_queries) for table in systems.values()}
    if len(sizes) > 1:
        raise invalid_parameter("systems", function, "tables of the same jurors and queries", f"{sorted(sizes)}")
    means = np.stack([juror_means(table) for table in systems.values()])
    weights = next(iter(systems.values())).weights
    kept = np.isfinite(means).all(axis=0) & (weights > 0.0)
    if not kept.any():
        raise InvalidParameterError("No juror judged what every system gives, so that nothing can be compared.")
    return means[:, kept], weights[kept]


def system_lottery(systems: Mapping[str, JuryTable], /) -> dict[str, float]:
    """Return the maximal lottery over systems: the mixture that no system beats in expectation.

    Each juror prefers the system with the higher own mean utility, so that only the order of each juror's own utilities
    counts and nobody's are compared with another's.

    Parameters
    ----------
    systems : mapping from str to JuryTable
        The same jurors and queries under each system; jurors who did not judge all of them are left out.

    Returns
    -------
    dict
        Probabilities; 1 for a system that a majority prefers to every other.

    References
    ----------
    Fishburn 1984, doi:10.2307/2297786; Swamy et al. 2024, arXiv:2401.04056.
    """
    means, weights = _means_of(systems, "system_lottery")
    mass = weights / weights.sum()
    preferences = (0.5 + 0.5 * np.asarray(compare(means[:, None, :], means[None, :, :]))) @ mass
    # Shares that sum to 1 up to rounding may leave [0, 1] by as much.
    preferences = np.clip(0.5 + 0.5 * (preferences - preferences.T), 0.0, 1.0)
    lottery = maximal_lottery(preferences)
    return {name: float(share) for name, share in zip(systems, lottery, strict=True)}


def response_lottery(panel: Panel, query_id: str, /) -> dict[str, float]:
    """Return the maximal lottery over the recorded responses to one query: the mixture that no response beats.

    Each juror prefers the response with the higher own vote, so that the scale may be ordinal; a pair of responses is
    decided by those who judged both.

    Parameters
    ----------
    panel : Panel
        With votes.
    query_id : str
        The query.

    Returns
    -------
    dict
        A probability for each response that somebody judged.

    Raises
    ------
    InvalidParameterError
        If the query is unknown, or nobody judged both responses of some pair.

    References
    ----------
    Fishburn 1984, doi:10.2307/2297786; Swamy et al. 2024, arXiv:2401.04056.
    """
    part = panel.select(queries=[query_id])
    matrix = part.matrix()
    judged = np.asarray(np.isfinite(matrix).any(axis=0))
    counts = part.weights
    preferences = pairwise_preferences(-matrix[:, judged], counts=counts, missing="omit")
    names = [one.response_id for one, kept in zip(part.responses, judged.tolist(), strict=True) if kept]
    return {name: float(share) for name, share in zip(names, maximal_lottery(preferences), strict=True)}


def compare_systems(first: JuryTable, second: JuryTable, /) -> int:
    """Return which of two systems leximin prefers: 1 the first, -1 the second, 0 neither.

    The worst-off juror decides, among equals the next; by the jurors' mean utilities over all queries. A juror of
    weight 0 has no voice; among the others each is one, whatever the weight, since leximin asks who, and not how many.
    """
    means, _ = _means_of({"first": first, "second": second}, "compare_systems")
    found = leximin_compare(means[0], means[1])
    return int(found)


# ------------------------------------------------------------------------------------------------------ consensus


@dataclass(frozen=True)
class Consensus:
    """A model's statement beside the statements of people.

    Attributes
    ----------
    statement : str
        The text of the model.
    welfare, satisfied : Estimate
        Its estimated welfare, and the estimated share of jurors who agree, over the draws of the estimated jurors:
        what is uncertain here is how the people of the conversation would vote.
    by_group : mapping
        Its estimated welfare in each group.
    best : str
        The human statement with the highest recorded welfare among those with enough votes.
    best_welfare, best_satisfied : float
        Of the best human statement, by recorded votes.
    rank, n_statements : int
        The place of the model's statement among the human ones by welfare (1 is best), and how many these are.
    more_satisfied : float
        The probability, over the draws, that more jurors agree with the model's statement than with the best human
        one: this needs only who agrees, so that it is safe on an ordinal scale.
    """

    statement: str
    welfare: Estimate
    satisfied: Estimate
    by_group: Mapping[str, float]
    best: str
    best_welfare: float
    best_satisfied: float
    rank: int
    n_statements: int
    more_satisfied: float


def consensus(
    panel: Panel,
    statement: str,
    jurors: JurorUtilities,
    /,
    *,
    rule: WelfareRule | None = None,
    satisfied_above: float | None = None,
    by: str | None = None,
    least_votes: int = LEAST_VOTES_OF_A_STATEMENT,
    confidence_level: float = 0.95,
) -> Consensus:
    """Compare a model's statement with those that people wrote in the same conversation.

    Parameters
    ----------
    panel : Panel
        The recorded votes on the human statements, each a response.
    statement : str
        The text of the model.
    jurors : JurorUtilities
        Its utility for each juror, with draws: the first candidate is used.
    rule : WelfareRule, optional
        How utilities become one number; by default the mean (alpha 0).
    satisfied_above : float, optional
        The jurors who agree; by default those above the middle of the scale.
    by : str or None
        The kind of group.
    least_votes : int
        Human statements with fewer votes are not compared with.
    confidence_level : float
        Of the intervals.

    Returns
    -------
    Consensus
        The comparison. The best of many human statements is partly best by chance, which favours the human side.

    Raises
    ------
    InvalidParameterError
        If no human statement has enough votes, or there are no draws.

    References
    ----------
    Bakker et al. 2022, arXiv:2211.15006.
    """
    chosen = rule or WelfareRule(alpha=0.0)
    middle = satisfied_above
    if middle is None:
        middle = float(panel.scale.utilities([(panel.scale.lowest + panel.scale.highest) / 2.0])[0])
    counts = np.bincount(panel.vote_responses, minlength=len(panel.responses))
    enough = np.flatnonzero(counts >= least_votes)
    if not len(enough):
        raise InvalidParameterError(
            f"Panel {panel.name}: no statement has {least_votes} votes. Lower 'least_votes', or add votes."
        )
    n_draws = jurors.utilities.shape[0]
    if n_draws < 2:
        raise invalid_parameter("jurors", "consensus", "utilities with at least two draws", f"{n_draws}")
    groups = panel.groups(by)
    names = tuple(dict.fromkeys(groups)) if groups is not None else ()
    codes = None if groups is None else np.array([names.index(name) for name in groups], dtype=np.intp)

    def table(juror: IntArray, response: IntArray, utility: FloatArray, n: int) -> JuryTable:
        return JuryTable(juror, response, utility, np.arange(n), np.ones(n), panel.weights, codes, names, n)

    human = table(panel.vote_jurors, panel.vote_responses, panel.utilities, len(panel.responses))
    human_welfare = query_welfare(human, chosen).by_response
    human_satisfied = query_welfare(human, WelfareRule(satisfied_above=middle)).by_response
    best = int(enough[np.argmax(human_welfare[enough])])
    drawn = jurors.utilities[:, :, 0]
    response, juror = np.nonzero(np.isfinite(drawn))
    ours = table(juror, response, drawn[response, juror], n_draws)
    welfare = query_welfare(ours, chosen).by_response
    satisfied = query_welfare(ours, WelfareRule(satisfied_above=middle)).by_response
    by_group = group_means(ours, chosen)
    return Consensus(
        statement=statement,
        welfare=_over_draws(welfare, confidence_level),
        satisfied=_over_draws(satisfied, confidence_level),
        by_group=by_group,
        best=panel.responses[best].text,
        best_welfare=float(human_welfare[best]),
        best_satisfied=float(human_satisfied[best]),
        rank=1 + int((np.asarray(compare(human_welfare[enough], welfare.mean())) > 0).sum()),
        n_statements=len(enough),
        more_satisfied=float((np.asarray(compare(satisfied, human_satisfied[best])) > 0).mean()),
    )


def _over_draws(values: FloatArray | Sequence[float], level: float) -> Estimate:
    """Return the mean over draws, and the quantiles between which the truth is expected."""
    array = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(array, [0.5 - level / 2, 0.5 + level / 2])
    value = math.fsum(array) / len(array)
    return Estimate(
        value,
        min(float(low), value),
        max(float(high), value),
        float(array.std(ddof=1)),
        len(array),
        len(array),
        level,
        how=IntervalMethod(kind=IntervalKind.QUANTILES, told="quantiles over draws of estimated jurors"),
    )
