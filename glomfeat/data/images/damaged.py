"""Damage that Pillow reads over: the end of a JPEG that is zeros, and wrong bytes among the pixels of a PNG."""

import io
import zlib

from PIL.JpegImagePlugin import JpegImageFile

JPEG_END = b"\xff\xd9"
PNG_START, PIXELS = 8, b"IDAT"  # where a PNG's first chunk begins, and the kind of those with pixels


def is_damaged(image, data):
    """Whether an image would be decoded although a part of its pixels is lost.

    Other formats are not looked at: in most of them the decoder notices, and in uncompressed ones and in WebP zeros may
    be pixels.

    Parameters
    ----------
    image : PIL.Image.Image
        Open, in any format; its pixels need not be loaded.
    data : bytes
        The content of its file.

    Returns
    -------
    bool

    Examples
    --------
    >>> from PIL import Image; file = io.BytesIO(); Image.new("L", (2, 2)).save(file, "png")
    >>> whole = file.getvalue(); at = whole.index(PIXELS) + 7
    >>> [is_damaged(Image.open(file), data) for data in (whole, whole[:at] + b"!" + whole[at + 1 :])]
    [False, True]
    """
    if image.format == "PNG":
        return not _has_whole_pixels(data)
    return image.format in ("JPEG", "MPO") and data.endswith(bytes(2)) and not _has_end(data)


def _has_end(data):
    """Whether a JPEG's first picture has an end; a thumbnail in its header has one of its own."""
    with JpegImageFile(io.BytesIO(data)) as header:  # read up to the first scan, also if several pictures follow
        return data.find(JPEG_END, header.fp.tell()) >= 0


def _has_whole_pixels(data):
    """Whether a PNG's pixels are as they were written, by the checksums of their chunks (ISO/IEC 15948, 5.3)."""
    view, at = memoryview(data), PNG_START  # parts of a view are no copies
    while (kind := data[at + 4 : at + 8]) and kind != PIXELS:
        at = _end_of(view, at) + 4
    while data[at + 4 : at + 8] == PIXELS:  # they follow each other; nothing behind them is of the first picture
        end = _end_of(view, at)
        if zlib.crc32(view[at + 4 : end]).to_bytes(4) != view[end : end + 4]:
            return False
        at = end + 4
    return True


def _end_of(view, at):
    """Where a chunk's checksum is to stand, by the length that it states."""
    return at + 8 + int.from_bytes(view[at : at + 4])
