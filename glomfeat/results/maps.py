"""Maps of where a network looked, as the journal holds them."""

import base64

import numpy as np


def read_maps(found):
    """Read the maps in a journal record.

    Parameters
    ----------
    found : dict
        With ``shape`` and ``maps``, from `glomfeat.models.nets.saliency.Maps.plain`.

    Returns
    -------
    ndarray of uint8, shape (n, height, width)

    Examples
    --------
    >>> read_maps({"shape": [1, 1, 2], "maps": "AP8="}).tolist()
    [[[0, 255]]]
    """
    return np.frombuffer(base64.b64decode(found["maps"]), np.uint8).reshape(found["shape"])
