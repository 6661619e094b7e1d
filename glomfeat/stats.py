"""How sure a figure is when images come in cases: the case is the unit."""

import numpy as np

REPLICATES = 2000


def case_weights(labels, cases, replicates=REPLICATES, seed=0):
    """How often each case is drawn in each replicate of a bootstrap over cases.

    Cases are drawn with replacement within strata of the classes that they hold, so that every replicate holds
    every class (Davison & Hinkley 1997, section 3.8, on clustered data).

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    cases : ndarray of int, shape (n,)
        Codes 0 .. number of cases - 1.
    replicates : int
    seed : int

    Returns
    -------
    ndarray of float32, shape (replicates, number of cases)
        Each row sums to the number of cases.

    Examples
    --------
    >>> case_weights(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 3).sum(axis=1).tolist()
    [2.0, 2.0, 2.0]
    """
    held = np.zeros((cases.max() + 1, labels.max() + 1), np.int64)
    np.add.at(held, (cases, labels), 1)
    _, stratum = np.unique(held > 0, axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    weights = np.zeros((replicates, len(held)), np.float32)
    for part in np.unique(stratum):
        members = np.flatnonzero(stratum.ravel() == part)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), replicates)
    return weights


def limits(values):
    """95 % percentile limits of bootstrap replicates.

    Returns
    -------
    low, high : float
        NaN where no replicate is finite.

    Examples
    --------
    >>> limits(np.arange(1001.0))
    (25.0, 975.0)
    """
    finite = np.asarray(values)[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def paired_p(difference):
    """Two-sided p-value of no difference, from paired bootstrap replicates of a difference.

    Twice the smaller tail beyond zero, counting the observed sample as one more replicate (Davison & Hinkley
    1997, section 4.2).

    Examples
    --------
    >>> paired_p(np.full(1999, 0.1))
    0.001
    """
    difference = difference[np.isfinite(difference)]
    tail = min((difference <= 0).sum(), (difference >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(difference) + 1)))


def holm(p):
    """Adjust p-values for their number (Holm 1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    steps = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty(len(p))
    adjusted[order] = steps
    return [round(value, 12) for value in adjusted.tolist()]
