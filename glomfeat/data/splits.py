"""Folds by case, and folds of images to compare them with: dealt by seed as an explicit table, and verified."""

import numpy as np
import pandas as pd

from glomfeat.core.errors import UserError
from glomfeat.core.seeds import seed_for
from glomfeat.core.words import number_of
from glomfeat.data.schemes import find_scheme
from glomfeat.data.tables.read import read_values

TRIES = 64

LEAST_HOLDERS = 3  # cases of each class that inner splits need
INNER_FOLDS = 4
ENOUGH_HOLDERS, MOST_DEALS = 12, 5  # training cases of a class for which one deal of inner folds says enough
MOST_FOLDS = 10  # with more, folds that serve each other would need more fits than inner folds of their own
INNER_VALID = 0.15


class SplitError(UserError, ValueError):
    """Cases cannot be dealt as asked; the message says why, with the numbers."""


def _tries(counts, shares, rngs):
    """Deal cases in random order, each to the part that most lacks what the case holds; one deal for each generator.

    A class that a part lacks altogether outweighs any deficit, the more so the fewer cases hold the class. All deals go
    on together, case by case, which takes a tenth of the time.

    Returns
    -------
    part_of : ndarray of int64, shape (ways, cases)
    got : ndarray of float64, shape (ways, parts, classes)
        How many rows of each class each part has.
    """
    total, holds = counts.sum(axis=0), counts > 0
    goal, rarity = shares[:, None] * total, 1 / holds.sum(axis=0)
    # cases of the rarest class come first if there are hardly enough of them; else the seed alone decides the order
    late = -((holds & (holds.sum(axis=0) <= 2 * len(shares))) * rarity).max(axis=1)
    orders = [rng.permutation(len(counts)) for rng in rngs]
    orders = np.array([order[np.argsort(late[order], kind="stable")] for order in orders])
    got, ways = np.zeros((len(rngs), *goal.shape)), np.arange(len(rngs))
    part_of = np.empty(orders.shape, np.int64)
    for now in orders.T:
        own = counts[now] / total
        missing = ((got == 0) & holds[now][:, None]) @ (10 * rarity * len(counts))
        deficit = ((goal - got) / goal * counts[now][:, None] / total).sum(axis=2) / own.sum(axis=1)[:, None]
        wish = missing + deficit
        best = wish >= wish.max(axis=1, keepdims=True) - 1e-12
        taken = np.zeros(len(rngs), np.int64)
        for way in np.flatnonzero(best.sum(axis=1) > 1):
            taken[way] = rngs[way].integers(best[way].sum())
        part = (best.cumsum(axis=1) > taken[:, None]).argmax(axis=1)
        got[ways, part] += counts[now]
        part_of[ways, now] = part
    return part_of, got


def deal(labels, cases, shares, seed, known=()):
    """Deal cases to parts so that each part has its share of every class.

    scikit-learn's ``StratifiedGroupKFold(shuffle=True)`` shuffles only ties, so that with cases of uneven size
    different seeds give the same partition. Here the seed decides the order, and the best balanced of several tries is
    kept.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    cases : ndarray of int, shape (n,)
    shares : sequence of float
        Share of the images that each part should get; sums to 1.
    seed : int
    known : sequence of ndarray of int, shape (n,)
        Earlier deals. The first try that divides the cases differently is then taken, because with few cases the best
        balanced one is always the same.

    Returns
    -------
    ndarray of int64, shape (n,)
        The part of each row; all rows of a case are in one part, and every part holds every class.

    Raises
    ------
    SplitError
        A class is in fewer cases than there are parts, or no try gave every class to every part.

    Examples
    --------
    >>> parts = deal(np.array([0, 1] * 6), np.repeat(np.arange(6), 2), [0.5, 0.5], seed=0)
    >>> np.bincount(parts).tolist()
    [6, 6]
    """
    labels, shares = np.asarray(labels), np.asarray(shares, float)
    names, case_index = np.unique(cases, return_inverse=True)
    classes, label_index = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (case_index, label_index), 1)
    holders = (counts > 0).sum(axis=0)
    if holders.min() < len(shares):
        which = classes[holders.argmin()]
        raise SplitError(
            f"class {which} is in {number_of(holders.min(), 'case')}, {len(shares)} parts need {len(shares)}"
        )
    best, best_loss, seen = None, np.inf, {_parts_in_order(part) for part in known}
    tries = max(8, min(TRIES, 100_000 // len(names))) if counts.sum(axis=1).max() > 1 else 1
    # single images are dealt evenly at the first try
    goal = shares[:, None] * counts.sum(axis=0)
    rngs = [np.random.default_rng(seed_for(seed, "deal", attempt)) for attempt in range(tries)]
    for part_of, got in zip(*_tries(counts, shares, rngs), strict=True):
        loss = np.inf if (got == 0).any() else np.abs(got - goal).max(axis=0) @ (1 / goal.mean(axis=0))
        if loss < best_loss and _parts_in_order(part_of[case_index]) not in seen:
            best, best_loss = part_of, loss
            if seen:
                break
    if best is None:
        raise SplitError(f"no way was found to deal {len(names)} cases to {len(shares)} parts with every class in each")
    return best[case_index]


def _parts_in_order(part):
    """Renumber the parts of all rows in order of appearance, so that equal partitions give equal numbers."""
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].tobytes()


def make_folds(manifest, scheme="cv", folds=5, repeats=1, seed=0):
    """Deal a manifest's cases to folds, once for each repeat.

    Parameters
    ----------
    manifest : Manifest
    scheme : str
        As for `glomfeat.data.schemes.find_scheme`.
    folds : int
        How many folds; 1 for a given split with named parts.
    repeats : int
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row for each repeat and image: ``name, case, label, repeat, fold``. `fold` is a number from 0, or the name
        of a part. If folds are values that are left out, ``left_out`` holds the row's value.

    Raises
    ------
    SplitError
        As for `deal`, or if a check of `check_folds` fails.
    """
    table = manifest.table[["name", "case", "label"]]
    found = find_scheme(scheme, folds)
    parts = found.deal(manifest, repeats, seed)
    repeated = (table.assign(repeat=repeat, fold=part) for repeat, part in enumerate(parts))
    frame = pd.concat(repeated, ignore_index=True)
    if found.elsewhere:
        frame["left_out"] = np.tile(read_values(manifest.table["given"].to_numpy(object)), repeats)
    check_folds(frame, manifest.torn)
    return frame


FEW_CASES, FEW_IMAGES = 12, 60


def few_in_words(manifest):
    """Say what cannot be learnt from a small data set; empty for larger ones.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    str
    """
    images, cases = len(manifest), manifest.table["case"].nunique()
    if images >= FEW_IMAGES and (cases >= FEW_CASES or not manifest.by_case):
        return ""
    of = f"{images} images" + (f" of {cases} cases" if manifest.by_case else "")
    return f"{of} are few: limits are wide and arms cannot be ranked"


def check_folds(frame, torn=False):
    """Verify a fold table: cases disjoint, every image once in each repeat, every class in each fold.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `make_folds`.
    torn : bool
        Whether a case may be in several folds, because the user allows that for a given split.

    Returns
    -------
    low, high : float
        Smallest and largest share of the last class over all folds.

    Raises
    ------
    SplitError
        Says what is broken, and in which repeat.
    """
    classes = frame["label"].nunique()
    names = frame["name"].nunique()
    for repeat, rows in frame.groupby("repeat"):
        if not torn and (rows.groupby("case")["fold"].nunique() > 1).any():
            raise SplitError(f"repeat {repeat}: a case is in several folds")
        if rows["fold"].isna().any():
            raise SplitError(f"repeat {repeat}: {rows['fold'].isna().sum()} rows are in no fold")
        if len(rows) != names or rows["name"].nunique() != names:
            raise SplitError(f"repeat {repeat}: {len(rows)} rows for {names} images")
        if (rows.groupby("fold")["label"].nunique() < classes).any():
            raise SplitError(f"repeat {repeat}: a fold lacks a class")
    share = (frame["label"] == frame["label"].max()).groupby([frame["repeat"], frame["fold"]]).mean()
    return float(share.min()), float(share.max())


def fold_rows(folds, repeat, fold):
    """The rows that a trial trains on and is tested on.

    Parameters
    ----------
    folds : pandas.DataFrame
        From `make_folds`, `make_image_folds` or `make_smaller_folds`; rows of a repeat are in the manifest's order.
    repeat : int
    fold : int or str
        The fold that is tested: a number or ``outer-test``, with the table's prefix if it has one.

    Returns
    -------
    train, test, inner_valid : ndarray of int64
        Row numbers in the manifest. `inner_valid` is empty under cross-validation; under a hold-out it is disjoint from
        `train`.
    """
    part = folds.loc[folds["repeat"] == repeat, "fold"].to_numpy()
    kind, holdout, _ = str(fold).rpartition("outer-test")
    valid = np.flatnonzero(part == f"{kind}inner-valid") if holdout else np.array([], np.int64)
    test = np.flatnonzero(part == fold)
    learnt = np.ones(len(part), bool)
    if "used" in folds:
        learnt[:] = folds.loc[folds["repeat"] == repeat, "used"]
    learnt[np.r_[test, valid]] = False
    return np.flatnonzero(learnt), test, valid


def inner_splits(labels, cases, train, valid, seed):
    """Make splits inside the training cases for everything that is chosen: hyper-parameters, calibration, thresholds.

    Parameters
    ----------
    labels, cases : ndarray of int, shape (n,)
        For all rows of the manifest.
    train, valid : ndarray of int64
        From `fold_rows`.
    seed : int

    Returns
    -------
    list of (fit, inner_valid)
        Row numbers in the manifest. Four folds by case, or as many as there are cases of the rarest class; dealt up to
        five times if fewer than 12 training cases hold a class, because a single deal of few cases decides by luck.
        Under a hold-out, the one split that there is. Empty if no inner split can hold both classes on both sides.

    Examples
    --------
    >>> labels, cases = np.arange(80) % 2, np.arange(80) // 2
    >>> splits = inner_splits(labels, cases, np.arange(60), [], seed=0)
    >>> [(len(fit), len(inner_valid)) for fit, inner_valid in splits]
    [(44, 16), (46, 14), (46, 14), (44, 16)]
    """
    if len(valid):
        return [(train, valid)]
    held = least_holders(labels[train], cases[train])
    parts, dealt = max(2, min(INNER_FOLDS, held)), []
    for number in range(min(MOST_DEALS, -(-ENOUGH_HOLDERS // held))):
        given = labels[train], cases[train], [1 / parts] * parts, seed_for(seed, "deal", number)
        try:
            dealt.append(deal(*given, dealt))
        except SplitError:  # with so few cases there may be no other way
            break
    return [(train[part != k], train[part == k]) for part in dealt for k in range(parts)]


def expected_inner_fits(folds, tested, holders):
    """How many inner fits a trial's choices take, counting those shared by two trials as half.

    Parameters
    ----------
    folds : int
        The number of folds tested in turn.
    tested : float
        The share of the cases that a trial is tested on.
    holders : int
        Cases of the rarest class in the whole data set.

    Returns
    -------
    float

    Examples
    --------
    >>> expected_inner_fits(5, 1 / 5, 200), expected_inner_fits(3, 1 / 3, 200), expected_inner_fits(3, 1 / 3, 6)
    (2.0, 4, 12)
    """
    held = max(2, round(holders * (1 - tested)))
    if INNER_FOLDS <= folds <= MOST_FOLDS and held >= ENOUGH_HOLDERS:
        return (folds - 1) / 2
    return min(INNER_FOLDS, held) * min(MOST_DEALS, -(-ENOUGH_HOLDERS // held))


def least_holders(labels, cases):
    """How many cases hold the class that is in the fewest cases.

    Examples
    --------
    >>> least_holders(np.array([0, 1, 1, 1]), np.array([7, 7, 8, 9]))
    1
    """
    return min(len(np.unique(cases[labels == label])) for label in np.unique(labels))


def other_folds(folds, labels, cases, repeat):
    """Which folds of cross-validation serve each other as inner folds.

    The inner folds of an outer fold i are then the other outer folds: a model of all folds but i and j scores j for i,
    and i for j, so that K (K - 1) / 2 fits serve all inner choices.

    Parameters
    ----------
    folds : pandas.DataFrame
        As for `fold_rows`.
    labels, cases : ndarray of int, shape (n,)
    repeat : int

    Returns
    -------
    list
        Names of the folds. Empty if there are fewer than four or more than ten, if they form a hold-out, if they are
        left-out values or share cases, or if cases are so few that inner folds are better dealt anew, several times, by
        `inner_splits`.

    Examples
    --------
    >>> table = pd.DataFrame({"fold": np.arange(200) // 2 % 5, "repeat": 0})
    >>> other_folds(table, np.arange(200) % 2, np.arange(200) // 2, 0)
    [0, 1, 2, 3, 4]
    """
    rows = folds[folds["repeat"] == repeat]
    names = sorted(rows["fold"].unique().tolist())
    if not INNER_FOLDS <= len(names) <= MOST_FOLDS or any(str(name).endswith("outer-test") for name in names):
        return []
    part, classes = rows["fold"].to_numpy(), len(np.unique(labels))
    if "left_out" in rows or _torn(part, cases):
        return []
    used = rows["used"].to_numpy() if "used" in rows else np.ones(len(rows), bool)
    for name in names:
        train, own = used & (part != name), used & (part == name)
        if len(np.unique(labels[own])) < classes or least_holders(labels[train], cases[train]) < ENOUGH_HOLDERS:
            return []
    return names


def _torn(part, cases):
    """Whether a case is in several parts."""
    return len(pd.DataFrame({"part": part, "case": cases}).drop_duplicates()) > len(np.unique(cases))


def inner_valid_split(labels, cases, train, valid, seed):
    """Make one split inside the training cases, for networks: most cases to train on, some to choose by.

    Parameters and errors are those of `inner_splits`.

    Returns
    -------
    fit, inner_valid : ndarray of int64
        Row numbers in the manifest; 85:15 by case, or the split of holdout.
    """
    if len(valid):
        return train, valid
    part = deal(labels[train], cases[train], [INNER_VALID, 1 - INNER_VALID], seed)
    return train[part == 1], train[part == 0]
