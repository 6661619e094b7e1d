"""Corrections for comparing many arms: the best of them is the luckiest, and some difference is large by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from glomfeat.metrics.resampling import enough

DRAWS = 20_000
ALPHA = 0.05


@dataclass(frozen=True)
class Best:
    """How the arm that looks best does on cases that had no part in choosing it.

    Attributes
    ----------
    value : float
        The corrected figure; at most the one that was seen.
    figures : ndarray of float, shape (replicates,)
        For each replicate, the figure of the arm chosen in it.
    chosen : ndarray of float, shape (arms,)
        How often each arm was the best one, as a share of the replicates; arms that are equally good share a replicate.
    shared : float
        The share of replicates in which several arms are equally good.
    replicates : int
        How many replicates count.
    """

    value: float
    figures: np.ndarray
    chosen: np.ndarray
    shared: float
    replicates: int


def best_of_many(seen: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> Best:
    """The figure of the best of many arms, corrected for having been chosen among them.

    In each replicate of a bootstrap over cases, the arm that is best on the drawn cases is chosen, and judged by those
    that were not drawn; the corrected figure is the mean over replicates (BBC-CV: Tsamardinos, Greasidou & Borboudakis
    2018, Machine Learning 107:1895). If several arms are equally good, none is preferred: the replicate has the mean of
    their figures. Nothing is fitted again.

    The cases that are not drawn are few, so more of the pairs that make up an AUROC come from one case, whose images
    are alike. The effect of that alone on an arm, the mean of its figures over all replicates less its figure on all
    cases, is subtracted. It is averaged over all arms that are ever chosen: the effect for the chosen arm alone is
    partly its luck with the large cases, which weigh more among all cases than among few.

    Parameters
    ----------
    seen : ndarray of float, shape (arms,)
        The figure of each arm on all cases.
    inside, outside : ndarray of float, shape (arms, replicates)
        The figure of each arm on the cases that a replicate has drawn, and on those that it has not. Replicates in
        which either is not finite for some arm do not count.

    Returns
    -------
    Best
        NaN if fewer than half of the replicates count.

    Examples
    --------
    >>> inside, outside = np.array([[0.9, 0.7], [0.8, 0.8]]), np.array([[0.7, 0.9], [0.8, 0.8]])
    >>> found = best_of_many(np.array([0.8, 0.8]), inside, outside)
    >>> round(found.value, 3), found.chosen.tolist()
    (0.75, [0.5, 0.5])
    """
    counts = np.isfinite(inside).all(axis=0) & np.isfinite(outside).all(axis=0)
    if not enough(counts):
        return Best(float("nan"), np.zeros(0), np.full(len(inside), np.nan), float("nan"), int(counts.sum()))
    inside, outside = inside[:, counts], outside[:, counts]
    best = inside == inside.max(axis=0)
    shares = best / best.sum(axis=0)
    fewer = (outside.mean(axis=1) - seen)[best.any(axis=1)].mean()
    found = (shares * outside).sum(axis=0) - fewer
    value, shared = float(min(found.mean(), seen.max())), float((best.sum(axis=0) > 1).mean())
    return Best(value, found, shares.mean(axis=1), shared, len(found))


def joint_errors(left_out: np.ndarray, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Draw errors of many arms as they would occur together: normal, with the covariance of the jackknife.

    Parameters
    ----------
    left_out : ndarray of float, shape (arms, cases)
        The figure of each arm without each case; a value that is not finite counts as a case that changes nothing.
    seed : int
    draws : int

    Returns
    -------
    ndarray of float64, shape (draws, arms)
        In units in which the largest variance is 1.

    Examples
    --------
    >>> joint_errors(np.array([[0.8, 0.9], [0.8, 0.9]])).std(axis=0).round(1).tolist()
    [1.0, 1.0]
    """
    left_out = np.where(np.isfinite(left_out), left_out, np.nan)
    known = np.isfinite(left_out)
    with np.errstate(invalid="ignore"):
        middle = np.where(known, left_out, 0).sum(axis=1) / known.sum(axis=1)
        apart = np.where(known, left_out - middle[:, None], 0)
    covariance = apart @ apart.T
    values, vectors = np.linalg.eigh(covariance / max(covariance.diagonal().max(initial=0), np.finfo(float).tiny))
    normal = np.random.default_rng(seed).normal(size=(draws, len(left_out)))
    return (normal * np.sqrt(np.maximum(values, 0))) @ vectors.T


def adjust_pairs(
    p: np.ndarray, pairs: Sequence[tuple[int, int]], errors: np.ndarray, sides: Literal[1, 2] = 2
) -> np.ndarray:
    """Adjust p-values of differences for their number, by how large the largest difference is by chance.

    Step-down: each difference is compared with the largest of those that are no clearer than it (max-T: Westfall &
    Young 1993, Resampling-Based Multiple Testing, chapter 2; Romano & Wolf 2005, Econometrica 73:1237). Arms that err
    together cost less than with Holm's correction. Differences have their own degrees of freedom, so that p-values,
    each brought to the normal scale, are compared rather than the statistics.

    Parameters
    ----------
    p : ndarray of float, shape (pairs,)
    pairs : sequence of (int, int)
        The arms of each pair.
    errors : ndarray of float, shape (draws, arms)
        From `joint_errors`.
    sides : {1, 2}
        With one side, p is small if the first arm of a pair is above the second.

    Returns
    -------
    ndarray of float64, shape (pairs,)
        At least p, and at most what Bonferroni's correction gives; NaN where p is NaN.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(20000, 3))
    >>> adjust_pairs(np.array([0.5, 0.02, 0.0001]), [(0, 1), (0, 2), (1, 2)], errors).round(2).tolist()
    [0.5, 0.04, 0.0]
    """
    order = [k for k in np.argsort(-np.asarray(p), kind="stable") if np.isfinite(p[k])]
    return _stepped(p, order, [[pairs[k]] for k in order], errors, sides)


def adjust_to_best(p: np.ndarray, best: int, errors: np.ndarray) -> np.ndarray:
    """Adjust p-values of the differences to the arm that looks best.

    The best one was chosen by the same figures, so each difference is compared with the largest between any two of the
    arms that are no clearer behind: among all arms that equal the best, the chance that one or more is called worse is
    that of the level (as in Tukey's comparisons of all pairs, and in the model confidence set of Hansen, Lunde & Nason
    2011, Econometrica 79:453).

    Parameters
    ----------
    p : ndarray of float, shape (arms,)
        Two-sided; the value for the best arm does not count.
    best : int
    errors : ndarray of float, shape (draws, arms)
        From `joint_errors`.

    Returns
    -------
    ndarray of float64, shape (arms,)
        As from `adjust_pairs`; NaN for the best.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(20000, 3))
    >>> adjust_to_best(np.array([np.nan, 0.5, 0.0001]), 0, errors).round(2).tolist()
    [nan, 0.5, 0.0]
    """
    p = np.where(np.arange(len(p)) == best, np.nan, p)
    order = [k for k in np.argsort(-p, kind="stable") if np.isfinite(p[k])]
    entering = [[(arm, other) for other in [best, *order[:k]]] for k, arm in enumerate(order)]
    return _stepped(p, order, entering, errors, 2)


def critical_p(errors: np.ndarray) -> float:
    """The p-value below which `adjust_to_best` gives less than 0.05, whatever the p-values of the other arms.

    Parameters
    ----------
    errors : ndarray of float, shape (draws, arms)
        From `joint_errors`, for the best arm and all that are compared with it.

    Returns
    -------
    float
        At most 0.05.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(20000, 3))
    >>> round(critical_p(errors[:, :2]), 3), round(critical_p(errors), 2)
    (0.05, 0.02)
    """
    pairs, largest = list(combinations(range(errors.shape[1]), 2)), np.full(len(errors), -np.inf)
    for one, other in pairs:
        np.maximum(largest, _standard(errors[:, one] - errors[:, other], 2), out=largest)
    beyond = int(np.ceil(ALPHA * (1 + len(largest)))) - 2  # so many draws may be as large
    by_chance = 2 * ndtr(-np.sort(largest)[::-1][beyond])
    return float(min(ALPHA, max(by_chance, ALPHA / max(len(pairs), 1))))


def _stepped(
    p: np.ndarray,
    order: Sequence[int],
    entering: Sequence[Sequence[tuple[int, int]]],
    errors: np.ndarray,
    sides: Literal[1, 2],
) -> np.ndarray:
    """Adjust p-values; `order` begins with the largest p, and `entering` has the pairs that each step adds."""
    adjusted, largest, count = np.full(len(p), np.nan), np.full(len(errors), -np.inf), 0
    for k, pairs in zip(order, entering, strict=True):
        for one, other in pairs:
            np.maximum(largest, _standard(errors[:, one] - errors[:, other], sides), out=largest)
        count += len(pairs)
        level = -ndtri(p[k] / sides)
        by_chance = (1 + (largest >= level).sum()) / (1 + len(largest))
        adjusted[k] = max(p[k], min(1.0, by_chance, count * p[k]))
    if order:
        adjusted[order] = np.maximum.accumulate(adjusted[order][::-1])[::-1]
    return adjusted


def _standard(differences: np.ndarray, sides: Literal[1, 2]) -> np.ndarray:
    """Differences in units of their standard deviation; 0 between identical arms."""
    spread = np.sqrt(np.mean(differences**2))
    scaled = differences / spread if spread > 1e-7 else np.zeros_like(differences)
    return np.abs(scaled) if sides == 2 else scaled


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    order = np.argsort(values)
    steps = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    adjusted = np.empty(len(values))
    adjusted[order] = steps
    return [float(f"{value:.12g}") for value in adjusted]
