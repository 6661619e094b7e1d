"""Sample sizes: the formulas beside integrals, hand calculation and simulated studies."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from glomfeat.metrics.by_case import auroc_by_case
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.planning import (
    MOST_CASES,
    Spread,
    covariance_parts,
    detectable,
    fewest_cases,
    placement_covariance,
    sizes_of,
    spread_of,
    width,
)
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights


@pytest.mark.parametrize(
    ("one", "other", "r"), [(0.9, 0.9, 1.0), (0.8, 0.7, 0.4), (0.75, 0.75, -0.3), (0.99, 0.6, 0.0)]
)
def test_a_covariance_of_placements_is_a_bivariate_normal_chance(one, other, r):
    both = multivariate_normal([0, 0], [[1, r / 2], [r / 2, 1]]).cdf([ndtri(one), ndtri(other)])
    assert placement_covariance(one, other, r) == pytest.approx(both - one * other, abs=1e-6)


def test_independent_images_have_the_variance_of_hanley_and_mcneil():
    area, n = 0.8, 100
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    of_paper = (area * (1 - area) + (n - 1) * (q1 - area**2 + q2 - area**2)) / n**2
    assert np.sqrt(of_paper) == pytest.approx(0.0314, abs=5e-5), "by hand: q1 0.6667, q2 0.7111"
    ours = covariance_parts(area, area, sizes_of([20], 0.5)).mean() / 10
    assert ours == pytest.approx(of_paper, rel=0.06)  # normal scores in place of exponential ones


def test_images_that_are_all_alike_count_as_one():
    alone = covariance_parts(0.85, 0.85, sizes_of([1], 0.3)).mean()
    assert covariance_parts(0.85, 0.85, sizes_of([7], 0.3, label_icc=1.0), icc=1.0).mean() == pytest.approx(alone)
    assert covariance_parts(0.85, 0.85, sizes_of([7], 0.3)).mean() == pytest.approx(alone / 7)
    both = covariance_parts(0.85, 0.85, sizes_of([7], 0.3), 0.3, 0.3).mean()
    assert alone / 7 < both < covariance_parts(0.85, 0.85, sizes_of([7], 0.3), 0.3).mean(), "what classes share cancels"


@pytest.mark.parametrize(("prevalence", "alike"), [(0.1, 0.0), (0.3, 0.4), (0.8, 0.9), (0.2, 1.0)])
def test_the_cases_that_hold_a_class_are_those_of_drawn_labels(prevalence, alike):
    rng, images, n = np.random.default_rng(0), np.array([3, 12]), 40_000
    if alike in (0, 1):
        shares = rng.random((n, 2)) < prevalence if alike else np.full((n, 2), prevalence)
    else:
        shares = rng.beta(*(np.array([prevalence, 1 - prevalence]) * (1 - alike) / alike), (n, 2))
    positive = rng.binomial(images, shares)
    drawn = min((positive > 0).mean(), (positive < images).mean())
    assert sizes_of(images, prevalence, alike).holders == pytest.approx(drawn, abs=0.01)


def draw(rng, n, images, prevalence, areas, icc, across, correlation):
    cases = np.repeat(np.arange(n), np.resize(images, n))
    y = (rng.random(len(cases)) < prevalence).astype(int)
    common, scores = [rng.normal(size=shape) for shape in (n, (n, 2), len(y))], []
    for area in areas:
        own = [np.sqrt(correlation) * c + np.sqrt(1 - correlation) * rng.normal(size=c.shape) for c in common]
        effects = np.sqrt(across) * own[0][cases] + np.sqrt(icc - across) * own[1][cases, y]
        scores.append(effects + np.sqrt(1 - icc) * own[2] + np.sqrt(2) * ndtri(area) * y)
    return y, cases, scores


@pytest.mark.parametrize(
    ("images", "prevalence", "icc", "across", "correlation", "difference"),
    [((8,), 0.3, 0.2, 0.0, 0.5, 0.12), ((4, 8, 16), 0.4, 0.3, 0.2, 0.3, 0.12)],
)
def test_the_cases_that_are_planned_have_the_power_and_the_width_that_were_asked(
    images, prevalence, icc, across, correlation, difference
):
    areas, sizes, rng, n_studies = (
        (0.88, 0.88 - difference),
        sizes_of(images, prevalence),
        np.random.default_rng(0),
        400,
    )
    own, its = (covariance_parts(area, area, sizes, icc, across) for area in areas)
    apart = spread_of(own + its - 2 * covariance_parts(*areas, sizes, icc, across, correlation))
    n, seen, widths = fewest_cases(lambda cases: detectable(apart, cases), difference), 0, []
    weights = np.r_[np.ones((1, n)), leave_out_weights(n)]
    for _ in range(n_studies):
        y, cases, scores = draw(rng, n, images, prevalence, areas, icc, across, correlation)
        one, other = (auroc_by_case(y, score, cases, weights) for score in scores)
        seen += paired_difference(one[0] - other[0], one[1:] - other[1:]).p < 0.05
        widths.append(np.ptp(jackknife_limits(one[0], one[1:])))
    assert seen / n_studies == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / n_studies))
    assert np.mean(widths) == pytest.approx(width(areas[0], spread_of(own), n), rel=0.08)


def test_the_fewest_cases_are_the_fewest():
    spread = Spread(0.3, 0.5)
    n = fewest_cases(lambda cases: width(0.9, spread, cases), 0.1)
    assert width(0.9, spread, n) <= 0.1 < width(0.9, spread, n - 1)
    assert fewest_cases(lambda cases: width(0.9, spread, cases), 1e-9) is None
    assert fewest_cases(lambda cases: float("nan"), 0.1) is None
    assert fewest_cases(lambda cases: width(0.9, Spread(1e-9, 1.0), cases), 0.1) == 2
    assert np.isnan(width(1.0, spread, 50)) and detectable(spread, MOST_CASES) > 0


def test_uneven_cases_have_fewer_degrees_of_freedom():
    even, uneven = (spread_of(covariance_parts(0.9, 0.9, sizes_of(m, 0.2), 0.2)) for m in ([20], [2, 2, 2, 200]))
    assert even.freedom == 1.0 and uneven.freedom < 0.3
    assert even.error(10)[1] == 9 and uneven.error(10)[1] < 3
