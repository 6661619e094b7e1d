"""Which images a bundle has learnt, and where the parameters of its network lie."""

from safetensors.numpy import load_file

from glomfeat.bundle.format import ARRAYS

NET = "net.safetensors"


def read_seen(folder):
    """The digests of the images that a bundle has learnt.

    Parameters
    ----------
    folder : Path
        Of which `glomfeat.bundle.format.read_about` has checked the files.

    Returns
    -------
    ndarray of uint64
        The first eight bytes of each image's SHA-256.
    """
    return load_file(folder / ARRAYS)["seen"]
