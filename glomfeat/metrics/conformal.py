"""Sets of classes that hold the true one as often as promised, with the case as the unit."""

from typing import Any

import numpy as np

from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.scores import two_class

LEVEL = 0.9
LEAST_CASES = 9  # with fewer cases, only the set of all classes keeps the promise


def by_class(score: np.ndarray) -> Any:
    """Scores with one column per class.

    Examples
    --------
    >>> by_class(np.array([0.25])).tolist()
    [[0.75, 0.25]]
    """
    score = np.asarray(score, np.float64)
    return np.column_stack([1 - score, score]) if two_class(score) else score


def case_quantile(y: np.ndarray, score: np.ndarray, cases: np.ndarray) -> tuple[float | None, int]:
    """How far a score may be from a class in the set, so that 90 % of a new case's images are covered.

    Split conformal prediction for images in cases (Dunn, Wasserman & Ramdas 2023, JASA 118:2491; Lee, Barber & Willett
    2023): each of K cases weighs 1 / (K + 1), however many images it has, and the new one has the remaining weight. On
    average over new cases, the share of a case's images whose set holds the true class is 90 % or more, if cases are
    exchangeable.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) for two classes, else (n, classes)
        For images that their models have not learnt from.
    cases : ndarray of int, shape (n,)

    Returns
    -------
    quantile : float or None
        Largest distance of 1 less the score; None for fewer than `LEAST_CASES` cases, whose sets hold all classes.
    cases : int

    Examples
    --------
    >>> case_quantile(np.ones(20, int), np.arange(1, 21) / 20, np.arange(20))
    (0.9, 20)
    >>> case_quantile(np.array([0, 1]), np.array([0.1, 0.9]), np.array([0, 1]))
    (None, 2)
    """
    held, local = np.unique(cases, return_inverse=True)
    if len(held) < LEAST_CASES:
        return None, len(held)
    far = 1 - by_class(score)[np.arange(len(y)), y]
    weight = 1 / ((len(held) + 1) * case_sums(np.ones(len(y)), local, len(held))[local])
    order = np.argsort(far, kind="stable")
    place = int(np.searchsorted(np.cumsum(weight[order]), LEVEL - 1e-12))
    return float(far[order][min(place, len(order) - 1)]), len(held)


def class_sets(score: np.ndarray, quantile: float | None) -> Any:
    """Which classes each image's set holds.

    Parameters
    ----------
    score : ndarray of float, shape (n,) for two classes, else (n, classes)
    quantile : float or None
        From `case_quantile`.

    Returns
    -------
    ndarray of bool, shape (n, classes)

    Examples
    --------
    >>> class_sets(np.array([0.1, 0.5, 0.9]), 0.6).tolist()
    [[True, False], [True, True], [False, True]]
    """
    far = 1 - by_class(score)
    return np.ones(far.shape, bool) if quantile is None else far <= quantile
