"""Figures that no case changes: their limits have no width, which does not mean that they are sure."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.table import METRICS, limits_of


def unmoved(results):
    """Find the metrics of each arm whose two limits are the same.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    list of list of str
        For each row, names of `METRICS`.
    """
    known = [name for name in METRICS if name in results and limits_of(name)[0] in results]
    same = np.column_stack([results[limits_of(name)[0]] == results[limits_of(name)[1]] for name in known])
    return [[name for name, alike in zip(known, row, strict=True) if alike] for row in same]


def say_unmoved(results):
    """Name in ``reason`` the metrics of each arm whose limits have no width; the floor's never have any.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    pandas.DataFrame
    """
    reasons = []
    for arm, reason, names in zip(results["arm"], results["reason"], unmoved(results), strict=True):
        titles = ", ".join(METRICS[name].title for name in names)
        said = f"limits of no width, for it is the same without each case: {titles}"
        reasons.append("; ".join(filter(None, [reason, said])) if names and arm != FLOOR else reason)
    return results.assign(reason=reasons)
