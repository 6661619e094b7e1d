"""How sure a figure is when images come in cases: the case is the unit.

There are two ways to resample cases. The bootstrap over cases draws them with replacement. The jackknife leaves each
out once; its limits cover where percentiles of the bootstrap do not, because a case of very many images pulls a figure
towards itself: a replicate that holds the case does not show that, and leaving it out does.
"""

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

REPLICATES = 2000
ENOUGH = 0.5  # share of the replicates of a bootstrap that must count
UNITS = 500
LEVEL = 0.95
ROUNDING = 1e-12  # a figure this close to a bound counts as at it: sums of weights leave 1 - 1e-16 of 1


def case_weights(n_cases, replicates=REPLICATES, seed=0):
    """How often each case is drawn in each replicate of a bootstrap over cases.

    Whole cases are drawn with replacement, each as likely as any other (the randomized cluster bootstrap of Field &
    Welsh 2007, Journal of the Royal Statistical Society B 69:369; Davison & Hinkley 1997, section 3.8). A replicate may
    lack a class and then has no AUROC: it does not count. Draws within strata of the classes that cases hold would keep
    every class, but a case that is alone in its stratum would be drawn once in every replicate, and figures would vary
    too little.

    Parameters
    ----------
    n_cases : int
    replicates : int
    seed : int

    Returns
    -------
    ndarray of float32, shape (replicates, n_cases)
        Each row sums to the number of cases.

    Examples
    --------
    >>> case_weights(2, 3).sum(axis=1).tolist()
    [2.0, 2.0, 2.0]
    """
    drawn = np.random.default_rng(seed).multinomial(n_cases, np.full(n_cases, 1 / n_cases), replicates)
    return drawn.astype(np.float32)


def leave_out_weights(n_cases):
    """How often each case counts in each replicate of a jackknife: once, except for the one left out.

    Examples
    --------
    >>> leave_out_weights(3).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    return 1 - np.eye(n_cases)


def resampling_units(cases, most=UNITS, seed=0):
    """The unit that each image is resampled with: its case or, with very many cases, a random group of cases.

    A group is then left out or drawn, which costs no more for 100,000 cases than for `most` (random groups: Wolter
    2007, Introduction to Variance Estimation, chapter 4).

    Parameters
    ----------
    cases : ndarray of int, shape (n,)
        Codes 0 .. number of cases - 1.
    most : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (number of cases,)
        The unit of each case.

    Examples
    --------
    >>> resampling_units(np.array([0, 0, 1, 2])).tolist()
    [0, 1, 2]
    >>> np.bincount(resampling_units(np.arange(9), most=3)).tolist()
    [3, 3, 3]
    """
    n_cases = cases.max() + 1
    if n_cases <= most:
        return np.arange(n_cases)
    return np.random.default_rng(seed).permutation(n_cases) % most


def enough(counts):
    """Whether enough replicates of a bootstrap count for what is taken from their tails: at least half of them.

    Of 2,000 these are the 1,000 that percentiles take (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
    chapter 19).

    Parameters
    ----------
    counts : ndarray of bool, shape (replicates,)

    Returns
    -------
    bool

    Examples
    --------
    >>> enough(np.array([True, False])), enough(np.array([True, False, False]))
    (True, False)
    """
    return bool(len(counts) and np.mean(counts) >= ENOUGH)


def limits(values):
    """95 % percentile limits of bootstrap replicates.

    Returns
    -------
    low, high : float
        NaN if fewer than half of the replicates are finite.

    Examples
    --------
    >>> limits(np.arange(1001.0))
    (25.0, 975.0)
    """
    values = np.asarray(values)
    counts = np.isfinite(values)
    if not enough(counts):
        return float("nan"), float("nan")
    low, high = np.percentile(values[counts], [2.5, 97.5])
    return float(low), float(high)


def tail_of(cases):
    """The share of replicates to leave out at either end, so that percentiles are as wide as Student's t makes limits.

    With few cases 2.5 % would be too many: replicates vary by (n - 1) / n of what samples vary, and a normal quantile
    takes their variance as known (expanded percentiles: Hesterberg 2015, The American Statistician 69:371).

    Parameters
    ----------
    cases : int
        Two or more.

    Returns
    -------
    float

    Examples
    --------
    >>> [round(tail_of(cases), 4) for cases in (6, 24, 10_000)]
    [0.0024, 0.0173, 0.025]
    """
    return float(ndtr(-np.sqrt(cases / (cases - 1)) * stdtrit(cases - 1, (1 + LEVEL) / 2)))


def jackknife(left_out):
    """Standard error of a figure, and its degrees of freedom, from leaving out each case.

    The squared error is (n - 1) / n times the sum of squared deviations (Tukey 1958). A few large cases may make up
    most of it; it then is as uncertain as one from few cases. Its degrees of freedom are Satterthwaite's (1946) for a
    sum of squares of unequal expectation, (sum d^2)^2 / (sum d^4 / 3), where d^4 / 3 stands for the square of the
    expectation of d^2, as it does for normal d.

    Parameters
    ----------
    left_out : ndarray of float, shape (cases,)
        The figure without each case.

    Returns
    -------
    error, freedom : float
        NaN for fewer than two cases, or if the figure is not finite without one of them, because nothing tells then how
        far that case moves it. Without any spread the error is 0.

    Examples
    --------
    >>> error, freedom = jackknife(np.array([1.0, 3.0]))
    >>> error, freedom
    (1.0, 1.0)
    """
    left_out = np.asarray(left_out, np.float64)
    n = len(left_out)
    if n < 2 or not np.isfinite(left_out).all():
        return float("nan"), float("nan")
    apart = left_out - left_out.mean()
    largest = np.abs(apart).max()
    if largest <= 1e-14 * np.abs(left_out).max():
        return 0.0, n - 1.0
    apart = apart / largest
    squares = (apart**2).sum()
    freedom = min(n - 1.0, 3 * squares**2 / (apart**4).sum())
    return float(largest * np.sqrt((n - 1) / n * squares)), float(freedom)


def counted(left_out, holders=None):
    """The error and the freedom of `jackknife` for a figure that depends on some cases, and how many these are.

    The error is NaN for fewer than two cases, and the freedom at most one less than there are.
    """
    error, freedom = jackknife(left_out)
    holders = len(left_out) if holders is None else holders
    return (error if holders > 1 else float("nan")), min(freedom, holders - 1), holders


def jackknife_limits(value, left_out, low=0.0, high=1.0, holders=None):
    """95 % limits of a figure that lies between two bounds, from leaving out each case.

    Value and standard error are carried to the logit of the share of the way from one bound to the other (delta
    method), Student's quantile is taken there with the freedom of `jackknife`, and its limits are carried back, so that
    they lie within the bounds. If clusters are few or of uneven size, the jackknife over clusters with few degrees of
    freedom covers where the bootstrap and the sandwich do not: Imbens & Kolesar 2016 (Review of Economics and
    Statistics 98:701), MacKinnon, Nielsen & Webb 2023 (Journal of Applied Econometrics 38:671). ``python -m
    studies.coverage`` shows it on the structure of a data set.

    Parameters
    ----------
    value : float
    left_out : ndarray of float, shape (cases,)
        The figure without each case.
    low, high : float
        The bounds. At a bound nothing tells how alike images of a case are: the limit on the other side is then the one
        that Clopper & Pearson (1934) give for as many trials as there are cases, all of which agree. That is as if all
        images of a case were one, so that no case counts for more than it can tell.
    holders : int, optional
        How many cases that is, from `glomfeat.metrics.own_cases.own_cases`; all of `left_out` by default. Degrees of
        freedom are at most one less.

    Returns
    -------
    low, high : float
        NaN where the figure or one of `left_out` is, or for fewer than two cases.

    Examples
    --------
    >>> [round(end, 3) for end in jackknife_limits(0.9, np.r_[np.full(50, 0.899), np.full(50, 0.901)])]
    [0.878, 0.918]
    >>> [round(end, 3) for end in jackknife_limits(1.0, np.ones(100))]
    [0.964, 1.0]
    """
    error, freedom, holders = counted(left_out, holders)
    if not np.isfinite(value) or not np.isfinite(error):
        return float("nan"), float("nan")
    share, error = (value - low) / (high - low), error / (high - low)
    if share <= ROUNDING or share >= 1 - ROUNDING:
        reach = (high - low) * (1 - ((1 - LEVEL) / 2) ** (1 / holders))
        return (float(low), float(low + reach)) if share <= ROUNDING else (float(high - reach), float(high))
    if not error:
        return float(value), float(value)
    ends = logit_limits(share, error, freedom)
    return float(low + (high - low) * ends[0]), float(low + (high - low) * ends[1])


def logit_limits(share, error, freedom):
    """95 % limits of a share, by Student's t on the logit scale (delta method).

    Parameters
    ----------
    share : float
        Between 0 and 1, exclusive.
    error, freedom : float
        Its standard error, and the degrees of freedom of that.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> [round(end, 3) for end in logit_limits(0.9, 0.05, 100)]
    [0.749, 0.964]
    """
    step, logit = stdtrit(freedom, (1 + LEVEL) / 2) * error / (share * (1 - share)), np.log(share / (1 - share))
    low, high = (1 / (1 + np.exp(-np.clip(logit + side, -700, 700))) for side in (-step, step))
    return float(low), float(high)


def open_limits(value, left_out, holders=None):
    """95 % limits of a figure without bounds, from leaving out each case: Student's t around it.

    Parameters
    ----------
    value, left_out, holders
        As for `jackknife_limits`.

    Returns
    -------
    low, high : float
        NaN where the figure or one of `left_out` is, for fewer than two cases, or if no case changes it.

    Examples
    --------
    >>> [round(end, 2) for end in open_limits(1.0, np.array([0.9, 1.0, 1.1]))]
    [0.5, 1.5]
    """
    error, freedom, _ = counted(left_out, holders)
    if not np.isfinite(value) or not error > 0:
        return float("nan"), float("nan")
    step = stdtrit(freedom, (1 + LEVEL) / 2) * error
    return float(value - step), float(value + step)


def open_p(difference, left_out, holders=None):
    """Two-sided p-value of no difference that goes with `open_limits`: below 0.05 exactly where they exclude 0.

    Examples
    --------
    >>> round(open_p(0.5, np.array([0.4, 0.5, 0.6])), 3), open_p(0.5, np.array([0.5, 0.5]))
    (0.049, nan)
    """
    error, freedom, _ = counted(left_out, holders)
    return float(2 * stdtr(freedom, -abs(difference) / error)) if error > 0 else float("nan")


def apart_limits(value, limits, other, other_limits):
    """95 % limits of the difference of two figures from independent samples, from the limits of both.

    On each side the squared distances between value and limit add up, so that limits that are asymmetric, like those of
    the logit scale, stay so (MOVER: Newcombe 1998, Statistics in Medicine 17:873; Zou & Donner 2008, Statistics in
    Medicine 27:1693).

    Parameters
    ----------
    value, other : float
    limits, other_limits : (float, float)

    Returns
    -------
    low, high : float
        NaN if any of the six is.

    Examples
    --------
    >>> [round(end, 3) for end in apart_limits(0.8, (0.7, 0.87), 0.9, (0.86, 0.93))]
    [-0.204, -0.019]
    """
    difference = value - other
    low = difference - np.hypot(value - limits[0], other_limits[1] - other)
    high = difference + np.hypot(limits[1] - value, other - other_limits[0])
    return float(low), float(high)


def p_of_limits(value, low, high, freedom):
    """Two-sided p-value of no difference that goes with the 95 % limits of one.

    The distance to the limit on the side of 0 is taken as Student's quantile times the standard error (Altman & Bland
    2011, BMJ 343:d2304, for a normal quantile). p is below 0.05 exactly where the limits exclude 0.

    Parameters
    ----------
    value, low, high : float
    freedom : float
        Degrees of freedom.

    Returns
    -------
    float
        NaN if there are no limits.

    Examples
    --------
    >>> round(p_of_limits(0.2, 0.0, 0.3, 10), 3), round(p_of_limits(0.2, 0.1, 0.5, 10), 4)
    (0.05, 0.0012)
    """
    reach = value - low if value > 0 else high - value
    with np.errstate(divide="ignore"):
        return float(2 * stdtr(freedom, -stdtrit(freedom, (1 + LEVEL) / 2) * np.divide(abs(value), reach)))


def paired_p(difference, holders=None):
    """Two-sided p-value of no difference, from paired bootstrap replicates of a difference.

    Twice the smaller tail beyond zero, counting the observed sample as one more replicate (Davison & Hinkley
    1997, section 4.2). With few cases all replicates are soon on one side of zero, so p is never below that of the sign
    test in which all cases agree.

    Parameters
    ----------
    difference : ndarray of float, shape (replicates,)
        Replicates that are not finite do not count.
    holders : int, optional
        How many cases the figures depend on, from `glomfeat.metrics.own_cases.own_cases`; many by default.

    Returns
    -------
    float
        NaN if fewer than half of the replicates count, or if the figures depend on a single case.

    Examples
    --------
    >>> paired_p(np.full(1999, 0.1)), paired_p(np.full(1999, 0.1), holders=6)
    (0.001, 0.03125)
    """
    counts = np.isfinite(difference)
    if not enough(counts) or (holders is not None and holders < 2):
        return float("nan")
    difference = difference[counts]
    tail = min((difference <= 0).sum(), (difference >= 0).sum())
    least = 0.0 if holders is None else 2.0 ** (1 - holders)
    return float(min(1.0, max(least, 2 * (tail + 1) / (len(difference) + 1))))
