"""Scalers of heads: one that divides all columns by one number, and one that leaves the first columns as they are."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

SQUARED_LENGTH = 128.0


class OneScale(TransformerMixin, BaseEstimator):
    """Centre columns and divide all of them by one number, so that their relative variances stay.

    The number is chosen so that the rows it is fitted on have a mean squared length of 128, however many columns there
    are. A head's C and gamma therefore mean the same for 8 principal components as for 128. Scaling each component to
    variance 1 would make noise as loud as signal.

    Attributes
    ----------
    mean_ : ndarray of float64, shape (width,)
    scale_ : float
        1 if all rows are the same.

    Examples
    --------
    >>> X = np.array([[3.0, 0.0], [-3.0, 0.0], [3.0, 1.0], [-3.0, -1.0]])
    >>> found = OneScale().fit_transform(X)
    >>> round(float((found**2).sum(axis=1).mean()), 6), (found.std(axis=0) / X.std(axis=0)).round(3).tolist()
    (128.0, [3.671, 3.671])
    """

    def fit(self, X, y=None):
        X = validate_data(self, X, dtype=(np.float32, np.float64))
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        squared = np.square(X - self.mean_, dtype=np.float64).sum() / len(X)
        # means are rounded: equal rows may differ from their mean in the last digits, which are no signal
        rounding = X.shape[1] * np.square(10 * np.finfo(np.float64).eps * np.abs(self.mean_).max())
        self.scale_ = float(np.sqrt(squared / SQUARED_LENGTH)) if squared > rounding else 1.0
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=(np.float32, np.float64))
        return ((X - self.mean_) / self.scale_).astype(X.dtype)


class Behind(TransformerMixin, BaseEstimator):
    """Scale all columns but the first ones, which are scaled already.

    Parameters
    ----------
    scaler : transformer
    ahead : int
        How many columns stay as they are; there may be no others.

    Attributes
    ----------
    scaler_ : transformer or None
        The fitted scaler; None if there are no other columns.

    Examples
    --------
    >>> X = np.array([[5.0, 3.0], [5.0, -3.0]])
    >>> Behind(OneScale(), 1).fit_transform(X).round(3).tolist()
    [[5.0, 11.314], [5.0, -11.314]]
    """

    def __init__(self, scaler, ahead):
        self.scaler, self.ahead = scaler, ahead

    def fit(self, X, y=None):
        X = validate_data(self, X, dtype=(np.float32, np.float64))
        self.scaler_ = clone(self.scaler).fit(X[:, self.ahead :]) if X.shape[1] > self.ahead else None
        return self

    def transform(self, X):
        check_is_fitted(self, "scaler_")
        X = validate_data(self, X, reset=False, dtype=(np.float32, np.float64))
        rest = [] if self.scaler_ is None else [self.scaler_.transform(X[:, self.ahead :])]
        return np.hstack([X[:, : self.ahead], *rest])
