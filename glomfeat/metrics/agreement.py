"""How well two ways of counting or calling agree: Bland and Altman's limits, intraclass correlation, kappa."""

import numpy as np

WITHIN = 1.959963984540054  # 95 % of a normal distribution lie within this many standard deviations


def icc_agreement(ratings, weights=None):
    """Intraclass correlation for absolute agreement of single ratings, two-way: ICC(2,1) of Shrout & Fleiss (1979).

    McGraw & Wong (1996) call it ICC(A,1). It is below 1 if ratings scatter or if one rater is biased.

    Parameters
    ----------
    ratings : ndarray of float, shape (n, k)
        One row per subject, one column per rater.
    weights : ndarray of float, shape (replicates, n), optional
        How often each subject counts in each replicate.

    Returns
    -------
    float, or ndarray of shape (replicates,)
        NaN if all ratings are equal or fewer than two subjects count.

    Examples
    --------
    The example of Shrout & Fleiss (1979), table 2, six targets and four judges:

    >>> judged = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(icc_agreement(judged), 2)
    0.29
    """
    ratings = np.asarray(ratings, float)
    w = np.ones((1, len(ratings))) if weights is None else np.asarray(weights, float)
    smallest = 1e-12 * (1 + np.abs(ratings).max() ** 2)  # what rounding leaves of equal ratings
    ratings = ratings - ratings.mean()
    k, n = ratings.shape[1], w.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_raters = w @ ratings / n[:, None]
        grand = of_raters.mean(axis=1)
        rows = k * (w @ ratings.mean(axis=1) ** 2 - n * grand**2)
        columns = n * ((of_raters - grand[:, None]) ** 2).sum(axis=1)
        total = w @ (ratings**2).sum(axis=1) - n * k * grand**2
        msr, msc = rows / (n - 1), columns / (k - 1)
        mse = np.maximum(total - rows - columns, 0) / ((n - 1) * (k - 1))
        found = np.where(total > smallest, (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n), np.nan)
    found = np.where(np.isfinite(found), found, np.nan)
    return float(found[0]) if weights is None else found


def bland_altman(true, predicted):
    """Bias and 95 % limits of agreement (Bland & Altman 1986).

    Parameters
    ----------
    true, predicted : array of float, shape (n,)

    Returns
    -------
    bias, low, high : float
        Mean of predicted less true, and 1.96 standard deviations of the differences on either side of it; limits are
        NaN for fewer than two cases.

    Examples
    --------
    >>> [round(value, 2) for value in bland_altman([0, 50, 100], [10, 50, 90])]
    [0.0, -19.6, 19.6]
    """
    difference = np.asarray(predicted, float) - np.asarray(true, float)
    bias = float(difference.mean())
    spread = WITHIN * float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    return bias, bias - spread, bias + spread


def kappa(counts, quadratic=False):
    """Cohen's kappa of two raters, from how often each class of one (row) met each class of the other (column).

    It measures agreement beyond what two raters with these habits would have by chance: 1 is perfect, 0 is chance
    (Cohen 1960, Educational and Psychological Measurement 20:37). With quadratic weights, two calls that differ count
    by the square of their distance (Cohen 1968, Psychological Bulletin 70:213).

    Parameters
    ----------
    counts : ndarray of float, shape (..., classes, classes)
        In the order of the classes, if distances count.
    quadratic : bool

    Returns
    -------
    ndarray of float, shape (...)
        NaN if both raters use only one and the same class.

    Examples
    --------
    Of 50 images both call 20 positive and 15 negative, and chance alone would make them agree in half:

    >>> float(kappa(np.array([[15.0, 10], [5, 20]])).round(9))
    0.4
    """
    apart = 1 - np.eye(counts.shape[-1])
    apart = distances(counts.shape[-1]) ** 2 if quadratic else apart
    rows, columns, total = counts.sum(axis=-1), counts.sum(axis=-2), counts.sum(axis=(-1, -2))
    seen = (counts * apart).sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = (rows[..., :, None] * columns[..., None, :] * apart).sum(axis=(-1, -2)) / total
        return np.where(expected > 0, 1 - seen / expected, np.nan)


def mean_distance(counts):
    """Mean absolute error of calls of ordered classes: how many steps a call is from the truth, on average.

    Parameters
    ----------
    counts : ndarray of float, shape (..., classes, classes)
        The truth in rows, in the order of the classes.

    Returns
    -------
    ndarray of float, shape (...)

    Examples
    --------
    >>> float(mean_distance(np.array([[3.0, 0, 1], [0, 4, 0], [0, 2, 2]])))
    0.3333333333333333
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (counts * distances(counts.shape[-1])).sum(axis=(-1, -2)) / counts.sum(axis=(-1, -2))


def distances(classes):
    """How many steps any two of several ordered classes are apart, shape (classes, classes)."""
    return np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(float)
