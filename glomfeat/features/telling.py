"""Columns of a table that know too much: that alone tell the classes, or that count the rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm, rankdata

from glomfeat.data.tables.read import TABLES, listed
from glomfeat.features.table import Table

TELLS = 0.97  # AUROC, over images and over the means of each class in each case
COUNTS = 0.99  # rank correlation with the row number
LEAST_ROWS, ENOUGH_ROWS, MOST_CELLS, BLOCK = 10, 400, 2**22, 256
BY_CHANCE = 0.05  # that any of all columns of noise is called telling


@dataclass(frozen=True)
class Telling:
    """A column that knows too much.

    Attributes
    ----------
    column : str
    auroc : float
        Of the column alone, the better of both directions, the smaller of that over images and by case; of more than
        two classes, of the one that it tells best.
    growth : float
        Rank correlation with the number of the row in the table, without sign.
    """

    column: str
    auroc: float
    growth: float

    @property
    def why(self):
        """What it knows, in words."""
        tells = f"tells the classes alone (AUROC by case {self.auroc:.2f})" if self.auroc > TELLS else ""
        counts = "grows with the number of the row" if self.growth > COUNTS else ""
        return " and ".join(part for part in (tells, counts) if part)


def telling_columns(table, manifest):
    """Look at each column of a feature table alone.

    Parameters
    ----------
    table : Table
    manifest : Manifest
        Of its images.

    Returns
    -------
    found : list of Telling
    looked : int
        At how many columns; of very wide tables at the first ones.
    """
    opened = table.open()
    places = table.places(opened, manifest.table["name"].tolist())
    order = np.argsort(places)  # as the rows lie in the table
    if len(order) < LEAST_ROWS:
        return [], 0
    width = min(len(opened.columns), MOST_CELLS // min(len(order), ENOUGH_ROWS))
    most = max(ENOUGH_ROWS, MOST_CELLS // width)
    drawn = np.sort(np.random.default_rng(0).permutation(len(order))[:most])
    rows = order[drawn]
    values = np.asarray(opened.read(places[rows]))[:, :width].astype(np.float32, copy=False)
    known, found = np.isfinite(values), {}
    whole = known.all(axis=0)
    columns = np.flatnonzero(whole)
    parts = [(columns[start : start + BLOCK], slice(None)) for start in range(0, len(columns), BLOCK)]
    # a column that lacks values is looked at where it has some
    parts += [(np.array([k]), known[:, k]) for k in np.flatnonzero(~whole) if known[:, k].sum() >= LEAST_ROWS]
    for columns, there in parts:
        seen = rows[there]
        block, labels, cases = values[there][:, columns], manifest.labels[seen], manifest.cases[seen]
        ranks = rankdata(block, axis=0)
        growth = np.abs(_correlation(ranks, np.arange(len(rows))[there]))
        area = np.minimum(_areas(ranks, labels, width), _areas(*_by_case(block, labels, cases), width))
        area[_copies(block, labels)] = 1.0
        for k in np.flatnonzero((area > TELLS) | (growth > COUNTS)):
            found[columns[k]] = Telling(str(opened.columns[columns[k]]), float(area[k]), float(growth[k]))
    return [found[k] for k in sorted(found)], width


def _correlation(ranks, order):
    ranks, order = ranks - ranks.mean(axis=0), order - order.mean()
    return order @ ranks / np.maximum(np.sqrt((order**2).sum() * (ranks**2).sum(axis=0)), 1e-12)


def _areas(ranks, labels, columns):
    """AUROC of each column, of the class that it tells best from the others, the better of both directions.

    0 for classes of so few rows that one of so many columns would tell them by chance.
    """
    best, least = np.zeros(ranks.shape[1]), norm.isf(BY_CHANCE / columns)
    for label in np.unique(labels):
        mine = labels == label
        n, m = mine.sum(), (~mine).sum()
        if n and m and (TELLS - 0.5) / np.sqrt((n + m + 1) / (12 * n * m)) > least:
            area = (ranks[mine].sum(axis=0) - n * (n + 1) / 2) / (n * m)
            best = np.maximum(best, np.maximum(area, 1 - area))
    return best


def _copies(block, labels):
    """Columns that hold one number for each class."""
    _, first, of = np.unique(labels, return_index=True, return_inverse=True)
    one = np.sort(block[first], axis=0)
    return (block == block[first][of]).all(axis=0) & (np.diff(one, axis=0) > 0).all(axis=0)


def _by_case(block, labels, cases):
    """Ranks of the mean of each class in each case, and their classes."""
    keys, index = np.unique(np.column_stack([cases, labels]), axis=0, return_inverse=True)
    sums = np.zeros((len(keys), block.shape[1]))
    np.add.at(sums, index.ravel(), block)
    return rankdata(sums / np.bincount(index.ravel())[:, None], axis=0), keys[:, 1]


def lines_on_tables(features, manifest):
    """What of feature tables the user should see: columns that are used and left out, and those that know too much.

    Parameters
    ----------
    features : list
        Of `glomfeat.features.make.make_feature`.
    manifest : Manifest

    Returns
    -------
    list of str
    """
    lines = []
    for table in features:
        if not isinstance(table, Table):
            continue
        if table.path != manifest.source or Path(table.path).suffix.lower() not in TABLES:  # which have been said
            lines += table.lines()
        lines += table.lines_on_gaps()
        found, looked = telling_columns(table, manifest)
        for one in found[:10]:
            lines.append(f"warning: column {one.column!r} of {table.name} {one.why}: if nobody measured it, --drop it")
        if len(found) > 10:
            lines.append(f"warning: so do {listed((one.column for one in found[10:]), 20)}")
        if 0 < looked < len(opened := table.columns):
            lines.append(f"{table.name}: the first {looked} of {len(opened)} columns were looked at alone")
    return lines
