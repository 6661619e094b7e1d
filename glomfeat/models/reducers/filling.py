"""Missing values, filled with medians of the rows that a model learns from and of no others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.utils import gen_batches

COLUMNS = 64  # columns at a time, because a median takes several copies of its input


@dataclass(frozen=True)
class Filled:
    """A matrix that fills its missing values as it is read.

    Attributes
    ----------
    matrix : Matrix or ndarray, shape (n, width)
    medians : ndarray of float32, shape (width,)
        Replace NaN.
    """

    matrix: Any
    medians: np.ndarray

    @property
    def shape(self):
        """Number of rows and columns."""
        return self.matrix.shape

    @property
    def dtype(self):
        """Type of the numbers."""
        return self.matrix.dtype

    def __len__(self):
        return len(self.matrix)

    def __getitem__(self, rows):
        """Rows, or some of their columns, as `glomfeat.core.cache.Matrix` returns them."""
        columns = rows[1] if isinstance(rows, tuple) else slice(None)
        values = self.matrix[rows]
        return np.where(np.isnan(values), self.medians[columns], values)


def has_gaps(matrix):
    """Whether values of a matrix may be missing; those of an array never are.

    Examples
    --------
    >>> has_gaps(np.ones((2, 2)))
    False
    """
    return getattr(matrix, "gaps", False)


def fill(matrix, train):
    """Fill missing values with the medians of some rows; with 0 if none of these rows has a value.

    Parameters
    ----------
    matrix : Matrix or ndarray of float32, shape (n, width)
    train : ndarray of int64
        The only rows that are read for the medians.

    Returns
    -------
    Filled

    Examples
    --------
    >>> X = np.array([[1, np.nan], [3, np.nan], [np.nan, 7]], np.float32)
    >>> fill(X, np.array([0, 1]))[:].tolist()
    [[1.0, 0.0], [3.0, 0.0], [2.0, 7.0]]
    """
    medians = np.empty(matrix.shape[1], np.float32)
    for part in gen_batches(matrix.shape[1], COLUMNS):
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        medians[part] = imputer.fit(matrix[train, part]).statistics_
    return Filled(matrix, medians)
