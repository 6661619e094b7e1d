"""Images as another laboratory or scanner might have made them: pure functions of the pixels after `Preprocess`."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from glomfeat.data.images.density import HAEMATOXYLIN, PAS, change_density, to_bytes


@dataclass(frozen=True)
class Perturbation:
    """A way to change images, in five strengths.

    Attributes
    ----------
    name : str
    version : int
        Raised whenever a pixel changes: stored features of changed images are found by it.
    strengths : tuple of float
        In the order in which figures show them.
    neutral : float or None
        The strength that leaves every pixel as it is; None if there is none.
    before : int
        How many of the strengths come before the unchanged images in a figure.
    axis : str
        What a strength is, for the axis of a figure.
    words : str
        The part of a sentence that states a strength ``{s}``, or its reciprocal ``{r}``, with the unit.
    change : callable
        ``(image, strength)``, for an image of uint8, shape (side, side, 3).
    """

    name: str
    version: int
    strengths: tuple
    neutral: float | None
    before: int
    axis: str
    words: str
    change: Callable

    @property
    def key(self):
        """The perturbation's name in what is stored.

        Examples
        --------
        >>> PERTURBATIONS["stain"].key
        'stain.v1'
        """
        return f"{self.name}.v{self.version}"

    def say(self, strength):
        """A strength in words, with its unit."""
        return self.words.format(s=f"{strength:g}", r=f"{1 / strength:.3g}" if strength else "")

    def apply(self, images, strength):
        """Change images.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, side, side, 3)
        strength : float

        Returns
        -------
        ndarray of uint8, of the same shape
        """
        return np.stack([self.one(image, strength) for image in images]) if len(images) else images

    def one(self, image, strength):
        """Change one image, of shape (side, side, 3)."""
        return image if strength == self.neutral else self.change(np.asarray(image), strength)


def stain_matrix(factor):
    """The matrix that, applied to optical densities from the right, changes the balance of the two stains.

    Haematoxylin is multiplied by `factor`, PAS or eosin is divided by it, and the residual is kept.

    Examples
    --------
    >>> bool(np.allclose(np.array(HAEMATOXYLIN) @ stain_matrix(2.0), 2 * np.array(HAEMATOXYLIN)))
    True
    """
    stains = np.array([HAEMATOXYLIN, PAS, np.cross(HAEMATOXYLIN, PAS)])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    return np.linalg.inv(stains) @ np.diag([factor, 1 / factor, 1.0]) @ stains


def _stain(image, factor):
    return change_density(image, stain_matrix(factor))


def _blur(image, percent):
    from scipy.ndimage import gaussian_filter

    sigma = percent / 100 * len(image)
    return to_bytes(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest"))


def _jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=int(quality), subsampling="4:2:0")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _noise(image, sd):
    # seeded by the image's pixels, so that neither its place in a batch nor who computes it matters; the same at each
    # sd
    seed = hashlib.sha256(np.ascontiguousarray(image)).digest()
    drawn = np.random.default_rng(np.frombuffer(seed, np.uint32)).normal(size=image.shape)
    return to_bytes(image + sd * drawn)


def _brightness(image, factor):
    return to_bytes(image * factor)  # multiplying a picture multiplies its contrast as well


def _scale(image, percent):
    side = max(1, round(len(image) * percent / 100))
    small = Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small.resize((len(image), len(image)), Image.Resampling.LANCZOS))


_ROWS = (
    Perturbation(
        "stain",
        1,
        (0.6, 0.8, 1.25, 1.6, 2.0),
        1.0,
        2,
        "haematoxylin ×, PAS or eosin ÷",
        "haematoxylin x {s}, PAS or eosin x {r}",
        _stain,
    ),
    Perturbation(
        "blur",
        1,
        (0.25, 0.5, 1.0, 1.5, 2.0),
        0.0,
        0,
        "blur: sigma, % of the side",
        "Gaussian blur, sigma {s} % of the side",
        _blur,
    ),
    Perturbation("jpeg", 1, (90, 70, 50, 30, 10), None, 0, "JPEG quality", "JPEG of quality {s}", _jpeg),
    Perturbation(
        "noise",
        1,
        (2, 5, 10, 20, 40),
        0.0,
        0,
        "noise: SD, grey levels",
        "Gaussian noise, standard deviation {s} of 255 grey levels",
        _noise,
    ),
    Perturbation(
        "brightness",
        1,
        (0.7, 0.85, 1.15, 1.3, 1.5),
        1.0,
        2,
        "brightness and contrast ×",
        "brightness and contrast x {s}",
        _brightness,
    ),
    Perturbation(
        "scale",
        1,
        (75, 50, 33, 25, 12.5),
        100.0,
        0,
        "resolution, % of the side",
        "reduced to {s} % of the side and enlarged again",
        _scale,
    ),
)
PERTURBATIONS = {one.name: one for one in _ROWS}
