"""What casts doubt on figures, in words: shortcuts, misleading inner scores, calibration that was not applied."""

import numpy as np

from glomfeat.core.arms import FLOOR, split_joined
from glomfeat.core.notes import DECISIONS, FEW_ROWS, LOWERED, NOT_APPLIED
from glomfeat.metrics.paired import resampled_t
from glomfeat.results.words import figure

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


def _sees_no_tissue(feature):
    """Whether a feature is the shortcut and nothing else: columns joined to it may be what tells the classes apart."""
    return feature.startswith("shortcut.") and not split_joined(feature)[1]


def _shortcut(results):
    """What an arm that sees no tissue reaches, if no other arm is clearly better."""
    done = results.loc[(results["status"] == "done") & results["auroc"].notna(), ["feature", "auroc", "tied_with_best"]]
    blind = done[done["feature"].map(_sees_no_tissue).astype(bool)]
    if blind.empty or blind.iloc[0]["tied_with_best"] is not True:
        return []
    return [
        (
            f"Size, padding and mean colour alone reach an AUROC of {figure(blind.iloc[0]['auroc'])}.",
            "No arm is clearly better than one that sees no tissue: what the others learned may be no more than that.",
        )
    ]


def doubts(results):
    """What readers of the table must know before its figures: shortcuts, and how arms came to their choices.

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
    looked_at = ["arm", "auroc", "inner_auroc", "p_inner", "reason"]
    found, arms = _shortcut(results), results.loc[results["arm"] != FLOOR, looked_at]
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
    return found


def on_components(results):
    """Say which reductions keep more components than the training rows are good for, and which were lowered.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    list of str
        Sentences for the notes of the table: this costs an arm something, and makes no figure wrong.
    """
    said = {
        FEW_ROWS: "More components than a fifth of the training rows, the last ones mostly noise (ipca or pca without "
        "a number lets inner folds choose)",
        LOWERED: "Components lowered to what the training rows allow",
    }
    arms = results[["feature", "reducer", "reason"]]
    found = {text: arms[arms["reason"].str.contains(note, regex=False)] for note, text in said.items()}
    which = {text: dict.fromkeys(rows["feature"] + "/" + rows["reducer"]) for text, rows in found.items()}
    return [f"{text}: {', '.join(arms)}." for text, arms in which.items() if arms]
