"""Data given as Python objects, arrays or tables of features, which are written to an equivalent file."""

from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.arms import StudyError
from glomfeat.data.embeddings.named import number_columns
from glomfeat.data.tables.columns import USUAL, sort_columns
from glomfeat.data.tables.precision import coarse_columns, coarse_in_words
from glomfeat.data.tables.read import find_names, listed

ARRAYS, TABLE = "arrays.h5", "table.parquet"
EXAMPLE = "write (X, y, groups) with X of shape (n, columns) and a class and a group for each row"


def write_arrays(data, folder, groups, say=print):
    """Write ``(X, y, groups)`` to a file, or ``(X, y)`` if no groups are asked for.

    Parameters
    ----------
    data : tuple
        X: array or DataFrame of numbers, shape (n, columns); y: n classes; groups: the case of each row.
    folder : path-like
    groups : str
        As in a study.
    say : callable
        Receives a warning of columns that 32-bit numbers round.

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
    _refuse_what_would_be_lost(dict(zip(("X", "y", "groups"), data, strict=False)))
    X, *facts = data
    columns, index = getattr(X, "columns", None), X.index if isinstance(X, pd.DataFrame) else None
    X = _numbers(X)
    if X.ndim != 2 or not X.size:
        raise StudyError(f"X has the shape {X.shape}: {EXAMPLE}; images are given as a folder or a table of paths")
    texts = {}
    for name, values in zip(("labels", "cases"), facts, strict=False):
        values = np.asarray(values, object)
        if values.shape != (len(X),):
            kind = "y" if name == "labels" else "groups"
            raise StudyError(f"{kind} has the shape {values.shape} and X {X.shape}: {EXAMPLE}")
        texts[name] = ["" if pd.isna(value) else str(value) for value in values]
    more = {"columns": [str(column) for column in columns]} if columns is not None else {}
    coarse = coarse_columns(pd.DataFrame(X), range(X.shape[1]))
    if coarse:
        named = more.get("columns") or number_columns(X.shape[1])
        say(f"warning: {coarse_in_words([named[place] for place in coarse], 'X')}, or --drop the column")
    path = Path(folder) / ARRAYS
    with h5py.File(path, "w") as file, np.errstate(over="ignore"):  # infinity is refused when the file is read
        file["features"] = X.astype(np.float32, copy=False)
        for name, values in ({"names": _names(len(X), index)} | texts | more).items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
    return path


def _refuse_what_would_be_lost(parts):
    """Refuse masks, and pandas objects whose rows are not named alike, for only the order of rows counts."""
    indexed = {name: part.index for name, part in parts.items() if isinstance(part, pd.DataFrame | pd.Series)}
    first = next(iter(indexed), None)
    for name, part in parts.items():
        if isinstance(part, np.ma.MaskedArray):
            raise StudyError(
                f"{name} is a masked array, and masks are not read: leave out masked rows, or fill masked numbers of X "
                "with NaN and take missing='impute'"
            )
        if name in indexed and not indexed[name].equals(indexed[first]):
            raise StudyError(
                f"the index of {name} is not that of {first}, so their rows may not belong together: put them in one "
                f"order, such as {name}.loc[{first}.index], or give {name}.to_numpy() if they are in one order already"
            )


def _numbers(X):
    """X as an array of numbers, with NaN for missing ones."""
    try:
        if isinstance(X, pd.DataFrame) and any(not isinstance(kind, np.dtype) for kind in X.dtypes):
            columns = [X.iloc[:, place] for place in range(X.shape[1])]
            plain = [one.to_numpy(None if isinstance(one.dtype, np.dtype) else object) for one in columns]
            return np.column_stack([_numbers(part) for part in plain])
        found = np.asarray(X)
        if found.dtype.kind == "O":
            if not all(isinstance(cell, Real) or cell is None or cell is pd.NA for cell in found.flat):
                raise TypeError("texts, dates or complex numbers")
            return np.where(pd.isna(found), np.nan, found).astype(np.float64)
        if found.dtype.kind not in "fiub":
            raise TypeError(str(found.dtype))
    except (ValueError, TypeError, RuntimeError) as error:
        raise StudyError(
            f"X must hold numbers only: {EXAMPLE}; of a table with other columns give the DataFrame"
        ) from error
    return found


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
