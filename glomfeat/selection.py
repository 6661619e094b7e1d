"""Choosing inside the training cases: hyper-parameters and threshold, then one fit; the outer test is not seen."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from glomfeat.metrics import auroc, choose_threshold


@dataclass(frozen=True)
class Chosen:
    """A fitted head and how it came to be.

    Attributes
    ----------
    estimator : classifier
        Fitted on the training rows.
    params : dict
        The setting of the grid that was chosen; empty where there was nothing to choose.
    threshold : float
        Chosen by the rule on inner out-of-fold scores; NaN with more than two classes.
    inner_auroc : float
        Of the inner out-of-fold scores: it chose something, so it is no result.
    notes : tuple of str
        Warnings of the fits, each once.
    """

    estimator: Any
    params: dict
    threshold: float
    inner_auroc: float
    notes: tuple


def fit_chosen(head, X, y, train, inner, classes, rule):
    """Choose a head's setting and threshold on inner splits, then fit it on the training rows.

    Parameters
    ----------
    head : Head
    X : ndarray, shape (n, width)
        All rows; only those in `train` and `inner` are read.
    y : ndarray of int, shape (n,)
    train : ndarray of int64
    inner : list of (fit, inner_valid)
        Row numbers, see `glomfeat.splits.inner_splits`.
    classes : int
    rule : str
        See `glomfeat.metrics.parse_threshold`.

    Returns
    -------
    Chosen

    Examples
    --------
    >>> from glomfeat.heads import make_head
    >>> X, y = np.arange(12.0)[:, None], np.array([0, 1] * 6)
    >>> inner = [(np.arange(6), np.arange(6, 12)), (np.arange(6, 12), np.arange(6))]
    >>> fit_chosen(make_head("dummy", 0), X, y, np.arange(12), inner, 2, "balanced").threshold
    0.5
    """
    valid = np.concatenate([rows for _, rows in inner])
    best, best_auroc, best_scores = {}, -np.inf, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        settings = list(ParameterGrid(dict(head.grid)))
        splits = [head.path(head.estimator, settings, X[fit], y[fit], X[rows], classes) for fit, rows in inner]
        for params, parts in zip(settings, zip(*splits, strict=True), strict=True):
            scores = np.concatenate(parts)
            found = auroc(y[valid], scores)
            if np.isfinite(scores).all() and found > best_auroc:
                best, best_auroc, best_scores = params, found, scores
        estimator = clone(head.estimator).set_params(**best).fit(X[train], y[train])
    if best_scores is None:
        raise ValueError("scores of the inner splits are not finite")
    threshold = choose_threshold(y[valid], best_scores, rule) if classes == 2 else float("nan")
    notes = {f"{entry.category.__name__}: {str(entry.message).splitlines()[0]}" for entry in caught}
    return Chosen(estimator, best, threshold, best_auroc, tuple(sorted(notes)))
