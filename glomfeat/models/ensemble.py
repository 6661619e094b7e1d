"""Ensembles: arms that score an image by the mean of the calibrated scores of other arms of the same study."""

from functools import reduce

import numpy as np

from glomfeat.core.errors import InputError
from glomfeat.core.notes import NO_INNER
from glomfeat.metrics.scores import auroc
from glomfeat.metrics.thresholds import fixed_at, threshold_unchosen
from glomfeat.models.selection import fit_decision


def calibration_for(asked):
    """How members are calibrated: as the study asks, or by Platt's map if it asks for none.

    Examples
    --------
    >>> calibration_for("none"), calibration_for("isotonic")
    ('platt', 'isotonic')
    """
    return "platt" if asked == "none" else asked


def mean_scores(scores):
    """The mean over members, summed in their order.

    Parameters
    ----------
    scores : sequence of ndarray of float64, shape (n,) or (n, classes)

    Returns
    -------
    ndarray of float64, of the same shape

    Examples
    --------
    >>> mean_scores([np.array([0.0, 1.0]), np.array([0.5, 0.5])]).tolist()
    [0.25, 0.75]
    """
    return sum(scores[1:], scores[0]) / len(scores)


def choose_mean(labels, inner, rule, splits=()):
    """Choose the threshold of an ensemble on the mean of its members' calibrated inner out-of-fold scores.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Labels of all rows of the manifest; only rows that every member has scored are used.
    inner : list of (rows, scores)
        For each member: rows of training cases that its models had not learnt from, and their calibrated scores.
    rule : str
        See `glomfeat.metrics.thresholds.parse_threshold`.
    splits : list of ndarray of int
        The inner-valid rows of each inner split, over which AUROCs are averaged. If left out, or if a member has not
        scored them all, one AUROC is taken over all rows.

    Returns
    -------
    threshold : float
        NaN with more than two classes.
    inner_auroc : float

    Raises
    ------
    InputError
        There is no row that every member has scored, and the rule would need one to choose a threshold.

    Examples
    --------
    >>> labels = np.array([0, 1, 0, 1])
    >>> all_rows, two_rows = np.arange(4), np.array([3, 2])
    >>> inner = [(all_rows, np.array([0.1, 0.9, 0.2, 0.6])), (two_rows, np.array([0.8, 0.4]))]
    >>> choose_mean(labels, inner, "balanced")
    (0.5, 1.0)
    """
    rows, mean = mean_of_common(inner)
    if not len(rows):
        classes = len(set(labels))
        if classes == 2 and fixed_at(rule) is None:
            nothing = f"{NO_INNER} both classes, so there is nothing to choose the mean's threshold by"
            raise InputError(f"{nothing}: give a number for --threshold, or add cases of the rare class")
        return threshold_unchosen(rule, classes), float("nan")
    whole = len(splits) and np.isin(np.concatenate(splits), rows).all()
    held = [np.isin(rows, part) for part in splits] if whole else []
    classes = len(set(labels[rows]))
    areas = [auroc(labels[rows][part], mean[part]) for part in held if len(set(labels[rows][part])) == classes]
    inner_auroc = float(np.mean(areas)) if areas else auroc(labels[rows], mean)
    return fit_decision(labels[rows], mean, rule, "none")[1], inner_auroc


def mean_of_common(inner):
    """The mean over members of the inner scores, for the rows that every member has scored.

    Parameters
    ----------
    inner : list of (rows, scores)
        As in `choose_mean`.

    Returns
    -------
    rows : ndarray of int64
        Ascending.
    scores : ndarray of float64

    Examples
    --------
    >>> inner = [(np.array([0, 1]), np.array([0.5, 0.25])), (np.array([2, 1]), np.array([0.5, 0.75]))]
    >>> [found.tolist() for found in mean_of_common(inner)]
    [[1], [0.5]]
    """
    rows = reduce(np.intersect1d, [rows for rows, _ in inner])
    return rows, mean_scores([scores[_places(own, rows)] for own, scores in inner])


def _places(own, rows):
    order = np.argsort(own)
    return order[np.searchsorted(own, rows, sorter=order)]
