"""Stain normalisation: bringing the colours of an image to those of a reference, by Macenko or by Reinhard."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from glomfeat.core.cache import digest_of
from glomfeat.data.images.density import DENSITIES, change_density, in_blocks, to_bytes

NONE, FOLD = "none", "fold"
DRAWN = f"{FOLD}.v2"  # raised whenever other references would be drawn
TISSUE = 0.15 * np.log(10)  # the paper's threshold, for decadic densities; here for the length of all three densities
ANGLE_PERCENT, MOST_PERCENT = 1, 99  # Macenko: angles left out at both ends, and what stands for the most
SAMPLE_PX = 2**17  # how many are looked at: in a larger image, every second, third, ... pixel of every such row
LEAST_PX = 64  # the least tissue among them
LEAST_ANGLE = np.deg2rad(2)  # between two stains; closer ones are one stain, or noise
LEAST_SPREAD = 1e-3  # in each channel of a colour
MOST_GAIN = 5  # by which densities, and their noise, may be multiplied
LIGHT_PERCENT, LIGHT, LIGHT_TINT = 99, 180, 40  # in bytes: how dark and how coloured the light of a microscope may be
SCRATCH_BYTES = 24 * 8 * SAMPLE_PX  # per normalising thread: a dozen and a dozen planes of numbers of a sample

# Reinhard et al. 2001: from RGB to cone responses (equation 4), and from their logarithms to l, alpha and beta (6)
CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
OPPONENT = np.diag(1 / np.sqrt([3, 6, 2])) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])


def sample_of(image):
    """Sample the pixels of an image, evenly and without black ones: uint8, shape (n, 3)."""
    step = int(np.ceil(np.sqrt(image.shape[0] * image.shape[1] / SAMPLE_PX)))
    pixels = image[::step, ::step].reshape(-1, 3)
    return pixels[pixels.any(axis=1)]


def light_of(pixels):
    """Densities of the light an image was taken with: those of its brightest pixels, if they are nearly grey.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, 3)

    Returns
    -------
    ndarray of float64, shape (3,)
        Zeros, for white, if the brightest pixels are dark or coloured and may be tissue.

    Examples
    --------
    >>> dim, pink = np.full((9, 3), (230, 220, 210)), np.full((9, 3), (240, 150, 190))
    >>> light_of(dim).round(2).tolist(), light_of(pink).tolist()
    ([0.1, 0.15, 0.19], [0.0, 0.0, 0.0])
    """
    if not len(pixels):
        return np.zeros(3)
    brightest = np.percentile(pixels, LIGHT_PERCENT, axis=0, method="lower").astype(np.uint8)
    known = brightest.min() >= LIGHT and np.ptp(brightest) <= LIGHT_TINT
    return DENSITIES[brightest] if known else np.zeros(3)


def depth_of(density):
    """How much darker tissue is than its light: the length of its densities, shape (..., 3)."""
    return np.sqrt((np.maximum(density, 0) ** 2).sum(axis=-1))


def look(image):
    """Densities of the light that an image was taken with, and of its tissue, shape (n, 3)."""
    pixels = sample_of(image)
    light = light_of(pixels)
    density = DENSITIES[pixels] - light
    return light, density[depth_of(density) >= TISSUE]


def macenko_of(density):
    """The two stains of tissue and their amounts (Macenko et al. 2009, ISBI, 1107).

    Densities of tissue span a plane, given by their two largest singular vectors. The most extreme directions in it,
    leaving out 1 % at either end, are the stains; the 99th percentile of their amounts stands for the maximum.

    Parameters
    ----------
    density : ndarray of float64, shape (n, 3)

    Returns
    -------
    tuple of float or None
        Both vectors, the one with more red density (haematoxylin) first, and the maximum of each; None if there is too
        little tissue, or there are not two stains.
    """
    if len(density) < LEAST_PX:
        return None
    # summed pixel by pixel, because the result of a matrix product depends on the number of threads
    moments = np.array([[(density[:, i] * density[:, j]).sum() for j in range(3)] for i in range(3)])
    _, vectors = np.linalg.eigh(moments)
    first, second = vectors[:, 2] * np.sign(vectors[:, 2].sum()), vectors[:, 1]
    along, across = _dot(density, first), _dot(density, second)
    ends = np.percentile(np.arctan2(across, along), [ANGLE_PERCENT, 100 - ANGLE_PERCENT])
    if not ends[1] - ends[0] >= LEAST_ANGLE:
        return None
    stains = np.array([np.cos(end) * first + np.sin(end) * second for end in ends])
    stains = stains[np.argsort(-stains[:, 0], kind="stable")]
    amounts = [_dot(density, column) for column in np.linalg.pinv(stains).T]
    most = np.percentile(amounts, MOST_PERCENT, axis=1)
    return None if (most <= 0).any() else (*stains.ravel().tolist(), *most.tolist())


def _reinhard_of(density):
    """Mean and standard deviation of the colours of tissue (Reinhard et al. 2001, IEEE Comput Graph Appl 21:34).

    They are of l, alpha and beta, with natural logarithms; None if there is too little tissue, or it has only one
    colour.
    """
    if len(density) < LEAST_PX:
        return None
    colours = _opponent(density)
    spread = colours.std(axis=0)
    return None if (spread < LEAST_SPREAD).any() else (*colours.mean(axis=0).tolist(), *spread.tolist())


def _to_macenko(image, light, own, target):
    matrix = np.linalg.pinv(_stains(own)) @ np.diag(np.divide(target[6:], own[6:])) @ _stains(target)
    if np.linalg.norm(matrix, 2) > MOST_GAIN:
        return None
    return change_density(image, matrix, light)


def _stains(numbers):
    return np.reshape(numbers[:6], (2, 3))


def _to_reinhard(image, light, own, target):
    """Change tissue alone, and the less the paler it is, so that background becomes white without a rim."""
    (mean, spread), (to_mean, to_spread) = (np.reshape(one, (2, 3)) for one in (own, target))

    def change(part):
        density = DENSITIES[part] - light
        share = np.minimum(depth_of(density) / TISSUE, 1)[..., None]
        changed = _from_opponent((_opponent(density) - mean) * (to_spread / spread) + to_mean)
        return to_bytes((share * changed + (1 - share) * np.exp(-density)) * 256 - 1)

    return in_blocks(image, change)


def _opponent(density):
    """Colours as l, alpha and beta, from densities of shape (..., 3)."""
    return _each(np.log(_each(np.exp(-density), CONES)), OPPONENT)


def _from_opponent(colours):
    """The share of the light that passes, from l, alpha and beta."""
    return _each(np.exp(_each(colours, np.linalg.inv(OPPONENT))), np.linalg.inv(CONES))


def _each(rows, matrix):
    """Multiply rows by a matrix from the left, summing in the same order whatever the number of rows."""
    return np.stack([_dot(rows, line) for line in matrix], axis=-1)


def _dot(rows, vector):
    return rows[..., 0] * vector[0] + rows[..., 1] * vector[1] + rows[..., 2] * vector[2]


@dataclass(frozen=True)
class Method:
    """A way to normalise stains.

    Attributes
    ----------
    version : int
        Raised whenever a pixel changes: stored pixels are found by it.
    describe : callable
        ``describe(density)`` of tissue returns the numbers that its image is normalised by, or None.
    change : callable
        ``change(image, light, own, target)``, with such numbers for the image and for the reference; returns None if
        noise would grow.
    numbers : int
        How many numbers there are.
    sentence : str
        Describes it, for the methods section of a paper.
    """

    version: int
    describe: Any
    change: Any
    numbers: int
    sentence: str


METHODS = {
    "macenko": Method(1, macenko_of, _to_macenko, 8, "by stain vectors found in each image (Macenko et al. 2009)"),
    "reinhard": Method(
        1, _reinhard_of, _to_reinhard, 6, "by mean and spread of the colours of tissue (Reinhard et al. 2001)"
    ),
}
STAINS = (NONE, *METHODS)

# What images are brought to if no reference image is named. PAS: medians over crops of 47 glomeruli. H&E: the stains
# that implementations of Macenko share, and the colours of the breast slide TCGA-A2-A3XS-DX1 (Amgad et al. 2019,
# Bioinformatics 35:3461), whose logarithms are of bytes and not of 256ths.
TARGETS = {
    "pas": {
        "macenko": (0.642, 0.611, 0.451, 0.306, 0.870, 0.368, 1.50, 1.42),
        "reinhard": (-0.939, -0.138, 0.025, 0.401, 0.090, 0.021),
    },
    "he": {
        "macenko": (0.5626, 0.7201, 0.4062, 0.2159, 0.8012, 0.5581, 1.9705, 1.0308),
        "reinhard": (8.74108109 - np.sqrt(3) * np.log(256), -0.12440419, 0.0444982, 0.6135447, 0.10989545, 0.0286032),
    },
}
IN_WORDS = {"pas": "PAS", "he": "H&E"}


@dataclass(frozen=True)
class Stain:
    """A normalisation of image colours to those of a reference.

    Attributes
    ----------
    method : str
        A key of `METHODS`.
    target : tuple of float
        The method's numbers for the reference.

    Raises
    ------
    ValueError
        The numbers are not such as the method gives.

    Examples
    --------
    >>> stain = Stain("macenko", TARGETS["he"]["macenko"])
    >>> stain.key["stain"], stain.apply(np.full((9, 9, 3), 255, np.uint8))[1]
    ('macenko.v1', False)
    """

    method: str
    target: tuple

    def __post_init__(self):
        object.__setattr__(self, "target", tuple(map(float, self.target)))
        if self.method not in METHODS or len(self.target) != METHODS[self.method].numbers:
            raise ValueError(f"{self.method!r} with {len(self.target)} numbers is no stain normalisation")
        if not np.isfinite(self.target).all():
            raise ValueError("the numbers of a stain reference are not finite")

    @property
    def key(self):
        """What changed pixels depend on besides the original pixels, as short plain data."""
        return {
            "stain": f"{self.method}.v{METHODS[self.method].version}",
            "target": digest_of(map(repr, self.target))[:16],
        }

    @property
    def label(self):
        """Its name within names of arms."""
        return self.method

    @classmethod
    def of(cls, method, image):
        """The normalisation to the colours of an image; None if it shows too little tissue to tell them from."""
        target = METHODS[method].describe(look(image)[1])
        return None if target is None else cls(method, target)

    def apply(self, image, part=None):
        """Change an image to the colours of the reference.

        Parameters
        ----------
        image : ndarray of uint8, shape (height, width, 3)
        part : ndarray, optional
            The part of the image that is not padding.

        Returns
        -------
        image : ndarray of uint8, of the same shape
        changed : bool
            False, with the image unchanged, if it shows too little tissue, one colour, one stain, or little more than
            noise.
        """
        method, (light, density) = METHODS[self.method], look(image if part is None else part)
        own = method.describe(density)
        changed = None if own is None else method.change(image, light, own, self.target)
        if changed is None:
            return image, False
        changed[~image.any(axis=-1)] = 0  # black is not tissue, but what an outline or a transparent part left
        return changed, True


@dataclass(frozen=True)
class Drawn:
    """A normalisation whose reference each fold draws from its training images; changes no image itself.

    Attributes
    ----------
    method : str
        A key of `METHODS`.

    Examples
    --------
    >>> Drawn("macenko").label, Drawn("macenko").stand_in.method
    ('macenko-fold', 'macenko')
    """

    method: str

    @property
    def label(self):
        """Its name within names of arms."""
        return f"{self.method}-{FOLD}"

    @property
    def key(self):
        """What is known about changed pixels before a reference is drawn, as short plain data."""
        return {"stain": f"{self.method}.v{METHODS[self.method].version}", "target": DRAWN}

    @property
    def stand_in(self):
        """A normalisation that takes as long, for measuring time."""
        return Stain(self.method, TARGETS["pas"][self.method])


def median_of(method, densities):
    """The reference that several images give: the median of the method's numbers for each.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    densities : iterable of ndarray of float64, shape (n, 3)
        The tissue of each image, from `look`.

    Returns
    -------
    tuple of float or None
        None if no image shows enough to normalise by.
    """
    found = [numbers for density in densities if (numbers := METHODS[method].describe(density)) is not None]
    return tuple(np.median(found, axis=0).tolist()) if found else None
