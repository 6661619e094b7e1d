"""Warnings of an own feature whose numbers 32 bits do not tell apart."""

import warnings

import numpy as np

from glomfeat.data.tables.precision import coarse_columns, coarse_in_words

FEW = 8  # fewer images may be alike by chance


def warn_of_rounding(name, rows, columns=()):
    """Warn if the numbers of several images differ by so little that float32 does not keep it.

    Parameters
    ----------
    name : str
        The name of the feature.
    rows : array-like, shape (n, width)
        As the user's code returned them.
    columns : sequence of str
        Names of the numbers, if they have any.
    """
    import pandas as pd

    found = np.asarray(rows)
    if len(found) < FEW or found.ndim != 2 or found.dtype.itemsize < 8:
        return
    coarse = coarse_columns(pd.DataFrame(found), range(found.shape[1]))
    if coarse:
        named = [columns[place] if columns else f"x{place}" for place in coarse]
        warnings.warn(coarse_in_words(named, name), stacklevel=2)
