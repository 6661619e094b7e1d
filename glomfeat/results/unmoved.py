"""Figures that are the same without each case: between their limits there is nothing, which is no sureness."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.table import METRICS, limits_of


def unmoved(results):
    """Which metrics of each arm have one limit twice.

    Parameters
    ----------
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.

    Returns
    -------
    list of list of str
        Of each row, names of `METRICS`.
    """
    known = [name for name in METRICS if name in results and limits_of(name)[0] in results]
    same = np.column_stack([results[limits_of(name)[0]] == results[limits_of(name)[1]] for name in known])
    return [[name for name, alike in zip(known, row, strict=True) if alike] for row in same]


def say_unmoved(results):
    """The same table, whose ``reason`` names the metrics of an arm whose limits have no width; the floor's never have.

    Parameters
    ----------
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.

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
