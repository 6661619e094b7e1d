"""The case as the endpoint: the percentage of a case that is called positive, and how far it is from the truth."""

import numpy as np
import pandas as pd

from glomfeat.metrics import auroc, decide
from glomfeat.naming import pseudonyms
from glomfeat.seeds import seed_for
from glomfeat.stats import case_weights, limits

WORST = 0.1
WITHIN = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations
CASE_COLUMNS = ("arm", "case", "pseudonym", "n_images", "true_percent", "predicted_percent", "error", "split")
ERRORS = ("bias", "mae", "rmse", "icc")
AGREEMENT_COLUMNS = (
    *("arm", "n_cases", "n_images"),
    *(f"{name}{end}" for name in ERRORS for end in ("", "_lo", "_hi")),
    *("loa_lo", "loa_hi", "reference", "worst_cases", "worst_bias", "worst_mae", "worst_rmse", "split"),
)


def cases_table(run):
    """True and predicted percentage of the positive class of each case, by each arm that has tested it.

    Decisions are out of fold and at the threshold that each trial chose; of more than two classes, the largest
    score decides. Percentages are averaged over the repeats that tested the case.

    Parameters
    ----------
    run : glomfeat.report.tables.Run

    Returns
    -------
    pandas.DataFrame
        Columns `CASE_COLUMNS`, percentages in 0..100, `error` is predicted less true. Arms are in the order of the
        plan, cases in order of their names.
    """
    labels, cases, classes = run.manifest.labels, run.manifest.cases, len(run.manifest.classes)
    names = np.unique(run.manifest.table["case"].to_numpy(str))
    shown = pseudonyms(names)
    frames = []
    for arm, trials in _by_arm(run).items():
        tested = np.zeros((3, len(names)))  # images, positive ones, and those called positive
        repeats = np.zeros(len(names))
        for trial in trials:
            rows, record = run.tested(trial), run.record(trial)
            called = decide(np.asarray(record["scores"], float), record["threshold"]) == classes - 1
            values = np.ones(len(rows)), labels[rows] == classes - 1, called
            tested += [np.bincount(cases[rows], value, minlength=len(names)) for value in values]
            repeats[np.unique(cases[rows])] += 1
        seen = np.flatnonzero(repeats)
        images, positive, called = tested[:, seen]
        frame = pd.DataFrame({"arm": arm, "case": names[seen], "n_images": (images / repeats[seen]).astype(int)})
        frame["true_percent"], frame["predicted_percent"] = 100 * positive / images, 100 * called / images
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["case", *CASE_COLUMNS[:1]])
    if frames:
        table["error"] = table["predicted_percent"] - table["true_percent"]
    table = table.assign(pseudonym=table["case"].map(shown), split=run.manifest.split)
    return table.reindex(columns=CASE_COLUMNS)


def _by_arm(run):
    """The trials that are done, by their arm; arms in the order of the plan."""
    found = {}
    for trial in run.trials:
        if run.record(trial)["status"] == "done":
            found.setdefault(str(trial.arm), []).append(trial)
    return found


def icc_agreement(ratings, weights=None):
    """Intraclass correlation for absolute agreement of single ratings, two-way: ICC(2,1) of Shrout & Fleiss (1979).

    McGraw & Wong (1996) call it ICC(A,1). It falls short of 1 where ratings scatter and where one rater is biased.

    Parameters
    ----------
    ratings : ndarray of float, shape (n, k)
        A row a subject, a column a rater.
    weights : ndarray of float, shape (replicates, n), optional
        How often each subject counts in each replicate.

    Returns
    -------
    float, or ndarray of shape (replicates,)
        NaN where all ratings are equal or fewer than two subjects count.

    Examples
    --------
    The example of Shrout & Fleiss (1979), table 2, six targets and four judges:

    >>> judged = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(icc_agreement(judged), 2)
    0.29
    """
    ratings = np.asarray(ratings, float)
    w = np.ones((1, len(ratings))) if weights is None else np.asarray(weights, float)
    smallest = 1e-12 * (1 + np.abs(ratings).max() ** 2)  # what rounding leaves of equal ratings
    ratings = ratings - ratings.mean()
    k, n = ratings.shape[1], w.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_raters = w @ ratings / n[:, None]
        grand = of_raters.mean(axis=1)
        rows = k * (w @ ratings.mean(axis=1) ** 2 - n * grand**2)
        columns = n * ((of_raters - grand[:, None]) ** 2).sum(axis=1)
        total = w @ (ratings**2).sum(axis=1) - n * k * grand**2
        msr, msc = rows / (n - 1), columns / (k - 1)
        mse = np.maximum(total - rows - columns, 0) / ((n - 1) * (k - 1))
        found = np.where(total > smallest, (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n), np.nan)
    found = np.where(np.isfinite(found), found, np.nan)
    return float(found[0]) if weights is None else found


def bland_altman(true, predicted):
    """Bias and 95 % limits of agreement (Bland & Altman 1986).

    Parameters
    ----------
    true, predicted : array of float, shape (n,)

    Returns
    -------
    bias, low, high : float
        Mean of predicted less true, and 1.96 standard deviations of the differences either side of it; limits are
        NaN of fewer than two cases.

    Examples
    --------
    >>> [round(value, 2) for value in bland_altman([0, 50, 100], [10, 50, 90])]
    [0.0, -19.6, 19.6]
    """
    difference = np.asarray(predicted, float) - np.asarray(true, float)
    bias = float(difference.mean())
    spread = WITHIN * float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    return bias, bias - spread, bias + spread


def reference_arm(run):
    """The finished arm with the best AUROC, by which the worst tenth of cases is fixed; None if none is finished."""
    planned = {}
    for trial in run.trials:
        planned[str(trial.arm)] = planned.get(str(trial.arm), 0) + 1
    areas = {}
    for arm, trials in _by_arm(run).items():
        if len(trials) == planned[arm]:
            of_trials = [
                auroc(run.manifest.labels[run.tested(trial)], np.asarray(run.record(trial)["scores"], float))
                for trial in trials
            ]
            areas[arm] = np.nanmean(of_trials)
    return max(areas, key=areas.get) if areas else None


def worst_cases(cases, reference, share=WORST):
    """The cases whose percentage the reference arm gets most wrong, at least one.

    Parameters
    ----------
    cases : pandas.DataFrame
        Of `cases_table`.
    reference : str
        An arm.
    share : float
        Of its cases, rounded up.

    Returns
    -------
    list of str
        Of equal errors, cases with more images come first.
    """
    mine = cases[cases["arm"] == reference]
    order = mine.assign(distance=mine["error"].abs()).sort_values(
        ["distance", "n_images", "case"], ascending=[False, False, True]
    )
    return order["case"].head(int(np.ceil(share * len(mine)))).tolist()


def agreement_table(run, reference=None):
    """How far each arm's percentages are from the true ones, over cases, each case counting once.

    The worst tenth of cases is fixed by one reference arm and is the same for every arm. The reference was bound to
    do badly there, because the cases were chosen by its errors; compare the other arms with each other.

    Parameters
    ----------
    run : glomfeat.report.tables.Run
    reference : str, optional
        An arm; else the finished one with the best AUROC.

    Returns
    -------
    pandas.DataFrame
        Columns `AGREEMENT_COLUMNS`, in percentage points but for `icc`. `_lo` and `_hi` are 95 % limits of the
        bootstrap over cases; `loa_lo` and `loa_hi` are the limits of agreement.

    Raises
    ------
    ValueError
        The reference has not tested any case.
    """
    cases = cases_table(run)
    reference = reference or reference_arm(run)
    if reference and reference not in set(cases["arm"]):
        raise ValueError(
            f"no finished trial of the reference {reference!r}: there are {', '.join(cases['arm'].unique())}"
        )
    worst = set(worst_cases(cases, reference)) if reference else set()
    names = np.unique(run.manifest.table["case"].to_numpy(str))
    drawn = case_weights(run.manifest.labels, run.manifest.cases, seed=seed_for(run.seed, "bootstrap"))
    rows = []
    for arm, mine in cases.groupby("arm", sort=False):
        true, predicted = (mine[f"{name}_percent"].to_numpy() for name in ("true", "predicted"))
        row = {"arm": arm, "n_cases": len(mine), "n_images": mine["n_images"].sum(), "reference": reference}
        _, row["loa_lo"], row["loa_hi"] = bland_altman(true, predicted)
        point = _errors(true, predicted, np.ones((1, len(mine))))
        sampled = _errors(true, predicted, drawn[:, np.searchsorted(names, mine["case"].to_numpy(str))])
        for name in ERRORS:
            row[name] = float(point[name][0])
            row[f"{name}_lo"], row[f"{name}_hi"] = limits(sampled[name])
        among = mine["case"].isin(worst).to_numpy()
        row["worst_cases"] = int(among.sum())
        if among.any():
            of_worst = _errors(true[among], predicted[among], np.ones((1, among.sum())))
            row |= {f"worst_{name}": float(of_worst[name][0]) for name in ERRORS[:3]}
        rows.append(row)
    return pd.DataFrame(rows).assign(split=run.manifest.split).reindex(columns=AGREEMENT_COLUMNS)


def _errors(true, predicted, weights):
    """Bias, mean absolute error, root mean squared error and ICC of each replicate."""
    difference, total = predicted - true, weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "bias": weights @ difference / total,
            "mae": weights @ np.abs(difference) / total,
            "rmse": np.sqrt(weights @ difference**2 / total),
            "icc": icc_agreement(np.column_stack([true, predicted]), weights),
        }
