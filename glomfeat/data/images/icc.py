"""Colours by an embedded ICC profile (ICC.1:2022): from the numbers of a scanner or camera to those of sRGB."""

import io
from functools import lru_cache

from PIL import ImageCms

MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # what pixels must be for a profile of each colour space
FITS = {"RGB": ("P", "PA", "RGBA", "RGBX", "RGB"), "L": ("L", "LA"), "CMYK": ("CMYK",)}  # and which can be made so


@lru_cache(maxsize=64)
def _transform(profile):
    """The mode of pixels that a profile is for, and how they become sRGB; None where nothing is to be done."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get(opened.profile.xcolor_space)
        if mode is None or (mode == "RGB" and _is_srgb(opened)):
            return None
        how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        return mode, ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", *how)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged profile says nothing
        return None


def _is_srgb(profile):
    """Whether it is one of the many files that describe sRGB, whose last bits differ."""
    said = profile.profile.profile_description or ""
    return "srgb" in said.lower() or "61966-2" in said


def is_converted(mode, profile):
    """Whether colours become others by a profile.

    Parameters
    ----------
    mode : str
        Pillow's word for the pixels of the file.
    profile : bytes or None
        What is embedded in it.

    Examples
    --------
    >>> is_converted("RGB", None)
    False
    """
    found = _transform(profile) if profile else None
    grey = mode.startswith("I")  # of more bits, which are brought to 8 first
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
        RGB, RGBA where it is transparent; the same image where there is no profile, one of sRGB, or one that is damaged
        or of other pixels than these.

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
