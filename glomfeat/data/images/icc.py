"""Colours by an embedded ICC profile (ICC.1:2022): from a scanner's or camera's numbers to those of sRGB."""

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # the pixel mode for a profile of each colour space
FITS = {"RGB": ("P", "PA", "RGBA", "RGBX", "RGB"), "L": ("L", "LA"), "CMYK": ("CMYK",)}  # and what can become so
GREYS = Image.frombytes("RGB", (256, 1), bytes(level for level in range(256) for _ in "RGB"))
ROUNDED = 2  # levels by which files that describe sRGB move greys


@lru_cache(maxsize=64)
def _transform(profile):
    """The pixel mode that a profile is for, and its transform to sRGB; None if nothing is to be done."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get(opened.profile.xcolor_space)
        if mode is None:
            return None
        how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", *how)
        return None if mode == "RGB" and _is_srgb(opened, transform) else (mode, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged profile says nothing
        return None


def _is_srgb(profile, transform):
    """Whether a profile is one of the many files that describe sRGB, whose last bits differ.

    Profiles of linear light may be called so, too: they move greys by far more than a rounding.
    """
    said = profile.profile.profile_description or ""
    if "srgb" not in said.lower() and "61966-2" not in said:
        return False
    moved = ImageChops.difference(GREYS, ImageCms.applyTransform(GREYS, transform))
    return max(most for _, most in moved.getextrema()) <= ROUNDED


def is_converted(mode, profile):
    """Whether a profile changes colours.

    Parameters
    ----------
    mode : str
        Pillow's mode for the pixels of the file.
    profile : bytes or None
        The profile embedded in the file.

    Examples
    --------
    >>> is_converted("RGB", None)
    False
    """
    found = _transform(profile) if profile else None
    grey = mode.startswith("I")  # more than 8 bits, to which they are reduced first
    return found is not None and ("L" if grey else mode) in FITS[found[0]]


def to_srgb(image, profile):
    """Convert colours to sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        8-bit.
    profile : bytes or None

    Returns
    -------
    PIL.Image.Image
        RGB, or RGBA if it is transparent; the same image if there is no profile, or it is sRGB, damaged or for another
        kind of pixels.

    Examples
    --------
    >>> from PIL import Image; grey = Image.new("RGB", (1, 1), (10, 20, 30))
    >>> to_srgb(grey, None) is grey
    True
    """
    found = _transform(profile) if profile else None
    if found is None:
        return image
    mode, transform = found
    clear = image.has_transparency_data
    if image.mode not in FITS[mode]:
        return image
    base = (image.convert("RGBA") if image.mode == "P" else image).convert(mode)
    colours = ImageCms.applyTransform(base, transform)
    if clear:
        colours.putalpha(image.convert("RGBA").getchannel("A"))
    return colours
