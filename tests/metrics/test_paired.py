import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from glomfeat.metrics.paired import ROPE, equivalence, paired_difference, resampled_t

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
@given(st.integers(0, 999), st.floats(0.1, 5))
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
    assert power == pytest.approx(0.8, abs=0.02)


def test_p_may_be_smaller_than_any_share_of_replicates():
    values = 1 + 0.1 * np.random.default_rng(0).normal(size=200)
    assert 0 < paired_difference(values.mean(), left_out_of(values)).p < 1e-12


def test_differences_without_spread():
    same = paired_difference(0.0, np.zeros(9))
    assert (same.p, same.lo, same.hi) == (1.0, 0.0, 0.0) and np.isnan(same.detectable)
    apart = paired_difference(0.5, np.full(9, 0.5))
    assert apart.p == pytest.approx(stats.binomtest(9, 9).pvalue) and apart.lo == apart.hi == 0.5


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
        assert resampled_t(differences, 0.25) == float(differences[0] == 0)
        return
    plain = stats.ttest_1samp(differences, 0).pvalue
    assert resampled_t(differences, 0) == pytest.approx(plain, abs=1e-9)
    assert resampled_t(differences, 0.25) >= plain - 1e-9


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES)
def test_equivalence_is_the_posterior_s_share(differences):
    worse, equivalent, better = equivalence(differences, 0.25)
    assert worse + equivalent + better == pytest.approx(1) and min(worse, equivalent, better) >= -1e-12
    assert equivalence([-d for d in differences], 0.25) == pytest.approx((better, equivalent, worse), abs=1e-12)
    if np.std(differences) > 1e-3:
        n, correlation = len(differences), 0.25 / 1.25  # the paper's own form of the scale
        scale = np.sqrt((1 / n + correlation / (1 - correlation)) * np.var(differences, ddof=1))
        posterior = stats.t(n - 1, np.mean(differences), scale).pdf
        assert quad(posterior, -ROPE, ROPE)[0] == pytest.approx(equivalent, abs=1e-6)


def test_one_trial_says_nothing():
    assert np.isnan(resampled_t([0.1], 0.25)) and np.isnan(equivalence([0.1], 0.25)).all()
    assert equivalence([0.02, 0.02], 0.25) == (0.0, 0.0, 1.0)
