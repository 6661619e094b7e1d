"""Numbers of the columns that describe, and cells among them that hold none."""

import numpy as np
import pandas as pd

from glomfeat.data.tables.read import listed


def numbers_of(frame, found):
    """The numbers in the columns that describe.

    Parameters
    ----------
    frame : pandas.DataFrame
    found : glomfeat.data.tables.columns.Sorted

    Returns
    -------
    ndarray of float32, shape (n, columns)
        NaN where a cell holds no number.
    """
    columns = frame[list(found.used)]
    simple = not found.levels and all(pd.api.types.is_numeric_dtype(kind) for kind in columns.dtypes)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused by the caller
        if simple:
            return columns.to_numpy(np.float32, na_value=np.nan)
        parts = [
            np.column_stack([columns[c].astype(str) == text for text in found.levels[c]])
            if c in found.levels
            else pd.to_numeric(columns[c], errors="coerce").to_numpy(np.float32, na_value=np.nan)[:, None]
            for c in found.used
        ]
        return (
            np.hstack([part.astype(np.float32) for part in parts]) if parts else np.empty((len(frame), 0), np.float32)
        )


def spoilt_cells(frame, found, names=None):
    """For each column of numbers, the first cells that hold none, with their rows.

    Parameters
    ----------
    frame : pandas.DataFrame
    found : glomfeat.data.tables.columns.Sorted
    names : sequence of str, optional
        Names of the rows; left out if they may reveal who a case is.

    Returns
    -------
    dict of str to str
        By column.

    Examples
    --------
    >>> from glomfeat.data.tables.columns import Asked, sort_columns
    >>> frame = pd.DataFrame({"name": list("abc"), "area": ["1.5", "#DIV/0!", "2"]})
    >>> spoilt_cells(frame, sort_columns(frame, Asked()))
    {'area': "'#DIV/0!' in row 2"}
    """

    def told(column, row):
        return f"{str(frame[column].iloc[row])!r} in row {row + 1}" + ("" if names is None else f" ({names[row]})")

    return {column: listed((told(column, row) for row in rows), 3) for column, rows in found.spoilt.items()}


def spoilt_in_words(frame, found, names):
    """Say what is wrong with each numeric column that has cells without a number, and what to do; see `spoilt_cells`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from glomfeat.data.tables.columns import Asked, sort_columns
    >>> frame = pd.DataFrame({"name": list("abc"), "area": ["1.5", "#DIV/0!", "2"]})
    >>> spoilt_in_words(frame, sort_columns(frame, Asked()), frame["name"])[0].partition(":")[0]
    "column 'area' holds '#DIV/0!' in row 2 (b)"
    """
    return [
        f"column {column!r} holds {cells}: correct the cell, take it as missing with --missing impute, or leave the "
        f"column out with --drop {column!r}"
        for column, cells in spoilt_cells(frame, found, names).items()
    ]
