"""Bridging: the approval of a response beyond the agreement of the like-minded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    BoolArray,
    FloatArray,
    IntArray,
    generator_of,
    number_array,
    real_number,
    whole_number,
)

__all__ = ["BridgingFit", "bridging_intercepts"]


#: A penalty beyond this leaves nothing but its own rounding errors to fit.
MOST_PENALTY = 1e12


@dataclass(frozen=True, eq=False)
class BridgingFit:
    """A fitted bridging model: ``rating ~ intercept + rater + response + rater factor * response factor``.

    Parameters of raters who rated nothing and of responses that nobody rated are NaN.
    The factors are known up to their common sign, which is chosen so that the largest rater factor (the first of
    equals) is positive.

    Attributes
    ----------
    intercept : float
        The overall level.
    respondent_intercepts : numpy.ndarray, shape (n_respondents,)
        The generosity of each rater.
    response_intercepts : numpy.ndarray, shape (n_responses,)
        The bridging score of each response: higher is better.
    respondent_factors : numpy.ndarray, shape (n_respondents,)
        The viewpoint of each rater.
    response_factors : numpy.ndarray, shape (n_responses,)
        Which viewpoint each response speaks to; 0 speaks to none in particular.
    n_ratings : numpy.ndarray of int, shape (n_responses,)
        The number of ratings of each response.
    helpful : numpy.ndarray of bool, shape (n_responses,)
        Whether the bridging score reaches the threshold with enough ratings.
    loss : float
        The penalised mean squared error.
    converged : bool
        Whether the optimiser met its tolerance.
    """

    intercept: float
    respondent_intercepts: FloatArray
    response_intercepts: FloatArray
    respondent_factors: FloatArray
    response_factors: FloatArray
    n_ratings: IntArray
    helpful: BoolArray
    loss: float
    converged: bool


@dataclass(frozen=True, eq=False)
class _Votes:
    """The ratings that were given, as a list, and the penalties."""

    respondent: IntArray
    response: IntArray
    rating: FloatArray
    n_respondents: int
    n_responses: int
    intercept_penalty: float
    factor_penalty: float

    def split(self, theta: FloatArray, /) -> list[FloatArray]:
        """Return the overall level, intercepts of respondents and responses, and factors of both."""
        n, m = self.n_respondents, self.n_responses
        return np.split(theta, np.cumsum([1, n, m, n]))

    def loss_and_gradient(self, theta: FloatArray, /) -> tuple[float, FloatArray]:
        """Return the penalised mean squared error and its derivatives.

        As in the published program, the squared error is averaged over ratings, and each penalty over the parameters
        of its kind.
        """
        level, own, shared, view, slant = self.split(theta)
        u, n = self.respondent, self.response
        error = level[0] + own[u] + shared[n] + view[u] * slant[n] - self.rating
        strict, loose = self.intercept_penalty, self.factor_penalty
        loss = float(np.mean(error**2))
        loss += strict * float(level[0] ** 2 + np.mean(own**2) + np.mean(shared**2))
        loss += loose * float(np.mean(view**2) + np.mean(slant**2))
        step = 2.0 * error / error.size
        gradient = np.concatenate(
            [
                [step.sum() + 2.0 * strict * level[0]],
                np.bincount(u, step, self.n_respondents) + 2.0 * strict * own / own.size,
                np.bincount(n, step, self.n_responses) + 2.0 * strict * shared / shared.size,
                np.bincount(u, step * slant[n], self.n_respondents) + 2.0 * loose * view / view.size,
                np.bincount(n, step * view[u], self.n_responses) + 2.0 * loose * slant / slant.size,
            ]
        )
        return loss, gradient

    def start(self) -> FloatArray:
        """Return a start without chance: the mean, and the leading singular pair of what it leaves.

        With factors of 0 the gradient of the factors is 0 as well, so that no optimiser would leave that point.
        """
        residual = np.zeros((self.n_respondents, self.n_responses))
        level = float(self.rating.mean())
        residual[self.respondent, self.response] = self.rating - level
        n_by_response = np.bincount(self.response, minlength=self.n_responses)
        residual[self.respondent, self.response] -= (residual.sum(axis=0) / n_by_response)[self.response]
        slant = residual[int(np.argmax(np.abs(residual).sum(axis=1)))].copy()
        size = float(np.linalg.norm(slant))
        for _ in range(30):
            if size == 0.0:
                break
            view = residual @ (slant / size)
            slant = residual.T @ view
            size = float(np.linalg.norm(slant))
        theta = np.zeros(1 + 2 * (self.n_respondents + self.n_responses))
        theta[0] = level
        if size > 0.0:
            view /= np.sqrt(np.mean(view**2))
            slant /= np.sqrt(np.mean(slant**2))
            # Of the size that explains the residual: least squares of the ratings on the product.
            product = view[self.respondent] * slant[self.response]
            left = residual[self.respondent, self.response]
            scale = np.sqrt(max(float(product @ left) / float(product @ product), 0.0))
            theta[-self.n_responses - self.n_respondents : -self.n_responses] = scale * view
            theta[-self.n_responses :] = scale * slant
        return theta

    def best_fit(self, starts: Sequence[FloatArray], /, *, max_iterations: int) -> tuple[float, FloatArray]:
        """Return the least loss that is found from the starts, and where it lies."""
        fits = [
            minimize(
                self.loss_and_gradient,
                start,
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxiter": max_iterations,
                    "maxfun": 10 * max_iterations,
                    "ftol": 0.0,
                    "gtol": 1e-10,
                    "maxcor": 20,
                },
            )
            for start in starts
        ]
        # The first start among those that are best up to rounding, so that equal minima do not flicker.
        lowest = min(float(fit.fun) for fit in fits)
        best = next(fit for fit in fits if float(fit.fun) <= lowest + 1e-10)
        return float(best.fun), np.asarray(best.x, dtype=np.float64)


def bridging_intercepts(
    ratings: npt.ArrayLike,
    /,
    *,
    intercept_penalty: float = 0.15,
    factor_penalty: float = 0.03,
    threshold: float = 0.40,
    min_ratings: int = 5,
    n_restarts: int = 0,
    rng: np.random.Generator | int = 0,
    max_iterations: int = 10_000,
) -> BridgingFit:
    r"""Compute the bridging scores of responses: their approval after the viewpoints of the raters are taken out.

    .. math:: \hat r_{un} = \mu + i_u + i_n + f_u f_n

    fitted by minimising, over the ratings that were given,

    .. math:: \operatorname{mean}_{u,n} (r_{un} - \hat r_{un})^2
        + \lambda_i \bigl(\mu^2 + \operatorname{mean}_u i_u^2 + \operatorname{mean}_n i_n^2\bigr)
        + \lambda_f \bigl(\operatorname{mean}_u f_u^2 + \operatorname{mean}_n f_n^2\bigr)

    The dearer intercept makes the model explain approval by shared viewpoint wherever it can; what is left in
    :math:`i_n` is approval across viewpoints.

    Parameters
    ----------
    ratings : array_like, shape (n_respondents, n_responses)
        In [0, 1]: 1 helpful, 0 not; NaN where nobody rated.
    intercept_penalty, factor_penalty : float, default 0.15 and 0.03
        The penalties :math:`\lambda_i` and :math:`\lambda_f`, positive.
    threshold : float, default 0.40
        The least bridging score of a helpful response.
    min_ratings : int, default 5
        The least number of ratings of a helpful response.
    n_restarts : int, default 0
        Further fits from random starts, since the loss has local minima; the best fit is returned.
    rng : numpy.random.Generator or int, default 0
        The generator of the random starts, or its seed; without restarts there is no chance in the fit.
    max_iterations : int, default 10000
        The limit of the optimiser (L-BFGS) for one start.

    Returns
    -------
    BridgingFit
        ``response_intercepts`` are the scores, roughly in [-1, 1]; higher is better.

    Raises
    ------
    InvalidParameterError
        If ``ratings`` is not a matrix, holds a number outside [0, 1], or holds nothing but NaN.
    InvalidParameterError
        If a penalty is not positive.
    InvalidParameterError
        If ``threshold`` is not a finite number, or a count is not an integer of its range.

    Notes
    -----
    The published program drops responses with few ratings, and raters who gave few, before it fits; here everybody
    stays in the fit, and ``min_ratings`` decides only what may be called helpful.

    References
    ----------
    Wojcik et al. 2022, Birdwatch, arXiv:2210.15723.

    Examples
    --------
    >>> likes = [[1, 1, 0, 0]] * 5 + [[1, 0, 1, 0]] * 5
    >>> fit = bridging_intercepts(likes)
    >>> int(fit.response_intercepts.argmax()), fit.helpful.tolist()
    (0, [True, False, False, False])
    """
    function = "bridging_intercepts"
    array, given = _rated(ratings, function=function)
    for name, value in (("intercept_penalty", intercept_penalty), ("factor_penalty", factor_penalty)):
        if not 0.0 < real_number(value, name=name, function=function) <= MOST_PENALTY:
            raise invalid_parameter(name, function, f"a number in (0, {MOST_PENALTY:g}]", value)
    bound = real_number(threshold, name="threshold", function=function)
    least = whole_number(min_ratings, name="min_ratings", function=function, least=0)
    restarts = whole_number(n_restarts, name="n_restarts", function=function, least=0)
    iterations = whole_number(max_iterations, name="max_iterations", function=function, least=1)
    raters, rated = np.asarray(given.any(axis=1)), np.asarray(given.any(axis=0))
    part = array[np.ix_(raters, rated)]
    respondent, response = np.nonzero(~np.isnan(part))
    votes = _Votes(
        respondent=respondent,
        response=response,
        rating=part[respondent, response],
        n_respondents=part.shape[0],
        n_responses=part.shape[1],
        intercept_penalty=float(intercept_penalty),
        factor_penalty=float(factor_penalty),
    )
    generator = generator_of(rng, function=function)
    starts = [votes.start()]
    starts += [generator.normal(scale=0.5, size=starts[0].size) for _ in range(restarts)]
    loss, theta = votes.best_fit(starts, max_iterations=iterations)
    level, own, shared, view, slant = votes.split(theta)
    # The first rater among those whose factor is largest up to rounding.
    strongest = int(np.argmax(np.abs(view) >= (1.0 - 1e-6) * np.abs(view).max()))
    sign = -1.0 if view[strongest] < 0.0 else 1.0
    scores = _spread(shared, rated)
    n_ratings = np.asarray(given.sum(axis=0), dtype=np.intp)
    gradient = votes.loss_and_gradient(theta)[1]
    return BridgingFit(
        intercept=float(level[0]),
        respondent_intercepts=_spread(own, raters),
        response_intercepts=scores,
        respondent_factors=_spread(sign * view, raters),
        response_factors=_spread(sign * slant, rated),
        n_ratings=n_ratings,
        helpful=np.asarray(rated & (np.nan_to_num(scores, nan=-np.inf) >= bound) & (n_ratings >= least)),
        loss=loss,
        # With no tolerance on the loss the line search may stop at the limit of rounding, which is convergence too.
        converged=bool(np.abs(gradient).max() < 1e-7),
    )


def _rated(ratings: npt.ArrayLike, /, *, function: str) -> tuple[FloatArray, BoolArray]:
    """Return the matrix of ratings, and which of them were given."""
    array = number_array(ratings, name="ratings", function=function)
    if array.ndim != 2:
        must = "a matrix of shape (n_respondents, n_responses)"
        raise invalid_parameter("ratings", function, must, f"shape {array.shape}")
    given = ~np.isnan(array)
    if not given.any():
        raise invalid_parameter("ratings", function, "a matrix with at least one rating", "only NaN")
    outside = given & ~((array >= 0.0) & (array <= 1.0))
    if outside.any():
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        must = "in [0, 1] (map a scale to it first), or NaN where nobody rated"
        raise invalid_parameter("ratings", function, must, f"{array[where]} at index {where}")
    return array, given


def _spread(values: FloatArray, known: BoolArray, /) -> FloatArray:
    """Return the values at the places that are known and NaN at the others."""
    result = np.full(known.shape, np.nan)
    result[known] = values
    return result
