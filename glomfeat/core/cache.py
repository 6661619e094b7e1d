"""Arrays that outlive the run: shards on joblib.Memory, addressed by meaning and read through memory maps.

A shard is some rows of a matrix. Its key is small plain data: what computes the rows, and a digest of the rows' own
digests. It holds no label, path or position in a data set, so moving or relabelling images costs nothing. Rows are
dealt to shards by the leading bits of their digests: a new image changes one shard, unless the number of shards has to
double.
"""

import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FunctionType

import numpy as np
from joblib import Memory, numpy_pickle, register_store_backend
from joblib.memory import FileSystemStoreBackend

from glomfeat.core.atomic import write_text
from glomfeat.core.disk import CACHE, writing

ROWS_PER_SHARD = 128
WRITE_BYTES = 2 * 2**24  # joblib's buffers while it writes

log = logging.getLogger(__name__)
_SOUND = set()


def _checksum(array):
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _is_sound(found):
    """Whether names, types, shapes and values are those that were stored; an unchanged file is read only once."""
    try:
        stamp = _stamp(found["arrays"])
        if stamp in _SOUND:
            return True
        sound = {name: _checksum(array) for name, array in found["arrays"].items()} == found["sha256"]
    except (KeyError, TypeError, AttributeError):
        return False
    if sound and stamp:
        _SOUND.add(stamp)
    return sound


def _stamp(arrays):
    """The file that arrays are mapped from, its size and modification time; None if they are in memory."""
    names = {getattr(array, "filename", None) for array in arrays.values()}
    if len(names) != 1 or None in names:
        return None
    (name,) = names
    stat = Path(name).stat()
    return str(name), stat.st_size, stat.st_mtime_ns


PLACE = "glomfeat.store"  # joblib names its folder by this: keep it, so that what earlier versions stored is found


def _shard(key, make):
    arrays = {name: np.ascontiguousarray(array) for name, array in make().items()}
    return {"arrays": arrays, "sha256": {name: _checksum(array) for name, array in arrays.items()}}


class _Folder(FileSystemStoreBackend):
    """joblib's folder, except that a failed write raises and leaves nothing behind; joblib warns and goes on."""

    def _writing(self, needs=0):
        return writing(Path(self.location).parent, CACHE, needs=needs)

    def _write(self, call_id, name, fill, needs):
        place = Path(self.location, *call_id)

        def write(_, part):
            with self._open_item(part, "wb") as file:
                fill(file)

        with self._writing(needs):
            self.create_location(str(place))
            self._concurrency_safe_write(None, str(place / name), write)

    def _concurrency_safe_write(self, to_write, filename, write_func):
        part = f"{filename}.{uuid.uuid4().hex}-{os.getpid()}-{threading.get_ident()}"
        try:
            write_func(to_write, part)
            self._move_item(part, filename)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(part).unlink(missing_ok=True)
            raise

    def dump_item(self, call_id, item, verbose=1):
        needs = sum(array.nbytes for array in item["arrays"].values())
        self._write(call_id, "output.pkl", lambda file: numpy_pickle.dump(item, file), needs)

    def store_metadata(self, call_id, metadata):
        text = json.dumps(metadata).encode()
        try:
            self._write(call_id, "metadata.json", lambda file: file.write(text), len(text))
        except OSError:  # without it nobody could tell what the arrays came from
            self.clear_item(call_id)
            raise

    def store_cached_func_code(self, call_id, func_code=None):
        with self._writing():
            super().store_cached_func_code(call_id, func_code)


register_store_backend(PLACE, _Folder)


def _say_unread(text):
    """Say in a line what joblib says with a traceback."""
    log.warning("a stored shard cannot be read and is made again")


@dataclass(frozen=True)
class Store:
    """A folder of shards.

    Attributes
    ----------
    folder : str
        Studies and processes may share it, and it may be deleted at any time between runs. Its entries are joblib's
        pickles: use a folder that only you can write to.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    >>> store.shard({"what": "ones"}, lambda: {"x": np.ones(3)})["x"].tolist()
    [1.0, 1.0, 1.0]
    >>> type(store.shard({"what": "ones"}, None)["x"]).__name__
    'memmap'
    """

    folder: str

    def __reduce__(self):
        return Store, (self.folder,)

    @cached_property
    def _cached(self):
        # joblib notes a function's code in the first folder that a process uses it with, and later processes ignore a
        # folder without that note: so each store has a function of its own
        own = FunctionType(_shard.__code__, globals(), _shard.__name__)
        own.__module__ = PLACE
        folder = Path(self.folder)
        with writing(folder, CACHE):
            if not (folder / "joblib").is_dir():  # else joblib creates it, and only warns where it cannot
                write_text(folder / ".gitignore", "*\n", option=CACHE)
            found = Memory(self.folder, backend=PLACE, mmap_mode="r", verbose=0).cache(own, ignore=["make"])
        found.warn = _say_unread
        return found

    def has(self, key):
        """Whether a shard is stored."""
        return self._cached.check_call_in_cache(key, None)

    def forget(self, key):
        """Delete a stored shard."""
        self._cached.call_and_shelve(key, None).clear()

    def shard(self, key, make):
        """Return the arrays of a shard: the stored ones if their checksums match, else newly made, stored and mapped.

        Parameters
        ----------
        key : dict
            Small plain data (text, numbers) that the arrays are a function of.
        make : callable
            Called without arguments if needed; returns a dict of str to ndarray. If it raises, nothing is
            stored.

        Returns
        -------
        dict of str to numpy.memmap
            Read-only.
        """
        found = self._cached(key, make)
        if not _is_sound(found):  # another process may have replaced the file while it was read
            found = self._cached(key, make)
        if not _is_sound(found):
            log.warning("a stored shard was damaged and is made again")
            self.forget(key)
            found = self._cached(key, make)
        return found["arrays"]


def cache_folder(asked=None):
    """The folder of the cache: the one that was asked for, else the user's.

    Parameters
    ----------
    asked : str or None

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> cache_folder("/scratch/mine").name
    'mine'
    """
    if asked:
        return Path(asked).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "glomfeat"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "glomfeat"


def digest_of(texts):
    """SHA-256 over a sequence of texts.

    Examples
    --------
    >>> digest_of(["ab", "c"]) == digest_of(["a", "bc"])
    False
    """
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def plan_shards(digests):
    """Deal rows to shards by their digests.

    Parameters
    ----------
    digests : sequence of str
        SHA-256 of each row, hexadecimal. Rows with equal digests share a place.

    Returns
    -------
    list of ndarray of int64
        For each shard the rows in it, in order of their digests, one row for each digest.

    Examples
    --------
    >>> [rows.tolist() for rows in plan_shards(["b0", "a0", "b0"])]
    [[1, 0]]
    """
    first = {}
    for row, digest in enumerate(digests):
        first.setdefault(digest, row)
    bits = max(0, (len(first) - 1) // ROWS_PER_SHARD).bit_length()
    shards = {}
    for digest in sorted(first):
        shards.setdefault(int(digest[:8], 16) >> (32 - bits) if bits else 0, []).append(first[digest])
    return [np.array(rows, np.int64) for _, rows in sorted(shards.items())]


class Matrix:
    """Rows spread over shards, read on demand, in the order of a manifest.

    It holds file names, not memory, so it can be sent to another process, which maps the files itself.

    Parameters
    ----------
    shards : list of numpy.memmap, or of objects with the same filename, offset, shape and dtype
        First axis: the rows of each shard.
    digests : sequence of str
        The digest of each row of the manifest.
    members : list of list of str
        The digests of each shard's rows, in order.
    gaps : bool
        Whether values may be missing, as NaN.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(self, shards, digests, members, gaps=False):
        self.gaps = gaps
        self._files = [(str(a.filename), a.offset, a.shape) for a in shards]
        self.dtype = shards[0].dtype
        place = {digest: (i, j) for i, names in enumerate(members) for j, digest in enumerate(names)}
        self._places = np.array([place[digest] for digest in digests], np.int64).reshape(-1, 2)
        self._row_shape = shards[0].shape[1:]

    @property
    def shape(self):
        """The number of rows, and the shape of a row."""
        return (len(self._places), *self._row_shape)

    @property
    def row_bytes(self):
        """Bytes of a row."""
        return int(np.prod(self._row_shape)) * self.dtype.itemsize

    def __len__(self):
        return len(self._places)

    def followed_by(self, other):
        """These rows followed by those of another matrix of the same kind."""
        both = object.__new__(Matrix)
        places = np.concatenate([self._places, other._places + [len(self._files), 0]])
        both.__dict__ = {**self.__dict__, "_files": [*self._files, *other._files], "_places": places}
        return both

    def shards(self):
        """The arrays that hold the rows, in their own order, as memory maps."""
        return [np.memmap(name, self.dtype, "r", offset, shape) for name, offset, shape in self._files]

    def flat(self):
        """The same matrix with each row flattened to one axis."""
        other = object.__new__(Matrix)
        other.__dict__ = {**self.__dict__, "_row_shape": (int(np.prod(self._row_shape)),)}
        return other

    def __getitem__(self, rows):
        """Read rows, or some columns of them, into memory.

        Parameters
        ----------
        rows : slice, ndarray of int or bool, or a pair of these and a slice of columns
            Columns only for a matrix whose rows have one axis.

        Returns
        -------
        ndarray, shape (len(rows), ...)
        """
        rows, columns = rows if isinstance(rows, tuple) else (rows, None)
        places = self._places[rows]
        width = () if columns is None else (len(range(*columns.indices(*self._row_shape))),)
        found = np.empty((len(places), *(width or self._row_shape)), self.dtype)
        for shard in np.unique(places[:, 0]):
            here = places[:, 0] == shard
            name, offset, shape = self._files[shard]
            array = np.memmap(name, self.dtype, "r", offset, shape)
            if columns is not None:
                array = array.reshape(len(array), -1)[:, columns]
            found[here] = array[places[here, 1]].reshape(-1, *found.shape[1:])
        return found
