"""Every arm against the best one, and what the cases at hand could show at all."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import fold_rows
from glomfeat.metrics.paired import equivalence, paired_difference, resampled_t
from glomfeat.metrics.resampling import case_weights, holm, leave_out_weights, paired_p
from glomfeat.results.parts import arms_of, rank, regroup, trial_parts, units_of

COLUMNS = (
    *("arm", "best", "difference", "lo", "hi", "p", "p_holm"),
    *("p_bootstrap", "p_bootstrap_holm", "p_ttest", "p_ttest_holm"),
    *("p_worse", "p_equivalent", "p_better", "detectable", "n_trials", "split"),
)


def comparisons_table(run):
    """The difference in AUROC of each finished arm to the best one.

    The best is the best of what was seen. Holm's correction keeps the chance that a given arm which is as good is
    called worse below 5 %; that one of many equal arms is called so is likelier (simulated for independent arms: of
    10 equal ones in 15 % of studies, of 30 in 29 %).

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        A row per finished arm but the best, from the smallest difference to the largest. ``difference`` is the arm
        less the best; ``lo, hi`` are its 95 % limits, ``p`` its p-value and ``detectable`` the smallest true
        difference that these cases show (80 % power, 5 % two-sided), all of
        `glomfeat.metrics.paired.paired_difference`. ``p_bootstrap`` is of `glomfeat.metrics.resampling.paired_p` over
        replicates of a bootstrap over cases, ``p_ttest`` of `glomfeat.metrics.paired.resampled_t` over repeats x folds;
        ``_holm`` is adjusted over all arms (Holm 1979). ``p_worse, p_equivalent, p_better`` are of
        `glomfeat.metrics.paired.equivalence`.
    """
    arms = arms_of(run)
    parts = {name: trial_parts(run, trials) for name, trials in arms.items()}
    parts = {name: found for name, found in parts.items() if len(found) == len(arms[name])}
    auroc = {name: float(rank(found)[0]) for name, found in parts.items()}
    auroc = {name: value for name, value in auroc.items() if np.isfinite(value)}
    if len(auroc) < 2:
        return pd.DataFrame(columns=COLUMNS)
    best = max(auroc, key=auroc.get)
    units = units_of(run)
    drawn_weights = case_weights(run.manifest.labels, units[run.manifest.cases], seed=seed_for(run.seed, "bootstrap"))
    kept_weights = leave_out_weights(units.max() + 1)
    resampled = {}
    for name in auroc:
        own = regroup(parts[name], units)
        resampled[name] = rank(own, drawn_weights), rank(own, kept_weights)
    of_trials = {name: np.concatenate([rank([part]) for part in parts[name]]) for name in auroc}
    ratio = tested_for_trained(run, arms[best])
    rows = []
    for name in sorted((name for name in auroc if name != best), key=auroc.get, reverse=True):
        drawn, left_out = (mine - its for mine, its in zip(resampled[name], resampled[best], strict=True))
        found, apart = paired_difference(auroc[name] - auroc[best], left_out), of_trials[name] - of_trials[best]
        worse, equivalent, better = equivalence(apart, ratio)
        rows.append(
            {
                "arm": name,
                "best": best,
                "difference": found.value,
                "lo": found.lo,
                "hi": found.hi,
                "p": found.p,
                "p_bootstrap": paired_p(drawn),
                "p_ttest": resampled_t(apart, ratio),
                "p_worse": worse,
                "p_equivalent": equivalent,
                "p_better": better,
                "detectable": found.detectable,
                "n_trials": len(apart),
                "split": run.manifest.split,
            }
        )
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for test in ("p", "p_bootstrap", "p_ttest"):
        known = frame[test].notna()
        frame.loc[known, f"{test}_holm"] = holm(frame.loc[known, test])
    return frame


def tested_for_trained(run, trials):
    """Tested images for each image that was learned from, over all trials; NaN where all are of another place."""
    train, test = 0, 0
    for trial in trials:
        learned, tested, _ = fold_rows(run.folds, trial.repeat, trial.fold)
        train, test = train + len(learned), test + len(tested)
    return test / train if train else float("nan")


def detectable(comparisons):
    """What each comparison with an arm but the floor could show, where it is known.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Of `comparisons_table`.

    Returns
    -------
    pandas.Series of float
    """
    return comparisons.loc[comparisons["arm"] != FLOOR, "detectable"].dropna()


def detectable_in_words(comparisons, manifest):
    """What difference in AUROC these cases could show, as a sentence.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Of `comparisons_table`.
    manifest : Manifest

    Returns
    -------
    str
        Of the median over all comparisons, and of their range.
    """
    n, found = len(np.unique(manifest.cases)), detectable(comparisons)
    these = f"these {n} {'cases' if manifest.by_case else 'images, each taken as a case of its own,'}"
    if not len(found):
        return f"what difference in AUROC {these} could show is not known: no two arms that differ were finished"
    range_ = f"median of {len(found)} comparisons, {found.min():.3f} to {found.max():.3f}; " if len(found) > 1 else ""
    said = f"with {these} a difference in AUROC of less than {found.median():.3f} cannot be seen"
    return f"{said} ({range_}80 % power, 5 % two-sided)"
