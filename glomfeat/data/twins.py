"""Values of a column that seem to be one, written in several ways."""

import re
import unicodedata
from decimal import Decimal

from glomfeat.core.words import as_seen
from glomfeat.data.cases import LOOSELY
from glomfeat.data.lone_values import hide_lone
from glomfeat.data.tables.read import listed

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")
BEFORE_NUMBER = re.compile(r"(?<=[^\W\d_])(\s+|[-_.])(?=\d)")
BETWEEN = re.compile(r"[\s_-]+")
ZEROS = re.compile(r"(?<!\d)(?<!\d[.,])0+(?=\d)")  # not those of a fraction
SHOWN = 3


def twins_in_words(values, cases, show_names=False):
    """Say which values of a column differ only in how they are written; empty if none do.

    Parameters
    ----------
    values : sequence of str
        The different values.
    cases : sequence of int
        How many cases have each. Values are shown by number if `glomfeat.data.lone_values.hide_lone` says so of all
        that seem to be the same.
    show_names : bool
        Whether to show all values as they are.

    Returns
    -------
    str

    Examples
    --------
    >>> twins_in_words(["Oslo", "oslo", "Rome"], [3, 3, 3])
    "'Oslo' and 'oslo' differ only in capitals, blanks, separators, zeros or the form of letters"
    >>> twins_in_words(["Site 1", "Site 10", "1.5", "1.05", "0.5 mg", "0.05 mg", "I-II", "III"], [3] * 8)
    ''
    """
    held = {}
    for value, shown in zip(map(str, values), hide_lone(values, cases, show_names), strict=True):
        held.setdefault(_key(value), {})[value] = str(shown)
    alike = [" and ".join(_apart(shown)) for shown in held.values() if len(shown) > 1]
    return f"{listed(alike, SHOWN)} differ only in {LOOSELY}" if alike else ""


def _key(value):
    """What is the same for values that are written in several ways; a number counts by its size."""
    text = _seen(value).casefold().strip()
    return Decimal(text) if NUMBER.fullmatch(text) else ZEROS.sub("", BETWEEN.sub(" ", BEFORE_NUMBER.sub("", text)))


def _apart(shown):
    """Quote values so that they can be told apart, also if they look alike, or give their numbers if all are hidden."""
    if not set(shown) & set(shown.values()):
        return [*shown.values()]
    return map(repr if len({*map(_seen, shown)}) == len(shown) else ascii, shown)


def _seen(value):
    return as_seen(unicodedata.normalize("NFKC", value))
