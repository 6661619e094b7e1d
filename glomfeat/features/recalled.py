"""Pretrained networks as a study noted them: known again without torch, as long as their parameters are the same."""

import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from glomfeat.core.cache import digest_of
from glomfeat.data.files import sha256_of
from glomfeat.features.base import Defaults


@dataclass(frozen=True)
class Recalled(Defaults):
    """What is known of a deep feature that need not be computed.

    Attributes
    ----------
    name, weights : str
        Of the `glomfeat.features.deep.network.Deep`.
    said : str
        What it says of itself on the study's images.
    reads : tuple of (int, str or None) or None
        Of the same.
    """

    name: str
    weights: str
    said: str
    reads: tuple | None = None

    key = None
    standardise = False
    is_deep = True

    def note(self, side):
        return self.said


def software():
    """What decides, besides files, which parameters a name stands for."""
    try:
        return {name: version(name) for name in ("torch", "torchvision")}
    except PackageNotFoundError:  # nothing that was noted is the same without them
        return {}


def hub_folder():
    """Where torch keeps the parameters that it downloads, without loading it."""
    if torch := sys.modules.get("torch"):
        return Path(torch.hub.get_dir(), "checkpoints")
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))  # noqa: PTH118 -- as torch does it
    return Path(home).expanduser() / "hub" / "checkpoints"


def note_source(where, found, default):
    """What must stay as it is for a network's parameters to be found again.

    Parameters
    ----------
    where : str
        As `glomfeat.features.deep.weights.find_weights`.
    found : glomfeat.features.deep.weights.Weights
    default : str
        Name of the file that torchvision would download; empty where it has none.

    Returns
    -------
    dict
        Plain data, without folders.
    """
    if found.path is None:
        return {"absent": default} if where == "auto" and default else {}
    folder = Path(where).expanduser()
    beside = {"beside": _listing(folder)} if where not in ("imagenet", "auto") and folder.is_dir() else {}
    return {"file": found.path.name, "sha256": found.sha256} | beside


def is_same_source(source, where):
    """Whether nothing has changed of what `note_source` noted.

    Parameters
    ----------
    source : dict
    where : str

    Examples
    --------
    >>> is_same_source({}, "none"), is_same_source({"file": "gone.pth", "sha256": "0"}, "imagenet")
    (True, False)
    """
    folder = hub_folder() if where in ("imagenet", "auto") else Path(where).expanduser()
    if "absent" in source:
        return not (folder / source["absent"]).exists()
    if "file" not in source:
        return True  # of a seed
    path = folder / source["file"] if folder.is_dir() else folder
    if path.name != source["file"] or not path.is_file() or sha256_of(path) != source["sha256"]:
        return False
    return "beside" not in source or source["beside"] == _listing(folder)


def _listing(folder):
    """A digest of the names in a folder, among which a file of parameters is looked for."""
    return digest_of(sorted(path.name for path in folder.iterdir()))
