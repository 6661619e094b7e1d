"""What a model reads from a table: which columns, from which rows, and what replaces values that may be missing."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.data.embeddings.learnt import Learnt
from glomfeat.data.embeddings.named import AT_ONCE, number_columns
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.levels import columns_behind
from glomfeat.data.tables.read import listed
from glomfeat.features.base import Defaults

KINDS = ("", "mean", "rows")
SHOWN = 5


@dataclass(frozen=True)
class Columns(Defaults):
    """Rows of a table as a feature: missing values are filled, and indicators say where.

    Attributes
    ----------
    name : str
        Name of the feature in the study.
    learnt : Learnt
        The columns that it reads.
    kind : str
        ``mean`` if each row was the mean of those in one file of a folder, ``rows`` if it was each of these.
    asked : Asked
        The columns that the user named for names and classes.
    lacking : ndarray of int64
        Positions of the columns that lacked values in the training rows, and may therefore lack them.
    mean, spread : ndarray of float32, shape (d,)
        Mean and standard deviation of the training rows.
    medians : ndarray of float32, shape (d,)
        What missing values are replaced by.
    shown : dict of str to list of str
        How messages and the card show the texts of a column, where some of them may tell who a case is.
    """

    name: str
    learnt: Learnt
    kind: str
    asked: Asked
    lacking: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    medians: np.ndarray = field(repr=False)
    shown: dict = field(default_factory=dict)

    key = None
    weights, standardise = "", True

    @property
    def width(self):
        """How many numbers a row has, including indicators."""
        return len(self.mean) + len(self.lacking)

    @property
    def columns(self):
        """Names of the numbers in a row of the table."""
        return self.learnt.names

    def transform(self, rows, sizes=None):
        """Turn rows of the table into what models read.

        Parameters
        ----------
        rows : ndarray of float32, shape (n, d)
            NaN where a value is missing.

        Returns
        -------
        ndarray of float32, shape (n, width)
        """
        if not len(self.lacking):
            return rows
        gaps = np.isnan(rows)
        return np.hstack([np.where(gaps, self.medians, rows), gaps[:, self.lacking]]).astype(np.float32)

    def judge(self, matrix):
        """Decide which rows can be scored.

        Parameters
        ----------
        matrix : ndarray of float32, shape (n, d)

        Returns
        -------
        list of ndarray of float32, shape (d,), or str
            The row, or why it cannot be scored.
        """
        may = np.zeros(matrix.shape[1], bool)
        may[self.lacking] = True
        missing, beyond = np.isnan(matrix) & ~may, np.isinf(matrix)
        found, columns = [*matrix], np.array(self.columns, object)
        for row in np.flatnonzero((missing | beyond).any(axis=1)):
            parts = [("no number", missing[row]), ("infinity, or a number beyond 3.4e38,", beyond[row])]
            found[row] = "; ".join(f"{what} in {listed(columns[bad], SHOWN)}" for what, bad in parts if bad.any())
        for column, texts in self.learnt.levels.items():
            place = self.columns.index(f"{column}={texts[0]}")
            for row in np.flatnonzero(~matrix[:, place : place + len(texts)].any(axis=1)):
                found[row] = f"{listed([column])} is none of {listed(self.shown.get(column, texts), SHOWN)}"
        return found

    def about(self):
        """What ``bundle.json`` says about it, as plain data."""
        learnt, columns = self.learnt, self.columns
        return {
            "called": learnt.what,
            "columns": None if learnt.is_numbered else list(learnt.columns),
            "levels": learnt.levels,
            **({"shown": self.shown} if self.shown else {}),
            "rows": self.kind,
            "lacking": [columns[place] for place in self.lacking],
            "filled": "the median of the training rows, and a column says where" if len(self.lacking) else "refused",
            "name_column": self.asked.name,
            "label_column": self.asked.label,
        }

    def arrays(self):
        """Its arrays, by name."""
        return {f"table.{name}": getattr(self, name) for name in ("mean", "spread", "medians")}


def from_table(table, stored, shown):
    """The columns that a model has learnt from a table.

    Parameters
    ----------
    table : glomfeat.features.table.Table
    stored : Matrix, shape (n, width)
        The table's rows, as they were extracted.
    shown : dict of str to list of str
        From `glomfeat.features.table.Table.shown_texts`.

    Returns
    -------
    Columns
    """
    opened = table.open()
    names, gaps = list(map(str, opened.columns)), table.gaps if table.imputes else None
    own = names[: len(gaps.kept)] if gaps else names
    lacking = gaps.places if gaps else np.empty(0, np.int64)
    learnt = Learnt(table.stem, tuple(columns_behind(own, opened.levels)), opened.levels)
    asked = Asked(name=table.asked.name, label=table.asked.label)
    mean, spread = _moments(stored, len(own))
    medians = _medians(stored, lacking, len(own))
    return Columns(table.name, learnt, table.kind, asked, lacking, mean, spread, medians, shown)


def _moments(stored, width):
    """Mean and standard deviation of the numbers that are not missing."""
    count, total, squares = np.zeros(width), np.zeros(width), np.zeros(width)
    for part in gen_batches(len(stored), AT_ONCE):
        rows = np.asarray(stored[part], np.float64)[:, :width]
        count += (~np.isnan(rows)).sum(axis=0)
        total += np.nansum(rows, axis=0)
    mean = total / np.maximum(count, 1)
    for part in gen_batches(len(stored), AT_ONCE):
        squares += np.nansum((np.asarray(stored[part], np.float64)[:, :width] - mean) ** 2, axis=0)
    return mean.astype(np.float32), np.sqrt(squares / np.maximum(count, 1)).astype(np.float32)


def _medians(stored, lacking, width):
    """Medians of the columns that may lack values, as `glomfeat.models.reducers.filling.fill` finds them."""
    from glomfeat.models.reducers.filling import fill

    found = np.zeros(width, np.float32)
    if len(lacking):
        found[:] = fill(stored, np.arange(len(stored))).medians[:width]
    return found


def from_about(feature, arrays):
    """The columns that a model reads, according to its bundle.

    Parameters
    ----------
    feature : dict
        What ``bundle.json`` says about the feature.
    arrays : dict of str to ndarray

    Returns
    -------
    Columns

    Raises
    ------
    ValueError, KeyError, TypeError
        These do not fit together.
    """
    about, numbers = feature["table"], [arrays[f"table.{name}"] for name in ("mean", "spread", "medians")]
    columns = number_columns(len(numbers[0])) if about["columns"] is None else about["columns"]
    levels, shown = about["levels"], about.get("shown", {})
    asked = about["name_column"], about["label_column"]
    texts = [about["called"], feature["name"], *columns, *about["lacking"], *asked, *levels]
    texts += [text for found in (*levels.values(), *shown.values()) for text in found]
    if not all(type(text) is str for text in texts):
        raise ValueError("names of columns that are no texts")
    if not (about["called"] + feature["name"]).isprintable():
        raise ValueError("a name that a terminal would obey")
    learnt = Learnt(about["called"], tuple(columns), levels)
    names, width = learnt.names, len(numbers[0])
    if len(set(columns)) < len(columns) or not {*levels} <= {*columns} or not all(levels.values()):
        raise ValueError("columns that are there twice, or texts of others")
    fit = all(one.shape == (width,) and one.dtype == np.float32 and np.isfinite(one).all() for one in numbers)
    lacking = np.array([names.index(column) for column in about["lacking"]], np.int64)
    if not fit or len(names) != width or feature["width"] != width + len(lacking) or about["rows"] not in KINDS:
        raise ValueError("numbers of other columns")
    return Columns(feature["name"], learnt, about["rows"], Asked(*asked), lacking, *numbers, shown)
