"""Whether two arms that were tried on the same folds differ: by their cases, and by their trials."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, nctdtrinc, stdtr, stdtrit

from glomfeat.metrics.resampling import LEVEL, ROUNDING, counted

POWER = 0.8
EQUIVALENCE_LEVEL = 0.90  # of the limits that go with two one-sided tests at 5 %
ROPE = 0.01


@dataclass(frozen=True)
class Difference:
    """A difference between two arms over the same cases.

    Attributes
    ----------
    value, lo, hi : float
        The difference and its 95 % limits, which are within -1 and 1.
    p : float
        Two-sided, for no difference.
    detectable : float
        The smallest true difference that is found with a power of 80 %, see `least_found`.
    """

    value: float
    lo: float
    hi: float
    p: float
    detectable: float


def paired_difference(value, left_out, holders=None, below=1 - LEVEL):
    """Test a difference between two arms by leaving out each case.

    The statistic is the difference over the standard error of `glomfeat.metrics.resampling.jackknife`, compared with
    Student's t with its degrees of freedom. Unlike a share of bootstrap replicates, the p-value can be as small as
    Holm's correction for many arms needs. The bootstrap's own standard error is too small if some cases are large, see
    ``python -m studies.coverage``.

    Parameters
    ----------
    value : float
        Between two figures from 0 to 1.
    left_out : ndarray of float, shape (cases,)
        The difference without each case.
    holders : int, optional
        How many cases the figures depend on, from `glomfeat.metrics.own_cases.own_cases`; all by default. Degrees of
        freedom are at most one less.
    below : float, optional
        A difference counts as found if p is below this; nothing but `detectable` depends on it.

    Returns
    -------
    Difference
        NaN if nothing is known, or if the figures depend on a single case. If no case changes the difference, limits
        and p are those of `unmoved`.

    Examples
    --------
    >>> found = paired_difference(0.02, 0.02 + 0.0005 * np.r_[np.full(50, 1), np.full(50, -1)])
    >>> round(found.p, 4), round(found.lo, 3), round(found.hi, 3), round(found.detectable, 3)
    (0.0001, 0.01, 0.03, 0.014)
    """
    error, freedom, holders = counted(left_out, holders)
    value = float(value)
    if not np.isfinite(value) or not np.isfinite(error):
        return Difference(value, *[float("nan")] * 4)
    if error == 0:
        low, high = (value + _reach(value, side, (1 - LEVEL) / 2, holders) for side in (-1, 1))
        p = min(1.0, 2 * unmoved(abs(value), abs(value), holders))
        return Difference(value, low, high, p, float("nan"))
    step = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    low, high = np.clip([value - step, value + step], -1, 1)
    p = float(2 * stdtr(freedom, -abs(value) / error))
    return Difference(value, float(low), float(high), p, least_found(error, freedom, below))


def least_found(error, freedom, below=1 - LEVEL, power=POWER):
    """The smallest true difference whose p-value is below a given one in a given share of studies.

    The statistic of a true difference has a noncentral t distribution.

    Parameters
    ----------
    error, freedom : float
        Standard error of the difference, and its degrees of freedom.
    below : float
        Two-sided p-value below which a difference counts as found.
    power : float

    Returns
    -------
    float
        NaN if the error is not known.

    Examples
    --------
    >>> round(least_found(0.01, 1e6), 4), round(least_found(0.01, 1e6, below=0.005), 4)
    (0.028, 0.0365)
    """
    return float(nctdtrinc(freedom, 1 - power, stdtrit(freedom, 1 - below / 2)) * error)


@dataclass(frozen=True)
class Within:
    """Whether a difference is within a given margin.

    Attributes
    ----------
    lo, hi : float
        90 % limits of the difference.
    p_noninferior : float
        One-sided, for a difference of less than -margin.
    p_equivalent : float
        For a difference beyond the margin on either side: the larger of two one-sided p-values.
    """

    lo: float
    hi: float
    p_noninferior: float
    p_equivalent: float


def within_margin(value, left_out, margin, holders=None):
    """Test whether a difference between two arms is within a margin, by leaving out each case.

    Standard error and Student's t are those of `paired_difference`. If the arm is not worse by the margin or more, it
    is non-inferior (Piaggio et al. 2012, JAMA 308:2594); if it is not better by as much either, both are equivalent
    (two one-sided tests: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657).

    Parameters
    ----------
    value : float
    left_out : ndarray of float, shape (cases,)
        The difference without each case.
    margin : float
        More than 0.
    holders : int, optional
        As for `paired_difference`.

    Returns
    -------
    Within
        NaN if nothing is known. If no case changes the difference, as between two arms without errors, everything comes
        from `unmoved`.

    Examples
    --------
    >>> found = within_margin(0.0, 0.0005 * np.r_[np.full(50, 1), np.full(50, -1)], 0.02)
    >>> round(found.p_noninferior, 5), round(found.p_equivalent, 5), round(found.lo, 4), round(found.hi, 4)
    (6e-05, 6e-05, -0.0083, 0.0083)
    """
    error, freedom, holders = counted(left_out, holders)
    value = float(value)
    if not np.isfinite(value) or not np.isfinite(error):
        return Within(*[float("nan")] * 4)
    room = np.array([value + margin, margin - value])  # distance from either side
    if error == 0:
        below, above = unmoved(room[0], value, holders), unmoved(room[1], -value, holders)
        ends = (value + _reach(value, side, (1 - EQUIVALENCE_LEVEL) / 2, holders) for side in (-1, 1))
        return Within(*ends, below, max(below, above))
    below, above = stdtr(freedom, -room / error)
    step = float(stdtrit(freedom, (1 + EQUIVALENCE_LEVEL) / 2)) * error
    low, high = np.clip([value - step, value + step], -1, 1)
    return Within(float(low), float(high), float(below), float(max(below, above)))


def unmoved(room, value, holders):
    """One-sided p-value that a difference is lower by some room, if every case has the same difference.

    Cases that differ the other way may exist and not have been drawn. A case adds a difference of at least -1, so a
    mean that is lower by `room` takes a share of room / (1 + value) of such cases; p is the chance that none of them is
    among those at hand, as in Clopper & Pearson (1934) for no hits. That arms never differed in a few cases is
    therefore no proof that they are equivalent.

    Parameters
    ----------
    room : float
    value : float
        The difference, from -1 to 1.
    holders : int

    Returns
    -------
    float
        1 if there is no room.

    Examples
    --------
    >>> round(unmoved(0.02, 0.0, 20), 3), round(unmoved(0.02, 0.0, 200), 3), unmoved(1.0, 1.0, 4)
    (0.668, 0.018, 0.0625)
    """
    if room <= 0:
        return 1.0
    return float((1 - min(1.0, room / (1 + value))) ** holders) if value > -1 else 0.0


def _reach(value, side, level, holders):
    """How far the limit of a difference is from it on one side, -1 or 1, where `unmoved` is at a level."""
    return side * max(0.0, 1 + side * -value) * (1 - level ** (1 / holders))


def clustered_mcnemar(apart):
    """Two-sided p-value that two arms are wrong equally often, for images in cases.

    McNemar's test takes images to be independent. This one compares the sum over cases with its variance between cases
    (Obuchowski 1998, Statistics in Medicine 17:1495, with the variance under the hypothesis; chi-squared with 1
    degree). Chi-squared holds for many cases: p is never below that of the sign test in which all cases agree where the
    arms differ.

    Parameters
    ----------
    apart : ndarray of float, shape (cases,)
        For each case, the number of images that only the one arm calls wrong, less those that only the other does.

    Returns
    -------
    float
        1 for arms that are wrong equally often in each case; NaN for fewer than two cases.

    Examples
    --------
    >>> round(clustered_mcnemar(np.array([2.0, 1.0, 3.0, 0.0, 1.0, 2.0])), 4)
    0.0625
    """
    apart = np.asarray(apart, np.float64)
    n, squares = len(apart), (apart**2).sum()
    if n < 2:
        return float("nan")
    if not squares:
        return 1.0
    return max(float(chdtrc(1, apart.sum() ** 2 * (n - 1) / n / squares)), 2.0 ** (1 - int(np.count_nonzero(apart))))


def resampled_mean(values, ratio):
    """Mean, standard error and degrees of freedom of results from trials with overlapping training sets.

    The variance is that of `resampled_t`.

    Examples
    --------
    >>> [round(float(found), 4) for found in resampled_mean([0.02, 0.01, 0.03, 0.02, 0.02], 0.25)]
    [0.02, 0.0047, 4.0]
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return float("nan"), float("nan"), float("nan")
    if np.ptp(values) <= ROUNDING:  # figures of equal trials differ in the last bits
        return (values[0] if abs(values[0]) > ROUNDING else 0.0), 0.0, n - 1
    return values.mean(), np.sqrt((1 / n + ratio) * values.var(ddof=1)), n - 1


def resampled_t(differences, ratio):
    """Two-sided p-value of the corrected resampled t-test.

    Trials share training images, so their differences vary less than those of independent samples would; the variance
    of their mean is taken as (1 / n + ratio) times theirs (Nadeau & Bengio 2003, Machine Learning 52:239).

    Parameters
    ----------
    differences : array of float, shape (n,)
        Between two arms, one for each repeat x fold.
    ratio : float
        Tested images for each training image.

    Returns
    -------
    float
        NaN for fewer than two trials; 1 if all differences are 0. If all are equal and not 0, that of the sign test.
        Equal means but for rounding.

    Examples
    --------
    >>> round(resampled_t([0.02, 0.01, 0.03, 0.02, 0.02], 0.25), 4)
    0.0135
    """
    mean, error, freedom = resampled_mean(differences, ratio)
    if error == 0:
        return 2.0**-freedom if mean else 1.0
    return float(2 * stdtr(freedom, -abs(mean) / error))


def equivalence(differences, ratio):
    """How probable it is that an arm is worse, practically equivalent, or better: the correlated Bayesian t-test.

    The posterior of the mean difference is Student's t with n - 1 degrees of freedom about the mean, whose scale is
    the standard error of `resampled_t` (Corani & Benavoli 2015, Machine Learning 100:285, with the correlation
    n_test / (n_test + n_train)). Differences smaller than `ROPE` do not matter in practice.

    Parameters
    ----------
    differences : array of float, shape (n,)
        One for each repeat x fold.
    ratio : float
        Tested images for each training image.

    Returns
    -------
    worse, equivalent, better : float
        Sum to 1; NaN for fewer than two trials, or if all differences are equal but for rounding, which does not tell
        how they vary.

    Examples
    --------
    >>> [round(p, 3) for p in equivalence([-0.02, -0.01, -0.03, -0.02, -0.02], 0.25)]
    [0.949, 0.05, 0.002]
    """
    mean, error, freedom = resampled_mean(differences, ratio)
    if error == 0:
        return (float("nan"),) * 3
    worse, better = float(stdtr(freedom, (-ROPE - mean) / error)), float(stdtr(freedom, (mean - ROPE) / error))
    return worse, float(np.maximum(0, 1 - worse - better)), better
