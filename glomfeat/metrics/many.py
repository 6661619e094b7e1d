"""What is due to many arms: the best of them is the luckiest, and some difference of many is large by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

DRAWS = 20_000


@dataclass(frozen=True)
class Best:
    """What the arm that looks best gives on cases that had no part in choosing it.

    Attributes
    ----------
    value : float
        The corrected figure; what was seen is the most that it can be.
    figures : ndarray of float, shape (replicates,)
        Of each replicate, that of the arm chosen in it.
    chosen : ndarray of float, shape (arms,)
        How often each arm was the best one, as a share of the replicates; arms that are equally best share one.
    shared : float
        In how many replicates several arms are equally best, as a share of them.
    """

    value: float
    figures: np.ndarray
    chosen: np.ndarray
    shared: float


def best_of_many(seen: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> Best:
    """The figure of the best of many arms, corrected for having been chosen among them.

    In each replicate of a bootstrap over cases the arm is chosen that is best on the cases drawn, and judged by those
    that were not drawn; the corrected figure is the mean over replicates (BBC-CV: Tsamardinos, Greasidou & Borboudakis
    2018, Machine Learning 107:1895). Of arms that are equally best none is chosen before the others: the replicate has
    the mean of their figures. Nothing is fitted again.

    The cases that are not drawn are few, so that more of the pairs that an AUROC is made of are of one case, whose
    images are alike. What that alone does to an arm, the mean of its figures over all replicates less that of all
    cases, is taken off. It is the mean over all arms that are ever chosen: that of the chosen arm alone is partly its
    luck with the large cases, which weigh more among all cases than among few.

    Parameters
    ----------
    seen : ndarray of float, shape (arms,)
        The figure of each arm on all cases.
    inside, outside : ndarray of float, shape (arms, replicates)
        The figure of each arm on the cases that a replicate has drawn, and on those that it has not. Replicates where
        either is not finite for some arm do not count.

    Returns
    -------
    Best
        NaN where no replicate counts.

    Examples
    --------
    >>> inside, outside = np.array([[0.9, 0.7], [0.8, 0.8]]), np.array([[0.7, 0.9], [0.8, 0.8]])
    >>> found = best_of_many(np.array([0.8, 0.8]), inside, outside)
    >>> round(found.value, 3), found.chosen.tolist()
    (0.75, [0.5, 0.5])
    """
    counts = np.isfinite(inside).all(axis=0) & np.isfinite(outside).all(axis=0)
    inside, outside = inside[:, counts], outside[:, counts]
    if not counts.any():
        return Best(float("nan"), np.zeros(0), np.full(len(inside), np.nan), float("nan"))
    best = inside == inside.max(axis=0)
    shares = best / best.sum(axis=0)
    fewer = (outside.mean(axis=1) - seen)[best.any(axis=1)].mean()
    found = (shares * outside).sum(axis=0) - fewer
    return Best(float(min(found.mean(), seen.max())), found, shares.mean(axis=1), float((best.sum(axis=0) > 1).mean()))


def joint_errors(left_out: np.ndarray, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Errors of many arms as they would come together: normal, with the covariance of the jackknife.

    Parameters
    ----------
    left_out : ndarray of float, shape (arms, cases)
        The figure of each arm without each case; what is not finite counts as a case that changes nothing.
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
    """Adjust p-values of differences for their number, by how large the largest of them is by chance.

    Step-down: a difference is set beside the largest of those that are no clearer than it (max-T: Westfall & Young
    1993, Resampling-Based Multiple Testing, chapter 2; Romano & Wolf 2005, Econometrica 73:1237). Arms that err
    together cost less than Holm's correction takes. Differences have degrees of freedom of their own, so that p-values
    are compared, each brought to the normal scale, and not the statistics.

    Parameters
    ----------
    p : ndarray of float, shape (pairs,)
    pairs : sequence of (int, int)
        The arms of each.
    errors : ndarray of float, shape (draws, arms)
        Of `joint_errors`.
    sides : {1, 2}
        Of one side, p is small where the first arm of a pair is above the second.

    Returns
    -------
    ndarray of float64, shape (pairs,)
        At least p, and at most what Bonferroni's correction gives; NaN where p is.

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

    The best one was chosen by the same figures, so that each difference is set beside the largest between any two of
    the arms that are no clearer behind: of all arms that equal the best, the chance that one or more is called worse is
    that of the level (as in Tukey's comparisons of all pairs, and in the model confidence set of Hansen, Lunde & Nason
    2011, Econometrica 79:453).

    Parameters
    ----------
    p : ndarray of float, shape (arms,)
        Two-sided; that of the best arm does not count.
    best : int
    errors : ndarray of float, shape (draws, arms)
        Of `joint_errors`.

    Returns
    -------
    ndarray of float64, shape (arms,)
        As `adjust_pairs`; NaN of the best.

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


def _stepped(
    p: np.ndarray,
    order: Sequence[int],
    entering: Sequence[Sequence[tuple[int, int]]],
    errors: np.ndarray,
    sides: Literal[1, 2],
) -> np.ndarray:
    """Adjusted p-values; `order` is from the largest p on, and with each the pairs come in that it is set beside."""
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
    """Differences in units of their standard deviation; 0 of arms that are one and the same."""
    spread = np.sqrt(np.mean(differences**2))
    scaled = differences / spread if spread > 1e-7 else np.zeros_like(differences)
    return np.abs(scaled) if sides == 2 else scaled
