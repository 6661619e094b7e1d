"""Packages that only networks need, and the message where they are not installed."""

import importlib.util

from glomfeat.core.errors import UserError
from glomfeat.core.words import joined

DEEP = ("torch", "torchvision", "skorch", "captum")


class NotInstalledError(UserError, ImportError):
    """Something needs a package that is not installed; the message says which, and how to do without."""


def is_installed(package):
    """Whether a package can be imported, without importing it.

    Examples
    --------
    >>> is_installed("numpy"), is_installed("no_such_package")
    (True, False)
    """
    try:
        found = importlib.util.find_spec(package)
        return found is not None and found.origin is not None  # a plain folder of that name has no origin
    except ModuleNotFoundError:  # raised by a finder that hides it
        return False


def missing_for_networks():
    """The packages of `DEEP` that are not installed."""
    return [name for name in DEEP if not is_installed(name)]


def need_networks(what):
    """Refuse to go on if any package of `DEEP` is missing.

    Parameters
    ----------
    what : str
        What needs them; begins the message.

    Raises
    ------
    NotInstalledError
    """
    if missing := missing_for_networks():
        are = "are" if len(missing) > 1 else "is"
        raise NotInstalledError(
            f"{what} needs {joined(missing, 'and')}, which {are} not installed: pip install {' '.join(missing)}; "
            "without them --features takes classical, shortcut, pixels, file:PATH and your own, and --nets nothing"
        )
