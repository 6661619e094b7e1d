"""A small part of a data set that still holds enough cases of each class."""

from dataclasses import replace

import numpy as np
import pandas as pd


def sample(manifest, images, seed, holders=4):
    """Keep whole cases, in an order that depends on the seed, until there are enough images.

    Parameters
    ----------
    manifest : Manifest
    images : int
        How many images are wanted; there can be more, because the last case is kept whole.
    seed : int
    holders : int
        Least number of kept cases that hold each class, as far as there are so many; in each part, if a column of the
        data splits them.

    Returns
    -------
    Manifest
        The same manifest if it is small enough; otherwise a smaller one that says so.

    Examples
    --------
    >>> from glomfeat.data.manifest import Manifest
    >>> table = pd.DataFrame({"name": list("abcdefgh"), "label": [0, 1] * 4, "case": list("wwxxyyzz")})
    >>> sample(Manifest(table, ("no", "yes"), True, ("8 images", "")), 3, seed=0, holders=1).table["case"].nunique()
    2
    """
    if len(manifest) <= images:
        return manifest
    kinds = manifest.table["label"]
    if "given" in manifest.table:
        kinds = manifest.table.groupby(["given", "label"], dropna=False).ngroup()
    held = pd.crosstab(manifest.table["case"], kinds)
    order = held.index[np.random.default_rng(seed).permutation(len(held))]
    kept = []
    for kind in kinds.value_counts().index[::-1]:  # the rarest first
        having = [case for case in kept if held.loc[case, kind]]
        kept += [case for case in order if held.loc[case, kind] and case not in kept][: max(0, holders - len(having))]
    count = held.sum(axis=1)
    for case in order.difference(kept, sort=False):
        if count[kept].sum() >= images:
            break
        kept.append(case)
    rows = manifest.table["case"].isin(kept).to_numpy()
    drawn = manifest.keep(rows)
    return replace(drawn, said=(f"{drawn.counted}, drawn from {manifest.said[0]}", *manifest.said[1:]))
