"""How much an arm's AUROC falls when a group of a feature's columns is shuffled among the tested images."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glomfeat.comparison.run import has_own
from glomfeat.comparison.trial import calling_part, fit_again
from glomfeat.core.memory import format_bytes
from glomfeat.core.part_errors import in_words
from glomfeat.core.seeds import seed_for
from glomfeat.core.threads import limited_threads
from glomfeat.core.watched import limited
from glomfeat.core.words import number_of
from glomfeat.core.workers import Call, side_by_side
from glomfeat.metrics.scores import auroc
from glomfeat.models.heads.built_in import head_bytes
from glomfeat.models.heads.scoring import copy_rows, scores_of
from glomfeat.models.reducers.fit import parse_reducer, reduce_rows
from glomfeat.models.selection import COMPONENTS

DRAWS, SHUFFLES = 5, 30  # most shuffles on one fold, of a group and of all groups; each group gets at least one
ARMS = 3  # for each feature
MOST_COLUMNS, MOST_GROUPS = 2000, 40
COLUMNS = ("arm", "group", "columns", "auroc", "drop", "drop_lo", "drop_hi")


@dataclass(frozen=True)
class Shuffle:
    """The heads that read one reduction on one fold, and the groups of columns to shuffle for them.

    Attributes
    ----------
    tasks : tuple of Task
        All with the same reduction.
    params : tuple of dict
        The settings that each head's inner splits chose.
    groups : dict of str to ndarray of int64
        As `column_groups` returns them.
    seed : int
        Of this feature on this fold.
    """

    tasks: tuple
    params: tuple
    groups: dict
    seed: int

    @property
    def draws(self):
        """How often each group is shuffled."""
        return draws_of(self.groups)

    @property
    def need(self):
        """Bytes for the stacked rows, for their reduction, and for fitting one head."""
        task, reduction = self.tasks[0], self.tasks[0].reduction
        width, k = reduction.matrix.shape[1], parse_reducer(reduction.name)[1]
        n, copies = len(task.train), 1 + self.draws * len(self.groups)
        rows, kept = n + copies * len(task.test), min(k or width, width)
        need = 8 * rows * (width + kept) + max(head_bytes(of.trial.arm.head, n, kept) for of in self.tasks)
        exact = parse_reducer(reduction.name)[0] == "pca" and not reduction.does_nothing
        return need + (24 * (rows if width > n else width) ** 2 if exact else 0)


def column_groups(names, most=MOST_GROUPS):
    """Columns that are shuffled together: each one alone or, if there are many, those with the same first word.

    Parameters
    ----------
    names : list of str
        A first word ends at the first dot.
    most : int
        The largest number of groups.

    Returns
    -------
    dict of str to ndarray of int64
        Positions of the columns; empty if there are too many groups of first words as well.

    Examples
    --------
    >>> {name: rows.tolist() for name, rows in column_groups(["lbp.a", "lbp.b", "hog.a"], most=2).items()}
    {'lbp': [0, 1], 'hog': [2]}
    """
    groups = {}
    for place, name in enumerate(names):
        groups.setdefault(name if len(names) <= most else first_word(name), []).append(place)
    return {name: np.array(places, np.int64) for name, places in groups.items()} if len(groups) <= most else {}


def first_word(name):
    """The first word of a column's name."""
    return name.partition(".")[0]


def draws_of(groups):
    """How often each group is shuffled on a fold: less often if there are many, so that it takes no longer.

    Examples
    --------
    >>> [draws_of(range(groups)) for groups in (3, 6, 11, 40)]
    [5, 5, 2, 1]
    """
    return max(1, min(DRAWS, SHUFFLES // len(groups)))


def stack_shuffled(matrix, train, test, groups, seed, draws):
    """Stack training rows, test rows, and copies of the test rows in which images have swapped one group's columns.

    The columns of a group move together, so that they stay consistent with each other.

    Parameters
    ----------
    matrix : Matrix or ndarray of float32, shape (n, width)
    train, test : ndarray of int64
    groups : dict of str to ndarray of int64
    seed : int
        Together with the name of a group and the number of a draw, it decides the order of the rows.
    draws : int

    Returns
    -------
    ndarray of float32, shape (rows of train + rows of test * (1 + draws * groups), width)

    Examples
    --------
    >>> X = np.arange(8, dtype=np.float32).reshape(4, 2)
    >>> stack_shuffled(X, np.array([0, 1]), np.array([2, 3]), {"x": np.array([0])}, seed=1, draws=1).tolist()
    [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [6.0, 5.0], [4.0, 7.0]]
    """
    of_test = np.asarray(matrix[test], np.float32)
    stacked = np.empty((len(train) + len(test) * (1 + draws * len(groups)), of_test.shape[1]), np.float32)
    stacked[: len(train)] = matrix[train]
    copies = stacked[len(train) :].reshape(-1, *of_test.shape)
    copies[:] = of_test
    for place, (name, columns) in enumerate(groups.items()):
        for draw in range(draws):
            order = np.random.default_rng(seed_for(seed, name, draw)).permutation(len(test))
            copies[1 + place * draws + draw][:, columns] = of_test[order][:, columns]
    return stacked


def _measure_shuffle(shuffle):
    """Fit each head again on its training rows, then score the test rows both unchanged and shuffled.

    For each head its AUROC before calibration: of the unchanged rows, then group by group. A text says why there is
    none.
    """
    try:
        with limited():
            return _measure(shuffle)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return in_words(error)


def _measure(shuffle):
    task, found = shuffle.tasks[0], []
    y, reduction, n = task.labels, task.reduction, len(task.train)
    with limited_threads(task.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial's own record has them
        X = stack_shuffled(reduction.filled, task.train, task.test, shuffle.groups, shuffle.seed, shuffle.draws)
        if not reduction.does_nothing:
            # only the first n rows reach the fit
            X = reduce_rows(reduction.name, X, np.arange(n), reduction.standardise)["rows"]
        for of, params in zip(shuffle.tasks, shuffle.params, strict=True):
            copies, scores = X[n:].reshape(-1, len(task.test), X.shape[1])[..., : params.get(COMPONENTS)], []
            with calling_part(of):
                estimator = fit_again(of, params, X[:n].copy())
            for rows in copies:
                with calling_part(of):
                    scores.append(scores_of(estimator, copy_rows(rows), task.classes))
            found.append(np.array([auroc(y[task.test], score) for score in scores]))
    return found


def importance_table(tasks, records, features, seed, jobs, budget, free, say, cluster=None, seconds=None):
    """Permutation importance (Breiman 2001) of groups of columns (Gregorutti et al. 2015), by arm.

    For each feature with named columns, it takes the three arms with the highest inner AUROC, in the first repeat.
    Heads are fitted once more on the training rows with the settings that their inner splits chose. Only test rows are
    shuffled, before the reducer, which has seen training rows alone. Groups that say the same share their worth.

    Parameters
    ----------
    tasks : list of Task
        On folds by case.
    records : dict of (arm, repeat, fold) to dict
        Of the journal.
    features : list
        As `glomfeat.features.make.make_feature` returns them.
    seed : int
        Of the study.
    jobs, budget, free : int
        As in `glomfeat.comparison.run.run`.
    say : callable
        Called with the reason why a feature or fold was left out.
    cluster : glomfeat.core.cluster.calls.Cluster, optional
        As in `glomfeat.comparison.run.run`.
    seconds : float, optional
        How long the heads of a fold may take.

    Returns
    -------
    pandas.DataFrame
        ``arm, group, columns`` (how many), ``auroc`` (of the unchanged rows, mean over folds), ``drop`` (how far it
        falls, mean over folds and over up to five shuffles of a group), ``drop_lo, drop_hi`` (the smallest and the
        largest drop over all folds and shuffles: a range, not an interval). Within an arm, groups with the largest drop
        come first.
    """
    shuffles = []
    for feature in features:
        mine = [task for task in tasks if task.trial.arm.feature == feature.name and task.reduction is not None]
        groups = _groups_of(feature, say) if mine else {}
        if groups:
            shuffles += _shuffles_of(_best_arms(mine, records), records, groups, seed)
    fitting = [shuffle for shuffle in shuffles if shuffle.need <= free]
    if len(fitting) < len(shuffles):
        most = max(shuffle.need for shuffle in shuffles)
        left = number_of(
            len(shuffles) - len(fitting), "fold is left out, for it needs", "folds are left out, for they need"
        )
        say(f"importance: {left} up to {format_bytes(most)}")
    scores = {}
    threads = max((shuffle.tasks[0].threads for shuffle in fitting), default=1)
    calls = [Call(shuffle, shuffle.need) for shuffle in fitting]
    own = any(has_own(task) for shuffle in fitting for task in shuffle.tasks)
    for ended in side_by_side(_measure_shuffle, calls, "importance", jobs, budget, threads, cluster, own, seconds):
        why = ended.lost or (ended.found if isinstance(ended.found, str) else "")
        if why:
            say(f"importance: {ended.item.tasks[0].trial.arm} on one fold is left out: {why}")
            continue
        for task, found in zip(ended.item.tasks, ended.found, strict=True):
            scores[task.trial.key] = ended.item.groups, found
    return _table(tasks, scores)


def _groups_of(feature, say):
    # a column is shuffled with its indicator of missing values, because each says something about the other
    names = list(feature.described)
    groups = column_groups(names) if len(names) <= MOST_COLUMNS else {}
    if names and not groups:
        say(f"importance: the {len(names)} columns of {feature.name} are too many to shuffle one by one")
    return groups


def _best_arms(tasks, records):
    """The finished tasks of the first repeat for the arms that did best on inner splits; whole arms come first."""
    arms = {}
    for task in tasks:
        record = records.get(task.trial.key, {})
        if task.trial.repeat == 0 and record.get("status") == "done":
            arms.setdefault(task.trial.arm, []).append((record["inner_auroc"], task))
    most = max(map(len, arms.values()), default=0)

    def place(arm):
        inner = np.mean([inner for inner, _ in arms[arm]])
        return len(arms[arm]) < most, -inner if np.isfinite(inner) else np.inf

    best = sorted(arms, key=place)[:ARMS]
    return [task for arm in best for _, task in arms[arm]]


def _shuffles_of(tasks, records, groups, seed):
    """Tasks grouped by the reduction that they share."""
    shared = {}
    for task in tasks:
        shared.setdefault((task.trial.arm.reducer, task.trial.fold), []).append(task)
    return [
        Shuffle(
            tuple(mine),
            tuple(records[task.trial.key]["params"] for task in mine),
            groups,
            seed_for(seed, "importance", mine[0].trial.arm.feature, fold),
        )
        for (_, fold), mine in shared.items()
    ]


def _table(tasks, scores):
    """Scores of folds as a table with a row for each arm and group."""
    rows, arms = [], {}
    for task in tasks:
        if task.trial.key in scores:
            arms.setdefault(str(task.trial.arm), []).append(scores[task.trial.key])
    for arm, folds in arms.items():
        known = [(whole, shuffled) for _, (whole, *shuffled) in folds if np.isfinite(whole)]
        if not known:
            continue
        whole = np.mean([value for value, _ in known])
        drops = np.array([value - np.reshape(shuffled, (len(folds[0][0]), -1)) for value, shuffled in known])
        of_arm = [
            (arm, name, len(columns), whole, drops[:, k].mean(), drops[:, k].min(), drops[:, k].max())
            for k, (name, columns) in enumerate(folds[0][0].items())
        ]
        rows += sorted(of_arm, key=lambda row: -row[4])
    return pd.DataFrame(rows, columns=list(COLUMNS))
