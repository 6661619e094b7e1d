"""Tables that people bring, and which of what they bring is a table of features."""

import os
from pathlib import Path

import pandas as pd

from glomfeat.files import open_bytes
from glomfeat.images import SUFFIXES as IMAGES

NAME_COLUMNS = ("path", "name", "file", "filename", "image")
LABEL_COLUMNS = ("label", "ground truth", "ground_truth", "class")
CASE_COLUMNS = ("case", "case_id", "patient", "patient_id", "subject", "subject_id")
SLIDE_COLUMNS = ("slide", "slide_id")
FOLD_COLUMNS = ("fold", "split", "repeat")
TABLES = (".csv", ".parquet")
HDF5 = (".h5", ".hdf5")
SUFFIXES = (*TABLES, ".npy", *HDF5)
PER_IMAGE = (*HDF5, ".pt")


class TableError(ValueError):
    """A table that cannot be read or lacks a column; the message says what it should look like."""


def read_frame(path):
    """Read a table with all its columns; names, labels and cases as text.

    Parameters
    ----------
    path : path-like
        ``.csv`` or ``.parquet``.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    TableError
        The format is unknown, or the file is missing or broken.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise TableError(f"{path.name}: tables are {', '.join(TABLES)}, not {suffix or 'without a suffix'!r}")
    text = dict.fromkeys(NAME_COLUMNS + LABEL_COLUMNS + CASE_COLUMNS + SLIDE_COLUMNS, str)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        with open_bytes(path) as file:
            frame = pd.read_csv(file, dtype=text, skipinitialspace=True)
        label = find_column(frame, LABEL_COLUMNS)
        if label is not None:  # a class may be called None or NA, which pandas takes for a missing value
            place = [frame.columns.get_loc(label)]
            with open_bytes(path) as file:
                texts = pd.read_csv(file, usecols=place, dtype=str, keep_default_na=False, skipinitialspace=True)
            frame[label] = texts.iloc[:, 0]
    except (ValueError, OSError) as error:
        raise TableError(f"{path.name} cannot be read: {error}") from error
    return frame


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
        with open_bytes(path) as file:
            return pd.read_csv(file, nrows=100)
    except (ValueError, OSError) as error:
        raise TableError(f"{Path(path).name} cannot be read: {error}") from error


def is_feature_table(path):
    """Whether a file or folder holds features and not images or a list of them.

    A CSV does if it has numeric columns of its own and its first row names no file beside it or a folder below; a
    folder does if there are HDF5 or ``.pt`` files below it and no image.
    """
    path = Path(path)
    if path.is_dir():
        return _holds_rows(path)
    if path.suffix.lower() != ".csv" or not path.is_file():
        return path.suffix.lower() in SUFFIXES
    head = read_head(path)
    name = find_column(head, NAME_COLUMNS)
    first = str(head[name].iloc[0]) if name is not None and len(head) else ""
    images = bool(first) and ((path.parent / first).is_file() or any(path.parent.glob(f"*/{first}")))
    return bool(value_columns(head)) and not images


def _holds_rows(folder):
    rows = False
    for _, _, files in os.walk(folder):
        suffixes = {os.path.splitext(name)[1].lower() for name in files}  # noqa: PTH122 (a Path each is slow)
        if suffixes & IMAGES:
            return False
        rows |= bool(suffixes & set(PER_IMAGE))
    return rows
