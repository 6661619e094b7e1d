"""Check that a bundle still gives, on this installation, the scores that it gave where it was made."""

import numpy as np

from glomfeat.bundle.format import BundleError

SIDE = 64
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
MOST = 1e-3


def picture():
    """An image that is the same on every installation: bands of pink and purple on a gradient, uint8.

    Examples
    --------
    >>> picture().shape, int(picture().sum())
    ((64, 64, 3), 2174976)
    """
    y, x = np.indices((SIDE, SIDE))
    band = ((x // 8 + y // 8) % 2) * 60
    return np.stack([230 - band, 140 + x - band // 2, 200 - y // 2 - band // 3], axis=-1).astype(np.uint8)


def rows_around(mean, spread):
    """Rows some standard deviations away from a mean, in alternating directions along the columns."""
    signs = np.where(np.arange(len(mean)) % 2, -1.0, 1.0)
    return np.array([mean + step * signs * spread for step in STEPS], np.float32)


def reduced_rows(cloud):
    """Reduced rows around the mean of the training images."""
    spread = np.divide(1, cloud.whiten, out=np.zeros_like(cloud.whiten), where=cloud.whiten > 0)
    return rows_around(cloud.mean, spread)


def rows_of_table(columns):
    """Rows of a table around the mean of the training rows, and one that lacks whatever may be missing."""
    rows = rows_around(columns.mean, columns.spread)
    if not len(columns.lacking):
        return rows
    gaps = columns.mean.copy()
    gaps[columns.lacking] = np.nan
    return np.vstack([rows, gaps])


def make_checks(bundle):
    """Score a drawn image or rows of a table and, for heads, reduced rows around the training images.

    Parameters
    ----------
    bundle : Bundle

    Returns
    -------
    dict
        ``picture`` or ``table``, and ``rows``, each with its scores.
    """
    from glomfeat.core.threads import limited_threads
    from glomfeat.models.heads.scoring import scores_of

    if bundle.table is None:
        found = {"picture": bundle.predict_proba([picture()])[0].tolist()}
    else:
        found = {"table": bundle.predict_proba(rows_of_table(bundle.table)).tolist()}
    if getattr(bundle.reference, "features", None) is not None:  # an ensemble has no reference of its own
        model = bundle.model
        with limited_threads(model.threads):
            found["rows"] = scores_of(model.estimator, reduced_rows(bundle.reference.features), model.classes).tolist()
    return found


def check(bundle):
    """Compare the scores of `make_checks` with those in the bundle.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    BundleError
        The difference is larger than 0.001, or scores are missing.
    """
    then, now = bundle.about["checks"], make_checks(bundle)
    pairs = [(np.asarray(then[name], float), np.asarray(now[name], float)) for name in now]
    if any(a.shape != b.shape for a, b in pairs):
        raise ValueError("checks of another shape")
    found = max(float(np.abs(a - b).max()) for a, b in pairs)
    if not found <= MOST:
        tested, they = ("test image scores", "it") if bundle.table is None else ("test rows score", "they")
        raise BundleError(
            f"the bundle's {tested} {found:.2g} away from what {they} scored where the bundle was made: install "
            "the versions that bundle.json lists, or fit the arm again with python -m studies.refit"
        )
    return found
