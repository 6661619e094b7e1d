"""Exact components of every fold: against scikit-learn's full decomposition, and against rows that must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.models.reducers.kept import fit_reducer
from glomfeat.models.reducers.pca import (
    components_of,
    from_gram,
    from_moments,
    gram,
    moments,
    outer_products,
    scale_of,
    signs,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


def correlated(n, d, seed=0, offset=3.0):
    rng = np.random.default_rng(seed)
    rank = min(n, d)
    values = (rng.normal(size=(n, rank)) * np.arange(1, rank + 1) ** -0.7) @ rng.normal(size=(rank, d))
    return (values + rng.normal(size=d) * offset).astype(np.float32)


def awkward(kind):
    X = correlated(90, 40)
    if kind == "constant columns":
        X[:, ::5] = 7.25
    if kind == "duplicate rows":
        X = np.repeat(X[:30], 3, axis=0)
    if kind == "rank 6":
        X = (correlated(90, 6) @ np.random.default_rng(1).normal(size=(6, 40))).astype(np.float32)
    if kind == "large units":
        X[:, 3] *= 1e5
    if kind == "far from zero":
        X += 3e4
    if kind == "bytes":
        X = np.random.default_rng(0).integers(0, 256, (90, 40)).astype(np.uint8)
    return X


def both_routes(X, train, k, standardise=False):
    """Components by the scatter route in uneven blocks, and by the Gram route taken back to the columns."""
    blocks = np.array_split(np.random.default_rng(2).permutation(train), [3, len(train) // 2])
    yield from_moments((moments(X, block, 2) for block in blocks), k, standardise)
    scale = scale_of(X, train, standardise) if standardise else None
    dual = from_gram(gram(X, 2, scale), train, k)
    if dual is None:  # refused for rounding: about the mean, as the reducer does
        scale = scale_of(X, train, False)
        dual = from_gram(gram(X, 2, scale), train, k)
    yield components_of(dual, X, train, scale)


def oracle(X, train, k, standardise=False):
    X = X.astype(np.float64)
    rows = StandardScaler().fit_transform(X[train]) if standardise else X[train]
    full = PCA(min(k, *rows.shape), svd_solver="full").fit(rows)
    kept = full.explained_variance_ > 1e-10 * full.explained_variance_[0]
    return full.explained_variance_[kept], full.components_[kept]


def check_same(found, variance, components):
    assert len(found.variance) == len(variance)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-6)
    overlap = np.abs(np.sum(found.components * components, axis=1))
    gap = np.abs(np.diff(variance, append=0, prepend=np.inf))
    apart = np.minimum(gap[1:], gap[:-1]) > 1e-3 * variance
    np.testing.assert_allclose(overlap[apart], 1, atol=1e-6)
    whole = found.components.T @ found.components - components.T @ components
    if len(apart) and apart[-1]:
        assert np.linalg.norm(whole, 2) < 1e-5


LARGE = pytest.param(1300, 1100, 60, marks=pytest.mark.slow)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), [(60, 8, 3), (60, 8, 8), (40, 300, 10), (30, 300, 64), LARGE])
def test_both_routes_find_the_components_of_a_full_decomposition(n, d, k, standardise):
    X, train = correlated(n, d), np.sort(np.random.default_rng(0).permutation(n)[: 4 * n // 5])
    for found in both_routes(X, train, k, standardise):
        check_same(found, *oracle(X, train, k, standardise))


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(
    "kind", ["constant columns", "duplicate rows", "rank 6", "large units", "far from zero", "bytes"]
)
def test_awkward_data_lose_nothing(kind, standardise):
    X, train = awkward(kind), np.arange(0, 90, 2)
    for found in both_routes(X, train, 12, standardise):
        check_same(found, *oracle(X, train, 12, standardise))


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(1, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_reduced_rows_are_those_of_a_full_decomposition(n, d, k, seed):
    X, train = correlated(n, d, seed), np.arange(n - n // 4)
    found = reduce_rows(f"pca{k}", X, train, standardise=False)["rows"]
    full = PCA(min(k, len(train), d), svd_solver="full").fit(X[train].astype(np.float64))
    expected = full.transform(X.astype(np.float64))[:, : found.shape[1]]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("garbage", [0.0, 1e6, -3e30])
@pytest.mark.parametrize("shape", [(80, 20), (80, 200)])
def test_rows_of_the_test_fold_reach_no_bit_of_what_is_fitted(shape, garbage):
    X, train = correlated(*shape), np.arange(60)
    blocks = np.array_split(train, 3)
    soiled = X.copy()
    soiled[60:] = garbage * np.random.default_rng(0).normal(size=(20, shape[1]))
    for clean, other in (
        (from_moments((moments(A, b, 1) for b in blocks), 9, True) for A in (X, soiled)),
        (from_gram(gram(A, 1), train, 9) for A in (X, soiled)),
    ):
        assert clean.variance.tobytes() == other.variance.tobytes()
        fitted = [getattr(part, "components", getattr(part, "weights", None)) for part in (clean, other)]
        assert fitted[0].tobytes() == fitted[1].tobytes()


def test_training_rows_do_matter():
    X = correlated(80, 20)
    one, other = (from_moments([moments(X, rows, 1)], 5, False) for rows in (np.arange(40), np.arange(40, 80)))
    assert not np.allclose(one.variance, other.variance, rtol=0.01)


def test_the_gram_matrix_of_bytes_is_exact():
    X = np.random.default_rng(0).integers(0, 256, (50, 9000)).astype(np.uint8)
    X[0], X[1] = 0, 255
    whole = X.astype(np.int64) - 128
    np.testing.assert_array_equal(gram(X, 2), whole @ whole.T)


@pytest.mark.parametrize("size", [3, 700, 1030])
def test_no_bit_depends_on_the_number_of_threads(size):
    panels = [np.random.default_rng(k).normal(size=(size, 37)) for k in range(3)]
    one, three = (outer_products(panels, size, threads) for threads in (1, 3))
    assert one.tobytes() == three.tobytes() and (one == one.T).all()
    np.testing.assert_allclose(one, sum(panel @ panel.T for panel in panels), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("shape", [(70, 30), (50, 400)])
def test_signs_are_those_of_scikit_learn(shape, standardise):
    X, train = correlated(*shape), np.arange(45)
    scaler = StandardScaler(with_std=standardise).fit(X[train].astype(np.float64))
    scaled = scaler.transform(X.astype(np.float64))
    expected = PCA(6, svd_solver="full").fit(scaled[train]).transform(scaled)
    products = gram(X, 1, scale_of(X, train, True) if standardise else None)
    for statistics in (None, [moments(X, train, 1)], products):
        found = reduce_rows("pca6", X, train, standardise, statistics)["rows"]
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    kept = fit_reducer("pca6", X[train], standardise, "gram", 1).transform(X)
    np.testing.assert_allclose(kept, expected, atol=1e-5 * np.abs(expected).max())


def test_signs_of_wide_matrices_come_from_their_first_columns():
    components = np.zeros((2, 2000))
    components[:, 3], components[:, 1900] = (0.1, -0.1), (-0.9, 0.9)
    assert signs(components).tolist() == [1, -1]


def test_both_routes_give_the_same_rows():
    X, train = correlated(120, 90), np.arange(0, 120, 2)
    for k in (5, 30):
        one = reduce_rows(f"pca{k}", X, train, False, [moments(X, train, 1)])["rows"]
        other = reduce_rows(f"pca{k}", X, train, False, gram(X, 1))["rows"]
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max())


def test_components_are_orthonormal_and_project_alike():
    X, train = correlated(60, 200), np.arange(45)
    products = gram(X, 1)
    dual = from_gram(products, train, 10)
    back = components_of(dual, X, train)
    np.testing.assert_allclose(back.components @ back.components.T, np.eye(10), atol=1e-9)
    np.testing.assert_allclose(back.project(X.astype(np.float64)), dual.project(products[:, train]), atol=1e-6)


def test_rows_that_are_all_alike_give_one_column_of_zeros():
    for X in (np.full((40, 6), 7, np.uint8), np.full((40, 60), 7, np.uint8), np.full((40, 60), 1e4, np.float32)):
        rows = reduce_rows("pca3", X, np.arange(30), standardise=False)["rows"]
        assert rows.shape == (40, 1) and (rows == 0).all()
