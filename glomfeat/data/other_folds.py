"""Folds to compare folds by case with: folds of images, which tear cases apart, and folds with fewer cases."""

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import LEAST_HOLDERS, check_folds

IMAGE = "image:"
SHARES = (12.5, 25, 50)  # percent of the training cases, for learning curves


def make_image_folds(folds, seed=0):
    """Make folds of images, as if cases were ignored, each as large as a fold by case.

    In each repeat the images of a class swap places at random, so that each fold holds as many images of each class as
    the fold by case.

    Parameters
    ----------
    folds : pandas.DataFrame
        From `make_folds`.
    seed : int

    Returns
    -------
    pandas.DataFrame
        The same rows; `fold` is ``image:`` followed by the name of the fold by case.

    Raises
    ------
    SplitError
        A check of `check_folds` fails, with each image taken as a case.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"name": list("abcd"), "case": [0, 0, 1, 1], "label": [0, 1, 0, 1], "repeat": 0})
    >>> sorted(make_image_folds(table.assign(fold=table["case"]))["fold"])
    ['image:0', 'image:0', 'image:1', 'image:1']
    """
    part = IMAGE + folds["fold"].astype(str).to_numpy(object)
    for (repeat, label), rows in folds.groupby(["repeat", "label"]).indices.items():
        rng = np.random.default_rng(seed_for(seed, "image-folds", int(repeat), int(label)))
        part[rows] = rng.permutation(part[rows])
    found = folds.assign(fold=part)
    check_folds(found.assign(case=found["name"]))
    return found


def cases_prefix(share):
    """The prefix of fold names that says what share of the cases is trained on; `prefix_share` reads it.

    Examples
    --------
    >>> cases_prefix(12.5), prefix_share("cases-12.5%:")
    ('cases-12.5%:', 12.5)
    """
    return f"cases-{share:g}%:"


def prefix_share(prefix):
    """The percentage in a prefix made by `cases_prefix`."""
    return float(prefix.removeprefix("cases-").removesuffix("%:"))


def make_smaller_folds(folds, share, seed=0):
    """Make the same folds with only a share of the cases to train on.

    Every fold still tests all its images, so that figures stay comparable. Smaller shares are subsets of larger ones:
    the seed puts each fold's cases in an order, and the first ones are kept. How many cases are kept is rounded for all
    folds together: rounded in each of five folds of four cases, an eighth and a quarter would be the same.

    Parameters
    ----------
    folds : pandas.DataFrame
        From `make_folds`.
    share : float
        Percent of the cases.
    seed : int

    Returns
    -------
    pandas.DataFrame or None
        The same rows with the column `used`; the names in `fold` begin with ``cases-<share>%:``. None if fewer than
        three cases of a class would be left to train on, because inner splits need them. Inner-valid cases of a split
        into parts are not among those.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"name": range(40), "case": np.arange(40) // 2, "label": np.arange(40) % 2, "repeat": 0})
    >>> smaller = make_smaller_folds(table.assign(fold=table["case"] % 2), 50)
    >>> smaller.groupby("fold")["used"].mean().to_dict()
    {'cases-50%:0': 0.5, 'cases-50%:1': 0.5}
    """
    used = np.zeros(len(folds), bool)
    for repeat, rows in folds.groupby("repeat"):
        places = {}  # as shares of the way through a fold, so that all folds together give the right number of cases
        for fold, own in rows.groupby(rows["fold"].astype(str)):
            cases = sorted(own["case"].unique(), key=str)
            order = np.random.default_rng(seed_for(seed, "learning", int(repeat), fold)).permutation(len(cases))
            places |= {cases[k]: (place + 0.5) / len(cases) for place, k in enumerate(order)}
        first = sorted(places, key=places.get)[: round(len(places) * share / 100)]
        used[rows.index] = rows["case"].isin(first)
    found = folds.assign(fold=cases_prefix(share) + folds["fold"].astype(str), used=used)
    names = found["fold"].unique()
    to_learn = found[found["used"] & ~found["fold"].str.endswith("inner-valid")]
    for fold in [name for name in names if name.endswith("outer-test")] or names:
        learnt = to_learn[to_learn["fold"] != fold]
        held = learnt.pivot_table("case", "repeat", "label", "nunique", fill_value=0)
        if held.shape != (folds["repeat"].nunique(), folds["label"].nunique()) or held.min(axis=None) < LEAST_HOLDERS:
            return None
    return found
