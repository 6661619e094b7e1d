"""Under an error of the gallery: the training images that lie nearest to it."""

from dataclasses import dataclass, field

import pandas as pd

from glomfeat.report.thumbnails import as_uri, read_square
from glomfeat.results.words import plain_class

SIDE = 48
HOW = (
    "Under the surest errors of {arm} stand the training images nearest to them among the values that its classifier "
    "read. An error whose neighbours are all of another class looks like them: it is ambiguous, or its label is wrong."
)


@dataclass(frozen=True)
class Nearest:
    """What lies near the errors of one arm.

    Attributes
    ----------
    arm : str
        Empty where nothing is known.
    of : dict of int to list of int
        By the row of an error, rows of its neighbours, nearest first.
    """

    arm: str = ""
    of: dict = field(default_factory=dict)

    def rows(self, wanted):
        """The rows of all neighbours of the wanted errors."""
        return sorted({near for row in wanted for near in self.of.get(int(row), [])})


def read_nearest(path, arms, manifest):
    """The neighbours of the errors of the best arm of features.

    Parameters
    ----------
    path : Path or None
        What `glomfeat.comparison.explain.neighbours.neighbours_table` was written to; None where it is not there.
    arms : sequence of str
        Best first.
    manifest : Manifest

    Returns
    -------
    Nearest
    """
    if path is None:
        return Nearest()
    table = pd.read_csv(path, dtype={"name": str, "neighbour": str, "fold": str}, keep_default_na=False)
    best = next((arm for arm in arms if arm in set(table["arm"])), "")
    place = {name: row for row, name in enumerate(manifest.table["name"])}
    mine, found = table[table["arm"] == best].sort_values("rank", kind="stable"), {}
    for name, near in zip(mine["name"], mine["neighbour"], strict=True):
        if name in place and near in place:
            found.setdefault(place[name], []).append(place[near])
    return Nearest(best, found)


def neighbours(row, nearest, manifest, called, paths):
    """The neighbours of an error.

    Parameters
    ----------
    row : int
    nearest : Nearest
    manifest : Manifest
    called : list of str
        What images are called.
    paths : dict of str to Path
        Of `glomfeat.report.thumbnails.find_images`.

    Returns
    -------
    dict or None
        Whether all are of another class, and of each what it is; None where no neighbours are known.
    """
    near, labels = nearest.of.get(int(row), []), manifest.labels
    if not near:
        return None
    items = []
    for other in near:
        square = read_square(paths.get(manifest.table["name"].iloc[other]), SIDE)
        items.append(
            {
                "called": called[other],
                "kind": plain_class(manifest.classes[labels[other]]),
                "other": bool(labels[other] != labels[row]),
                "uri": square and as_uri(square),
                "side": SIDE,
            }
        )
    return {"others": all(item["other"] for item in items), "items": items}
