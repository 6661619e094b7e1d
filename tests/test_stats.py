import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.metrics import auroc
from glomfeat.stats import case_weights, holm, limits, paired_p


def held_by(labels, cases, classes):
    held = np.zeros((cases.max() + 1, classes), int)
    np.add.at(held, (cases, labels), 1)
    return held


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=2, max_size=12), st.integers(0, 99))
def test_every_replicate_keeps_its_size_and_every_class(images, seed):
    labels = np.array([label for case in images for label in case])
    cases = np.repeat(np.arange(len(images)), [len(case) for case in images])
    weights = case_weights(labels, cases, 50, seed)
    assert weights.shape == (50, len(images))
    assert (weights >= 0).all() and (weights == weights.round()).all() and (weights.sum(axis=1) == len(images)).all()
    held = held_by(labels, cases, labels.max() + 1)
    there = weights @ held
    assert ((there > 0) == (held.sum(axis=0) > 0)).all()
    strata = {}
    for case, classes in enumerate(held > 0):
        strata.setdefault(tuple(classes), []).append(case)
    for members in strata.values():
        assert (weights[:, members].sum(axis=1) == len(members)).all()


def test_replicates_are_of_their_seed():
    labels, cases = np.arange(60) % 2, np.repeat(np.arange(20), 3)
    first = case_weights(labels, cases, 100, 1)
    np.testing.assert_array_equal(first, case_weights(labels, cases, 100, 1))
    assert not np.array_equal(first, case_weights(labels, cases, 100, 2))
    assert len(np.unique(first, axis=0)) > 95
    assert abs(first.mean(axis=0) - 1).max() < 0.5  # every case is as likely


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


def test_bootstrap_over_cases_is_wider_where_images_of_a_case_are_alike():
    rng = np.random.default_rng(0)
    cases, of_case = np.repeat(np.arange(24), 20), rng.normal(size=24)
    labels = (cases % 2 == 0).astype(int)
    score = labels + of_case[cases] + 0.1 * rng.normal(size=len(cases))
    by_case = auroc(labels, score, case_weights(labels, cases, 400)[:, cases])
    by_image = auroc(labels, score, case_weights(labels, np.arange(len(cases)), 400))
    assert np.isfinite(by_case).all()
    assert by_case.std() > 2.5 * by_image.std()  # sqrt(20) in theory
    unlike = labels + rng.normal(size=len(cases))
    ratio = auroc(labels, unlike, case_weights(labels, cases, 400)[:, cases]).std()
    ratio /= auroc(labels, unlike, case_weights(labels, np.arange(len(cases)), 400)).std()
    assert 0.6 < ratio < 1.6
