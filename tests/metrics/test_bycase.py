import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from glomfeat.metrics import by_case as bycase
from glomfeat.metrics.by_case import auroc_by_case, average_precision_by_case, case_sums, concordance
from glomfeat.metrics.scores import auroc, average_precision

PAIRS = [(auroc_by_case, auroc, sk.roc_auc_score), (average_precision_by_case, average_precision, None)]
IDS = ["auroc", "average precision"]


@st.composite
def drawn(draw):
    """Labels of both classes, scores with ties, cases and case weights."""
    n = draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    y = np.r_[0, 1, rng.integers(0, 2, n - 2)]
    score = rng.integers(0, draw(st.integers(1, 12)), n) / 12
    cases = rng.integers(0, draw(st.integers(1, 9)), n)
    weights = rng.integers(0, 4, (7, 10)).astype(float)
    return y, score, cases, weights


@pytest.mark.parametrize(("fast", "plain", "_"), PAIRS, ids=IDS)
@settings(max_examples=60, deadline=None)
@given(data=drawn())
def test_equals_the_metric_of_weighted_rows(fast, plain, _, data):
    y, score, cases, weights = data
    np.testing.assert_allclose(fast(y, score, cases, weights), plain(y, score, weights[:, cases]), rtol=1e-12)


@pytest.mark.parametrize(("fast", "name"), [(auroc_by_case, "roc_auc_score"), (average_precision_by_case, "ap")])
def test_equals_scikit_learn_with_sample_weights(fast, name):
    rng = np.random.default_rng(0)
    y, cases = rng.integers(0, 2, 300), rng.integers(0, 20, 300)
    score = (y + 2 * rng.normal(size=300)).round(1)
    weights = rng.integers(1, 4, (5, 20)).astype(float)
    oracle = sk.roc_auc_score if name == "roc_auc_score" else sk.average_precision_score
    expected = [oracle(y, score, sample_weight=row[cases]) for row in weights]
    np.testing.assert_allclose(fast(y, score, cases, weights), expected, rtol=1e-12)


def test_concordance_counts_pairs():
    rng = np.random.default_rng(1)
    positive, score, cases = rng.random(50) < 0.4, rng.integers(0, 9, 50) / 9, rng.integers(0, 6, 50)
    cases[:6] = range(6)
    naive = np.zeros((6, 6))
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive):
            naive[cases[i], cases[j]] += (score[i] > score[j]) + (score[i] == score[j]) / 2
    np.testing.assert_array_equal(concordance(positive, score, cases), naive)


def test_average_precision_is_to_the_last_bit_that_of_counts_by_score_and_case():
    rng = np.random.default_rng(4)
    y, score, cases = rng.integers(0, 2, 400), rng.random(400).round(2), rng.integers(0, 20, 400)
    weights = np.vstack([1 - np.eye(20), rng.integers(0, 4, (30, 20))])
    ones, zeros = np.zeros((2, 101, 20))
    for truth, value, case in zip(y, score, cases, strict=True):
        (ones if truth else zeros)[100 - round(100 * value), case] += 1
    gains = ones.any(axis=1)
    gained, called = weights @ ones[gains].T, weights @ np.cumsum(ones + zeros, axis=0)[gains].T
    precision = np.divide(np.cumsum(gained, axis=1), called, out=np.zeros_like(called), where=called > 0)
    expected = (gained * precision).sum(axis=1) / gained.sum(axis=1)
    np.testing.assert_array_equal(average_precision_by_case(y, score, cases, weights), expected)


@pytest.mark.parametrize(("fast", "plain", "_"), PAIRS, ids=IDS)
def test_many_cases_take_the_way_over_rows(fast, plain, _, monkeypatch):
    rng = np.random.default_rng(2)
    y, cases, score = rng.integers(0, 2, 90), np.arange(90), rng.normal(size=90)
    weights = rng.integers(0, 3, (11, 90)).astype(float)
    expected = fast(y, score, cases, weights)
    monkeypatch.setattr(bycase, "BLOCK", 300)  # three replicates at once
    monkeypatch.setattr(bycase, "concordance", None)
    monkeypatch.setattr(bycase, "_counts", None)
    np.testing.assert_allclose(fast(y, score, cases, weights), expected, rtol=1e-12)


@pytest.mark.parametrize(("fast", "plain", "_"), PAIRS, ids=IDS)
def test_more_classes_and_a_class_without_weight(fast, plain, _):
    rng = np.random.default_rng(3)
    y, cases = np.repeat([0, 1, 2], 20), np.tile(np.arange(10), 6)
    score = rng.dirichlet(np.ones(3), 60)
    weights = rng.integers(0, 3, (9, 10)).astype(float)
    np.testing.assert_allclose(fast(y, score, cases, weights), plain(y, score, weights[:, cases]), rtol=1e-12)
    two = np.array([0, 0, 1, 1])
    found = fast(two, np.array([0.1, 0.2, 0.3, 0.4]), two, np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert np.isnan(found[0]) and found[1] == 1.0  # without a warning


def test_case_sums_by_columns():
    values, cases = np.random.default_rng(4).normal(size=(30, 3)), np.arange(30) % 7
    expected = [values[cases == case].sum(axis=0) if case < 7 else np.zeros(3) for case in range(8)]
    np.testing.assert_allclose(case_sums(values, cases, 8), expected, atol=1e-12)


@pytest.mark.parametrize(("by_case", "by_row", "_"), PAIRS)
def test_without_a_class_no_area_is_known(by_case, by_row, _):
    y, cases, score = np.array([0, 1, 1, 0]), np.array([0, 1, 2, 1]), np.array([0.3, 0.6, 0.4, 0.5])
    weights = np.array([[1.0, 1, 1], [0, 0, 1], [1, 0, 0]])
    for found in (by_case(y, score, cases, weights), by_row(y, score, weights[:, cases])):
        assert np.isfinite(found).tolist() == [True, False, False]
