"""Routes to the principal components of all folds, and the cost of each."""

from dataclasses import dataclass, replace

import numpy as np

from glomfeat.core.cache import WRITE_BYTES
from glomfeat.core.memory import Need
from glomfeat.models.reducers.eigen import eigen_bytes, eigen_flops
from glomfeat.models.reducers.filling import has_gaps
from glomfeat.models.reducers.fit import SLICE_ROWS, leaves_as_is, parse_reducer, reducer_bytes, reducer_flops
from glomfeat.models.reducers.pca import PANEL, READ_BYTES, ROWS, TILE


@dataclass(frozen=True)
class Route:
    """A route to the principal components of all folds, and its cost.

    Attributes
    ----------
    name : str
        ``scatter`` or ``gram``, see `glomfeat.models.reducers.pca`; empty for other reducers.
    shared : Need or None
        Memory for the sums that folds share; None if there are none.
    fold : Need
        Memory for the components and rows of one fold.
    flops : float
        Floating-point operations for all folds and repeats.
    """

    name: str
    shared: Need | None
    fold: Need
    flops: float


def pca_routes(n, width, k, repeats, folds, standardise, exact):
    """Both routes to exact principal components, the cheaper one first.

    Parameters
    ----------
    n, width, k : int
        Rows, columns, components.
    repeats, folds : int
        How many partitions of the rows there are, and how many trials an arm has in all.
    standardise : bool
        If true, the Gram route needs a matrix for each fold.
    exact : bool
        Whether the matrix holds bytes.

    Returns
    -------
    list of Route

    Examples
    --------
    >>> [route.name for route in pca_routes(5758, 150_528, 128, 5, 25, False, exact=True)]
    ['gram', 'scatter']
    >>> [route.name for route in pca_routes(5758, 345, 128, 5, 25, True, exact=False)]
    ['scatter', 'gram']
    """
    rows, out = n * k * 4 * 3 + WRITE_BYTES, "the reduced rows"
    square, tiles = width * width * 8, 4 * TILE**2 * 8 + WRITE_BYTES
    scatter = Route(
        "scatter",
        Need(2 * square + 4 * ROWS * width * 8 + tiles, f"twice a {width} x {width} scatter and slices of {ROWS} rows"),
        Need(
            max(3 * square, square + eigen_bytes(width, k)) + SLICE_ROWS * width * 16 + rows,
            f"a {width} x {width} scatter with its eigenvectors, and {out}",
        ),
        repeats * n * width**2 + folds * eigen_flops(width, k),
    )
    block = n * (2 * READ_BYTES + 4 * PANEL[exact] * (4 if exact else 8))
    once = Need(2 * n * n * 8 + block + tiles, f"twice the {n} x {n} Gram matrix and blocks of columns")
    fold = Need(
        2 * n * n * 8 + max(2 * ROWS * n * 8, eigen_bytes(n, k)) + rows,
        f"the {n} x {n} Gram matrix, the part of the training rows with its eigenvectors, and {out}",
    )
    if standardise:
        fold, once = Need(fold.bytes + n * n * 8 + block + tiles, fold.how + ", of this fold alone"), None
    products = n * n * width * (folds if standardise else 1) / (2 if exact else 1)
    dual = Route("gram", once, fold, products + folds * eigen_flops(n, k))
    return sorted([scatter, dual], key=lambda route: route.flops)


def find_route(name, matrix, repeats, folds, standardise, free):
    """The route that a reducer takes on a matrix.

    Parameters
    ----------
    name : str
    matrix : Matrix or ndarray, shape (n, width)
        Only its shape, its type and whether values may be missing matter.
    repeats, folds, standardise
        As in `pca_routes`.
    free : int
        Bytes. The cheaper route that fits is taken; if none fits, the one that needs the least memory.

    Returns
    -------
    Route
    """
    kind, k = parse_reducer(name)
    n, width = matrix.shape
    if kind != "pca" or leaves_as_is(name, width):
        need = reducer_bytes(name, width, n)
        how = "slices of rows, one at a time" if kind == "ipca" else "all rows at once"
        return Route("", None, Need(need, how), folds * reducer_flops(name, width, n))
    gaps = has_gaps(matrix)
    routes = pca_routes(n, width, k, folds if gaps else repeats, folds, standardise, matrix.dtype == np.uint8)
    if gaps:
        routes = [alone(route) for route in routes]
    sizes = [max(route.fold.bytes, route.shared.bytes if route.shared else 0) for route in routes]
    fitting = [route for route, size in zip(routes, sizes, strict=True) if size <= free]
    return fitting[0] if fitting else routes[int(np.argmin(sizes))]


def alone(route):
    """A route on which no sum is shared, because each fold fills missing values with medians of its own rows."""
    needs = [route.fold, *([route.shared] if route.shared else [])]
    return replace(route, shared=None, fold=max(needs, key=lambda need: need.bytes))
