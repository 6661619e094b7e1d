"""Parquet by row groups, so that a wide table is never held as a whole."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from glomfeat.embeddings.named import Named, refuse_twice
from glomfeat.tabular import NAME_COLUMNS, TableError, find_column, value_columns

AT_ONCE = 2048


def _open(path):
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{Path(path).name} cannot be read: {error}") from error


def _columns(file, but):
    """The column of names, the numeric ones, and the others."""
    empty = file.schema_arrow.empty_table().to_pandas()
    values = value_columns(empty, but)
    return find_column(empty, NAME_COLUMNS), values, [name for name in empty.columns if name not in set(values)]


def facts_of_parquet(path, but=()):
    """All columns but the numbers that describe; also these where no column names the rows.

    Returns
    -------
    pandas.DataFrame
    """
    with _open(path) as file:
        name, _, others = _columns(file, but)
        return file.read(columns=None if name is None else others).to_pandas()


def open_parquet(path, but=()):
    """The rows of a parquet file; a row group of it is held at a time.

    Parameters
    ----------
    path : path-like
    but : sequence of str
        Numeric columns that do not describe.

    Returns
    -------
    Named

    Raises
    ------
    TableError
        The file is broken, or has no column of names or of numbers.
    """
    with _open(path) as file:
        name, columns, _ = _columns(file, but)
        if name is None or not columns:
            raise TableError(f"{path}: needs a column {' or '.join(NAME_COLUMNS)} and numeric columns")
        names = file.read(columns=[name]).to_pandas()[name].astype(str).str.strip().tolist()
        lengths = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    refuse_twice(names, path)
    starts = np.cumsum([0, *lengths])

    @lru_cache(maxsize=1)
    def group(k):
        found, row = np.empty((lengths[k], len(columns)), np.float32), 0
        with _open(path) as file:
            for batch in file.iter_batches(AT_ONCE, row_groups=[k], columns=columns):
                found[row : row + len(batch)] = batch.to_pandas()[columns].to_numpy(np.float32)
                row += len(batch)
        return found

    def read(places):
        of, found = np.searchsorted(starts, places, side="right") - 1, np.empty((len(places), len(columns)), np.float32)
        for k in np.unique(of):
            found[of == k] = group(int(k))[places[of == k] - starts[k]]
        return found

    return Named(names, columns, read)
