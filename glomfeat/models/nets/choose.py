"""Choose the test images for which maps of where a network looked are made."""

import numpy as np


def choose_rows(labels, scores, each):
    """Choose images of each class: those classified correctly, and those wrongly, with the most confidence.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    scores : ndarray of float, shape (n,)
        Probabilities of the positive class.
    each : int
        At most how many images of each of the four kinds.

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
