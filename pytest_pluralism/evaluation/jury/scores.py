"""From utilities to scores: the welfare of what a model gives, with the references and views that stand beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.left_open import around
from pytest_pluralism.core.estimation.trust import CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics.jury_groups import median_of_juries
from pytest_pluralism.core.metrics.sparse_welfare import (
    JuryTable,
    QueryWelfare,
    WelfareRule,
    group_means,
    means_by_draw,
    query_welfare,
)
from pytest_pluralism.core.metrics.welfare_carriers import Trust, doubts, trust_of
from pytest_pluralism.core.parameters import FloatArray, IntArray
from pytest_pluralism.core.records import Crossed, Estimate, Scores, UnitScore, Witness
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.jurors import JurorUtilities, scale_range
from pytest_pluralism.evaluation.jury.settings import JurySettings
from pytest_pluralism.evaluation.jury.views import jury_details
from pytest_pluralism.evaluation.jury.votes import few_votes, left_out_note, missing_group_warnings, vote_warnings
from pytest_pluralism.evaluation.surveys.answered import ModelDistribution
from pytest_pluralism.evaluation.surveys.left_open import linear_bounds, open_words

__all__ = [
    "JuryMeasured",
    "jury_table",
    "measured_policy",
    "measured_texts",
    "policy_scores",
    "written_scores",
]

#: Below this probability on all responses together, what was read is mostly not what the model would say.
LOW_OPTION_MASS = 0.5


# ------------------------------------------------------------------------------------------------------- tables


def jury_table(panel: Panel, share: Sequence[float] | FloatArray, /, *, by: str | None = None) -> JuryTable:
    """Return the recorded votes of a panel as a table.

    Parameters
    ----------
    panel : Panel
        With votes.
    share : array_like, shape (n_responses,)
        How often each response is given; sums to 1 over the responses of a query.
    by : str or None
        The kind of group.
    """
    groups = panel.groups(by)
    names = tuple(dict.fromkeys(groups)) if groups is not None else ()
    return JuryTable(
        juror=panel.vote_jurors,
        response=panel.vote_responses,
        utility=panel.utilities,
        response_query=panel.response_queries,
        share=np.asarray(share, dtype=np.float64),
        weights=panel.weights,
        group=None if groups is None else np.array([names.index(name) for name in groups], dtype=np.intp),
        group_names=names,
        n_queries=len(panel.queries),
        juror_ids=tuple(juror.juror_id for juror in panel.jurors),
    )


@dataclass(frozen=True, eq=False)
class JuryMeasured:
    """The scores of what a model gives, and what they were computed from.

    Attributes
    ----------
    scores : Scores
        The scores.
    table : JuryTable
        The utilities of those who are measured.
    welfare : QueryWelfare
        Their welfare under the rule.
    under : callable
        ``under(rule)`` scores the same utilities by another rule.
    same_draws : bool
        Whether draws of estimated utilities are the same possible worlds for any two sets of texts.
    """

    scores: Scores
    table: JuryTable
    welfare: QueryWelfare
    under: Callable[[WelfareRule], JuryMeasured]
    same_draws: bool = False


# ---------------------------------------------------------------------------------------------------------- scores


def policy_scores(
    panel: Panel,
    share: Sequence[float] | FloatArray,
    /,
    *,
    settings: JurySettings,
    model: Mapping[str, ModelDistribution] | None = None,
) -> Scores:
    """Score a policy: how often each recorded response of a panel is given.

    Parameters
    ----------
    panel : Panel
        With votes.
    share : array_like, shape (n_responses,)
        How often each response is given; sums to 1 over the responses of a query.
    settings : JurySettings
        The texts to measure.
    model : mapping, optional
        The answer of a model to each query, for the report.

    Returns
    -------
    Scores
        Units are queries; crossed with jurors unless these are the whole jury.

    Raises
    ------
    InvalidParameterError
        If the shares are not distributions, a group is unknown, or the utilities do not suit the rule.
    """
    shares = np.asarray(share, dtype=np.float64)
    if shares.shape != (len(panel.responses),) or not np.isfinite(shares).all() or (shares < 0.0).any():
        must = f"one non-negative number a response ({len(panel.responses)})"
        raise invalid_parameter("share", "policy_scores", must, f"shape {shares.shape}")
    sums = np.bincount(panel.response_queries, shares, len(panel.queries))
    if (np.abs(sums - 1.0) > 1e-6).any():
        must = "distributions over the responses of each query"
        raise invalid_parameter("share", "policy_scores", must, f"a sum of {sums[np.abs(sums - 1).argmax()]:g}")
    return measured_policy(panel, shares / sums[panel.response_queries], settings=settings, model=model).scores


def measured_policy(
    panel: Panel,
    share: FloatArray,
    /,
    *,
    settings: JurySettings,
    model: Mapping[str, ModelDistribution] | None = None,
    bounds: FloatArray | None = None,
) -> JuryMeasured:
    """Score a policy as :func:`policy_scores` does, and return its utilities too.

    Where ``bounds`` (shape (n_responses, 2)) has the least and the most share of each response, every unit has the
    bounds of its value, which is linear in the shares.
    """
    few = few_votes(_of_group(jury_table(panel, share, by=settings.by), settings), settings.votes_needed)
    left_out = left_out_note(few, settings, panel.name)
    if left_out:
        share = share[~few[panel.response_queries]]
        bounds = None if bounds is None else bounds[~few[panel.response_queries]]
        panel = panel.select(queries=[query.query_id for query, one in zip(panel.queries, few, strict=True) if not one])
    full = jury_table(panel, share, by=settings.by)
    table = _of_group(full, settings)
    found = _measured(table, settings)
    every = _by_response(table, settings)
    references, best = _references(table, settings, every)
    even = _even(table, every)
    units = []
    place = 0
    for row, query in enumerate(panel.queries):
        here = slice(place, place + len(query.responses))
        place += len(query.responses)
        answered = model.get(query.query_id) if model is not None else None
        details: dict[str, object] = {
            "welfare_by_response": [finite_or_none(float(value)) for value in found.by_response[here]],
            "best_response": query.responses[best[row]].response_id if best[row] >= 0 else None,
        }
        if answered is not None:
            details["top_token"] = answered.top_token
        units.append(
            UnitScore(
                unit_id=query.query_id,
                cluster=query.query_id,
                value=float(found.values[row]),
                population=settings.group,
                text=query.text,
                options=tuple(one.text for one in query.responses),
                model_probabilities=tuple(float(value) for value in full.share[here]),
                option_mass=None if answered is None else answered.option_mass,
                n_respondents=float(len(np.unique(table.juror[table.response == here.start]))),
                details=details,
                references={"uniform": float(even[row])} if math.isfinite(even[row]) else {},
                bounds=() if bounds is None else _welfare_bounds(float(found.values[row]), every[here], bounds[here]),
            )
        )
    warnings = [*open_words(units), *panel.warnings, *left_out, *vote_warnings(panel, table, settings, found)]
    masses = [unit.option_mass for unit in units if unit.option_mass is not None]
    if low := sum(mass < LOW_OPTION_MASS for mass in masses):
        warnings.append(f"option mass under {LOW_OPTION_MASS} on {low} of {len(masses)} queries")
    made = {"kind": "recorded", "made": "recorded votes", "accuracy": {}}
    return JuryMeasured(
        _assembled(panel, full, table, found, settings, _Read(units, references, warnings, made)),
        table,
        found,
        lambda rule: measured_policy(panel, share, settings=replace(settings, rule=rule), model=model, bounds=bounds),
    )


def _welfare_bounds(value: float, by_response: FloatArray, bounds: FloatArray) -> tuple[float, ...]:
    """Return the least and the most welfare of a query; empty where it has no value."""
    if math.isnan(value):
        return ()
    # Where a response that nobody judged may be given there is no value.
    known = np.isfinite(by_response)
    return around(value, linear_bounds(by_response[known], [(float(a), float(b)) for a, b in bounds[known]]))


def written_scores(
    panel: Panel,
    jurors: JurorUtilities,
    texts: Sequence[str],
    query: Sequence[int] | np.ndarray,
    /,
    *,
    settings: JurySettings,
) -> Scores:
    """Score written responses by what a juror function says of them.

    Parameters
    ----------
    panel : Panel
        Jurors and queries.
    jurors : JurorUtilities
        The utility of each text.
    texts : sequence of str
        The responses.
    query : array_like of int
        The place of the query that each text answers.
    settings : JurySettings
        The texts to measure.

    Returns
    -------
    Scores
        With the uncertainty of estimated jurors in the interval.
    """
    return measured_texts(panel, jurors, texts, query, settings=settings).scores


def _made_warnings(jurors: JurorUtilities, texts: Sequence[str]) -> list[str]:
    """Return what to know of jurors that are estimated, and of texts that say nothing."""
    warnings = []
    if jurors.kind == "estimated":
        if jurors.accuracy:
            told = ", ".join(f"{name} {value:.2f}" for name, value in jurors.accuracy.items())
            warnings.append(f"jurors are {jurors.made}, not people; on votes they were not shown: {told}")
        else:
            warnings.append(f"jurors are {jurors.made}, not people; nothing is known of how well they predict")
    empty = sum(not text.strip() for text in texts)
    if empty:
        warnings.append(f"{empty} of {len(texts)} responses are empty")
    return warnings


def measured_texts(
    panel: Panel,
    jurors: JurorUtilities,
    texts: Sequence[str],
    query: Sequence[int] | np.ndarray,
    /,
    *,
    settings: JurySettings,
) -> JuryMeasured:
    """Score written responses as :func:`written_scores` does, and return their utilities too."""
    of = np.asarray(query, dtype=np.intp)
    panel, jurors, texts, of, left_out = _with_votes(panel, jurors, texts, of, settings)
    n_draws, _, n_texts = jurors.utilities.shape
    groups = panel.groups(settings.by)
    names = tuple(dict.fromkeys(groups)) if groups is not None else ()
    # Every draw of what a text may be worth is a response of its own, each as probable as the others.
    cells = jurors.utilities.transpose(0, 2, 1).reshape(n_draws * n_texts, -1)
    response, juror = np.nonzero(np.isfinite(cells))
    counts = np.bincount(of, minlength=len(panel.queries))
    full = JuryTable(
        juror=juror,
        response=response,
        utility=cells[response, juror],
        response_query=np.tile(of, n_draws),
        share=np.tile(1.0 / counts[of], n_draws) / n_draws,
        weights=panel.weights,
        group=None if groups is None else np.array([names.index(name) for name in groups], dtype=np.intp),
        group_names=names,
        n_queries=len(panel.queries),
        juror_ids=tuple(juror.juror_id for juror in panel.jurors),
        n_draws=n_draws,
    )
    table = _of_group(full, settings)
    found = _measured(table, settings)
    units = []
    for row, one in enumerate(panel.queries):
        mine = np.flatnonzero(of == row)
        details: dict[str, object] = {"responses": [texts[place] for place in mine.tolist()]}
        units.append(
            UnitScore(one.query_id, one.query_id, float(found.values[row]), settings.group, one.text, details=details)
        )
    references: dict[str, float] = {}
    if panel.n_votes:
        # The utilities of recorded responses to the same queries, by recorded votes, where they are on one scale.
        judged = np.bincount(panel.vote_responses, minlength=len(panel.responses)) > 0
        total = np.bincount(panel.response_queries, judged, len(panel.queries))
        even = judged / np.maximum(total, 1.0)[panel.response_queries]
        recorded = _of_group(jury_table(panel, even, by=settings.by), settings)
        references, _ = _references(recorded, settings, _by_response(recorded, settings), shuffle=False)
    warnings = [*panel.warnings, *jurors.warnings, *left_out]
    if jurors.kind == "recorded":
        warnings += vote_warnings(panel, table, settings, found)
    warnings += _made_warnings(jurors, texts)
    made = {"kind": jurors.kind, "made": jurors.made, "accuracy": dict(jurors.accuracy)}
    return JuryMeasured(
        _assembled(panel, full, table, found, settings, _Read(units, references, warnings, made)),
        table,
        found,
        lambda rule: measured_texts(panel, jurors, texts, of, settings=replace(settings, rule=rule)),
        jurors.draws_by_text,
    )


def _with_votes(
    panel: Panel, jurors: JurorUtilities, texts: Sequence[str], of: IntArray, settings: JurySettings
) -> tuple[Panel, JurorUtilities, Sequence[str], IntArray, list[str]]:
    """Return the same without queries that too few voted on, and what is to be said of those."""
    if jurors.kind != "recorded":
        return panel, jurors, texts, of, []
    groups = panel.groups(settings.by)
    member = np.ones(len(panel.jurors), dtype=bool)
    if settings.group is not None and groups is not None:
        member = np.array(groups) == settings.group
    counts = np.isfinite(jurors.utilities[0][member & (panel.weights > 0.0)]).sum(axis=0)
    few = np.bincount(of, (counts > 0) & (counts < settings.votes_needed), len(panel.queries)) > 0
    left_out = left_out_note(few, settings, panel.name)
    if not left_out:
        return panel, jurors, texts, of, []
    kept = np.flatnonzero(~few[of])
    rows = np.cumsum(~few) - 1
    queries = [query.query_id for query, one in zip(panel.queries, few, strict=True) if not one]
    return (
        panel.select(queries=queries),
        replace(jurors, utilities=jurors.utilities[:, :, kept]),
        [texts[place] for place in kept.tolist()],
        rows[of[kept]],
        left_out,
    )


def _of_group(table: JuryTable, settings: JurySettings) -> JuryTable:
    if settings.group is None:
        return table
    if settings.group not in table.group_names:
        known = ", ".join(map(repr, table.group_names)) or "none"
        raise invalid_parameter("population", "jury_welfare", f"a group of the panel ({known})", repr(settings.group))
    assert table.group is not None  # noqa: S101 - it has names
    return table.of_jurors(table.group == table.group_names.index(settings.group))


def _measured(table: JuryTable, settings: JurySettings) -> QueryWelfare:
    if settings.composition is None:
        return query_welfare(table, settings.rule)
    if table.group is None:
        raise InvalidParameterError("A composition needs groups. Give jurors a 'group', or name one with by=.")
    matrix = np.full((len(table.share), len(table.weights)), np.nan)
    matrix[table.response, table.juror] = table.utility
    names = [table.group_names[code] for code in table.group.tolist()]
    seated = np.isin(names, list(settings.composition))
    verdict = median_of_juries(
        matrix[:, seated],
        [name for name, kept in zip(names, seated.tolist(), strict=True) if kept],
        composition=settings.composition,
        rng=settings.seed,
        n_juries=settings.n_juries,
        missing="reseat",
    )
    level = np.asarray(verdict.median, dtype=np.float64)
    given = table.share > 0.0
    asked = np.bincount(table.response_query[given], minlength=table.n_queries) > 0
    sums = np.bincount(table.response_query, np.where(given, table.share * level, 0.0), table.n_queries)
    values = np.where(asked, sums, np.nan).astype(np.float64, copy=False)
    draws = means_by_draw(table, level)
    nobody = np.full(len(table.weights), np.nan)
    return QueryWelfare(values, level, np.zeros_like(values), nobody, 0.0, 0.0, draws)


def _references(
    table: JuryTable, settings: JurySettings, every: FloatArray, *, shuffle: bool = True
) -> tuple[dict[str, float], list[int]]:
    """Return what other ways of choosing would score, and the best response of each query."""
    judged = np.bincount(table.response, minlength=len(table.share)) > 0
    mean = query_welfare(table.with_share(judged.astype(np.float64)), WelfareRule(alpha=0.0)).by_response
    rng = np.random.default_rng(settings.seed)
    uniform, best, worst, majority, shuffled, chosen = [], [], [], [], [], []
    first = np.searchsorted(table.response_query, np.arange(table.n_queries))
    last = np.searchsorted(table.response_query, np.arange(table.n_queries), side="right")
    for start, stop in zip(first.tolist(), last.tolist(), strict=True):
        here = start + np.flatnonzero(judged[start:stop] & np.isfinite(every[start:stop]))
        if not len(here):
            chosen.append(-1)
            continue
        values = every[here]
        uniform.append(values.mean())
        best.append(values.max())
        worst.append(values.min())
        majority.append(values[mean[here].argmax()])
        shuffled.append(float(values @ rng.permutation(table.share[here])))
        chosen.append(int(here[values.argmax()]) - start)
    if not uniform:
        return {}, chosen
    references = {"uniform": float(np.mean(uniform)), "majority": float(np.mean(majority))}
    if shuffle:
        references["shuffle"] = float(np.mean(shuffled))
    return references | {"best": float(np.mean(best)), "worst": float(np.mean(worst))}, chosen


def _by_response(table: JuryTable, settings: JurySettings) -> FloatArray:
    """Return the welfare of every response that somebody judged, whether it is given or not."""
    judged = np.bincount(table.response, minlength=len(table.share)) > 0
    values = _measured(table.with_share(judged.astype(np.float64)), settings).by_response
    return np.where(judged, values, np.nan)


def _even(table: JuryTable, every: FloatArray) -> FloatArray:
    """Return the welfare of each query where every judged response is given as often.

    A model that prefers a place in the list, or whose probabilities are shuffled, gives as much on average: the options
    are shown in every order, and welfare is linear in how often a response is given.
    """
    known = np.isfinite(every)
    counts = np.bincount(table.response_query, known, table.n_queries)
    sums = np.bincount(table.response_query, np.where(known, every, 0.0), table.n_queries)
    result: FloatArray = np.divide(sums, counts, out=np.full(table.n_queries, np.nan), where=counts > 0)
    return result


@dataclass(frozen=True)
class _Read:
    """The units of a jury's scores, the references beside their mean, the warnings, and how the jurors were made."""

    units: list[UnitScore]
    references: dict[str, float]
    warnings: list[str]
    made: JsonObject


def _assembled(
    panel: Panel,
    full: JuryTable,
    table: JuryTable,
    found: QueryWelfare,
    settings: JurySettings,
    read: _Read,
) -> Scores:
    rule, units, warnings = settings.rule, read.units, read.warnings
    if settings.composition is not None:
        by_group = group_means(full, WelfareRule(alpha=0.0))
    else:
        by_group = group_means(full, rule)
    by_group = {name: value for name, value in by_group.items() if math.isfinite(value)}
    crossed, trust = _over_jurors(panel, table, found, settings, warnings)
    guards = _worst_off_guards(settings)
    witness = None
    if by_group and settings.group is None:
        worst = min(by_group, key=lambda name: by_group[name])
        witness = Witness(f"group {worst}", by_group[worst], "the group that is served worst")
    missing = int(np.isnan(found.values).sum())
    if missing:
        warnings.append(f"{missing} of {len(units)} queries have no value: a response that is given was not judged")
    return Scores(
        metric="jury_welfare",
        units=tuple(units),
        references=read.references,
        other_populations=by_group,
        warnings=tuple(dict.fromkeys(warnings)),
        details=jury_details(panel, full, table, settings, by_group, read.made),
        crossed=crossed,
        witness=witness,
        extra_variance=found.extra_variance if math.isfinite(found.extra_variance) else 0.0,
        scale=_scale(panel, table, rule),
        guards=guards,
        doubt=trust.doubt,
        change_doubt=trust.doubt or (guards[0].told if guards else ""),
    )


def _worst_off_guards(settings: JurySettings) -> tuple[Guard, ...]:
    """Return what keeps the welfare of the worst-off juror of a sample from passing: others may be worse off.

    A population holds the jurors of its sample, so that a promise which these break is broken.
    """
    if settings.whole_jury or settings.composition is not None or not _is_of_worst_off(settings.rule):
        return ()
    told = (
        "at alpha=inf the worst-off juror decides, and a sample says nothing about those who are worse off "
        "(jury='whole' speaks of these jurors alone)"
    )
    unknown = Estimate(math.nan, math.nan, math.nan, math.nan, n=0, n_clusters=0)
    return (Guard("the welfare of the worst-off juror of all", unknown, told=told, of_sample=True),)


def _is_of_worst_off(rule: WelfareRule) -> bool:
    return rule.satisfied_above is None and rule.worst_share is None and math.isinf(rule.alpha)


def _over_jurors(
    panel: Panel, table: JuryTable, found: QueryWelfare, settings: JurySettings, warnings: list[str]
) -> tuple[Crossed | None, Trust]:
    """Return the jurors as the second dimension of an interval, and how far it can be trusted; add what it lacks."""
    rule = settings.rule
    seated = np.isfinite(found.pseudo_values)
    fixed = settings.whole_jury or settings.composition is not None
    if not fixed and _is_of_worst_off(rule):
        warnings.append("the worst-off juror of a sample says little of others: the interval is over queries alone")
        fixed = True
    # Otherwise the votes of one juror would keep a promise that those of two do not.
    alone = not fixed and int(seated.sum()) == 1
    if panel.scale.measurement == "ordinal" and rule.satisfied_above is None:
        warnings.append("the scale is ordinal: welfare takes its steps to be equal (satisfied_above does not)")
    if settings.composition is not None and not settings.whole_jury:
        doubt = _of_seated(table, settings, warnings)
        return None, Trust(doubt=doubt)
    if fixed or not seated.any():
        return None, Trust()
    if alone:
        return None, Trust(doubt="a single juror says nothing about others (jury='whole' speaks of this juror alone)")
    trust = trust_of(table, rule, found)
    warnings.extend(doubts(rule, trust))
    warnings.extend(missing_group_warnings(settings, found))
    crossed = Crossed(
        units=tuple(
            UnitScore(panel.jurors[place].juror_id, panel.jurors[place].juror_id, float(found.pseudo_values[place]))
            for place in np.flatnonzero(seated).tolist()
        ),
        cell_variance=found.cell_variance,
        cell_third=found.cell_third,
        biases=tuple(found.biases.tolist()) if found.biases.any() else (),
        carriers=trust.carriers,
        below=trust.below,
        above=trust.above,
    )
    return crossed, trust


def _of_seated(table: JuryTable, settings: JurySettings, warnings: list[str]) -> str:
    """Say that the interval leaves other jurors out; return why so few jurors cannot stand for them."""
    names = np.array(table.group_names)[table.group] if table.group is not None else np.array([])
    n = int(np.isin(names, list(settings.composition or ())).sum())
    if n < CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE:
        return (
            f"the juries are drawn from {n} jurors, who say too little of others (at least "
            f"{CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE} are needed; jury='whole' speaks of these jurors alone)"
        )
    warnings.append(
        f"the interval is over queries alone: it leaves out what other jurors than these {n} would say "
        "(jury='whole' speaks of these jurors alone)"
    )
    return ""


def _scale(panel: Panel, table: JuryTable, rule: WelfareRule) -> tuple[float, float] | None:
    """Return between what a welfare lies; ``None`` where estimated utilities leave the scale of the panel."""
    if rule.satisfied_above is not None:
        return 0.0, 1.0
    lowest, highest = scale_range(panel)
    inside = not len(table.utility) or (lowest <= table.utility.min() and table.utility.max() <= highest)
    return (lowest, highest) if inside else None
