"""What a feature is: pixels in, one float32 row per image out; it knows no label and no fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np

from glomfeat.core.errors import UserError
from glomfeat.core.part_errors import MisfitError, shown
from glomfeat.core.watched import limited
from glomfeat.core.words import number_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from glomfeat.data.images.decode import Preprocess


class FeatureError(UserError, ValueError):
    """A feature that cannot be computed: an unknown layer, a table without the rows, a wrong width."""


NEEDED = ("name", "key", "weights", "standardise", "transform")  # of a `Feature`


class Feature(Protocol):
    """What the toolkit asks of a feature. The first five members are needed; `Defaults` has the others.

    Attributes
    ----------
    name : str
        ``name.version``, of which the version changes whenever the numbers do.
    key : dict of str to plain data
        What the numbers depend on besides the pixels.
    weights : str
        What rows of the results say about its parameters; empty where there are none.
    standardise : bool
        Whether columns have different units.
    columns : sequence of str
        Names of the columns; empty where they have none.
    described : sequence of str
        The column that each number tells of.
    reads : tuple of (int, str or None) or None
        Side and filter of the images that it reads, where these are not the study's.
    view : Preprocess or None
        How it reads images, where a study reads them in several ways.
    imputes : bool
        Whether values may be missing, which are filled in each fold.
    is_deep : bool
        Whether it is a `glomfeat.features.deep.network.Deep`, with parameters that are looked for.
    streams : bool
        Whether it describes the images of many shards together, by what `stream` gives.
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
        """Describe images: uint8 of shape (n, side, side, 3), and width and height before padding; a row each."""

    def note(self, side: int) -> str:
        """What the user should read about it on images of `side` pixels."""

    def at_once(self, side: int) -> int:
        """How many images it works on at a time."""

    def outline(self, side: int) -> Any:
        """What it takes, as `glomfeat.features.deep.footprint.Outline`; None where it does not tell."""

    def within(self, free: int | None, side: int) -> "Feature":
        """The same feature in batches for which so many bytes suffice; asked only where it has an outline."""

    def having(self, **settings: Any) -> "Feature":
        """The same feature with what it knows of ``device``, ``precision``, ``batch``, ``reads`` and ``code``."""

    def stream(self, side: int, threads: int) -> Any:
        """What takes images shard by shard and gives their rows when they are there: `add`, `finish` and `close`."""

    def release(self) -> None:
        """Let go of what it holds; the next `transform` builds it again."""


class Defaults:
    """What a feature says that has nothing of its own to say, see `Feature`."""

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
    """What a feature says that has another one do its work.

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
    """An object that may have the needed members of a `Feature` alone; what else it has goes before the defaults.

    Parameters
    ----------
    thing : object
    code : str
        Digest of its code, which stored numbers then follow.
    """

    OPTIONAL = ("columns", "reads", "imputes", "note", "at_once", "outline", "within", "release")
    SETTINGS = ("batch", "code")  # of a dataclass

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
    """An object with the members of a `Feature` that it lacks.

    Parameters
    ----------
    thing : object
        Has ``name``, ``key``, ``weights``, ``standardise`` and ``transform(pixels, sizes)``.

    Returns
    -------
    Feature
        The object itself where it has all members.

    Raises
    ------
    FeatureError
        It lacks one that is needed.

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
    """A feature of the user's own whose stored numbers follow its code, and not the name's version alone.

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
    """Refuse a feature whose rows are not all of one width.

    Parameters
    ----------
    name : str
        The feature's.
    rows : sequence of ndarray, or of what has their shape
        The last axis is the feature's.
    columns : sequence of str
        Their names, where they have some.

    Raises
    ------
    FeatureError
    """
    widths = sorted({row.shape[-1] for row in rows})
    if len(widths) != 1:
        raise FeatureError(f"{name} gives {widths} values for different images: always return as many")
    if len(columns) not in (0, *widths):
        given, named = number_of(widths[0], "value"), number_of(len(columns), "column")
        raise FeatureError(f"{name} gives {given} and names {named}: name each, or none")


@dataclass(frozen=True)
class Handcrafted(Defaults):
    """A feature computed image by image from a function of your own.

    Every feature has `name`, `key`, `weights`, `standardise` and ``transform(pixels, sizes)``; this class
    gives them to a plain function.

    Attributes
    ----------
    name : str
        ``name.version``. The version must change whenever `describe` gives other numbers.
    describe : callable
        ``describe(image, size)`` with `image` of uint8, shape (side, side, 3), and `size` the width and
        height in pixels before padding; returns numbers, always as many.
    standardise : bool
        Whether the columns have different units, so that they are brought to unit variance (on training
        rows) before a reducer sees them.
    code : str
        Digest of the function's code, where stored numbers shall follow it; the name's version alone if left out.
    columns : sequence of str
        Names of the numbers, where they have some; they go with exported rows, and shuffling tells what each is worth.

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
        """The same feature with the digest of its code, where that is among the settings."""
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
            The function returned a wrong number of values, or values that are not finite.
        """
        rows = [self._numbers(image, tuple(size)) for image, size in zip(pixels, sizes, strict=True)]
        check_widths(self.name, rows, self.columns)
        matrix = np.asarray(rows, np.float32)
        if not np.isfinite(matrix).all():
            columns = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
            count = int((~np.isfinite(matrix).all(axis=1)).sum())
            of = f" of {count} of {len(matrix)} images" if len(matrix) > 1 else ""
            raise FeatureError(f"{self.name} gives NaN or infinity in columns {columns[:5].tolist()}{of}")
        return matrix

    def _numbers(self, image: Any, size: Any) -> Any:
        with limited():
            found = self.describe(image, size)
        values = np.ravel(found)
        if values.dtype.kind not in "fiub" or not values.size:
            raise MisfitError(f"it returned {shown(found)}: return numbers, always as many", self.describe)
        return values
