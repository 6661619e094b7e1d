"""Regions of whole-slide images around annotated objects, through tiffslide or OpenSlide."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from glomfeat.core.errors import InputError, UserError
from glomfeat.data.images.decode import MAX_PIXELS

SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".bif", ".svslide", ".qptiff", ".dcm")
INSTALL = (
    "pip install 'glomfeat[wsi]', or pip install tiffslide; openslide-python with openslide-bin reads more formats"
)
FINER = 0.99  # times the slide's own resolution: allows for rounding


class SlideError(UserError, ValueError):
    """A slide, or a place on it, cannot be read; the message is the reason."""


@dataclass(frozen=True)
class Cut:
    """How crops are cut.

    Attributes
    ----------
    mpp : float or None
        Microns per pixel of the crop; None for the slide's own.
    margin : float
        Width around the bounding box, as a share of its longer side.
    mask : {"none", "white"}
        Whether what lies outside the outline is kept, or made white.
    """

    mpp: float | None = None
    margin: float = 0.1
    mask: str = "none"


def open_slide(path):
    """Open a slide with tiffslide or, if that cannot read it or is not installed, OpenSlide.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tiffslide.TiffSlide or openslide.OpenSlide

    Raises
    ------
    SlideError
        Neither can read it.
    InputError
        Neither is installed; with the remedy.
    """
    refused = []
    for library, kind in (("tiffslide", "TiffSlide"), ("openslide", "OpenSlide")):
        try:
            opener = getattr(__import__(library), kind)
        except ImportError:  # OpenSlide raises it also if its C library is missing
            continue
        try:
            return opener(path)
        except Exception as error:  # each format's reader has errors of its own
            refused.append(f"{library}: {str(error) or type(error).__name__}")
    if not refused:
        raise InputError(f"slides need tiffslide or OpenSlide: {INSTALL}")
    raise SlideError(f"cannot be read as a slide ({'; '.join(refused)})")


def _property(slide, name):
    """A number that a slide states, whichever library read it, or None."""
    found = (slide.properties.get(f"{library}.{name}") for library in ("tiffslide", "openslide"))
    value = next((value for value in found if value is not None), None)
    return None if value is None else float(value)


def cut_out(slide, outline, cut):
    """Cut an object out of a slide.

    Parameters
    ----------
    slide
        From `open_slide`.
    outline : glomfeat.data.slides.outlines.Outline
    cut : Cut

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        The bounding box with its margin, as far as it lies on the slide.

    Raises
    ------
    SlideError
        Most of it lies outside the slide, it is too large, or the slide does not state or have the resolution.
    """
    left, top, right, bottom = outline.box
    first = np.array([_property(slide, f"bounds-{axis}") or 0 for axis in "xy"])  # QuPath counts from there
    size = np.array([_property(slide, f"bounds-{side}") for side in ("width", "height")], np.float64)
    size = np.where(np.isnan(size), slide.dimensions, size)
    inside = [max(0, min(high, most) - max(low, 0)) for low, high, most in
              ((left, right, size[0]), (top, bottom, size[1]))]  # fmt: skip
    if inside[0] * inside[1] <= (right - left) * (bottom - top) / 2:
        raise SlideError(f"most of it lies outside the slide, which has {size[0]:.0f} x {size[1]:.0f} pixels")
    margin = cut.margin * max(right - left, bottom - top)
    low = np.maximum(np.floor(np.array([left, top]) - margin), 0)
    high = np.minimum(np.ceil(np.array([right, bottom]) + margin), size)
    scale = _scale(slide, cut.mpp)
    shape = tuple(max(1, round(side / scale)) for side in (high - low).tolist())
    image = _region(slide, low + first, high + first, scale, shape)
    if cut.mask == "white":
        image = Image.composite(image, Image.new("RGB", shape, "white"), _inside(outline, low, high, shape))
    return np.asarray(image)


def _scale(slide, mpp):
    """The factor by which a crop is smaller than the slide's full resolution."""
    if mpp is None:
        return 1.0
    own = _property(slide, "mpp-x")
    if not own:
        raise SlideError("the slide states no microns per pixel: leave out --mpp to keep its resolution")
    if mpp < FINER * own:
        raise SlideError(f"the slide has {own:.4g} microns per pixel, which --mpp {mpp:g} is finer than")
    return max(1.0, mpp / own)


def _region(slide, low, high, scale, shape):
    """Read the region between two corners at full resolution, from the next finer level, and resize it."""
    level = slide.get_best_level_for_downsample(scale * 1.001)  # a level of 4.0001 counts as one of 4
    down = slide.level_downsamples[level]
    begin = np.floor(low / down)
    count = np.minimum(np.ceil(high / down), slide.level_dimensions[level]) - begin
    if max(math.prod(count), math.prod(shape)) > MAX_PIXELS:
        raise SlideError(f"{shape[0]} x {shape[1]} pixels are more than {MAX_PIXELS:,} allowed")
    try:
        where = tuple(np.ceil(begin * down).astype(int).tolist())  # libraries round down to the level's pixel
        image = slide.read_region(where, level, tuple(count.astype(int).tolist()))
    except Exception as error:  # decoders of tiles may raise anything
        raise SlideError(f"cannot be read from the slide: {str(error) or type(error).__name__}") from error
    if image.mode not in ("L", "RGB", "RGBA"):
        raise SlideError(f"pixels of mode {image.mode}: slides with 8-bit colour are read")
    if image.mode == "RGBA":  # transparent where nothing was scanned
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    corners = np.concatenate([low / down - begin, high / down - begin])
    box = np.minimum(corners, np.tile(count, 2)).tolist()
    image = image.convert("RGB")
    return image if image.size == shape else image.resize(shape, Image.Resampling.LANCZOS, box)


def _inside(outline, low, high, shape):
    """A mask of the crop: 255 where the centre of a pixel lies in the outline."""
    mask, factor = np.zeros(shape[::-1], bool), np.array(shape) / (high - low)
    for rings in outline.polygons:  # each on its own, for one may lie in a hole of another
        outer, *holes = (_filled((ring - low) * factor, shape) for ring in rings)
        for hole in holes:
            outer &= ~hole
        mask |= outer
    if not mask.any():
        raise SlideError("it is smaller than a pixel of the crop, of which --mask white leaves nothing")
    return Image.fromarray(mask.astype(np.uint8) * 255)


def _filled(ring, shape):
    """Where the centres of pixels lie in a ring: those with an odd number of its sides on their left."""
    crossed = np.zeros((shape[1], shape[0] + 1), bool)
    for (x, y), (next_x, next_y) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
        first, last = sorted((math.ceil(y - 0.5), math.ceil(next_y - 0.5)))
        rows = np.arange(max(first, 0), min(last, shape[1]))
        if len(rows):
            at = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
            crossed[rows, np.clip(np.ceil(at - 0.5), 0, shape[0]).astype(int)] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]
