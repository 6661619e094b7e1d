"""Parquet read by row groups, so that a wide table is never held as a whole."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.data.embeddings.named import Named, no_rows, refuse_twice
from glomfeat.data.tables.columns import sort_columns
from glomfeat.data.tables.delimited import MOST_COLUMNS
from glomfeat.data.tables.numbers import numbers_of, spoilt_cells, spoilt_in_words
from glomfeat.data.tables.precision import coarse_columns
from glomfeat.data.tables.read import TableError, find_column, find_names, open_parquet_file, row_names

AT_ONCE = 2048


def sorted_parquet(path, asked):
    """Sort the columns of a parquet file into those that describe and others.

    Returns a `glomfeat.data.tables.columns.Sorted`, the file's columns without rows, and the columns that hold no
    numbers.
    """
    with open_parquet_file(path) as file:
        if file.metadata.num_columns > MOST_COLUMNS:
            raise TableError(
                f"{Path(path).name} has {file.metadata.num_columns} columns, and parquet is read up to {MOST_COLUMNS}: "
                "save its numbers as .npy or .h5"
            )
        empty = file.schema_arrow.empty_table().to_pandas(ignore_metadata=True)
        kinds = [column for column, kind in empty.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
        texts = file.read(columns=kinds).to_pandas(ignore_metadata=True)
    return sort_columns(empty, asked, Path(path).name, texts), empty, texts


def largest_group(path):
    """Rows in the largest row group of a parquet file; a group is read as a whole."""
    with open_parquet_file(path) as file:
        return max((file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)), default=0)


def facts_of_parquet(path, asked):
    """All columns except the numbers that only describe; those too if no column names the rows.

    Returns
    -------
    pandas.DataFrame
    """
    found, empty, _ = sorted_parquet(path, asked)
    names = find_names(empty, Path(path).name, asked.name)
    others = {*empty.columns} - {*found.used} | {*names}
    others |= {column for name, _ in asked.uses if (column := find_column(empty, (name,))) is not None}
    with open_parquet_file(path) as file:
        return file.read(columns=[*filter(others.__contains__, empty.columns)] if names else None).to_pandas(
            ignore_metadata=True
        )


def open_parquet(path, asked):
    """Open the rows of a parquet file as `Named`; one row group is held at a time."""
    sorted_, empty, texts = sorted_parquet(path, asked)
    names_in, used = find_names(empty, Path(path).name, asked.name), list(sorted_.used)
    if not names_in or not used:
        raise no_rows(path, empty, sorted_)
    with open_parquet_file(path) as file:
        frame = file.read(columns=names_in).to_pandas(ignore_metadata=True)
        names = row_names(frame, Path(path).name, asked.name).tolist()
        lengths = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        extremes = _extremes(file, [column for column in used if empty[column].dtype.kind in "iuf"])
    if sorted_.spoilt and asked.missing == "refuse":
        raise TableError(f"{path}: {'; '.join(spoilt_in_words(texts, sorted_, names))}")
    refuse_twice(names, path)
    columns = sorted_.names
    starts = np.cumsum([0, *lengths])

    @lru_cache(maxsize=1)
    def group(k):
        found, row = np.empty((lengths[k], len(columns)), np.float32), 0
        with open_parquet_file(path) as file:
            for batch in file.iter_batches(AT_ONCE, row_groups=[k], columns=used):
                found[row : row + len(batch)] = numbers_of(batch.to_pandas(ignore_metadata=True), sorted_)
                row += len(batch)
        return found

    def read(places):
        of, found = np.searchsorted(starts, places, side="right") - 1, np.empty((len(places), len(columns)), np.float32)
        for k in np.unique(of):
            found[of == k] = group(int(k))[places[of == k] - starts[k]]
        return found

    coarse = coarse_columns(extremes, extremes.columns)
    return Named(names, columns, read, sorted_.left, spoilt_cells(texts, sorted_), sorted_.levels, coarse)


def _extremes(file, columns):
    """The least and the largest number of columns of an open file, as far as it says them without reading rows."""
    metadata, found = file.metadata, {}
    places = {file.schema.column(place).path: place for place in range(metadata.num_columns)}
    for column in columns:
        groups = (metadata.row_group(k).column(places[column]) for k in range(metadata.num_row_groups))
        said = [group.statistics for group in groups]
        if said and all(one is not None and one.has_min_max for one in said):
            found[column] = [min(one.min for one in said), max(one.max for one in said)]
    return pd.DataFrame(found)
