r"""Fitted jurors: what a new response is worth to each juror, learnt from their votes and the texts of responses.

.. math:: u_{jr} = \mu + a_j + b_r + c_{g(j)r} + p_j \cdot q_r

is fitted to the votes by alternating ridge regressions; for a response without votes :math:`b_r, c_{gr}` and
:math:`q_r` are predicted from its text by ridge regression on its embedding.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.parameters import BoolArray, FloatArray, IntArray
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.jurors import Candidate, JurorUtilities, UtilityRounds, recorded_candidates

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonFields, JsonObject

__all__ = ["FactorFit", "FitSettings", "FittedJurors", "cross_validate", "fit_factors", "group_codes"]

#: The predictions that are compared.
PREDICTIONS = ("fitted", "juror_mean", "group_mean", "overall_mean")

#: Votes that a fit needs at least, and responses that have some.
LEAST_VOTES = 50
LEAST_RESPONSES = 10

#: The least predicted utility, so that the welfare of every aversion is defined.
LEAST_UTILITY = 0.01

Embed = Callable[[Sequence[str]], FloatArray]


@dataclass(frozen=True)
class FitSettings:
    """Penalties of the fit, each in votes: so many votes at the mean would weigh as much.

    The defaults were chosen on two Polis conversations (brexit-consensus and scoop-hivemind.ubi) and tested on others.

    Attributes
    ----------
    rank : int
        How many factors.
    juror, response, group, factor : float
        Penalties of the jurors' levels, the responses' levels, the groups' deviations and the factors.
    text : float
        Penalty of the regression on embeddings, relative to the mean squared size of a feature.
    sweeps : int
        How often all parts are fitted in turn.
    """

    rank: int = 2
    juror: float = 30.0
    response: float = 1.0
    group: float = 1.5
    factor: float = 150.0
    text: float = 1.0
    sweeps: int = 12


@dataclass(frozen=True, eq=False)
class FactorFit:
    """A fitted model: the level, the jurors' and the responses' parts, and how the latter follow from texts."""

    level: float
    juror: FloatArray
    response: FloatArray
    group_response: FloatArray
    juror_factors: FloatArray
    response_factors: FloatArray
    group: IntArray
    text_weights: FloatArray
    text_mean: FloatArray

    def known(self, jurors: IntArray, responses: IntArray, /) -> FloatArray:
        """Return predictions for responses that had votes."""
        return np.asarray(
            self.level
            + self.juror[jurors]
            + self.response[responses]
            + self.group_response[self.group[jurors], responses]
            + (self.juror_factors[jurors] * self.response_factors[responses]).sum(axis=1)
        )

    def new(self, embeddings: FloatArray, /) -> FloatArray:
        """Return predictions for new texts, shape (n_jurors, n_texts)."""
        parts = (embeddings - self.text_mean) @ self.text_weights
        n_groups = self.group_response.shape[0]
        own = parts[:, 0]
        by_group = parts[:, 1 : 1 + n_groups]
        factors = parts[:, 1 + n_groups :]
        return np.asarray(
            self.level + self.juror[:, None] + own[None, :] + by_group.T[self.group] + self.juror_factors @ factors.T
        )


def fit_factors(
    jurors: IntArray,
    responses: IntArray,
    utilities: FloatArray,
    /,
    *,
    group: IntArray,
    embeddings: FloatArray,
    settings: FitSettings | None = None,
) -> FactorFit:
    """Fit the model to votes.

    Parameters
    ----------
    jurors, responses, utilities : numpy.ndarray, shape (n_votes,)
        The votes.
    group : numpy.ndarray of int, shape (n_jurors,)
        The group of each juror.
    embeddings : numpy.ndarray, shape (n_responses, n_features)
        The texts of the responses.
    settings : FitSettings, optional
        The penalties.
    """
    chosen = settings or FitSettings()
    n_jurors, n_responses = len(group), len(embeddings)
    n_groups = int(group.max()) + 1
    level = float(utilities.mean())
    juror, response = np.zeros(n_jurors), np.zeros(n_responses)
    by_group = np.zeros((n_groups, n_responses))
    rng = np.random.default_rng(0)
    view = rng.normal(scale=0.1, size=(n_jurors, chosen.rank))
    slant = rng.normal(scale=0.1, size=(n_responses, chosen.rank))
    cell = group[jurors] * n_responses + responses
    n_by_juror = np.bincount(jurors, minlength=n_jurors)
    n_by_response = np.bincount(responses, minlength=n_responses)
    n_by_cell = np.bincount(cell, minlength=n_groups * n_responses)
    for _ in range(chosen.sweeps):
        product = (view[jurors] * slant[responses]).sum(axis=1)
        left = utilities - level - product - by_group.reshape(-1)[cell]
        juror = np.bincount(jurors, left - response[responses], n_jurors) / (n_by_juror + chosen.juror)
        response = np.bincount(responses, left - juror[jurors], n_responses) / (n_by_response + chosen.response)
        left = utilities - level - juror[jurors] - response[responses] - product
        by_group = (np.bincount(cell, left, n_groups * n_responses) / (n_by_cell + chosen.group)).reshape(
            n_groups, n_responses
        )
        left = utilities - level - juror[jurors] - response[responses] - by_group.reshape(-1)[cell]
        view = _ridge(jurors, slant[responses], left, n_jurors, chosen.factor * float(np.mean(slant**2)) + 1e-9)
        slant = _ridge(responses, view[jurors], left, n_responses, chosen.factor * float(np.mean(view**2)) + 1e-9)
    known = n_by_response > 0
    targets = np.column_stack([response, by_group.T, slant])[known]
    features = embeddings[known]
    mean = features.mean(axis=0)
    centred = features - mean
    # With fewer texts than features the dual form is the smaller system.
    gram = centred @ centred.T
    penalty = chosen.text * float(np.trace(gram)) / len(gram)
    weights = centred.T @ np.linalg.solve(gram + max(penalty, 1e-9) * np.eye(len(gram)), targets)
    return FactorFit(level, juror, response, by_group, view, slant, group, weights, mean)


def _ridge(rows: IntArray, features: FloatArray, targets: FloatArray, n: int, penalty: float) -> FloatArray:
    """Return one ridge regression for each row number, without an intercept."""
    rank = features.shape[1]
    grams = np.zeros((n, rank, rank))
    sums = np.zeros((n, rank))
    for first in range(rank):
        sums[:, first] = np.bincount(rows, features[:, first] * targets, n)
        for second in range(rank):
            grams[:, first, second] = np.bincount(rows, features[:, first] * features[:, second], n)
    grams += penalty * np.eye(rank)
    return np.asarray(np.linalg.solve(grams, sums[:, :, None])[:, :, 0])


# ------------------------------------------------------------------------------------------------------ validation


def _predicted_means(
    panel: Panel, group: IntArray, train: BoolArray, test: BoolArray, /, *, by_response: bool
) -> dict[str, FloatArray | float]:
    """Return the means of the votes in ``train`` that predict those in ``test``, by name.

    The mean of a juror's group is that on the same response with ``by_response``, and over all responses without.
    """
    who, what, said = panel.vote_jurors, panel.vote_responses, panel.utilities
    overall = float(said[train].mean())
    n_groups, n_responses = int(group.max()) + 1, len(panel.responses)
    if by_response:
        cells = group * n_responses
        found = _means(cells[who[train]] + what[train], said[train], n_groups * n_responses, np.nan)
        found = found[cells[who[test]] + what[test]]
        fallback = _means(what[train], said[train], n_responses, overall)[what[test]]
        group_mean = np.where(np.isnan(found), fallback, found)
    else:
        group_mean = _means(group[who[train]], said[train], n_groups, overall)[group[who[test]]]
    juror_mean = _means(who[train], said[train], len(group), overall)[who[test]]
    return {"juror_mean": juror_mean, "group_mean": group_mean, "overall_mean": overall}


def cross_validate(
    panel: Panel,
    embeddings: FloatArray,
    /,
    *,
    by: str | None = None,
    held_out: str = "responses",
    n_folds: int = 5,
    seed: int = 0,
    settings: FitSettings | None = None,
) -> dict[str, object]:
    """Return how well votes are predicted that the fit was not shown, beside simpler predictions.

    Parameters
    ----------
    panel : Panel
        With votes.
    embeddings : numpy.ndarray, shape (n_responses, n_features)
        The texts of the responses.
    by : str or None
        The kind of group.
    held_out : {"votes", "responses"}
        Single votes on responses that others voted on; or all votes on a response, as for one that a model writes.
    n_folds : int
        How many parts, each held out once.
    seed : int
        Of the parts.
    settings : FitSettings, optional
        The penalties.

    Returns
    -------
    dict
        ``rmse`` and ``accuracy`` (the nearest level of the scale; without levels the nearer half) for ``fitted``,
        ``juror_mean``, ``group_mean`` (of the juror's group: on the same response for held-out votes, over all for
        held-out responses) and ``overall_mean``; the residuals' parts; and the difference of squared errors
        group mean - fitted with its 95 % interval, clustered by response and juror.

    Raises
    ------
    InvalidParameterError
        If ``held_out`` is neither word or ``n_folds`` is too small.
    """
    if held_out not in ("votes", "responses"):
        raise invalid_parameter("held_out", "cross_validate", "'votes' or 'responses'", repr(held_out))
    if n_folds < 2:
        raise invalid_parameter("n_folds", "cross_validate", "an integer of at least 2", repr(n_folds))
    _refuse_other_scale(panel)
    from pytest_pluralism.core.estimation import estimate_mean

    who, what, said = panel.vote_jurors, panel.vote_responses, panel.utilities
    group = group_codes(panel, by)
    rng = np.random.default_rng(seed)
    units = len(said) if held_out == "votes" else len(embeddings)
    fold_of_unit = rng.permutation(np.arange(units) % n_folds)
    fold = fold_of_unit if held_out == "votes" else fold_of_unit[what]
    guesses = {name: np.empty(len(said)) for name in PREDICTIONS}
    for one in range(n_folds):
        train, test = fold != one, fold == one
        if not test.any():
            continue
        fit = fit_factors(who[train], what[train], said[train], group=group, embeddings=embeddings, settings=settings)
        by_response = held_out == "votes"
        fitted = fit.known(who[test], what[test]) if by_response else fit.new(embeddings)[who[test], what[test]]
        means = _predicted_means(panel, group, train, test, by_response=by_response)
        for name, guess in {"fitted": fitted, **means}.items():
            guesses[name][test] = guess
    lowest = float(panel.scale.worst_utility)
    errors = {name: (said - np.clip(guess, lowest, 1.0)) ** 2 for name, guess in guesses.items()}
    gain = estimate_mean(
        errors["group_mean"] - errors["fitted"], clusters=what.tolist(), other_clusters=who.tolist(), method="t"
    )
    residual = said - guesses["fitted"]
    return {
        "held_out": held_out,
        "n_folds": n_folds,
        "n_votes": len(said),
        "rmse": {name: float(np.sqrt(error.mean())) for name, error in errors.items()},
        "accuracy": {
            name: float((_level(panel, said) == _level(panel, guess)).mean()) for name, guess in guesses.items()
        },
        "gain": {"value": gain.value, "low": gain.low, "high": gain.high},
        "residual": _parts(residual, who, what, group, len(embeddings)),
    }


def _refuse_other_scale(panel: Panel) -> None:
    """Refuse utilities that do not end at 1, which a fit would cut off there."""
    scale = panel.scale
    if not scale.mapped and (scale.lowest < 0.0 or scale.highest > 1.0):
        raise DatasetError(
            f"Panel {panel.name}: jurors are fitted to utilities in [0, 1], and its scale keeps "
            f"[{scale.lowest:g}, {scale.highest:g}] as it is. Leave out 'mapped': false, so that it is mapped."
        )


def group_codes(panel: Panel, by: str | None = None, /) -> IntArray:
    """Return the group of each juror as a number; one for all in a panel without groups."""
    groups = panel.groups(by)
    if groups is None:
        return np.zeros(len(panel.jurors), dtype=np.intp)
    names = list(dict.fromkeys(groups))
    return np.array([names.index(name) for name in groups], dtype=np.intp)


def _means(codes: IntArray, values: FloatArray, n: int, otherwise: float) -> FloatArray:
    count = np.bincount(codes, minlength=n)
    return np.where(count > 0, np.bincount(codes, values, n) / np.maximum(count, 1), otherwise)


def _level(panel: Panel, utilities: FloatArray) -> FloatArray:
    lowest = panel.scale.worst_utility
    steps = (panel.scale.levels or 2) - 1
    share = (np.clip(utilities, lowest, 1.0) - lowest) / (1.0 - lowest)
    return np.asarray(np.round(share * steps))


def _parts(residual: FloatArray, who: IntArray, what: IntArray, group: IntArray, n_responses: int) -> dict[str, float]:
    """Return the standard deviations of a response's common error, of a group's on it, and of a single vote."""
    n_groups = int(group.max()) + 1
    cell = group[who] * n_responses + what
    count = np.bincount(cell, minlength=n_groups * n_responses)
    mean = np.bincount(cell, residual, n_groups * n_responses) / np.maximum(count, 1)
    inside = residual - mean[cell]
    freedom = max(len(residual) - int((count > 0).sum()), 1)
    single = float(np.sum(inside**2)) / freedom
    table = np.where(count > 0, mean, np.nan).reshape(n_groups, n_responses)
    noise = np.where(count > 0, single / np.maximum(count, 1), np.nan).reshape(n_groups, n_responses)
    full = np.isfinite(table).all(axis=0)
    if full.sum() < 2 or n_groups < 2:
        flat = np.bincount(what, residual, n_responses) / np.maximum(np.bincount(what, minlength=n_responses), 1)
        some = np.bincount(what, minlength=n_responses) > 0
        own = single / np.maximum(np.bincount(what, minlength=n_responses), 1)
        common = max(float(flat[some].var()) - float(own[some].mean()), 0.0)
        return {"response": common**0.5, "group": 0.0, "vote": single**0.5}
    total = float(np.mean(table[:, full] ** 2 - noise[:, full]))
    # The mean over pairs of groups of the product of their errors is the variance that they share.
    shared = (table[:, full].sum(axis=0) ** 2 - (table[:, full] ** 2).sum(axis=0)) / (n_groups * (n_groups - 1))
    common = max(float(shared.mean()), 0.0)
    return {"response": common**0.5, "group": max(total - common, 0.0) ** 0.5, "vote": single**0.5}


# ------------------------------------------------------------------------------------------------- the juror function


@dataclass(frozen=True)
class FittedJurors:
    """Jurors that are estimated from the recorded votes and the texts, with their error.

    Attributes
    ----------
    by : str or None
        The kind of group.
    settings : FitSettings
        The penalties.
    n_draws : int
        How many draws of the held-out error carry the uncertainty into the welfare.
    seed : int
        Of the folds and the draws.
    embed : callable or None
        Makes vectors of texts; by default the packaged encoder.
    """

    by: str | None = None
    settings: FitSettings = field(default_factory=FitSettings)
    n_draws: int = 30
    seed: int = 0
    embed: Embed | None = None

    @property
    def name(self) -> str:
        """The word for provenance."""
        return f"fitted to votes and texts, {self.settings}, {self.n_draws} draws, seed {self.seed}"

    def check(self, panel: Panel, /) -> None:
        """Refuse a panel that no jurors can be fitted to.

        Raises
        ------
        DatasetError
            If the panel holds too few votes, or its utilities do not end at 1.
        MissingExtraError
            If the encoder is not installed.
        """
        _refuse_other_scale(panel)
        n_judged = len(np.unique(panel.vote_responses))
        if panel.n_votes < LEAST_VOTES or n_judged < LEAST_RESPONSES:
            raise DatasetError(
                f"Panel {panel.name}: {panel.n_votes} votes on {n_judged} responses are too few to fit jurors to (at "
                f"least {LEAST_VOTES} on {LEAST_RESPONSES}). Add votes, or choose other jurors=."
            )
        if self.embed is None:
            _encoder().require_encoder()

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Fit, validate and predict; nothing is asked of a model of the run.

        Raises
        ------
        DatasetError
            If the panel holds too few votes.
        MissingExtraError
            If the encoder is not installed.
        """
        yield from ()
        self.check(panel)
        n_judged = len(np.unique(panel.vote_responses))
        recorded = [one.text for one in recorded_candidates(panel)]
        vectors = self._vectors(tuple(recorded))
        report = self._validated(panel, vectors)
        fit = fit_factors(
            panel.vote_jurors,
            panel.vote_responses,
            panel.utilities,
            group=group_codes(panel, self.by),
            embeddings=vectors,
            settings=self.settings,
        )
        new = self._vectors(tuple(one.text for one in candidates))
        predicted = fit.new(new)
        utilities = self._drawn(panel, fit, predicted, [one.text for one in candidates], report["residual"])
        accuracy = {
            "rmse": report["rmse"]["fitted"],
            "rmse of the group mean": report["rmse"]["group_mean"],
            "accuracy": report["accuracy"]["fitted"],
            "accuracy of the group mean": report["accuracy"]["group_mean"],
        }
        warnings: tuple[str, ...] = ()
        if report["gain"]["low"] <= 0.0:
            warnings = ("the fit does not surely beat the mean of the juror's group on responses it was not shown",)
        made = f"estimated from {panel.n_votes} votes on {n_judged} other responses and their texts"
        return JurorUtilities(utilities, "estimated", made, accuracy, warnings, draws_by_text=True)

    def _drawn(
        self, panel: Panel, fit: FactorFit, predicted: FloatArray, texts: Sequence[str], spread: Mapping[str, float]
    ) -> FloatArray:
        """Return draws of what the jurors may say: errors shared by all, by a group, and of a single vote.

        They depend on the text alone, so that equal texts have the same error in every call, and others their own.
        """
        n_jurors, n_groups = len(predicted), fit.group_response.shape[0]
        errors: dict[str, FloatArray] = {}
        for text in dict.fromkeys(texts):
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
            rng = np.random.default_rng([self.seed, 7, int.from_bytes(digest[:8], "big")])
            common = rng.normal(scale=spread["response"] or 1e-300, size=(self.n_draws, 1))
            by_group = rng.normal(scale=spread["group"] or 1e-300, size=(self.n_draws, n_groups))[:, fit.group]
            errors[text] = common + by_group + rng.normal(scale=spread["vote"] or 1e-300, size=(self.n_draws, n_jurors))
        drawn = predicted[None] + np.stack([errors[text] for text in texts], axis=2) if texts else predicted[None]
        lowest = panel.scale.worst_utility
        if panel.scale.levels is not None:
            step = (1.0 - lowest) / (panel.scale.levels - 1)
            drawn = lowest + step * np.round((drawn - lowest) / step)
        return np.asarray(np.clip(drawn, *self.utility_range(panel)))

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return max(panel.scale.worst_utility, LEAST_UTILITY), 1.0

    def _vectors(self, texts: tuple[str, ...]) -> FloatArray:
        embed = self.embed
        if embed is None:
            embed = _encoder().embed_texts
        return np.asarray(embed(list(texts)), dtype=np.float64)

    def _validated(self, panel: Panel, vectors: FloatArray) -> JsonObject:
        digest = hashlib.sha256(vectors.tobytes()).hexdigest()
        found: dict[str, object] = _report(
            _Key(panel, vectors, f"{panel.sha256} {digest} {self.by}"), self.by, self.seed, self.settings
        )
        return found


def _encoder() -> ModuleType:
    # By its name, so that nothing but the models imports torch.
    return importlib.import_module("pytest_pluralism.models.local.embeddings")


class _Key:
    """A panel and its vectors, told from others by their hash, so that several gates validate one fit once."""

    def __init__(self, panel: Panel, vectors: FloatArray, digest: str) -> None:
        self.panel, self.vectors, self.digest = panel, vectors, digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.digest == self.digest


@functools.lru_cache(maxsize=8)
def _report(key: _Key, by: str | None, seed: int, settings: FitSettings) -> JsonFields:
    return cross_validate(key.panel, key.vectors, by=by, held_out="responses", seed=seed, settings=settings)
