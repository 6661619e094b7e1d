"""Average ranks of arms over folds, and how far apart they must be (Demsar 2006)."""

import numpy as np
from scipy.stats import rankdata, studentized_range

from glomfeat.report.tables import ALPHA


def average_ranks(values):
    """Mean rank of each arm, 1 being the best; ties share their ranks.

    Parameters
    ----------
    values : array of float, shape (n, arms)
        A row a fold; larger is better.

    Returns
    -------
    ndarray of float, shape (arms,)

    Examples
    --------
    >>> average_ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.7]]).tolist()
    [1.25, 1.75, 3.0]
    """
    return rankdata(-np.asarray(values, float), axis=1).mean(axis=0)


def critical_difference(arms, n, alpha=ALPHA):
    """By how much average ranks must differ by Nemenyi's test (Demsar 2006, J Mach Learn Res 7:1-30, section 3.2.2).

    Parameters
    ----------
    arms : int
        Compared, two or more.
    n : int
        Rows that were ranked.
    alpha : float

    Returns
    -------
    float

    Examples
    --------
    Demsar's example of four classifiers on 14 data sets:

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = studentized_range.ppf(1 - alpha, arms, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(arms * (arms + 1) / (6 * n)))


def cliques(ranks, difference):
    """The largest runs of arms whose ranks lie within the critical difference.

    Parameters
    ----------
    ranks : array of float, ascending
    difference : float

    Returns
    -------
    list of (int, int)
        First and last position of each run of two arms or more.

    Examples
    --------
    >>> cliques([1.0, 1.5, 2.2, 4.0], 1.3)
    [(0, 2)]
    """
    found, furthest = [], -1
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="right")) - 1
        if last > first and last > furthest:
            found.append((first, last))
            furthest = last
    return found
