"""How scores and frequencies relate: lines and curves through the logit, which are for display only."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.scores import BLOCK

EDGE = 2.0**-52  # scores closer to 0 or 1 than this have no finite logit
STEPS, CLOSE = 100, 1e-10
AT_ONCE, NEAR = 10, 1e-4  # steps of lines without each case, and the change of a logit that ends them
FAR = 100  # a change of a logit after which steps lead nowhere


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
        if np.abs(step).max() < CLOSE:
            return beta + step
        # a whole step from afar may lead to a worse fit, and from there to nowhere
        worse = _misfit(X, truth, beta) * (1 + CLOSE) + CLOSE
        while np.abs(step).max() >= CLOSE and _misfit(X, truth, beta + step) > worse:
            step /= 2
        beta += step
        if not np.isfinite(beta).all():
            return None
    return None


def _misfit(X: np.ndarray, truth: np.ndarray, beta: np.ndarray) -> Any:
    return np.logaddexp(0, (1 - 2 * truth) * (X @ beta)).sum()


def fit_without_cases(X: np.ndarray, truth: np.ndarray, beta: np.ndarray, cases: np.ndarray, n_cases: int) -> Any:
    """The coefficients of `fit_logistic` without each case, by one step of Newton's method from those for all.

    One step is what makes leaving out each of many cases quick (Pregibon 1981, Annals of Statistics 9:705). It will do
    for a curve where it is drawn, but not for coefficients: see `lines_without_cases`.

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


def lines_without_cases(
    y: np.ndarray, score: np.ndarray, line: tuple[float, float], cases: np.ndarray, n_cases: int
) -> Any:
    """The line of `calibration_line` without each case, for all cases at once.

    One step of Newton's method, as in `fit_without_cases`, would make limits of the intercept half as wide as they are
    if scores are near 0 and 1 and a few errors in between decide on the line.

    Parameters
    ----------
    y, score
        As for `calibration_line`.
    line : (float, float)
        Slope and intercept for all images.
    cases : ndarray of int, shape (n,)
        Codes 0 .. n_cases - 1.
    n_cases : int

    Returns
    -------
    ndarray of float64, shape (n_cases, 2)
        Slope and intercept; NaN if there is no line without a case.

    Examples
    --------
    >>> y, score = np.array([0, 0, 1, 0, 1, 1]), np.array([0.2, 0.4, 0.4, 0.6, 0.6, 0.8])
    >>> lines_without_cases(y, score, calibration_line(y, score), np.array([0, 1, 1, 2, 2, 3]), 4)[:, 0].round(2)
    array([1.21,  nan,  nan, 1.21])
    """
    truth, x = np.asarray(y, np.float64), logits(score)
    middle, spread = x.mean(), x.std()
    X = np.column_stack([np.ones_like(x), (x - middle) / spread])
    reach, left, apart = np.abs(X).max(axis=0), np.arange(n_cases), []
    betas = np.tile([line[1] + line[0] * middle, line[0] * spread], (n_cases, 1))
    for _ in range(AT_ONCE):
        step = _steps(X, truth, betas, cases, left)
        change = np.abs(step) @ reach
        sane = change < FAR
        apart += left[~sane].tolist()
        left, change = left[sane], change[sane]
        betas[left] += step[sane]
        # what a step leaves is about its square, so that one more would change no digit that counts
        left = left[change >= NEAR]
        if not len(left):
            break
    slopes = betas[:, 1] / spread
    lines = np.column_stack([slopes, betas[:, 0] - slopes * middle])
    for case in (*left, *apart):
        rest = cases != case
        lines[case] = calibration_line(truth[rest], score[rest])
    return lines


def _steps(X: np.ndarray, truth: np.ndarray, betas: np.ndarray, cases: np.ndarray, left: np.ndarray) -> Any:
    """A step of Newton's method without each of some cases, from the coefficients of each case."""
    of = np.column_stack([np.ones(len(X)), X[:, 1], X[:, 1] ** 2])
    own = expit((X * betas[cases]).sum(axis=1))
    slopes = X.T @ truth - case_sums(X * (truth - own)[:, None], cases, len(betas))[left]
    bends = -case_sums(of * (own * (1 - own))[:, None], cases, len(betas))[left]
    size = max(1, BLOCK // 16 // len(X))  # small blocks stay in the cache
    for start in range(0, len(left), size):
        part = slice(start, start + size)
        p = betas[left[part]] @ -X.T
        with np.errstate(over="ignore"):  # in place, which takes a fifth of the time of expit
            np.exp(p, out=p)
        p += 1
        np.reciprocal(p, out=p)
        slopes[part] -= p @ X
        p -= p * p
        bends[part] += p @ of
    (first, second), (a, b, c) = slopes.T, bends.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([c * first - b * second, a * second - b * first]) / (a * c - b * b)[:, None]


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
