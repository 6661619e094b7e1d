"""Open whatever holds rows: CSV, parquet, npy, HDF5, or a folder with one file per image."""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.data.embeddings import hdf5
from glomfeat.data.embeddings.files import files_of, names_beside
from glomfeat.data.embeddings.folders import is_by_row, names_of_folder, names_of_rows
from glomfeat.data.embeddings.named import Named, no_rows, number_columns, refuse_twice
from glomfeat.data.embeddings.parquet import facts_of_parquet, open_parquet
from glomfeat.data.tables.columns import USUAL, sort_columns
from glomfeat.data.tables.joining import find_names_among
from glomfeat.data.tables.numbers import numbers_of, spoilt_cells, spoilt_in_words
from glomfeat.data.tables.precision import coarse_columns
from glomfeat.data.tables.read import (
    HDF5,
    NAME_COLUMNS,
    SHEETS,
    TABLES,
    TableError,
    open_parquet_file,
    read_frame,
    read_values,
    row_names,
)


def names_of(path, asked=USUAL, wanted=()):
    r"""The names of the rows and what else is said about them, without their numbers.

    Parameters
    ----------
    path : path-like
        A feature table, or a folder of HDF5 or ``.pt`` files.
    asked : glomfeat.data.tables.columns.Asked
        What the user says about the columns.
    wanted : sequence of str
        Names of images, if known: they show whether images are the files of a folder or the rows in them.

    Returns
    -------
    pandas.DataFrame
        One row each; for a CSV, with all of its columns.

    Raises
    ------
    TableError
        The data cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "uni.npy", np.zeros((2, 3)))
    >>> _ = (folder / "uni.txt").write_text("a.png\nb.png\n")
    >>> names_of(folder / "uni.npy")["name"].tolist()
    ['a.png', 'b.png']
    """
    path = Path(path)
    files, suffix = files_of(path), path.suffix.lower()
    if path.is_dir():
        if is_by_row(path, files, wanted):
            return pd.DataFrame({"name": names_of_rows(files)})
        return names_of_folder(path, files)
    if suffix in HDF5:
        with hdf5.opened(path) as file:
            layout = hdf5.look(file)
            return pd.DataFrame({"name": hdf5.names_in(file, layout), **hdf5.facts_in(file, layout)})
    if suffix == ".npy":
        return _beside(names_beside(path))
    return facts_of_parquet(path, asked) if suffix == ".parquet" else read_asked(path, asked)


def column_naming(path, images, asked=USUAL):
    r"""The column of a table whose texts name most of some images, each in a single row; empty if it has none.

    Parameters
    ----------
    path : path-like
        A feature table. Only texts of a CSV, a workbook or a parquet file are looked at.
    images : sequence of str
    asked : glomfeat.data.tables.columns.Asked

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = path.write_text("id,crop,area\n1,a.png,1.5\n2,b.png,2.5\n")
    >>> column_naming(path, ["sick/a.png", "well/b.png"])
    'crop'
    """
    frame = names_of(path, asked) if Path(path).suffix.lower() in TABLES else pd.DataFrame()
    for column in frame.select_dtypes(exclude=("number", "bool")).columns:
        texts = read_values(frame[column].array)
        texts = texts[texts != ""]
        if texts.is_unique and 2 * len(find_names_among(texts.tolist(), images)[0]) > len(images):
            return str(column)
    return ""


def read_asked(path, asked, rows=None):
    """Read a table like `glomfeat.data.tables.read.read_frame`, with the user's names, classes and cases as text."""
    return read_frame(path, [text for text in (asked.name, asked.label, *asked.named) if text], rows, asked.joined)


def header_of(path):
    """The names of a table's columns, including those of the names beside an npy; empty if it has no header."""
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        return []
    if suffix == ".parquet":
        with open_parquet_file(path) as file:
            return file.schema_arrow.names
    if suffix == ".npy":
        path = names_beside(path)
        suffix = path.suffix.lower()
    return [*read_frame(path, rows=1).columns] if suffix in SHEETS else []


def open_rows(path, asked=USUAL):
    r"""Open the rows of a file, to be read some at a time.

    Parameters
    ----------
    path : path-like
        A feature table; for folders see `glomfeat.data.embeddings.folders.open_folder`.
    asked : glomfeat.data.tables.columns.Asked
        What the user says about the columns.

    Returns
    -------
    Named

    Raises
    ------
    TableError
        The file cannot be read, or has no names or no numbers.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = path.write_text("name,label,area\na,0,1.5\nb,1,2.5\n")
    >>> open_rows(path).columns, open_rows(path).read(np.array([1])).tolist()
    (['area'], [[2.5]])
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return hdf5.open_hdf5(path)
    if suffix == ".npy":
        return _open_npy(path, asked)
    return open_parquet(path, asked) if suffix == ".parquet" else _open_table(path, asked)


def _open_table(path, asked):
    frame = read_asked(path, asked)
    names, found = row_names(frame, path.name, asked.name), sort_columns(frame, asked, path.name)
    if names is None or not found.used:
        raise no_rows(path, frame, found)
    names = names.tolist()
    refuse_twice(names, path)
    if found.spoilt and asked.missing == "refuse":
        raise TableError(f"{path}: {'; '.join(spoilt_in_words(frame, found, names))}")
    matrix = numbers_of(frame, found)
    spoilt, coarse = spoilt_cells(frame, found), coarse_columns(frame, found.used)
    return Named(names, found.names, lambda places: matrix[places], found.left, spoilt, found.levels, coarse)


def _open_npy(path, asked):
    beside = names_beside(path)
    frame = _beside(beside)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise TableError(
            f"{path.name} cannot be read: it holds Python objects, or is not an array that numpy.save wrote"
        ) from error
    if matrix.ndim != 2 or len(matrix) != len(frame) or matrix.dtype.kind not in "fiu":
        raise TableError(
            f"{path.name} has shape {matrix.shape} of {matrix.dtype} and {beside.name} {len(frame)} names: rows x "
            "columns of numbers must fit"
        )
    names = row_names(frame, beside.name, asked.name)
    if names is None:
        raise TableError(f"{beside.name}: needs a column {' or '.join(NAME_COLUMNS[:5])}, or --name-column")
    names = names.tolist()
    refuse_twice(names, path)
    columns = number_columns(matrix.shape[1])
    if not matrix.flags.c_contiguous:
        return Named(names, columns, lambda places: np.load(path, mmap_mode="r", allow_pickle=False)[places])
    dtype, offset = matrix.dtype, matrix.offset

    def read(places):
        found = np.empty((len(places), len(columns)), dtype)
        with path.open("rb") as file:  # reading rows from a map would bring their neighbours into memory
            for row, place in zip(found, places, strict=True):
                file.seek(offset + int(place) * row.nbytes)
                file.readinto(row)
        return found

    return Named(names, columns, read)


def _beside(path):
    """The table of names that lies beside an npy."""
    if path.suffix == ".csv":
        return read_frame(path)
    try:
        if path.suffix == ".npy":
            texts = np.load(path, allow_pickle=False)
            if texts.ndim != 1 or texts.dtype.kind not in "US":
                raise TableError(f"{path.name} is {texts.shape} of {texts.dtype}: it must be a list of texts")
            names = [text.decode() if isinstance(text, bytes) else text for text in texts.tolist()]
        else:
            names = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except TableError:
        raise
    except UnicodeDecodeError as error:
        raise TableError(f"{path.name} cannot be read: save it as UTF-8, with one name on each line") from error
    except (ValueError, OSError, EOFError) as error:
        raise TableError(
            f"{path.name} cannot be read: it must be an array of texts as numpy.save writes it, without Python objects"
        ) from error
    return pd.DataFrame({"name": [name.strip() for name in names]})
