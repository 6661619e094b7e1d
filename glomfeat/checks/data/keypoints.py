"""What an image shows, as local patches that do not change by turning, flipping, cropping and recolouring."""

import numpy as np
from PIL import Image
from skimage.feature import SIFT

from glomfeat.features.base import Handcrafted
from glomfeat.features.handcrafted.shortcut import interior

KEPT = 128  # patches per image, coarsest first: fine ones are lost when a file is saved again as JPEG
PLACE, VALUES = 4, 128  # row, column, log scale and angle of a patch; and its descriptor
CONTRAST = 0.006  # scikit-image's c_dog: pale glomeruli have few patches at its default of 0.0133
OCTAVES = 4
LEAST_PX, LEAST_GREY = 16, 4
# scikit-image reads the angles of its orientation histograms half a bin of 36 too high.
HALF_BIN = np.pi / 36


def keypoints():
    """A feature of fixed width: up to 128 SIFT keypoints of the crop without its padding.

    Lowe, Distinctive image features from scale-invariant keypoints, IJCV 60, 2004; computed by `skimage.feature.SIFT`.
    Grey levels are stretched first, so that brightness and contrast do not matter.

    Returns
    -------
    Handcrafted
        128 x (4 + 128) values: row and column in pixels inside the padding, natural logarithm of the scale in
        pixels, angle in radians; the descriptor. Unused places have a descriptor of zeros.

    Examples
    --------
    >>> bool(keypoints().transform(np.zeros((1, 32, 32, 3), np.uint8), np.array([[32, 32]])).any())
    False
    """
    return Handcrafted("keypoints.v1", describe, standardise=False)


def describe(image, size):
    """The keypoints of one image; see `keypoints`."""
    found = np.zeros((KEPT, PLACE + VALUES), np.float32)
    grey = np.asarray(Image.fromarray(interior(image, size)).convert("L"), np.float32)
    low, high = np.percentile(grey, (1, 99))
    if high - low < LEAST_GREY or min(grey.shape) < LEAST_PX:
        return found.ravel()
    sift = SIFT(upsampling=1, n_octaves=OCTAVES, c_dog=CONTRAST)
    try:
        sift.detect_and_extract(np.clip((grey - low) / (high - low), 0, 1))
    except RuntimeError:  # nothing stands out
        return found.ravel()
    order = np.lexsort((*sift.positions.T, -sift.sigmas))[:KEPT]
    places = sift.positions[order], np.log(sift.sigmas[order]), sift.orientations[order] - HALF_BIN
    found[: len(order)] = np.column_stack([*places, sift.descriptors[order]])
    return found.ravel()


def unpack(rows):
    """Split rows of the feature into places and descriptors.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, 128 * 132)

    Returns
    -------
    places : ndarray of float32, shape (n, 128, 4)
    patches : ndarray of uint8, shape (n, 128, 128)
    """
    rows = rows.reshape(len(rows), KEPT, PLACE + VALUES)
    return rows[..., :PLACE].copy(), rows[..., PLACE:].astype(np.uint8)
