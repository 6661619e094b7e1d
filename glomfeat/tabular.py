"""Tables that people bring: CSV, parquet, or npy with a CSV of names beside it."""

from pathlib import Path

import numpy as np
import pandas as pd

NAME_COLUMNS = ("path", "name", "file", "filename", "image")
LABEL_COLUMNS = ("label", "ground truth", "ground_truth", "class")
CASE_COLUMNS = ("case", "case_id", "patient", "patient_id", "subject", "subject_id")
SLIDE_COLUMNS = ("slide", "slide_id")
FOLD_COLUMNS = ("fold", "split", "repeat")
SUFFIXES = (".csv", ".parquet", ".npy")


class TableError(ValueError):
    """A table that cannot be read or lacks a column; the message says what it should look like."""


def read_frame(path):
    """Read a table with all its columns; names, labels and cases as text.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.parquet``, or ``.npy`` (rows x columns) with a ``.csv`` of the same stem beside it that
        has a row for each row of the array.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    TableError
        The format is unknown, the file is broken, or the names beside an npy do not fit it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(f"{path.name}: tables are {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'!r}")
    text = dict.fromkeys(NAME_COLUMNS + LABEL_COLUMNS + CASE_COLUMNS + SLIDE_COLUMNS, str)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        csv = path if suffix == ".csv" else path.with_suffix(".csv")
        frame = pd.read_csv(csv, dtype=text, skipinitialspace=True)
        label = find_column(frame, LABEL_COLUMNS)
        if label is not None:  # a class may be called None or NA, which pandas takes for a missing value
            place = [frame.columns.get_loc(label)]
            frame[label] = pd.read_csv(
                csv, usecols=place, dtype=str, keep_default_na=False, skipinitialspace=True
            ).iloc[:, 0]
        if suffix == ".csv":
            return frame
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise TableError(f"{error.filename} is missing: an npy needs a CSV of names beside it") from error
    except (ValueError, OSError) as error:
        raise TableError(f"{path.name} cannot be read: {error}") from error
    if matrix.ndim != 2 or len(matrix) != len(frame):
        raise TableError(f"{path.name} has shape {matrix.shape} and {len(frame)} names: rows x columns must fit")
    columns = [f"x{k}" for k in range(matrix.shape[1])]
    return pd.concat([frame, pd.DataFrame(matrix, columns=columns)], axis=1)


def find_column(frame, known):
    """The first of the `known` column names that a table has, whatever its case, or None.

    Examples
    --------
    >>> find_column(pd.DataFrame(columns=["Name", "Ground Truth"]), LABEL_COLUMNS)
    'Ground Truth'
    """
    present = {str(column).strip().lower(): column for column in frame.columns}
    return next((present[name] for name in known if name in present), None)


def value_columns(frame, but=()):
    """The numeric columns that describe, leaving out names, labels, cases, folds and those in `but`.

    Examples
    --------
    >>> value_columns(pd.DataFrame({"name": ["a"], "label": [1], "area": [2.0]}))
    ['area']
    """
    known = {*NAME_COLUMNS, *LABEL_COLUMNS, *CASE_COLUMNS, *SLIDE_COLUMNS, *FOLD_COLUMNS, *but}
    numeric = frame.select_dtypes("number").columns
    return [column for column in numeric if str(column).strip().lower() not in known and column not in but]


def read_head(path):
    """The first rows of a CSV.

    Raises
    ------
    TableError
        The file is broken.
    """
    try:
        return pd.read_csv(path, nrows=100)
    except (ValueError, OSError) as error:
        raise TableError(f"{Path(path).name} cannot be read: {error}") from error


def is_feature_table(path):
    """Whether a file is a table of features and not a list of images.

    A CSV is one if it has numeric columns of its own and its first row names no file beside it or a folder below.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return path.suffix.lower() in SUFFIXES
    head = read_head(path)
    name = find_column(head, NAME_COLUMNS)
    first = str(head[name].iloc[0]) if name is not None and len(head) else ""
    images = bool(first) and ((path.parent / first).is_file() or any(path.parent.glob(f"*/{first}")))
    return bool(value_columns(head)) and not images
