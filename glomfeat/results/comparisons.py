"""Every arm against the best one, and what difference the cases at hand could show at all."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.data.splits import fold_rows
from glomfeat.metrics.many import adjust_to_best
from glomfeat.metrics.paired import equivalence, paired_difference, resampled_t
from glomfeat.metrics.resampling import holm, paired_p
from glomfeat.results.parts import arms_of, rank, trial_parts
from glomfeat.results.resampled import resample

COLUMNS = (
    *("arm", "best", "difference", "lo", "hi", "p", "p_adjusted", "p_holm"),
    *("p_bootstrap", "p_bootstrap_holm", "p_ttest", "p_ttest_holm"),
    *("p_worse", "p_equivalent", "p_better", "detectable", "n_trials", "split"),
)


def comparisons_table(run, resampled=None):
    """The difference in AUROC between each finished arm and the best one, which is never the floor.

    The best is only the best that was seen. ``p_adjusted`` takes that into account: among many equal arms, one or more
    is called worse in about 5 % of studies. Holm's correction only limits the chance that a given one is (simulated for
    independent arms: some of 10 equal ones in 15 % of studies, of 30 in 29 %).

    Parameters
    ----------
    run : Run
    resampled : Resampled, optional
        From `glomfeat.results.resampled.resample`, if it is at hand.

    Returns
    -------
    pandas.DataFrame
        One row per finished arm except the best, from the highest AUROC to the lowest. ``difference`` is the arm less
        the best, above 0 only for a floor that no arm reaches; ``lo, hi`` are its 95 % limits, ``p`` its p-value and
        ``detectable`` the smallest true difference that these cases show (80 % power, 5 % two-sided), all from
        `glomfeat.metrics.paired.paired_difference`;
        ``p_adjusted`` is p adjusted by `glomfeat.metrics.many.adjust_to_best`. ``p_bootstrap`` is from
        `glomfeat.metrics.resampling.paired_p` over replicates of a bootstrap over cases, ``p_ttest`` from
        `glomfeat.metrics.paired.resampled_t` over repeats x folds; ``_holm`` is adjusted over all arms (Holm 1979).
        ``p_worse, p_equivalent, p_better`` are from `glomfeat.metrics.paired.equivalence`.
    """
    found = resample(run) if resampled is None else resampled
    if len(found.names) < 2 or not found.looking:
        return pd.DataFrame(columns=COLUMNS)
    best = found.looking[0]
    others = [k for k in range(len(found.names)) if k != best]
    arms = arms_of(run)
    of_trials = [np.concatenate([rank([part]) for part in trial_parts(run, arms[name])]) for name in found.names]
    ratio = tested_for_trained(run, arms[found.names[best]])
    rows = []
    for k in others:
        drawn, left_out = found.drawn[k] - found.drawn[best], found.left_out[k] - found.left_out[best]
        compared = paired_difference(found.auroc[k] - found.auroc[best], left_out, found.holders)
        apart = of_trials[k] - of_trials[best]
        worse, equivalent, better = equivalence(apart, ratio)
        rows.append(
            {
                "arm": found.names[k],
                "best": found.names[best],
                "difference": compared.value,
                "lo": compared.lo,
                "hi": compared.hi,
                "p": compared.p,
                "p_bootstrap": paired_p(drawn),
                "p_ttest": resampled_t(apart, ratio),
                "p_worse": worse,
                "p_equivalent": equivalent,
                "p_better": better,
                "detectable": compared.detectable,
                "n_trials": len(apart),
                "split": run.manifest.split,
            }
        )
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    p = np.insert(frame["p"].to_numpy(float), best, np.nan)
    frame["p_adjusted"] = adjust_to_best(p, best, found.errors)[others]
    for test in ("p", "p_bootstrap", "p_ttest"):
        known = frame[test].notna()
        frame.loc[known, f"{test}_holm"] = holm(frame.loc[known, test])
    return frame


def tested_for_trained(run, trials):
    """Tested images for each training image, over all trials; NaN if all are from another place."""
    train, test = 0, 0
    for trial in trials:
        learned, tested, _ = fold_rows(run.folds, trial.repeat, trial.fold)
        train, test = train + len(learned), test + len(tested)
    return test / train if train else float("nan")


def detectable(comparisons):
    """What each comparison with an arm other than the floor could show, if that is known.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        From `comparisons_table`.

    Returns
    -------
    pandas.Series of float
    """
    return comparisons.loc[comparisons["arm"] != FLOOR, "detectable"].dropna()


def detectable_in_words(comparisons, manifest):
    """Say in a sentence what difference in AUROC these cases could show.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        From `comparisons_table`.
    manifest : Manifest

    Returns
    -------
    str
        About the median over all comparisons, and their range.
    """
    n, found = len(np.unique(manifest.cases)), detectable(comparisons)
    these = f"these {n} {'cases' if manifest.by_case else 'images, each counted as its own case,'}"
    if not len(found):
        what = f"the smallest difference in AUROC that {these} could show"
        return f"{what} is not known: it takes two finished arms that differ"
    if found.median() >= 1:  # the largest that two AUROCs can differ by
        return f"with {these} no difference in AUROC can be seen (80 % power, 5 % two-sided)"
    range_ = f"median of {len(found)} comparisons, {found.min():.3f} to {found.max():.3f}; " if len(found) > 1 else ""
    said = f"with {these} a difference in AUROC of less than {found.median():.3f} cannot be seen"
    return f"{said} ({range_}80 % power, 5 % two-sided)"
