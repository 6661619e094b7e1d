"""The protocol of features: pixels in, one float32 row per image out, without knowledge of labels or folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np

from glomfeat.core.errors import UserError
from glomfeat.core.part_errors import MisfitError, shown
from glomfeat.core.watched import limited
from glomfeat.core.words import number_of
from glomfeat.features.rounding import warn_of_rounding

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glomfeat.data.images.decode import Preprocess


class FeatureError(UserError, ValueError):
    """A feature cannot be computed: an unknown layer, a table that lacks rows, or a wrong width."""


NEEDED = ("name", "key", "weights", "standardise", "transform")  # the members of `Feature` that have no default


class Feature(Protocol):
    """The members that glomfeat uses of a feature. The first five are required; `Defaults` has the others.

    Attributes
    ----------
    name : str
        ``name.version``; the version changes whenever the numbers do.
    key : dict of str to plain data
        What the numbers depend on besides the pixels.
    weights : str
        What the result tables say about its parameters; empty if it has none.
    standardise : bool
        Whether its columns have different units.
    columns : sequence of str
        Names of the columns; empty if they have none.
    described : sequence of str
        For each number, the column that it describes.
    reads : tuple of (int, str or None) or None
        Side and filter of the images that it reads, if these differ from the study's.
    view : Preprocess or None
        How it reads images, if a study reads them in several ways.
    imputes : bool
        Whether values may be missing; each fold then fills them.
    is_deep : bool
        Whether it is a `glomfeat.features.deep.network.Deep`, whose parameters have to be found.
    streams : bool
        Whether it describes the images of many shards together, through `stream`.
    """

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> Mapping[str, Any] | None: ...

    @property
    def weights(self) -> str: ...

    @property
    def standardise(self) -> bool: ...

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def described(self) -> Sequence[str]: ...

    @property
    def reads(self) -> tuple[int, str | None] | None: ...

    @property
    def view(self) -> "Preprocess | None": ...

    @property
    def imputes(self) -> bool: ...

    @property
    def is_deep(self) -> bool: ...

    @property
    def streams(self) -> bool: ...

    def transform(self, pixels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Describe images of uint8, shape (n, side, side, 3); `sizes` is their width and height before padding."""

    def note(self, side: int) -> str:
        """A note for the user on this feature for images of `side` pixels."""

    def at_once(self, side: int) -> int:
        """How many images it processes at a time."""

    def outline(self, side: int) -> Any:
        """The memory that it needs, as `glomfeat.features.deep.footprint.Outline`; None if it does not say."""

    def within(self, free: int | None, side: int) -> "Feature":
        """The same feature in batches that fit into `free` bytes; called only if it has an outline."""

    def having(self, **settings: Any) -> "Feature":
        """The same feature with those of ``device``, ``precision``, ``batch``, ``reads`` and ``code`` that it knows."""

    def stream(self, side: int, threads: int) -> Any:
        """An object that takes images shard by shard and hands back rows when ready: `add`, `finish` and `close`."""

    def release(self) -> None:
        """Free what it holds; the next `transform` builds it again."""


class Defaults:
    """Defaults for the members of `Feature` that a feature does not set itself."""

    columns: Sequence[str] = ()
    reads: tuple[int, str | None] | None = None
    view: "Preprocess | None" = None
    imputes: bool = False
    is_deep: bool = False
    streams: bool = False

    @property
    def described(self) -> Sequence[str]:
        return self.columns

    def note(self, side: int) -> str:
        return ""

    def at_once(self, side: int) -> int:
        return 1

    def outline(self, side: int) -> Any:
        return None

    def within(self, free: int | None, side: int) -> Self:
        return self

    def having(self, **settings: Any) -> Self:
        return self

    def stream(self, side: int, threads: int) -> Any:
        return None

    def release(self) -> None:
        pass


@dataclass(frozen=True)
class Around(Defaults):
    """Base of features that have another feature do their work.

    Attributes
    ----------
    feature : Feature
    """

    feature: Any

    @property
    def reads(self) -> tuple[int, str | None] | None:  # type: ignore[override]
        return self.feature.reads

    def at_once(self, side: int) -> int:
        return self.feature.at_once(side)

    def outline(self, side: int) -> Any:
        return self.feature.outline(side)

    def within(self, free: int | None, side: int) -> Self:
        return replace(self, feature=self.feature.within(free, side))

    def having(self, **settings: Any) -> Self:
        return replace(self, feature=self.feature.having(**settings))

    def release(self) -> None:
        self.feature.release()


class Adapted(Defaults):
    """An object with only the required members of a `Feature`; optional members that it has replace the defaults.

    Parameters
    ----------
    thing : object
    code : str
        Digest of its code. If given, stored numbers are found by it as well.
    """

    OPTIONAL = ("columns", "reads", "imputes", "note", "at_once", "outline", "within", "release")
    SETTINGS = ("batch", "code")  # fields of a dataclass that may be set

    def __init__(self, thing: Any, code: str = "") -> None:
        self.thing, self.code = thing, code
        self.name, self.weights, self.standardise = thing.name, thing.weights, thing.standardise
        self.key = {**thing.key, "code": code} if code else thing.key
        others = {name: getattr(thing, name, None) for name in self.OPTIONAL}
        vars(self).update({name: other for name, other in others.items() if other is not None})

    def __reduce__(self) -> tuple[type, tuple[Any, str]]:
        return Adapted, (self.thing, self.code)

    def transform(self, pixels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        return self.thing.transform(pixels, sizes)

    def having(self, **settings: Any) -> "Adapted":
        if isinstance(self.thing, Defaults):
            return Adapted(self.thing.having(**settings), self.code)
        known = {one.name for one in fields(self.thing)} & {*self.SETTINGS} if is_dataclass(self.thing) else set()
        asked = {name: value for name, value in settings.items() if name in known}
        return Adapted(replace(self.thing, **asked), self.code) if asked else self


def as_feature(thing: Any) -> Feature:
    """Complete an object with the members of a `Feature` that it lacks.

    Parameters
    ----------
    thing : object
        Has ``name``, ``key``, ``weights``, ``standardise`` and ``transform(pixels, sizes)``.

    Returns
    -------
    Feature
        The object itself if it has all members.

    Raises
    ------
    FeatureError
        It lacks a required member.

    Examples
    --------
    >>> class Redness:
    ...     name, key, weights, standardise = "redness.v1", {"feature": "redness.v1"}, "", True
    ...
    ...     def transform(self, pixels, sizes):
    ...         return pixels[..., 0].mean(axis=(1, 2), dtype=np.float32)[:, None]
    >>> feature = as_feature(Redness())
    >>> feature.name, feature.columns, feature.note(224), as_feature(feature) is feature
    ('redness.v1', (), '', True)
    """
    if isinstance(thing, Defaults):
        return cast("Feature", thing)
    if missing := missing_members(thing):
        kind, lacks = type(thing).__name__, ", ".join(missing)
        raise FeatureError(
            f"a {kind} is not a feature, it has no {lacks}: take glomfeat.Handcrafted('name.v1', function)"
        )
    return Adapted(thing)


def following(feature: Feature, code: str) -> Feature:
    """A feature of the user's own whose stored numbers depend on its code as well as on the version in its name.

    Parameters
    ----------
    feature : Feature
    code : str
        Digest of its code.

    Examples
    --------
    >>> following(Handcrafted("redness.v1", lambda image, size: [image.mean()]), "1234").key
    {'feature': 'redness.v1', 'code': '1234'}
    """
    found = feature.having(code=code)
    if found.key is None or code in found.key.values():
        return found
    return Adapted(found.thing if isinstance(found, Adapted) else found, code)


def missing_members(thing: Any) -> list[str]:
    """The needed members of a feature that an object lacks.

    Examples
    --------
    >>> missing_members(object())
    ['name', 'key', 'weights', 'standardise', 'transform']
    """
    return [name for name in NEEDED if not hasattr(thing, name)]


def check_widths(name: str, rows: Sequence[Any], columns: Sequence[str] = ()) -> None:
    """Refuse a feature whose rows differ in width.

    Parameters
    ----------
    name : str
        The name of the feature.
    rows : sequence of ndarray, or of objects with a shape
        The last axis is the feature's.
    columns : sequence of str
        Names of its columns, if they have any.

    Raises
    ------
    FeatureError
        The widths differ, or are not that of the names.
    """
    widths = sorted({row.shape[-1] for row in rows})
    if len(widths) != 1:
        raise FeatureError(f"{name} gives {widths} values for different images: always return as many")
    if len(columns) not in (0, *widths):
        given, named = number_of(widths[0], "value"), number_of(len(columns), "column")
        raise FeatureError(f"{name} gives {given} and names {named}: name each, or none")


@dataclass(frozen=True)
class Handcrafted(Defaults):
    """A feature that calls your own function on each image.

    Every feature has `name`, `key`, `weights`, `standardise` and ``transform(pixels, sizes)``; this class
    gives them to a plain function.

    Attributes
    ----------
    name : str
        ``name.version``. Raise the version whenever `describe` returns other numbers.
    describe : callable
        ``describe(image, size)``. `image` is uint8 of shape (side, side, 3), and `size` is the width and height in
        pixels before padding. It always returns the same number of values.
    standardise : bool
        Whether the columns have different units. If so, they are scaled to unit variance (on training rows) before a
        reducer sees them.
    code : str
        Digest of the function's code, if stored numbers should depend on it; if left out, only the version counts.
    columns : sequence of str
        Names of the numbers, if they have any. Exported rows carry them, and importance by shuffling is given for each.

    Examples
    --------
    >>> redness = Handcrafted("redness.v1", lambda image, size: [image[..., 0].mean()])
    >>> redness.transform(np.zeros((2, 4, 4, 3), np.uint8), np.array([[4, 4], [4, 4]]))
    array([[0.], [0.]], dtype=float32)
    """

    name: str
    describe: Callable[[np.ndarray, tuple[int, int]], "ArrayLike"]
    standardise: bool = True
    code: str = ""
    columns: Sequence[str] = ()

    weights = ""

    @property
    def key(self) -> dict[str, str]:
        """What the numbers depend on besides the pixels, as short plain data."""
        return {"feature": self.name} | ({"code": self.code} if self.code else {})

    def having(self, **settings: Any) -> Self:
        """The same feature with the digest of its code, if that is among the settings."""
        return replace(self, code=settings["code"]) if "code" in settings else self

    def transform(self, pixels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Describe images.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n, side, side, 3)
        sizes : ndarray of int, shape (n, 2)
            Width and height before padding.

        Returns
        -------
        ndarray of float32, shape (n, width)

        Raises
        ------
        FeatureError
            The function returned the wrong number of values, or values that are not finite.
        """
        rows = [self._numbers(image, tuple(size)) for image, size in zip(pixels, sizes, strict=True)]
        check_widths(self.name, rows, self.columns)
        with np.errstate(over="ignore"):  # too large for float32: infinite, refused below
            matrix = np.asarray(rows, np.float32)
        if not np.isfinite(matrix).all():
            columns = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
            count = int((~np.isfinite(matrix).all(axis=1)).sum())
            of = f" of {count} of {len(matrix)} images" if len(matrix) > 1 else ""
            raise FeatureError(f"{self.name} gives NaN or infinity in columns {columns[:5].tolist()}{of}")
        warn_of_rounding(self.name, rows, self.columns)
        return matrix

    def _numbers(self, image: Any, size: Any) -> Any:
        with limited():
            found = self.describe(image, size)
        values = np.ravel(found)
        if values.dtype.kind not in "fiub" or not values.size:
            raise MisfitError(f"it returned {shown(found)}: return numbers, always as many", self.describe)
        return values
