"""What the images of a run are worth, and how many cases the next study needs."""

from functools import partial

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.placements import correlations_in_cases, design_effect, normal_scores
from glomfeat.metrics.planning import Spread, detectable, fewest_cases, width
from glomfeat.metrics.resampling import UNITS, jackknife
from glomfeat.results.moved import moved_by, scored_trials
from glomfeat.results.parts import count_holders, finished_arms, regroup, tested_units, trial_parts
from glomfeat.results.resampled import resample
from glomfeat.results.words import figure

COLUMNS = (
    *("arm", "auroc", "icc", "icc_across", "design_effect", "images", "effective_images", "cases"),
    *("asks", "against", "reached", "target", "cases_needed", "images_needed", "split", "note"),
)
LIMITS, DIFFERENCE = "limits", "difference"
WIDTHS, DIFFERENCES = (0.1, 0.05), (0.05, 0.02, 0.01)
IN_WORDS = {LIMITS: 0.05, DIFFERENCE: 0.02}  # the targets that a sentence names


def next_study_table(run, resampled=None):
    """How alike the scores of a case's images are, what that costs, and how many cases of the same sizes would suffice.

    Parameters
    ----------
    run : Run
    resampled : Resampled, optional
        From `glomfeat.results.resampled.resample`, if it is at hand.

    Returns
    -------
    pandas.DataFrame
        For each finished arm except the floor, best first, a row for each target. ``icc`` and ``icc_across`` say how
        alike the scores of two images of a case are, if they have one class and if they have different classes: from
        `glomfeat.metrics.placements.correlations_in_cases`, of normal scores of ranks within each class, where ``icc``
        is at least 0 and ``icc_across`` no further from 0 than it; ``note`` says why they are empty.
        ``design_effect`` is that of the AUROC, from `glomfeat.metrics.placements.design_effect`; ``effective_images``
        is the number of tested images over it.
        ``asks`` is ``limits`` for the width of 95 % limits of the AUROC, or ``difference`` for the smallest difference
        to ``against``, the best arm, that is found with 80 % power, p adjusted for the number of arms as in
        comparisons.csv. ``reached`` is what these cases give: the width of the limits in results.csv, or ``detectable``
        of comparisons.csv. It is empty if no case changes the figure, or if one case holds all images of a class. With
        ``cases_needed`` cases of the same sizes ``target`` is reached, if the squared standard error is inversely and
        the degrees of freedom are directly proportional to the number of cases, of which as large a share holds each
        class. It is empty if that is not known, or if ten million do not suffice. With more than 500 cases,
        ``cases_needed`` and ``design_effect`` count cases, and ``reached`` the groups that stand for them in limits.
    """
    units, rows = tested_units(run), []
    done = {name: trials for name, trials in finished_arms(run).items() if name != FLOOR}
    moved = {name: moved_by(run, trials, units) for name, trials in done.items()}
    ranked = sorted((name for name in moved if np.isfinite(moved[name].area)), key=lambda name: -moved[name].area)
    by_case = {name: _without_cases(run, moved[name]) for name in ranked}
    critical = (resampled or resample(run)).critical if len(ranked) > 1 else np.nan
    for name in ranked:
        own, best, facts = moved[name], moved[ranked[0]], _facts(run, done[name], name, moved[name], by_case[name])
        parts, classes, n_cases = trial_parts(run, done[name]), len(run.manifest.classes), facts["cases"]
        sides = (
            (own.left_out, best.left_out, count_holders(regroup(parts, units), classes)),
            (by_case[name], by_case[ranked[0]], count_holders(parts, classes)),
        )
        wide = [partial(width, own.area, _spread(mine, held, n_cases)) for mine, _, held in sides]
        asked = [(LIMITS, "", wide, target) for target in WIDTHS]
        if own is not best:
            apart = [_spread(mine - other, held, n_cases) for mine, other, held in sides]
            shows = [partial(detectable, spread, below=critical) for spread in apart]
            asked += [(DIFFERENCE, ranked[0], shows, target) for target in DIFFERENCES]
        for asks, against, reached, target in asked:
            rows.append({**facts, "asks": asks, "against": against, **_needed(*reached, target, facts)})
    whole = dict.fromkeys(("images", "cases", "cases_needed", "images_needed"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(whole)


def _without_cases(run, moved):
    """The AUROC without each case; with more cases than are left out one by one, from what their images add to it.

    Random groups would do for limits, but there are always as many of them: divided by the number of cases, their
    degrees of freedom would be the fewer, the more cases a study has.
    """
    if run.manifest.cases.max() < UNITS:
        return moved.left_out
    held, place = np.unique(run.manifest.cases[moved.tested], return_inverse=True)
    return moved.area - case_sums(moved.influence[moved.tested], place, len(held))


def _spread(left_out, holders, cases):
    """How sure a figure is, or a difference, from its values without each case."""
    error, freedom = jackknife(left_out)
    return Spread(cases * error**2, freedom / cases, holders / cases)


def _facts(run, trials, name, moved, without):
    cases, images = run.manifest.cases[moved.tested], int(moved.tested.sum())
    effect = design_effect(jackknife(without)[0], moved.influence[moved.tested])
    return {
        "arm": name,
        "auroc": moved.area,
        **_alike(run, trials),
        "design_effect": effect,
        "images": images,
        "effective_images": images / effect if effect else np.nan,
        "cases": len(np.unique(cases)),
        "split": run.manifest.split,
    }


def _alike(run, trials):
    """How alike scores of a case's images are, from all trials together; with more than two classes the mean of each.

    Scores are ranked over all trials. Ranks within a fold would be as widely spread in every fold, whether its few
    cases differ or not, and cases would seem less alike than they are.
    """
    parts, classes = list(scored_trials(run, trials)), len(run.manifest.classes)
    folds = np.repeat(np.arange(len(parts)), [len(rows) for rows, _, _ in parts])
    rows, labels, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    columns = normal_scores(score, labels).reshape(len(score), -1).T
    found = [correlations_in_cases(column, labels, run.manifest.cases[rows], folds) for column in columns]
    icc, across = np.mean(found, axis=0)
    icc = np.maximum(icc, 0)
    return {"icc": icc, "icc_across": np.clip(across, -icc, icc) + 0.0, "note": _why_none(icc, across, classes)}


def _why_none(icc, across, classes):
    """Why it is not known how alike scores are; empty if it is."""
    if np.isnan(icc):
        none = "no fold has two cases of one class, no case has two images of one, or scores of a class do not differ"
        return f"icc: {none}"
    if classes > 2:
        return "icc_across: for two classes only"
    alone = "icc_across: no fold has a case of both classes beside other cases of each"
    return alone if np.isnan(across) else ""


def _needed(reached, planned, target, facts):
    """What is reached, and how many cases and images are planned for a target."""
    now, least = reached(facts["cases"]), fewest_cases(planned, target)
    images = None if least is None else round(least * facts["images"] / facts["cases"])
    return {"reached": now, "target": target, "cases_needed": least, "images_needed": images}


def next_study_in_words(table, names, unit="case"):
    """Say what the images are worth and what the next study needs, for the best arm and the one after it.

    Parameters
    ----------
    table : pandas.DataFrame
        From `next_study_table`.
    names : dict of str to str
        Names of arms, as they are shown.
    unit : str

    Returns
    -------
    str
        Empty if nothing is known.
    """
    known = table[table["design_effect"].notna()]
    if known.empty:
        return ""
    row, said = known.iloc[0], []
    if unit == "case":
        free = row["effective_images"] >= row["images"]
        worth = "as many" if free else f"{row['effective_images']:,.0f}"
        alike = f"; ICC of scores {figure(row['icc'], 2)}" if np.isfinite(row["icc"]) else ""
        said.append(
            f"For the AUROC of {names[row['arm']]}, these {row['images']:,} images of {row['cases']:,} cases are worth "
            f"{worth} independent ones (design effect {figure(row['design_effect'], 1)}{alike})."
        )
    for asks, target in IN_WORDS.items():
        rows = known[(known["asks"] == asks) & (known["target"] == target) & known["cases_needed"].notna()]
        rows = rows[rows["arm"] == row["arm"]] if asks == LIMITS else rows
        if len(rows):
            said.append(_asked(rows.iloc[0], names, unit))
    return " ".join(said)


def _asked(row, names, unit):
    needs, sizes = f"{row['cases_needed']:,} {unit}s", " of the same sizes" if unit == "case" else ""
    if row["asks"] == LIMITS:
        return f"Limits that are {row['target']:g} wide take about {needs}{sizes}."
    apart = f"A difference of {row['target']:g} between {names[row['against']]} and {names[row['arm']]}"
    return f"{apart} is seen with 80 % power in about {needs}."
