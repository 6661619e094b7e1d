"""Calibration of scores in images that they were not made for: a line through the logit, which is shown only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

EDGE = 2.0**-52  # scores nearer to 0 or 1 than this have no finite logit
STEPS, CLOSE = 100, 1e-10


def calibration_line(y: Sequence[int] | np.ndarray, score: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the class on the logit of the score (Cox 1958).

    Of scores that are probabilities the slope is 1 and the intercept 0. A slope below 1 says that scores are too
    extreme, an intercept below 0 at a slope of 1 that they are too high.

    Parameters
    ----------
    y : array of int, shape (n,)
        1 of positive images.
    score : array of float, shape (n,)
        In 0..1.

    Returns
    -------
    slope, intercept : float
        NaN where there is no such line: of one class, of one score, or where a threshold parts the classes.

    Examples
    --------
    >>> y, score = np.array([0, 0, 1, 0, 1, 1]), np.array([0.2, 0.4, 0.4, 0.6, 0.6, 0.8])
    >>> round(calibration_line(y, score)[0], 2)
    1.64
    """
    truth, x = np.asarray(y, np.float64), _logits(score)
    ones, zeros = x[truth == 1], x[truth == 0]
    nothing = float("nan"), float("nan")
    if not len(ones) or not len(zeros) or ones.min() >= zeros.max() or ones.max() <= zeros.min():
        return nothing
    middle, spread = x.mean(), x.std()
    X = np.column_stack([np.ones_like(x), (x - middle) / spread])
    beta = np.array([logit(truth.mean()), 0.0])
    for _ in range(STEPS):
        p = expit(X @ beta)
        step = np.linalg.solve((X.T * (p * (1 - p))) @ X, X.T @ (truth - p))
        beta += step
        if np.abs(step).max() < CLOSE:
            slope = beta[1] / spread
            return float(slope), float(beta[0] - slope * middle)
    return nothing


def recalibrated(score: Sequence[float] | np.ndarray, slope: float, intercept: float) -> Any:
    """Scores that a line of `calibration_line` maps to frequencies.

    Examples
    --------
    >>> recalibrated(np.array([0.2, 0.5]), 1.0, 0.0).round(3).tolist()
    [0.2, 0.5]
    """
    return expit(intercept + slope * _logits(score))


def _logits(score: Sequence[float] | np.ndarray) -> Any:
    return logit(np.clip(np.asarray(score, np.float64), EDGE, 1 - EDGE))
