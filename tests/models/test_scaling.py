import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.svm import SVC

from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scaling import OneScale

ROWS = arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 12)), elements=st.floats(-1e3, 1e3, width=32))


@given(ROWS)
@example(np.array([[np.finfo(np.float32).tiny], [0.0]]))
@example(np.full((11, 3), 0.1))
def test_rows_have_the_same_mean_length_and_columns_keep_their_proportions(X):
    found = OneScale().fit_transform(X)
    spread = X.std(axis=0)
    if not np.ptp(X, axis=0).any():
        np.testing.assert_allclose(found, 0, atol=1e-9)
        return
    assume(spread.max() > 1e-9 * np.abs(X).max())  # less is rounding, and neither right nor wrong
    assert np.mean((found**2).sum(axis=1)) == pytest.approx(128)
    np.testing.assert_allclose(found.std(axis=0) / found.std(axis=0).max(), spread / spread.max(), atol=1e-6)


def test_equal_rows_are_left_at_zero_and_float32_stays():
    found = OneScale().fit_transform(np.full((5, 3), 7, np.float32))
    assert found.dtype == np.float32 and not found.any()


def test_c_and_gamma_mean_the_same_of_few_components_as_of_many():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)) * [9, 5, 2]
    padded, y = np.c_[X, np.zeros((80, 20))], rng.integers(0, 2, 80)
    for name in ("logreg", "svm"):
        few, many = (clone(make_head(name, 0, reduced=True).estimator).fit(rows, y) for rows in (X, padded))
        np.testing.assert_allclose(few.decision_function(X), many.decision_function(padded), atol=1e-3)


def test_of_a_radial_machine_no_scale_changes_anything():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 5)) * [9, 5, 2, 1, 0.1], rng.integers(0, 2, 60)
    head = make_head("svm", 0, reduced=True).estimator.fit(X, y)
    plain = SVC(class_weight="balanced").fit(X - X.mean(axis=0), y)
    np.testing.assert_allclose(head.decision_function(X), plain.decision_function(X - X.mean(axis=0)), atol=1e-6)


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_noise_in_small_units_stays_small_after_a_reducer_and_is_loud_without(name):
    rng = np.random.default_rng(2)
    y = np.arange(120) % 2
    X = np.c_[5 * (2 * y - 1) + rng.normal(size=120), 0.01 * rng.normal(size=(120, 100))].astype(np.float32)
    reduced, plain = (make_head(name, 0, reduced=way).estimator.fit(X[:60], y[:60]) for way in (True, False))
    kept, loud = (np.abs(model[0].transform(X)[:, 1:]).mean() for model in (reduced, plain))
    assert kept < 0.1 < loud
