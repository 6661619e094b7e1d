"""How scores and frequencies relate: lines and curves through the logit, which are for display only."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from glomfeat.metrics.by_case import case_sums

EDGE = 2.0**-52  # scores closer to 0 or 1 than this have no finite logit
STEPS, CLOSE = 100, 1e-10


def calibration_line(y: Sequence[int] | np.ndarray, score: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the class on the logit of the score (Cox 1958).

    For scores that are probabilities, the slope is 1 and the intercept 0. A slope below 1 means that scores are too
    extreme; an intercept below 0 at a slope of 1 means that they are too high.

    Parameters
    ----------
    y : array of int, shape (n,)
        1 for positive images.
    score : array of float, shape (n,)
        In 0..1.

    Returns
    -------
    slope, intercept : float
        NaN if there is no such line: with one class, with one score, or if a threshold separates the classes.

    Examples
    --------
    >>> y, score = np.array([0, 0, 1, 0, 1, 1]), np.array([0.2, 0.4, 0.4, 0.6, 0.6, 0.8])
    >>> round(calibration_line(y, score)[0], 2)
    1.64
    """
    truth, x = np.asarray(y, np.float64), logits(score)
    ones, zeros = x[truth == 1], x[truth == 0]
    nothing = float("nan"), float("nan")
    if not len(ones) or not len(zeros) or ones.min() >= zeros.max() or ones.max() <= zeros.min():
        return nothing
    middle, spread = x.mean(), x.std()
    beta = fit_logistic(np.column_stack([np.ones_like(x), (x - middle) / spread]), truth)
    if beta is None:
        return nothing
    slope = beta[1] / spread
    return float(slope), float(beta[0] - slope * middle)


def fit_logistic(X: np.ndarray, truth: np.ndarray) -> Any:
    """Coefficients of an unpenalised logistic regression, by Newton's method.

    Parameters
    ----------
    X : ndarray of float64, shape (n, k)
        The first column holds ones.
    truth : ndarray of float64, shape (n,)
        0 or 1, both of them.

    Returns
    -------
    ndarray of float64, shape (k,), or None
        None if there are no finite ones.

    Examples
    --------
    >>> fit_logistic(np.ones((4, 1)), np.array([0.0, 0, 0, 1])).round(3).tolist()
    [-1.099]
    """
    beta = np.zeros(X.shape[1])
    beta[0] = logit(truth.mean())
    for _ in range(STEPS):
        p = expit(X @ beta)
        try:
            step = np.linalg.solve((X.T * (p * (1 - p))) @ X, X.T @ (truth - p))
        except np.linalg.LinAlgError:
            return None
        beta += step
        if np.abs(step).max() < CLOSE:
            return beta
        if not np.isfinite(beta).all():
            return None
    return None


def fit_without_cases(X: np.ndarray, truth: np.ndarray, beta: np.ndarray, cases: np.ndarray, n_cases: int) -> Any:
    """The coefficients of `fit_logistic` without each case, by one step of Newton's method from those for all.

    One step is what makes leaving out each of many cases quick (Pregibon 1981, Annals of Statistics 9:705).

    Parameters
    ----------
    X, truth
        As for `fit_logistic`.
    beta : ndarray of float64, shape (k,)
        Coefficients for all rows.
    cases : ndarray of int, shape (n,)
        Codes 0 .. n_cases - 1.
    n_cases : int

    Returns
    -------
    ndarray of float64, shape (n_cases, k)
        NaN if nothing can be fitted without a case.

    Examples
    --------
    >>> X, truth, cases = np.ones((4, 1)), np.array([0.0, 1, 0, 1]), np.array([0, 0, 1, 1])
    >>> fit_without_cases(X, truth, np.zeros(1), cases, 2).tolist()
    [[0.0], [0.0]]
    """
    p, k = expit(X @ beta), X.shape[1]
    slopes = case_sums(X * (truth - p)[:, None], cases, n_cases)
    weighed = X * (p * (1 - p))[:, None]
    # column by column, so that no array is larger than X
    bends = np.stack([case_sums(weighed * X[:, [of]], cases, n_cases) for of in range(k)], axis=1)
    left = bends.sum(axis=0) - bends
    found = np.full((n_cases, k), np.nan)
    for case in range(n_cases):
        with contextlib.suppress(np.linalg.LinAlgError):
            found[case] = beta - np.linalg.solve(left[case], slopes[case])
    return found


def recalibrated(score: Sequence[float] | np.ndarray, slope: float, intercept: float) -> Any:
    """Map scores to frequencies by a line from `calibration_line`.

    Examples
    --------
    >>> recalibrated(np.array([0.2, 0.5]), 1.0, 0.0).round(3).tolist()
    [0.2, 0.5]
    """
    return expit(intercept + slope * logits(score))


def logits(score: Sequence[float] | np.ndarray, edge: float = EDGE) -> Any:
    """The logits of scores; scores closer to 0 or 1 than an edge count as at the edge.

    Examples
    --------
    >>> logits([0.5, 1.0], 0.25).round(3).tolist()
    [0.0, 1.099]
    """
    return logit(np.clip(np.asarray(score, np.float64), edge, 1 - edge))
