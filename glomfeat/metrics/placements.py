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


def correlations_in_cases(
    values: np.ndarray, labels: np.ndarray, cases: np.ndarray, folds: np.ndarray
) -> tuple[float, float]:
    """How alike the values of two images of a case are, if they have one class and if they have different classes.

    Each fold and class has a mean of its own, which costs a degree of freedom: a case that is alone with its class in a
    fold tells nothing of how cases differ. The first is ICC(1) of Shrout & Fleiss (1979), by analysis of variance of
    cases within folds and classes, with the mean size for uneven cases of Donner (1986, International Statistical
    Review 54:67). The second is over the same variance of a single value. Its covariance is the sum of products over
    all such pairs of a case, of values less their mean of fold and class, divided by what that sum would be if the
    covariance were 1.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    labels, cases, folds : ndarray of int, shape (n,)
        Codes from 0.

    Returns
    -------
    icc, across : float
        Unbiased but for being ratios, so that they may also lie below 0. NaN if no fold has two cases of one class, if
        no case has two images of one class, or if values do not differ; ``across`` also if there are more than two
        classes, or if no fold has a case of both classes, beside other cases of each.

    Examples
    --------
    >>> values, labels, cases = np.array([1.0, 1, 1, 1, 3, 3, 3, 3]), np.tile([0, 0, 1, 1], 2), np.repeat([0, 1], 4)
    >>> correlations_in_cases(values, labels, cases, np.zeros(8, int))
    (1.0, 1.0)
    """
    strata, n_cases = folds * (labels.max() + 1) + labels, cases.max() + 1
    whole = np.bincount(strata)
    apart = values - (np.bincount(strata, values) / np.maximum(1, whole))[strata]
    groups, place = np.unique(strata * n_cases + cases, return_inverse=True)
    sizes, strata = np.bincount(place), groups // n_cases
    n, k, freedom = len(values), len(groups), len(groups) - len(np.unique(strata))
    if not freedom or n == k:
        return float("nan"), float("nan")
    means = np.bincount(place, apart) / sizes
    within = ((apart - means[place]) ** 2).sum() / (n - k)
    size = (n - (sizes**2 / whole[strata]).sum()) / freedom
    between = ((sizes * means**2).sum() / freedom - within) / size
    total = between + within
    if not total > 1e-12 * (values**2).mean():
        return float("nan"), float("nan")
    across = _covariance_across(apart, labels, cases, folds) if labels.max() == 1 else float("nan")
    return float(between / total), float(across / total)


def _covariance_across(apart: np.ndarray, labels: np.ndarray, cases: np.ndarray, folds: np.ndarray) -> float:
    """Covariance of values of a case that have different classes, from values less their mean of fold and class."""
    tested, place = np.unique(folds * (cases.max() + 1) + cases, return_inverse=True)
    fold, sides = tested // (cases.max() + 1), np.c_[labels == 1, labels == 0]
    sums, held = (case_sums(sides * one[:, None], place, len(tested)) for one in (apart, np.ones(len(apart))))
    pairs, whole = held.prod(axis=1), np.maximum(1, case_sums(held, fold, fold.max() + 1))
    own = (pairs * (held / whole[fold]).sum(axis=1)).sum()  # what a case takes away from itself through the means
    known = pairs.sum() - own + (np.bincount(fold, pairs) ** 2 / whole.prod(axis=1)).sum()
    return float(sums.prod(axis=1).sum() / known) if known > 1e-9 * pairs.sum() else float("nan")
