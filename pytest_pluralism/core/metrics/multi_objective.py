"""Multi-objective pluralism: the whole spectrum of objectives, and whether a model can be steered along it.

Every objective is to be maximised.
The last axis of every array of objectives is the objectives; a row is one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.equal import compare, difference, levelled
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import BoolArray, FloatArray, finite_array, float_or_array

__all__ = [
    "LinearCommensuration",
    "SingleObjective",
    "commensurate",
    "diagonal_dominance",
    "hypervolume",
    "is_pareto_improvement",
    "pareto_front",
    "pareto_ranks",
    "summed_reward",
    "trade_off_matrix",
    "trade_off_regret",
]


#: A function that turns the objectives of one model into one number.
Commensuration = Callable[[FloatArray], Any]


def _points(objectives: npt.ArrayLike, /, *, function: str) -> FloatArray:
    array = finite_array(objectives, name="objectives", function=function, minimum_ndim=2)
    if array.ndim != 2:
        raise invalid_parameter("objectives", function, "of shape (n_models, n_objectives)", f"shape {array.shape}")
    # moocore reads plain C-ordered memory; a copy also keeps the caller's array out of its reach.
    return np.array(array, order="C", copy=True)


def is_pareto_improvement(a: npt.ArrayLike, b: npt.ArrayLike, /) -> BoolArray | bool:
    r"""Return whether model ``a`` is a Pareto improvement over model ``b``.

    .. math:: \forall i: o_i(a) \ge o_i(b) \quad\text{and}\quad \exists i: o_i(a) > o_i(b)

    Parameters
    ----------
    a, b : array_like of shape (..., n_objectives)
        The objectives of each model; the leading axes broadcast.

    Returns
    -------
    bool or ndarray of bool of shape (...)
        No model improves on itself or on one with equal objectives; :func:`~pytest_pluralism.core.equal.compare` says
        what is equal.

    Raises
    ------
    InvalidParameterError
        If ``a`` or ``b`` is empty or not finite.
    InvalidParameterError
        If ``a`` and ``b`` have different numbers of objectives, or leading axes that do not broadcast.

    Notes
    -----
    Definition 12 of Sorensen et al. 2024 (arXiv 2402.05070).

    Examples
    --------
    >>> is_pareto_improvement([0.7, 0.5], [0.6, 0.5])
    True
    >>> is_pareto_improvement([0.7, 0.4], [0.6, 0.5])
    False
    """
    function = "is_pareto_improvement"
    left = finite_array(a, name="a", function=function)
    right = finite_array(b, name="b", function=function)
    if left.shape[-1] != right.shape[-1]:
        must = f"of as many objectives as 'a' ({left.shape[-1]})"
        raise invalid_parameter("b", function, must, f"{right.shape[-1]}")
    try:
        np.broadcast_shapes(left.shape, right.shape)
    except ValueError as error:
        raise invalid_parameter("b", function, f"of a shape that fits {left.shape}", f"shape {right.shape}") from error
    signs = np.asarray(compare(left, right))
    better = np.asarray((signs >= 0).all(axis=-1) & (signs > 0).any(axis=-1))
    return bool(better) if better.ndim == 0 else better


def pareto_front(objectives: npt.ArrayLike, /) -> BoolArray:
    """Return which models have no Pareto improvement among the others: the top of a multi-objective leaderboard.

    Parameters
    ----------
    objectives : array_like of shape (n_models, n_objectives)
        The objectives of each model, all to be maximised.

    Returns
    -------
    ndarray of bool of shape (n_models,)
        True for the front. Models with the same objectives are all on it, or all off it. At least one is True.

    Raises
    ------
    InvalidParameterError
        If ``objectives`` are empty, not finite, or not in two axes.

    Notes
    -----
    Definition 14 of Sorensen et al. 2024 (arXiv 2402.05070).
    Computed by moocore with the dimension sweep of Kung, Luccio and Preparata 1975, doi:10.1145/321906.321910.

    Examples
    --------
    >>> pareto_front([[1, 3], [3, 1], [1, 1], [3, 1]])
    array([ True,  True, False,  True])
    """
    points = _points(objectives, function="pareto_front")
    return np.asarray(moocore.is_nondominated(levelled(points), maximise=True, keep_weakly=True), dtype=np.bool_)


def pareto_ranks(objectives: npt.ArrayLike, /) -> npt.NDArray[np.intp]:
    """Return the rank of each model: 0 on the front, 1 on the front once that is taken away, and so on.

    Parameters
    ----------
    objectives : array_like of shape (n_models, n_objectives)
        The objectives of each model, all to be maximised.

    Returns
    -------
    ndarray of int of shape (n_models,)
        In [0, n_models - 1]; the best value is 0. Models with the same objectives share a rank.

    Raises
    ------
    InvalidParameterError
        If ``objectives`` are empty, not finite, or not in two axes.

    Notes
    -----
    Nondominated sorting: Deb et al. 2002, doi:10.1109/4235.996017. Computed by moocore.

    Examples
    --------
    >>> pareto_ranks([[1, 3], [3, 1], [1, 1], [0, 0]])
    array([0, 0, 1, 2])
    """
    points = _points(objectives, function="pareto_ranks")
    return np.asarray(moocore.pareto_rank(levelled(points), maximise=True), dtype=np.intp)


def hypervolume(objectives: npt.ArrayLike, /, *, reference_point: npt.ArrayLike) -> float:
    """Compute the volume of the part of objective space that a set of models dominates, above a reference point.

    Parameters
    ----------
    objectives : array_like of shape (n_models, n_objectives)
        The objectives of each model (or of one model under each steering), all to be maximised.
    reference_point : array_like of shape (n_objectives,)
        The corner from which the volume is measured: no better than any model in any objective.

    Returns
    -------
    float
        In [0, inf), in the product of the units of the objectives; higher is better.
        0 if every model equals the reference point in some objective.

    Raises
    ------
    InvalidParameterError
        If ``objectives`` are empty, not finite, or not in two axes.
    InvalidParameterError
        If ``reference_point`` is not one finite number an objective.
    InvalidParameterError
        If a model is below ``reference_point`` in an objective: it would be left out of the volume in silence.

    Notes
    -----
    Volumes with different reference points cannot be compared: fix it before looking at the results.
    Zitzler and Thiele 1998, doi:10.1007/BFb0056872; computed by moocore.

    Examples
    --------
    >>> hypervolume([[1, 3], [3, 1], [1, 1]], reference_point=[0, 0])
    5.0
    """
    function = "hypervolume"
    points = _points(objectives, function=function)
    corner = finite_array(reference_point, name="reference_point", function=function)
    if corner.shape != points.shape[1:]:
        must = f"one number an objective ({points.shape[1]})"
        raise invalid_parameter("reference_point", function, must, f"shape {corner.shape}")
    below = np.asarray(compare(points, corner)) < 0
    if below.any():
        row, axis = (int(i) for i in np.argwhere(below)[0])
        must = "no greater than any model in any objective"
        got = f"{corner[axis]:g} for objective {axis}, where model {row} has {points[row, axis]:g},"
        raise invalid_parameter("reference_point", function, must, got)
    return float(moocore.hypervolume(points, ref=np.array(corner, copy=True), maximise=True))


@dataclass(frozen=True)
class LinearCommensuration:
    """A commensurating function that adds up the objectives with fixed weights.

    Parameters
    ----------
    weights : sequence of float
        One finite weight an objective, at least one of them not 0.

    Raises
    ------
    InvalidParameterError
        If the weights are not finite, not in one axis, or all 0.

    Examples
    --------
    >>> float(LinearCommensuration((0.5, 0.5))([0.2, 0.6]))
    0.4
    """

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        array = finite_array(self.weights, name="weights", function="LinearCommensuration")
        if array.ndim != 1:
            raise invalid_parameter("weights", "LinearCommensuration", "one number an objective", f"{array.ndim} axes")
        if not array.any():
            raise invalid_parameter("weights", "LinearCommensuration", "not all 0", "only zeros")
        object.__setattr__(self, "weights", tuple(float(weight) for weight in array))

    def __call__(self, objectives: npt.ArrayLike, /) -> Any:
        """Return the weighted sum over the last axis."""
        array = finite_array(objectives, name="objectives", function="LinearCommensuration")
        if array.shape[-1] != len(self.weights):
            must = f"of {len(self.weights)} objectives, one a weight"
            raise invalid_parameter("objectives", "LinearCommensuration", must, f"{array.shape[-1]}")
        # Not `@`: the result must not depend on how many models share the call.
        return (array * np.array(self.weights)).sum(axis=-1)


@dataclass(frozen=True)
class SingleObjective:
    """A commensurating function that looks at one objective and no other.

    Parameters
    ----------
    index : int
        Which objective, from 0.

    Raises
    ------
    InvalidParameterError
        If the index is not an integer that is 0 or more.

    Examples
    --------
    >>> float(SingleObjective(1)([0.2, 0.6]))
    0.6
    """

    index: int

    def __post_init__(self) -> None:
        if isinstance(self.index, bool) or not isinstance(self.index, (int, np.integer)) or self.index < 0:
            raise invalid_parameter("index", "SingleObjective", "an integer in [0, inf)", repr(self.index))

    def __call__(self, objectives: npt.ArrayLike, /) -> Any:
        """Return the objective."""
        array = finite_array(objectives, name="objectives", function="SingleObjective")
        if self.index >= array.shape[-1]:
            must = f"of more than {self.index} objectives"
            raise invalid_parameter("objectives", "SingleObjective", must, f"{array.shape[-1]}")
        return array[..., self.index]


def _checked_functions(functions: object, /, *, function: str) -> tuple[Commensuration, ...]:
    if callable(functions):
        raise invalid_parameter("functions", function, "a sequence of callables", "one callable")
    if not isinstance(functions, Iterable):
        raise invalid_parameter("functions", function, "a sequence of callables", repr(functions)[:80])
    listed = tuple(functions)
    if not listed:
        raise invalid_parameter("functions", function, "a non-empty sequence of callables", "none")
    for index, entry in enumerate(listed):
        if not callable(entry):
            raise invalid_parameter("functions", function, "a sequence of callables", f"{entry!r} at index {index}")
    return listed


def commensurate(objectives: npt.ArrayLike, functions: Sequence[Commensuration], /) -> FloatArray:
    """Return the value of each model under each commensurating function.

    Parameters
    ----------
    objectives : array_like of shape (..., n_objectives)
        The objectives of each model.
    functions : sequence of callables
        Each makes one number of the objectives of one model: :class:`LinearCommensuration`, :class:`SingleObjective`,
        or any callable that takes an array of shape (n_objectives,), such as ``min``.
        Any callable is called once a model; the two classes take all models at once.

    Returns
    -------
    ndarray of shape (n_functions, ...)
        Higher is better.

    Raises
    ------
    InvalidParameterError
        If ``objectives`` are empty or not finite.
    InvalidParameterError
        If ``functions`` is empty, or holds something that cannot be called.
    InvalidParameterError
        If a function does not return one finite number.

    Notes
    -----
    Definition 13 of Sorensen et al. 2024 (arXiv 2402.05070).

    Examples
    --------
    >>> commensurate([[0.2, 0.6], [0.5, 0.5]], [SingleObjective(0), min])
    array([[0.2, 0.5],
           [0.2, 0.5]])
    """
    return _commensurate(objectives, functions, "objectives", "commensurate")


def _commensurate(
    objectives: npt.ArrayLike, functions: Sequence[Commensuration], name: str, function: str
) -> FloatArray:
    array = finite_array(objectives, name=name, function=function)
    listed = _checked_functions(functions, function=function)
    result = np.empty((len(listed), *array.shape[:-1]))
    for index, entry in enumerate(listed):
        if isinstance(entry, (LinearCommensuration, SingleObjective)):
            result[index] = entry(array)
            continue
        flat = [entry(vector.copy()) for vector in array.reshape(-1, array.shape[-1])]
        try:
            values = np.array(flat, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise invalid_parameter("functions", function, "callables that return one number", repr(flat[0])) from error
        if values.ndim != 1 or not np.isfinite(values).all():
            got = f"{flat[0]!r}" if values.ndim != 1 else f"{values[~np.isfinite(values)][0]} from function {index}"
            raise invalid_parameter("functions", function, "callables that return one finite number", got)
        result[index] = values.reshape(array.shape[:-1])
    return result


def trade_off_matrix(objectives_by_steering: npt.ArrayLike, functions: Sequence[Commensuration], /) -> FloatArray:
    """Return the value under each commensurating function f of the model steered to each f'.

    Parameters
    ----------
    objectives_by_steering : array_like of shape (..., n_functions, n_objectives)
        Row f' holds the objectives of the model when it is steered to the function f'.
    functions : sequence of callables
        The functions that the model was steered to, in the order of the rows; as in :func:`commensurate`.

    Returns
    -------
    ndarray of shape (..., n_functions, n_functions)
        Entry [f, f'] is f(M_f'): the diagonal is the model steered to the function that judges it.

    Raises
    ------
    InvalidParameterError
        If ``objectives_by_steering`` is empty, not finite, or has fewer than two axes.
    InvalidParameterError
        If there are not as many functions as rows.
    InvalidParameterError
        If a function cannot be called or does not return one finite number.

    Notes
    -----
    Definitions 15 to 17 of Sorensen et al. 2024 (arXiv 2402.05070).

    Examples
    --------
    >>> trade_off_matrix([[0.9, 0.1], [0.3, 0.8]], [SingleObjective(0), SingleObjective(1)])
    array([[0.9, 0.3],
           [0.1, 0.8]])
    """
    function = "trade_off_matrix"
    array = finite_array(objectives_by_steering, name="objectives_by_steering", function=function, minimum_ndim=2)
    listed = _checked_functions(functions, function=function)
    if len(listed) != array.shape[-2]:
        must = f"as many as the rows of 'objectives_by_steering' ({array.shape[-2]})"
        raise invalid_parameter("functions", function, must, f"{len(listed)}")
    values = _commensurate(array, listed, "objectives_by_steering", function)
    return np.moveaxis(values, 0, -2)


def _square(objective_by_steering: npt.ArrayLike, /, *, function: str) -> FloatArray:
    array = finite_array(objective_by_steering, name="objective_by_steering", function=function, minimum_ndim=2)
    if array.shape[-1] != array.shape[-2]:
        must = "square in its last two axes: functions by steerings"
        raise invalid_parameter("objective_by_steering", function, must, f"shape {array.shape}")
    return array


def trade_off_regret(objective_by_steering: npt.ArrayLike, /) -> FloatArray:
    r"""Return the loss under each function from having steered to it rather than to the best steering for it.

    .. math:: \max_{f'} f(M_{f'}) - f(M_f)

    Parameters
    ----------
    objective_by_steering : array_like of shape (..., n_functions, n_functions)
        Entry [f, f'] is f(M_f'), as :func:`trade_off_matrix` makes it.

    Returns
    -------
    ndarray of shape (..., n_functions)
        In [0, inf), in the units of the function; the best value is 0.
        The model is steerable to all functions exactly when every regret is 0.

    Raises
    ------
    InvalidParameterError
        If the matrix is empty, not finite, or not square.

    Notes
    -----
    Zero regret is also what a model gets that ignores steering: read it beside :func:`summed_reward`.
    Definition 16 of Sorensen et al. 2024 (arXiv 2402.05070); the difference as a measure is ours.

    Examples
    --------
    >>> trade_off_regret([[0.9, 0.3], [0.6, 0.5]]).round(3)
    array([0. , 0.1])
    """
    array = _square(objective_by_steering, function="trade_off_regret")
    return difference(array.max(axis=-1), np.diagonal(array, axis1=-2, axis2=-1))


def diagonal_dominance(objective_by_steering: npt.ArrayLike, /, *, strict: bool = False) -> FloatArray | float:
    r"""Return the share of the functions for which no other steering does better: f(M_f) >= f(M_f') for all f'.

    Parameters
    ----------
    objective_by_steering : array_like of shape (..., n_functions, n_functions)
        Entry [f, f'] is f(M_f'), as :func:`trade_off_matrix` makes it.
    strict : bool, default False
        Whether every other steering must do worse, so that a tie does not count.

    Returns
    -------
    float or ndarray of shape (...)
        In [0, 1]; the best value is 1, and then the model is steerable to the set of functions. Ties count unless
        ``strict``: a model that ignores steering has 1, and strictly 0.

    Raises
    ------
    InvalidParameterError
        If the matrix is empty, not finite, or not square.

    Notes
    -----
    Definition 16 of Sorensen et al. 2024 (arXiv 2402.05070).

    Examples
    --------
    >>> diagonal_dominance([[0.9, 0.3], [0.6, 0.5]])
    0.5
    """
    array = _square(objective_by_steering, function="diagonal_dominance")
    own = np.diagonal(array, axis1=-2, axis2=-1)
    if not strict:
        best = np.asarray(compare(own, array.max(axis=-1))) >= 0
    else:
        others = np.where(np.eye(array.shape[-1], dtype=np.bool_), -np.inf, array)
        best = np.asarray(compare(own, others.max(axis=-1))) > 0
    return float_or_array(np.asarray(best.mean(axis=-1), dtype=np.float64))


def summed_reward(objective_by_steering: npt.ArrayLike, /) -> FloatArray | float:
    r"""Sum over the functions f of f(M_f): how high a model gets where it is steered to.

    Parameters
    ----------
    objective_by_steering : array_like of shape (..., n_functions, n_functions)
        Entry [f, f'] is f(M_f'), as :func:`trade_off_matrix` makes it.

    Returns
    -------
    float or ndarray of shape (...)
        In the units of the functions, which must be comparable; higher is better.

    Raises
    ------
    InvalidParameterError
        If the matrix is empty, not finite, or not square.

    Notes
    -----
    Definition 17 of Sorensen et al. 2024 (arXiv 2402.05070).

    Examples
    --------
    >>> summed_reward([[0.9, 0.3], [0.6, 0.5]])
    1.4
    """
    array = _square(objective_by_steering, function="summed_reward")
    return float_or_array(np.asarray(np.trace(array, axis1=-2, axis2=-1)))
