"""Reductions: a reducer on one fold's training rows, stored once for all heads, and the sums that folds share."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glomfeat.eigen import eigen_bytes, eigen_flops
from glomfeat.filling import fill, has_gaps
from glomfeat.memory import Need
from glomfeat.pca import PANEL, READ_BYTES, ROWS, TILE, gram, moments, scale_of
from glomfeat.reducers import (
    SLICE_ROWS,
    leaves_as_is,
    parse_reducer,
    prefixes_of,
    reduce_rows,
    reducer_bytes,
    reducer_flops,
)
from glomfeat.store import WRITE_BYTES, Store, digest_of

LOWERED, FEW_ROWS = "lowered to", "components are more than a fifth of the training rows"


@dataclass(frozen=True)
class Route:
    """A way to the principal components of all folds, and its price.

    Attributes
    ----------
    name : str
        ``scatter`` or ``gram``, see `glomfeat.pca`; empty of other reducers.
    shared : Need or None
        Of the sums that folds share; None where there are none.
    fold : Need
        Of one fold's components and rows.
    flops : float
        Floating-point operations, of all folds and repeats.
    """

    name: str
    shared: Need | None
    fold: Need
    flops: float


def pca_routes(n, width, k, repeats, folds, standardise, exact):
    """Both routes to exact principal components, the cheaper one first.

    Parameters
    ----------
    n, width, k : int
        Rows, columns, components.
    repeats, folds : int
        How many partitions of the rows, and how many trials of an arm in all.
    standardise : bool
        The Gram route then costs one matrix a fold.
    exact : bool
        Whether the matrix holds bytes.

    Returns
    -------
    list of Route

    Examples
    --------
    >>> [route.name for route in pca_routes(5758, 150_528, 128, 5, 25, False, exact=True)]
    ['gram', 'scatter']
    >>> [route.name for route in pca_routes(5758, 345, 128, 5, 25, True, exact=False)]
    ['scatter', 'gram']
    """
    rows, out = n * k * 4 * 3 + WRITE_BYTES, "the reduced rows"
    square, tiles = width * width * 8, 4 * TILE**2 * 8 + WRITE_BYTES
    scatter = Route(
        "scatter",
        Need(2 * square + 4 * ROWS * width * 8 + tiles, f"twice a {width} x {width} scatter and slices of {ROWS} rows"),
        Need(
            max(3 * square, square + eigen_bytes(width, k)) + SLICE_ROWS * width * 16 + rows,
            f"a {width} x {width} scatter with its eigenvectors, and {out}",
        ),
        repeats * n * width**2 + folds * eigen_flops(width, k),
    )
    block = n * (2 * READ_BYTES + 4 * PANEL[exact] * (4 if exact else 8))
    once = Need(2 * n * n * 8 + block + tiles, f"twice the {n} x {n} Gram matrix and blocks of columns")
    fold = Need(
        2 * n * n * 8 + max(2 * ROWS * n * 8, eigen_bytes(n, k)) + rows,
        f"the {n} x {n} Gram matrix, the part of the training rows with its eigenvectors, and {out}",
    )
    if standardise:
        fold, once = Need(fold.bytes + n * n * 8 + block + tiles, fold.how + ", of this fold alone"), None
    products = n * n * width * (folds if standardise else 1) / (2 if exact else 1)
    dual = Route("gram", once, fold, products + folds * eigen_flops(n, k))
    return sorted([scatter, dual], key=lambda route: route.flops)


def find_route(name, matrix, repeats, folds, standardise, free):
    """How a reducer goes about its work on a matrix.

    Parameters
    ----------
    name : str
    matrix : Matrix or ndarray, shape (n, width)
        Only shape, type and whether values may be missing are looked at.
    repeats, folds, standardise
        As `pca_routes`.
    free : int
        Bytes: the cheaper route that fits is taken, else the smaller one, which then does not fit.

    Returns
    -------
    Route
    """
    kind, k = parse_reducer(name)
    n, width = matrix.shape
    if kind != "pca" or leaves_as_is(name, width):
        need = reducer_bytes(name, width, n)
        how = "slices of rows" if kind == "ipca" else "all rows"
        return Route("", None, Need(need, how), folds * reducer_flops(name, width, n))
    gaps = has_gaps(matrix)
    routes = pca_routes(n, width, k, folds if gaps else repeats, folds, standardise, matrix.dtype == np.uint8)
    if gaps:
        routes = [alone(route) for route in routes]
    sizes = [max(route.fold.bytes, route.shared.bytes if route.shared else 0) for route in routes]
    fitting = [route for route, size in zip(routes, sizes, strict=True) if size <= free]
    return fitting[0] if fitting else routes[int(np.argmin(sizes))]


def alone(route):
    """A route of folds that fill what is missing each by its own medians: rows differ, and no sum can be shared."""
    needs = [route.fold, *([route.shared] if route.shared else [])]
    return replace(route, shared=None, fold=max(needs, key=lambda need: need.bytes))


@dataclass(frozen=True)
class Reduction:
    """A reducer on the training rows of one fold.

    Attributes
    ----------
    name : str
        The reducer's.
    matrix : Matrix
        The feature.
    train : ndarray of int64
    blocks : list of ndarray of int64
        What the training rows are made of: folds, whose sums others share. Empty where nothing is shared.
    standardise : bool
    of : dict
        What the feature's numbers depend on, see `glomfeat.features.extract.Extracted`.
    digests : tuple of str
        Of all rows, of the training rows, and of each block.
    route : Route
    folds : int
        Trials of an arm, among which the seconds of shared sums are shared out.
    store : Store
    threads : int
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

    @property
    def does_nothing(self):
        """Whether the columns are passed on as they are."""
        return leaves_as_is(self.name, self.matrix.shape[1])

    @property
    def filled(self):
        """The feature, in which medians of the training rows stand for missing values."""
        return fill(self.matrix, self.train) if has_gaps(self.matrix) else self.matrix

    @property
    def prefixes(self):
        """How many of the first components inner splits choose from; empty where there is no such choice."""
        return () if self.does_nothing else prefixes_of(self.name)

    @property
    def key(self):
        """What the reduced rows depend on."""
        everything, train, _ = self.digests
        kind, k = parse_reducer(self.name)
        name = f"{kind}{k}" if k else getattr(self.name, "full", self.name)
        route = self.route.name if self.route else ""
        key = {"reduced": "v4", "reducer": name, "route": route, "train": train, "rows": everything}
        return key | {"threads": self.threads, "standardise": self.standardise, "of": self.of}

    @property
    def identity(self):
        """The key as text, which equal reductions have in common."""
        return str(sorted(self.key.items()))

    @property
    def sums(self):
        """What folds share: the key of each stored sum, and a function of a number of threads that computes it."""
        everything, _, blocks = self.digests
        if has_gaps(self.matrix):
            return []
        if self.route.name == "gram" and not self.standardise:
            key = {"statistics": "v1", "what": "gram", "rows": everything, "of": self.of}
            return [(key, lambda threads: {"products": gram(self.matrix, threads)})]
        if self.route.name == "scatter":
            keys = [{"statistics": "v1", "what": "moments", "rows": block, "of": self.of} for block in blocks]
            return [
                (key, lambda threads, rows=rows: moments(self.matrix, rows, threads))
                for key, rows in zip(keys, self.blocks, strict=True)
            ]
        return []

    def rows(self):
        """The reduced rows: stored ones, else computed from the shared sums.

        Returns
        -------
        rows : ndarray of float32, shape (n, components)
        fit_s, transform_s : float
            Seconds when they were computed, with a share of the sums' seconds; of all rows.
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
        if rows.shape[1] < k:
            notes.append(f"{self.name} {LOWERED} {rows.shape[1]}: the training rows allow no more")
        return rows, arrays["fit_s"].item(), arrays["transform_s"].item(), notes

    def _reduce(self):
        start, seconds, sums, matrix = time.perf_counter(), [], self.sums, self.filled
        fill_s = time.perf_counter() - start

        def opened():  # one at a time: a scatter may be large
            for key, make in sums:
                part = stored_sum(self.store, key, make, self.threads)
                seconds.append(part["seconds"].item())
                yield part
                del part

        if self.route.name == "gram":
            scale = scale_of(matrix, self.train, True) if self.standardise else None
            statistics = next(opened())["products"] if sums else gram(matrix, self.threads, scale)
        elif self.route.name == "scatter" and has_gaps(self.matrix):
            statistics = (moments(matrix, rows, self.threads) for rows in [self.train])  # of this fold alone
        else:
            statistics = opened() if sums else None
        found = reduce_rows(self.name, matrix, self.train, self.standardise, statistics)
        users = self.folds if self.route.name == "gram" else len(self.blocks) or 1  # of each of the sums
        return found | {"fit_s": found["fit_s"] + fill_s + sum(seconds) / users}


def stored_sum(store, key, make, threads):
    """The arrays of a sum that folds share, and the ``seconds`` that it took; computed if it is not stored.

    Parameters
    ----------
    store : Store
    key, make
        Of `Reduction.sums`.
    threads : int
        They change no bit of it.

    Returns
    -------
    dict of str to ndarray
    """

    def timed():
        start = time.perf_counter()
        return {**make(threads), "seconds": np.array(time.perf_counter() - start)}

    return store.shard(key, timed)


def blocks_of(folds, repeat, train):
    """Training rows by the fold that they lie in.

    Parameters
    ----------
    folds : pandas.DataFrame
        Of `glomfeat.splits.make_folds`.
    repeat : int
    train : ndarray of int64

    Returns
    -------
    list of ndarray of int64
    """
    part = folds.loc[folds["repeat"] == repeat, "fold"].to_numpy()[train]
    return [train[part == fold] for fold in sorted(set(part), key=str)]


def digests_of(digests, train, blocks):
    """What stands for rows in keys: digests of all rows, of the training rows, and of each block."""

    def of(rows):
        return digest_of([digests[row] for row in rows])

    return digest_of(digests), of(train), tuple(of(block) for block in blocks)
