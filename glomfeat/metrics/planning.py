"""How many cases a study needs: the variance of an area under the ROC curve when images come in cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, roots_hermitenorm

from glomfeat.metrics.paired import POWER, least_found
from glomfeat.metrics.resampling import LEVEL, logit_limits

MOST_CASES = 10_000_000
NODES, WEIGHTS = roots_hermitenorm(80)  # for integrals over a normal deviate
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class CaseSizes:
    """How many images of the two classes cases hold.

    Attributes
    ----------
    ones, zeros : ndarray of float, shape (kinds,)
        Expected positive and negative images of each kind of case; all kinds are equally frequent.
    ones_pairs, zeros_pairs, mixed_pairs : ndarray of float, shape (kinds,)
        Expected ordered pairs of two positive images, of two negative ones, and of one of each.
    holders : float
        Expected share of the cases that hold the class that is in fewer cases.
    """

    ones: np.ndarray
    zeros: np.ndarray
    ones_pairs: np.ndarray
    zeros_pairs: np.ndarray
    mixed_pairs: np.ndarray
    holders: float


def sizes_of(images: Sequence[int], prevalence: float, label_icc: float = 0.0) -> CaseSizes:
    """Work out what cases with given numbers of images hold.

    Parameters
    ----------
    images : sequence of int
        Images in a case; all values are equally frequent.
    prevalence : float
        Share of the positive class.
    label_icc : float
        How alike labels in a case are: 0 if each is drawn independently, 1 if a case holds one class. In between, the
        number of positive images in a case is beta-binomial (Skellam 1948, Journal of the Royal Statistical Society B
        10:257), which determines in how many cases there is one.

    Returns
    -------
    CaseSizes

    Examples
    --------
    >>> sizes_of([10], 0.2).ones.tolist(), sizes_of([10], 0.2, 1.0).mixed_pairs.tolist()
    ([2.0], [0.0])
    >>> [round(sizes_of([10], 0.2, icc).holders, 3) for icc in (0, 0.5, 1)]  # 1 - 0.8 ** 10, ..., 0.2
    [0.893, 0.462, 0.2]
    """
    m, p = np.asarray(images, np.float64), float(prevalence)
    pairs, alike = m * (m - 1), label_icc * p * (1 - p)
    both = pairs * (p * (1 - p) - alike)
    holders = min(np.mean([1 - _none(size, share, label_icc) for size in m]) for share in (p, 1 - p))
    squares = pairs * (p * p + alike), pairs * ((1 - p) ** 2 + alike)
    return CaseSizes(m * p, m * (1 - p), *squares, both, float(holders))


def _none(images: float, share: float, alike: float) -> float:
    """Chance that a case holds no image of a class with a share, by the beta-binomial distribution."""
    before = np.arange(1, images)  # images that are known to be of the other class
    others = (1 - share) * (1 - alike) + before * alike
    return (1 - share) * float(np.prod(others / (1 - alike + before * alike)))


def placement_covariance(one: float, other: float, correlation: float) -> float:
    """Covariance of the placement values of two images whose scores are correlated.

    For normal scores with the same variance in both classes: the probability, from a bivariate normal distribution,
    that both are ordered correctly, less the product of both areas. Between a positive and a negative image it has the
    opposite sign.

    Parameters
    ----------
    one, other : float
        Areas under the ROC curve of the scores of either image.
    correlation : float
        Between both scores within their class.

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
    half = abs(correlation) / 2  # between two differences of scores that share an image, where the classes are the same
    common, left = np.sqrt(half) * NODES, np.sqrt(1 - half)
    first, second = ndtr((ndtri(one) - common) / left), ndtr((ndtri(other) - np.sign(correlation) * common) / left)
    return float(WEIGHTS @ (first * second)) - one * other


def covariance_parts(
    one: float, other: float, sizes: CaseSizes, icc: float = 0.0, icc_across: float = 0.0, alike: float = 1.0
) -> np.ndarray:
    """What each kind of case adds to the covariance of two areas that come from the same images.

    The first-order terms of a U-statistic of clustered data (Obuchowski 1997), with `placement_covariance` in place of
    estimates, as in the sample sizes of Obuchowski & McClish (1997, Statistics in Medicine 16:1529). Two areas of one
    arm give its variance. If images are independent, that is Hanley & McNeil's (1982, Radiology 143:29) for many
    images.

    Parameters
    ----------
    one, other : float
        The areas.
    sizes : CaseSizes
    icc, icc_across : float
        Correlation between an arm's scores for two images of a case: of one class, and of different classes.
    alike : float
        Correlation between the scores of both arms; 1 for an arm with itself.

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
    """How sure a figure is with some number of cases, from which follows how sure it is with others.

    Attributes
    ----------
    variance : float
        The figure's variance times the number of cases.
    freedom : float
        Degrees of freedom over the number of cases.
    holders : float
        Share of the cases that the figure depends on, as `glomfeat.metrics.own_cases.own_cases` counts them. Degrees of
        freedom are at most one less than their number.
    """

    variance: float
    freedom: float
    holders: float = 1.0

    def error(self, cases: int) -> tuple[float, float]:
        """The standard error and its degrees of freedom with a given number of cases.

        NaN if the figure depends on fewer than two of them, or if no case changes it.
        """
        held = round(self.holders * cases, 9)
        if held < 2 or not self.variance > 0:
            return float("nan"), float("nan")
        return float(np.sqrt(self.variance / cases)), min(held - 1, self.freedom * cases)


def spread_of(parts: np.ndarray, holders: float = 1.0) -> Spread:
    """The spread of a figure from what cases add to its variance, as `covariance_parts` gives it.

    The degrees of freedom are Satterthwaite's (1946), like those of `glomfeat.metrics.resampling.jackknife`: few if a
    few large cases make up most of the variance.

    Parameters
    ----------
    parts : ndarray of float, shape (kinds,)
    holders : float
        As for `Spread`; from `sizes_of`.

    Returns
    -------
    Spread

    Examples
    --------
    >>> spread_of(np.array([2.0, 2.0]))
    Spread(variance=2.0, freedom=1.0, holders=1.0)
    """
    mean = float(np.mean(parts))
    return Spread(mean, float(mean**2 / np.mean(np.square(parts))), holders)


def width(area: float, spread: Spread, cases: int) -> float:
    """Width of the 95 % limits of an area, those of `glomfeat.metrics.resampling.jackknife_limits`.

    Parameters
    ----------
    area : float
    spread : Spread
        The spread of the area.
    cases : int

    Returns
    -------
    float
        NaN at 0 and at 1, and if nothing is known of its error.

    Examples
    --------
    >>> round(width(0.9, Spread(0.25, 1.0), 100), 3)
    0.215
    """
    if not 0 < area < 1:
        return float("nan")
    low, high = logit_limits(area, *spread.error(cases))
    return high - low


def detectable(spread: Spread, cases: int, power: float = POWER, below: float = 1 - LEVEL) -> float:
    """The smallest true difference that is found with some number of cases, by `glomfeat.metrics.paired.least_found`.

    Parameters
    ----------
    spread : Spread
        The spread of the difference.
    cases : int
    power : float
    below : float
        Two-sided p-value below which a difference counts as found.

    Returns
    -------
    float
        NaN if nothing is known of the error of the difference.

    Examples
    --------
    >>> round(detectable(Spread(0.01, 1.0), 100), 4)
    0.0283
    """
    return least_found(*spread.error(cases), below, power)


def fewest_cases(reached: Callable[[int], float], target: float) -> int | None:
    """The smallest number of cases, at least two, with which something that falls with their number reaches a target.

    Parameters
    ----------
    reached : callable
        Takes a number of cases.
    target : float

    Returns
    -------
    int or None
        None if ten million cases do not suffice, or if nothing is known.

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
