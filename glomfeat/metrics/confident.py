"""Labels that scores contradict: confident learning (Northcutt, Jiang & Chuang 2021)."""

import numpy as np

CLOSE_TO_THRESHOLD, CLOSE_TO_LABEL = 1e-6, 1e-8


def confident_class(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The class that each image is confidently of: its own label where nothing speaks against that.

    A class has as its threshold the mean score that it is given by images with its label. An image is confidently of
    a class whose threshold its score reaches, and where that is so of several, of that with its largest score. A label
    is in doubt where the image is confidently of another class, and its own class has not the largest score anyway.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Labels, class indices.
    score : ndarray of float, shape (n, classes)
        Of models that have not learnt these images.

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
