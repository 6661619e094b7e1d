"""Features of the user's own: told from ours, called so that what they do wrong is said, and stood in for."""

from dataclasses import dataclass

from glomfeat.core.part_errors import PartError, calling, rows_of
from glomfeat.core.watched import limited
from glomfeat.features.base import Defaults, Handcrafted
from glomfeat.features.seen import plain


def is_users(feature):
    """Whether a feature is code of the user's own.

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
    """Have a feature describe images; what one of the user's own does wrong is said with the line.

    Parameters
    ----------
    feature : Feature
    pixels, sizes
        As of `Feature.transform`.

    Returns
    -------
    ndarray, shape (n, width)

    Raises
    ------
    PartError
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
        return found


def method_of(feature):
    """What a feature describes images by, as the user wrote it."""
    feature = plain(feature)
    return getattr(feature, "describe", None) or getattr(feature, "thing", feature).transform


@dataclass(frozen=True)
class Broken(Defaults):
    """Stands for a feature that could not be made, so that its arms are rows with the reason.

    Attributes
    ----------
    name : str
        As the user gave it.
    why : str
    """

    name: str
    why: str

    weights, standardise = "", True

    @property
    def key(self):
        return {"feature": self.name}

    def transform(self, pixels, sizes):
        raise PartError(self.why)
