"""Choose the test images for which maps of where a network looked are made."""

import numpy as np

from glomfeat.metrics.scores import decide, how_sure


def choose_rows(labels, scores, threshold, each):
    """Choose images of each class: those called right, and those called wrong, with the most confidence.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    scores : ndarray of float, shape (n,)
        Calibrated scores of the positive class.
    threshold : float
        From which score on the positive class is called.
    each : int
        At most how many images of each of the four kinds.

    Returns
    -------
    ndarray of int64
        Row numbers.

    Examples
    --------
    >>> choose_rows(np.array([0, 0, 1, 1]), np.array([0.1, 0.9, 0.8, 0.2]), 0.5, 1).tolist()
    [2, 3, 0, 1]
    """
    called, sure, chosen = decide(scores, threshold), how_sure(scores, threshold), []
    for label in (1, 0):
        for right in (True, False):
            of = np.flatnonzero((labels == label) & ((called == label) == right))
            chosen.extend(of[np.argsort(-sure[of], kind="stable")[:each]])
    return np.array(chosen, np.int64)
