"""Calibration: monotone maps from a head's score to how often it is right, fitted on inner out-of-fold scores."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from glomfeat.core.errors import InputError
from glomfeat.core.notes import NOT_APPLIED
from glomfeat.metrics.recalibration import logits
from glomfeat.metrics.scores import two_class

CALIBRATIONS = ("none", "platt", "isotonic")


@dataclass(frozen=True)
class Calibration:
    """Fitted calibration maps.

    Attributes
    ----------
    kind : str
        ``platt`` or ``isotonic``; ``none`` if scores are left as they are.
    maps : tuple of dict of str to list of float
        One map for two classes, else one for each class. Platt's holds ``slope`` and ``intercept``; isotonic's holds
        the corners ``score`` and ``frequency`` of a line that is flat outside them.
    note : str
        Why scores are left as they are although a map was asked for.
    """

    kind: str = "none"
    maps: tuple = ()
    note: str = ""

    def apply(self, score):
        """Calibrate scores.

        Parameters
        ----------
        score : ndarray of float, shape (n,) or (n, classes)

        Returns
        -------
        ndarray of float64, of the same shape
            In 0..1. With more than two classes, each is mapped by itself, and each row is then divided by its sum. A
            row of zeros stays as it was.
        """
        score = np.asarray(score, np.float64)
        if self.kind == "none":
            return score
        if two_class(score):
            return _mapped(self.kind, self.maps[0], score)
        found = np.column_stack([_mapped(self.kind, one, score[:, k]) for k, one in enumerate(self.maps)])
        total = found.sum(axis=1, keepdims=True)
        return np.where(total > 0, found / np.where(total > 0, total, 1), score)


def fit_calibration(kind, y, score):
    """Fit a calibration on scores of rows that the scoring models have not learnt from.

    Platt (1999) fits a logistic regression of the class on the score's logit. His targets, (n + 1) / (n + 2) for class
    1 and 1 / (n + 2) for class 0, where n is the number of rows of that class, keep it finite if scores separate the
    classes. This keeps the order; if the line does not rise, scores are left as they are. Isotonic regression (Zadrozny
    & Elkan 2002) is the rising step function with the least squared error. Scores on one of its flats become equal,
    which lowers AUROC, with few rows by some hundredths.

    Parameters
    ----------
    kind : {"none", "platt", "isotonic"}
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) of two classes, else (n, classes)
        In 0..1.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        `kind` is none of the three.

    Examples
    --------
    >>> y, score = np.array([0, 0, 0, 1, 0, 1, 1, 1]), np.array([0.41, 0.43, 0.45, 0.47, 0.53, 0.55, 0.57, 0.59])
    >>> fit_calibration("isotonic", y, score).apply([0.2, 0.5, 0.9]).tolist()
    [0.0, 0.5, 1.0]
    >>> fit_calibration("platt", y, score).apply([0.2, 0.5, 0.9]).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    if kind not in CALIBRATIONS:
        raise InputError(f"calibration is {kind!r}: allowed are {', '.join(CALIBRATIONS)}")
    if kind == "none":
        return Calibration()
    y, score = np.asarray(y), np.asarray(score, np.float64)
    columns = [(y == 1, score)] if two_class(score) else [(y == k, score[:, k]) for k in range(score.shape[1])]
    maps = tuple(_isotonic(*column) if kind == "isotonic" else _platt(*column) for column in columns)
    if kind == "platt" and any(one["slope"] <= 0 for one in maps):
        return Calibration(note=f"platt: {NOT_APPLIED}, because inner scores do not rise with the class")
    return Calibration(kind, maps)


def _isotonic(positive, score):
    from sklearn.isotonic import IsotonicRegression

    line = IsotonicRegression(y_min=0, y_max=1).fit(score, positive)
    return {"score": line.X_thresholds_.tolist(), "frequency": line.y_thresholds_.tolist()}


def _platt(positive, score):
    """Fit by weighting: a row of each class for each score, weighted by Platt's targets, is the regression on these."""
    from sklearn.linear_model import LogisticRegression

    if np.ptp(score) == 0:
        return {"slope": 0.0, "intercept": 0.0}
    ones, zeros = positive.sum(), (~positive).sum()
    target = np.where(positive, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    rows = np.tile(logits(score), 2)[:, None]
    of_class = np.repeat([1, 0], len(score))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(rows, of_class, sample_weight=np.r_[target, 1 - target])
    return {"slope": model.coef_.item(), "intercept": model.intercept_.item()}


def _mapped(kind, one, score):
    if kind == "isotonic":
        return np.interp(score, one["score"], one["frequency"])
    return expit(one["slope"] * logits(score) + one["intercept"])


def noted_calibration(record):
    """The calibration map of a trial from its line in the journal.

    Parameters
    ----------
    record : dict

    Returns
    -------
    Calibration

    Examples
    --------
    >>> noted_calibration({}).kind, noted_calibration({"calibration": {"platt": [[1.0, 0.5]]}}).maps
    ('none', ([1.0, 0.5],))
    """
    (kind, maps), *_ = record.get("calibration", {"none": []}).items()
    return Calibration(kind, tuple(maps))
