"""Locks that the system removes with the process that holds them, so that none outlives its run."""

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
    """Another process is writing to the place."""


def try_lock(file, alone=True, wait=False):
    """Lock an open file until it is closed, or its process ends.

    Parameters
    ----------
    file : file object
    alone : bool
        Whether to hold it alone. If not, others may hold it too, but nobody alone.
    wait : bool
        Whether to wait until that is possible.

    Returns
    -------
    bool
        False only if another process holds it; a file system without locks keeps nobody out.
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
    and one left behind by a killed process holds nobody up.

    Parameters
    ----------
    place : Path
        A folder, which is created; or something in a folder, which is created.
    option : str
        The option that chooses another place, such as ``"--out"``.
    beside : bool
        Whether the mark lies beside the place and not in it, for a file or folder that is to appear whole.
    wait : bool
        Whether to wait for the other process instead of refusing.

    Raises
    ------
    InUseError
        Another process is writing there.
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
    glomfeat.core.locks.InUseError: another run (process ...) is writing to ...: wait until it has ended, or choose
    another one with --out
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
                continue  # its holder has deleted it in the meantime, so this lock keeps nobody out
            _sign(file)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    mark.unlink()
                    if is_new:
                        mark.parent.rmdir()  # fails if the folder holds something
            return


def mark_of(place, beside=False):
    """The hidden file that marks a place as being written to."""
    return place.with_name(f".{place.name}{MARK}") if beside else place / MARK


def _is(path, file):
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sign(file):
    """Write down who holds the lock; on a full disk it holds without that."""
    with contextlib.suppress(OSError):
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
