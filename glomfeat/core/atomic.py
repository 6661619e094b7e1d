"""Files that are written whole or not at all."""

import contextlib
import errno
import filecmp
import os
import uuid
from contextlib import contextmanager

from glomfeat.core.disk import OUT, writing


@contextmanager
def written_whole(path, if_other=False, option=OUT, folder=None):
    """Yield a file to write: once fully on the disk it replaces the target; after an error it is deleted.

    Parameters
    ----------
    path : Path
        Where the file will be; its folder is created.
    if_other : bool
        Leave a file that already holds the same content as it is, with its modification time.
    option, folder
        As for `glomfeat.core.disk.writing`; the folder defaults to the file's own.

    Yields
    ------
    Path

    Raises
    ------
    DiskError
        The disk is full, read-only or unreachable.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "note.txt")
    >>> with written_whole(path) as part:
    ...     _ = part.write_text("all of it")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('all of it', 1)
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with writing(folder or path.parent, option, part):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if not (if_other and path.exists() and filecmp.cmp(part, path, shallow=False)):
                sync(part)
                part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the disk may be gone, which has been reported
            part.unlink(missing_ok=True)


def write_text(path, text, if_other=False, option=OUT):
    """Write a text as `written_whole` does, in UTF-8.

    Parameters
    ----------
    path : Path
    text : str
    if_other, option
        As for `written_whole`.
    """
    with written_whole(path, if_other, option) as part:
        part.write_text(text, encoding="utf-8")


def reserve(path, size):
    """Reserve disk space for a file of this many bytes; does nothing where the system does not support it.

    Raises
    ------
    OSError
        There is too little room.
    """
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise


def sync(path):
    """Wait until a file is on the disk; some disks report only then that they are full."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
