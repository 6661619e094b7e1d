"""Choosing inside the training cases: setting, calibration, threshold, then one fit; the outer test is not seen."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline

from glomfeat.calibration import Calibration, fit_calibration
from glomfeat.metrics import auroc, choose_threshold, two_class


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
        Chosen by the rule on inner out-of-fold scores, calibrated ones where scores are calibrated; NaN with more
        than two classes.
    inner_auroc : float
        Of the inner out-of-fold scores before calibration: it chose something, so it is no result.
    notes : tuple of str
        Warnings of the fits, each once; what the estimator says of its fit (its attribute ``note_``, or that of the
        last step of a pipeline); and why scores are not calibrated.
    calibration : Calibration
        Fitted on the inner out-of-fold scores of the chosen setting.
    inner_scores : ndarray of float64, shape (n,) of two classes, else (n, classes)
        These, before calibration, of the inner-valid rows of one inner split after the other.
    """

    estimator: Any
    params: dict
    threshold: float
    inner_auroc: float
    notes: tuple
    calibration: Calibration
    inner_scores: np.ndarray


def fit_chosen(head, X, y, train, inner, classes, rule, calibration="none"):
    """Choose a head's setting, calibration and threshold on inner splits, then fit it on the training rows.

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
    rule : str or callable
        See `glomfeat.metrics.parse_threshold`.
    calibration : str
        One of `glomfeat.calibration.CALIBRATIONS`.

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
        calibrated, threshold = fit_decision(y[valid], best_scores, rule, calibration)
    notes = {f"{entry.category.__name__}: {str(entry.message).splitlines()[0]}" for entry in caught}
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    notes = (*sorted(notes), *filter(None, [getattr(last, "note_", ""), calibrated.note]))
    return Chosen(estimator, best, threshold, best_auroc, notes, calibrated, best_scores)


def fit_decision(y, score, rule, calibration):
    """Fit the calibration, and choose the threshold on the scores that it gives.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) of two classes, else (n, classes)
        Of inner-valid rows, by models that have not learnt from them.
    rule, calibration
        As `fit_chosen`.

    Returns
    -------
    calibration : Calibration
    threshold : float
        NaN with more than two classes.

    Examples
    --------
    >>> fit_decision(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]), "youden", "isotonic")[1]
    0.25
    """
    fitted = fit_calibration(calibration, y, score)
    threshold = choose_threshold(y, fitted.apply(score), rule) if two_class(score) else float("nan")
    return fitted, threshold
