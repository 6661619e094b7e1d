"""Settings of a head as plain data, for the journal and bundles, and found again from it."""

import json
import math
import re

import numpy as np

from glomfeat.core.part_errors import MisfitError
from glomfeat.core.plugins import name_of
from glomfeat.core.words import printable

LONGEST = 80  # of a text that stands for a value, in characters
ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")  # differs from process to process


def as_plain(grid, setting):
    """A setting as plain data that JSON returns as it was.

    Parameters
    ----------
    grid : dict of str to sequence
        Of the head.
    setting : dict
        One of the grid's.

    Returns
    -------
    dict
        A number of NumPy is one of Python. A value that JSON cannot hold, or would change, is a text for people with
        the place of the value in the grid.

    Examples
    --------
    >>> weights = [None, {0: 1, 1: 2}]
    >>> as_plain({"class_weight": weights, "k": np.arange(9)}, {"class_weight": weights[1], "k": np.int64(3)})
    {'class_weight': '{0: 1, 1: 2} (value 2 of 2)', 'k': 3}
    """
    return {name: _plain(value, grid.get(name, ())) for name, value in setting.items()}


def find_setting(grid, plain):
    """The setting of a grid that `as_plain` has made plain.

    Parameters
    ----------
    grid : dict of str to sequence
    plain : dict

    Returns
    -------
    dict

    Raises
    ------
    MisfitError
        The grid has no such setting.

    Examples
    --------
    >>> weights = [None, {0: 1, 1: 2}]
    >>> find_setting({"class_weight": weights}, {"class_weight": "{0: 1, 1: 2} (value 2 of 2)"})
    {'class_weight': {0: 1, 1: 2}}
    """
    from sklearn.model_selection import ParameterGrid

    wanted = json.dumps(plain, sort_keys=True)  # in Python, 1 equals 1.0 and True
    for setting in ParameterGrid(dict(grid)):
        if json.dumps(as_plain(grid, setting), sort_keys=True) == wanted:
            return setting
    raise MisfitError(f"its grid no longer has the setting {plain}: always return the same grid")


def _plain(value, values):
    number = value.item() if isinstance(value, np.generic) else value
    if number is None or type(number) in (bool, int, str) or (type(number) is float and math.isfinite(number)):
        return number
    place = next((f" (value {place} of {len(values)})" for place, one in enumerate(values, 1) if one is value), "")
    return f"{_text(value)}{place}"


def _text(value):
    """A value in a few words, which are the same in every process."""
    text = name_of(value) if hasattr(value, "__qualname__") else ADDRESS.sub("", " ".join(repr(value).split()))
    return printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")
