"""Shares of answers that an imperfect reader named: what it misreads and what it leaves out is taken out again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import FloatArray, number_array

__all__ = ["Misreading"]

#: Enough steps for shares that move by less than a thousandth.
_STEPS = 300

#: Half a text is added to each count where the errors themselves are drawn (Jeffreys).
_UNSEEN = 0.5


@dataclass(frozen=True, eq=False)
class Misreading:
    r"""Count how a reader reads texts whose options people know.

    Attributes
    ----------
    counts : numpy.ndarray, shape (n_options + 1, n_options + 1)
        How many texts that say option i (a row) were read as option j (a column). The last row holds texts that say no
        option, the last column those that the reader names no option for.

    Raises
    ------
    InvalidParameterError
        The counts are not such a table, or an option has no text.

    Examples
    --------
    >>> errors = Misreading(np.array([[9, 1, 0], [1, 7, 2], [0, 0, 10]]))
    >>> round(errors.power, 3)
    0.775
    >>> errors.shares(np.array([[9.0, 1.0, 0.0]])).round(3).tolist()
    [[1.0, 0.0]]
    """

    counts: FloatArray

    def __post_init__(self) -> None:
        table = number_array(self.counts, name="counts", function="Misreading")
        if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 3 or (table < 0).any():
            must = "a square table of counts, at least 3 by 3"
            raise invalid_parameter("counts", "Misreading", must, f"a table of shape {table.shape}")
        if (table[:-1].sum(axis=1) <= 0).any():
            raise invalid_parameter("counts", "Misreading", "texts of each option", "none of one of them")
        object.__setattr__(self, "counts", table)

    @property
    def n_options(self) -> int:
        """The number of options."""
        return len(self.counts) - 1

    @property
    def power(self) -> float:
        r"""The part of a difference between two options that is left, in [-1, 1]; 0 for a reader that guesses.

        .. math:: J = \frac{\sum_i C_{ii} - 1}{K - 1}

        with :math:`C_{ij}` the share of the texts of option i with a named option that are read as option j.
        """
        return float(_power(self.counts[None])[0])

    def drawn(self, n_draws: int, /, *, seed: int) -> FloatArray:
        """Return the errors as they may as well be, given how few texts were read.

        Parameters
        ----------
        n_draws : int
            How many.
        seed : int
            Of the draws.

        Returns
        -------
        numpy.ndarray, shape (n_draws, n_options + 1, n_options + 1)
            Rates, drawn from the Dirichlet distribution of each row with half a text added to each count.
        """
        generator = np.random.default_rng(seed)
        rows = [generator.dirichlet(row + _UNSEEN, size=n_draws) for row in self.counts]
        return np.stack(rows, axis=1)

    def power_error(self, drawn: FloatArray, /) -> float:
        """Return the standard error of the power, over drawn errors."""
        return float(np.std(_power(drawn)))

    def shares(self, named: FloatArray, /, *, rates: FloatArray | None = None) -> FloatArray:
        r"""Return the shares of the options among texts that say one, without the reader's errors.

        .. math:: \hat p = \arg\max_p \sum_j n_j \log \sum_i p_i A_{ij}

        over all distributions :math:`p` of options and of texts that say none, by the EM algorithm.

        Parameters
        ----------
        named : numpy.ndarray, shape (n_questions, n_options + 1)
            How many texts were read as each option, those without a named option last.
        rates : numpy.ndarray, shape (..., n_options + 1, n_options + 1), optional
            The errors, or several of them; by default those of the counts.

        Returns
        -------
        numpy.ndarray, shape (..., n_questions, n_options)
            Shares that sum to 1; even ones where no text names an option.

        References
        ----------
        A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
        J. R. Stat. Soc. B 39, 1977, doi:10.1111/j.2517-6161.1977.tb01600.x.
        """
        table = self.counts if rates is None else rates
        # Without texts that say no option nothing is known of them.
        kept = self.n_options + int(table[..., -1, :].sum() > 0)
        errors = table[..., :kept, :] / table[..., :kept, :].sum(axis=-1, keepdims=True)
        back = np.swapaxes(errors, -1, -2)
        found = np.full((*table.shape[:-2], len(named), kept), 1.0 / kept)
        for _ in range(_STEPS):
            # A column that nothing leads to says nothing about the truth.
            expected = found @ errors
            weights = np.divide(named, expected, out=np.zeros_like(expected), where=expected > 0)
            found = found * (weights @ back)
            totals = found.sum(axis=-1, keepdims=True)
            found = np.where(totals > 0, found / np.where(totals > 0, totals, 1.0), 1.0 / kept)
        options = found[..., : self.n_options]
        totals = options.sum(axis=-1, keepdims=True)
        silent = named[:, :-1].sum(axis=1, keepdims=True) <= 0
        even = np.full_like(options, 1.0 / self.n_options)
        return np.asarray(np.where(silent | (totals <= 0), even, options / np.where(totals > 0, totals, 1.0)))


def _power(tables: FloatArray) -> FloatArray:
    n = tables.shape[-1] - 1
    named = tables[:, :n, :n]
    totals = named.sum(axis=2)
    right = np.diagonal(named, axis1=1, axis2=2)
    # An option whose texts are never named cannot be distinguished from others.
    shares = np.where(totals > 0, right / np.where(totals > 0, totals, 1.0), 1.0 / n)
    return np.asarray((shares.sum(axis=1) - 1.0) / (n - 1))
