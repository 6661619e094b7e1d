"""Labels that scores contradict: confident learning (Northcutt, Jiang & Chuang 2021)."""

import numpy as np

CLOSE_TO_THRESHOLD, CLOSE_TO_LABEL = 1e-6, 1e-8


def confident_class(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The class that each image confidently belongs to: its own label unless something contradicts that.

    The threshold of a class is the mean score that images with its label give it. An image confidently belongs to a
    class whose threshold its score reaches; if there are several, to the one with its largest score. A label is in
    doubt if the image confidently belongs to another class, and its own class does not have the largest score anyway.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Labels, class indices.
    score : ndarray of float, shape (n, classes)
        From models that have not learnt from these images.

    Returns
    -------
    ndarray of int64, shape (n,)

    Examples
    --------
    >>> p = np.array([0.1, 0.2, 0.9, 0.8, 0.9, 0.3, 0.5])
    >>> confident_class(np.array([0, 0, 0, 1, 1, 1, 1]), np.column_stack([1 - p, p])).tolist()
    [0, 0, 1, 1, 1, 0, 1]
    """
    rows, y = np.arange(len(y)), np.asarray(y, np.int64)
    classes = range(score.shape[1])
    thresholds = np.array([score[y == k, k].mean() if (y == k).any() else np.inf for k in classes])
    reached = score >= thresholds - CLOSE_TO_THRESHOLD
    several = reached.sum(axis=1) > 1
    found = np.where(several, score.argmax(axis=1), reached.argmax(axis=1))
    own = score.copy()
    own[rows, y] += CLOSE_TO_LABEL
    keep = ~reached.any(axis=1) | (own.argmax(axis=1) == y)
    return np.where(keep, y, found)
