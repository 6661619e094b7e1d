"""Small slides and outlines on them."""

import numpy as np

from glomfeat.data.slides.outlines import Outline


def make_slide(path, image, mpp=0.25):
    """A pyramid of three levels in tiles, as scanners write it."""
    import tifffile

    options = {"tile": (64, 64), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path) as file:
        for level in range(3):
            step = 2**level
            per_cm = {"resolution": (1e4 / mpp / step,) * 2, "resolutionunit": "CENTIMETER"} if mpp else {}
            small = image[::step, ::step]
            file.write(small, subfiletype=int(level > 0), **per_cm, **options)
    return path


def box(left, top, right, bottom, *holes):
    ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], float)
    return Outline("GS", ((ring, *(np.array(hole, float) for hole in holes)),))
