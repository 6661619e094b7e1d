"""Reducers that are fitted once and kept, with the same results as those that `glomfeat.models.reducers.fit` fits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

from glomfeat.models.reducers.fit import fit_sliced, in_slices, leaves_as_is, parse_reducer
from glomfeat.models.reducers.pca import components_of, from_gram, from_moments, gram, moments, scale_of, signs


@dataclass(frozen=True)
class AsIs:
    """Passes columns on as they are."""

    stored = "as is"

    def transform(self, rows):
        return np.asarray(rows, np.float32)

    def first(self, k):
        """The same reducer, of which only the first `k` columns are returned; all if `k` is None."""
        return self


@dataclass(frozen=True)
class Linear:
    """Exact principal components: centred and scaled rows times components.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (d,)
    components : ndarray of float64, shape (k, d)
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    stored = "linear"

    def transform(self, rows):
        """Coordinates, float32 of shape (n, k), of rows of shape (n, d)."""
        return (((np.asarray(rows, np.float64) - self.mean) / self.scale) @ self.components.T).astype(np.float32)

    def first(self, k):
        """As in `AsIs`."""
        return Linear(self.mean, self.scale, self.components[:k])


@dataclass(frozen=True)
class Fitted:
    """A scikit-learn transformer, some or all of whose columns are kept.

    Attributes
    ----------
    transformer : estimator
    kept : ndarray of int64 or None
        None if all are kept.
    """

    transformer: Any
    kept: np.ndarray | None

    stored = "skops"

    def transform(self, rows):
        """Reduced rows: float32, shape (n, k)."""
        found = np.asarray(self.transformer.transform(np.asarray(rows, np.float32)), np.float32)
        return found if self.kept is None else found[:, self.kept]

    def first(self, k):
        """As in `AsIs`."""
        return self if k is None else Fitted(self.transformer, np.arange(k) if self.kept is None else self.kept[:k])


def fit_reducer(name, matrix, standardise, route, threads, rows=None):
    """Fit a reducer on all rows, or on some of them.

    Parameters
    ----------
    name : str
        As in `glomfeat.models.reducers.fit.reduce_rows`.
    matrix : Matrix or ndarray, shape (n, d)
    standardise : bool
    route : str
        For ``pcaK``: ``scatter`` or ``gram``, see `glomfeat.models.reducers.routes.find_route`.
    threads : int
        Threads that compute the sums; their number changes no bit.
    rows : ndarray of int64, optional
        The only rows to learn from; all if left out.

    Returns
    -------
    AsIs, Linear or Fitted
        Has ``transform(rows)``.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    >>> by = {route: fit_reducer("pca2", X, True, route, 1).transform(X) for route in ("scatter", "gram")}
    >>> bool(np.allclose(by["scatter"], by["gram"], atol=1e-5))
    True
    """
    kind, k = parse_reducer(name)
    rows = np.arange(len(matrix)) if rows is None else rows
    if leaves_as_is(name, matrix.shape[1]):
        return AsIs()
    if kind == "pca":
        return _exact(matrix, rows, k, standardise, route, threads)
    scaler, reducer, kept = fit_sliced(kind, k, matrix, rows, standardise)
    columns = None if isinstance(kept, slice) else np.flatnonzero(kept)
    return Fitted(make_pipeline(scaler, reducer) if scaler else reducer, columns)


def _exact(matrix, rows, k, standardise, route, threads):
    """Components in the space of the columns, as `glomfeat.models.reducers.fit.reduce_rows` finds them."""
    if route == "scatter":
        found = from_moments([moments(matrix, rows, threads)], k, standardise)
    else:
        scale = scale_of(matrix, rows, standardise)
        dual = from_gram(gram(matrix, threads, scale if standardise else None), rows, k)
        if dual is None:  # the rows lie far from zero
            dual = from_gram(gram(matrix, threads, scale), rows, k)
        found = components_of(dual, matrix, rows, scale)
    turned = signs(found.components)[:, None]
    return Linear(found.scale.mean, found.scale.scale, found.components * turned)


def transform_all(reducer, matrix):
    """Reduce all rows, slice by slice.

    Parameters
    ----------
    reducer : AsIs, Linear or Fitted
    matrix : Matrix or ndarray, shape (n, d)

    Returns
    -------
    ndarray of float32, shape (n, k)
    """
    return in_slices(len(matrix), lambda rows: reducer.transform(matrix[rows]))
