"""Folders of small images, and what is wrong with them."""

import hashlib

import numpy as np
import pytest

from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, read_manifest


def put(folder, names):
    """Images of different bytes at these paths, whatever the folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = list(hashlib.sha256(name.encode()).digest()[:3])
        path.write_bytes(encode_png(np.array([[colour]], np.uint8)))
    return folder


def complaint(*args, **options):
    """The problems of one ManifestError, a line each."""
    with pytest.raises(ManifestError) as error:
        read_manifest(*args, **options)
    head, *lines = str(error.value).split("\n")
    assert head == f"{args[0]}: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    assert all(line.startswith("- ") for line in lines)
    return [line[2:] for line in lines]
