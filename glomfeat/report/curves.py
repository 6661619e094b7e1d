"""The curves behind the figures: ROC, precision-recall and reliability, with bands of a bootstrap over cases."""

from dataclasses import dataclass

import numpy as np

from glomfeat.report.tables import trial_parts

GRID = np.linspace(0, 1, 101)
BINS = 10


@dataclass(frozen=True)
class Scored:
    """A trial's test rows, the positive class against all others.

    Attributes
    ----------
    repeat : int
    y : ndarray of bool
    cases : ndarray of int
    score : ndarray of float
        Of the positive class.
    threshold : float
        NaN of more than two classes.
    """

    repeat: int
    y: np.ndarray
    cases: np.ndarray
    score: np.ndarray
    threshold: float


def scored(run, arm):
    """The finished trials of an arm.

    Parameters
    ----------
    run : glomfeat.report.tables.Run
    arm : str

    Returns
    -------
    list of Scored
    """
    positive = len(run.manifest.classes) - 1
    return [
        Scored(
            part.repeat,
            part.y == positive,
            part.cases,
            part.score if part.score.ndim == 1 else part.score[:, -1],
            part.threshold,
        )
        for part in trial_parts(run, [trial for trial in run.trials if str(trial.arm) == arm])
    ]


def _steps(part, weights):
    """Weight of positives and negatives at each distinct score or above: two arrays (replicates, scores)."""
    order = np.argsort(-part.score, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(part.score[order]) != 0, True])
    of_rows = weights[:, part.cases][:, order]
    ones = np.cumsum(of_rows * part.y[order], axis=1)[:, ends]
    return ones, np.cumsum(of_rows * ~part.y[order], axis=1)[:, ends]


def _mean_curve(parts, weights, curve):
    """A curve of each trial on `GRID`, averaged over the trials in which a replicate has both classes."""
    total, times = np.zeros((len(weights), len(GRID))), np.zeros((len(weights), 1))
    for part in parts:
        ones, zeros = _steps(part, weights)
        for k in np.flatnonzero((ones[:, -1] > 0) & (zeros[:, -1] > 0)):
            total[k] += curve(ones[k], zeros[k])
            times[k] += 1
    with np.errstate(invalid="ignore"):
        return total / times


def roc(parts, weights):
    """Mean ROC curve over trials at equal false-positive rates ("vertical averaging", Fawcett 2006).

    Scores of different folds come of different models, so the curves are averaged and not pooled; the area under
    the mean curve is the AUROC of the tables.

    Parameters
    ----------
    parts : list of Scored
    weights : ndarray of float, shape (replicates, cases)

    Returns
    -------
    ndarray of float, shape (replicates, len(GRID))
        Sensitivity at each false-positive rate of `GRID`.

    Examples
    --------
    >>> part = Scored(0, np.array([False, True, True]), np.arange(3), np.array([0.2, 0.1, 0.9]), 0.5)
    >>> roc([part], np.ones((1, 3)))[0, [0, 50, 100]].tolist()
    [0.5, 0.5, 1.0]
    """

    def curve(ones, zeros):
        rate, height = np.r_[0, zeros] / zeros[-1], np.r_[0, ones] / ones[-1]
        # the top of a vertical step, and the straight line from it to the next point
        at = np.searchsorted(rate, GRID, side="right") - 1
        after = np.minimum(at + 1, len(rate) - 1)
        width = np.where(rate[after] > rate[at], rate[after] - rate[at], 1)
        return height[at] + (height[after] - height[at]) * (GRID - rate[at]) / width

    return _mean_curve(parts, weights, curve)


def precision_recall(parts, weights):
    """Mean precision over trials at equal recall: that of the highest threshold which reaches the recall.

    Parameters and returns are those of `roc`.
    """

    def curve(ones, zeros):
        recall, precision = ones / ones[-1], ones / np.maximum(ones + zeros, 1e-12)
        first = int(np.argmax(ones > 0))
        return precision[np.maximum(np.searchsorted(recall, GRID - 1e-12), first)]

    return _mean_curve(parts, weights, curve)


def band(curves):
    """95 % limits of replicates of a curve, point by point.

    Returns
    -------
    low, high : ndarray of float, shape (len(GRID),)
    """
    finite = curves[np.isfinite(curves).all(axis=1)]
    if not len(finite):
        return np.full((2, curves.shape[1]), np.nan)
    return np.percentile(finite, [2.5, 97.5], axis=0)


def reliability(parts, weights):
    """How often images of a score are positive, in ten bins of equal width.

    Parameters
    ----------
    parts : list of Scored
    weights : ndarray of float, shape (replicates, cases)
        The first row counts every case once.

    Returns
    -------
    score, share, low, high, images : ndarray of float, shape (bins that hold images,)
        Mean score, share of positives with its 95 % limits, and number of images per repeat.
    """
    y, cases, score = (np.concatenate([getattr(part, name) for part in parts]) for name in ("y", "cases", "score"))
    bins = np.minimum((score * BINS).astype(int), BINS - 1)
    found = []
    for k in range(BINS):
        mine = bins == k
        if mine.any():
            of_rows = weights[:, cases[mine]]
            total = of_rows.sum(axis=1)
            share = (of_rows @ y[mine])[total > 0] / total[total > 0]
            repeats = len({part.repeat for part in parts})
            found.append((score[mine].mean(), share[0], *np.percentile(share, [2.5, 97.5]), mine.sum() / repeats))
    return tuple(np.array(found).T)
