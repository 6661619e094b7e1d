"""A feature of images that a study reads in several ways: the same numbers under a name that says which way."""

from dataclasses import dataclass, replace
from typing import Any

from glomfeat.core.arms import tagged
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.base import Defaults


@dataclass(frozen=True)
class Seen(Defaults):
    """A feature that reads images in one of several ways.

    What is stored of it is found by the feature and the way, so that studies of that way alone share it.

    Attributes
    ----------
    feature : Feature
    tag : str
        What the ways differ in, see `glomfeat.core.arms.tagged`.
    view : Preprocess
        Without a side and filter that the feature has of its own.
    """

    feature: Any
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
    def reads(self):
        return self.feature.reads

    @property
    def imputes(self):
        return self.feature.imputes

    @property
    def is_deep(self):
        return self.feature.is_deep

    def note(self, side):
        return self.feature.note(side)

    def at_once(self, side):
        return self.feature.at_once(side)

    def outline(self, side):
        return self.feature.outline(side)

    def within(self, free, side):
        return replace(self, feature=self.feature.within(free, side))

    def having(self, **settings):
        return replace(self, feature=self.feature.having(**settings))

    def release(self):
        self.feature.release()

    def transform(self, pixels, sizes):
        return self.feature.transform(pixels, sizes)


def plain(feature):
    """A feature without the way in which it reads images.

    Examples
    --------
    >>> from glomfeat.features.pixels import Pixels
    >>> seen = Seen(Pixels(), "8", Preprocess(8))
    >>> seen.name, plain(seen).name, plain(plain(seen)).name
    ('pixels.v1@8', 'pixels.v1', 'pixels.v1')
    """
    return feature.feature if isinstance(feature, Seen) else feature
