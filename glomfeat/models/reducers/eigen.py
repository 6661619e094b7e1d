"""The largest eigenvalues of a large symmetric matrix, faster than a full decomposition and as exact."""

import numpy as np
from scipy.linalg import eigh

BLOCK = 16
DIRECT = 1000
SHARE = 8
TOLERANCE = 1e-8
NOISE = 1e-13
SHORT = 1e-6


def top_eigen(A, k):
    """The `k` largest eigenvalues of a symmetric positive semi-definite matrix, and their vectors.

    LAPACK solves small matrices, and those of which a large share of the spectrum is asked for. Otherwise a block
    Krylov space is grown (Golub & Underwood 1977), and all of it is orthogonalised twice at each step, until the
    residual norm of each pair is below 1e-8 of its eigenvalue or 1e-13 of the largest. If that takes more than half of
    the dimensions, LAPACK takes over. This reads the matrix some 40 times, in blocks of 16 vectors; one vector at a
    time would read it 400 times.

    Parameters
    ----------
    A : ndarray of float64, shape (n, n)
        Not changed.
    k : int
        At most n.

    Returns
    -------
    values : ndarray of float64, shape (k,)
        Descending.
    vectors : ndarray of float64, shape (n, k)
        Orthonormal columns; their signs are arbitrary.

    Examples
    --------
    >>> top_eigen(np.diag([3.0, 7.0, 5.0]), 2)[0]
    array([7., 5.])
    """
    n = len(A)
    found = None if goes_to_lapack(n, k) else _krylov(A, k)
    values, vectors = _lapack(A, k) if found is None else found
    return values[::-1].copy(), vectors[:, ::-1]


def goes_to_lapack(n, k):
    """Whether LAPACK is faster, because the matrix is small or much of its spectrum is asked for.

    Examples
    --------
    >>> goes_to_lapack(4606, 128), goes_to_lapack(300, 128)
    (False, True)
    """
    return n <= DIRECT or SHARE * k > n


def eigen_bytes(n, k):
    """Most memory that `top_eigen` takes besides the matrix: a copy for LAPACK, or the Krylov space before it."""
    space = n // 2
    grown = 0 if goes_to_lapack(n, k) else n * space + 3 * space**2
    return 8 * (max(grown, n * n) + 3 * n * k)


def eigen_flops(n, k):
    """Operations of `top_eigen` for a spectrum that decays like those of images and features."""
    return 3 * n**3 if goes_to_lapack(n, k) else 10 * k * n**2


def _krylov(A, k):
    """Ascending eigenvalues and vectors, or None if half of the dimensions are not enough."""
    n, most = len(A), len(A) // 2
    basis, projected = np.empty((most, n)), np.zeros((most, most))
    block = _orthonormal(np.random.default_rng(0).standard_normal((BLOCK, n)))[0]
    look = 2 * k
    for known in range(0, most - BLOCK + 1, BLOCK):
        m = known + BLOCK
        basis[known:m] = block
        new = block @ A
        part = new @ basis[:m].T
        projected[known:m, :m], projected[:m, known:m] = part, part.T
        new -= part @ basis[:m]
        new -= (new @ basis[:m].T) @ basis[:m]
        block, left = _orthonormal(new)
        exhausted = np.abs(left).max() <= NOISE * np.abs(projected).max()
        if m >= look or exhausted:
            if m < k:
                return None
            values, vectors = _lapack(projected[:m, :m], k)
            residuals = np.linalg.norm(left @ vectors[known:], axis=0)
            if exhausted or (residuals <= np.maximum(TOLERANCE * values, NOISE * values[-1])).all():
                return values, basis[:m].T @ vectors
            look = m + k // 2
        lengths = np.abs(np.diag(left))
        if lengths.min() < SHORT * lengths.max():  # the rest of a direction may be rounding noise
            block -= (block @ basis[:m].T) @ basis[:m]
            block = _orthonormal(block)[0]
    return None


def _lapack(A, k):
    """The `k` largest, ascending; from a full decomposition if LAPACK's search by index misses some equal values."""
    n = len(A)
    values, vectors = eigh(A, subset_by_index=[n - k, n - 1])
    if len(values) < k:
        values, vectors = (found[..., n - k :] for found in eigh(A, driver="evd"))
    return values, vectors


def _orthonormal(rows):
    """Return orthonormal rows Q and a matrix L such that ``rows = L @ Q``."""
    q, r = np.linalg.qr(rows.T)
    return np.ascontiguousarray(q.T), r.T
