"""Data given as Python objects, arrays or tables of features, which are written to an equivalent file."""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.arms import StudyError
from glomfeat.data.tables.columns import USUAL, sort_columns
from glomfeat.data.tables.read import find_names, listed

ARRAYS, TABLE = "arrays.h5", "table.parquet"
EXAMPLE = "write (X, y, groups) with X of shape (n, columns) and a class and a group for each row"


def write_arrays(data, folder, groups):
    """Write ``(X, y, groups)`` to a file, or ``(X, y)`` if no groups are asked for.

    Parameters
    ----------
    data : tuple
        X: array or DataFrame of numbers, shape (n, columns); y: n classes; groups: the case of each row.
    folder : path-like
    groups : str
        As in a study.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    StudyError
        The data do not fit together; the message says how to write them.

    Examples
    --------
    >>> import tempfile
    >>> write_arrays((np.eye(4), [0, 1, 0, 1], list("aabb")), tempfile.mkdtemp(), "auto").name
    'arrays.h5'
    """
    import h5py

    if len(data) not in (2, 3) or (len(data) == 2 and groups != "none"):
        have = f"data has {len(data)} parts"
        raise StudyError(f"{have}: {EXAMPLE}; groups='none' treats every row as its own case and needs no third part")
    X, *facts = data
    columns, index = getattr(X, "columns", None), getattr(X, "index", None)
    try:
        X = np.asarray(X, np.float32)
    except (ValueError, TypeError) as error:
        raise StudyError(
            f"X must hold numbers only: {EXAMPLE}; of a table with other columns give the DataFrame"
        ) from error
    if X.ndim != 2 or not X.size:
        raise StudyError(f"X has the shape {X.shape}: {EXAMPLE}; images are given as a folder or a table of paths")
    texts = {}
    for name, values in zip(("labels", "cases"), facts, strict=False):
        values = np.asarray(values, object)
        if values.shape != (len(X),):
            kind = "y" if name == "labels" else "groups"
            raise StudyError(f"{kind} has the shape {values.shape} and X {X.shape}: {EXAMPLE}")
        texts[name] = ["" if pd.isna(value) else str(value) for value in values]
    path = Path(folder) / ARRAYS
    with h5py.File(path, "w") as file:
        file["features"] = X
        more = {"columns": [str(column) for column in columns]} if columns is not None else {}
        for name, values in ({"names": _names(len(X), index)} | texts | more).items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
    return path


def write_table(frame, folder):
    """Write a DataFrame that is a table of features to a file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Has a column of classes and, if rows have names, a column of names; otherwise the index names the rows.
    folder : path-like

    Returns
    -------
    pathlib.Path

    Raises
    ------
    StudyError
        It holds no numbers that could serve as features.
    """
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if not sort_columns(frame, USUAL, "data").used:
        raise StudyError(
            f"data is a DataFrame with the columns {listed(frame.columns, 8)}: images need path and label[, case, "
            "slide], and a table of features needs columns of numbers and label[, name, case]"
        )
    if not find_names(frame, "data"):
        frame = frame.assign(name=_names(len(frame), frame.index))
    for column in frame.columns[[kind.kind == "O" for kind in frame.dtypes]]:
        frame[column] = frame[column].map(str).where(frame[column].notna(), None)
    path = Path(folder) / TABLE
    frame.to_parquet(path, index=False)
    return path


def _names(n, index=None):
    """Names of rows: the index, unless it only counts rows or has duplicates."""
    if index is not None and not isinstance(index, pd.RangeIndex) and index.is_unique:
        return [str(name) for name in index]
    width = len(str(n))
    return [f"row{k:0{width}d}" for k in range(1, n + 1)]
