"""The training images nearest to an image, as a study has written them."""

from dataclasses import dataclass, field

from glomfeat.core.csvs import read_csv


@dataclass(frozen=True)
class Nearest:
    """Which images are near others by the features of one arm.

    Attributes
    ----------
    arm : str
        Empty if nothing is known.
    of : dict of int to list of int
        By the row of an image, the rows of its neighbours, nearest first.
    """

    arm: str = ""
    of: dict = field(default_factory=dict)

    def rows(self, wanted):
        """The rows of all neighbours of the wanted images."""
        return sorted({near for row in wanted for near in self.of.get(int(row), [])})


def read_nearest(path, arms, manifest):
    """Read the neighbours of the errors of the best feature arm, and of labels in doubt.

    Parameters
    ----------
    path : Path or None
        File from `glomfeat.comparison.explain.neighbours.neighbours_table`; it need not exist.
    arms : sequence of str
        Best first.
    manifest : Manifest

    Returns
    -------
    Nearest
    """
    if path is None or not path.is_file():
        return Nearest()
    how = {"dtype": {"name": str, "neighbour": str, "fold": str}, "keep_default_na": False}
    table = read_csv(path, **how)
    best = next((arm for arm in arms if arm in set(table["arm"])), "")
    place = {name: row for row, name in enumerate(manifest.table["name"])}
    mine, found = table[table["arm"] == best].sort_values("rank", kind="stable"), {}
    for name, near in zip(mine["name"], mine["neighbour"], strict=True):
        if name in place and near in place:
            found.setdefault(place[name], []).append(place[near])
    return Nearest(best, found)
