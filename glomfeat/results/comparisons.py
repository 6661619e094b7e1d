"""Every arm against the best one, and what difference the cases at hand could show at all."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.data.splits import fold_rows
from glomfeat.metrics.many import ALPHA, holm
from glomfeat.metrics.paired import equivalence, resampled_t
from glomfeat.metrics.resampling import enough, paired_p
from glomfeat.results.parts import arms_of, rank, trial_parts
from glomfeat.results.resampled import resample
from glomfeat.results.words import figure

COLUMNS = (
    *("arm", "best", "difference", "lo", "hi", "p", "p_adjusted", "p_holm"),
    *("p_bootstrap", "p_bootstrap_holm", "p_ttest", "p_ttest_holm"),
    *("p_worse", "p_equivalent", "p_better", "detectable", "n_trials", "split", "replicates", "note"),
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
        the best, above 0 only for a floor that no arm reaches; ``lo, hi`` are its 95 % limits and ``p`` its p-value,
        from `glomfeat.metrics.paired.paired_difference`;
        ``p_adjusted`` is p adjusted by `glomfeat.metrics.many.adjust_to_best`. ``detectable`` is a true difference
        for which ``p_adjusted`` is below 0.05 in at least 80 % of studies, whatever the other arms give
        (`glomfeat.metrics.paired.least_found`); empty for a floor. ``p_bootstrap`` is from
        `glomfeat.metrics.resampling.paired_p` over replicates of a bootstrap over cases, ``p_ttest`` from
        `glomfeat.metrics.paired.resampled_t` over repeats x folds; ``_holm`` is adjusted over all arms (Holm 1979).
        ``p_worse, p_equivalent, p_better`` are from `glomfeat.metrics.paired.equivalence`. ``replicates`` is the number
        of replicates of the bootstrap that count, because some fold keeps all classes; if fewer than half of them do,
        or if all images of a class are in one case, ``p_bootstrap`` is empty, and ``note`` says why.
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
        drawn, compared = found.drawn[k] - found.drawn[best], found.less_best(k, found.critical)
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
                "p_bootstrap": paired_p(drawn, found.holders),
                "p_ttest": resampled_t(apart, ratio),
                "p_worse": worse,
                "p_equivalent": equivalent,
                "p_better": better,
                "detectable": np.nan if found.names[k] == FLOOR else compared.detectable,
                "n_trials": len(apart),
                "split": run.manifest.split,
                "replicates": int(np.isfinite(drawn).sum()),
                "note": _why_none(drawn, found.holders, run.manifest.unit),
            }
        )
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    frame["p_adjusted"] = found.p_adjusted[others]
    for test in ("p", "p_bootstrap", "p_ttest"):
        known = frame[test].notna()
        frame.loc[known, f"{test}_holm"] = holm(frame.loc[known, test])
    return frame


def _why_none(drawn, holders, unit):
    """Why there is no p-value of the bootstrap; empty if there is one."""
    if holders < 2:
        return f"p_bootstrap: one {unit} holds all images of a class"
    counts = np.isfinite(drawn)
    few = f"p_bootstrap: only {counts.sum():,} of {len(drawn):,} draws of {unit}s keep all classes"
    return "" if enough(counts) else few


def tested_for_trained(run, trials):
    """Tested images for each training image, over all trials; NaN if all are from another place."""
    train, test = 0, 0
    for trial in trials:
        learned, tested, _ = fold_rows(run.folds, trial.repeat, trial.fold)
        train, test = train + len(learned), test + len(tested)
    return test / train if train else float("nan")


def missed_in_words(comparisons):
    """Say up to which size a true difference from the best arm may have been missed.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        From `comparisons_table`.

    Returns
    -------
    str
        A clause about the arms that are tied with the best one; empty if there are none, or if nothing is known.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["net:a", "net:b"], "p_adjusted": [0.3, 0.2], "detectable": [0.05, 0.2]})
    >>> missed_in_words(table)
    'differences below 0.050 to 0.200, depending on the arm, may have been missed'
    """
    tied = (comparisons["arm"] != FLOOR) & ~(comparisons["p_adjusted"] < ALPHA)
    found = comparisons.loc[tied, "detectable"].dropna()
    if found.empty:
        return ""
    if found.min() >= 1:  # the largest that two AUROCs can differ by
        return "no difference could be seen on so few"
    low, high = figure(found.min()), figure(min(found.max(), 1))
    if low == high:
        return f"a difference below {low} may have been missed"
    return f"differences below {low} to {high}, depending on the arm, may have been missed"
