"""How sure a figure is of a procedure that is trained again on other cases, and not only of the models at hand."""

import numpy as np

from glomfeat.metrics.resampling import logit_limits


def retraining(inner: np.ndarray, outer: np.ndarray) -> tuple[float, float]:
    """The variance that a mean over folds gains because other training cases would have made other models.

    With K folds, ``inner[:, i]`` is the mean figure of models that were fitted without fold i, each on a further fold
    that it has not learnt from either. From it, the mean for the same tested folds by models that did learn from fold i
    is subtracted. What remains is the change that comes from leaving fold i out of the training cases; most of the luck
    of testing cancels, because the tested images are the same. That is a delete-a-group jackknife of training (Shao &
    Wu 1989, Annals of Statistics 17:1176; Wolter 2007, Introduction to Variance Estimation, chapter 4). If a model
    moves by the mean of what its training folds do, the variance of the mean over folds is ((K - 1) / K)^3 times the
    sum of squares of the changes about their mean. Cases that are odd to learn from may be odd to test as well: twice
    the covariance of both is added, ((K - 1) / K)^2 times the sum of products of the changes and of the means without
    fold i. Repeats are averaged; a negative sum is taken as 0.

    Parameters
    ----------
    inner, outer : ndarray of float, shape (repeats, folds)

    Returns
    -------
    variance, freedom : float
        The degrees of freedom are those of one repeat.

    Examples
    --------
    >>> round(retraining(np.array([[0.8, 0.8, 0.9, 0.9]]), np.full((1, 4), 0.9))[0], 8)
    0.00421875
    """
    k = inner.shape[1]
    others = (outer.sum(axis=1, keepdims=True) - outer) / (k - 1)
    changes, tested = (part - part.mean(axis=1, keepdims=True) for part in (inner - others, others))
    share = (k - 1) / k
    found = share**3 * (changes**2).sum(axis=1) + 2 * share**2 * (changes * tested).sum(axis=1)
    return float(max(found.mean(), 0.0)), k - 1.0


def procedure_limits(
    value: float, testing: tuple[float, float], training: tuple[float, float], limits: tuple[float, float]
) -> tuple[float, float]:
    """95 % limits of a figure for the procedure, from the variance that testing and training add.

    The variances are added; degrees of freedom are Satterthwaite's (1946); limits are Student's t on the logit scale.

    Parameters
    ----------
    value : float
        From 0 to 1.
    testing : (float, float)
        Variance over tested cases and its degrees of freedom, as from `glomfeat.metrics.resampling.jackknife`.
    training : (float, float)
        From `retraining`.
    limits : (float, float)
        Of the fitted models: limits of the procedure are never inside them, and are the same at 0 and at 1.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> [round(end, 3) for end in procedure_limits(0.9, (0.03**2, 20.0), (0.02**2, 4.0), (0.82, 0.95))]
    [0.796, 0.954]
    """
    parts = [(variance, freedom) for variance, freedom in (testing, training) if variance > 0]
    if not 0 < value < 1 or not parts:
        return limits
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / freedom for variance, freedom in parts)
    low, high = logit_limits(value, np.sqrt(total), freedom)
    return min(low, limits[0]), max(high, limits[1])
