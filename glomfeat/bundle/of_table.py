"""Bundles that read rows of a table: embeddings, or another program's measurements."""

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.bundle.ensemble import Ensemble
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.model import Bundle, parts_of
from glomfeat.data.embeddings.named import AT_ONCE, Named
from glomfeat.data.embeddings.read import header_of
from glomfeat.data.locate import is_feature_table, path_of
from glomfeat.data.sources import find_archives, is_image
from glomfeat.data.tables.columns import USUAL, Asked
from glomfeat.data.tables.numbers import numbers_of
from glomfeat.data.tables.read import find_column, row_names
from glomfeat.features.base import FeatureError
from glomfeat.features.table import Table
from glomfeat.models.ensemble import mean_scores

ARRAY = "the array"


@dataclass(frozen=True)
class NewTable(Table):
    """A table of new rows, from which a model reads the columns that it has learnt.

    Attributes
    ----------
    rows_are : str
        As for `glomfeat.bundle.columns.Columns.kind`.
    """

    rows_are: str = ""

    @cached_property
    def kind(self):
        """As for `Table`; rows of files if the model has learnt from such."""
        if not self._path.is_dir() or self.rows_are != "rows":
            return super().kind
        return "rows"

    def open(self):
        """Open the rows; unlike `Table`, leave gaps as they are.

        Raises
        ------
        FeatureError
            A column is missing, or a row of a file is not what it was in training.
        """
        whole = self._path.is_dir() and self.rows_are == "mean"
        if not whole and "mean" in (self.kind, self.rows_are):
            ours, theirs = [
                "the mean of a file" if kind == "mean" else "a row each" for kind in (self.rows_are, self.kind)
            ]
            raise FeatureError(f"{self.path}: the model reads {ours}, and here is {theirs}: give rows of the same kind")
        return self._open()


def holds_rows(path, asked=USUAL, forced=False):
    """Whether a path leads to rows of numbers rather than images, see `glomfeat.data.locate.is_feature_table`.

    Examples
    --------
    >>> holds_rows("a.png"), holds_rows("rows.npy")
    (False, True)
    """
    path = Path(path)
    return not is_image(path.name) and not find_archives(path) and is_feature_table(path, asked, None, forced)


def asked_of(columns, asked, header):
    """The columns that the user names for names and classes; otherwise those of the study, if a table has them.

    Parameters
    ----------
    columns : glomfeat.bundle.columns.Columns
    asked : glomfeat.data.tables.columns.Asked
    header : sequence of str

    Returns
    -------
    glomfeat.data.tables.columns.Asked
    """
    there = pd.DataFrame(columns=list(header))

    def known(column):
        return column if column and find_column(there, (column,)) else ""

    name, label = (getattr(asked, kind) or known(getattr(columns.asked, kind)) for kind in ("name", "label"))
    return Asked(name=name, label=label)


def open_table(columns, table, asked=None):
    """Open the rows of a table with the columns that a model reads.

    Parameters
    ----------
    columns : glomfeat.bundle.columns.Columns
    table : path-like, pandas.DataFrame, or ndarray of numbers, shape (n, d)
        Rows of an array are named by their numbers, those of a frame by a column of names or by its index.
    asked : glomfeat.data.tables.columns.Asked, optional
        Which columns name rows and hold classes; by default those of the study, if the table has them.

    Returns
    -------
    glomfeat.data.embeddings.named.Named
        NaN where a cell holds no number.

    Raises
    ------
    BundleError
        It is not a table.
    FeatureError, TableError
        A column is missing or there twice, or a width differs.
    """
    learnt = {"learnt": columns.learnt, "missing": "impute"}
    if isinstance(table, pd.DataFrame):
        table = table.set_axis(list(map(str, table.columns)), axis=1)
        asked = replace(asked or asked_of(columns, USUAL, table.columns), **learnt)
        found, names = columns.learnt.sort(table, asked, "the table"), row_names(table, "the table", asked.name)
        names = list(map(str, table.index if names is None else names))
        matrix = numbers_of(table, found)
        return Named(names, found.names, lambda places: matrix[places], found.left)
    if isinstance(table, np.ndarray) and table.ndim == 2 and table.dtype.kind in "fiu":
        if table.shape[1] != len(columns.columns):
            raise FeatureError(
                f"{ARRAY} has {table.shape[1]} columns, and the model reads {len(columns.columns)} of "
                f"{columns.learnt.what}: give them in the order of bundle.json"
            )
        names = [str(row) for row in range(len(table))]
        return Named(names, columns.columns, lambda places: table[places])
    if not isinstance(table, str | os.PathLike):
        raise BundleError(
            f"this bundle {_reads(columns)}: give its path, a pandas.DataFrame, or an array (rows, columns)"
        )
    path = str(path_of(table))
    asked = replace(asked or asked_of(columns, USUAL, header_of(path)), **learnt)
    if Path(path).exists() and not holds_rows(path, asked, forced=True):
        raise BundleError(
            f"{path} holds no rows of numbers, and this bundle {_reads(columns)}: describe the images as that table "
            "was made, and give the table; python -m studies.export writes features of glomfeat's own"
        )
    return NewTable(path, asked, rows_are=columns.kind).open()


def _reads(columns):
    return f"reads rows of a table ({len(columns.columns)} columns of {columns.learnt.what})"


def read_matrix(named, places):
    """Some rows as float32; what that cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(named.read(places)).astype(np.float32, copy=False)


def digests_of(matrix):
    """Eight bytes of the SHA-256 of each row's numbers, which tell whether two rows are the same.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n, d)

    Returns
    -------
    list of int

    Examples
    --------
    >>> a, b, c = digests_of(np.array([[0.0, np.nan], [-0.0, np.nan], [1.0, 2.0]], np.float32))
    >>> a == b, a == c
    (True, False)
    """
    plain = np.where(np.isnan(matrix), np.float32("nan"), matrix + np.float32(0))
    return [int.from_bytes(hashlib.sha256(row.tobytes()).digest()[:8]) for row in plain]


class _OfTable:
    """How a bundle that reads rows of a table differs from one that reads images."""

    @property
    def table(self):
        """The columns that it reads, as `glomfeat.bundle.columns.Columns`."""
        return self.parts[0].model.feature

    def predict(self, images, batch=AT_ONCE):
        """Predict the class of each row.

        Parameters
        ----------
        images : path-like, pandas.DataFrame, or ndarray of numbers, shape (n, d)
            The table, see `open_table`.
        batch : int
            Rows held at once; it changes no score.

        Returns
        -------
        pandas.DataFrame
            As from `Bundle.predict`, with a row for each row of the table, in its order. A row that lacks a number has
            the reason as its status.

        Examples
        --------
        >>> import glomfeat
        >>> glomfeat.load_bundle("models/mine").predict("new_rows.csv")  # doctest: +SKIP
        """
        opened, rows = open_table(self.table, images), []
        for part in parts_of(len(opened.names), batch):
            names = list(map(str, opened.names[part]))
            rows += self.rows(names, self.decode_rows(opened, np.arange(part.start, part.stop)))
        return self.as_frame(rows)

    def predict_proba(self, images, batch=AT_ONCE):
        """Scores of all classes, as scikit-learn's classifiers give them; parameters as for `predict`.

        Raises
        ------
        BundleError
            A row cannot be scored; `predict` has a row with the reason instead.
        """
        opened, parts = open_table(self.table, images), [np.empty((0, len(self.classes_)))]
        for part in parts_of(len(opened.names), batch):
            rows = self.decode_rows(opened, np.arange(part.start, part.stop))
            bad = next((k for k, found in enumerate(rows) if isinstance(found, str)), None)
            if bad is not None:
                raise BundleError(
                    f"row {part.start + bad + 1} cannot be scored: {rows[bad]}; predict gives such rows the reason"
                )
            parts.append(self.as_columns(self._scores(rows)[0]))
        return np.concatenate(parts)

    def decode_rows(self, opened, places):
        """Some rows of an open table, or why they cannot be scored."""
        return self.table.judge(read_matrix(opened, places))


@dataclass(frozen=True, repr=False)
class TableBundle(_OfTable, Bundle):
    """A head on rows of a table; it has no preprocess, and its reference knows no sizes and colours."""

    def _scores(self, decoded):
        scores, reduced = self.model.score(np.stack(decoded), None)
        return self.calibration.apply(scores), reduced

    def _unlike(self, seen):
        return self.reference.unlike(None, seen)


@dataclass(frozen=True, repr=False)
class TableEnsemble(_OfTable, Ensemble):
    """Several heads on rows of one table, which predict as one."""

    def _scores(self, decoded):
        scores, seen = zip(*(member._scores(decoded) for member in self.members), strict=True)
        return mean_scores(list(scores)), seen
