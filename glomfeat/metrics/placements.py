"""What each image adds to an area under the ROC curve, and how far images of a case pull the same way."""

import numpy as np
from scipy.special import ndtri

from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.scores import two_class


def influences(y: np.ndarray, score: np.ndarray) -> np.ndarray:
    """How much each image moves the area under the ROC curve.

    The placement value of a positive image is the share of negatives that it scores above, ties counting half; that of
    a negative is the share of positives that score above it (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837).
    Without the image, the area would be lower by its placement value less the area, over the number of other images of
    its class.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) or (n, classes)

    Returns
    -------
    ndarray of float64, shape (n,)
        They sum to 0 in each class; for more than two classes, the mean of one against the rest. NaN if a class has no
        image.

    Examples
    --------
    >>> influences(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])).tolist()
    [0.125, -0.125, -0.125, 0.125]
    """
    if not two_class(score):
        return np.mean([influences(y == label, score[:, label]) for label in range(score.shape[1])], axis=0)
    positive, found = np.asarray(y) == 1, np.full(len(y), np.nan)
    n1, n0 = positive.sum(), (~positive).sum()
    if not n1 or not n0:
        return found
    ranks = _ranks(score)
    above = (ranks[positive] - _ranks(score[positive])) / n0
    below = 1 - (ranks[~positive] - _ranks(score[~positive])) / n1
    found[positive] = (above - above.mean()) / max(1, n1 - 1)
    found[~positive] = (below - below.mean()) / max(1, n0 - 1)
    return found


def design_effect(error: float, influence: np.ndarray) -> float:
    """How many times larger a figure's variance is than with independent images, because images come in cases.

    The variance from leaving out cases (that of Obuchowski 1997, Biometrics 53:567, if no case is large) over that from
    leaving out images (DeLong et al. 1988). It is the design effect of Rao & Scott (1992, Biometrics 48:577): the
    number of images over it is the number of independent images that they are worth.

    Parameters
    ----------
    error : float
        Standard error over cases, from `glomfeat.metrics.resampling.jackknife`.
    influence : ndarray of float, shape (n,)
        From `influences`.

    Returns
    -------
    float
        NaN if no image moves the figure.

    Examples
    --------
    >>> round(design_effect(0.2, np.array([0.1, -0.1, -0.1, 0.1])), 3)
    1.333
    """
    n = len(influence)
    of_images = float((influence**2).sum()) * (n - 1) / max(1, n)
    return float(error**2 / of_images) if of_images > 0 else float("nan")


def normal_scores(score: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Scores as normal deviates of their ranks within groups (van der Waerden 1952).

    Parameters
    ----------
    score : ndarray of float, shape (n,) or (n, k)
        Each column is ranked by itself.
    groups : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of float64, of the shape of `score`

    Examples
    --------
    >>> normal_scores(np.array([0.2, 0.9, 0.4]), np.zeros(3, int)).round(2).tolist()
    [-0.67, 0.67, 0.0]
    """
    found = np.zeros(np.shape(score))
    for group in np.unique(groups):
        own = groups == group
        found[own] = ndtri(np.apply_along_axis(_ranks, 0, score[own]) / (own.sum() + 1))
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, with the mean for equal values; `scipy.stats.rankdata` is slow to import."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[place]


def icc_oneway(values: np.ndarray, groups: np.ndarray) -> float:
    """Intraclass correlation of values in groups of uneven sizes: how alike two values of a group are.

    By analysis of variance, ICC(1) of Shrout & Fleiss (1979), with the mean size for uneven groups of Donner (1986,
    International Statistical Review 54:67).

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    groups : ndarray of int, shape (n,)

    Returns
    -------
    float
        NaN if there is only one group, or no group of two.

    Examples
    --------
    >>> icc_oneway(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    _, groups = np.unique(groups, return_inverse=True)
    sizes = np.bincount(groups)
    n, k = len(groups), len(sizes)
    if k < 2 or n == k:
        return float("nan")
    means = np.bincount(groups, values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (k - 1)
    within = ((values - means[groups]) ** 2).sum() / (n - k)
    size = (n - (sizes**2).sum() / n) / (k - 1)
    total = between + (size - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def correlation_across(values: np.ndarray, positive: np.ndarray, cases: np.ndarray) -> float:
    """How alike the values of two images of one case but of different classes are, over all such pairs.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        With mean 0 and the same variance in each class.
    positive : ndarray of bool, shape (n,)
    cases : ndarray of int, shape (n,)
        Codes from 0.

    Returns
    -------
    float
        NaN if no case holds both classes.

    Examples
    --------
    >>> values, positive = np.array([1.0, 1.0, -1.0, -1.0]), np.array([True, False, True, False])
    >>> correlation_across(values, positive, np.array([0, 0, 1, 1]))
    1.0
    """
    n_cases = cases.max() + 1
    sides = np.c_[positive, ~positive]
    sums, held = (case_sums(sides * one[:, None], cases, n_cases) for one in (values, np.ones(len(values))))
    pairs = held.prod(axis=1).sum()
    variance = (values**2).mean()
    return float(sums.prod(axis=1).sum() / pairs / variance) if pairs and variance else float("nan")
