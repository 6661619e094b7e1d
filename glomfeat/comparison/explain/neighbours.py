"""The nearest training images of errors and of doubtful labels, in the space that the head reads."""

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from glomfeat.metrics.scores import decide, how_sure
from glomfeat.models.selection import COMPONENTS

ERRORS, NEAREST = 40, 3  # of an arm, and of an error
BLOCK_BYTES = 8_000_000
COLUMNS = ("arm", "name", "fold", "rank", "neighbour", "distance", "neighbour_label")


def neighbours_table(tasks, records, manifest, most=ERRORS, k=NEAREST, also=("", ())):
    """For each error of an arm that uses a feature, the nearest training rows of its own trial.

    Distances are Euclidean, between rows as the head reads them: columns of a reducer keep their variances, other
    columns are scaled to variance 1 by their training rows. Only the first repeat is used, and for each arm the errors
    that the arm is surest of.

    Parameters
    ----------
    tasks : list of Task
        On folds by case.
    records : dict of (arm, repeat, fold) to dict
        Of the journal.
    manifest : Manifest
    most, k : int
        How many errors of an arm, and how many neighbours of an error.
    also : (str, sequence of int)
        An arm, and rows of the manifest whose neighbours are wanted as well, even if they are no errors.

    Returns
    -------
    pandas.DataFrame
        A row for each error and neighbour. Arms are in the order of the plan, the surest errors first, then the rows
        that were wanted as well. Columns: ``arm, name, fold``, ``rank`` from 1, ``neighbour`` (the name of the training
        image), ``distance``, ``neighbour_label`` (index into the classes).
    """
    names, arms, rows = manifest.table["name"].to_numpy(), {}, []
    for task in tasks:
        done = records.get(task.trial.key, {}).get("status") == "done"
        looks = task.reduction is not None and task.reduction.matrix.shape[1] > 0
        if looks and task.trial.repeat == 0 and done:
            arms.setdefault(str(task.trial.arm), []).append(task)
    for arm, mine in arms.items():
        order, found = _surest_errors(mine, records)[:most], {}
        if arm == also[0]:
            order += [one for one in _where_tested(mine, also[1]) if one not in order]
        for place, task in enumerate(mine):
            wrong = np.array([row for where, row in order if where == place], np.int64)
            if len(wrong):
                as_is = task.reduction.does_nothing
                X = task.reduction.filled if as_is else task.reduction.rows()[0]
                width = records[task.trial.key]["params"].get(COMPONENTS)
                near, far = nearest_rows(X if width is None else X[:, :width], task.train, wrong, k, not as_is)
                found |= {(place, row): both for row, *both in zip(wrong.tolist(), near, far, strict=True)}
        for place, row in order:
            for rank, (near, distance) in enumerate(zip(*found[place, row], strict=True), 1):
                fold, label = str(mine[place].trial.fold), manifest.labels[near]
                rows.append((arm, names[row], fold, rank, names[near], distance, label))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _where_tested(tasks, rows):
    """The position of the task that tests each row, and the row; without rows that no task tests."""
    place = {int(row): place for place, task in enumerate(tasks) for row in task.test}
    return [(place[row], row) for row in map(int, rows) if row in place]


def _surest_errors(tasks, records):
    """The test rows that an arm calls wrong at its threshold, the surest first: position in `tasks`, and row."""
    found = []
    for place, task in enumerate(tasks):
        record = records[task.trial.key]
        score, threshold = np.asarray(record["scores"], np.float64), record["threshold"]
        sure, wrong = how_sure(score, threshold), np.flatnonzero(decide(score, threshold) != task.labels[task.test])
        found += [(-sure[k], place, int(task.test[k])) for k in wrong]
    return [(place, row) for _, place, row in sorted(found)]


def nearest_rows(X, train, rows, k=NEAREST, reduced=False):
    """Find the training rows that are nearest to other rows, and their distances.

    Parameters
    ----------
    X : Matrix or ndarray of float, shape (n, width)
        Read block by block.
    train : ndarray of int64
    rows : ndarray of int64, shape (m,)
    k : int
    reduced : bool
        Whether columns keep their relative variances.

    Returns
    -------
    near : ndarray of int64, shape (m, k or fewer)
        Rows of X, nearest first; of equally near ones, the first in `train`.
    distance : ndarray of float64, of the same shape
        In standard deviations of the training rows; for reduced rows, in units of the root mean variance of a column.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [5.0]])
    >>> near, distance = nearest_rows(X, np.array([0, 1, 2]), np.array([3]), k=2)
    >>> near.tolist(), distance.round(3).tolist()
    ([[2, 1]], [[3.674, 4.899]])
    """
    scaler, size = StandardScaler(), max(1, BLOCK_BYTES // (8 * X.shape[1]))
    parts = list(gen_batches(len(train), size))
    for part in parts:
        scaler.partial_fit(np.asarray(X[train[part]], np.float64))
    if reduced:
        scaler.scale_ = np.full(len(scaler.var_), np.sqrt(scaler.var_.mean()) or 1.0)
    wanted = scaler.transform(np.asarray(X[rows], np.float64))
    distance = np.empty((len(rows), len(train)))
    for part in parts:
        block = scaler.transform(np.asarray(X[train[part]], np.float64))
        for place, row in enumerate(wanted):
            distance[place, part] = np.sqrt(np.square(block - row).sum(axis=1))
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return train[order], np.take_along_axis(distance, order, axis=1)
