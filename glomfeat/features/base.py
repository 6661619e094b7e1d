"""What a feature is: pixels in, one float32 row per image out; it knows no label and no fold."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from glomfeat.core.errors import UserError


class FeatureError(UserError, ValueError):
    """A feature that cannot be computed: an unknown layer, a table without the rows, a wrong width."""


def check_widths(name, rows):
    """Refuse a feature whose rows are not all of one width.

    Parameters
    ----------
    name : str
        The feature's.
    rows : sequence of ndarray, or of what has their shape
        The last axis is the feature's.

    Raises
    ------
    FeatureError
    """
    widths = sorted({row.shape[-1] for row in rows})
    if len(widths) != 1:
        raise FeatureError(f"{name} gives {widths} values for different images: always return as many")


def view_of(feature, preprocess):
    """How a feature reads images: as the study does, or as the configuration of its weights says.

    Parameters
    ----------
    feature
        Of `glomfeat.features.make.make_feature`. Deep ones may have `reads`, see `glomfeat.features.deep.network.Deep`.
    preprocess : Preprocess
        The study's.

    Returns
    -------
    Preprocess
    """
    side, how = getattr(feature, "reads", None) or (preprocess.size, None)
    return replace(preprocess, size=side, filter=how or preprocess.filter)


@dataclass(frozen=True)
class Handcrafted:
    """A feature computed image by image from a function of your own.

    Every feature has `name`, `key`, `weights`, `standardise` and ``transform(pixels, sizes)``; this class
    gives them to a plain function.

    Attributes
    ----------
    name : str
        ``name.version``. The version must change whenever `describe` gives other numbers.
    describe : callable
        ``describe(image, size)`` with `image` of uint8, shape (side, side, 3), and `size` the width and
        height in pixels before padding; returns numbers, always as many.
    standardise : bool
        Whether the columns have different units, so that they are brought to unit variance (on training
        rows) before a reducer sees them.
    code : str
        Digest of the function's code, where stored numbers shall follow it; the name's version alone if left out.

    Examples
    --------
    >>> redness = Handcrafted("redness.v1", lambda image, size: [image[..., 0].mean()])
    >>> redness.transform(np.zeros((2, 4, 4, 3), np.uint8), np.array([[4, 4], [4, 4]]))
    array([[0.], [0.]], dtype=float32)
    """

    name: str
    describe: Callable
    standardise: bool = True
    code: str = ""

    weights = ""

    @property
    def key(self):
        """What the numbers depend on besides the pixels, as short plain data."""
        return {"feature": self.name} | ({"code": self.code} if self.code else {})

    def transform(self, pixels, sizes):
        """Describe images.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n, side, side, 3)
        sizes : ndarray of int, shape (n, 2)
            Width and height before padding.

        Returns
        -------
        ndarray of float32, shape (n, width)

        Raises
        ------
        FeatureError
            The function returned a wrong number of values, or values that are not finite.
        """
        rows = [np.ravel(self.describe(image, tuple(size))) for image, size in zip(pixels, sizes, strict=True)]
        check_widths(self.name, rows)
        matrix = np.asarray(rows, np.float32)
        if not np.isfinite(matrix).all():
            columns = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
            raise FeatureError(f"{self.name} gives NaN or infinity in columns {columns[:5].tolist()}")
        return matrix
