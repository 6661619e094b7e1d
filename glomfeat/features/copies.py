"""Finds rows of a table that are copies of rows of other cases, as of a patient who was exported twice."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from glomfeat.core.words import number_of
from glomfeat.data.cases import shown_as

CELLS = 2**20  # that are read at once
MOST = 3  # rows that are copies of one another, and vectors that more cases than that may hold
TOLD_APART = 0.95  # of the distinct rows, by half of the columns
KEEP_ONE = (
    "if they are one image or patient exported twice, figures are too good: keep one of each, or give both one case"
)


@dataclass(frozen=True)
class Copies:
    """Rows with the numbers of rows of other cases, of which one may be learnt while the other is tested.

    Attributes
    ----------
    group : ndarray of int64, shape (n,)
        The same number for rows with the same numbers.
    rows : ndarray of bool, shape (n,)
        Whether a row is a copy of one of another case.
    twice : int
        How many cases have most of their rows, and at least two, in one other case.
    """

    group: np.ndarray
    rows: np.ndarray
    twice: int

    def lines(self, manifest, show_names=False):
        """Say how many rows are copies, with the cases or, if `show_names` is set, the names of one pair."""
        if not self.rows.any():
            return []
        pair = manifest.table[self.group == self.group[self.rows.argmax()]].drop_duplicates("case")[:2]
        shown = shown_as(manifest.table["case"].unique(), show_names)
        such = " and ".join(pair["name"] if show_names else "of " + pair["case"].map(shown))
        such = f", such as {such}" if show_names or manifest.by_case else ""
        most = f" ({number_of(self.twice, 'case has', 'cases have')} most rows in one other)" if self.twice else ""
        of = f"{self.rows.sum()} of {len(self.rows)} rows"  # never one alone, for a copy is one of two
        return [f"{of} hold the numbers of a row of another {manifest.unit}{such}{most}"]


def copied_rows(table, opened, places, manifest):
    """Find rows of a feature table that hold the same numbers although they are of different cases.

    A vector in more than `MOST` rows is one that data take, as where nothing was found. Where more than `MOST` vectors
    are held by so many cases, or where half of the columns do not tell rows apart as all do, rows are equal by chance.

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
    keys = _keys(table, opened, places)
    rows = pd.DataFrame({"group": keys.groupby(list(keys)).ngroup(), "case": manifest.cases})
    held = rows.drop_duplicates()
    cases, size = (rows["group"].map(of["group"].value_counts()) for of in (held, rows))
    copied = (cases > 1) & (size <= MOST)
    if copied.any() and (rows["group"][cases > MOST].nunique() > MOST or not _tell_apart(keys.drop_duplicates())):
        copied[:] = False
    ends = held[copied[held.index]]
    pairs = ends.merge(ends, on="group").query("case_x != case_y")
    shared = pairs.value_counts(["case_x", "case_y"])
    own = held["case"].value_counts()[shared.index.get_level_values("case_x")].to_numpy()
    return Copies(rows["group"].to_numpy(), copied.to_numpy(), int(((shared > 1) & (2 * shared > own)).sum()))


def _keys(table, opened, places):
    """What is the same for equal rows: how many rows of a file each is the mean of, and digests of its quarters."""
    keys, order = np.zeros((len(places), 5), np.uint64), np.argsort(places, kind="stable")  # as they lie in the table
    if table.kind == "mean":  # means of different numbers of rows are hardly equal, and files may be large
        keys[:, 4] = table.rows_in_files[places]
        _, of, count = np.unique(keys[:, 4], return_inverse=True, return_counts=True)
        order = order[count[of][order] > 1]
    for part in gen_batches(len(order), max(1, CELLS // len(opened.columns))):
        with np.errstate(over="ignore"):
            block = np.asarray(opened.read(places[order[part]])).astype(np.float32) + np.float32(0)  # -0 is 0
        block[np.isnan(block)] = np.nan  # of one pattern of bits
        for k, half in enumerate(np.array_split(block, 2, axis=1)):
            for odd in (0, 1):
                digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in half[:, odd::2])
                keys[order[part], 2 * k + odd] = np.frombuffer(b"".join(digests), np.uint64)
    return pd.DataFrame(keys)


def _tell_apart(distinct):
    """Whether each half of the columns, first, last, even and odd, tells nearly all distinct rows apart."""
    halves = ([0, 1, 4], [2, 3, 4], [0, 2, 4], [1, 3, 4])
    return all(len(distinct.drop_duplicates(half)) >= TOLD_APART * len(distinct) for half in halves)
