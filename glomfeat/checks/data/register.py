"""Whether one image is a turned, flipped, cropped or recoloured copy of another, by laying one over the other."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from glomfeat.features.handcrafted.shortcut import interior

RATIO = 0.9  # of the distances to the best and second best patch; Lowe took 0.8, without a later check
CLOSE_PX = 8.0  # how far apart one match's guess may put patches; half of it after fitting
LEAST = 5  # patches that must agree on how the images lie
SCALES = 0.45, 2.2
STEP_PX, BLOCK = 2, 8  # the grid for the comparison, and the side of its blocks
BLUR_PX = 1.5  # to remove what JPEG leaves
LEAST_BLOCKS = 10
QUANTILE = 25  # percentile of the blocks' correlations
LEAST_SD = 2.0  # grey levels; below it a block shows only noise


@dataclass(frozen=True)
class Overlay:
    """How one image lies over another: ``z -> factor * z + shift`` for points ``row + 1j * column``.

    Attributes
    ----------
    factor, shift : complex
        Scale and turn; shift in pixels.
    mirrored : bool
        Whether the columns of the first image change sign before that.
    agree : int
        How many patches agree.

    Examples
    --------
    >>> Overlay(2j, 1 + 0j, False, 9).back(np.array([1 + 4j])).real.tolist()
    [2.0]
    """

    factor: complex
    shift: complex
    mirrored: bool
    agree: int

    def back(self, points):
        """Map points of the second image back to the first one."""
        points = (points - self.shift) / self.factor
        return points.conj() if self.mirrored else points

    @property
    def degrees(self):
        """The turn in degrees, -180 to 180."""
        return float(np.degrees(np.angle(self.factor)))


def match(first, second):
    """Match patches of two images that are most alike in both directions, and more alike than the next best.

    Parameters
    ----------
    first, second : ndarray of float32, shape (k, 128)
        Of unit length.

    Returns
    -------
    ndarray of int, shape (m, 2)

    Examples
    --------
    >>> match(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[::-1]).tolist()
    [[0, 2], [1, 1], [2, 0]]
    """
    if min(len(first), len(second)) < 2:
        return np.empty((0, 2), np.int64)
    near = first @ second.T
    best = near.argmax(axis=1)
    next_best, most = np.partition(near, -2, axis=1)[:, -2:].T
    told = 1 - most < RATIO**2 * (1 - next_best)  # squared distances of unit vectors are 2 - 2 * cosine
    rows = np.flatnonzero(told & (near.argmax(axis=0)[best] == np.arange(len(first))))
    return np.column_stack([rows, best[rows]])


def overlay(first, second, mirrored):
    """Find the similarity transform that most matched patches agree on: each match proposes one, the best is refitted.

    Parameters
    ----------
    first, second : ndarray of float, shape (m, 4)
        Row, column, log scale and angle of matched patches.
    mirrored : bool

    Returns
    -------
    Overlay or None
    """
    if len(first) < LEAST:
        return None
    (a, look_a), (b, look_b) = ((x[:, 0] + 1j * x[:, 1], x[:, 2] + 1j * x[:, 3]) for x in (first, second))
    if mirrored:
        a, look_a = a.conj(), look_a.conj()
    factors = np.exp(look_b - look_a)
    shifts = b - factors * a
    agree = np.abs(factors[:, None] * a + shifts[:, None] - b) < CLOSE_PX
    agree &= ((np.abs(factors) > SCALES[0]) & (np.abs(factors) < SCALES[1]))[:, None]
    inside = agree[agree.sum(axis=1).argmax()]
    for reach in (CLOSE_PX, CLOSE_PX / 2, CLOSE_PX / 2):
        if inside.sum() < LEAST:
            return None
        x, y = a[inside] - a[inside].mean(), b[inside] - b[inside].mean()
        factor = np.vdot(x, y) / max(np.vdot(x, x).real, 1e-9)
        shift = b[inside].mean() - factor * a[inside].mean()
        inside = np.abs(factor * a + shift - b) < reach
    if inside.sum() < LEAST or not SCALES[0] < abs(factor) < SCALES[1]:
        return None
    return Overlay(complex(factor), complex(shift), mirrored, int(inside.sum()))


def smooth(image, size, longer):
    """Grey levels inside the padding, without detail finer than the smaller image of a pair shows.

    Parameters
    ----------
    image : ndarray of uint8, shape (side, side, 3)
    size : tuple of int
    longer : float
        Longer side of the smaller image of the pair before padding, in pixels.

    Returns
    -------
    ndarray of float32
    """
    grey = np.asarray(Image.fromarray(interior(image, size)).convert("L"), np.float32)
    return ndimage.gaussian_filter(grey, BLUR_PX * max(1.0, len(image) / (2 * longer)))


def agreement(first, second, found):
    """How well one image explains another that it lies over.

    It is measured in blocks of 16 pixels, so that corners filled by a turn and local differences in light do not count,
    and so that two images of one kind are not alike just because both are round.

    Parameters
    ----------
    first, second : ndarray of float32
        From `smooth`.
    found : Overlay

    Returns
    -------
    similarity : float
        Lower quartile of the blocks' correlations; NaN if fewer than `LEAST_BLOCKS` show anything.
    shared : float
        Share of the second image that the first covers.
    """
    rows, columns = np.mgrid[: second.shape[0] : STEP_PX, : second.shape[1] : STEP_PX]
    under = found.back(rows + 1j * columns)
    inside = (under.real >= 0) & (under.real <= first.shape[0] - 1)
    inside &= (under.imag >= 0) & (under.imag <= first.shape[1] - 1)
    below = _blocks(ndimage.map_coordinates(first, [under.real, under.imag], order=1, mode="nearest"))
    above, whole = _blocks(second[rows, columns]), _blocks(inside).all(axis=1)
    below, above = (part - part.mean(axis=1, keepdims=True) for part in (below[whole], above[whole]))
    sd = np.minimum(below.std(axis=1), above.std(axis=1)) > LEAST_SD
    if sd.sum() < LEAST_BLOCKS:
        return float("nan"), float(inside.mean())
    below, above = below[sd], above[sd]
    r = (below * above).mean(axis=1) / (below.std(axis=1) * above.std(axis=1))
    return float(np.percentile(r, QUANTILE)), float(inside.mean())


def _blocks(grid):
    """Cut a grid into rows of whole blocks."""
    rows, columns = (length // BLOCK for length in grid.shape)
    cut = grid[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.swapaxes(1, 2).reshape(rows * columns, BLOCK**2)
