"""Which images to look into, and maps of where a network looked as the journal holds them."""

import numpy as np


def choose_rows(labels, scores, each):
    """Images to look at: of each class the surest right ones and the surest wrong ones.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    scores : ndarray of float, shape (n,)
        Of the positive class.
    each : int
        How many of each of the four kinds, at the most.

    Returns
    -------
    ndarray of int64
        Row numbers.

    Examples
    --------
    >>> choose_rows(np.array([0, 0, 1, 1]), np.array([0.1, 0.9, 0.8, 0.2]), 1).tolist()
    [2, 3, 0, 1]
    """
    called, sure, chosen = scores >= 0.5, np.abs(scores - 0.5), []
    for label in (1, 0):
        for right in (True, False):
            of = np.flatnonzero((labels == label) & ((called == label) == right))
            chosen.extend(of[np.argsort(-sure[of], kind="stable")[:each]])
    return np.array(chosen, np.int64)
