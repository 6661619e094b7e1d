"""Shards: the parts in which a feature is computed and stored, and the matrices that they form."""

from dataclasses import dataclass, field

import numpy as np

from glomfeat.core.cache import Matrix, Store, digest_of
from glomfeat.core.cluster.worker import keep
from glomfeat.core.part_errors import in_words
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import Manifest
from glomfeat.features.decode import decode_rows
from glomfeat.features.seen import plain
from glomfeat.features.users import describe_rows, is_users


@dataclass(frozen=True)
class Mapped:
    """The place of an array on disk: it can be opened again, and holds no memory."""

    filename: str
    offset: int
    shape: tuple
    dtype: np.dtype

    def open(self):
        return np.memmap(self.filename, self.dtype, "r", self.offset, self.shape)


def mapped(array):
    """The place on disk of an array that is mapped from a file."""
    return Mapped(str(array.filename), array.offset, array.shape, array.dtype)


@dataclass(frozen=True)
class Extracted:
    """The result of extraction.

    Attributes
    ----------
    manifest : Manifest
        The images that could be read.
    matrices : dict of str to Matrix
        By the feature's name; rows as in `manifest`.
    keys : dict of str to dict
        By the feature's name: what its numbers depend on.
    failed : dict of str to str
        Features that could not be computed, with the reason.
    quarantine : list of dict
        ``name`` and ``reason`` of the images that could not be read.
    pixels : dict of Preprocess to Matrix
        By the way in which images are read: uint8, rows of shape (side, side, 3).
    profiles : int
        How many images have an embedded profile that differs from sRGB.
    as_were : dict of Preprocess to int
        How many images have a stain that could not be normalised, by the way of reading; without ways that had none.
    """

    manifest: Manifest
    matrices: dict = field(default_factory=dict)
    pixels: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    failed: dict = field(default_factory=dict)
    quarantine: list = field(default_factory=list)
    profiles: int = 0
    as_were: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """The rows of each shard, with the digests that stand for them in keys."""

    rows: list
    digests: list

    def key(self, base, shard):
        return {**base, "rows": digest_of(self.members(shard))}

    def members(self, shard):
        return [self.digests[row] for row in self.rows[shard]]

    def matrix(self, arrays, digests):
        return Matrix(arrays, digests, [self.members(shard) for shard in range(len(self.rows))])


@dataclass(frozen=True)
class Part:
    """A shard that one call decodes and describes.

    Attributes
    ----------
    store : Store
    preprocess : Preprocess
    paths, digests : list of str
        Of its rows.
    features : list
    """

    store: Store
    preprocess: Preprocess
    paths: list
    digests: list
    features: list

    def keys(self, good=None):
        """The key of the pixels; given the rows that can be read, those of the features."""
        if good is None:
            return [Shards([range(len(self.digests))], self.digests).key(self.preprocess.key, 0)]
        clean = Shards([np.flatnonzero(good)], self.digests)
        return [clean.key({**feature.key, **self.preprocess.key}, 0) for feature in self.features]

    def decoded(self):
        """The stored pixels, and which rows can be read."""
        arrays = self.store.shard(
            *self.keys(), lambda: decode_rows(self.paths, self.digests, self.preprocess, threads=1)
        )
        return arrays, arrays["sizes"][:, 0] > 0

    def is_stored(self):
        """Whether everything is stored already."""
        if not self.store.has(*self.keys()):
            return False
        _, good = self.decoded()
        return not good.any() or all(map(self.store.has, self.keys(good)))

    def make(self):
        """Decode the shard and compute its features, unless they are stored.

        Returns
        -------
        dict of str to str
            Features that could not be computed, with the reason.
        """
        (arrays, good), failed = self.decoded(), {}
        for feature, key in zip(self.features, self.keys(good), strict=True) if good.any() else ():
            task = self.store, key, keep(feature.name, feature, feature.release), arrays, good
            attempt(failed, feature, make_shard, *task)
        return failed


def make_shard(store, key, feature, decoded, good):
    """The place of a feature's rows, computed unless stored; `decoded` holds arrays or their places."""

    def make():
        return {"rows": describe_rows(feature, *_readable(decoded, good))}

    return mapped(store.shard(key, make)["rows"])


def _readable(decoded, good):
    """Pixels and sizes of the rows that can be read."""
    arrays = (decoded[name] for name in ("pixels", "sizes"))
    pixels, sizes = (array.open() if isinstance(array, Mapped) else array for array in arrays)
    return (pixels, sizes) if good.all() else (pixels[good], sizes[good])


class InTurn:
    """Has a feature describe shards as they arrive: one by one, or several together if it streams.

    Parameters
    ----------
    feature : Feature
    side, threads : int
        As in `glomfeat.features.base.Feature.stream`.

    Attributes
    ----------
    made : dict of int to Mapped
        The places of the rows of each shard, as far as they are finished.
    """

    def __init__(self, feature, side, threads):
        self.feature, self.given, self.made, self.stream = feature, (side, threads), {}, None

    def describe(self, shard, store, key, decoded, good):
        """Describe a shard unless it is stored; its rows may come later."""
        if not plain(self.feature).streams or store.has(key):
            self.made[shard] = make_shard(store, key, self.feature, decoded, good)
            return
        self.stream = self.stream or plain(self.feature).stream(*self.given)
        pixels, _ = _readable(decoded, good)
        self.stream.add(pixels, lambda rows: self._keep(shard, store, key, rows))

    def _keep(self, shard, store, key, rows):
        self.made[shard] = mapped(store.shard(key, lambda: {"rows": rows})["rows"])

    def finish(self):
        """Wait for all rows."""
        if self.stream:
            self.stream.finish()

    def release(self):
        """Free what describing held."""
        if self.stream:
            self.stream.close()
        self.stream = None
        self.feature.release()


def attempt(failed, feature, compute, *arguments):
    """Run a computation of a feature; if it fails, note the reason, unless the machine is to blame."""
    try:
        compute(*arguments)
    except (OSError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, MemoryError) and not is_users(feature):
            raise
        failed[feature.name] = in_words(error)
