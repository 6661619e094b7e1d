"""What images add to an area, beside leaving them out; design effect and intraclass correlation beside known ones."""

import numpy as np
import pytest

from glomfeat.metrics.by_case import auroc_by_case
from glomfeat.metrics.placements import correlations_in_cases, design_effect, influences, normal_scores
from glomfeat.metrics.resampling import jackknife, leave_out_weights
from glomfeat.metrics.scores import auroc

RNG = np.random.default_rng(3)


def obuchowski(y, score, cases):
    """The variance of the area for clustered data, from the paper (1997, Biometrics 53:567), case by case."""
    ones, zeros = score[y == 1], score[y == 0]
    v10 = np.array([(zeros < x).mean() + (zeros == x).mean() / 2 for x in ones])
    v01 = np.array([(ones > x).mean() + (ones == x).mean() / 2 for x in zeros])
    area, names = v10.mean(), np.unique(cases)
    of_1 = np.array([(v10[cases[y == 1] == c] - area).sum() for c in names])
    of_0 = np.array([(v01[cases[y == 0] == c] - area).sum() for c in names])
    i10, i01, i = len(np.unique(cases[y == 1])), len(np.unique(cases[y == 0])), len(names)
    s10 = i10 / ((i10 - 1) * len(ones)) * (of_1**2).sum()
    s01 = i01 / ((i01 - 1) * len(zeros)) * (of_0**2).sum()
    s11 = i / (i - 1) * (of_1 * of_0).sum()
    return s10 / len(ones) + s01 / len(zeros) + 2 * s11 / (len(ones) * len(zeros))


def clustered(n_cases=40, size=12):
    cases = np.repeat(np.arange(n_cases), size)
    y = np.tile(np.arange(size) % 3 == 0, n_cases).astype(int)
    return y, (y + RNG.normal(size=len(y)) + 0.7 * RNG.normal(size=n_cases)[cases]).round(1), cases


def test_influences_are_what_leaving_out_images_changes():
    y, score, _ = clustered(10)
    n = len(y)
    without = auroc_by_case(y, score, np.arange(n), leave_out_weights(n))
    np.testing.assert_allclose(auroc(y, score) - without, influences(y, score), atol=1e-12)


def test_their_sums_over_cases_have_obuchowski_s_variance():
    y, score, cases = clustered()
    of_class = np.where(y == 1, y.sum(), len(y) - y.sum())
    sums = np.bincount(cases, influences(y, score) * (of_class - 1) / of_class)
    assert 40 / 39 * (sums**2).sum() == pytest.approx(obuchowski(y, score, cases), rel=1e-9)
    out = auroc_by_case(y, score, cases, leave_out_weights(40))
    assert jackknife(out)[0] ** 2 == pytest.approx(obuchowski(y, score, cases), rel=0.03)


def test_more_classes_are_one_against_the_rest_and_a_missing_class_is_not_known():
    y, score = np.array([0, 1, 2, 0, 1, 2]), RNG.random((6, 3))
    each = [influences((y == k).astype(int), score[:, k]) for k in range(3)]
    np.testing.assert_allclose(influences(y, score), np.mean(each, axis=0))
    assert np.isnan(influences(np.zeros(3, int), np.arange(3.0))).all()


def test_copies_of_images_are_worth_nothing():
    y, score, _ = clustered(10)
    n = len(y)
    error = jackknife(auroc_by_case(y, score, np.arange(n), leave_out_weights(n)))[0]
    assert design_effect(error, influences(y, score)) == pytest.approx(1.0)
    assert design_effect(error, influences(np.repeat(y, 5), np.repeat(score, 5))) == pytest.approx(5.0, rel=0.05)
    assert np.isnan(design_effect(0.0, np.zeros(4)))


def test_icc_is_that_of_shrout_and_fleiss():
    judged = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    found = correlations_in_cases(judged.ravel(), np.zeros(24, int), np.repeat(np.arange(6), 4), np.zeros(24, int))
    assert found[0] == pytest.approx(0.17, abs=0.005) and np.isnan(found[1])  # their table 4


def by_matrices(values, labels, cases, folds):
    """The same from quadratic forms: each sum of squares or products over what its trace says it is if a part is 1."""
    strata = np.unique(2 * folds + labels, return_inverse=True)[1]
    group = np.unique(np.stack([strata, cases]), axis=1, return_inverse=True)[1].ravel()
    means = np.eye(strata.max() + 1)[strata]
    of_cases = np.eye(group.max() + 1)[group]
    left = np.eye(len(values)) - means @ np.linalg.pinv(means)
    inner = np.eye(len(values)) - of_cases @ np.linalg.pinv(of_cases)
    same = of_cases @ of_cases.T
    within = values @ inner @ values / np.trace(inner)
    between = (values @ (left - inner) @ values - within * np.trace(left - inner)) / np.trace((left - inner) @ same)
    pairs = (cases[:, None] == cases) & (folds[:, None] == folds) & (labels[:, None] != labels)
    across = values @ left @ pairs @ left @ values / np.trace(left @ pairs @ left @ pairs)
    return between / (between + within), across / (between + within)


def test_a_mean_for_each_fold_and_class_costs_what_the_traces_of_matrices_say():
    cases = np.repeat(np.arange(9), RNG.integers(1, 14, 9))
    labels, folds = RNG.integers(0, 2, len(cases)), (cases + cases // 4) % 3
    cases, labels, folds = np.tile(cases, 2), np.tile(labels, 2), np.r_[folds, 3 + cases % 4]  # cases come twice
    values = RNG.normal(size=9)[cases] + RNG.normal(size=7)[folds] + labels + RNG.normal(size=len(cases))
    found = correlations_in_cases(values, labels, cases, folds)
    assert found == pytest.approx(by_matrices(values, labels, cases, folds))
    moved = values + 10 * folds - 3 * labels  # only differences within folds and classes tell
    assert correlations_in_cases(moved, labels, cases, folds) == pytest.approx(found)


def test_what_no_degree_of_freedom_is_left_for_is_not_known():
    values, labels, cases = RNG.normal(size=12), np.tile([0, 0, 1, 1], 3), np.repeat(np.arange(3), 4)
    assert np.isnan(correlations_in_cases(values, labels, cases, cases)).all()  # each case is alone in its fold
    assert np.isnan(correlations_in_cases(values, labels, np.arange(12), 0 * cases)).all()
    constant = np.array([0.1, 0.7, 1.3])[cases // 2]
    assert np.isnan(correlations_in_cases(constant, labels, cases, cases // 2)).all()
    one_class = 2 * cases + labels
    assert np.isfinite(correlations_in_cases(values, labels, one_class, 0 * cases)).tolist() == [True, False]
    only_one = np.where(labels == 1, 0, cases)  # the case with positive images is one, so that it is their mean
    assert np.isfinite(correlations_in_cases(values, labels, only_one, 0 * cases)).tolist() == [True, False]


def test_correlations_of_scores_are_those_that_were_drawn():
    cases, y = np.repeat(np.arange(2000), 6), np.tile([0, 1], 6000)
    shared, own = RNG.normal(size=2000)[cases], RNG.normal(size=(2000, 2))[cases, y]
    score = np.exp(np.sqrt(0.2) * shared + np.sqrt(0.3) * own + np.sqrt(0.5) * RNG.normal(size=12_000) + y)
    for folds in (0 * cases, cases % 1000):  # also if each fold has two cases
        found = correlations_in_cases(normal_scores(score, y), y, cases, folds)
        assert found == pytest.approx((0.5, 0.2), abs=0.03)
