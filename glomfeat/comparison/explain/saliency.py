"""Where deep features find the evidence that a linear head reads, for one trial of each arm."""

from functools import partial

import numpy as np

from glomfeat.comparison.trial import fit_again
from glomfeat.core.memory import format_bytes
from glomfeat.features.seen import plain
from glomfeat.models.heads.built_in import is_linear
from glomfeat.models.nets.look import _look
from glomfeat.models.nets.saliency import inside_feature
from glomfeat.models.selection import COMPONENTS

COPIES = 5  # copies of the training rows in float64 while a direction is sought


def direction_of(X, decision):
    """The direction in a feature's space along which a linear head's decision value grows.

    Any reducer and scaler in between are linear, so the decision values of the training rows determine the direction:
    it is the least-squares solution of smallest length.

    Parameters
    ----------
    X : ndarray of float, shape (n, width)
        Training rows of the feature.
    decision : ndarray of float, shape (n,)
        The head's decision values for these rows.

    Returns
    -------
    ndarray of float64, shape (width,)

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(9, 3))
    >>> direction_of(X, X @ [1.0, -2.0, 0.5] + 5).round(6).tolist()
    [1.0, -2.0, 0.5]
    """
    X = np.asarray(X, np.float64)
    centred = X - X.mean(axis=0)
    return np.linalg.lstsq(centred, decision - np.mean(decision))[0]


def look_into_features(tasks, records, features, pixels, each, free):
    """Find where deep features that a logistic regression reads look, for one trial of each arm.

    Parameters
    ----------
    tasks : list of Task
        The first finished trial of an arm is used.
    records : dict of (arm, repeat, fold) to dict
    features : list
    pixels : dict of str to Matrix of uint8, rows of shape (side, side, 3)
        By the feature's name, read as the feature does.
    each : int
        As in `choose_rows`.
    free : int
        Bytes.

    Yields
    ------
    dict
        A journal record ``{"inside": {"arm", "fold", "each", "rows", "shape", "maps", "likeness"}}``, with ``why``
        instead of maps if there are none.
    """
    from glomfeat.features.deep.network import Deep

    deep, seen = {one.name: plain(one) for one in features if isinstance(plain(one), Deep)}, set()
    for task in tasks:
        arm, record = task.trial.arm, records.get(task.trial.key, {})
        if arm.feature not in deep or arm in seen or record.get("status") != "done" or task.classes != 2:
            continue
        if not is_linear(arm.head):
            continue
        seen.add(arm)
        yield {
            "inside": {"arm": str(arm), "fold": task.trial.fold} | _look_along(task, record, deep, pixels, each, free)
        }


def _look_along(task, record, deep, pixels, each, free):
    matrix = task.reduction.matrix
    need = COPIES * len(task.train) * matrix.shape[1] * 8
    if need > free:
        return {"why": f"the direction of the head needs {format_bytes(need)} of {format_bytes(free)}"}
    X, params = task.reduction.rows()[0], record["params"]
    decision = fit_again(task, params, X[task.train]).decision_function(X[task.train, : params.get(COMPONENTS)])
    direction = direction_of(matrix[task.train], decision)
    inside = partial(inside_feature, deep[task.trial.arm.feature], direction)
    decided = np.asarray(record["scores"]), record["threshold"]
    return _look(inside, pixels[task.trial.arm.feature], task.test, task.labels, *decided, each)
