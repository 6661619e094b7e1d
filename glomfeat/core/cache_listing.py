"""What a cache folder holds: listed without reading an array, verified block by block, freed one entry at a time.

An entry of the store is one of joblib's folders: ``output.pkl`` makes it an entry, and ``metadata.json`` says what it
was made from. Keys hold digests and no file names, so nothing here can tell whose images they were. Whatever is not
known to be ours is counted and left alone.
"""

import ast
import contextlib
import hashlib
import json
import os
import pickletools
import re
import shutil
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

import joblib

from glomfeat.core.errors import UserError
from glomfeat.core.locks import try_lock
from glomfeat.core.progress import waiting_for

KINDS = (*("pixels", "features", "reductions", "statistics", "inner-scores", "phantom", "other-arrays", "unfinished"),)
SHARDS = Path("joblib", "glomfeat", "store", "_shard")
OUTPUT, METADATA, LOCK = "output.pkl", "metadata.json", "in_use.lock"
OURS = re.compile(r"(output\.pkl|metadata\.json)(\.[0-9a-f]{32}-\d+-\d+)?")  # with a suffix while it is written
HASH = re.compile(r"[0-9a-f]{32}")
PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
HEAD_BYTES, BLOCK_BYTES = 1024, 2**20


class StoreInUseError(UserError, ValueError):
    """The cache cannot be freed while another process uses it."""


@dataclass(frozen=True)
class Entry:
    """One thing in a cache folder that can be freed on its own.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    name : str
        The feature that it is, or was made from; ``pixels`` for decoded pixels.
    what : str
        What it is and what it came from, in words.
    path : pathlib.Path
        Its folder.
    size_bytes : int
    used : float
        When it was last used, in seconds since 1970: the later of access and modification. File systems commonly record
        a first access at once and later ones once a day (``relatime``); some record none (``noatime``).
    rows : int or None
        Images, for entries that have a row for each.
    """

    kind: str
    name: str
    what: str
    path: Path
    size_bytes: int
    used: float
    rows: int | None = None


def list_stored(folder, beside=None):
    """List a cache folder.

    Parameters
    ----------
    folder : path-like
    beside : dict of str to callable, optional
        How to read what lies beside the store, by sub-folder: ``path -> (Entry or None, foreign files)`` is called for
        each folder in the sub-folder of that name.

    Returns
    -------
    entries : list of Entry
    other : list of pathlib.Path
        Files that are not known to be ours.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from glomfeat.core.cache import Store
    >>> folder = tempfile.mkdtemp()
    >>> key = {"pixels": "v1", "size": 8, "padding": "white", "rows": "abc"}
    >>> made = Store(folder).shard(key, lambda: {"pixels": np.zeros((2, 8, 8, 3), np.uint8)})
    >>> [(entry.kind, entry.what, entry.rows) for entry in list_stored(folder)[0]]
    [('pixels', '8 px, white', 2)]
    """
    folder, entries, other = Path(folder), [], []
    readers = {folder / SHARDS: _read_shard, **{folder / name: read for name, read in (beside or {}).items()}}
    own = {folder / ".gitignore", folder / LOCK, folder / SHARDS / "func_code.py"}
    for root, folders, files in os.walk(folder):
        here = Path(root)
        other += [here / name for name in files if here / name not in own]
        read = readers.get(here)
        for name in list(folders) if read else ():
            with contextlib.suppress(FileNotFoundError):  # freed by another process in the meantime
                entry, foreign = read(here / name)
                if entry:
                    folders.remove(name)
                    entries.append(entry)
                    other += foreign
    return entries, other


def _read_shard(path):
    """The entry in one of joblib's folders, and the files in it that are not joblib's."""
    if not HASH.fullmatch(path.name) or path.is_symlink():
        return None, []
    found = {file.name: file.stat() for file in os.scandir(path)}
    ours = {name: stat for name, stat in found.items() if OURS.fullmatch(name)}
    foreign, size = [path / name for name in found if name not in ours], sum(stat.st_size for stat in ours.values())
    if foreign and not ours:
        return None, []
    if OUTPUT not in ours:
        newest = max((stat.st_mtime for stat in ours.values()), default=path.stat().st_mtime)
        return Entry("unfinished", "unfinished", "left by a process that was killed", path, size, newest), foreign
    kind, name, what = _meaning(_key(path))
    rows = _rows(path / OUTPUT) if kind in ("pixels", "features") else None
    return Entry(kind, name, what, path, size, used(ours[OUTPUT]), rows), foreign


def _key(path):
    """The key of an entry; empty if joblib's note of it is missing or not as expected."""
    try:
        key = ast.literal_eval(json.loads((path / METADATA).read_text(encoding="utf-8"))["input_args"]["key"])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return {}
    return key if isinstance(key, dict) else {}


def _meaning(key):
    """The kind of an entry, its feature's name and its description, from its key."""
    of = key.get("of") if isinstance(key.get("of"), dict) else {}
    if "inner scores" in key:
        of = of["of"] if isinstance(of.get("of"), dict) else {}
        return "inner-scores", _name(of), f"{key.get('head')} on inner folds of {_words(of)}"
    if "reduced" in key:
        return "reductions", _name(of), f"{key.get('reducer')} of {_words(of)}"
    if "statistics" in key:
        return "statistics", _name(of), f"{key.get('what', 'sums')} of {_words(of)}"
    if "feature" in key:
        return "features", _name(key), _words(key)
    if "pixels" in key:
        return "pixels", "pixels", _square(key)
    return "other-arrays", "other-arrays", "made from something else"


def _name(key):
    feature = str(key.get("feature", "pixels"))
    deep = dict.fromkeys(("deep.v1", "deep.v2"), str(key.get("model")))
    return {**deep, "table.v1": "table"}.get(feature, feature)


def _words(key):
    layer = f"@{key['layer']}" if key.get("layer") else ""
    precision = f"+{key['precision']}" if key.get("precision", "float32") != "float32" else ""
    digest = f" sha256:{str(key['sha256'])[:12]}" if "sha256" in key else ""
    square = f", {_square(key)}" if "pixels" in key else ""
    compiled = "+compiled" if key.get("compiled") else ""
    return f"{_name(key)}{layer}{precision}{compiled}{digest}{square}"


def _square(key):
    resized = f", {key['filter']}" if "filter" in key else ""
    stain = f", {key['stain']}" if "stain" in key else ""
    return f"{key.get('size')} px, {key.get('padding')}{resized}{stain}"


def _rows(path):
    """The length of an entry's first array, read from the first opcodes of its pickle without executing any."""
    with _unnoticed(path), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    tail = head.partition(b"shape")[2]
    with contextlib.suppress(ValueError):
        return next((value for _, value, _ in pickletools.genops(tail) if isinstance(value, int)), None)
    return None


def used(stat):
    """When a file was last used, in seconds since 1970."""
    return max(stat.st_atime, stat.st_mtime)


@contextlib.contextmanager
def _unnoticed(path):
    """Restore a file's times after a block, because looking at an entry is not using it."""
    stat = path.stat()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # another user's file
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def is_whole(entry):
    """Whether an entry's arrays still have the SHA-256 that was stored with them.

    Arrays are read in blocks of 1 MB. The pickle that holds them is executed: verify only what you trust.

    Parameters
    ----------
    entry : Entry
        An entry of the store; what lies beside the store has no checksums.

    Returns
    -------
    bool
    """
    path = entry.path / OUTPUT
    try:
        with _unnoticed(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = joblib.load(path, mmap_mode="r")
            return {name: _checksum(array) for name, array in found["arrays"].items()} == found["sha256"]
    except FileNotFoundError:
        return True  # freed by another process in the meantime
    except Exception:  # a damaged pickle raises anything
        return False


def _checksum(array):
    """The store's checksum of a mapped array, without making its pages resident."""
    digest, left = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode()), array.nbytes
    with Path(array.filename).open("rb") as file:
        file.seek(array.offset)
        while left and (block := file.read(min(left, BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def choose(entries, now, unused_s=None, to_bytes=None):
    """Choose what to free: first by age, then the least recently used until the rest fits.

    Parameters
    ----------
    entries : list of Entry
    now : float
        Seconds since 1970.
    unused_s : float, optional
        Take whatever has not been used for this many seconds.
    to_bytes : int, optional
        Take until at most this much is left.

    Returns
    -------
    list of Entry
        Least recently used first.
    """
    chosen, left = [], sum(entry.size_bytes for entry in entries)
    for entry in sorted(entries, key=lambda entry: entry.used):
        is_old = unused_s is not None and now - entry.used >= unused_s
        if is_old or (to_bytes is not None and left > to_bytes):
            chosen.append(entry)
            left -= entry.size_bytes
    return chosen


def free(entry):
    """Delete an entry in such an order that a part of it is never taken for the whole.

    On POSIX, processes that have mapped its arrays keep them.
    """
    if entry.path.parent.name != SHARDS.name:
        aside = entry.path.with_name(f".{entry.path.name}.{uuid.uuid4().hex[:8]}.part")
        shutil.rmtree(entry.path.rename(aside))
        return
    (entry.path / OUTPUT).unlink(missing_ok=True)  # first, because this file makes it an entry
    for file in list(entry.path.iterdir()) if entry.path.is_dir() else ():
        if OURS.fullmatch(file.name):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # a foreign file in it stays
        entry.path.rmdir()


@contextlib.contextmanager
def in_use(folder, alone=False):
    """Mark a cache folder as in use while a block runs; the system removes the mark when the process ends.

    Parameters
    ----------
    folder : path-like
    alone : bool
        Whether the block frees what others may be reading. Any other block waits until such a block has ended.

    Raises
    ------
    StoreInUseError
        `alone` is true, and another process uses the folder.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        file = (Path(folder) / LOCK).open("a+")
    except OSError:  # a read-only folder: nothing can be freed in it either
        file = None
    with file or contextlib.nullcontext():
        with waiting_for(lambda: f"waiting for another process, which frees parts of the cache {folder}"):
            if file and not try_lock(file, alone, wait=not alone):
                raise StoreInUseError(f"a study uses {folder}: nothing is freed; try again when it has ended")
        yield
