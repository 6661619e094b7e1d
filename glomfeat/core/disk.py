"""Messages for what a disk refuses to write: the folder, what the error means, what to do, what is kept."""

import errno
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from glomfeat.core.errors import UserError
from glomfeat.core.memory import format_bytes
from glomfeat.core.words import capital

OUT, CACHE, TO = "--out", "--cache", "--to"  # the options that name folders to write into
KEPT = "What is finished is kept: run the same command again."

_FULL = ("the disk is full", "free some space there")
_NO_INODES = ("the disk takes no more files, because its inodes are used up", "delete files there that nobody needs")
_AWAY = ("the disk or network folder does not answer", "wait until it does, or mount it anew")
_GONE = ("the folder is gone", "mount it anew if it is one of a network or an external disk")
_MAY_NOT = ("you may not write there, or another program holds the file", "close it, or ask who owns the folder")
_NO_FOLDER = ("a file stands where a folder should be", "move it away")
_REASONS = {
    "ENOSPC": _FULL,
    "EDQUOT": ("your quota there is used up", "delete what you do not need there, or ask for a larger quota"),
    "EROFS": ("it may only be read", "have it mounted for writing"),
    "EACCES": _MAY_NOT,
    "EPERM": _MAY_NOT,
    "ENOTDIR": _NO_FOLDER,
    "EEXIST": _NO_FOLDER,
    "EFBIG": ("the file system, or ulimit -f, does not allow a file of this size", "raise the limit"),
    "ENAMETOOLONG": ("names are too long there", "shorten them"),
    "ENOENT": _GONE,
    **dict.fromkeys(("ESTALE", "EIO", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENODEV", "ENXIO"), _AWAY),
}
# C, C++ and Rust code under h5py, PyTorch and safetensors gives the number only in the text of its own errors
_IN_TEXT = re.compile(r"(?:errno = |errno |os error |code: )(\d+)")
_OF_NUMPY = re.compile(r"\d+ requested and \d+ written")


class DiskError(UserError, OSError):
    """A file could not be written; the message gives the remedy."""


@contextmanager
def writing(folder, option=OUT, part=None, needs=0):
    """Turn the system's errors, from a block that writes into a folder, into messages for the user.

    Errors about a file elsewhere are passed on.

    Parameters
    ----------
    folder : path-like
        Named in the message in place of any file.
    option : str or None
        The option that names another folder; None if there is none.
    part : Path, optional
        What is being written: a file, or a folder of files.
    needs : int
        Bytes, if they are known.

    Raises
    ------
    DiskError

    Examples
    --------
    >>> import errno
    >>> with writing("/mnt/full"):
    ...     raise OSError(errno.EROFS, "Read-only file system")
    Traceback (most recent call last):
    ...
    glomfeat.core.disk.DiskError: nothing can be written into /mnt/full: it may only be read (EROFS, Read-only file
    system). Have it mounted for writing, or choose another folder with --out. What is finished is kept: run the same
    command again.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        code = _code_of(error)
        if code is None or _is_elsewhere(error, Path(folder).absolute()):
            raise
        begun = _size_of(part) if part else 0
        raise _told(code, folder, option, f"{format_bytes(needs)} are" if needs else _more_than(begun)) from error


def told(error):
    """Say what it means that a disk is full, read-only or unreachable, wherever it is; None for any other error.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str or None
    """
    code = _code_of(error)
    full, reason = code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS), _REASONS.get(errno.errorcode.get(code))
    if not full and reason is not _AWAY:
        return None
    name = getattr(error, "filename", None)
    if isinstance(name, str | bytes):
        path = Path(os.fsdecode(name))
        return str(_told(code, path.parent, None, "", "" if full else f"{path} cannot be read"))
    if not full:
        return None
    said = f"what is printed, or a temporary file, cannot be written: {_meaning(code, reason)}"
    return f"{said}. Print elsewhere, or name another folder for temporary files with TMPDIR. {KEPT}"


def room(folder):
    """Bytes that are free where a folder lies or would lie; None if the system does not say.

    Examples
    --------
    >>> room("/") > 0
    True
    """
    return _asked(folder, lambda place: shutil.disk_usage(place).free)


def check_room(asked):
    """Refuse to write more than the disks have room for.

    Parameters
    ----------
    asked : list of (path-like, str, int)
        Folders, the options that would name others, and the bytes to be written into each. Those on one disk are added
        up.

    Raises
    ------
    DiskError

    Examples
    --------
    >>> check_room([("/", "--out", 10**18)])
    Traceback (most recent call last):
    ...
    glomfeat.core.disk.DiskError: ... are needed in / and ... are free: free some space there, or choose another folder
    with --out. Nothing has been written yet.
    """
    disks = {}
    for folder, option, needs in asked:
        disks.setdefault(_disk_of(folder), []).append((folder, option, needs))
    for here in disks.values():
        free, needs = room(here[0][0]), sum(needs for *_, needs in here)
        if free is None or needs <= free:
            continue
        said = " and ".join(f"{format_bytes(needs)} are needed in {folder}" for folder, _, needs in here)
        caches = [cleaning(folder) for folder, option, _ in here if option == CACHE]
        clean = f" ({caches[0]} frees what was used longest ago)" if caches else ""
        options = " or ".join(option for _, option, _ in here)
        raise DiskError(
            f"{said} and {format_bytes(free)} are free{' for both' if len(here) > 1 else ''}: free some space there"
            f"{clean}, or choose another folder with {options}. Nothing has been written yet."
        )


def _asked(folder, ask):
    """Ask the system about a folder, or the nearest one above it that gives an answer; None if none does."""
    folder = Path(folder).absolute()
    for place in (folder, *folder.parents):
        with suppress(OSError):
            return ask(place)
    return None


def _disk_of(folder):
    return _asked(folder, lambda place: place.stat().st_dev)


def cleaning(folder):
    """The command that frees space in a cache."""
    return f"python -m studies.cache --cache {folder} --free-to SIZE"


def _told(code, folder, option, needed, what=""):
    """The error for a folder; it says that nothing can be written there, unless something else is said."""
    meaning, remedy = _REASONS.get(
        errno.errorcode.get(code, ""), ("the system refuses", "find out what is wrong with it")
    )
    have = ""
    if code == errno.ENOSPC:
        if _no_inodes(folder):
            meaning, remedy = _NO_INODES
        free = room(folder)
        have = "" if free is None else f"; {format_bytes(free)} are free" + (f", and {needed} needed" if needed else "")
    said = f"{what or f'nothing can be written into {folder}'}: {_meaning(code, (meaning, remedy))}{have}."
    if option == CACHE and code in (errno.ENOSPC, errno.EDQUOT):
        remedy += f" ({cleaning(folder)} frees what was used longest ago)"
    elsewhere = f", or choose another folder{f' with {option}' if option else ''}"
    return DiskError(f"{said} {capital(remedy)}{elsewhere}. {KEPT}")


def _meaning(code, reason):
    return f"{reason[0]} ({errno.errorcode.get(code, code)}, {os.strerror(code)})"


def _more_than(begun):
    return f"more than {format_bytes(begun)} are" if begun else ""


def _code_of(error):
    """The number of the system's error, whoever passed it on; None if the error is not about files."""
    code = error.errno if isinstance(error, OSError) else None
    found = None if code else _IN_TEXT.search(str(error))
    if found or _OF_NUMPY.fullmatch(str(error)):
        code = int(found[1]) if found else errno.ENOSPC
    known = errno.errorcode.get(code) in _REASONS or getattr(error, "filename", None) is not None
    return code if code and known else None


def _is_elsewhere(error, folder):
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    path = Path(os.fsdecode(name)).absolute()
    return not (path == folder or folder in path.parents or path in folder.parents)


def _size_of(path):
    try:
        return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]))
    except OSError:
        return 0


def _no_inodes(folder):
    about = _asked(folder, os.statvfs) if hasattr(os, "statvfs") else None
    return about is not None and about.f_files > 0 and about.f_favail == 0
