"""How many cases a study needs: the variance of an area under the ROC curve when images come in cases."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, roots_hermitenorm, stdtrit

from glomfeat.metrics.paired import POWER
from glomfeat.metrics.resampling import LEVEL, logit_limits

MOST_CASES = 10_000_000
NODES, WEIGHTS = roots_hermitenorm(80)  # integrals over a normal deviate
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class CaseSizes:
    """Images of the two classes that cases hold.

    Attributes
    ----------
    ones, zeros : ndarray of float, shape (kinds,)
        Expected positive and negative images of each kind of case; all kinds are as frequent.
    ones_pairs, zeros_pairs, mixed_pairs : ndarray of float, shape (kinds,)
        Expected ordered pairs of two positive images, of two negative ones, and of one of each.
    """

    ones: np.ndarray
    zeros: np.ndarray
    ones_pairs: np.ndarray
    zeros_pairs: np.ndarray
    mixed_pairs: np.ndarray


def sizes_of(images, prevalence, label_icc=0.0):
    """What cases of so many images hold.

    Parameters
    ----------
    images : sequence of int
        Images of a case; each value is as frequent as the others.
    prevalence : float
        Share of the positive class.
    label_icc : float
        How alike labels of a case are: 0 where each is drawn by itself, 1 where a case holds one class.

    Returns
    -------
    CaseSizes

    Examples
    --------
    >>> sizes_of([10], 0.2).ones.tolist(), sizes_of([10], 0.2, 1.0).mixed_pairs.tolist()
    ([2.0], [0.0])
    """
    m, p = np.asarray(images, np.float64), float(prevalence)
    pairs, alike = m * (m - 1), label_icc * p * (1 - p)
    both = pairs * (p * (1 - p) - alike)
    return CaseSizes(m * p, m * (1 - p), pairs * (p * p + alike), pairs * ((1 - p) ** 2 + alike), both)


def placement_covariance(one, other, correlation):
    """Covariance of placement values of two images whose scores are correlated.

    For normal scores of equal variance in both classes: the chance that both are ordered rightly, a bivariate normal
    one, less the product of both areas. Between a positive and a negative image it has the other sign.

    Parameters
    ----------
    one, other : float
        Areas under the ROC curve of the scores of either image.
    correlation : float
        Of both scores within their class.

    Returns
    -------
    float

    Examples
    --------
    The variance of a placement value, beside the mean of Hanley & McNeil's (1982) Q1 - A^2 and Q2 - A^2, which are of
    exponential scores:

    >>> round(placement_covariance(0.9, 0.9, 1.0), 4), round((0.9 / 1.1 + 1.62 / 1.9) / 2 - 0.81, 4)
    (0.0224, 0.0254)
    """
    half = abs(correlation) / 2  # of two differences of scores that have one image in common, where both are the same
    common, left = np.sqrt(half) * NODES, np.sqrt(1 - half)
    first, second = ndtr((ndtri(one) - common) / left), ndtr((ndtri(other) - np.sign(correlation) * common) / left)
    return float(WEIGHTS @ (first * second)) - one * other


def covariance_parts(one, other, sizes, icc=0.0, icc_across=0.0, alike=1.0):
    """What each kind of case adds to the covariance of two areas that are found on the same images.

    The first-order terms of a U-statistic of clustered data (Obuchowski 1997), with `placement_covariance` in place of
    estimates as in the sample sizes of Obuchowski & McClish (1997, Statistics in Medicine 16:1529). Two areas of one
    arm give its variance. Where images are independent that is Hanley & McNeil's (1982, Radiology 143:29) for many
    images.

    Parameters
    ----------
    one, other : float
        The areas.
    sizes : CaseSizes
    icc, icc_across : float
        Correlation of an arm's scores of two images of a case that are of one class, and of both classes.
    alike : float
        Correlation of the scores of both arms; 1 of an arm with itself.

    Returns
    -------
    ndarray of float, shape (kinds,)
        Their mean over the number of cases is the covariance.

    Examples
    --------
    >>> variance = covariance_parts(0.9, 0.9, sizes_of([1], 0.5)).mean() / 100
    >>> round(float(variance), 6), round((0.9 / 1.1 + 1.62 / 1.9 - 2 * 0.81) / 50, 6)
    (0.000896, 0.001016)
    """
    n1, n0 = sizes.ones.mean(), sizes.zeros.mean()
    alone = placement_covariance(one, other, alike)
    same = placement_covariance(one, other, alike * icc)
    across = placement_covariance(one, other, -alike * icc_across)
    ones = sizes.ones * alone + sizes.ones_pairs * same
    zeros = sizes.zeros * alone + sizes.zeros_pairs * same
    return ones / n1**2 + zeros / n0**2 + 2 * sizes.mixed_pairs * across / (n1 * n0)


@dataclass(frozen=True)
class Spread:
    """How sure a figure is for a number of cases, from which follows how sure it is for others.

    Attributes
    ----------
    variance : float
        Of the figure, times the number of cases.
    freedom : float
        Degrees of freedom over the number of cases.
    """

    variance: float
    freedom: float

    def error(self, cases):
        """The standard error and its degrees of freedom with so many cases."""
        return np.sqrt(self.variance / cases), max(1.0, min(cases - 1.0, self.freedom * cases))


def spread_of(parts):
    """The spread of a figure from what cases add to its variance, as `covariance_parts` gives it.

    The degrees of freedom are Satterthwaite's (1946), as those of `glomfeat.metrics.resampling.jackknife`: few where
    few large cases make up most of the variance.

    Parameters
    ----------
    parts : ndarray of float, shape (kinds,)

    Returns
    -------
    Spread

    Examples
    --------
    >>> spread_of(np.array([2.0, 2.0]))
    Spread(variance=2.0, freedom=1.0)
    """
    mean = float(np.mean(parts))
    return Spread(mean, float(mean**2 / np.mean(np.square(parts))))


def width(area, spread, cases):
    """Width of the 95 % limits of an area, those of `glomfeat.metrics.resampling.jackknife_limits`.

    Parameters
    ----------
    area : float
    spread : Spread
        Of the area.
    cases : int

    Returns
    -------
    float
        NaN at 0 and at 1.

    Examples
    --------
    >>> round(width(0.9, Spread(0.25, 1.0), 100), 3)
    0.215
    """
    if not 0 < area < 1:
        return float("nan")
    low, high = logit_limits(area, *spread.error(cases))
    return high - low


def detectable(spread, cases, power=POWER):
    """The smallest true difference that is seen at 5 % two-sided, as `glomfeat.metrics.paired.paired_difference` says.

    Parameters
    ----------
    spread : Spread
        Of the difference.
    cases : int
    power : float

    Returns
    -------
    float

    Examples
    --------
    >>> round(detectable(Spread(0.01, 1.0), 100), 4)
    0.0283
    """
    error, freedom = spread.error(cases)
    return float((stdtrit(freedom, (1 + LEVEL) / 2) + stdtrit(freedom, power)) * error)


def fewest_cases(reached, target):
    """The smallest number of cases, two or more, with which something that falls with their number reaches a target.

    Parameters
    ----------
    reached : callable
        Of a number of cases.
    target : float

    Returns
    -------
    int or None
        None where ten million cases do not suffice, or where nothing is known.

    Examples
    --------
    >>> fewest_cases(lambda cases: 1 / cases, 0.01)
    100
    """
    if not reached(MOST_CASES) <= target:
        return None
    low, high = 1, MOST_CASES  # the higher one suffices
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) <= target else (middle, high)
    return high
