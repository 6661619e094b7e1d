"""Copies of images, changed as copies in real data sets are: what a search for near-duplicates must find."""

import io

import numpy as np
from PIL import Image, ImageEnhance

FLIPS = (
    *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE),
    *(Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270),
)


def _turned(image, degrees, expand=False):
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=expand, fillcolor="white")


def _cropped(image, rng):
    share = rng.uniform(0.8, 0.9)
    width, height = (round(length * share) for length in image.size)
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def _jpeg(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer).convert("RGB")


def _recoloured(image, rng):
    values = np.asarray(image) * rng.uniform(0.94, 1.06, 3) + rng.uniform(-8, 8, 3)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _resized(image, rng):
    factor = rng.choice([0.6, 1.5])
    return image.resize([round(length * factor) for length in image.size], Image.Resampling.BICUBIC)


CHANGES = {
    "dihedral": lambda image, rng: image.transpose(FLIPS[rng.integers(len(FLIPS))]),
    "turned by 7": lambda image, rng: _turned(image, 7 * rng.choice([-1, 1])),
    "turned by 30": lambda image, rng: _turned(image, 30 * rng.choice([-1, 1]), expand=True),
    "cropped": _cropped,
    "JPEG": lambda image, rng: _jpeg(image),
    "brightness": lambda image, rng: ImageEnhance.Brightness(image).enhance(rng.choice([0.8, 1.2])),
    "contrast": lambda image, rng: ImageEnhance.Contrast(image).enhance(rng.choice([0.8, 1.2])),
    "colour": _recoloured,
    "resized": _resized,
    "several": lambda image, rng: _jpeg(_cropped(_turned(image.transpose(FLIPS[rng.integers(3)]), 7), rng)),
}


def plant(paths, folder, rng, to_case):
    """Write changed copies of some files.

    Parameters
    ----------
    paths : list of pathlib.Path
        A copy of each is made, by all changes in turn.
    folder : pathlib.Path
    rng : numpy.random.Generator
    to_case : callable
        Gives the copy's name from the number of the copy.

    Returns
    -------
    dict of frozenset of str to str
        The change, by the names of the original and of the copy.
    """
    planted = {}
    for k, path in enumerate(paths):
        change = list(CHANGES)[k % len(CHANGES)]
        with Image.open(path) as image:
            rgba = image.convert("RGBA")
        ground = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        name = to_case(k)
        CHANGES[change](ground, rng).save(folder / name)
        planted[frozenset((path.name, name))] = change
    return planted


def exact_copies(extracted, *rest):
    """What `glomfeat.checks.data.duplicates.find_pairs` gives, of files with the same bytes alone."""
    from glomfeat.checks.data import duplicates

    return duplicates._frame(duplicates._exact(extracted.manifest.table["digest"].tolist()), [])
