"""Pretrained networks as a study noted them, recognised without torch while their parameters are unchanged."""

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
    """What is known of a deep feature that does not have to be computed.

    Attributes
    ----------
    name, weights : str
        As in `glomfeat.features.deep.network.Deep`.
    said : str
        Its note on the study's images.
    reads : tuple of (int, str or None) or None
        As in `glomfeat.features.deep.network.Deep`.
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
    """Versions of the packages that decide, besides files, which parameters a name means."""
    try:
        return {name: version(name) for name in ("torch", "torchvision")}
    except PackageNotFoundError:  # without them nothing counts as unchanged
        return {}


def hub_folder():
    """The folder where torch keeps downloaded parameters, found without loading torch."""
    if torch := sys.modules.get("torch"):
        return Path(torch.hub.get_dir(), "checkpoints")
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))  # noqa: PTH118 -- as torch does it
    return Path(home).expanduser() / "hub" / "checkpoints"


def note_source(where, found, default):
    """What must stay the same so that a network's parameters are found again.

    Parameters
    ----------
    where : str
        As in `glomfeat.features.deep.weights.find_weights`.
    found : glomfeat.features.deep.weights.Weights
    default : str
        Name of the file that torchvision would download; empty if there is none.

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
    """Whether everything that `note_source` noted is unchanged.

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
        return True  # the parameters come from a seed
    path = folder / source["file"] if folder.is_dir() else folder
    if path.name != source["file"] or not path.is_file() or sha256_of(path) != source["sha256"]:
        return False
    return "beside" not in source or source["beside"] == _listing(folder)


def _listing(folder):
    """A digest of the file names in a folder that is searched for parameters."""
    return digest_of(sorted(path.name for path in folder.iterdir()))
