"""Small pictures of images, as long as the folder that they came from can still be read."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from glomfeat.core.cache import cache_folder
from glomfeat.data.files import is_there, read_bytes
from glomfeat.data.images.decode import ImageError, decode, pad_to_square
from glomfeat.data.locate import path_of
from glomfeat.data.phantom import Phantom, folder_in
from glomfeat.data.sources import find_archives, images_of, places_of

SIDE = 128
QUALITY = 82


def data_folder(study, data=None):
    """Find where the images of a run are: a folder, an archive, or a pattern of shards.

    Parameters
    ----------
    study : dict
        Contents of study.yaml.
    data : path-like, optional
        Where they are now, if not where the run read them.

    Returns
    -------
    Path or None
        None if they are not there (any more).
    """
    asked = data or study.get("data")
    if asked is None:
        path = folder_in(cache_folder(study.get("cache")), Phantom(sites=study.get("sites", 1)))
    else:
        path = path_of(asked)
        try:
            if find_archives(path):
                return path
        except OSError:  # a shard is missing
            return None
        path = path.parent if path.is_file() else path
    return path if path.is_dir() else None


def find_images(folder, names):
    """Find the paths of images by the names that they have in tables.

    Parameters
    ----------
    folder : Path or None
    names : sequence of str
        Paths relative to the folder, or names of files anywhere below it.

    Returns
    -------
    dict of str to Path
        Paths by name, without images that are not there.
    """
    if folder is None:
        return {}
    found = {name: folder / name for name in names if is_there(folder / name)}
    missing = set(names) - set(found)
    if missing:
        for name, path in zip(*images_of(places_of(folder)), strict=True):
            found |= {shown: Path(path) for shown in (name, name.rpartition("/")[2]) if shown in missing}
    return found


def read_fitting(path, side):
    """Read an image and shrink it until it fits into a square.

    Parameters
    ----------
    path : Path or None
    side : int
        Side of the square in pixels.

    Returns
    -------
    PIL.Image.Image or None
        None if the file cannot be read.
    """
    try:
        image = decode(read_bytes(path)) if path else None
    except (OSError, ImageError):
        return None
    if image is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def read_square(path, side=SIDE):
    """Read an image as a small square, padded with white.

    Parameters
    ----------
    path : Path or None
    side : int
        Side of the square in pixels.

    Returns
    -------
    PIL.Image.Image or None
        None if the file cannot be read.
    """
    image = read_fitting(path, side)
    if image is None:
        return None
    square = Image.fromarray(pad_to_square(np.asarray(image), "white"))
    return square if square.width == side else square.resize((side, side), Image.Resampling.LANCZOS)


def small_uri(path, side):
    """Read an image with `read_square` and write it as a data URI; None if the file cannot be read."""
    square = read_square(path, side)
    return square and as_uri(square)


def as_uri(image):
    """Write a picture as a JPEG in a data URI.

    Parameters
    ----------
    image : PIL.Image.Image
        A picture in mode RGB.

    Examples
    --------
    >>> as_uri(Image.new("RGB", (2, 2)))[:23]
    'data:image/jpeg;base64,'
    """
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
