"""Reductions: reducers fitted on one fold's training rows, stored once for all heads, and the sums that folds share."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from glomfeat.core.cache import Store, digest_of
from glomfeat.core.notes import LOWERED
from glomfeat.core.plugins import is_own
from glomfeat.data.joined import Joined
from glomfeat.models.joined import fit_encoder
from glomfeat.models.reducers.filling import fill, has_gaps
from glomfeat.models.reducers.fit import (
    leaves_as_is,
    parse_reducer,
    prefixes_of,
    reduce_rows,
)
from glomfeat.models.reducers.pca import gram, moments, scale_of
from glomfeat.models.reducers.routes import Route


@dataclass(frozen=True)
class Reduction:
    """A reducer on the training rows of one fold.

    Attributes
    ----------
    name : str
        Name of the reducer.
    matrix : Matrix
        The feature.
    train : ndarray of int64
    blocks : list of ndarray of int64
        The folds that form the training rows, whose sums others share. Empty if nothing is shared.
    standardise : bool
    of : dict
        What the feature's numbers depend on, see `glomfeat.features.shards.Extracted`.
    digests : tuple of str
        Digests of all rows, of the training rows, and of each block.
    route : Route
    folds : int
        Number of trials of an arm, which share the seconds of shared sums.
    store : Store
    threads : int
    joined : glomfeat.data.joined.Joined or None
        Columns that the head reads in front of the reduced ones. The reducer knows nothing of them.
    card : str
        The GPU that multiplies many rows and grows trees on them, see `glomfeat.models.card`; empty for none.
    """

    name: str
    matrix: Any
    train: np.ndarray
    blocks: list
    standardise: bool
    of: dict
    digests: tuple
    route: Route
    folds: int
    store: Store
    threads: int
    joined: Joined | None = None
    card: str = ""

    @property
    def does_nothing(self):
        """Whether the columns are passed on as they are."""
        return leaves_as_is(self.name, self.matrix.shape[1])

    @property
    def filled(self):
        """The feature, with missing values replaced by medians of the training rows."""
        return fill(self.matrix, self.train) if has_gaps(self.matrix) else self.matrix

    @property
    def encoder(self):
        """Turns joined columns into numbers, fitted on the training rows; None if no columns are joined."""
        return None if self.joined is None else fit_encoder(self.joined, self.train)

    @property
    def ahead(self):
        """How many of the columns that the head reads are joined; these come first."""
        return 0 if self.joined is None else self.encoder.width

    @property
    def prefixes(self):
        """The numbers of leading components that inner splits choose from; empty if there is no such choice."""
        return () if self.does_nothing else prefixes_of(self.name)

    @property
    def key(self):
        """What the reduced rows depend on."""
        everything, train, _ = self.digests
        kind, k = parse_reducer(self.name)
        name = f"{kind}{k}" if k else getattr(self.name, "full", self.name)
        route = self.route.name if self.route else ""
        version = "v6" if is_own(self.name) else "v4"
        key = {"reduced": version, "reducer": name, "route": route, "train": train, "rows": everything}
        return key | {"threads": self.threads, "standardise": self.standardise, "of": self.of} | self._on_card

    @property
    def _on_card(self):
        """What keys of sums and reductions also say, because products on a GPU differ in the last digits."""
        return {"card": self.card} if self.card else {}

    @property
    def identity(self):
        """The key as text, which is the same for equal reductions."""
        return str(sorted(self.key.items()))

    @property
    def sums(self):
        """For each sum that folds share, its key and a function that computes it with a number of threads."""
        everything, _, blocks = self.digests
        if has_gaps(self.matrix):
            return []
        if self.route.name == "gram" and not self.standardise:
            key = {"statistics": "v1", "what": "gram", "rows": everything, "of": self.of} | self._on_card
            return [(key, lambda threads: {"products": gram(self.matrix, threads, card=self.card)})]
        if self.route.name == "scatter":
            key = {"statistics": "v1", "what": "moments", "of": self.of} | self._on_card
            keys = [key | {"rows": block} for block in blocks]
            return [
                (key, lambda threads, rows=rows: moments(self.matrix, rows, threads, self.card))
                for key, rows in zip(keys, self.blocks, strict=True)
            ]
        return []

    def rows(self):
        """The reduced rows, which are computed from the shared sums unless they are stored.

        Returns
        -------
        rows : ndarray of float32, shape (n, components)
        fit_s, transform_s : float
            Seconds that computing them took, for all rows, including a share of the sums' seconds.
        notes : list of str
        """
        width, k = self.matrix.shape[1], parse_reducer(self.name)[1]
        if self.does_nothing:
            notes = [] if self.name == "none" else [f"{self.name} leaves the {width} columns as they are"]
            start = time.perf_counter()
            rows = np.asarray(self.filled[:], np.float32)
            return rows, time.perf_counter() - start if has_gaps(self.matrix) else 0.0, 0.0, notes
        arrays = self.store.shard(self.key, self._reduce)
        rows = arrays["rows"]
        notes = [f"{self.name} by the {self.route.name} route"] if self.route.name else []
        if self.route.name and self.card:
            notes.append(f"its products on {self.card}")
        if rows.shape[1] < k:
            notes.append(f"{self.name} {LOWERED} {rows.shape[1]}: the training rows allow no more")
        return rows, arrays["fit_s"].item(), arrays["transform_s"].item(), notes

    def read(self):
        """What the head reads, joined columns and then reduced rows, followed by the other results of `rows`."""
        rows, *about = self.rows()
        if self.joined is not None:
            rows = np.hstack([self.encoder.transform(self.joined), rows])
        return rows, *about

    def _reduce(self):
        start, seconds, sums, matrix = time.perf_counter(), [], self.sums, self.filled
        fill_s = time.perf_counter() - start

        def opened():  # one at a time, because a scatter may be large
            for key, make in sums:
                part = stored_sum(self.store, key, make, self.threads)
                seconds.append(part["seconds"].item())
                yield part
                del part

        if self.route.name == "gram":
            scale = scale_of(matrix, self.train, True) if self.standardise else None
            statistics = next(opened())["products"] if sums else gram(matrix, self.threads, scale, self.card)
        elif self.route.name == "scatter" and has_gaps(self.matrix):
            statistics = (moments(matrix, rows, self.threads, self.card) for rows in [self.train])  # of this fold alone
        else:
            statistics = opened() if sums else None
        found = reduce_rows(self.name, matrix, self.train, self.standardise, statistics)
        users = self.folds if self.route.name == "gram" else len(self.blocks) or 1  # of each sum
        return found | {"fit_s": found["fit_s"] + fill_s + sum(seconds) / users}


def stored_sum(store, key, make, threads):
    """The arrays of a sum that folds share and the ``seconds`` it took; computed unless it is stored.

    Parameters
    ----------
    store : Store
    key, make
        An element of `Reduction.sums`.
    threads : int
        Their number changes no bit.

    Returns
    -------
    dict of str to ndarray
    """

    def timed():
        start = time.perf_counter()
        return {**make(threads), "seconds": np.array(time.perf_counter() - start)}

    return store.shard(key, timed)


def blocks_of(folds, repeat, train):
    """Training rows, grouped by the fold that they belong to.

    Parameters
    ----------
    folds : pandas.DataFrame
        As `glomfeat.data.splits.make_folds` returns it.
    repeat : int
    train : ndarray of int64

    Returns
    -------
    list of ndarray of int64
    """
    part = folds.loc[folds["repeat"] == repeat, "fold"].to_numpy()[train]
    return [train[part == fold] for fold in sorted(set(part), key=str)]


def digests_of(digests, train, blocks):
    """Digests that stand for rows in keys: of all rows, of the training rows, and of each block."""

    def of(rows):
        return digest_of([digests[row] for row in rows])

    return digest_of(digests), of(train), tuple(of(block) for block in blocks)
