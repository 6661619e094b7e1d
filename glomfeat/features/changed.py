"""Features of perturbed images: the same features, which see pixels changed by `glomfeat.data.images.perturb`."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.data.images.stain import Stain
from glomfeat.features.base import Around, Handcrafted
from glomfeat.features.handcrafted.shortcut import interior
from glomfeat.features.pixels import KEY, Pixels
from glomfeat.features.seen import Seen, plain


@dataclass(frozen=True)
class Change:
    """A perturbation at one strength.

    Attributes
    ----------
    name : str
        One of `PERTURBATIONS`; empty for no perturbation.
    strength : float
    stain : Stain or None
        How stains are normalised after the change, as they would be for the images of another laboratory.
    """

    name: str
    strength: float
    stain: Stain | None = None

    @property
    def key(self):
        """What changed pixels depend on besides the original ones, as text."""
        changed = f"{PERTURBATIONS[self.name].key} {self.strength:g}" if self.name else "as it is"
        return f"{changed}, {self.stain.key['stain']} {self.stain.key['target']}" if self.stain else changed

    def apply(self, images, sizes):
        """Change images.

        Parameters
        ----------
        images : ndarray of uint8, shape (n, side, side, 3)
        sizes : sequence of (int, int)
            Width and height before padding.

        Returns
        -------
        ndarray of uint8, of the same shape
        """
        changed = PERTURBATIONS[self.name].apply(images, self.strength) if self.name else images
        if not self.stain or not len(images):
            return changed
        pairs = zip(changed, sizes, strict=True)
        return np.stack([self.stain.apply(image, interior(image, size))[0] for image, size in pairs])


UNCHANGED = Change("", 0.0)


def changes_of(names, stain=None):
    """All strengths of the named perturbations and, if stains are normalised after them, no perturbation at last.

    The stain of an image is normalised at its full size, that of a changed image at the size of its square. So a change
    is measured against the square that is normalised without one.

    Examples
    --------
    >>> [change.key for change in changes_of(["jpeg"])][:2]
    ['jpeg.v1 90', 'jpeg.v1 70']
    """
    found = [Change(name, strength, stain) for name in names for strength in PERTURBATIONS[name].strengths]
    return [*found, replace(UNCHANGED, stain=stain)] if found and stain else found


@dataclass(frozen=True)
class ChangedPixels:
    """Pixels that are changed as they are read, batch by batch.

    Attributes
    ----------
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    change : Change

    Examples
    --------
    >>> changed = ChangedPixels(np.full((3, 4, 4, 3), 200, np.uint8), Change("brightness", 0.7))
    >>> len(changed), changed[np.array([0, 2])].shape, changed[np.array([1])].max().item()
    (3, (2, 4, 4, 3), 140)
    """

    pixels: Any
    change: Change

    def __len__(self):
        return len(self.pixels)

    @property
    def shape(self):
        return self.pixels.shape

    def __getitem__(self, rows):
        return self.change.apply(np.asarray(self.pixels[rows]), ())


class Described:
    """A function of an image that is called with the changed image.

    Parameters
    ----------
    describe : callable
        As in `glomfeat.features.base.Handcrafted`.
    change : Change
    """

    def __init__(self, describe, change):
        self.describe, self.change = describe, change
        self.__module__ = describe.__module__  # says whose code it is

    def __call__(self, image, size):
        return self.describe(self.change.apply(image[None], [size])[0], size)


@dataclass(frozen=True)
class Changed(Around):
    """A feature of changed images, for features that describe many images at once.

    Attributes
    ----------
    feature : Feature
    change : Change
    """

    change: Change

    weights, standardise = "", False  # it belongs to no arm

    @property
    def name(self):
        return _named(self.feature, self.change)

    @property
    def key(self):
        own = {"feature": KEY} if isinstance(self.feature, Pixels) else self.feature.key
        return {**own, "changed": self.change.key}

    @property
    def thing(self):
        """The object whose code describes the images, see `glomfeat.features.users.is_users`."""
        return getattr(self.feature, "thing", self.feature)

    def transform(self, pixels, sizes):
        changed = self.change.apply(np.asarray(pixels), sizes)
        if isinstance(self.feature, Pixels):
            return changed.reshape(len(changed), -1)  # bytes, which the reducer turns into float32
        return self.feature.transform(changed, sizes)


def changed_feature(feature, change, read=None):
    """The feature of changed images. If stains are normalised, this happens after the change.

    Parameters
    ----------
    feature : Feature
        Not a table, because a table describes no images.
    change : Change
    read : Preprocess, optional
        How the study reads images.

    Returns
    -------
    Feature

    Examples
    --------
    >>> feature = Handcrafted("grey.v1", lambda image, size: [image.mean()])
    >>> images, sizes = np.full((1, 4, 4, 3), 200, np.uint8), np.array([[4, 4]])
    >>> changed = changed_feature(feature, Change("brightness", 0.7))
    >>> changed.name, changed.transform(images, sizes).tolist()
    ('grey.v1 after brightness.v1 0.7', [[140.0]])
    """
    view = feature.view or read
    if view and view.stain:
        changed = changed_feature(plain(feature), replace(change, stain=view.stain))
        return Seen(changed, getattr(feature, "tag", ""), replace(view, stain=None))
    if isinstance(feature, Seen):
        return replace(feature, feature=changed_feature(feature.feature, change))
    if isinstance(feature, Handcrafted):
        named = {"name": _named(feature, change), "describe": Described(feature.describe, change)}
        return replace(feature, **named)
    return Changed(feature, change)


def _named(feature, change):
    return f"{feature.name} after {change.key}"
