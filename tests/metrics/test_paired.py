import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from glomfeat.metrics.paired import (
    ROPE,
    clustered_mcnemar,
    equivalence,
    least_found,
    paired_difference,
    resampled_t,
    within_margin,
)

DIFFERENCES = st.lists(st.floats(-0.2, 0.2).map(lambda x: round(x, 3)), min_size=2, max_size=12)


def left_out_of(values):
    """The mean without each value."""
    return (values.sum() - values) / (len(values) - 1)


def test_a_mean_over_equal_cases_is_students_test():
    values = 0.01 + 0.03 * np.tile([1.0, -1.0], 20)  # of equal size, so that freedom is n - 1
    found = paired_difference(values.mean(), left_out_of(values))
    oracle = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(oracle.pvalue)
    assert (found.lo, found.hi) == pytest.approx(tuple(oracle.confidence_interval()))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 0.2))
def test_limits_and_p_agree(seed, scale):
    values = scale * (0.3 + np.random.default_rng(seed).normal(size=25))
    found = paired_difference(values.mean(), left_out_of(values))
    assert found.lo < found.value < found.hi
    assert (found.p < 0.05) == (found.lo > 0 or found.hi < 0)
    mirrored = paired_difference(-values.mean(), left_out_of(-values))
    assert (mirrored.p, mirrored.lo) == pytest.approx((found.p, -found.hi))


@pytest.mark.parametrize("n", [10, 60, 400])
def test_what_is_detectable_is_found_with_a_power_of_80_percent(n):
    values = np.tile([1.0, -1.0], n // 2)
    found = paired_difference(0.0, left_out_of(values))
    error, freedom = stats.sem(values), n - 1
    power = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, found.detectable / error)
    assert power == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("freedom", [1, 3.5, 12, 5000])
@pytest.mark.parametrize("below", [0.05, 0.004])
def test_what_is_found_is_found_with_the_power_that_was_asked_for(freedom, below):
    """The central t distribution would do for many cases alone: with 3.5 degrees and p below 0.004 it gives 70 %."""
    drawn = np.random.default_rng(0)
    seen = drawn.normal(least_found(1.0, freedom, below, 0.9), size=200_000)
    t = seen / np.sqrt(drawn.chisquare(freedom, 200_000) / freedom)
    assert np.mean(2 * stats.t.sf(np.abs(t), freedom) < below) == pytest.approx(0.9, abs=0.004)


def test_limits_of_a_difference_are_differences_that_there_can_be():
    values = np.array([0.5, -0.9, 0.6])
    found, within = paired_difference(values.mean(), left_out_of(values)), within_margin(0.0, left_out_of(values), 0.1)
    assert (found.lo, found.hi) == (-1, 1) and (within.lo, within.hi) == (-1, 1)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_p_may_be_smaller_than_any_share_of_replicates():
    values = 1 + 0.1 * np.random.default_rng(0).normal(size=200)
    assert 0 < paired_difference(values.mean(), left_out_of(values)).p < 1e-12


def test_differences_without_spread():
    same, exact = paired_difference(0.0, np.zeros(9)), stats.binomtest(0, 9).proportion_ci(method="exact")
    assert (same.p, same.lo, same.hi) == (1.0, pytest.approx(-exact.high), pytest.approx(exact.high))
    assert np.isnan(same.detectable)
    one = paired_difference(1.0, np.ones(9))
    assert one.p == pytest.approx(stats.binomtest(9, 9).pvalue) and one.hi == 1 and one.lo > 0


@pytest.mark.parametrize("value", [-0.5, 0.03, 0.4])
@pytest.mark.parametrize("holders", [2, 6, 9, 60])
def test_limits_and_p_of_a_difference_without_spread_say_the_same(value, holders):
    found = paired_difference(value, np.full(holders, value))
    assert -1 <= found.lo < value < found.hi <= 1
    assert (found.p < 0.05) == (found.lo > 0 or found.hi < 0)
    within = within_margin(value, np.full(holders, value), 0.2)
    assert found.lo < within.lo < value < within.hi < found.hi
    assert (within.p_noninferior < 0.05) == (within.lo > -0.2)
    assert (within.p_equivalent < 0.05) == (within.lo > -0.2 and within.hi < 0.2)


def test_nothing_known():
    for found in (paired_difference(np.nan, np.ones(5)), paired_difference(0.1, np.full(5, np.nan))):
        assert np.isnan([found.lo, found.hi, found.p, found.detectable]).all()


def test_resampled_t_by_hand():
    # mean 0.02, variance 0.00005, (1/5 + 1/4) x 0.00005 = 0.0000225: t = 0.02 / 0.004743 = 4.216 of 4 degrees
    assert resampled_t([0.02, 0.01, 0.03, 0.02, 0.02], 0.25) == pytest.approx(2 * stats.t.sf(4.21637, 4), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(DIFFERENCES)
def test_resampled_t_is_students_without_overlap_and_larger_with(differences):
    if np.ptp(differences) == 0:
        assert resampled_t(differences, 0.25) == (2.0 ** (1 - len(differences)) if differences[0] else 1)
        return
    plain = stats.ttest_1samp(differences, 0).pvalue
    assert resampled_t(differences, 0) == pytest.approx(plain, abs=1e-9)
    assert resampled_t(differences, 0.25) >= plain - 1e-9


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES)
def test_equivalence_is_the_posterior_s_share(differences):
    worse, equivalent, better = equivalence(differences, 0.25)
    if np.ptp(differences) == 0:
        assert np.isnan([worse, equivalent, better]).all()
        return
    assert worse + equivalent + better == pytest.approx(1) and min(worse, equivalent, better) >= -1e-12
    assert equivalence([-d for d in differences], 0.25) == pytest.approx((better, equivalent, worse), abs=1e-12)
    if np.std(differences) > 1e-3:
        n, correlation = len(differences), 0.25 / 1.25  # the paper's own form of the scale
        scale = np.sqrt((1 / n + correlation / (1 - correlation)) * np.var(differences, ddof=1))
        posterior = stats.t(n - 1, np.mean(differences), scale).pdf
        assert quad(posterior, -ROPE, ROPE)[0] == pytest.approx(equivalent, abs=1e-6)


def test_one_trial_says_nothing():
    assert np.isnan(resampled_t([0.1], 0.25)) and np.isnan(equivalence([0.1], 0.25)).all()
    assert np.isnan(equivalence([0.02, 0.02], 0.25)).all() and np.isnan(equivalence([0.0, 0.0], 0.25)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(1, 19), min_size=2, max_size=12))
def test_differences_that_are_equal_but_for_rounding_are_equal(steps, others):
    differences = [(other + steps) / 20 - other / 20 for other in others]
    assert resampled_t(differences, 0.25) == (2.0 ** (1 - len(others)) if steps else 1.0)
    assert np.isnan(equivalence(differences, 0.25)).all()


def test_equivalence_is_never_less_than_0():
    worse, equivalent, better = equivalence([0.05, 0.05 + 1e-9, 0.05 - 1e-9], 0.25)
    assert min(worse, equivalent, better) >= 0 and worse + equivalent + better == pytest.approx(1)


def test_two_one_sided_tests_are_students_on_the_pseudo_values():
    values, margin = 0.004 + 0.03 * np.tile([1.0, -1.0], 20), 0.02
    value, left_out = values.mean(), left_out_of(values)
    found = within_margin(value, left_out, margin)
    pseudo = len(values) * value - (len(values) - 1) * left_out
    below = stats.ttest_1samp(pseudo, -margin, alternative="greater")
    above = stats.ttest_1samp(pseudo, margin, alternative="less")
    assert found.p_noninferior == pytest.approx(below.pvalue)
    assert found.p_equivalent == pytest.approx(max(below.pvalue, above.pvalue))
    assert (found.lo, found.hi) == pytest.approx(tuple(stats.ttest_1samp(pseudo, 0).confidence_interval(0.90)))
    assert (found.p_equivalent < 0.05) == (-margin < found.lo and found.hi < margin)


def test_a_margin_where_nothing_is_known_or_nothing_moves():
    nothing = within_margin(np.nan, np.zeros(5), 0.02)
    assert np.isnan([nothing.lo, nothing.hi, nothing.p_noninferior, nothing.p_equivalent]).all()
    assert np.isnan(within_margin(0.0, np.zeros(1), 0.02).p_noninferior)
    same = within_margin(0.0, np.zeros(6), 0.02)
    # one case in fifty may be such that the arm is wrong in all of it: six cases then hold none in 0.98^6 of studies
    assert (same.p_noninferior, same.p_equivalent) == pytest.approx((0.98**6, 0.98**6))
    assert -same.lo == same.hi == pytest.approx(1 - 0.05 ** (1 / 6))
    better = within_margin(0.03, np.full(6, 0.03), 0.02)
    assert (better.p_noninferior, better.p_equivalent) == (pytest.approx((0.98 / 1.03) ** 6), 1)


def test_mcnemar_of_clusters_is_that_of_the_paper():
    # of each cluster: its images, those that one arm calls right, those that the other does
    n, one, other = np.array([4, 7, 3, 10, 6]), np.array([3, 5, 2, 9, 4]), np.array([2, 5, 1, 6, 5])
    found = clustered_mcnemar((n - one) - (n - other))
    clusters, total = len(n), n.sum()
    pooled = (one.sum() + other.sum()) / (2 * total)  # Obuchowski 1998: both proportions are one under the hypothesis
    first, second, factor = one - n * pooled, other - n * pooled, clusters / (clusters - 1) / total**2
    variance = factor * ((first**2).sum() + (second**2).sum() - 2 * (first * second).sum())
    statistic = ((one.sum() - other.sum()) / total) ** 2 / variance
    assert found == pytest.approx(stats.chi2.sf(statistic, 1))
    few = clustered_mcnemar(np.r_[np.ones(4), np.zeros(30)])  # chi-squared of 1 degree would say 0.049
    assert few == stats.binomtest(4, 4).pvalue
    assert clustered_mcnemar(np.zeros(5)) == 1 and np.isnan(clustered_mcnemar(np.ones(1)))


def test_mcnemar_of_single_images_is_mcnemars():
    apart = np.r_[np.ones(12), -np.ones(30), np.zeros(400)]
    assert clustered_mcnemar(apart) == pytest.approx(stats.chi2.sf((12 - 30) ** 2 / 42, 1), rel=0.02)


def test_a_difference_is_as_sure_as_there_are_cases_that_it_is_made_of():
    left_out = 0.1 + 0.01 * np.r_[np.full(10, 1.0), np.full(10, -1.0)]
    few, all_of_them = paired_difference(0.1, left_out, 3), paired_difference(0.1, left_out)
    error = np.sqrt(19 / 20 * ((left_out - left_out.mean()) ** 2).sum())
    assert few.p == pytest.approx(2 * stats.t.sf(0.1 / error, 2)) and few.p > all_of_them.p
    assert few.hi == pytest.approx(0.1 + stats.t.ppf(0.975, 2) * error)
    assert within_margin(0.1, left_out, 0.2, 3).p_noninferior == pytest.approx(stats.t.sf(0.3 / error, 2))
    alone = paired_difference(0.1, left_out, 1)
    assert np.isnan([alone.lo, alone.hi, alone.p, alone.detectable]).all()
    assert np.isnan(within_margin(0.1, left_out, 0.2, 1).p_equivalent)
