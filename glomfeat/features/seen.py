"""How features read images: in their own way, or in several ways under names that say which."""

from dataclasses import dataclass

from glomfeat.core.arms import tagged
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.base import Around


@dataclass(frozen=True)
class Seen(Around):
    """A feature that reads images in one of several ways.

    Its stored numbers are found by the feature and the way of reading, so a study that reads only this way shares them.

    Attributes
    ----------
    feature : Feature
    tag : str
        The part in which the ways differ, see `glomfeat.core.arms.tagged`.
    view : Preprocess
        How images are read, except for a side and filter that the feature sets itself.
    """

    tag: str
    view: Preprocess | None = None

    @property
    def name(self):
        return tagged(self.feature.name, self.tag)

    @property
    def key(self):
        return self.feature.key

    @property
    def weights(self):
        return self.feature.weights

    @property
    def standardise(self):
        return self.feature.standardise

    @property
    def columns(self):
        return self.feature.columns

    @property
    def described(self):
        return self.feature.described

    @property
    def imputes(self):
        return self.feature.imputes

    @property
    def is_deep(self):
        return self.feature.is_deep

    def note(self, side):
        return self.feature.note(side)

    def transform(self, pixels, sizes):
        return self.feature.transform(pixels, sizes)


def plain(feature):
    """A feature without its way of reading images.

    Examples
    --------
    >>> from glomfeat.features.pixels import Pixels
    >>> seen = Seen(Pixels(), "8", Preprocess(8))
    >>> seen.name, plain(seen).name, plain(plain(seen)).name
    ('pixels.v1@8', 'pixels.v1', 'pixels.v1')
    """
    return feature.feature if isinstance(feature, Seen) else feature


def view_of(feature, preprocess):
    """How a feature reads images: as the study does, or as the configuration of its weights says.

    Parameters
    ----------
    feature : Feature
    preprocess : Preprocess
        How the study reads images.

    Returns
    -------
    Preprocess
    """
    return (feature.view or preprocess).reading(feature.reads)
