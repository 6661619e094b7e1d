"""The only place that reads the bytes of images: files in folders, and members of a zip or tar as if in a folder.

``images.zip/sick/a.png`` is the member ``sick/a.png`` of the file ``images.zip``. No file lies below a file, so no path
can mean two things, and `pathlib` joins such paths like any others.
"""

import contextlib
import hashlib
import io
import itertools
import os
import re
import stat
import threading
from pathlib import Path

from glomfeat.core.errors import UserError
from glomfeat.data.archives import SUFFIXES, ArchiveError, read_index
from glomfeat.data.containers import SUFFIXES as CONTAINERS
from glomfeat.data.containers import is_container, read_container
from glomfeat.data.images.decode import ImageError

PACKED = re.compile(r"\.(tgz|tbz2?|txz|tar\.\w+|7z|rar)$", re.IGNORECASE)
INSIDE = re.compile(
    rf"(?:{'|'.join(map(re.escape, SUFFIXES))})(?=/|$)|(?:{'|'.join(map(re.escape, CONTAINERS))})(?=/)", re.IGNORECASE
)
NOISE = (
    *("__MACOSX", "@eaDir", "#recycle", "@Recycle", "@Recently-Snapshot", "#snapshot", "lost+found"),
    *("$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information"),
)
WRITTEN = {"study.yaml", "journal.jsonl"}, {"audit.txt", "audit.json"}  # files that no other folder holds together
OUTPUT = "output/"  # a name that no file has
NO_FILES = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}

_indexes, _lock = {}, threading.Lock()


class FolderError(UserError, OSError):
    """A folder cannot be listed, or has no end; the message gives the remedy."""


def is_archive(path):
    """Whether a path is a file that ends in ``.zip`` or ``.tar``.

    Raises
    ------
    ArchiveError
        The file is an archive without random access, such as ``.tar.gz``; the message gives the remedy.
    """
    text = os.fspath(path)
    if PACKED.search(text) and Path(path).is_file():
        raise ArchiveError(f"{path} can only be read from its beginning: unpack it, or pack it as a zip or plain .tar")
    return text.lower().endswith(SUFFIXES) and Path(path).is_file()


def index_of(archive):
    """The index of an archive or container, read again only when the file has changed.

    Parameters
    ----------
    archive : path-like

    Returns
    -------
    glomfeat.data.archives.Archive or glomfeat.data.containers.Container

    Raises
    ------
    OSError
        There is no such file, or it cannot be read (`ArchiveError`).
    """
    name, found = os.fspath(archive), Path(archive).stat()
    same = found.st_size, found.st_mtime_ns, found.st_ino
    with _lock:
        if name not in _indexes or _indexes[name][0] != same:
            _indexes[name] = same, (read_container if name.lower().endswith(CONTAINERS) else read_index)(archive)
        return _indexes[name][1]


def split(path):
    """Split a path into its archive and member; a path to a plain file gives None and the path.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    archive : pathlib.Path or None
    member : str

    Examples
    --------
    >>> split("folder/a.png")
    (None, 'folder/a.png')
    """
    text = os.fspath(path).replace(os.sep, "/")
    for found in INSIDE.finditer(text):
        archive = Path(text[: found.end()])
        if archive.is_file():
            return archive, text[found.end() + 1 :]
    return None, text


def _member(path):
    """The index and row of the member that a path means, or None for a plain file."""
    archive, name = split(path)
    if not name or archive is None:
        return None
    index = index_of(archive)
    row = index.find(name)
    if row is None:
        raise FileNotFoundError(2, "no such member of the archive", os.fspath(path))
    return index, row


def _check_regular(path):
    """Refuse anything but a regular file, before anything waits for it."""
    kind = stat.S_IFMT(Path(path).stat().st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise ImageError(
            f"{NO_FILES.get(kind, 'a device')}, not a file: put the image itself in its place, or remove it"
        )


def read_bytes(path):
    """All bytes of a file, or of a member of an archive.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ImageError
        The path is a pipe, socket or device; or a member is damaged, encrypted or absurdly large.
    """
    with open_bytes(path) as file:
        return file.read()


def open_bytes(path):
    """Open a file, or a member of an archive, as a binary file; raises what `read_bytes` raises."""
    member = _member(path)
    if member is not None:
        return io.BytesIO(member[0].read(member[1]))
    _check_regular(path)
    return Path(path).open("rb")


def sha256_of(path):
    """SHA-256 of a file or of a member of an archive, in hexadecimal; raises what `read_bytes` raises."""
    with open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path):
    """Size in bytes, as a header states it, and modification time in nanoseconds (a member's is its archive's).

    Raises
    ------
    OSError
        There is no such file.
    ImageError
        The path is not a file.
    """
    member = _member(path)
    found = Path(path if member is None else member[0].path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise ImageError("not a file")
    return found.st_size if member is None else int(member[0].sizes[member[1]]), found.st_mtime_ns


def is_there(path):
    """Whether a path is a file or a member of an archive."""
    try:
        member = _member(path)
    except OSError:
        return False
    return member is not None or Path(path).is_file()


def roots_of(archives):
    """The paths in archives that stand for the packed folders, below any folder that alone holds everything.

    Parameters
    ----------
    archives : sequence of path-like
        Parts of one data set.

    Returns
    -------
    list of pathlib.Path
        ``a.zip``, or ``a.zip/images`` if all members of all archives lie in ``images``.
    """
    ends = []
    for archive in archives:
        shown = [name for name in index_of(archive).names if not is_hidden(name)]
        ends += [name.split("/")[:-1] for name in (*shown[:1], *shown[-1:])]  # sorted: the rest lie between
    inner = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*ends, strict=False))
    folders = [parts[0] for parts in inner]
    return [Path(archive, *folders) for archive in archives]


def is_hidden(name):
    """Whether a relative name belongs to a hidden file, or lies in a hidden folder or one that a system makes.

    Examples
    --------
    >>> [is_hidden(name) for name in ("a/b.png", "a/.b.png", "__MACOSX/b.png", "a/@eaDir/b.png")]
    [False, True, True, True]
    """
    return any(part.startswith(".") or part in NOISE for part in name.split("/"))


def is_of_system(name):
    """Whether a file is of those that macOS and Windows write into folders.

    Examples
    --------
    >>> [is_of_system(name) for name in (".DS_Store", "._a.json", "Thumbs.db", "Desktop.ini", ".a.json")]
    [True, True, True, True, False]
    """
    return name.startswith("._") or name.lower() in (".ds_store", "thumbs.db", "desktop.ini")


def walk_files(place, hidden=False, outputs=True):
    """Yield the files of a folder and of all folders below it, including linked ones.

    Parameters
    ----------
    place : path-like
    hidden : bool
        Whether to look into hidden folders. If not, each of them counts as a single file whose name ends with a slash.
    outputs : bool
        Whether to look into folders below it that a study or an audit wrote. If not, each of them counts as a single
        file called `OUTPUT`, because its figures are not images of the data set.

    Yields
    ------
    base : str
        The folder relative to `place`, with slashes and a trailing one; empty for `place` itself.
    files : list of str
        Names of everything that is not a folder, and of hidden folders.

    Raises
    ------
    FolderError
        A folder cannot be listed, or a link leads back to a folder that it lies in.
    """
    place = os.fspath(place)
    for folder, folders, files in os.walk(place, onerror=_unlisted, followlinks=True):
        unseen = [] if hidden else [f"{name}/" for name in folders if is_hidden(name)]
        folders[:] = sorted(name for name in folders if hidden or not is_hidden(name))
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):  # noqa: PTH114, PTH118 (a Path each is slow)
                _check_end(place, Path(folder, name))
        base = os.path.relpath(folder, place).replace(os.sep, "/")
        if not outputs and base != "." and any(written <= {*files} for written in WRITTEN):
            folders[:], files, unseen = [], [OUTPUT], []
        yield ("" if base == "." else f"{base}/"), [*files, *unseen]


def _unlisted(error):
    raise FolderError(
        f"{error.filename} cannot be listed ({error.strerror}): give yourself the right to read it, or move it away"
    )


def _check_end(place, link):
    """Refuse a link to a folder that contains it, whatever other links led here."""
    target = link.resolve()
    for folder in link.parents:
        if folder.resolve().is_relative_to(target):
            raise FolderError(f"{link} is a link that leads back to {target}, in which it lies: remove the link")
        if folder == Path(place):
            return


def names_below(place, hidden=False):
    """Yield the names of all files below a folder or in an archive that are not hidden.

    Parameters
    ----------
    place : path-like
        A folder, an archive, or a path from `roots_of`.
    hidden : bool
        Whether to yield those of hidden files, too; a hidden folder counts as one, with a slash at its end.

    Yields
    ------
    str
        Relative to the place, with slashes; text takes a tenth of the memory of paths. `OUTPUT` stands for all files of
        a folder that a study or an audit wrote.

    Raises
    ------
    FolderError
        See `walk_files`.
    """
    archive, inner = (place, "") if is_container(place) else split(place)
    if archive is None:
        for base, files in walk_files(place, outputs=False):
            yield from (f"{base}{name}" for name in sorted(files) if hidden or not is_hidden(name))
        return
    start = f"{inner}/" if inner else ""
    for name in index_of(archive).names:
        if name.startswith(start) and (hidden or not is_hidden(name[len(start) :])):
            yield name[len(start) :]


def is_seen(path):
    """Whether a process finds an image, even a broken one.

    Examples
    --------
    >>> is_seen("nowhere.png")
    False
    """
    try:
        with contextlib.suppress(ImageError):
            open_bytes(path).close()
    except OSError:
        return False
    return True
