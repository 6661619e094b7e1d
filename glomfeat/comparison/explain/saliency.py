"""Where deep features find the evidence that a linear head reads, for one trial of each arm."""

from functools import partial

import numpy as np

from glomfeat.comparison.trial import calling_part, fit_again
from glomfeat.core.memory import format_bytes
from glomfeat.features.seen import plain
from glomfeat.models.heads.built_in import is_linear
from glomfeat.models.heads.scoring import copy_rows
from glomfeat.models.nets.last_layer import linear_map
from glomfeat.models.nets.look import look_into
from glomfeat.models.nets.saliency import inside_feature
from glomfeat.models.selection import COMPONENTS

COPIES = 5  # copies of the training rows in float64 while a direction is sought
CLOSE = 0.01  # share of the range of decision values by which a direction may miss those of test rows


def direction_of(X, decision):
    """The direction in a feature's space along which a linear head's decision value grows, behind a projection.

    A reducer that projects onto the space that the training rows span, as principal components do, leaves only
    directions in that space, where the decision values of the training rows determine it: it is the least-squares
    solution of smallest length.

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
    direction, why = _direction(task, record["params"], free)
    if why:
        return {"why": why}
    inside = partial(inside_feature, deep[task.trial.arm.feature], direction)
    decided = np.asarray(record["scores"]), record["threshold"]
    return look_into(inside, pixels[task.trial.arm.feature], task.test, task.labels, *decided, each)


def _direction(task, params, free):
    """Find the direction of a trial's head, or say why it cannot be found."""
    matrix, width = task.reduction.matrix, task.reduction.matrix.shape[1]
    need = COPIES * len(task.train) * width * 8
    if need > free:
        return None, f"the direction of the head needs {format_bytes(need)} of {format_bytes(free)}"
    X = task.reduction.rows()[0]
    with calling_part(task):
        head = fit_again(task, params, X[task.train])
    if task.reduction.does_nothing:
        return linear_map(head, width)[0][0], ""
    decision = head.decision_function(copy_rows(X[:, : params.get(COMPONENTS)]))
    direction = direction_of(matrix[task.train], decision[task.train])
    off = decision[task.test] - np.asarray(matrix[task.test], np.float64) @ direction
    if np.ptp(off) > CLOSE * np.ptp(decision):
        return None, f"{task.reduction.name} is no projection onto what the training rows span"
    return direction, ""
