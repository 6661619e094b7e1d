"""Raw pixels as a feature, and in short, as a digest that tells whether two images have the same pixels."""

import hashlib

import numpy as np

from glomfeat.features.base import Defaults, Handcrafted
from glomfeat.features.handcrafted.shortcut import interior

KEY = "pixels.v1"
THREE = 3  # bytes, which a float32 holds exactly
NUMBERS = 3


class Pixels(Defaults):
    """Raw pixels as a feature: side x side x 3 values of 0..255 for each image, read from the shared decoded pixels."""

    name = KEY
    key = None  # decoded pixels are stored already
    weights = ""
    standardise = False

    def transform(self, pixels, sizes):
        """The pixels as float32, shape (n, side * side * 3)."""
        return pixels.reshape(len(pixels), -1).astype(np.float32)


def pixel_digest():
    """A feature that is equal only for images with the same pixels, whatever files they are in.

    Returns
    -------
    Handcrafted
        Its numbers are 0 for an image of a single colour, which shows nothing that a copy could share.

    Examples
    --------
    >>> image, sizes = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3), np.array([[4, 4]])
    >>> one, other, plain = (pixel_digest().transform(each, sizes).tolist() for each in (image, image + 1, image * 0))
    >>> len(one[0]), one == other, plain
    (3, False, [[0.0, 0.0, 0.0]])
    """
    return Handcrafted("pixel_digest.v1", _in_short, standardise=False)


def _in_short(image, size):
    digest = digest_of_square(image, size) or bytes(THREE * NUMBERS)
    return [int.from_bytes(digest[start : start + THREE]) for start in range(0, THREE * NUMBERS, THREE)]


def digest_of_square(image, size):
    """SHA-256 of a square's pixels and of the image's size before padding; None for an image of a single colour."""
    inner = interior(image, size)
    if (inner == inner[0, 0]).all():
        return None
    return hashlib.sha256(image.tobytes() + np.asarray(size, np.int64).tobytes()).digest()
