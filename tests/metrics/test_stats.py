import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from glomfeat.metrics.many import holm
from glomfeat.metrics.resampling import (
    case_weights,
    jackknife,
    jackknife_limits,
    leave_out_weights,
    limits,
    paired_p,
    resampling_units,
    tail_of,
)
from glomfeat.metrics.scores import auroc


def test_cases_are_drawn_as_often_as_chance_has_it():
    """A mean over drawn cases varies as the formula for samples with replacement says, whatever classes cases hold."""
    error = np.random.default_rng(0).normal(size=8)
    weights = case_weights(8, 20_000, 1)
    assert weights.shape == (20_000, 8) and (weights.sum(axis=1) == 8).all() and (weights == weights.round()).all()
    assert (weights @ error / 8).std() == pytest.approx(error.std() / np.sqrt(8), rel=0.02)
    np.testing.assert_allclose((weights == 0).mean(axis=0), (7 / 8) ** 8, atol=0.015)


def test_replicates_are_of_their_seed():
    first = case_weights(20, 100, 1)
    np.testing.assert_array_equal(first, case_weights(20, 100, 1))
    assert not np.array_equal(first, case_weights(20, 100, 2))
    assert len(np.unique(first, axis=0)) > 95


def test_percentiles_are_as_far_out_as_students_t():
    """Of a mean, whose replicates are normal with the spread of the sample."""
    values = np.random.default_rng(0).normal(size=6)
    low = values.mean() + stats.norm.ppf(tail_of(6)) * values.std() / np.sqrt(6)
    assert low == pytest.approx(stats.t.interval(0.95, 5, values.mean(), stats.sem(values))[0])


def test_a_bootstrap_of_too_few_cases_tells_nothing():
    values = np.arange(1.0, 101.0)
    half, fewer = (np.where(np.arange(100) < known, values, np.nan) for known in (50, 49))
    assert limits(half) == pytest.approx(np.percentile(values[:50], [2.5, 97.5])) and np.isnan(limits(fewer)).all()
    assert paired_p(half) == pytest.approx(2 / 51) and np.isnan(paired_p(fewer))
    # no test of 4 cases can have a smaller p than the sign test, and one case tells nothing
    assert paired_p(values, holders=4) == stats.binomtest(4, 4).pvalue and np.isnan(paired_p(values, holders=1))
    assert paired_p(values, holders=40) == pytest.approx(2 / 101)


def test_limits_are_percentiles_and_pass_over_what_is_not_there():
    values = np.random.default_rng(0).normal(size=4000)
    low, high = limits(values)
    assert (values < low).mean() == pytest.approx(0.025, abs=1e-3)
    assert (values > high).mean() == pytest.approx(0.025, abs=1e-3)
    assert limits(np.r_[values, [np.nan] * 9]) == pytest.approx((low, high))


def test_limits_of_nothing_are_nan_without_a_warning():
    assert np.isnan(limits(np.full(5, np.nan))).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60).map(lambda found: np.array(found, float)))
def test_paired_p_is_a_symmetric_probability(difference):
    p = paired_p(difference)
    assert 0 < p <= 1 and p == paired_p(-difference) == paired_p(7 * difference)
    assert paired_p(np.r_[difference, np.nan]) == p
    assert p == min(1, 2 * (min((difference <= 0).sum(), (difference >= 0).sum()) + 1) / (len(difference) + 1))


def test_paired_p_by_hand():
    assert paired_p(np.zeros(100)) == 1.0
    assert paired_p(np.r_[np.full(39, -1.0), np.full(1960, 1.0)]) == pytest.approx(0.04)
    assert paired_p(np.full(2000, 0.01)) == pytest.approx(2 / 2001)


def naive_holm(p):
    order, adjusted, largest = sorted(range(len(p)), key=lambda k: p[k]), [0.0] * len(p), 0.0
    for step, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[k]))
        adjusted[k] = largest
    return adjusted


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from([0.001, 0.01, 0.02, 0.04, 0.2, 0.9, 1.0]), max_size=9))
def test_holm_equals_its_definition(p):
    assert holm(p) == pytest.approx(naive_holm(p), abs=1e-11)


def test_holm_keeps_small_p():
    assert holm([1e-30, 2e-20, 0.5]) == pytest.approx([3e-30, 4e-20, 0.5], rel=1e-9)


def mean_left_out(values):
    return (values.sum() - values) / (len(values) - 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.integers(3, 80), st.floats(1e-6, 1e6), st.floats(-1, 1))
def test_jackknife_of_a_mean_is_its_standard_error(seed, n, scale, shift):
    values = np.random.default_rng(seed).normal(size=n)
    error, freedom = jackknife(scale * (shift + mean_left_out(values)))
    assert error == pytest.approx(scale * stats.sem(values), rel=1e-6)
    assert 1 <= freedom <= n - 1


def test_few_large_cases_leave_few_degrees_of_freedom():
    many = jackknife(np.random.default_rng(0).normal(size=1000))[1]
    few = jackknife(np.r_[10 * np.random.default_rng(0).normal(size=8), 0.01 * np.ones(992)])[1]
    assert 900 < many <= 999 and 3 < few < 16
    assert jackknife(np.r_[1.0, np.zeros(200)])[1] == pytest.approx(3, rel=0.05)


def test_jackknife_of_nothing_and_of_no_spread():
    assert np.isnan(jackknife(np.array([]))).all() and np.isnan(jackknife(np.array([1.0, np.nan]))).all()
    assert jackknife(np.full(7, 0.1 + 0.2)) == (0.0, 6.0)
    assert np.isnan(jackknife(np.r_[1.0, 3.0, np.nan])).all()  # nothing tells how far the last case moves it


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.floats(0.001, 0.999), st.floats(0, 0.3), st.floats(-5, 5), st.floats(0.1, 9))
def test_limits_stay_within_the_bounds_and_move_with_them(seed, value, spread, low, width):
    left_out = value + spread * np.random.default_rng(seed).normal(size=30) / 30
    ends = jackknife_limits(value, left_out)
    assert 0 <= ends[0] <= value <= ends[1] <= 1
    mirrored = jackknife_limits(1 - value, 1 - left_out)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx(ends, abs=1e-9)
    moved = jackknife_limits(low + width * value, low + width * left_out, low, low + width)
    assert moved == pytest.approx([low + width * end for end in ends], abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_limits_at_a_bound_are_exact_binomial_ones(value):
    expected = tuple(stats.binomtest(int(12 * value), 12).proportion_ci())
    assert jackknife_limits(value, np.full(40, value), holders=12) == pytest.approx(expected)


def test_limits_of_what_is_not_known_are_nan():
    assert np.isnan(jackknife_limits(np.nan, np.ones(5))).all()
    assert np.isnan(jackknife_limits(0.5, np.full(5, np.nan))).all()


def test_limits_agree_with_bca_where_images_are_independent():
    rng = np.random.default_rng(3)
    labels = np.arange(300) % 2
    score = labels + rng.normal(size=300)
    left_out = auroc(labels, score, leave_out_weights(300))
    found = jackknife_limits(auroc(labels, score), left_out)

    def area(ones, zeros, axis=-1):
        return (ones[..., :, None] > zeros[..., None, :]).mean(axis=(-1, -2))

    samples = score[labels == 1], score[labels == 0]
    drawn = stats.bootstrap(samples, area, n_resamples=999, vectorized=True, batch=100, method="BCa", rng=rng)
    assert found == pytest.approx(tuple(drawn.confidence_interval), abs=0.006)
    assert jackknife(left_out)[0] == pytest.approx(drawn.standard_error, rel=0.08)


def test_units_are_the_cases_until_these_are_very_many():
    cases = np.repeat(np.arange(40), 3)
    np.testing.assert_array_equal(resampling_units(cases, most=40), np.arange(40))
    units = resampling_units(cases, most=7, seed=1)
    assert set(np.bincount(units)) == {5, 6} and len(units) == 40
    np.testing.assert_array_equal(units, resampling_units(cases, most=7, seed=1))
    assert not np.array_equal(units, resampling_units(cases, most=7, seed=2))


def test_bootstrap_over_cases_is_wider_where_images_of_a_case_are_alike():
    rng = np.random.default_rng(0)
    cases, of_case = np.repeat(np.arange(24), 20), rng.normal(size=24)
    labels = (cases % 2 == 0).astype(int)
    score = labels + of_case[cases] + 0.1 * rng.normal(size=len(cases))
    by_case = auroc(labels, score, case_weights(24, 400)[:, cases])
    by_image = auroc(labels, score, case_weights(len(cases), 400))
    assert np.isfinite(by_case).all()
    assert by_case.std() > 2.5 * by_image.std()  # sqrt(20) in theory
    unlike = labels + rng.normal(size=len(cases))
    ratio = auroc(labels, unlike, case_weights(24, 400)[:, cases]).std()
    ratio /= auroc(labels, unlike, case_weights(len(cases), 400)).std()
    assert 0.6 < ratio < 1.6
