"""How much each case and each image moves an arm's AUROC."""

from dataclasses import dataclass

import numpy as np

from glomfeat.metrics.placements import influences
from glomfeat.metrics.resampling import leave_out_weights
from glomfeat.metrics.scores import auroc
from glomfeat.results.parts import rank, regroup, trial_parts


@dataclass(frozen=True)
class Moved:
    """The AUROC of an arm, and how much each case and each image moves it.

    Attributes
    ----------
    areas : ndarray of float, shape (trials,)
        For each trial that tests all classes.
    left_out : ndarray of float64, shape (units,)
        Their mean without each case, as in `glomfeat.results.parts.find_limits`.
    influence : ndarray of float64, shape (n,)
        The mean over these trials of `glomfeat.metrics.placements.influences`; 0 for images that none of them tests.
    tested : ndarray of bool, shape (n,)
    """

    areas: np.ndarray
    left_out: np.ndarray
    influence: np.ndarray
    tested: np.ndarray

    @property
    def area(self):
        """The mean over trials; NaN if no trial tests all classes."""
        return float(self.areas.mean()) if len(self.areas) else float("nan")


def moved_by(run, trials, units):
    """Work out how much each case and each image moves the AUROC of an arm's finished trials.

    Parameters
    ----------
    run : Run
    trials : list of Trial
    units : ndarray of int64, shape (number of cases,)
        From `glomfeat.results.parts.units_of`.

    Returns
    -------
    Moved
    """
    total, tested, areas = np.zeros(len(run.manifest)), np.zeros(len(run.manifest), bool), []
    for rows, labels, score in scored_trials(run, trials):
        areas.append(auroc(labels, score))
        total[rows] += influences(labels, score)
        tested[rows] = True
    without = without_each(run, trials, units) if areas else []
    return Moved(np.array(areas), np.asarray(without, np.float64), total / max(1, len(areas)), tested)


def without_each(run, trials, units):
    """The mean AUROC of an arm's finished trials without each of some units, as in `find_limits`; shape (units,)."""
    return rank(regroup(trial_parts(run, trials), units), leave_out_weights(units.max() + 1))


def scored_trials(run, trials):
    """Yield rows, labels and scores of each finished trial that tests all classes.

    Parameters
    ----------
    run : Run
    trials : list of Trial

    Yields
    ------
    (ndarray of int64, ndarray of int64, ndarray of float64)
    """
    classes = len(run.manifest.classes)
    for trial, record in run.done(trials).items():
        rows = run.tested(trial)
        labels = run.manifest.labels[rows]
        if len(np.unique(labels)) == classes:
            yield rows, labels, np.asarray(record["scores"], np.float64)
