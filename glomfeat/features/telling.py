"""Finds columns of a table that know too much: those that separate the classes alone, or that count the rows."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm, rankdata

from glomfeat.core.words import number_of
from glomfeat.data.tables.joining import lines_on_folders
from glomfeat.data.tables.precision import coarse_in_words
from glomfeat.data.tables.read import TABLES, listed
from glomfeat.features.copies import KEEP_ONE, copied_rows
from glomfeat.features.table import Table

TELLS = 0.97  # AUROC, both over images and over the mean of each class in each case
COUNTS = 0.99  # rank correlation with the row number
LEAST_ROWS, ENOUGH_ROWS, MOST_CELLS, BLOCK = 10, 400, 2**22, 256
BY_CHANCE = 0.05  # accepted chance that any column of pure noise is reported


@dataclass(frozen=True)
class Telling:
    """A column that knows too much.

    Attributes
    ----------
    column : str
    auroc : float
        AUROC of the column alone, in the better direction: the smaller of the values over images and by case. With more
        than two classes, that of the class which it separates best. It is 1 if `exact`.
    growth : float
        Absolute rank correlation with the row number in the table.
    exact : bool
        Whether each of its values is of one class, as codes of subtypes are.
    """

    column: str
    auroc: float
    growth: float
    exact: bool = False

    @property
    def why(self):
        """What the column knows, in words."""
        how = "each of its values is of one class" if self.exact else f"AUROC by case {self.auroc:.2f}"
        tells = f"tells the classes alone ({how})" if self.auroc > TELLS else ""
        counts = "grows with the number of the row" if self.growth > COUNTS else ""
        return " and ".join(part for part in (tells, counts) if part)


def telling_columns(table, manifest, opened=None, show_names=False, places=None):
    """Test each column of a feature table alone.

    Parameters
    ----------
    table : Table
    manifest : Manifest
        The images that the table describes.
    opened : glomfeat.data.embeddings.named.Named, optional
        The opened table, if it is open already.
    show_names : bool
        Whether columns of 0 and 1 show texts that may tell who a case is.
    places : ndarray of int64, shape (n,), optional
        From `glomfeat.features.table.Table.places`, if the images were found already.

    Returns
    -------
    found : list of Telling
    looked : int
        How many columns were tested; of a very wide table, only the first ones are.
    """
    opened = opened or table.open()
    places = table.places(opened, manifest.table["name"].tolist()) if places is None else places
    order = np.argsort(places)  # the order of rows in the table
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
    # a column with missing values is tested on the rows that have one
    parts += [(np.array([k]), known[:, k]) for k in np.flatnonzero(~whole) if known[:, k].sum() >= LEAST_ROWS]
    for columns, there in parts:
        seen = rows[there]
        block, labels, cases = values[there][:, columns], manifest.labels[seen], manifest.cases[seen]
        ranks = rankdata(block, axis=0)
        growth = np.abs(_correlation(ranks, np.arange(len(rows))[there]))
        area = np.minimum(_areas(ranks, labels, width), _areas(*_by_case(block, labels, cases), width))
        exact = _codes(block, labels, cases, width)
        area[exact] = 1.0
        for k in np.flatnonzero((area > TELLS) | (growth > COUNTS)):
            found[columns[k]] = Telling(
                str(opened.columns[columns[k]]), float(area[k]), float(growth[k]), bool(exact[k])
            )
    shown = table.shown_columns(manifest.table["name"].tolist(), manifest.cases, show_names) if found else {}
    return [replace(found[k], column=shown.get(found[k].column, found[k].column)) for k in sorted(found)], width


def _correlation(ranks, order):
    ranks, order = ranks - ranks.mean(axis=0), order - order.mean()
    return order @ ranks / np.maximum(np.sqrt((order**2).sum() * (ranks**2).sum(axis=0)), 1e-12)


def _areas(ranks, labels, columns):
    """AUROC of each column in the better direction, for the class that it separates best from the others.

    It is 0 for classes with so few rows that one of that many columns would separate them by chance.
    """
    best, least = np.zeros(ranks.shape[1]), norm.isf(BY_CHANCE / columns)
    for label in np.unique(labels):
        mine = labels == label
        n, m = mine.sum(), (~mine).sum()
        if n and m and (TELLS - 0.5) / np.sqrt((n + m + 1) / (12 * n * m)) > least:
            area = (ranks[mine].sum(axis=0) - n * (n + 1) / 2) / (n * m)
            best = np.maximum(best, np.maximum(area, 1 - area))
    return best


def _codes(block, labels, cases, columns):
    """Which columns tell the class exactly by their values, in whatever order these are.

    Of those with more values than classes, only such as hardly one of that many columns of noise would be.
    """
    order, classes = np.argsort(block, axis=0, kind="stable"), np.unique(labels)
    again = np.diff(np.take_along_axis(block, order, axis=0), axis=0) == 0
    values, pure = len(block) - again.sum(axis=0), ~(again & (np.diff(labels[order], axis=0) != 0)).any(axis=0)
    exact = pure & (values == len(classes))
    for k in np.flatnonzero(pure & (values > len(classes)) & (2 * values < len(block))):
        deals = min(_deals(cases, labels), _deals(cases, labels, block[:, k]))
        exact[k] = values[k] * np.log(len(classes)) - deals < np.log(BY_CHANCE / columns)
    return exact


def _deals(cases, labels, *values):
    """The logarithm of the number of ways to deal the classes to units: images of a case that agree are one."""
    units = np.unique(np.column_stack([labels, cases, *values]), axis=0)
    counts = np.unique(units[:, 0], return_counts=True)[1]
    return gammaln(len(units) + 1) - gammaln(counts + 1).sum()


def _by_case(block, labels, cases):
    """Ranks of the mean of each class in each case, and the classes of these means."""
    keys, index = np.unique(np.column_stack([cases, labels]), axis=0, return_inverse=True)
    sums = np.zeros((len(keys), block.shape[1]))
    np.add.at(sums, index.ravel(), block)
    return rankdata(sums / np.bincount(index.ravel())[:, None], axis=0), keys[:, 1]


def _lines_on_others(others, rows, name):
    """Count the rows of a table that are of no image, if there are any."""
    said = f"{others} of {number_of(rows, 'row')} {'belongs' if others == 1 else 'belong'} to no image and"
    return [f"{name}: {said} {'is' if others == 1 else 'are'} left out"] if others else []


def lines_on_tables(features, manifest, show_names=False):
    """Lines about feature tables for the user: columns used, columns left out, and columns that know too much.

    Parameters
    ----------
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    manifest : Manifest
    show_names : bool
        As for `telling_columns`.

    Returns
    -------
    list of str
    """
    lines = []
    for table in features:
        if not isinstance(table, Table):
            continue
        if table.path != manifest.source or Path(table.path).suffix.lower() not in TABLES:  # else said already
            lines += table.lines()
        lines += table.lines_on_gaps()
        opened = table.open()
        places = table.places(opened, manifest.table["name"].tolist())
        if table.path != manifest.source:
            rows = (opened.names[place] for place in places)
            lines += lines_on_folders(zip(rows, manifest.table["path"].astype(str), strict=True), table.name)
            lines += _lines_on_others(len(opened.names) - len(np.unique(places)), len(opened.names), table.name)
        if opened.coarse:
            lines.append(f"warning: {coarse_in_words(opened.coarse, table.name)}, or --drop the column")
        lines += [
            f"warning: {table.name}: {one}: {KEEP_ONE}"
            for one in copied_rows(table, opened, places, manifest).lines(manifest, show_names)
        ]
        found, looked = telling_columns(table, manifest, opened, show_names, places)
        for one in found[:10]:
            lines.append(f"warning: column {one.column!r} of {table.name} {one.why}: if nobody measured it, --drop it")
        if len(found) > 10:
            lines.append(f"warning: so do {listed((one.column for one in found[10:]), 20)}")
        if 0 < looked < len(opened.columns):
            lines.append(f"{table.name}: the first {looked} of {len(opened.columns)} columns were looked at alone")
    return lines
