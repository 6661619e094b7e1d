"""Users' own functions that take labels and scores and return a number: metrics, and rules for a threshold."""

import reprlib

import numpy as np

from glomfeat.core.global_generators import seeded
from glomfeat.core.part_errors import PartError, defined, noted, placed, what_raised
from glomfeat.core.plugins import PluginError, name_of, resolve


def find_metrics(asked, taken=()):
    """Find the metrics that were asked for, by the name of their column.

    Parameters
    ----------
    asked : sequence of (str or callable)
        ``module:function``, or functions ``(y_true, score) -> number``.
    taken : collection of str
        Names of existing columns.

    Returns
    -------
    dict of str to callable

    Raises
    ------
    PluginError
        A function cannot be found, or its name is taken.

    Examples
    --------
    >>> list(find_metrics(["glomfeat.metrics.scores:brier"]))
    ['brier']
    >>> find_metrics(["glomfeat.metrics.scores:brier"], {"brier"})
    Traceback (most recent call last):
    ...
    glomfeat.core.plugins.PluginError: metric 'glomfeat.metrics.scores:brier': there is already a column 'brier': rename
    the function
    """
    found = {}
    for one in asked:
        function = one if callable(one) else resolve(one, {}, "metric")
        name = getattr(function, "__name__", "") if callable(one) else one.partition(":")[2]
        if not name.isidentifier():
            raise PluginError(f"metric {name_of(one)!r}: its column would have no name: write it as def NAME(y, score)")
        if name in taken or name in found:
            said = f"metric {name_of(one)!r}: there is already a column {name!r}"
            raise PluginError(f"{said}: rename the function")
        found[name] = function
    return found


def number_of(function, y, score, said):
    """Call a user's own function with copies of labels and scores.

    Parameters
    ----------
    function : callable
        ``(y_true, score) -> number``.
    y : array of int, shape (n,)
        1 for the positive class, else 0.
    score : array of float, shape (n,)
        In 0..1.
    said : str
        What the function is, for the message.

    Returns
    -------
    float

    Raises
    ------
    PartError
        The function raised, or returned anything but one finite number.

    Examples
    --------
    >>> number_of(lambda y, score: score[y == 1].mean(), [0, 1], [0.2, 0.9], "metric f")
    0.9
    >>> number_of(lambda y, score: None, [0, 1], [0.2, 0.9], "metric f")
    Traceback (most recent call last):
    ...
    glomfeat.core.part_errors.PartError: metric f returned None: return one finite number (...)
    """
    kind, _, name = said.rpartition(" ")
    try:
        with noted(kind, name), seeded(0):
            found = function(np.array(y, np.int64), np.array(score, np.float64))
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PartError(f"{said} {what_raised(error)}{placed(error, function)}") from error
    number = isinstance(found, int | float | np.generic | np.ndarray) and not isinstance(found, bool)
    if not number or np.ndim(found) or np.asarray(found).dtype.kind not in "iuf" or not np.isfinite(found):
        shown = found.item() if isinstance(found, np.generic) else found
        raise PartError(f"{said} returned {reprlib.repr(shown)}: return one finite number{defined(function)}")
    return float(found)
