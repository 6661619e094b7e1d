"""Cells of a table without a number: counting them, and columns that mark them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.data.embeddings.named import AT_ONCE, Named
from glomfeat.data.tables.read import listed

SHOWN = 10
EMPTY = "it is empty"
SUFFIX = " missing"


@dataclass(frozen=True)
class Gaps:
    """How many cells without a number each column of a table has.

    Attributes
    ----------
    rows : int
        Rows of the table.
    counts : ndarray of int64, shape (columns,)
        Cells without a number in each column.
    """

    rows: int
    counts: np.ndarray

    @property
    def kept(self):
        """Positions of the columns that hold any number."""
        return np.flatnonzero(self.counts < self.rows)

    @property
    def places(self):
        """Positions, among the kept columns, of those with missing values."""
        return np.flatnonzero(self.counts[self.kept])


def count_gaps(named):
    """Count the cells without a number.

    Parameters
    ----------
    named : glomfeat.data.embeddings.named.Named

    Returns
    -------
    Gaps

    Examples
    --------
    >>> matrix = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, np.nan]])
    >>> found = count_gaps(Named(["a", "b"], ["x", "y", "z"], lambda places: matrix[places]))
    >>> found.counts.tolist(), found.kept.tolist(), found.places.tolist()
    ([0, 1, 2], [0, 1], [1])
    """
    counts = np.zeros(len(named.columns), np.int64)
    for part in gen_batches(len(named.names), AT_ONCE):
        counts += np.isnan(np.asarray(named.read(np.arange(part.start, part.stop)))).sum(axis=0)
    return Gaps(len(named.names), counts)


def with_indicators(named, gaps):
    """Leave out empty columns, and add indicators: 1 if the value of a column is missing, else 0.

    All rows of the table decide which columns have indicators, so that rows have the same width in every fold. This
    leaks nothing: where cells are empty is no label, and an indicator depends on its own row alone.

    Parameters
    ----------
    named : glomfeat.data.embeddings.named.Named
    gaps : Gaps
        Gaps of these rows.

    Returns
    -------
    glomfeat.data.embeddings.named.Named

    Examples
    --------
    >>> matrix = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, np.nan]])
    >>> rows = Named(["a", "b"], ["x", "y", "z"], lambda places: matrix[places])
    >>> found = with_indicators(rows, count_gaps(rows))
    >>> found.columns, found.read(np.array([0, 1])).tolist(), found.left
    (['x', 'y', 'y missing'], [[1.0, nan, 1.0], [2.0, 3.0, 0.0]], {'z': 'it is empty'})
    """
    kept, places = gaps.kept, gaps.places
    if len(kept) == len(named.columns) and not len(places):
        return named
    columns = [str(named.columns[k]) for k in kept]
    empty = {column: EMPTY for column, count in zip(named.columns, gaps.counts, strict=True) if count == gaps.rows}

    def read(rows):
        values = np.asarray(named.read(rows))[:, kept]
        return np.hstack([values, np.isnan(values[:, places])])

    names = [*columns, *(columns[k] + SUFFIX for k in places)]
    return Named(named.names, names, read, named.left | empty, named.spoilt, named.levels, named.coarse)


def gaps_in_words(named, gaps, what):
    """Lines for the user on what is missing in a table.

    Parameters
    ----------
    named : glomfeat.data.embeddings.named.Named
        The rows before `with_indicators`.
    gaps : Gaps
    what : str
        Name of the table.

    Returns
    -------
    list of str
        Empty if nothing is missing.

    Examples
    --------
    >>> matrix = np.array([[1.0, np.nan, np.nan], [2.0, 3.0, np.nan]])
    >>> rows = Named(["a", "b"], ["x", "y", "z"], lambda places: matrix[places], {}, {"y": "'n.d.' in row 1"})
    >>> for line in gaps_in_words(rows, count_gaps(rows), "t"):
    ...     print(line)
    t: left out: z (it is empty)
    t: 1 of 4 cells is missing, in 1 of 2 columns: y (1)
    t: it is filled with the median of the rows that are learnt, and 1 column says where
    t: taken as missing: 'n.d.' in row 1 of y
    """
    columns, kept, places = list(map(str, named.columns)), gaps.kept, gaps.places
    empty = [f"{columns[k]} ({EMPTY})" for k in range(len(columns)) if gaps.counts[k] == gaps.rows]
    lines = [f"{what}: left out: {listed(empty)}"] if empty else []
    if not len(places):
        return lines
    cells, one = int(gaps.counts[kept].sum()), len(places) == 1
    shown = listed((f"{columns[k]} ({gaps.counts[k]})" for k in kept[places]), SHOWN)
    are, they = ("is", "it is") if cells == 1 else ("are", "they are")
    lines += [
        f"{what}: {cells} of {gaps.rows * len(kept)} cells {are} missing, in {len(places)} of {len(kept)} columns: "
        f"{shown}",
        f"{what}: {they} filled with the median of the rows that are learnt, and {len(places)} "
        f"{'column says' if one else 'columns say'} where",
    ]
    if named.spoilt:
        texts = listed((f"{cells} of {column}" for column, cells in named.spoilt.items()), SHOWN)
        lines.append(f"{what}: taken as missing: {texts}")
    return lines
