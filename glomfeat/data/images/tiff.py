"""TIFFs that Pillow misreads without a warning, or does not read, recognised by the tags of TIFF 6.0."""

import re

import numpy as np

COMPRESSION, PHOTOMETRIC, DESCRIPTION, BITS, PLANES, KIND, SIGNED = 259, 262, 270, 258, 284, 254, 339
CHANNELS = re.compile(r"(?:^|\n)channels=([2-9])|\bSizeC=\"([2-9])\"")
WEBP = 50001  # libtiff's number for this compression
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def why_wrong(image):
    """Say why the first page of a TIFF would be read wrongly or not at all.

    Parameters
    ----------
    image : PIL.Image.Image
        Open, in any format; its pixels need not be loaded.

    Returns
    -------
    str
        Empty if there is no reason.

    Examples
    --------
    >>> import io; from PIL import Image
    >>> file, one = io.BytesIO(), Image.new("L", (2, 2))
    >>> one.save(file, "tiff", save_all=True, append_images=[one], description='<Pixels SizeC="2">')
    >>> why_wrong(Image.open(file))
    'the channels of one image as separate pages: save it as RGB'
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return ""
    if tags.get(COMPRESSION) == WEBP:
        return "WebP inside a TIFF, which Pillow does not read: save it as PNG, or as TIFF with LZW"
    bits, one = np.atleast_1d(tags.get(BITS, 1)), len(image.getbands()) == 1
    if one and getattr(image, "n_frames", 1) > 1 and CHANNELS.search(str(tags.get(DESCRIPTION, ""))):
        return "the channels of one image as separate pages: save it as RGB"
    if tags.get(KIND, 0) & 1 and getattr(image, "n_frames", 1) > 1:
        return "the first page is a smaller copy of another: save the page of full resolution alone"
    if 2 in np.atleast_1d(tags.get(SIGNED, 1)):
        return "signed pixels: it is not known which value is white; convert to unsigned 8 or 16 bit"
    if bits[0] == 16 and tags.get(PLANES, 1) == 2 and tags.get(COMPRESSION, 1) == 1 and not one:
        return "16-bit channels that are stored one after another: save them interleaved, or as 8 bit"
    return ""


def grey_scale(image):
    """The value of white in a grey image of more than 8 bits, and whether numbers count from white to black.

    Returns
    -------
    white : int
    inverted : bool
    """
    tags = getattr(image, "tag_v2", None) or {}
    bits = int(np.atleast_1d(tags.get(BITS, 16))[0])
    return (1 << bits) - 1 if 8 < bits < 16 else 65535, tags.get(PHOTOMETRIC) == 0
