"""Values of a column as pages and messages show them: a value of one case alone may be who the case is."""

import numpy as np


def are_mostly_lone(cases):
    """Whether more than half of the values of a column belong to a single case each.

    Parameters
    ----------
    cases : sequence of int
        How many cases have each value.

    Examples
    --------
    >>> are_mostly_lone([1, 2, 1]), are_mostly_lone([1, 2])
    (True, False)
    """
    return bool(2 * (np.asarray(cases) <= 1).sum() > len(cases))


def hide_lone(values, cases, show_names=False):
    """Replace values that belong to a single case by numbers, unless names are asked for.

    If more than half of the values belong to one case each, as with slides and surnames, all are replaced: two cases
    with the same surname are no reason to print it.

    Parameters
    ----------
    values : sequence of str
        The different values of a column.
    cases : sequence of int
        How many cases have each.
    show_names : bool
        Whether to show all values as they are.

    Returns
    -------
    list of str

    Examples
    --------
    >>> hide_lone(["Bergen", "Oslo", "Rome"], [4, 1, 3]), hide_lone(["Koch", "Wolf", "Weber"], [1, 2, 1])
    (['Bergen', 'value 2', 'Rome'], ['value 1', 'value 2', 'value 3'])
    """
    lone = np.asarray(cases) <= 1
    if show_names or not lone.any():
        return list(values)
    hidden = lone | are_mostly_lone(cases)
    of = enumerate(zip(values, hidden, strict=True), 1)
    return [f"value {number}" if gone else value for number, (value, gone) in of]
