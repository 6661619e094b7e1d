"""Which images a bundle has learnt from, and where the parameters of its network are."""

from safetensors.numpy import load_file

from glomfeat.bundle.format import ARRAYS

NET = "net.safetensors"


def read_seen(folder):
    """Read the digests of the images that a bundle has learnt from.

    Parameters
    ----------
    folder : Path
        Its files have been checked by `glomfeat.bundle.format.read_about`.

    Returns
    -------
    ndarray of uint64
        The first eight bytes of each image's SHA-256; also of images that its network had learnt in bundles that it
        started from.
    """
    return load_file(folder / ARRAYS)["seen"]
