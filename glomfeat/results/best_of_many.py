"""The best arm's figure, corrected for having been chosen among all arms."""

import numpy as np
import pandas as pd

from glomfeat.metrics.many import best_of_many
from glomfeat.metrics.resampling import jackknife_limits, limits
from glomfeat.results.words import between, figure

OF_BEST = ("corrected", "corrected_lo", "corrected_hi", "arms", "replicates", "shared")
COLUMNS = ("arm", "auroc", "chosen", *OF_BEST, "split")


def best_of_many_table(run, resampled):
    """Work out how much of the best arm's AUROC is luck.

    Parameters
    ----------
    run : Run
    resampled : Resampled
        From `glomfeat.results.resampled.resample`.

    Returns
    -------
    pandas.DataFrame
        One row per finished arm except the floor, best AUROC first. ``chosen`` is the share of replicates of a
        bootstrap over cases in which the arm is the best one; arms that are equally good share it. For the best arm,
        ``corrected`` is what the arm that looks best gives on cases that had no part in choosing it
        (`glomfeat.metrics.many.best_of_many`). Its 95 % limits are percentiles over the replicates, but the lower one
        is never above that of results.csv: a correction makes no figure surer, and nearly all replicates of an arm
        without errors are the same. ``arms`` is the number of arms that it was chosen among, ``replicates`` how many
        replicates count, ``shared`` the share of these in which several arms are equally good. A replicate counts if
        all classes are among the cases drawn, and among those not drawn, of some fold. If fewer than half of them
        count, the other columns are empty.
    """
    at = resampled.looking
    frame = pd.DataFrame({"arm": [resampled.names[k] for k in at], "auroc": resampled.auroc[at]})
    frame = frame.reindex(columns=COLUMNS).assign(split=run.manifest.split)
    if len(at) < 2:
        return frame[:0]
    found = best_of_many(resampled.auroc[at], resampled.drawn[at], resampled.outside[at])
    value, low, high = np.clip([found.value, *limits(found.figures)], 0, 1)
    own, _ = jackknife_limits(resampled.auroc[at[0]], resampled.left_out[at[0]], holders=resampled.holders)
    frame["chosen"] = found.chosen
    of_best = value, np.minimum(low, own), high, len(at), found.replicates, found.shared
    for column, one in zip(OF_BEST, of_best, strict=True):
        frame[column] = [one, *[np.nan] * (len(at) - 1)]
    return frame.astype({"arms": "Int64", "replicates": "Int64"})


def is_corrected(table):
    """Whether the best figure could be corrected, by a table from `best_of_many_table`."""
    return bool(table["corrected"].notna().any())


def best_of_many_in_words(table, unit="case"):
    """Say in a sentence what is left of the best figure; empty if no arm was chosen among others.

    Its limits are called wider than needed, because in simulations they hold the truth in 99 to 100 %; not for an arm
    without errors, where they come from the number of cases alone.

    Parameters
    ----------
    table : pandas.DataFrame
        From `best_of_many_table`.
    unit : str
        What replicates consist of.

    Returns
    -------
    str
    """
    if table.empty:
        return ""
    best = table.iloc[0]
    lucky = f"The best of {best['arms']} arms is partly the luckiest"
    if not np.isfinite(best["corrected"]):
        return f"{lucky}; by how much cannot be told from so few {unit}s."
    if figure(best["corrected"]) == figure(best["auroc"]):
        lucky = f"The choice among {best['arms']} arms hardly flatters the best one"
    low, high = best["corrected_lo"], best["corrected_hi"]
    wide = ", usually wider than needed" if best["auroc"] < 1 else ""
    ends = f" (95 % limits {between(low, high)}{wide})" if low < high else ""
    return f"{lucky}: corrected for that choice, its AUROC is {figure(best['corrected'])}{ends}."


def chosen_in_words(table, names, unit="case"):
    """Say in a sentence how sure the choice of the best arm is; empty if no arm was chosen among others.

    Parameters
    ----------
    table : pandas.DataFrame
        From `best_of_many_table`.
    names : dict of str to str
        Names of arms, as the page shows them.
    unit : str
        What replicates consist of.

    Returns
    -------
    str
    """
    if table.empty or not np.isfinite(table["chosen"].iloc[0]):
        return ""
    best = table.iloc[0]
    often = _share(best["chosen"])
    drawn = f"When {unit}s are drawn anew, {names[best['arm']]} is the best arm in {often} of the draws"

    rival = table.iloc[1:].sort_values("chosen", ascending=False, kind="stable").iloc[0]
    next_one = f"; of the others most often {names[rival['arm']]}, in {_share(rival['chosen'])}"
    second = next_one if rival["chosen"] else ""
    ties = f" In {_share(best['shared'])} of them several arms are equally best and share the draw."
    return f"{drawn}{second}.{ties if best['shared'] else ''}"


def _share(value):
    """Write a share of draws, such that only none is 0% and only all are 100%."""
    return "under 1%" if 0 < value < 0.005 else "over 99%" if 0.995 <= value < 1 else f"{value:.0%}"
