"""Disks that fail: the n-th thing that is asked of the files in a folder gives an error of the system.

Asked are what Python does itself: opening a file to write (or, if wanted, to read), writing, fsync, renaming and making
folders. Libraries that write in C, C++ or Rust (Parquet, HDF5, safetensors, numpy.save) are not seen while they
write; what is done with their files afterwards is. Only this process is watched: run studies with ``--jobs 1``.

Examples
--------
How often anything is asked of a folder, and then a run for each of these times::

    with watched(out) as disk:
        run()
    for at in range(1, len(disk.asked) + 1):
        with failing(out, errno.ENOSPC, at) as disk, pytest.raises(UserError):
            run()
        assert disk.failed  # ("write", "/.../out/journal.jsonl")
"""

import builtins
import contextlib
import io
import os
import sys
from pathlib import Path

from joblib._store_backends import FileSystemStoreBackend

OPEN, WRITE, FSYNC, RENAME, MKDIR, READ = "open", "write", "fsync", "rename", "mkdir", "read"
KINDS = (OPEN, WRITE, FSYNC, RENAME, MKDIR)  # READ, opening a file to read, is counted where it is asked for
_REAL_OPEN, _REAL_FSYNC = io.open, os.fsync
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
_watching, _hooked = [], []


class Disk:
    """What was asked of the files in a folder.

    Attributes
    ----------
    asked : list of (str, str)
        Kind and path of each thing, in order.
    failed : tuple of (str, str) or None
        The first that failed.
    """

    def __init__(self, folder, code=None, at=None, kinds=KINDS, lasting=False, only="", instead=None):
        self.folder, self.code, self.at, self.kinds, self.lasting, self.only = folder, code, at, kinds, lasting, only
        self.instead, self.asked, self.failed = instead, [], None

    def ask(self, kind, path):
        """Count, and fail if it is time."""
        path = str(Path(os.fsdecode(path)).absolute())
        inside = path == self.folder or path.startswith(self.folder + os.sep)
        if kind not in self.kinds or not inside or self.only not in path:
            return
        self.asked.append((kind, path))
        if self.at is not None and (len(self.asked) == self.at or (self.lasting and len(self.asked) > self.at)):
            self.failed = self.failed or (kind, path)
            if self.instead:
                self.instead()
                return
            # what writes to an open file is told no name by the system
            raise OSError(self.code, os.strerror(self.code), *([path] if kind in (OPEN, RENAME, MKDIR, READ) else []))


@contextlib.contextmanager
def failing(folder, code, at=1, kinds=KINDS, lasting=False, only="", instead=None):
    """Let the `at`-th thing that is asked of the files in a folder fail.

    Parameters
    ----------
    folder : path-like
        All below it counts too.
    code : int
        Such as ``errno.ENOSPC``.
    at : int or None
        From 1; None lets nothing fail.
    kinds : sequence of str
        What counts: some of `KINDS`, and `READ`.
    lasting : bool
        Whether all that follows fails too, as on a disk that is full; else a second try succeeds. A write that fails
        has written the first half of its bytes. Deleting never fails.
    only : str
        Only paths in which this stands count.
    instead : callable, optional
        Called without an argument in the place of a failure, before what is asked is done.

    Yields
    ------
    Disk
    """
    disk = Disk(str(Path(folder).absolute()), code, at, kinds, lasting, only, instead)
    if not _hooked:
        sys.addaudithook(_hear)  # it stays, and does nothing while nothing is watched
        _hooked.append(True)
    before = io.open, builtins.open, os.fsync, FileSystemStoreBackend._open_item
    _watching.append(disk)
    io.open = builtins.open = _open
    os.fsync, FileSystemStoreBackend._open_item = _fsync, staticmethod(_open)
    try:
        yield disk
    finally:
        io.open, builtins.open, os.fsync = before[:3]
        FileSystemStoreBackend._open_item = staticmethod(before[3])
        _watching.remove(disk)


def watched(folder):
    """Count what is asked of the files in a folder; nothing fails."""
    return failing(folder, None, None)


def halves(folder):
    """Files and folders that somebody began to write and left, under the names of what is being written."""
    return [path for path in Path(folder).rglob("*") if path.name.endswith(".part")]


def _hear(event, arguments):
    if not _watching:
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path, mode, flags = arguments
        writes = bool(flags & _TO_WRITE) if isinstance(flags, int) else any(letter in (mode or "") for letter in "wax+")
        _ask(OPEN if writes else READ, path)
    elif event == "os.rename":
        _ask(RENAME, arguments[1])
    elif event == "os.mkdir" and not Path(arguments[0]).is_dir():  # one that is there is no new one on any disk
        _ask(MKDIR, arguments[0])


def _ask(kind, path):
    for disk in tuple(_watching):
        disk.ask(kind, path)


class _File(io.FileIO):
    """A file that is asked for each time that bytes go to the disk."""

    def write(self, data):
        try:
            _ask(WRITE, self.name)
        except OSError:
            super().write(memoryview(data).cast("B")[: memoryview(data).nbytes // 2])
            raise
        return super().write(data)


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if not isinstance(file, str | bytes | os.PathLike) or not set(mode) & set("wax+"):
        return _REAL_OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
    raw = _File(os.fspath(file), mode.replace("b", "").replace("t", ""), closefd, opener)
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
    if "b" in mode:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode
    return text


def _fsync(place):
    number = place if isinstance(place, int) else place.fileno()
    if name := _name_of(number):
        _ask(FSYNC, name)
    return _REAL_FSYNC(place)


def _name_of(number):
    """The path of an open file; None on systems that do not tell it."""
    if sys.platform == "darwin":
        import fcntl

        return fcntl.fcntl(number, fcntl.F_GETPATH, b"\0" * 1024).rstrip(b"\0")
    place = Path(f"/proc/self/fd/{number}")
    return str(place.readlink()) if place.is_symlink() else None
