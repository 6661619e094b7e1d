"""From the bytes of an image file to a square of RGB pixels."""

import io
import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from glomfeat.core.errors import InputError, UserError
from glomfeat.data.images import dicom
from glomfeat.data.images.damaged import is_damaged
from glomfeat.data.images.dicom import DicomError, is_dicom, mode_and_profile, read_dicom
from glomfeat.data.images.icc import is_converted, to_srgb
from glomfeat.data.images.stain import Stain
from glomfeat.data.images.tiff import MAGIC, grey_scale, why_wrong

SUFFIX_OF = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "JPEG2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
    "GIF": (".gif",),
}
SUFFIXES = frozenset({*(suffix for known in SUFFIX_OF.values() for suffix in known), *dicom.SUFFIXES})
READ = "PNG, JPEG, JPEG 2000, TIFF, BMP, WebP, GIF, DICOM"
PADDINGS = ("white", "zero", "edge", "reflect")
SIDE, LANCZOS = 224, "lanczos"  # unless a study or a backbone's configuration says otherwise
FILTERS = {
    LANCZOS: Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
FORMATS = tuple(SUFFIX_OF)  # no EPS: Pillow would run Ghostscript on it
MAX_PIXELS = 80_000_000
LONGEST_PX = math.isqrt(MAX_PIXELS)  # side of the largest square that is made of an image
ICC = ("srgb", "keep")
PNG_BITS = 24  # where a PNG's header says the bits of a sample
CUT_OFF = "corrupt or truncated: copy it again from where it comes from, or leave it out"

# Pillow's warnings about a file (tags cut short, damaged EXIF) do not name it, and pages of them hide what does: what
# cannot be decoded is set aside with its name, and the audit lists what is odd. The filter is set for the whole
# process, because images are decoded in threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class ImageError(UserError, ValueError):
    """A file does not hold a usable image; the message is the reason."""


@dataclass(frozen=True)
class Preprocess:
    """What is done to every image before anything uses its pixels.

    The image is decoded and turned upright by its EXIF orientation. Its colours are converted to sRGB by its ICC
    profile if it has one. Transparent parts are composited on the padding colour (white for ``edge`` and ``reflect``).
    Its stain is normalised if that is asked for. It is padded to a centred square, with an odd remainder on the right
    and at the bottom, and resized with one of Pillow's antialiased filters. A longer side than `LONGEST_PX` is made as
    long before padding.

    Attributes
    ----------
    size : int
        Side of the square in pixels.
    padding : {"white", "zero", "edge", "reflect"}
        What fills the square outside the image.
    filter : {"lanczos", "bicubic", "bilinear"}
        The filter that resizes it.
    icc : {"srgb", "keep"}
        Whether to convert colours to sRGB by an embedded profile, or keep the file's numbers.
    stain : glomfeat.data.images.stain.Stain or None
        How colours are brought to a reference, if at all.

    Raises
    ------
    InputError
        A size below 1, or an unknown padding, filter or use of profiles.

    Examples
    --------
    >>> pixels, size = Preprocess(size=8).read(encode_png(np.zeros((4, 6, 3), np.uint8)))
    >>> pixels.shape, size
    ((8, 8, 3), (6, 4))
    >>> int(pixels[0, 0, 0]) > 200, int(pixels[4, 4, 0]) < 50
    (True, True)
    """

    size: int = SIDE
    padding: str = "white"
    filter: str = LANCZOS
    icc: str = "srgb"
    stain: Stain | None = None

    def reading(self, reads):
        """The same with the side and the filter (or None) that a backbone reads images with; unchanged for None."""
        side, how = reads or (self.size, None)
        return replace(self, size=side, filter=how or self.filter)

    def __post_init__(self):
        if self.size < 1:
            raise InputError(f"size is {self.size}: the side of the square must be at least 1 pixel")
        if self.padding not in PADDINGS:
            raise InputError(f"padding is {self.padding!r}: allowed are {', '.join(PADDINGS)}")
        if self.filter not in FILTERS:
            raise InputError(f"filter is {self.filter!r}: allowed are {', '.join(FILTERS)}")
        if self.icc not in ICC:
            raise InputError(f"icc is {self.icc!r}: allowed are {', '.join(ICC)}")

    @classmethod
    def asked(cls, size, padding, icc="srgb", stain=None):
        """What a study asks for; `size` is None if the study leaves it open."""
        return cls(SIDE if size is None else size, padding, icc=icc, stain=stain)

    @property
    def colour(self):
        """The grey level, 0 to 255, that transparent pixels are composited on."""
        return 0 if self.padding == "zero" else 255

    @property
    def key(self):
        """What the pixels depend on besides the file's bytes, as short plain data."""
        key = {"pixels": "v6", "size": self.size, "padding": self.padding}
        key |= {} if self.filter == LANCZOS else {"filter": self.filter}
        key |= {} if self.icc == "srgb" else {"icc": self.icc}
        return key | self.stain.key if self.stain else key

    def read(self, data):
        """Decode the bytes of an image file into a square.

        Parameters
        ----------
        data : bytes
            The content of a file in one of the formats of `READ`.

        Returns
        -------
        pixels : ndarray of uint8, shape (size, size, 3)
        size : tuple of int
            Width and height of the upright image before padding, in pixels.

        Raises
        ------
        ImageError
            The bytes are empty, truncated, not an image, too many pixels or of an unknown pixel type.
        """
        return self.read_stained(data)[:2]

    def read_stained(self, data):
        """Like `read`, also saying whether the stain was normalised: False too if it was not to be."""
        image, changed = decode(data, self.colour, self.icc), False
        if self.stain:
            colours, changed = self.stain.apply(np.asarray(image))
            image = Image.fromarray(colours) if changed else image
        square = _pad(_at_longest(image, FILTERS[self.filter]), self.padding)
        if square.width != self.size:
            square = square.resize((self.size, self.size), FILTERS[self.filter])
        return np.asarray(square), image.size, changed


def has_profile(data):
    """Whether an image file has an ICC profile that changes its colours on the way to sRGB.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    bool
        Also False for what cannot be read.
    """
    try:
        if is_dicom(data):
            return is_converted(*mode_and_profile(io.BytesIO(data)))
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return is_converted(image.mode, image.info.get("icc_profile"))
    except Exception:  # decoding says why
        return False


def decode(data, colour=255, icc="srgb"):
    """Decode the bytes of an image file to an upright RGB image without transparency.

    Parameters
    ----------
    data : bytes
        The content of the file. If it has several pages or frames, the first is read.
    colour : int
        Grey level 0..255 that transparent pixels are composited on.
    icc : {"srgb", "keep"}
        As for `Preprocess`.

    Returns
    -------
    PIL.Image.Image
        In mode RGB.

    Raises
    ------
    ImageError
        As for `Preprocess.read`.
    """
    if not data:
        raise ImageError("empty file")
    try:
        if is_dicom(data):
            image = read_dicom(data, MAX_PIXELS)
            return _flatten(to_srgb(image, image.info.get("icc_profile") if icc == "srgb" else None), colour)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,} allowed")
            if image.width * image.height == 0:
                raise ImageError(f"no pixels: {image.width} x {image.height}")
            if wrong := why_wrong(image):
                raise ImageError(wrong)
            if is_damaged(image, data):
                raise ImageError(CUT_OFF)
            white, inverted = grey_scale(image)
            profile = image.info.get("icc_profile") if icc == "srgb" else None
            _check_clear(image, data)
            _scale_clear_grey(image, data)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _flatten(to_srgb(_eight_bit(image, white, inverted), profile), colour)
    except ImageError:
        raise
    except DicomError as error:
        raise ImageError(str(error)) from None
    except UnidentifiedImageError:
        if data.startswith(MAGIC) and len(data) > 8:
            raise ImageError("a TIFF whose pixels cannot be read: save it as 8-bit RGB") from None
        raise ImageError(f"not an image that can be read ({READ})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"more than {MAX_PIXELS:,} pixels: decompression bomb?") from None
    except MemoryError:
        raise  # the fault of the machine, not of the file
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise ImageError(CUT_OFF) from error


def _check_clear(image, data):
    """Refuse a PNG whose transparent colour has 16 bits, of which Pillow compares only 8, unless they say the same."""
    clear = image.info.get("transparency")
    if image.format == "PNG" and data[PNG_BITS] == 16 and isinstance(clear, tuple) and not {*clear} <= {0, 65535}:
        raise ImageError("16-bit colours of which one stands for transparent: save it as 8-bit RGB or RGBA")


def _scale_clear_grey(image, data):
    """Scale the grey that stands for transparent in a PNG of up to 4 bits, as Pillow scales its pixels and not this."""
    if image.format == "PNG" and image.mode in ("1", "L") and isinstance(image.info.get("transparency"), int):
        most = (1 << data[PNG_BITS]) - 1
        image.info["transparency"] = (image.info["transparency"] & most) * (255 // most)


def _eight_bit(image, white, inverted):
    """Reduce grey of up to 16 bits to 8, with alpha if one value is transparent; refuse what has an unknown range."""
    if image.mode == "F":
        raise ImageError("floating-point pixels: their range is unknown; convert to 8 or 16 bit")
    if image.mode == "I":
        raise ImageError("32-bit pixels: it is not known which value is white; convert to 8 or 16 bit")
    if not image.mode.startswith("I;"):
        return image.convert("LA") if image.mode == "La" else image  # grey that is multiplied by its alpha
    values = np.asarray(image).astype(np.int64)
    scaled = (np.minimum(values, white) * 255 + white // 2) // white
    grey = Image.fromarray((255 - scaled if inverted else scaled).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _flatten(image, colour):
    """Composite on a grey level and return RGB."""
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        least, most = image.getchannel("A").getextrema()
        if most == 0:
            raise ImageError("wholly transparent, so nothing of it would be seen: save it without transparency")
        if least < 255:  # Pillow's compositing is slow and blocks other threads
            ground = Image.new("RGBA", image.size, (colour, colour, colour, 255))
            image = Image.alpha_composite(ground, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def square_margins(width, height):
    """Rows and columns that make an image a centred square, with an odd remainder on the right and at the bottom.

    Returns
    -------
    top, bottom, left, right : int
        In pixels.

    Examples
    --------
    >>> square_margins(4, 7)
    (0, 0, 1, 2)
    """
    side = max(width, height)
    top, left = (side - height) // 2, (side - width) // 2
    return top, side - height - top, left, side - width - left


def pad_to_square(image, padding):
    """Pad an image to a centred square.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
    padding : {"white", "zero", "edge", "reflect"}
        ``reflect`` mirrors without repeating the border pixel, as often as it takes.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)

    Examples
    --------
    >>> pad_to_square(np.zeros((1, 2, 3), np.uint8), "white")[..., 0].tolist()
    [[0, 0], [255, 255]]
    """
    return np.asarray(_pad(Image.fromarray(image), padding))


def _at_longest(image, how):
    """Make an image smaller whose square would have more pixels than an image may have."""
    factor = LONGEST_PX / max(image.size)
    return image if factor >= 1 else image.resize([max(1, round(side * factor)) for side in image.size], how)


def _pad(image, padding):
    """Pad an RGB image of Pillow's to a square."""
    if image.width == image.height:
        return image
    (top, bottom, left, right), side = square_margins(*image.size), max(image.size)
    if padding in ("white", "zero"):
        square = Image.new("RGB", (side, side), "white" if padding == "white" else "black")
        square.paste(image, (left, top))
        return square
    return Image.fromarray(np.pad(np.asarray(image), ((top, bottom), (left, right), (0, 0)), mode=padding))


def encode_png(image):
    """Encode an array as a PNG file.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width), (height, width, 3) or (height, width, 4)

    Examples
    --------
    >>> encode_png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()
