"""What is left of errors when what an arm is least sure of is handed to the pathologist."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.scores import decide, two_class
from glomfeat.results.parts import arms_of, regroup, trial_parts, units_of

KEPT = np.arange(20, 0, -1) / 20
BY = ("image", "case")
COLUMNS = (
    *("arm", "by", "handed_over", "risk", "risk_lo", "risk_hi", "sensitivity", "specificity"),
    *("n_images", "n_cases", "split"),
)


def abstention_table(run):
    """The risk of each arm, the share of calls that are wrong, against how much it calls (Geifman & El-Yaniv 2017).

    How sure a call is, is how far its score lies from the threshold of its trial on the way to 0 or 1; of more than two
    classes it is the largest score. The least sure images of a repeat are handed over, or the cases whose images are
    least sure on average. Repeats are averaged. Limits are from leaving out each case, with the cut-off as it is.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: a row for each share that is handed over, by images and, where there are cases, by cases.
        Sensitivity and specificity are of the images that are kept, of two classes; so are ``n_images``, a repeat, and
        ``n_cases``.
    """
    rows, units, two = [], units_of(run), len(run.manifest.classes) == 2
    for arm, trials in arms_of(run).items():
        parts = regroup(trial_parts(run, trials), units)
        for by in BY if run.manifest.by_case else BY[:1]:
            if parts:
                head = {"arm": arm, "by": by, "split": run.manifest.split}
                rows += [head | row for row in _rows(parts, by, two)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(parts, by, two):
    n_cases, repeats = max(part.cases.max() for part in parts) + 1, sorted({part.repeat for part in parts})
    risks, kept, rates = [], 0, []
    for repeat in repeats:
        mine = [part for part in parts if part.repeat == repeat]
        y, cases = (np.concatenate([getattr(part, of) for part in mine]) for of in ("y", "cases"))
        call, sure = (np.concatenate(of) for of in zip(*map(calls, mine), strict=True))
        levels = _levels(sure, cases, by)
        wrong, of = (_kept(levels, cases, n_cases, rows) for rows in (call != y, np.ones(len(y), bool)))
        risks.append(ratio_by_case(wrong, of))
        kept = kept + of
        if two:
            pairs = ((y == label) & (call == y) for label in (1, 0)), (y == label for label in (1, 0))
            hits, images = ([_kept(levels, cases, n_cases, rows).sum(axis=0) for rows in side] for side in pairs)
            with np.errstate(invalid="ignore"):
                rates.append(np.divide(hits, images))
    whole, without = (np.mean(side, axis=0) for side in zip(*risks, strict=True))
    rates = np.mean(rates, axis=0) if two else np.full((2, len(KEPT)), np.nan)
    for k, share in enumerate(KEPT):
        own = kept[:, k] > 0
        low, high = jackknife_limits(whole[k], without[own, k])
        found = {"handed_over": round(1 - share, 2), "risk": whole[k], "risk_lo": low, "risk_hi": high}
        found |= {"sensitivity": rates[0][k], "specificity": rates[1][k]}
        yield found | {"n_images": kept[:, k].sum() / len(repeats), "n_cases": int(own.sum())}


def calls(part):
    """The calls of a trial, and how sure each is.

    Parameters
    ----------
    part : Part

    Returns
    -------
    call : ndarray of int64, shape (n,)
    sure : ndarray of float64, shape (n,)
        In 0..1.

    Examples
    --------
    >>> from glomfeat.results.parts import Part
    >>> part = Part(0, np.array([0, 1]), np.array([0, 1]), np.array([0.1, 0.6]), 0.2)
    >>> [found.round(2).tolist() for found in calls(part)]
    [[0, 1], [0.5, 0.5]]
    """
    score, cut = part.score, part.threshold
    if not two_class(score):
        return decide(score), score.max(axis=1)
    call = decide(score, cut)
    room = np.where(call == 1, 1 - cut, cut)
    apart = np.abs(score - cut)
    return call, np.divide(apart, room, out=np.ones_like(apart), where=room > 0)


def _levels(sure, cases, by):
    """For how many of `KEPT` each image is kept: those of the surest images, or of the surest cases."""
    if by == "image":
        rank = np.empty(len(sure), np.int64)
        rank[np.argsort(-sure, kind="stable")] = np.arange(len(sure))
        return _kept_at(rank, len(sure))
    held, local = np.unique(cases, return_inverse=True)
    mean = case_sums(sure, local, len(held)) / np.bincount(local)
    rank = np.empty(len(held), np.int64)
    rank[np.argsort(-mean, kind="stable")] = np.arange(len(held))
    return _kept_at(rank, len(held))[local]


def _kept_at(rank, n):
    counts = np.maximum(1, np.round(KEPT * n))  # falls from level to level
    return (rank[:, None] < counts).sum(axis=1)


def _kept(levels, cases, n_cases, rows):
    """How many of some images of each case (row) are kept at each of `KEPT` (column)."""
    width = len(KEPT) + 1
    counts = np.bincount(cases[rows] * width + levels[rows], minlength=n_cases * width).reshape(n_cases, width)
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].astype(float)
