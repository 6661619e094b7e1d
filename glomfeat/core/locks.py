"""Locks that the system takes away with the process that holds them: none outlives its run, however that ended."""

import contextlib
import errno
import os
import socket

from glomfeat.core.disk import writing
from glomfeat.core.errors import UserError
from glomfeat.core.progress import waiting_for

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MARK = ".lock"


class InUseError(UserError, OSError):
    """A place that another process writes to just now."""


def try_lock(file, alone=True, wait=False):
    """Lock an open file until it is closed, or its process ends.

    Parameters
    ----------
    file : file object
    alone : bool
        Whether nobody else may hold it meanwhile; else only nobody alone.
    wait : bool
        Whether to wait until that is so.

    Returns
    -------
    bool
        False only where another process holds it; a file system that knows no locks keeps nobody off.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


@contextlib.contextmanager
def alone_in(place, option, beside=False, wait=False):
    """Keep other processes from writing to the same place while a block runs.

    The mark is a hidden file, in the folder or beside the file, that says who works there. It is gone after the block,
    and one that a killed process left holds nobody up.

    Parameters
    ----------
    place : Path
        A folder, which is made; or what lies in a folder, which is made.
    option : str
        By which another place is chosen, such as ``"--out"``.
    beside : bool
        Whether the mark lies beside the place, of a file or a folder that is to appear whole, and not in it.
    wait : bool
        Whether to wait for the other process, instead of refusing.

    Raises
    ------
    InUseError
        Another process works there.
    DiskError
        Nothing can be written there.

    Examples
    --------
    >>> import tempfile; from pathlib import Path
    >>> place = Path(tempfile.mkdtemp())
    >>> with alone_in(place, "--out"), alone_in(place, "--out"):
    ...     pass
    Traceback (most recent call last):
    ...
    glomfeat.core.locks.InUseError: another run (process ...) writes to ...: wait until it has ended, or choose another
    one with --out
    >>> list(place.iterdir())
    []
    """
    mark = mark_of(place, beside)
    is_new = not mark.parent.exists()
    while True:
        with writing(mark.parent, option):
            mark.parent.mkdir(parents=True, exist_ok=True)
            file = mark.open("a+", encoding="utf-8")
        with file:
            with waiting_for(lambda: f"waiting for another process, which is writing to {place}"):
                is_ours = try_lock(file, wait=wait)
            if not is_ours:
                file.seek(0)
                raise InUseError(
                    f"another run ({file.read().strip() or 'just begun'}) is writing to {place}: wait until it has "
                    f"ended, or choose another one with {option}"
                )
            if not _is(mark, file):
                continue  # whoever held it has deleted it meanwhile: this one keeps nobody off
            _sign(file)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    mark.unlink()
                    if is_new:
                        mark.parent.rmdir()  # what holds something stays
            return


def mark_of(place, beside=False):
    """The hidden file that says that a place is being written to."""
    return place.with_name(f".{place.name}{MARK}") if beside else place / MARK


def _is(path, file):
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sign(file):
    """Say who holds the lock; it holds without that too, where the disk is full."""
    with contextlib.suppress(OSError):
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
