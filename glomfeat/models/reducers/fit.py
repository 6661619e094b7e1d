"""Reducers, which make a matrix smaller; they are always fitted on training rows, read slice by slice."""

import re
import time
import warnings

import numpy as np
from sklearn.decomposition import IncrementalPCA
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from glomfeat.core.part_errors import MisfitError, calling, rows_of
from glomfeat.core.plugins import PluginError, definition_of, did_you_mean, if_path, is_own, resolve
from glomfeat.models.random_states import closed
from glomfeat.models.reducers.pca import (
    SIGNED,
    components_of,
    explaining,
    from_gram,
    from_moments,
    gram,
    moments,
    scale_of,
    signs,
)

SLICE_ROWS = 256
REDUCERS = ("none", "ipca", "pca")
PREFIXES = (8, 16, 32, 64, 128)  # numbers of components that inner splits choose from


def parse_reducer(name):
    """Split a reducer's name into its kind and the number of components that it keeps.

    Returns
    -------
    kind : str
    k : int
        0 if the reducer itself decides; 128 for ``pca`` and ``ipca`` without a number.

    Raises
    ------
    PluginError
        The name is unknown.

    Examples
    --------
    >>> parse_reducer("ipca32"), parse_reducer("pca"), parse_reducer("none")
    (('ipca', 32), ('pca', 128), ('none', 0))
    """
    if name == "none" or is_own(name):
        return name, 0
    match = re.fullmatch(r"([a-z]+)([1-9]\d*)?", name)
    if not match or match[1] not in REDUCERS or match[1] == "none":
        known = (
            f"{did_you_mean(name, ['none', 'ipca128', 'pca128'])} (or another number); your own is 'module:function'"
        )
        raise PluginError(f"no reducer is called {name!r}: {known}{if_path(name)}")
    return match[1], int(match[2] or PREFIXES[-1])


def prefixes_of(name):
    """The numbers of leading components that inner splits choose from; empty if the name says how many.

    Examples
    --------
    >>> prefixes_of("pca"), prefixes_of("pca64"), prefixes_of("none")
    ((8, 16, 32, 64, 128), (), ())
    """
    return PREFIXES if name in ("pca", "ipca") else ()


def _slices(rows, least):
    """Slices of rows; a last one with fewer rows than `least` joins the one before."""
    size = max(SLICE_ROWS, 2 * least)
    return [rows[part] for part in gen_batches(len(rows), size, min_batch_size=least)]


def reduce_rows(name, matrix, train, standardise, statistics=None):
    """Fit a reducer on training rows and apply it to all rows.

    Parameters
    ----------
    name : str
        ``pcaK``: exact principal components, see `glomfeat.models.reducers.pca`. ``ipcaK``: scikit-learn's
        IncrementalPCA (Ross et al. 2008), fed with slices. ``module:function``: a function without arguments that
        returns a scikit-learn transformer, whose ``fit`` reads all training rows at once. A random state that it leaves
        at None becomes 0.
    matrix : Matrix or ndarray, shape (n, width)
    train : ndarray of int64
        The only rows that fitting reads.
    standardise : bool
        Whether columns are first scaled to mean 0 and variance 1, by statistics of the training rows.
    statistics : iterable of dict, or ndarray, optional
        For ``pcaK``, if folds share them: `glomfeat.models.reducers.pca.moments` of blocks that form the training rows,
        or `glomfeat.models.reducers.pca.gram` of all rows. If left out, they are computed from the training rows.

    Returns
    -------
    dict
        ``rows``: float32, shape (n, components); for ``pcaK`` their signs follow `glomfeat.models.reducers.pca.signs`.
        ``fit_s`` and ``transform_s``: seconds, for all rows.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    >>> reduce_rows("ipca2", X, np.arange(30), standardise=True)["rows"].shape
    (40, 2)
    """
    start = time.perf_counter()
    kind, k = parse_reducer(name)
    if kind == "pca":
        project, kept = _exact(matrix, train, k, standardise, statistics), slice(None)
    else:
        project, kept = _sliced(kind, k, matrix, train, standardise)
    fitted = time.perf_counter()
    found = in_slices(len(matrix), lambda rows: project(rows)[:, kept])
    return {"rows": found, "fit_s": np.array(fitted - start), "transform_s": np.array(time.perf_counter() - fitted)}


def in_slices(n, find):
    """What a function finds of `n` rows, asked slice by slice by their places; float32, shape (n, columns)."""
    found = None
    for part in gen_batches(n, SLICE_ROWS):
        rows = find(np.arange(part.start, part.stop))
        found = np.empty((n, rows.shape[1]), np.float32) if found is None else found
        found[part] = rows
    return found


def fit_sliced(kind, k, matrix, train, standardise):
    """Fit a reducer slice by slice, or one of the user's own on all training rows.

    Parameters
    ----------
    kind, k
        From `parse_reducer`, but not ``pcaK``.
    matrix, train, standardise
        As in `reduce_rows`.

    Returns
    -------
    scaler : StandardScaler or None
    reducer : transformer
    kept : ndarray of bool or slice
        Which of the reducer's columns to keep.
    """
    if k:
        k = min(k, len(train), matrix.shape[1])
    slices = _slices(train, max(k, 1))
    scaler = StandardScaler() if standardise else None
    if scaler:
        for rows in slices:
            scaler.partial_fit(_read(matrix, rows))
    if not k:
        return scaler, _fit_own(kind, _read(matrix, train, scaler)), slice(None)
    reducer = IncrementalPCA(n_components=k)
    for rows in slices:
        with warnings.catch_warnings():
            # constant rows have no variance to explain, but scikit-learn divides by it all the same
            warnings.filterwarnings("ignore", "invalid value encountered in (scalar )?divide", RuntimeWarning)
            reducer.partial_fit(_read(matrix, rows, scaler))
    return scaler, reducer, explaining(reducer.explained_variance_)


def _fit_own(name, rows):
    """Fit the user's own reducer by ``fit``, because ``partial_fit`` may be another algorithm."""
    factory = resolve(name, {}, "reducer")
    with calling("reducer", name, factory):
        reducer = closed(factory(), 0)
    with calling("reducer", name, definition_of(name), learns=True):
        if not isinstance(reducer, FrozenEstimator):  # its fit does nothing, but asks for labels
            reducer.fit(rows)
    return reducer


def _sliced(kind, k, matrix, train, standardise):
    """Fit as `fit_sliced`; return a function that projects row numbers, and which of its columns to keep."""
    scaler, reducer, kept = fit_sliced(kind, k, matrix, train, standardise)
    if not is_own(kind):
        return lambda rows: reducer.transform(_read(matrix, rows, scaler)), kept
    widths = set()

    def project(rows):
        with calling("reducer", kind, definition_of(kind)):
            given = reducer.transform(_read(matrix, rows, scaler))
            found = _as_float32(rows_of(given, len(rows), reducer.transform), reducer.transform)
            widths.add(found.shape[1])
            if len(widths) > 1:
                raise MisfitError(
                    f"transform returned {sorted(widths)} columns: always return as many", reducer.transform
                )
        return found

    return project, kept


def _as_float32(rows, method):
    """Rows as they are stored; refuses those without columns, and numbers that are too large."""
    if not rows.shape[1]:
        raise MisfitError("transform returned no columns: keep one or more", method)
    with np.errstate(over="ignore"):
        found = rows.astype(np.float32)
    if not np.isfinite(found).all():
        largest = f"{np.abs(rows).max():.2g}"
        raise MisfitError(f"transform gave {largest}, which is too large for float32: scale its columns", method)
    return found


def _exact(matrix, train, k, standardise, statistics):
    """Fit exact principal components; return a function that projects row numbers."""
    if statistics is None and matrix.shape[1] <= len(train):
        statistics = [moments(matrix, train, threads=1)]
    if statistics is not None and not isinstance(statistics, np.ndarray):
        scatter = from_moments(statistics, k, standardise)
        turned = signs(scatter.components)
        return lambda rows: scatter.project(np.asarray(matrix[rows], np.float64)) * turned
    dual = None if statistics is None else from_gram(statistics, train, k)
    if dual is None:
        # centred at the mean of the training rows: exact even if rows lie far from zero, but usable for this fold only
        statistics = gram(matrix, 1, scale_of(matrix, train, standardise))
        dual = from_gram(statistics, train, k)
    first, everyone = matrix[train, :SIGNED], np.arange(len(train))
    turned = signs(components_of(dual, first, everyone, scale_of(first, everyone, standardise)).components)
    place = np.full(len(matrix), -1)
    place[train] = everyone

    def project(rows):
        found, known = np.empty((len(rows), len(dual.variance))), place[rows] >= 0
        found[known] = dual.coordinates[place[rows[known]]]
        if not known.all():
            found[~known] = dual.project(np.take(statistics[rows[~known]], train, axis=1))
        return found * turned

    return project


def _read(matrix, rows, scaler=None):
    values = np.asarray(matrix[rows], np.float32)
    return scaler.transform(values) if scaler else values


def leaves_as_is(name, width):
    """Whether a reducer has nothing to do: it is ``none``, or there are no more columns than components.

    Rotating the columns would only make them unreadable for heads that split on them.

    Examples
    --------
    >>> leaves_as_is("none", 500), leaves_as_is("ipca128", 10), leaves_as_is("ipca8", 10)
    (True, True, False)
    """
    kind, k = parse_reducer(name)
    return kind == "none" or 0 < width <= k


def reducer_bytes(name, width, n_rows):
    """Most memory that fitting takes, in bytes.

    It counts several slices of float32 rows: what is read, its copy, the stacked matrix and its singular vectors.

    Examples
    --------
    >>> reducer_bytes("ipca128", 150_528, 5000) < 4_000_000_000
    True
    """
    kind, k = parse_reducer(name)
    if leaves_as_is(name, width):
        return n_rows * width * 4
    rows = n_rows if is_own(kind) else min(n_rows, max(SLICE_ROWS, 2 * k) + k) + k + 1
    return 12 * rows * width * 4 + 2 * n_rows * max(k, 1) * 4


def reducer_flops(name, width, n_rows):
    """Cost of one fit in operations of a matrix product that would take the same time; 0 if it is not known.

    It counts a singular value decomposition of each slice, which runs at about an eighth of the speed of a product.
    """
    kind, k = parse_reducer(name)
    if kind != "ipca" or leaves_as_is(name, width):
        return 0.0
    size = max(SLICE_ROWS, 2 * k)
    return 32.0 * (min(n_rows, size) + k + 1) ** 2 * width * -(-n_rows // size)
