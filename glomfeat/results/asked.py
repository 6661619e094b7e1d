"""What a run was asked beside which arm is best, answered for the best arm: one short sentence for each question."""

import numpy as np

from glomfeat.results.leak_price import price_in_words
from glomfeat.results.sites import shown_values
from glomfeat.results.tables import finished_first, with_figure
from glomfeat.results.words import figure

CALLS = {"sensitivity": "sensitivity_t", "specificity": "specificity_t"}
OF_MORE = {"balanced accuracy": "balanced_accuracy"}


def asked_in_words(results, leak_price=None, sites=None, external=None, column="", show_names=False):
    """Say of the best arm how it does at the worst value that was left out, in the worst cohort, and without cases.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    leak_price, sites, external : pandas.DataFrame or None
        The contents of leak_price.csv, sites.csv and external.csv; None where that was not asked for.
    column : str
        The column whose values were left out.
    show_names : bool
        As for `glomfeat.results.sites.site_cells`.

    Returns
    -------
    list of str
        Sentences; none about what is not known.
    """
    known = with_figure(finished_first(results))
    if known.empty:
        return []
    best, said = known["arm"].iloc[0], []
    if sites is not None:
        values = shown_values(sites, show_names)
        said += _worst(sites.assign(place=sites["left_out"].map(values)), best, f"{column} that was left out")
    if external is not None:
        said += _worst(external.assign(place=external["cohort"]), best, "cohort")
    if leak_price is not None:
        said += [_leak(row) for row in leak_price.to_dict("records") if row["arm"] == best and row["status"] == "done"]
    return said


def _leak(row):
    return f"A split by image would have shown {figure(row['auroc_by_image'])}, {price_in_words(row)}."


def _worst(table, arm, kind):
    """Say where an arm calls worst: AUROC alone would hide a threshold that does not fit there.

    Places that hold both classes are compared, if there are any: sensitivity alone says little beside a place that has
    specificity too.
    """
    own = table[(table["arm"] == arm) & (table["status"] == "done")]
    calls = CALLS if own[[*CALLS.values()]].notna().any(axis=None) else OF_MORE
    own = own[own[[*calls.values()]].notna().any(axis=1)]
    whole = own[own[[*calls.values()]].notna().all(axis=1)]
    if own.empty:
        return []
    if len(own) == 1:
        return [f"{own['place'].iloc[0]} is the only {kind}: {_figures(own.iloc[0], calls)}."]
    if whole.empty:
        return []
    row, low = (whole.loc[by.idxmin()] for by in (whole[[*calls.values()]].mean(axis=1), whole["auroc"].fillna(2)))
    which = kind if len(whole) == len(own) else f"{kind} with both classes"
    lowest = "" if low["place"] == row["place"] else f"; the lowest AUROC is {figure(low['auroc'])}, at {low['place']}"
    return [f"By its calls, {row['place']} is the worst {which}: {_figures(row, calls)}{lowest}."]


def _figures(row, calls):
    """An arm's calls and AUROC, as far as they are known."""
    shown = calls | {"AUROC": "auroc"}
    return ", ".join(f"{word} {figure(row[name])}" for word, name in shown.items() if np.isfinite(row[name]))
