"""Decoding shared by all features of pixels: files to arrays; images that cannot be read are set aside."""

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from glomfeat.core.errors import ChangedError
from glomfeat.data.files import read_bytes
from glomfeat.data.images.decode import ImageError, has_profile


def read_checked(path, digest):
    """The bytes of a file, provided that its digest is unchanged.

    Raises
    ------
    OSError
        The file is missing or has changed.
    ImageError
        The file is a member of an archive that cannot be read.
    """
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ChangedError(f"{path} changed while the study ran: start again")
    return data


def decode_rows(paths, digests, preprocess, threads):
    """Decode images in threads.

    Parameters
    ----------
    paths, digests : sequence of str
    preprocess : Preprocess
    threads : int

    Returns
    -------
    dict
        ``pixels``: uint8, shape (n, size, size, 3). ``sizes``: int32, shape (n, 2), width and height before
        padding; 0 x 0 if a file cannot be decoded. ``profiles``: bool, shape (n,), whether an embedded profile
        differs from sRGB. ``as_were``: bool, shape (n,), only if stains are normalised: whether the image was left
        unchanged.
    """
    pixels = np.zeros((len(paths), preprocess.size, preprocess.size, 3), np.uint8)
    sizes = np.zeros((len(paths), 2), np.int32)
    profiles, as_were = np.zeros(len(paths), bool), np.zeros(len(paths), bool)

    def decode(row):
        with contextlib.suppress(ImageError):  # 0 x 0 marks it; the reason is found again when needed, never stored
            data = read_checked(paths[row], digests[row])
            if preprocess.stain:
                pixels[row], sizes[row], changed = preprocess.read_stained(data)
                as_were[row] = not changed
            else:
                pixels[row], sizes[row] = preprocess.read(data)
            profiles[row] = has_profile(data)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, range(len(paths))))
    found = {"pixels": pixels, "sizes": sizes, "profiles": profiles}
    return found | ({"as_were": as_were} if preprocess.stain else {})
