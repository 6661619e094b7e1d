"""Figures without limits: those that no case changes, which does not mean that they are sure, and those of one case."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.case_level import OF_WEIGHTED, WEIGHTED

FIGURES = (*METRICS, WEIGHTED)
TITLES = {name: metric.title for name, metric in METRICS.items()} | {WEIGHTED: OF_WEIGHTED}


def unmoved(results, names=FIGURES):
    """Find the metrics of each row whose two limits are the same.

    Parameters
    ----------
    results : pandas.DataFrame
        Such as `glomfeat.results.tables.results_table` makes.
    names : sequence of str
        Columns with figures.

    Returns
    -------
    list of list of str
        For each row, some of `names`.
    """
    known = [name for name in names if name in results and limits_of(name)[0] in results]
    same = np.column_stack([results[limits_of(name)[0]] == results[limits_of(name)[1]] for name in known])
    return [[name for name, alike in zip(known, row, strict=True) if alike] for row in same]


def without_limits(table, names=FIGURES):
    """Remove limits that have no width, and say for each row whose they were.

    Parameters
    ----------
    table : pandas.DataFrame
    names : sequence of str
        As for `unmoved`.

    Returns
    -------
    table : pandas.DataFrame
    said : list of str
        Empty where no limits were removed.
    """
    table, said = table.copy(), []
    for row, found in zip(table.index, unmoved(table, names), strict=True):
        if found:
            table.loc[row, [end for name in found for end in limits_of(name)]] = np.nan
        said.append(f"no limits, for it is the same without each case: {_titles(found)}" if found else "")
    return table, said


def note_unmoved(table, names):
    """Remove limits that have no width, and add to ``note`` of each row whose they were.

    Parameters
    ----------
    table : pandas.DataFrame
    names : sequence of str
        As for `unmoved`.

    Returns
    -------
    pandas.DataFrame
    """
    table, said = without_limits(table, names)
    return table.assign(note=["; ".join(filter(None, both)) for both in zip(table["note"], said, strict=True)])


def say_unsure(row, names):
    """Name the figures of a row that have no limits, for one of the cases holds all that they are made of.

    Examples
    --------
    >>> say_unsure({"auroc": 0.5, "auroc_lo": np.nan}, ["auroc"])
    'no limits, for nothing would be left without one of the cases: AUROC'
    """
    found = [name for name in names if np.isfinite(row[name]) and not np.isfinite(row[limits_of(name)[0]])]
    return f"no limits, for nothing would be left without one of the cases: {_titles(found)}" if found else ""


def _titles(names):
    return ", ".join(TITLES.get(name, name) for name in names)


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
        said = f"limits of no width, for it is the same without each case: {_titles(names)}"
        reasons.append("; ".join(filter(None, [reason, said])) if names and arm != FLOOR else reason)
    return results.assign(reason=reasons)
