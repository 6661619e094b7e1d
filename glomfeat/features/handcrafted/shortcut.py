"""What a network could cheat with: the size of the crop and its mean colour, but nothing of what it shows."""

import math

import numpy as np

from glomfeat.data.images.decode import square_margins
from glomfeat.features.base import Handcrafted

LANCZOS_PX = 3  # reach of the filter with which `Preprocess.read` resizes, in pixels of the coarser image
NAMES = (
    "shortcut.width_px",
    "shortcut.height_px",
    "shortcut.aspect",
    "shortcut.padded_share",
    *(f"shortcut.{channel}.{statistic}" for statistic in ("mean", "sd") for channel in "rgb"),
)


def shortcut():
    """Size and plain colour of the crop, 10 values: the baseline that an honest feature must beat.

    Crop size, padding and stain intensity differ between slides, scanners and annotators, and networks
    are known to use them instead of the lesion (Geirhos et al., Shortcut learning in deep neural
    networks, Nature Machine Intelligence 2020).

    Returns
    -------
    Handcrafted

    Examples
    --------
    >>> pixels, sizes = np.full((1, 8, 8, 3), 255, np.uint8), np.array([[100, 50]])
    >>> dict(zip(NAMES, shortcut().transform(pixels, sizes)[0, :4].tolist()))
    {'shortcut.width_px': 100.0, 'shortcut.height_px': 50.0, 'shortcut.aspect': 2.0, 'shortcut.padded_share': 0.5}
    """
    return Handcrafted("shortcut.v1", describe, columns=NAMES)


def describe(image, size):
    """Width, height, width / height, padded share of the square; mean and standard deviation of R, G, B."""
    width, height = (int(length) for length in size)
    colours = interior(image, size).reshape(-1, 3).astype(np.float64)
    padded = 1 - width * height / max(width, height) ** 2
    return np.concatenate([[width, height, width / height, padded], colours.mean(axis=0), colours.std(axis=0)])


def interior(image, size):
    """Cut the padding off a padded square.

    In a resized square, pixels that the filter mixed with padding are cut off as well, so that what is computed from
    the rest does not depend on the padding. If nothing is left, the middle row or column is returned.

    Parameters
    ----------
    image : ndarray, shape (side, side, ...)
        A square as `glomfeat.data.images.decode.Preprocess.read` gives it.
    size : tuple of int
        Width and height before padding, in pixels.

    Returns
    -------
    ndarray, shape (rows, columns, ...)
        A view of at least one row and one column.

    Examples
    --------
    >>> interior(np.zeros((100, 100, 3)), (100, 50)).shape, interior(np.zeros((20, 20, 3)), (100, 50)).shape
    ((50, 100, 3), (4, 20, 3))
    """
    width, height = (int(length) for length in size)
    top, bottom, left, right = square_margins(width, height)
    scale = max(width, height) / len(image)
    return image[_inside(top, bottom, scale, len(image)), _inside(left, right, scale, len(image))]


def _inside(before, after, scale, side):
    """The range of `side` pixels, each `scale` pixels of the padded image, that neither margin reaches."""
    reach = 0.5 if scale == 1 else LANCZOS_PX * max(1, scale)
    start = math.ceil((before + reach) / scale - 0.5) if before else 0
    stop = side - math.ceil((after + reach) / scale - 0.5) if after else side
    if start < stop:
        return slice(start, stop)
    middle = min(int((before + scale * side - after) / 2 / scale), side - 1)
    return slice(middle, middle + 1)
