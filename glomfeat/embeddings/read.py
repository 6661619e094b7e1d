"""Open whatever holds rows: CSV, parquet, npy, HDF5, or a folder with a file an image."""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.embeddings import hdf5
from glomfeat.embeddings.files import files_of, names_beside
from glomfeat.embeddings.folders import is_by_row, names_of_folder, names_of_rows
from glomfeat.embeddings.named import Named, number_columns, refuse_twice
from glomfeat.embeddings.parquet import facts_of_parquet, open_parquet
from glomfeat.tabular import HDF5, NAME_COLUMNS, TableError, find_column, read_frame, value_columns


def names_of(path, but=(), wanted=()):
    """Who the rows are and what else is said of them, without their numbers.

    Parameters
    ----------
    path : path-like
        A feature table, or a folder of HDF5 or ``.pt`` files.
    but : sequence of str
        Numeric columns that do not describe, and so are part of what is said.
    wanted : sequence of str
        Names of images, where they are known: whether they name the files of a folder or the rows in them.

    Returns
    -------
    pandas.DataFrame
        A row each; of a CSV, all of its columns.

    Raises
    ------
    TableError
        It cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "uni.npy", np.zeros((2, 3)))
    >>> _ = (folder / "uni.txt").write_text("a.png\\nb.png\\n")
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
    return facts_of_parquet(path, but) if suffix == ".parquet" else read_frame(path)


def open_rows(path, but=()):
    """Open the rows of a file for reading some at a time.

    Parameters
    ----------
    path : path-like
        A feature table; for folders see `glomfeat.embeddings.folders.open_folder`.
    but : sequence of str
        Numeric columns that do not describe.

    Returns
    -------
    Named

    Raises
    ------
    TableError
        It cannot be read, or has no names or no numbers.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = path.write_text("name,label,area\\na,0,1.5\\nb,1,2.5\\n")
    >>> open_rows(path).columns, open_rows(path).read(np.array([1])).tolist()
    (['area'], [[2.5]])
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return hdf5.open_hdf5(path)
    if suffix == ".npy":
        return _open_npy(path)
    return open_parquet(path, but) if suffix == ".parquet" else _open_csv(path, but)


def _open_csv(path, but):
    frame = read_frame(path)
    names, columns = named_column(frame, path), value_columns(frame, but)
    if names is None or not columns:
        raise TableError(f"{path}: needs a column {' or '.join(NAME_COLUMNS)} and numeric columns")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused by whoever asked
        matrix = frame[columns].to_numpy(np.float32)
    return Named(names, columns, lambda places: matrix[places])


def named_column(frame, path):
    """The names of a table's rows, or None where no column holds them; refuses names that several rows have."""
    column = find_column(frame, NAME_COLUMNS)
    if column is None:
        return None
    names = frame[column].astype(str).str.strip().tolist()
    refuse_twice(names, path)
    return names


def _open_npy(path):
    beside = names_beside(path)
    frame = _beside(beside)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise TableError(f"{path.name} cannot be read: {error}") from error
    if matrix.ndim != 2 or len(matrix) != len(frame) or matrix.dtype.kind not in "fiu":
        raise TableError(
            f"{path.name} has shape {matrix.shape} of {matrix.dtype} and {beside.name} {len(frame)} names: rows x "
            "columns of numbers must fit"
        )
    names = named_column(frame, path)
    if names is None:
        raise TableError(f"{beside.name}: needs a column {' or '.join(NAME_COLUMNS)}")
    columns = number_columns(matrix.shape[1])
    if not matrix.flags.c_contiguous:
        return Named(names, columns, lambda places: np.load(path, mmap_mode="r", allow_pickle=False)[places])
    dtype, offset = matrix.dtype, matrix.offset

    def read(places):
        found = np.empty((len(places), len(columns)), dtype)
        with path.open("rb") as file:  # rows that are read from a map bring their neighbours into memory
            for row, place in zip(found, places, strict=True):
                file.seek(offset + int(place) * row.nbytes)
                file.readinto(row)
        return found

    return Named(names, columns, read)


def _beside(path):
    """The frame of names that lies beside an npy."""
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
    except (ValueError, OSError) as error:
        raise TableError(f"{path.name} cannot be read: {error}") from error
    return pd.DataFrame({"name": [name.strip() for name in names]})
