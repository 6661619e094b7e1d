"""How sure a mean over classes is of the shares that are called right, if nothing of a class is wrong, or all of it."""

from typing import Any

import numpy as np

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.resampling import ROUNDING, jackknife_limits


def is_mean_recall(name: str, classes: int) -> bool:
    """Whether a metric is the mean over classes of the share that is called right."""
    return name.startswith("balanced_accuracy") or (name == "sensitivity" and classes > 2)


def mean_recall_limits(ends: Any, value: float, y: Any, called: Any, cases: Any, classes: int) -> Any:
    """95 % limits of balanced accuracy from those of each class's share, where leaving out cases takes one for certain.

    A share of 0 or 1 is the same without each case. Leaving out cases therefore does not show that it is unsure, and
    where it is one of the few shares of a mean, limits of the mean are too narrow. Those of
    `glomfeat.metrics.resampling.jackknife_limits` are wide. On each side, the squared distances between share and limit
    add up (MOVER: Zou & Donner 2008, Statistics in Medicine 27:1693), as for shares of independent samples.

    Parameters
    ----------
    ends : tuple of float
        The limits from leaving out cases; NaN if there are none.
    value : float
        Balanced accuracy, which may be a mean over repeats.
    y, called, cases : ndarray of int, shape (n,)
        Of all repeats.
    classes : int

    Returns
    -------
    low, high : float
        `ends` if these are NaN, if no share is 0 or 1, or if all are.

    Examples
    --------
    >>> y, called = np.repeat([0, 1], [40, 8]), np.r_[np.zeros(36), np.ones(12)]
    >>> [round(end, 3) for end in mean_recall_limits((0.9, 0.97), 0.95, y, called, np.arange(48), 2)]
    [0.749, 0.983]
    """
    if not np.isfinite(ends[0]):
        return ends
    found = []
    for label in range(classes):
        mine = np.asarray(y) == label
        held, local = np.unique(np.asarray(cases)[mine], return_inverse=True)
        right = (np.asarray(called)[mine] == label).astype(float)
        share, without = ratio_by_case(*(case_sums(of, local, len(held)) for of in (right, np.ones(len(right)))))
        found.append((float(share), *jackknife_limits(float(share), without)))
    shares, lows, highs = np.array(found).T
    certain = (shares <= ROUNDING) | (shares >= 1 - ROUNDING)
    if certain.all() or not certain.any():
        return ends
    low, high = (float(np.linalg.norm(side - shares)) / classes for side in (lows, highs))
    return max(0.0, value - low), min(1.0, value + high)
