"""Features written by the user: recognising them, calling them so that errors name their line, and replacing them."""

from dataclasses import dataclass

from glomfeat.core.part_errors import PartError, calling, rows_of
from glomfeat.core.watched import limited
from glomfeat.features.base import Defaults, Handcrafted
from glomfeat.features.rounding import warn_of_rounding
from glomfeat.features.seen import plain


def is_users(feature):
    """Whether a feature is the user's own code.

    Examples
    --------
    >>> is_users(Handcrafted("redness.v1", lambda image, size: [image.mean()]))
    False
    """
    feature = plain(feature)
    source = getattr(feature, "describe", None) or type(getattr(feature, "thing", feature))
    package = str(getattr(source, "__module__", "")).partition(".")[0]
    return isinstance(feature, Broken) or package != "glomfeat"


def describe_rows(feature, pixels, sizes):
    """Have a feature describe images; an error in the user's own code names the line that raised it.

    Parameters
    ----------
    feature : Feature
    pixels, sizes
        As in `Feature.transform`.

    Returns
    -------
    ndarray, shape (n, width)

    Raises
    ------
    PartError
        The user's own code raises, or returns rows that cannot be used.
    """
    feature = plain(feature)
    if not is_users(feature):
        return feature.transform(pixels, sizes)
    with calling("feature", feature.name, method_of(feature), own=True):
        if isinstance(feature, Handcrafted):
            return feature.transform(pixels, sizes)
        with limited():
            found = feature.transform(pixels, sizes)
        rows_of(found, len(pixels), method_of(feature))
        warn_of_rounding(feature.name, found, feature.columns)
        return found


def method_of(feature):
    """The function or method that describes images, as the user wrote it."""
    feature = plain(feature)
    return getattr(feature, "describe", None) or getattr(feature, "thing", feature).transform


@dataclass(frozen=True)
class Broken(Defaults):
    """A stand-in for a feature that could not be made, so that its arms become rows that state the reason.

    Attributes
    ----------
    name : str
        The name that the user gave.
    why : str
        The reason.
    """

    name: str
    why: str

    weights, standardise = "", True

    @property
    def key(self):
        return {"feature": self.name}

    def transform(self, pixels, sizes):
        raise PartError(self.why)
