"""Reading in batches: chosen rows, never all pixels at once; the next batches are read while one is learnt."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch.utils.data import Dataset

BLOCK = 64
AHEAD = 2


def in_advance(calls, ahead=AHEAD):
    """Yield what calls return, in order; a thread makes the next calls while the caller uses the last result.

    Parameters
    ----------
    calls : iterable of callable
        Called without arguments, one after the other. If one raises, the exception is raised at its turn.
    ahead : int
        How many calls are made in advance.

    Examples
    --------
    >>> list(in_advance([lambda: 1, lambda: 2]))
    [1, 2]
    """
    pending = deque()
    with ThreadPoolExecutor(1, "reading") as thread:
        try:
            for call in calls:
                pending.append(thread.submit(call))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for call in pending:  # the caller stopped early
                call.cancel()


class Rows(Dataset):
    """Chosen rows of an array that may be larger than memory.

    Parameters
    ----------
    X : array-like, shape (n, ...)
        Anything that has a ``len`` and can be indexed by an integer array: an array, a memory map, a sharded store.
    y : ndarray of int, shape (n,), optional
        Labels. Only those of the chosen rows are ever read.
    rows : ndarray of int, optional
        All by default.

    Examples
    --------
    >>> X, y = Rows(np.arange(5), np.arange(5) * 2, np.array([1, 3, 4]))[np.array([0, 2])]
    >>> X.tolist(), y.tolist()
    ([1, 4], [2, 8])
    """

    def __init__(self, X, y=None, rows=None):
        self.X, self.y = X, y
        self.rows = np.arange(len(X)) if rows is None else np.asarray(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, positions):
        rows = self.rows[positions]
        block = torch.from_numpy(np.require(self.X[rows], requirements=["C", "W"]))
        labels = np.zeros(len(rows), np.int64) if self.y is None else np.asarray(self.y[rows], np.int64)
        return block, torch.from_numpy(labels)

    def with_rows_of(self, other):
        """Join the rows of both, whether they index the same array or two arrays.

        Examples
        --------
        >>> X, y = np.arange(5), np.arange(5)
        >>> Rows(X, y, np.array([0, 3])).with_rows_of(Rows(X, y, np.array([1]))).rows.tolist()
        [0, 1, 3]
        """
        if self.X is other.X:
            return Rows(self.X, self.y, np.union1d(self.rows, other.rows))
        X, y = ([getattr(part, name)[part.rows] for part in (self, other)] for name in "Xy")
        return Rows(np.concatenate(X), np.concatenate(y))


class OnCard(Rows):
    """Rows whose images or features are held on the device, where batches are picked from them.

    Parameters
    ----------
    rows : Rows
    device : str or torch.device

    Examples
    --------
    >>> OnCard(Rows(np.arange(5), np.arange(5) * 2, np.array([1, 3, 4])), "cpu")[np.array([0, 2])][0].tolist()
    [1, 4]
    """

    def __init__(self, rows, device):
        super().__init__(rows.X, rows.y, rows.rows)
        self.images = None
        for start in range(0, len(rows), BLOCK):
            block = super().__getitem__(np.arange(start, min(start + BLOCK, len(rows))))[0]
            if self.images is None:
                self.images = torch.empty((len(rows), *block.shape[1:]), dtype=block.dtype, device=device)
            self.images[start : start + len(block)] = block.to(device)

    def __getitem__(self, positions):
        labels = np.zeros(len(positions), np.int64) if self.y is None else np.asarray(self.y[self.rows[positions]])
        where = torch.from_numpy(positions).to(self.images.device)
        return self.images[where], torch.from_numpy(labels.astype(np.int64))


def free_bytes(device):
    """Free memory of a CUDA device; 0 for other devices, for which images are in this process's memory anyway."""
    return torch.cuda.mem_get_info(device)[0] if torch.device(device).type == "cuda" else 0


def placed(rows, device):
    """Move the images of rows to the device if they take at most a quarter of its free memory; else leave them.

    Parameters
    ----------
    rows : Rows or None
    device : str or torch.device

    Returns
    -------
    Rows or None
    """
    if not rows or not (free := free_bytes(device)):
        return rows
    first = rows[np.arange(1)][0]
    return OnCard(rows, device) if first.nbytes * len(rows) <= free // 4 else rows


class Batches:
    """Iterate over a dataset that gives a whole batch for an array of positions.

    Parameters
    ----------
    dataset : Rows
    batch_size : int
    seed : int, optional
        If given, the order is shuffled, anew in each pass; within a batch rows ascend, which suits memory maps. A last
        batch of a single image then joins the one before, since batch normalisation cannot train on one image.
    pin : bool
        Whether batches are put into pinned memory, from which they are copied to a GPU without waiting.

    Examples
    --------
    >>> [len(y) for X, y in Batches(Rows(np.arange(9)), 4)]
    [4, 4, 1]
    >>> [len(y) for X, y in Batches(Rows(np.arange(9)), 4, seed=0)]
    [4, 5]
    """

    def __init__(self, dataset, batch_size, seed=None, pin=False):
        self.dataset, self.batch_size, self.seed, self.pin, self.passes = dataset, batch_size, seed, pin, 0

    @property
    def cuts(self):
        """Where one batch ends and the next begins."""
        n = len(self.dataset)
        cuts = np.arange(self.batch_size, n, self.batch_size)
        return cuts[:-1] if self.seed is not None and len(cuts) and n - cuts[-1] == 1 else cuts

    def __len__(self):
        return len(self.cuts) + 1

    def __iter__(self):
        order = np.arange(len(self.dataset))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.passes]).permutation(len(order))
            self.passes += 1
        parts = (np.sort(positions) for positions in np.split(order, self.cuts) if len(positions))
        if isinstance(self.dataset, OnCard):
            yield from map(self.dataset.__getitem__, parts)
        else:
            yield from in_advance(partial(self._read, positions) for positions in parts)

    def _read(self, positions):
        X, y = self.dataset[positions]
        return (X.pin_memory() if self.pin else X), y


def pixel_moments(pixels, rows):
    """Mean and standard deviation over all values of the chosen images, calculated exactly, block by block.

    Parameters
    ----------
    pixels : array-like of uint8, shape (n, side, side, 3)
    rows : ndarray of int

    Returns
    -------
    mean, std : float
        On the scale 0..1. If all pixels are equal, the standard deviation is given as 1.

    Examples
    --------
    >>> pixel_moments(np.array([0, 255, 7], np.uint8).reshape(3, 1, 1, 1), np.array([0, 1]))
    (0.5, 0.5)
    """
    counts = np.zeros(256, np.int64)
    for start in range(0, len(rows), BLOCK):
        counts += np.bincount(np.ravel(pixels[rows[start : start + BLOCK]]), minlength=256)
    values = np.arange(256) / 255
    mean = np.average(values, weights=counts)
    std = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    return float(mean), float(std) or 1.0
