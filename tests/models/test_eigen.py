import numpy as np
import pytest
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from glomfeat.models.reducers.eigen import eigen_bytes, goes_to_lapack, top_eigen


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


def with_spectrum(values, n, seed=0):
    """A symmetric matrix of n columns whose largest eigenvalues are known."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, len(values))))[0]
    return (q * values) @ q.T


SPECTRA = {
    "power law": np.arange(1, 801.0) ** -1.4,
    "steep": np.geomspace(1, 1e-12, 200),
    "pairs": np.repeat(np.arange(1, 301.0) ** -1.0, 2),
    "clusters of 40": np.repeat(np.arange(1, 21.0) ** -1.0, 40),
    "low rank": np.linspace(2, 1, 70),
    "of rank less than k": np.linspace(2, 1, 9),
    "flat": np.ones(1100),
    "zero": np.zeros(5),
    "large": 1e12 * np.arange(1, 401.0) ** -1.0,
}


@pytest.mark.parametrize("name", SPECTRA)
def test_a_large_matrix_has_the_eigenvalues_that_it_was_made_of(name):
    n, k, spectrum = 1100, 60, SPECTRA[name]
    assert not goes_to_lapack(n, k)
    A = with_spectrum(spectrum, n)
    values, vectors = top_eigen(A, k)
    known = np.sort(np.r_[spectrum, np.zeros(n)])[::-1][:k]
    np.testing.assert_allclose(values, known, rtol=1e-9, atol=1e-12 * max(spectrum.max(), 1e-300))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-10)
    np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-7 * max(spectrum.max(), 1e-300))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (40, 40), (300, 299)])
def test_small_matrices_go_to_lapack(n, k):
    A = np.random.default_rng(n).normal(size=(n, n + 3))
    A = A @ A.T
    values, vectors = top_eigen(A, k)
    np.testing.assert_allclose(values, eigh(A, eigvals_only=True)[::-1][:k])
    np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-9 * values[0])


def test_the_matrix_is_left_as_it_was_and_the_same_bits_come_again():
    A = with_spectrum(SPECTRA["power law"], 1100)
    before = A.copy()
    first, second = top_eigen(A, 50), top_eigen(A, 50)
    assert (before == A).all() and all((a == b).all() for a, b in zip(first, second, strict=True))


def test_memory_grows_with_the_square():
    assert 3.5 < eigen_bytes(4000, 128) / eigen_bytes(2000, 128) < 4.5
    assert eigen_bytes(300, 128) >= 300 * 300 * 8
