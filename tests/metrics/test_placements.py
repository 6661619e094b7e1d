"""What images add to an area, beside leaving them out; design effect and intraclass correlation beside known ones."""

import numpy as np
import pytest

from glomfeat.metrics.by_case import auroc_by_case
from glomfeat.metrics.placements import correlation_across, design_effect, icc_oneway, influences, normal_scores
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
    assert icc_oneway(judged.ravel(), np.repeat(np.arange(6), 4)) == pytest.approx(0.17, abs=0.005)  # their table 4
    assert np.isnan(icc_oneway(np.arange(3.0), np.zeros(3, int))) and np.isnan(icc_oneway(np.arange(3.0), np.arange(3)))
    assert np.isnan(icc_oneway(np.ones(4), np.array([0, 0, 1, 1])))


def test_correlations_of_scores_are_those_that_were_drawn():
    cases, y = np.repeat(np.arange(2000), 6), np.tile([0, 1], 6000)
    shared, own = RNG.normal(size=2000)[cases], RNG.normal(size=(2000, 2))[cases, y]
    score = np.exp(np.sqrt(0.2) * shared + np.sqrt(0.3) * own + np.sqrt(0.5) * RNG.normal(size=12_000) + y)
    values = normal_scores(score, y)
    assert icc_oneway(values, 2 * cases + y) == pytest.approx(0.5, abs=0.03)
    assert correlation_across(values, y == 1, cases) == pytest.approx(0.2, abs=0.03)
    assert np.isnan(correlation_across(values, y == 1, 2 * cases + y))
