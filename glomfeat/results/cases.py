"""Percentages by case: how many images of a case are called positive, and how far that is from the truth."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.errors import InputError
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.agreement import bland_altman, icc_agreement
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import ROUNDING, jackknife_limits, leave_out_weights
from glomfeat.metrics.scores import auroc, decide, of_class
from glomfeat.results.case_level import one_class_each
from glomfeat.results.parts import finished_arms, units_of
from glomfeat.results.unfinished import note_unfinished
from glomfeat.results.unmoved import note_unmoved, say_unsure

WORST = 0.1
MOST = 100.0  # percentage points by which a case can be off
CASE_COLUMNS = (
    *("arm", "case", "pseudonym", "n_images", "true_percent", "predicted_percent", "error", "split"),
    *("mean_score", "label"),
)
ERRORS = ("bias", "mae", "rmse", "icc")
AGREEMENT_COLUMNS = (
    *("arm", "n_cases", "n_images"),
    *(f"{name}{end}" for name in ERRORS for end in ("", "_lo", "_hi")),
    *("loa_lo", "loa_hi", "reference", "worst_cases", "worst_bias", "worst_mae", "worst_rmse", "split", "note"),
)


def cases_table(run):
    """True and predicted percentage of the positive class in each case, for each arm that has tested it.

    Decisions are out of fold, at the threshold that each trial chose; with more than two classes the largest score
    decides. Percentages are averaged over the repeats that tested the case.

    Parameters
    ----------
    run : glomfeat.results.run.Run

    Returns
    -------
    pandas.DataFrame
        Columns `CASE_COLUMNS`. `n_images` is for one repeat. Percentages are in 0..100; `error` is predicted less true;
        `mean_score` is the positive class's; `label` is the class of a case whose images all have one class, else
        empty. Arms are in the order of the plan, cases in order of name.
    """
    labels, cases, classes = run.manifest.labels, run.manifest.cases, len(run.manifest.classes)
    names = np.unique(run.manifest.table["case"].to_numpy(str))
    shown = pseudonyms(names)
    found = []
    for arm, trials in _by_arm(run).items():
        tested = np.zeros((4, len(names)))  # images, positive ones, those called positive, and scores
        tested_in = {}
        for trial in trials:
            rows, record = run.tested(trial), run.record(trial)
            score = np.asarray(record["scores"], float)
            called = decide(score, record["threshold"]) == classes - 1
            values = np.ones(len(rows)), labels[rows] == classes - 1, called, of_class(score)
            tested += [np.bincount(cases[rows], value, minlength=len(names)) for value in values]
            # a given split may test a case in several folds of a repeat, which count once
            tested_in.setdefault(trial.repeat, np.zeros(len(names), bool))[cases[rows]] = True
        repeats = sum(tested_in.values())
        seen = np.flatnonzero(repeats)
        images, positive, called, score = tested[:, seen]
        figures = (images / repeats[seen]).astype(int), 100 * positive / images, 100 * called / images, score / images
        found.append((np.full(len(seen), arm, object), names[seen], *figures))
    columns = ("arm", "case", "n_images", "true_percent", "predicted_percent", "mean_score")
    whole = map(np.concatenate, zip(*found, strict=True)) if found else [[]] * len(columns)
    table = pd.DataFrame(dict(zip(columns, whole, strict=True)))
    table["error"] = table["predicted_percent"] - table["true_percent"]
    least, most = np.full(len(names), classes), np.full(len(names), -1)
    np.minimum.at(least, cases, labels)
    np.maximum.at(most, cases, labels)
    label = {name: run.manifest.classes[a] if a == b else "" for name, a, b in zip(names, least, most, strict=True)}
    of_cases = {"pseudonym": table["case"].map(shown), "label": table["case"].map(label)}
    table = table.assign(**of_cases, split=run.manifest.split)
    return table.reindex(columns=CASE_COLUMNS)


def _by_arm(run):
    """The finished trials by arm; arms in the order of the plan."""
    found = {}
    for trial in run.done(run.trials):
        found.setdefault(str(trial.arm), []).append(trial)
    return found


def reference_arm(run):
    """The best finished arm, without the floor, which determines the worst tenth of cases; None if there is none."""
    areas = {}
    for arm, trials in finished_arms(run).items():
        if arm != FLOOR:
            of_trials = [
                auroc(run.manifest.labels[run.tested(trial)], np.asarray(run.record(trial)["scores"], float))
                for trial in trials
            ]
            if np.isfinite(of_trials).any():
                areas[arm] = np.nanmean(of_trials)
    return max(areas, key=areas.get) if areas else None


def worst_cases(cases, reference, share=WORST):
    """The cases whose percentage the reference arm gets most wrong; at least one.

    Parameters
    ----------
    cases : pandas.DataFrame
        From `cases_table`.
    reference : str
        An arm.
    share : float
        Share of its cases, rounded up.

    Returns
    -------
    list of str
        With equal errors, cases with more images come first.
    """
    mine = cases[cases["arm"] == reference]
    distance = mine["error"].abs().round(9)  # differences of equal shares may differ in the last bit
    order = mine.assign(distance=distance).sort_values(["distance", "n_images", "case"], ascending=[False, False, True])
    return order["case"].head(int(np.ceil(share * len(mine)))).tolist()


def agreement_table(run, reference=None):
    """How far each arm's percentages are from the true ones, over cases, each case counting once.

    One reference arm determines the worst tenth of cases, which is the same for every arm. The reference is bound to do
    badly there, because the cases were chosen by its errors; compare the other arms with each other.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    reference : str, optional
        An arm; by default the finished one with the best AUROC.

    Returns
    -------
    pandas.DataFrame
        Columns `AGREEMENT_COLUMNS`, in percentage points except `icc`. `_lo` and `_hi` are 95 % limits from leaving out
        each case; `note` says why a figure has none, and names arms whose figures are from some of their trials only.
        `loa_lo` and `loa_hi` are the limits of agreement. If each case has one class, its true percentage is 0 or 100:
        errors then go in one direction only, so `icc` and the limits of agreement, which take them as scatter around a
        bias, are empty.

    Raises
    ------
    InputError
        The reference has not tested any case.
    """
    cases = cases_table(run)
    reference = reference or reference_arm(run)
    if reference and reference not in set(cases["arm"]):
        raise InputError(
            f"no finished trial of the reference {reference!r}: there are {', '.join(cases['arm'].unique())}"
        )
    worst = set(worst_cases(cases, reference)) if reference else set()
    names = np.unique(run.manifest.table["case"].to_numpy(str))
    empty = ["icc", "icc_lo", "icc_hi", "loa_lo", "loa_hi"] if one_class_each(run.manifest) else []
    units, rows = units_of(run), []
    for arm, mine in cases.groupby("arm", sort=False):
        true, predicted = (mine[f"{name}_percent"].to_numpy() for name in ("true", "predicted"))
        row = {"arm": arm, "n_cases": len(mine), "n_images": mine["n_images"].sum(), "reference": reference}
        _, row["loa_lo"], row["loa_hi"] = bland_altman(true, predicted)
        point = _errors(true, predicted, np.ones((1, len(mine))))
        ends = _limits(true, predicted, units[np.searchsorted(names, mine["case"].to_numpy(str))])
        for name in ERRORS:
            row[name] = float(point[name][0])
            row[f"{name}_lo"], row[f"{name}_hi"] = ends[name]
        among = mine["case"].isin(worst).to_numpy()
        row["worst_cases"] = int(among.sum())
        if among.any():
            of_worst = _errors(true[among], predicted[among], np.ones((1, among.sum())))
            row |= {f"worst_{name}": float(of_worst[name][0]) for name in ERRORS[:3]}
        rows.append(row | dict.fromkeys(empty, float("nan")))
        rows[-1]["note"] = say_unsure(rows[-1], ERRORS)
    table = pd.DataFrame(rows).assign(split=run.manifest.split).reindex(columns=AGREEMENT_COLUMNS)
    return note_unfinished(note_unmoved(table, ERRORS), run)


def _limits(true, predicted, units):
    """95 % limits of bias, mean absolute error, root mean squared error and ICC, from leaving out each unit.

    Bias is a paired difference of two shares, so its limits are Student's t over cases. Those of a mean absolute and of
    a mean squared error are on the logit scale within their bounds, those of the ICC on Fisher's z scale, which is the
    logit scale from -1 to 1 (McGraw & Wong 1996). A complete agreement says nothing of how low the ICC may be.
    """
    own = np.unique(units, return_inverse=True)[1]
    weights = np.ones((1, len(true))), leave_out_weights(own.max() + 1)[:, own]
    whole, without = (_errors(true, predicted, some) for some in weights)
    whole["icc"], without["icc"] = (found["icc"].round(12) for found in (whole, without))  # 0 is 1e-17 of sums
    bias, icc = (float(whole[name][0]) for name in ("bias", "icc"))
    apart = paired_difference(bias / MOST, without["bias"] / MOST)
    square = jackknife_limits(float(whole["rmse"][0]) ** 2, without["rmse"] ** 2, 0, MOST**2)
    return {
        "bias": (MOST * apart.lo, MOST * apart.hi),
        "mae": jackknife_limits(float(whole["mae"][0]), without["mae"], 0, MOST),
        "rmse": tuple(np.sqrt(square)),
        "icc": (icc, icc) if abs(icc) >= 1 - ROUNDING else jackknife_limits(icc, without["icc"], -1, 1),
    }


def _errors(true, predicted, weights):
    """Bias, mean absolute error, root mean squared error and ICC for each replicate."""
    difference, total = predicted - true, weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "bias": weights @ difference / total,
            "mae": weights @ np.abs(difference) / total,
            "rmse": np.sqrt(weights @ difference**2 / total),
            "icc": icc_agreement(np.column_stack([true, predicted]), weights),
        }
