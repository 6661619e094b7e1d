"""Finds rows of a table that are copies of others: equal in more numbers than chance explains."""

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import gen_batches

from glomfeat.data.cases import shown_as

CELLS = 2**22  # that are read at once
SCORES = 20  # a column with at most so many different numbers holds scores, counts or codes, which are often equal
LOOKED_AT, MOST_COLUMNS = (
    4096,
    64,
)  # at most so many rows that tell how rare numbers are, and columns of the most different ones
KEEP_ONE = "keep one of each, or give copies one case, because a model that has learnt one knows the other"
SAME = 0.99  # rank correlation of two columns that tell the same
SPARE = 5  # bits beyond those by which one pair of rows in the table would agree by chance


@dataclass(frozen=True)
class Copies:
    """Rows with the numbers of other rows, of which one may be learnt while the other is tested.

    Attributes
    ----------
    group : ndarray of int64, shape (n,)
        The same number for rows with the same numbers.
    across_cases, across_classes : ndarray of bool, shape (n,)
        Whether a row is a copy of one of another case, or of another class.
    """

    group: np.ndarray
    across_cases: np.ndarray
    across_classes: np.ndarray

    def lines(self, manifest, show_names=False):
        """Say how many rows are copies, with the cases or, if `show_names` is set, the names of one pair."""
        found, shown = [], shown_as(manifest.table["case"].unique(), show_names)
        for copies, column in ((self.across_cases, "case"), (self.across_classes, "label")):
            if not copies.any():
                continue
            pair = manifest.table[self.group == self.group[copies.argmax()]].drop_duplicates(column)[:2]
            such = " and ".join(pair["name"] if show_names else dict.fromkeys(pair["case"].map(shown)))
            such = f", such as {'' if show_names else 'of '}{such}" if show_names or manifest.by_case else ""
            other = "class" if column == "label" else manifest.unit
            of = f"{copies.sum()} of {len(copies)} rows"  # never one alone, for a copy is one of two
            found.append(f"{of} hold the numbers of a row of another {other}{such}")
        return found


def copied_rows(table, opened, places, manifest):
    """Find rows of a feature table that hold the same numbers although they are of different cases or classes.

    Rows of few scores or counts are often equal. So rows are copies only if they agree in numbers that, were columns
    independent, less than one pair of the table would agree in. Columns of at most `SCORES` different numbers do not
    count, nor do columns that grow or fall with another, zeros, missing values, and what a row holds in several
    columns.

    Parameters
    ----------
    table : glomfeat.features.table.Table
    opened : glomfeat.data.embeddings.named.Named
        The opened table.
    places : ndarray of int64, shape (n,)
        From `glomfeat.features.table.Table.places`.
    manifest : Manifest
        The images that the table describes.

    Returns
    -------
    Copies
    """
    _, first, group = np.unique(_keys(table, opened, places), axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    several = [_hold_several(group, of) for of in (manifest.cases, manifest.labels)]
    asked = np.flatnonzero(several[0] | several[1])
    telling = np.zeros(len(first), bool)
    if len(asked):
        telling[asked] = _tell(opened, places[first], places[first[asked]])
    return Copies(group, *((held & telling)[group] for held in several))


def _keys(table, opened, places):
    """What is the same for equal rows: how many rows of a file each is the mean of, and a digest of its numbers."""
    keys, order = np.zeros((len(places), 2), np.uint64), np.argsort(places, kind="stable")  # as they lie in the table
    if table.kind == "mean":  # means of different numbers of rows are hardly equal, and files may be large
        keys[:, 0] = table.rows_in_files[places]
        _, of, count = np.unique(keys[:, 0], return_inverse=True, return_counts=True)
        order = order[count[of][order] > 1]
    for rows in _parts(order, opened):
        for row, numbers in zip(rows, _read(opened, places[rows]), strict=True):
            keys[row, 1] = int.from_bytes(hashlib.blake2b(numbers.tobytes(), digest_size=8).digest(), "big")
    return keys


def _parts(rows, opened):
    """Some rows, as many at a time as are read at once."""
    return (rows[part] for part in gen_batches(len(rows), max(1, CELLS // len(opened.columns))))


def _read(opened, places):
    """Rows as float32, in which equal numbers have equal bytes."""
    with np.errstate(over="ignore"):
        found = np.asarray(opened.read(places)).astype(np.float32) + np.float32(0)  # -0 is 0
    found[np.isnan(found)] = np.nan
    return found


def _hold_several(group, values):
    """Whether the rows of each group have several of some values."""
    pairs = np.unique(np.column_stack([group, values]), axis=0)
    return np.bincount(pairs[:, 0]) > 1


def _tell(opened, distinct, asked):
    """Whether rows that are asked for are too rare to be equal by chance, among all rows that differ."""
    many = min(LOOKED_AT, max(1, 4 * CELLS // len(opened.columns)))
    drawn = np.sort(distinct[np.random.default_rng(0).permutation(len(distinct))[:many]])
    sample = np.concatenate([_read(opened, rows) for rows in _parts(drawn, opened)])
    columns = _columns_of_their_own(sample)
    sample = np.sort(sample[:, columns], axis=0)
    bits = np.zeros(len(asked))
    for rows in _parts(np.argsort(asked, kind="stable"), opened):
        bits[rows] = _bits(_read(opened, asked[rows])[:, columns], sample)
    return bits >= 2 * np.log2(len(distinct)) + SPARE


def _columns_of_their_own(sample):
    """Columns of many different numbers, most first, but for those that grow or fall with one that is there already."""
    ordered = np.sort(sample, axis=0)
    different = 1 + (ordered[1:] > ordered[:-1]).sum(axis=0)
    most = np.argsort(-different, kind="stable")[:MOST_COLUMNS]
    most = most[different[most] > SCORES]
    if not len(most):
        return most
    ranks = rankdata(sample[:, most], axis=0, nan_policy="omit")
    ranks = np.nan_to_num(ranks - np.nanmean(ranks, axis=0))
    ranks /= np.sqrt((ranks**2).sum(axis=0))
    alike, kept = np.abs(ranks.T @ ranks) > SAME, []
    for column in range(len(most)):
        kept += [] if alike[column, kept].any() else [column]
    return most[kept]


def _bits(block, sample):
    """How rare the numbers of each row are in a sorted sample of rows, in bits, summed over columns."""
    count = np.zeros(block.shape)
    for k, column in enumerate(sample.T):
        count[:, k] = np.searchsorted(column, block[:, k], "right") - np.searchsorted(column, block[:, k], "left")
    bits = np.log2(len(sample) / np.maximum(count, 1))
    bits[(block == 0) | ~np.isfinite(block)] = 0
    order = np.argsort(block, axis=1)
    ordered = np.take_along_axis(block, order, axis=1)
    again = np.zeros(block.shape, bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return np.where(again, 0, np.take_along_axis(bits, order, axis=1)).sum(axis=1)
