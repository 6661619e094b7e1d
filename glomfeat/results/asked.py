"""What a run was asked beside which arm is best, answered for the best arm: one short sentence for each question."""

import numpy as np
import pandas as pd

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
    if (row := _worst(sites, best)) is not None:
        value = shown_values(sites, show_names)[row["left_out"]]
        said.append(f"The worst {column} that was left out is {value}: {_figures(row)}.")
    if (row := _worst(external, best)) is not None:
        one = external["cohort"].nunique() == 1
        where = f"In the cohort {row['cohort']}" if one else f"The worst cohort is {row['cohort']}"
        said.append(f"{where}: {_figures(row)}.")
    if leak_price is not None:
        said += [_leak(row) for row in leak_price.to_dict("records") if row["arm"] == best and row["status"] == "done"]
    return said


def _leak(row):
    return f"A split by image would have shown {figure(row['auroc_by_image'])}, {price_in_words(row)}."


def _worst(table, arm):
    """The place at which an arm calls worst, or None: AUROC alone would hide a threshold that does not fit there."""
    if table is None:
        return None
    own = table[(table["arm"] == arm) & (table["status"] == "done")]
    called = own[[*CALLS.values()]].mean(axis=1).fillna(own["balanced_accuracy"])
    return None if called.isna().all() else own.loc[called.idxmin()].to_dict()


def _figures(row):
    """An arm's AUROC and calls, as far as they are known."""
    calls = CALLS if pd.notna([row[name] for name in CALLS.values()]).any() else OF_MORE
    shown = {"AUROC": "auroc"} | calls
    return ", ".join(f"{word} {figure(row[name])}" for word, name in shown.items() if np.isfinite(row[name]))
