"""What the training images were like, and whether another image is unlike them: by size, colour or features.

For rows of a table, only features count.
"""

from dataclasses import dataclass

import numpy as np

MARGIN = 1.25
QUANTILE = 0.995
SIZES, COLOURS = slice(0, 2), slice(4, 10)  # columns of the shortcut feature


@dataclass(frozen=True)
class Cloud:
    """Where rows lie: a row's distance is the root mean square of its standardised columns.

    The columns of colours are first made uncorrelated; those of reduced features nearly are.

    Attributes
    ----------
    mean : ndarray of float64, shape (d,)
    whiten : ndarray of float64, shape (d,) or (d, d)
        The factor or matrix that centred rows are multiplied by.
    limit : float
        The distance that 99.5 % of the training images stay within, each measured from images of other cases.
    """

    mean: np.ndarray
    whiten: np.ndarray
    limit: float

    def distance(self, rows):
        """Distance of each row, shape (n,)."""
        centred = np.asarray(rows, np.float64) - self.mean
        standard = centred * self.whiten if self.whiten.ndim == 1 else centred @ self.whiten
        return np.sqrt((standard**2).mean(axis=1))


def _fit(rows, whole):
    rows = np.asarray(rows, np.float64)
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 1e-9 * (np.abs(mean) + 1e-12), spread, np.inf)  # a constant column says nothing
    if not whole:
        return Cloud(mean, 1 / spread, np.inf)
    standard = (rows - mean) / spread
    values, vectors = np.linalg.eigh(standard.T @ standard / len(rows))
    return Cloud(mean, (vectors / np.sqrt(np.maximum(values, 1e-3))) / spread[:, None], np.inf)


def fit_cloud(rows, splits, whole):
    """Describe where training rows lie.

    Parameters
    ----------
    rows : ndarray of float, shape (n, d)
    splits : list of (fit, held)
        Row numbers, split by case: the limit is a quantile of the distances of held rows from the others.
    whole : bool
        Whether to make columns uncorrelated.

    Returns
    -------
    Cloud

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(60, 2))
    >>> cloud = fit_cloud(rows, [(np.arange(30), np.arange(30, 60))], whole=True)
    >>> (cloud.distance(np.array([[0.0, 0.0], [9.0, -9.0]])) > cloud.limit).tolist()
    [False, True]
    """
    held = np.concatenate([_fit(rows[fit], whole).distance(rows[held]) for fit, held in splits])
    found = _fit(rows, whole)
    return Cloud(found.mean, found.whiten, float(np.quantile(held, QUANTILE)))


@dataclass(frozen=True)
class Reference:
    """What the training images were like.

    Attributes
    ----------
    sizes : ndarray of float64, shape (2, 2), or None
        Smallest and largest width and height, in pixels; None for rows of a table.
    colours : Cloud or None
        For the mean and standard deviation of red, green and blue; None for rows of a table.
    features : Cloud or None
        For reduced features; None for networks.
    """

    sizes: np.ndarray | None
    colours: Cloud | None
    features: Cloud | None = None

    def unlike(self, plain, reduced=None):
        """Say in what images are unlike the training images.

        Parameters
        ----------
        plain : ndarray of float32, shape (n, 10), or None
            From `glomfeat.features.handcrafted.shortcut`; None for rows of a table.
        reduced : ndarray of float32, shape (n, k), optional

        Returns
        -------
        list of tuple of str
            Some of ``size`` (a side more than a quarter beyond the training range), ``colour`` and ``features``
            (farther away than 99.5 % of the training images); empty for an image like the others.
        """
        found = {}
        if plain is not None:
            sizes = plain[:, SIZES]
            found["size"] = ((sizes < self.sizes[0] / MARGIN) | (sizes > self.sizes[1] * MARGIN)).any(axis=1)
            found["colour"] = self.colours.distance(plain[:, COLOURS]) > self.colours.limit
        if self.features is not None and reduced is not None:
            found["features"] = self.features.distance(reduced) > self.features.limit
        return [
            tuple(name for name, far in found.items() if far[row])
            for row in range(len(reduced if plain is None else plain))
        ]


def make_reference(plain, reduced, splits):
    """Describe the training images.

    Parameters
    ----------
    plain, reduced
        As for `Reference.unlike`; one of them may be None.
    splits : list of (fit, held)

    Returns
    -------
    Reference
    """
    features = None if reduced is None else fit_cloud(reduced, splits, whole=False)
    if plain is None:
        return Reference(None, None, features)
    sizes = np.stack([plain[:, SIZES].min(axis=0), plain[:, SIZES].max(axis=0)]).astype(np.float64)
    return Reference(sizes, fit_cloud(plain[:, COLOURS], splits, whole=True), features)


def to_arrays(reference):
    """A reference as named arrays."""
    found = {} if reference.sizes is None else {"reference.sizes": reference.sizes}
    for name in ("colours", "features"):
        cloud = getattr(reference, name)
        if cloud is not None:
            found |= {f"reference.{name}.mean": cloud.mean, f"reference.{name}.whiten": cloud.whiten}
            found[f"reference.{name}.limit"] = np.array([cloud.limit])
    return found


def from_arrays(arrays, of_images=True):
    """Rebuild the reference from `to_arrays`; one for images must know their sizes and colours."""

    def cloud(name):
        if f"reference.{name}.mean" not in arrays:
            return None
        parts = [arrays[f"reference.{name}.{part}"] for part in ("mean", "whiten", "limit")]
        return Cloud(parts[0], parts[1], float(parts[2][0]))

    if not of_images:
        return Reference(None, None, cloud("features"))
    return Reference(arrays["reference.sizes"], cloud("colours"), cloud("features"))
