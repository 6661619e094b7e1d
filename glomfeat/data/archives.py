"""What a zip or a tar holds and where, so that one member can be read without unpacking it or its neighbours.

Python's zipfile and tarfile keep an object of half a kilobyte for each member, and one file position for all threads.
Here a member takes its name and 37 bytes, and every read opens the archive for itself.
"""

import struct
import tarfile
import zlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from glomfeat.core.errors import UserError
from glomfeat.data.images.decode import ImageError

SUFFIXES = (".zip", ".tar")
MOST_BYTES = 1_000_000_000
STORED, DEFLATED = 0, 8  # zip's numbers for them
ENCRYPTED, LINK, SPARSE, SPECIAL = 255, 254, 253, 252  # numbers that no archive uses
WHY_NOT = {
    ENCRYPTED: "encrypted in the archive: pack it again without a password",
    LINK: "a link in the archive, which is not followed: pack it again with tar --dereference --hard-dereference",
    SPARSE: "a sparse file in the archive: pack it again without --sparse",
    SPECIAL: "a pipe, socket or device in the archive, not a file: pack it again with the image itself",
}
FULL = 0xFFFFFFFF
UNICODE_PATH = 0x7075  # zip's number for the field that holds a name in UTF-8
AGAIN = "copy or pack it again"


class ArchiveError(UserError, OSError):
    """An archive cannot be read as a whole; the message gives the remedy."""


class Members:
    """What has members by name; `names` are sorted."""

    names: list[str]

    def find(self, name: str) -> int | None:
        """The row of a member, or None."""
        row = bisect_left(self.names, name)
        return row if row < len(self.names) and self.names[row] == name else None

    def repeated(self) -> list[str]:
        """Names that several members share, sorted."""
        return sorted({name for name, other in pairwise(self.names) if name == other})


@dataclass(frozen=True)
class Archive(Members):
    """Where the members of an archive are.

    Attributes
    ----------
    path : pathlib.Path
    names : list of str
        Of the files, sorted, with slashes and without ``.`` parts.
    starts, packed, sizes : ndarray of int64
        For each member: where its bytes begin (in a zip, its local header), how many there are, and how many when
        unpacked.
    ways : ndarray of uint8
        How each is packed: `STORED`, `DEFLATED`, another number of zip's, or a key of `WHY_NOT`.
    sums : ndarray of uint32 or None
        CRC-32 of the unpacked bytes; None for a tar.
    """

    path: Path
    names: list
    starts: np.ndarray
    packed: np.ndarray
    sizes: np.ndarray
    ways: np.ndarray
    sums: np.ndarray | None

    def escaping(self):
        """Names that would lead out of the folder that an archive is unpacked to, sorted."""
        return [name for name in self.names if name.startswith("/") or ".." in name.split("/") or name[1:3] == ":/"]

    def read(self, row):
        """The bytes of a member, unpacked.

        Raises
        ------
        ImageError
            The member is damaged, encrypted, packed in a way that is not read, or states an absurd size.
        """
        way, size, packed = int(self.ways[row]), int(self.sizes[row]), int(self.packed[row])
        if way in WHY_NOT:
            raise ImageError(WHY_NOT[way])
        if way not in (STORED, DEFLATED):
            raise ImageError(f"packed by zip's method {way}: pack it again, stored or deflated")
        if max(size, packed) > MOST_BYTES:
            raise ImageError(f"{max(size, packed):,} bytes are more than {MOST_BYTES:,} allowed")
        with self.path.open("rb") as file:
            file.seek(int(self.starts[row]))
            if self.sums is not None:
                header = file.read(30)
                if len(header) < 30 or header[:4] != b"PK\3\4":
                    raise ImageError("damaged in the archive: no header where it should begin")
                file.seek(sum(struct.unpack("<HH", header[26:])), 1)
            data = file.read(packed)
        if len(data) < packed:
            raise ImageError("cut off in the archive")
        if way == DEFLATED:
            data = _inflate(data, size)
        if len(data) != size or (self.sums is not None and zlib.crc32(data) != self.sums[row]):
            raise ImageError("damaged in the archive: its size or checksum is not as stated")
        return data


def _inflate(data, size):
    """Unpack no more than the stated size, however much there is."""
    unpacker = zlib.decompressobj(-15)
    try:
        return unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise ImageError(f"damaged in the archive: {AGAIN}") from error


def read_index(path):
    """List the members of an archive, without looking at their bytes.

    Parameters
    ----------
    path : path-like
        A zip (APPNOTE.TXT 6.3.10, with zip64) or a tar without compression (POSIX pax, GNU, ustar).

    Returns
    -------
    Archive

    Raises
    ------
    ArchiveError
        The file is truncated, damaged, or something else.

    Examples
    --------
    >>> import tempfile, zipfile
    >>> path = Path(tempfile.mkdtemp()) / "a.zip"
    >>> with zipfile.ZipFile(path, "w") as file:
    ...     file.writestr("sick/1.png", b"...")
    >>> archive = read_index(path)
    >>> archive.names, archive.read(archive.find("sick/1.png"))
    (['sick/1.png'], b'...')
    """
    path = Path(path)
    zipped = path.name.lower().endswith(".zip")
    names, numbers = [], array("q")
    try:
        for name, *found in (_zipped if zipped else _tarred)(path):
            names.append(_normal(name))
            numbers.extend(found)
    except (struct.error, OverflowError, tarfile.TarError) as error:
        raise ArchiveError(f"{path} is damaged or cut off: {AGAIN}") from error
    order = sorted(range(len(names)), key=names.__getitem__)
    starts, packed, sizes, ways, sums = np.frombuffer(numbers, np.int64).reshape(-1, 5)[order].T
    where = np.ascontiguousarray(starts), np.ascontiguousarray(packed), np.ascontiguousarray(sizes)
    sums = sums.astype(np.uint32) if zipped else None
    return Archive(path, [names[row] for row in order], *where, ways.astype(np.uint8), sums)


def _normal(name):
    """A member's name with slashes and without empty parts; a name that leads out of the archive still does."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return ("/" if name[:1] in ("/", "\\") else "") + "/".join(parts)


def _zipped(path):
    """Yield name, start, packed size, size, way of packing and CRC-32 of each file of a zip, from its directory."""
    with path.open("rb") as file:
        begin, length, count, shift = _directory(file, path)
        file.seek(begin)
        seen = 0
        while length > 0:
            entry = file.read(46)
            made, flags, way, crc, packed, size, n_name, n_extra, n_comment, mode, start = struct.unpack(
                "<5xB2xHH4xLLLHHH4xLL", entry
            )
            if entry[:4] != b"PK\1\2":
                raise ArchiveError(f"{path} is damaged in its list of members: {AGAIN}")
            name, extra, _ = file.read(n_name), file.read(n_extra), file.seek(n_comment, 1)
            if FULL in (packed, size, start):
                size, packed, start = _large(extra, size, packed, start)
            name = _decoded(name, flags & 0x800, extra)
            seen, length = seen + 1, length - 46 - n_name - n_extra - n_comment
            if not name.endswith(("/", "\\")):
                kind = mode >> 28 if made == 3 else 8  # Unix's: 8 is a file, 10 a link, 0 not stated
                odd = LINK if kind == 10 else SPECIAL if kind not in (0, 4, 8) else None
                way = ENCRYPTED if flags & 1 else odd or min(way, 250)
                yield name, start + shift, packed, size, way, crc
        if length or (seen - count) % 65536:  # a small zip counts in 16 bits
            raise ArchiveError(f"{path} lists {seen} members and says it holds {count}: {AGAIN}")


def _directory(file, path):
    """Where the list of members begins, its length, how many it lists, and by how much all places are off."""
    size = file.seek(0, 2)
    tail = min(size, 22 + 65535)
    file.seek(size - tail)
    data = file.read(tail)
    at = max(0, tail - 21)
    while (at := data.rfind(b"PK\5\6", 0, at + 3)) >= 0:
        if at + 22 + int.from_bytes(data[at + 20 : at + 22], "little") <= tail:
            break  # else the mark found is part of the comment
    if at < 0:
        raise ArchiveError(f"{path} is not a zip, or is cut off: {AGAIN}")
    disks, count, length, offset = struct.unpack("<L2xHLL2x", data[at + 4 : at + 22])
    end = size - tail + at
    if data[at - 20 : at - 16] == b"PK\6\7" and at >= 76 and data[at - 76 : at - 72] == b"PK\6\6":
        _, disks, count, length, offset = struct.unpack("<LL8xQQQ", data[at - 60 : at - 20])
        end -= 76
    begin = end - length
    if disks or begin < offset:
        raise ArchiveError(f"{path} is a part of a zip, or is cut off: {AGAIN}")
    return begin, length, count, begin - offset


def _fields(extra, wanted):
    """The extra fields of a member that are of one kind."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == wanted:
            yield extra[4 : 4 + length]
        extra = extra[4 + length :]


def _large(extra, size, packed, start):
    """The numbers that do not fit 32 bits, from the zip64 field."""
    for data in _fields(extra, 1):
        large = iter(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
        return tuple(next(large, FULL) if value == FULL else value for value in (size, packed, start))
    return size, packed, start


def _decoded(name, is_utf8, extra):
    """The name of a member as text; programs on Linux and macOS write UTF-8, but not always that it is."""
    for data in () if is_utf8 else _fields(extra, UNICODE_PATH):
        if data[:5] == struct.pack("<BL", 1, zlib.crc32(name)):  # else the member was renamed later
            name, is_utf8 = data[5:], True
    name = name.split(b"\0")[0]
    if is_utf8:
        return name.decode("utf-8", "surrogateescape")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")


def _tarred(path):
    """Yield name, start, size twice, way of packing and 0 for each file of a tar, header by header."""
    with tarfile.open(path, "r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # else tarfile would keep them all
            if member.issparse():
                yield member.name, 0, 0, 0, SPARSE, 0
            elif member.isreg():
                yield member.name, member.offset_data, member.size, member.size, STORED, 0
            elif not member.isdir():
                yield member.name, 0, 0, 0, LINK if member.issym() or member.islnk() else SPECIAL, 0
        _check_end(path, tar.offset)


def _check_end(path, offset):
    """Refuse what tar readers pass over in silence: a damaged header, a missing end, a second tar."""
    with path.open("rb") as file:
        file.seek(offset)
        if len(file.read(512)) < 512:
            raise ArchiveError(f"{path} has no end mark, so that it may be cut off: {AGAIN}")
        file.seek(offset)
        while block := file.read(1 << 20):
            if block.strip(b"\0"):
                raise ArchiveError(f"{path} continues after its end, or is damaged at byte {offset:,}: {AGAIN}")
