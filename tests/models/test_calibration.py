"""Calibration: fitted on inner scores alone, monotone, and nearer to what is true."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from glomfeat.metrics.scores import brier, ece
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.models.calibration import Calibration, fit_calibration


def wrong_by_design(n=4000, seed=0):
    """Labels, and scores whose logit is twice too steep and shifted: what Platt's line undoes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return (rng.random(n) < expit(z)).astype(int), expit(2 * z + 1.5), expit(z)


def test_platt_finds_the_line_and_equals_a_direct_minimum_of_his_loss():
    y, score, true = wrong_by_design()
    found = fit_calibration("platt", y, score)
    assert found.maps[0]["slope"] == pytest.approx(0.5, abs=0.05)
    assert found.maps[0]["intercept"] == pytest.approx(-0.75, abs=0.1)
    assert np.abs(found.apply(score) - true).max() < 0.03
    ones, zeros = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))

    def loss(line):
        z = line[0] * logit(score) + line[1]
        return np.mean(np.logaddexp(0, z) - target * z)

    expected = minimize(loss, [1.0, 0.0], tol=1e-12).x
    np.testing.assert_allclose([found.maps[0]["slope"], found.maps[0]["intercept"]], expected, atol=1e-4)


def test_isotonic_is_scikit_learns_beyond_the_ends_too():
    y, score, _ = wrong_by_design(500)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, y)
    grid = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(fit_calibration("isotonic", y, score).apply(grid), expected.predict(grid), atol=1e-12)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_new_scores_come_nearer_to_what_is_true(kind):
    y, score, _ = wrong_by_design()
    new, of_new, _ = wrong_by_design(seed=1)
    calibrated = fit_calibration(kind, y, score).apply(of_new)
    assert brier(new, calibrated) < brier(new, of_new) - 0.02 and ece(new, calibrated) < 0.3 * ece(new, of_new)


SCORES = st.lists(st.floats(0, 1), min_size=4, max_size=60)


@settings(max_examples=30, deadline=None)
@given(SCORES, st.integers(0, 2**31 - 1), st.sampled_from(["platt", "isotonic"]))
def test_maps_rise_stay_within_0_and_1_and_know_only_what_they_were_fitted_on(score, seed, kind):
    y = np.random.default_rng(seed).permutation(np.arange(len(score)) % 2)
    found = fit_calibration(kind, y, np.array(score))
    grid = np.sort(np.r_[score, np.linspace(0, 1, 101)])
    mapped = found.apply(grid)
    assert np.isfinite(mapped).all() and mapped.min() >= 0 and mapped.max() <= 1 and (np.diff(mapped) >= 0).all()
    assert fit_calibration(kind, y, np.array(score)) == found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_platt_moves_no_auroc(seed):
    rng = np.random.default_rng(seed)
    y = np.arange(80) % 2
    score = expit(rng.normal(size=80) * 3 + y)
    assert roc_auc_score(y, fit_calibration("platt", y, score).apply(score)) == roc_auc_score(y, score)


@pytest.mark.parametrize("score", [np.linspace(0.9, 0.1, 40), np.full(40, 0.3)])
def test_platt_leaves_scores_that_do_not_rise_and_says_so(score):
    found = fit_calibration("platt", np.arange(40) // 20, score)
    assert found.kind == "none" and not found.maps
    assert found.note == "platt: scores are left as they are, because inner scores do not rise with the class"
    np.testing.assert_array_equal(found.apply(score), score)


def test_classes_that_are_apart_and_scores_at_the_ends_stay_finite():
    y, score = np.arange(40) // 20, np.repeat([0.0, 1.0], 20)
    for kind in ("platt", "isotonic"):
        found = fit_calibration(kind, y, score).apply(np.array([0.0, 0.5, 1.0]))
        assert np.isfinite(found).all() and found[0] < 0.1 and found[2] > 0.9


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_more_classes_are_mapped_one_by_one_and_sum_to_one(kind):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    score = np.exp(2.5 * (np.eye(3)[y] + rng.normal(0, 0.8, (600, 3))))
    score /= score.sum(axis=1, keepdims=True)
    found = fit_calibration(kind, y, score)
    calibrated = found.apply(score)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    one = fit_calibration(kind, (y == 2).astype(int), score[:, 2])
    assert found.maps[2] == one.maps[0] and len(found.maps) == 3
    assert brier(y, calibrated) < brier(y, score)


def test_a_row_that_no_class_claims_is_left_as_it_was():
    never = {"score": [0.0, 1.0], "frequency": [0.0, 0.0]}
    found = Calibration("isotonic", (never, never, never)).apply(np.array([[0.2, 0.3, 0.5]]))
    assert found.tolist() == [[0.2, 0.3, 0.5]]


def test_none_leaves_scores_and_others_are_refused():
    assert fit_calibration("none", [0, 1], [0.2, 0.4]) == Calibration()
    with pytest.raises(ValueError, match=r"^calibration is 'beta': allowed are none, platt, isotonic$"):
        fit_calibration("beta", [0, 1], [0.2, 0.4])


@pytest.mark.parametrize("rule", ["balanced", "youden", "sensitivity>=0.9"])
def test_a_threshold_on_platts_scores_makes_the_same_calls(rule):
    y, score, _ = wrong_by_design(400)
    calibrated = fit_calibration("platt", y, score).apply(score)
    before, after = choose_threshold(y, score, rule), choose_threshold(y, calibrated, rule)
    if rule == "sensitivity>=0.9":  # of ties the others take the one nearest to 0.5, which is another one afterwards
        np.testing.assert_array_equal(score >= before, calibrated >= after)
    else:
        right = [[np.mean(calls[y == k] == k) for k in (0, 1)] for calls in (score >= before, calibrated >= after)]
        measure = (lambda two: abs(two[0] - two[1])) if rule == "balanced" else sum
        assert measure(right[0]) == pytest.approx(measure(right[1]), abs=1e-9)
