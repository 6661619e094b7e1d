"""Metrics for many replicates of a resampling of cases at once.

A replicate only says how often each case counts. A sum over images is therefore a sum over cases of the cases' own
sums, and all replicates are one matrix product; the area under the ROC curve is a sum over pairs of images, and hence a
bilinear form in the cases' weights.
"""

import numpy as np
from scipy.sparse import csr_array

from glomfeat.metrics.scores import BLOCK, auroc, average_precision, squared_distance, two_class

SIDES = "left", "right"


def case_sums(values, cases, n_cases):
    """Sum values over the images of each case.

    Parameters
    ----------
    values : ndarray of float, shape (n,) or (n, k)
    cases : ndarray of int, shape (n,)
        Codes 0 .. n_cases - 1.
    n_cases : int

    Returns
    -------
    ndarray of float64, shape (n_cases,) or (n_cases, k)

    Examples
    --------
    >>> case_sums(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2]), 3).tolist()
    [1.0, 0.0, 6.0]
    """
    if values.ndim == 1:
        return np.bincount(cases, values, n_cases)
    return np.stack([np.bincount(cases, column, n_cases) for column in values.T], axis=1)


def ratio_by_case(hits, images):
    """A ratio of sums over cases, and the same ratio without each case.

    Parameters
    ----------
    hits, images : ndarray of float, shape (cases, ...)
        From `case_sums`.

    Returns
    -------
    whole : ndarray of float64, shape (...)
        NaN if nothing is counted.
    without : ndarray of float64, shape (cases, ...)

    Examples
    --------
    >>> whole, without = ratio_by_case(np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    >>> round(float(whole), 3), without.tolist()
    (0.667, [0.75, 0.5])
    """
    found, of = hits.sum(axis=0), images.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found / of, (found - hits) / (of - images)


def concordance(positive, score, cases):
    """How often a positive image of one case (row) scores above a negative one of another (column), ties half.

    With case weights w the area under the ROC curve is w'Cw / (w'p w'q), where p and q are the cases' numbers of
    positive and negative images (the statistic of Obuchowski 1997, Biometrics 53:567, for clustered data).

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
    score : ndarray of float, shape (n,)
    cases : ndarray of int, shape (n,)
        Codes 0 .. number of cases - 1.

    Returns
    -------
    ndarray of float64, shape (number of cases, number of cases)

    Examples
    --------
    >>> positive, score = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.5, 0.5])
    >>> concordance(positive, score, np.array([0, 0, 1, 1])).tolist()
    [[1.0, 1.0], [1.0, 0.5]]
    """
    levels, place = np.unique(score[positive], return_inverse=True)
    shape = len(levels) + 1, cases.max() + 1
    ones = _counts(place, cases[positive], shape)
    # a negative counts half from the level that it reaches, and half from the first level that it is below
    places = np.concatenate([np.searchsorted(levels, score[~positive], side) for side in SIDES])
    halves = np.bincount(places * shape[1] + np.tile(cases[~positive], 2), minlength=shape[0] * shape[1])
    return ones.T @ (np.cumsum(halves.reshape(shape), axis=0) / 2)


def auroc_by_case(y, score, cases, weights):
    """`glomfeat.metrics.scores.auroc` for each row of case weights.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) or (n, classes)
    cases : ndarray of int, shape (n,)
        Columns of `weights`.
    weights : ndarray of float64, shape (replicates, cases)

    Returns
    -------
    ndarray of float64, shape (replicates,)
        NaN if a class has no weight.

    Examples
    --------
    >>> y, score, cases = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 1, 0, 1])
    >>> auroc_by_case(y, score, cases, np.array([[1.0, 1.0], [0.0, 2.0]])).tolist()
    [0.875, 1.0]
    """
    return _by_case(_auroc, auroc, y, score, cases, weights)


def average_precision_by_case(y, score, cases, weights):
    """`glomfeat.metrics.scores.average_precision` for each row of case weights.

    Parameters and returns are those of `auroc_by_case`.

    Examples
    --------
    >>> y, score, cases = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 1, 0, 1])
    >>> average_precision_by_case(y, score, cases, np.array([[1.0, 1.0], [0.0, 2.0]])).round(4).tolist()
    [0.8333, 1.0]
    """
    return _by_case(_average_precision, average_precision, y, score, cases, weights)


def brier_by_case(y, score, cases, weights):
    """`glomfeat.metrics.scores.brier` for each row of case weights.

    Parameters and returns are those of `auroc_by_case`.

    Examples
    --------
    >>> brier_by_case(np.array([0, 1]), np.array([0.2, 0.6]), np.array([0, 1]), np.array([[1.0, 1], [0, 1]])).round(3)
    array([0.1 , 0.16])
    """
    return _mean_by_case(squared_distance(y, score), cases, weights)


def _mean_by_case(values, cases, weights):
    """Means over images in each replicate, for one value per image or for several in columns."""
    n_cases = weights.shape[1]
    images = weights @ case_sums(np.ones(len(cases)), cases, n_cases)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((weights @ case_sums(values, cases, n_cases)).T / images).T


def _by_case(metric, by_row, y, score, cases, weights):
    if not two_class(score):
        columns = range(score.shape[1])
        return np.mean([_by_case(metric, by_row, y == k, score[:, k], cases, weights) for k in columns], axis=0)
    tested, local = np.unique(cases, return_inverse=True)
    if len(y) * len(tested) <= BLOCK:
        with np.errstate(invalid="ignore", divide="ignore"):
            return metric(y == 1, score, local, weights[:, tested])
    # with so many cases, images by cases would be larger than a block of replicates by images
    step = max(1, BLOCK // len(y))
    return np.concatenate([by_row(y, score, weights[k : k + step, cases]) for k in range(0, len(weights), step)])


def _counts(places, cases, shape):
    """How many images of each case (column) are at each place (row), sparse because each image has one case."""
    return csr_array((np.ones(len(places)), (places, cases)), shape)


def _auroc(positive, score, cases, weights):
    pairs = ((weights @ concordance(positive, score, cases)) * weights).sum(axis=1)
    ones, zeros = _held(positive, cases, weights)
    return pairs / (ones * zeros)


def _held(positive, cases, weights):
    """How many positives, and how many others, there are in each replicate."""
    return (weights @ case_sums(np.stack([positive, ~positive], axis=1), cases, weights.shape[1])).T


def _average_precision(positive, score, cases, weights):
    levels = np.unique(-score[positive])  # recall grows only there
    shape = len(levels) + 1, weights.shape[1]
    place = np.searchsorted(levels, -score)
    ones, calls = (_counts(place[rows], cases[rows], shape)[:-1] for rows in (positive, slice(None)))
    found, step = [], max(1, BLOCK // max(1, len(levels)))
    for k in range(0, len(weights), step):
        of_cases = weights[k : k + step].T
        gained, called = (np.ascontiguousarray((part @ of_cases).T) for part in (ones, calls))
        hits, called = np.cumsum(gained, axis=1), np.cumsum(called, axis=1)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        found.append((gained * precision).sum(axis=1) / gained.sum(axis=1))
    both = (_held(positive, cases, weights) > 0).all(axis=0)
    return np.where(both, np.concatenate(found), np.nan)
