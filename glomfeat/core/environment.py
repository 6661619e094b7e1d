"""What a run was made with: versions, hardware, seeds, weights."""

import os
import platform
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

from glomfeat import __version__
from glomfeat.core.memory import limits

DECISIVE = (
    *("joblib", "numpy", "pandas", "pillow", "scikit-image", "scikit-learn", "scipy", "timm", "torch", "torchvision"),
)


def environment(study, weights):
    """Describe the software and the machine, without names of users, hosts or folders.

    Parameters
    ----------
    study : Study
    weights : dict of str to str
        By the feature's name.

    Returns
    -------
    dict
        Plain data.
    """
    found = {
        "glomfeat": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_limit_bytes": min(limits().values()),
        "seed": study.seed,
        "weights": weights,
        "packages": dict(_packages()),
    }
    torch = sys.modules.get("torch")  # described only if the run has used it
    if torch is not None:
        found["cuda"] = torch.version.cuda if torch.cuda.is_available() else None
        found["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return found


@cache
def _packages():
    """The versions of what the library needs and finds; slow, because it reads hundreds of files."""
    try:
        needed = [re.match(r"[\w.-]+", line)[0] for line in requires("glomfeat") or []]
    except PackageNotFoundError:  # run from a checkout that is not installed
        needed = []
    packages = {}
    for name in needed:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return packages


def versions():
    """The versions on which the last digits of numbers depend.

    Examples
    --------
    >>> {"python", "glomfeat", "numpy"} <= set(versions())
    True
    """
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "glomfeat": __version__}
    for name in (*DECISIVE, "xgboost"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
