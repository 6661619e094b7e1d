"""Optical densities: the light lost on the way through stains, on a scale on which amounts of stain add up."""

import numpy as np

# Densities of red, green and blue (colour deconvolution: Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291; the
# numbers are ImageJ's). The vector of eosin is so close to that of PAS that one stands for both; the third axis is what
# neither explains.
HAEMATOXYLIN, PAS = (0.644211, 0.716556, 0.266844), (0.175411, 0.972178, 0.154589)
DENSITIES = -np.log((np.arange(256) + 1) / 256)  # of each byte: zero for white, and finite for black
BLOCK_PX = 2**16  # the densities of a whole image of many million pixels would take eight times its bytes


def from_density(density):
    """Turn densities into bytes.

    Examples
    --------
    >>> from_density(DENSITIES[np.array([0, 200, 255])]).tolist()
    [0, 200, 255]
    """
    return to_bytes(256 * np.exp(-density) - 1)


def to_bytes(values):
    """Round numbers to the nearest bytes."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def change_density(image, matrix, light=0.0):
    """Multiply the densities of an image, as rows, by a matrix from the right.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
    matrix : ndarray of float64, shape (3, 3)
    light : ndarray of float64, shape (3,), or float
        Densities of what is to become white.

    Returns
    -------
    ndarray of uint8, of the same shape

    Examples
    --------
    >>> image = np.array([[[255, 200, 0]]], np.uint8)
    >>> change_density(image, np.eye(3)).tolist(), change_density(image, np.zeros((3, 3))).tolist()
    ([[[255, 200, 0]]], [[[255, 255, 255]]])
    """
    return in_blocks(image, lambda part: from_density((DENSITIES[part] - light) @ matrix))


def in_blocks(image, change):
    """Change an image a few rows at a time."""
    rows, changed = max(1, BLOCK_PX // image.shape[1]), np.empty_like(image)
    for start in range(0, len(image), rows):
        changed[start : start + rows] = change(image[start : start + rows])
    return changed
