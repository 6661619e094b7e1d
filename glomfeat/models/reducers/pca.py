"""Exact principal components of every fold from sums that are computed once, without holding the matrix in memory.

Two routes lead to the same components. The scatter route needs the d x d scatter of each block of rows that folds
consist of. A fold's training rows are some of these blocks, whose scatters about their own means are merged (Chan,
Golub & LeVeque 1983). The Gram route needs the n x n inner products of all rows, once. A fold takes the part of its
training rows and centres it (Schoelkopf, Smola & Mueller 1998, with the linear kernel). On both routes, what a fold
sees depends on its training rows alone, to the last bit: blocks and inner products of other rows are never read.

Float rows are multiplied and summed in float64. Bytes are shifted by 128 and multiplied in float32 in panels of 1024
columns, in which every sum is an integer below 2**24, so their Gram matrix is exact.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.core.threads import limited_threads
from glomfeat.models.reducers.eigen import top_eigen

TILE = 512
PANEL = {True: 1024, False: 512}
READ_BYTES = 16_384
ROWS = 512
NOISE = 1e-10
SIGNED = 512
FAR, MISS = 100, 1e-6


@dataclass(frozen=True)
class Scale:
    """What is subtracted from every row, and what it is divided by, before components are sought.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (d,)
    """

    mean: np.ndarray
    scale: np.ndarray

    def apply(self, values, columns=slice(None)):
        return (values - self.mean[columns]) / self.scale[columns]


@dataclass(frozen=True)
class Scatter:
    """Principal components by the scatter route.

    Attributes
    ----------
    variance : ndarray of float64, shape (k,)
        Variance explained by each component in the training rows, with n - 1 degrees of freedom, descending.
    components : ndarray of float64, shape (k, d)
        Orthonormal rows.
    scale : Scale
    """

    variance: np.ndarray
    components: np.ndarray
    scale: Scale

    def project(self, values):
        """Coordinates, shape (m, k), of rows of shape (m, d)."""
        return self.scale.apply(values) @ self.components.T


@dataclass(frozen=True)
class Dual:
    """Principal components by the Gram route: weights of training rows instead of components.

    Attributes
    ----------
    variance : ndarray of float64, shape (k,)
    weights : ndarray of float64, shape (n_train, k)
        Components are the transposed, centred training rows times these weights.
    coordinates : ndarray of float64, shape (n_train, k)
        Coordinates of the training rows.
    means : ndarray of float64, shape (n_train,)
        Mean inner product of each training row with all of them.
    """

    variance: np.ndarray
    weights: np.ndarray
    coordinates: np.ndarray
    means: np.ndarray

    def project(self, products):
        """Coordinates of rows from their inner products with the training rows, shape (m, n_train)."""
        centred = products - products.mean(axis=1, keepdims=True) - self.means + self.means.mean()
        return centred @ self.weights


def outer_products(panels, size, threads):
    """Sum of ``P @ P.T`` over panels, each of `size` rows.

    Tiles are shared out to threads, and one thread computes each tile, so that the number of threads changes no bit of
    the sum.

    Parameters
    ----------
    panels : iterable of ndarray of float32 or float64, shape (size, any)
        Threads work on one panel while the next one is made.
    size, threads : int

    Returns
    -------
    ndarray of float64, shape (size, size)

    Examples
    --------
    >>> outer_products([np.array([[1.0], [2.0]])], 2, threads=1)
    array([[1., 2.],
           [2., 4.]])
    """
    total, tiles = np.zeros((size, size)), list(gen_batches(size, TILE))
    pairs = [(a, b) for i, a in enumerate(tiles) for b in tiles[i:]]

    def add(panel, pair):
        total[pair] += panel[pair[0]] @ panel[pair[1]].T

    with limited_threads(1), ThreadPoolExecutor(threads) as pool:
        running = []
        for panel in panels:
            for done in running:
                done.result()
            running = [pool.submit(add, panel, pair) for pair in pairs]
        for done in running:
            done.result()
    for a, b in pairs:
        total[b, a] = total[a, b].T
    return total


def gram(matrix, threads, scale=None, card=""):
    """Inner products of all rows.

    Parameters
    ----------
    matrix : Matrix or ndarray, shape (n, d)
        Read in blocks of columns.
    threads : int
    scale : Scale, optional
        Applied to all rows first, if columns are to be standardised or centred beforehand.
    card : str
        As in `glomfeat.features.deep.products.products_on`; empty for the CPU.

    Returns
    -------
    ndarray of float64, shape (n, n)
        Each element depends on its two rows alone.

    Examples
    --------
    >>> gram(np.array([[0, 255], [128, 128]], np.uint8), threads=1)
    array([[32513.,     0.],
           [    0.,     0.]])
    """
    exact = matrix.dtype == np.uint8 and scale is None
    step, read = PANEL[exact], READ_BYTES // matrix.dtype.itemsize

    def panels():
        for part in gen_batches(matrix.shape[1], read):
            values = matrix[:, part]
            for inner in gen_batches(values.shape[1], step):
                if exact:
                    yield values[:, inner].astype(np.float32) - np.float32(128)
                    continue
                panel = values[:, inner].astype(np.float64)
                yield scale.apply(panel, slice(part.start + inner.start, part.start + inner.stop)) if scale else panel
            del values  # frees them before the next ones are read

    return _outer_products(panels(), len(matrix), threads, card)


def _outer_products(panels, size, threads, card):
    if not card:
        return outer_products(panels, size, threads)
    from glomfeat.features.deep.products import products_on  # importing torch takes seconds

    return products_on(card, panels, size)


def moments(matrix, rows, threads, card=""):
    """Sums of a block of rows.

    Parameters
    ----------
    matrix : Matrix or ndarray, shape (n, d)
    rows : ndarray of int64
    threads, card
        As in `gram`.

    Returns
    -------
    dict of str to ndarray
        ``n``: number of rows. ``mean``: float64, shape (d,). ``scatter``: float64, shape (d, d), about the mean.

    Examples
    --------
    >>> moments(np.array([[1.0], [3.0], [9.0]]), np.array([0, 1]), threads=1)["scatter"]
    array([[2.]])
    """
    mean = column_means(matrix, rows)
    panels = ((np.asarray(matrix[part], np.float64) - mean).T for part in slices(rows))
    return {"n": np.array(len(rows)), "mean": mean, "scatter": _outer_products(panels, len(mean), threads, card)}


def slices(rows):
    """Row numbers in slices of 512."""
    return (rows[part] for part in gen_batches(len(rows), ROWS))


def column_means(matrix, rows):
    """Means of the columns over some rows, float64, shape (d,)."""
    return sum(np.asarray(matrix[part], np.float64).sum(axis=0) for part in slices(rows)) / len(rows)


def scale_of(matrix, rows, standardise):
    """Mean and, if asked for, standard deviation of the columns over some rows, which are read twice, slice by slice.

    Returns
    -------
    Scale
    """
    mean = column_means(matrix, rows)
    if not standardise:
        return Scale(mean, np.ones(len(mean)))
    squares = sum(((np.asarray(matrix[part], np.float64) - mean) ** 2).sum(axis=0) for part in slices(rows))
    return Scale(mean, _deviation(squares / len(rows), mean, len(rows)))


def _deviation(variance, mean, n):
    """Standard deviations; 1 for columns that are constant up to rounding, with scikit-learn's bound."""
    eps = np.finfo(np.float64).eps
    return np.where(variance <= n * eps * variance + (n * mean * eps) ** 2, 1.0, np.sqrt(variance))


def from_moments(blocks, k, standardise):
    """Components of the rows of several blocks together.

    Parameters
    ----------
    blocks : iterable of dict
        As `moments` returns them; read one by one.
    k : int
    standardise : bool
        Whether columns are scaled to variance 1 first.

    Returns
    -------
    Scatter
        At most `k` components; those without variance are left out.
    """
    n, mean, scatter = 0, 0.0, 0.0
    for block in blocks:
        m = block["n"].item()
        shift = block["mean"] - mean
        scatter = scatter + block["scatter"] if n == 0 else np.add(scatter, block["scatter"], out=scatter)
        if n:
            weighted = shift * (n * m / (n + m))
            for part in gen_batches(len(shift), ROWS):  # the whole product would take as much memory as the scatter
                scatter[part] += np.outer(weighted[part], shift)
        n, mean = n + m, mean + shift * (m / (n + m))
        del block  # it is a memory map, which may be large
    scale = np.ones(len(mean))
    if standardise:
        scale = _deviation(np.diag(scatter) / n, mean, n)
        scatter /= scale
        scatter /= scale[:, None]
    values, vectors = top_eigen(scatter, min(k, n, len(mean)))
    kept = explaining(values)
    return Scatter(values[kept] / (n - 1), vectors[:, kept].T, Scale(np.asarray(mean), scale))


def from_gram(products, train, k):
    """Components of some rows from the inner products of all rows.

    Parameters
    ----------
    products : ndarray of float64, shape (n, n)
        As `gram` returns it; a memory map is read in slices.
    train : ndarray of int64
    k : int

    Returns
    -------
    Dual or None
        None if the rows lie so far from zero that rounding errors of their products would matter.
    """
    n = len(train)
    centred = np.empty((n, n))
    for part in gen_batches(n, ROWS):
        np.take(products[train[part]], train, axis=1, out=centred[part], mode="clip")  # mode="raise" would buffer
    squares = np.trace(centred)
    means = centred.mean(axis=0)
    centred -= means
    centred -= means[:, None]
    centred += means.mean()
    values, vectors = top_eigen(centred, min(k, n))
    kept = explaining(values)
    far_from_zero = squares > FAR * np.trace(centred)
    if far_from_zero and np.finfo(np.float64).eps * squares > MISS * values[kept][-1]:
        return None
    values, vectors = values[kept].clip(0), vectors[:, kept]
    lengths = np.sqrt(np.where(values > 0, values, 1.0))
    return Dual(values / (n - 1), vectors / lengths, vectors * np.sqrt(values), means)


def signs(components):
    """Signs that make the largest of a component's first 512 loadings positive, so that components never flip.

    For up to 512 columns this is the rule of scikit-learn's ``PCA``. With few rows, boosted trees depend on it.

    Parameters
    ----------
    components : ndarray of float64, shape (k, d)

    Returns
    -------
    ndarray of float64, shape (k,)
        1 or -1.

    Examples
    --------
    >>> signs(np.array([[0.6, -0.8], [0.8, 0.6]]))
    array([-1.,  1.])
    """
    first = components[:, :SIGNED]
    far = np.abs(first).argmax(axis=1)
    return np.where(first[np.arange(len(first)), far] < 0, -1.0, 1.0)


def explaining(values):
    """Which components have variance in the training rows; the others are rounding noise that heads would amplify.

    Examples
    --------
    >>> explaining(np.array([4.0, 1.0, 1e-12]))
    array([ True,  True, False])
    """
    return values > NOISE * values[0] if values[0] > 0 else np.arange(len(values)) == 0


def components_of(dual, matrix, train, scale=None):
    """Components of the Gram route in the space of the columns, from one more pass over the training rows.

    Parameters
    ----------
    dual : Dual
    matrix : Matrix or ndarray, shape (n, d)
    train : ndarray of int64
    scale : Scale, optional
        The one given to `gram`.

    Returns
    -------
    Scatter
        The same components; they give coordinates of new rows without inner products.
    """
    scale = scale or scale_of(matrix, train, standardise=False)
    parts, start = 0.0, 0
    for rows in slices(train):
        weights = dual.weights[start : start + len(rows)]
        parts = parts + weights.T @ scale.apply(np.asarray(matrix[rows], np.float64))
        start += len(rows)
    return Scatter(dual.variance, parts, scale)
