"""How far a counted share may be from the share among all that could have been counted."""

from typing import Any

import numpy as np
from scipy.special import ndtri

from glomfeat.metrics.resampling import LEVEL


def share_limits(hits: Any, of: Any) -> tuple[np.ndarray, np.ndarray]:
    """95 % limits of shares of independent draws, by Wilson's (1927) method.

    They hold the true share about as often as they say, even for few draws, where other methods do not (Brown, Cai &
    DasGupta 2001, Statistical Science 16:101).

    Parameters
    ----------
    hits, of : array-like of int, shape (n,)
        How many were counted, and out of how many.

    Returns
    -------
    low, high : ndarray of float64, shape (n,)
        NaN for none.

    Examples
    --------
    >>> [ends.round(3).tolist() for ends in share_limits([0, 5, 10], [10, 10, 10])]
    [[0.0, 0.237, 0.722], [0.278, 0.763, 1.0]]
    """
    hits, of = np.asarray(hits, np.float64), np.asarray(of, np.float64)
    z = float(ndtri((1 + LEVEL) / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (hits + z * z / 2) / (of + z * z)
        reach = z * np.sqrt(hits * (of - hits) / of + z * z / 4) / (of + z * z)
    ends = np.where(hits == 0, 0.0, middle - reach), np.where(hits == of, 1.0, middle + reach)
    low, high = (np.where(of > 0, end, np.nan) for end in ends)
    return low, high
