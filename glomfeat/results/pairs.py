"""All pairs of arms: how well they rank, and what they decide at their own thresholds."""

from itertools import combinations

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.many import adjust_pairs
from glomfeat.metrics.paired import clustered_mcnemar, paired_difference
from glomfeat.metrics.resampling import leave_out_weights
from glomfeat.metrics.scores import decide
from glomfeat.results.parts import count_holders, finished_parts, measure_pooled, regroup, tested_units

DECISIONS = {"sensitivity": "positive", "specificity": "other", "balanced_accuracy": "each", "brier": "all"}
ENDS = ("_difference", "_lo", "_hi", "_p")
OF_CALLS = ("only_arm_wrong", "only_other_wrong", "p_mcnemar")
COLUMNS = (
    *("arm", "other", "difference", "lo", "hi", "p", "p_adjusted"),
    *(name + end for name in DECISIONS for end in ENDS),
    *OF_CALLS,
    "split",
)


def pairs_table(run, resampled):
    """The differences between every two finished arms.

    Parameters
    ----------
    run : Run
    resampled : Resampled
        From `glomfeat.results.resampled.resample`.

    Returns
    -------
    pandas.DataFrame
        One row per pair; differences are ``arm`` less ``other``, and arms are in order of AUROC. ``difference, lo, hi,
        p`` are for AUROC, from `glomfeat.metrics.paired.paired_difference`; ``p_adjusted`` is adjusted for the number
        of pairs by `glomfeat.metrics.many.adjust_pairs`. There are the same columns for sensitivity, specificity and
        balanced accuracy at each arm's own thresholds (with more than two classes: at the natural decision) and for the
        Brier score, but their p are not adjusted. ``only_arm_wrong`` and ``only_other_wrong`` count images that only
        one arm calls wrong, per repeat; ``p_mcnemar`` is from `glomfeat.metrics.paired.clustered_mcnemar`.
    """
    parts, units, classes = finished_parts(run), tested_units(run), len(run.manifest.classes)
    weights = leave_out_weights(units.max() + 1)
    of_first = regroup(parts[resampled.names[0]], units) if resampled.names else []
    holders = {name: count_holders(of_first, classes, of) for name, of in DECISIONS.items() if of_first}
    decided = [_decided(regroup(parts[name], units), classes, weights) for name in resampled.names]
    pairs, rows = list(combinations(range(len(resampled.names)), 2)), []
    for one, other in pairs:
        row = {"arm": resampled.names[one], "other": resampled.names[other], "split": run.manifest.split}
        found = paired_difference(*resampled.less(one, other), resampled.holders)
        row |= {"difference": found.value, "lo": found.lo, "hi": found.hi, "p": found.p}
        for name in DECISIONS:
            value, left_out = (mine - its for mine, its in zip(decided[one][name], decided[other][name], strict=True))
            found = paired_difference(value, left_out, holders[name])
            row |= zip((name + end for end in ENDS), (found.value, found.lo, found.hi, found.p), strict=True)
        rows.append(row | _calls(decided[one]["wrong"], decided[other]["wrong"]))
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    frame["p_adjusted"] = adjust_pairs(frame["p"].to_numpy(float), pairs, resampled.errors)
    return frame


def pairs_of(table, base):
    """The pairs with one arm, as differences of every other arm to it.

    Parameters
    ----------
    table : pandas.DataFrame
        From `pairs_table`.
    base : str
        The arm.

    Returns
    -------
    pandas.DataFrame
        The columns of `pairs_table`, with `base` as ``other`` in each row.

    Examples
    --------
    >>> row = {"arm": "a", "other": "b", "difference": 0.2, "lo": 0.1, "hi": 0.3, "only_arm_wrong": 1}
    >>> turned = pairs_of(pd.DataFrame([row | {"only_other_wrong": 5}]), "a").iloc[0]
    >>> [turned["arm"], *map(float, turned[["difference", "lo", "hi"]]), int(turned["only_arm_wrong"])]
    ['b', -0.2, -0.3, -0.1, 5]
    """
    there, back = table[table["other"] == base], table[table["arm"] == base]
    swapped = {
        "arm": "other",
        "other": "arm",
        "only_arm_wrong": "only_other_wrong",
        "only_other_wrong": "only_arm_wrong",
    }
    for start in ("", *(f"{name}_" for name in DECISIONS)):
        swapped |= {f"{start}lo": f"{start}hi", f"{start}hi": f"{start}lo"}
    back = back.rename(columns=swapped)
    signed = [column for column in back.columns if column.split("_")[-1] in ("difference", "lo", "hi")]
    back = back.assign(**{column: -back[column] for column in signed})
    return pd.concat([there, back[list(table.columns)]], ignore_index=True)


def _decided(parts, classes, weights):
    """Figures of an arm's decisions, their values without each case, and which rows are called wrong."""
    at = "_t" if classes == 2 else ""
    whole, without = (measure_pooled(parts, classes, each) for each in (None, weights))
    named = {name: name if name == "brier" else name + at for name in ("sensitivity", "specificity", "brier")}
    found = {name: (float(whole[metric][0]), without[metric]) for name, metric in named.items()}
    if classes == 2:
        sides = zip(found["sensitivity"], found["specificity"], strict=True)
        found["balanced_accuracy"] = tuple((one + other) / 2 for one, other in sides)
    else:  # the mean of the classes' sensitivities, which that of the macro figures is not
        found["balanced_accuracy"] = float(whole["balanced_accuracy"][0]), without["balanced_accuracy"]
    calls = [decide(part.score, part.threshold if classes == 2 else None) != part.y for part in parts]
    cases = np.concatenate([part.cases for part in parts])
    return found | {"wrong": (np.concatenate(calls), cases, len({part.repeat for part in parts}))}


def _calls(mine, its):
    """How many images only one of two arms calls wrong, and whether one does so more often than the other."""
    (wrong, cases, repeats), (its_wrong, _, _) = mine, its
    only, only_other = wrong & ~its_wrong, its_wrong & ~wrong
    apart = case_sums(only.astype(float) - only_other, cases, cases.max() + 1)
    counts = only.sum() / repeats, only_other.sum() / repeats
    return dict(zip(OF_CALLS, (*counts, clustered_mcnemar(apart)), strict=True))
