"""Raw pixels as a feature."""

import numpy as np

from glomfeat.features.base import Defaults

KEY = "pixels.v1"


class Pixels(Defaults):
    """Raw pixels as a feature: side x side x 3 values of 0..255 for each image, read from the shared decoded pixels."""

    name = KEY
    key = None  # decoded pixels are stored already
    weights = ""
    standardise = False

    def transform(self, pixels, sizes):
        """The pixels as float32, shape (n, side * side * 3)."""
        return pixels.reshape(len(pixels), -1).astype(np.float32)
