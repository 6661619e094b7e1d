"""Limits for an arm's procedure, trained again on other cases, beside those of its fitted models."""

import numpy as np

from glomfeat.data.splits import other_folds
from glomfeat.metrics.paired import resampled_mean
from glomfeat.metrics.procedure import procedure_limits, retraining
from glomfeat.metrics.resampling import jackknife
from glomfeat.metrics.scores import auroc
from glomfeat.metrics.table import limits_of
from glomfeat.results.comparisons import tested_for_trained
from glomfeat.results.moved import scored_trials, without_each
from glomfeat.results.words import between

COLUMNS = (*limits_of("auroc_procedure"), "auroc_procedure_by")
LEFT_OUT, CORRECTED = "folds left out", "corrected variance"
MEANS = {
    LEFT_OUT: "the variances of testing, over {unit}s, and of training, from models that were fitted without a fold "
    "more",
    CORRECTED: "the corrected variance over trials of Nadeau and Bengio (2003)",
}


def pairs_serve(run):
    """Whether the folds of each repeat serve each other as inner folds, so that models without two folds were fitted.

    Parameters
    ----------
    run : Run

    Returns
    -------
    bool
    """
    labels, cases = run.manifest.labels, run.manifest.cases
    return all(other_folds(run.folds, labels, cases, repeat) for repeat in run.folds["repeat"].unique())


def limits_of_procedure(run, trials, limits, pairs, units):
    """95 % limits of the AUROC that an arm's procedure has when it is trained again on other cases.

    Parameters
    ----------
    run : Run
    trials : list of Trial
        Trials of the arm.
    limits : (float, float)
        Limits of the fitted models.
    pairs : bool
        From `pairs_serve`.
    units : ndarray of int64, shape (number of cases,)
        From `glomfeat.results.parts.units_of`.

    Returns
    -------
    dict of str to object
        The columns `COLUMNS`. They come from leaving out folds (`glomfeat.metrics.procedure.retraining`) if all trials
        are done and inner scores are from models without two folds: those of heads, and of means of heads. Otherwise
        they come from the corrected variance of `glomfeat.metrics.paired.resampled_t` over trials. Empty for a single
        trial.
    """
    areas = np.array([auroc(labels, score) for _, labels, score in scored_trials(run, trials)])
    inner = np.array([run.record(trial).get("inner_auroc", np.nan) for trial in trials], np.float64)
    learnt_by_nets = any(arm.net for trial in trials[:1] for arm in (trial.arm, *trial.arm.members))
    if pairs and not learnt_by_nets and len(areas) == len(trials) and np.isfinite(inner).all():
        repeats = len({trial.repeat for trial in trials})
        error, freedom = jackknife(without_each(run, trials, units))
        training = retraining(inner.reshape(repeats, -1), areas.reshape(repeats, -1))
        return _named(procedure_limits(float(areas.mean()), (error**2, freedom), training, limits), LEFT_OUT)
    value, error, freedom = resampled_mean(areas, tested_for_trained(run, run.done(trials)))
    if not np.isfinite([value, error, *limits]).all():
        return {}
    return _named(procedure_limits(float(value), (error**2, freedom), (0.0, 1.0), limits), CORRECTED)


def _named(limits, by):
    return dict(zip(COLUMNS, (*limits, by), strict=True))


def procedure_in_words(row, unit="case"):
    """Say in a sentence which limits are for what.

    Parameters
    ----------
    row : dict
        The best arm's, from `glomfeat.results.tables.results_table`.
    unit : str

    Returns
    -------
    str
        Empty if the limits of its procedure are not known. Limits that are no wider are not named: training again adds
        something, and here it is only too little to be estimated.
    """
    low, high, by = (row[name] for name in COLUMNS)
    if not np.isfinite([low, high]).all():
        return ""
    models = between(*(row[name] for name in limits_of("auroc")))
    found, said = (
        between(low, high),
        f"The limits of the best AUROC, {models}, are for these fitted models on other {unit}s.",
    )
    if found == models:
        return said
    again = f"If the same procedure were trained again on other {unit}s, they would be {found}"
    return f"{said} {again} (by {MEANS[by].format(unit=unit)})."
