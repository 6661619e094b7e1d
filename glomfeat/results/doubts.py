"""What casts doubt on an arm's figures, in words: misleading inner scores, calibration that was not applied."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.notes import DECISIONS, FEW_ROWS, LOWERED, NOT_APPLIED
from glomfeat.metrics.paired import resampled_t

FAR, LEVEL = 0.05, 0.01


def inner_against_outer(inner, outer, ratio):
    """How far inner AUROCs are from outer ones, and whether chance alone would explain that.

    Parameters
    ----------
    inner, outer : array of float, shape (trials,)
        For an arm's trials: the mean AUROC of the inner splits, and that of the test rows.
    ratio : float
        Tested images for each training image.

    Returns
    -------
    gap : float
        Mean of inner minus outer.
    p : float
        Two-sided, from the corrected resampled t-test; NaN if nothing is known.

    Examples
    --------
    >>> gap, p = inner_against_outer([0.61, 0.58, 0.60, 0.63, 0.59], [0.85, 0.80, 0.83, 0.88, 0.84], 0.25)
    >>> round(gap, 3), p < 0.01
    (-0.238, True)
    """
    apart = np.asarray(inner, np.float64) - np.asarray(outer, np.float64)
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return float("nan"), float("nan")
    return float(apart.mean()), resampled_t(apart, ratio) if len(apart) > 1 else float("nan")


def best_may_be_chance(results):
    """Whether the best arm is not shown to be better than the floor, which is tied with it or above it.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    bool
    """
    floor, done = results["arm"] == FLOOR, results["status"] == "done"
    best, of_floor = results.loc[done & ~floor, "auroc"].max(), results[done & floor]
    tied = of_floor["tied_with_best"] == True  # noqa: E712 - it may be empty
    return bool((tied | (of_floor["auroc"] >= best)).any())


def doubts(results):
    """What readers of the table must know about how arms came to their choices.

    An arm is named if its inner AUROC is more than 0.05 from the outer one and p is below 0.01: if nothing is wrong,
    that is at most one arm in a hundred.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    list of (str, str)
        The arms, and what is said about them; empty if there is no doubt.
    """
    found, arms = [], results[results["arm"] != FLOOR]
    far = arms[((arms["inner_auroc"] - arms["auroc"]).abs() > FAR) & (arms["p_inner"] < LEVEL)]
    if len(far):
        each = (f"{row.arm} ({row.inner_auroc:.3f} against {row.auroc:.3f})" for row in far.itertuples())
        found.append(
            (
                "The AUROC of inner folds, on which choices are made, differs from that of test folds by more than "
                "chance:",
                f"{', '.join(each)}. Do not trust these choices.",
            )
        )
    left = arms["arm"][arms["reason"].str.contains(NOT_APPLIED, regex=False)]
    if len(left):
        which = f"{', '.join(left)}. The reason is in the table."
        found.append(("Calibration was asked for and not applied in at least one fold:", which))
    raw = arms["arm"][arms["reason"].str.contains(DECISIONS, regex=False)]
    if len(raw):
        said = "Scores are the logistic function of decision values, and no probabilities:"
        which = (
            f"{', '.join(raw)}. Read their ranks; Brier score and calibration error tell little without --calibration."
        )
        found.append((said, which))
    many = arms[arms["reason"].str.contains(f"{FEW_ROWS}|{LOWERED}")]
    if len(many):
        which = ", ".join(dict.fromkeys(many["feature"] + "/" + many["reducer"]))
        found.append(
            (
                "Components are more than a fifth of the training rows, or were lowered to what these allow:",
                f"{which}. The last ones are mostly noise; ipca or pca without a number lets inner folds choose.",
            )
        )
    return found
