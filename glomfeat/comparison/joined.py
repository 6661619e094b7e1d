"""Columns that are joined to the features of a study: which arms read them, and notes on them for the user."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glomfeat.core.arms import MARKS, Arm, StudyError, split_way, tagged
from glomfeat.core.words import number_of
from glomfeat.data.joined import OPTION, JoinedError, lines_on_joined, read_joined
from glomfeat.features.make import FEATURES
from glomfeat.models.heads.built_in import HEADS


@dataclass(frozen=True)
class Joining:
    """The columns that a study joins to its features.

    Attributes
    ----------
    columns : glomfeat.data.joined.Joined or None
        For the images of DATA; None if no columns are joined.
    bases : dict of str to str
        For each feature with joined columns, the name of that feature without; empty for the columns alone.
    """

    columns: Any = None
    bases: dict = field(default_factory=dict)

    @property
    def alone(self):
        """The name of the columns as a feature of their own."""
        return next((name for name, base in self.bases.items() if not base), None)

    def named(self, feature, called):
        """The name of a feature with columns as the user would write it.

        Parameters
        ----------
        feature : str
        called : dict of str to str
            The user's name for each feature without columns.
        """
        base = self.bases[feature]
        return tagged(f"{called[base]}+{self.alone}", split_way(base)[1]) if base else feature

    def base(self, feature):
        """The feature without its columns: itself if none are joined, empty for the columns alone."""
        return self.bases.get(feature, feature)

    def of(self, feature, manifest):
        """The columns of some images that are joined to a feature, or None.

        Parameters
        ----------
        feature : str
        manifest : Manifest
        """
        if feature not in self.bases:
            return None
        return read_joined(manifest.table, self.columns.names, self.columns)

    def ahead(self, feature):
        """The largest number of numbers that are joined to those of a feature."""
        return self.columns.most_columns if feature in self.bases else 0

    def extended(self, found, alone):
        """Facts about features, by their names, extended to features with joined columns.

        Parameters
        ----------
        found : dict of str to object
        alone : object
            The fact for the columns alone, which read nothing but the columns.

        Returns
        -------
        dict of str to object
        """
        more = {name: found[base] if base else alone for name, base in self.bases.items() if not base or base in found}
        return found | more

    def extracted(self, found):
        """What was extracted, extended so that features with columns find the rows of those without."""
        if self.columns is None:
            return found
        found.matrices.update(self.extended(found.matrices, np.empty((len(found.manifest), 0), np.float32)))
        found.keys.update(self.extended(found.keys, {"feature": "joined columns alone"}))
        found.failed.update({name: found.failed[base] for name, base in self.bases.items() if base in found.failed})
        return found


def find_joining(study, manifest, features, called):
    """Find the columns of a study, and the features that they are joined to.

    Parameters
    ----------
    study : Study
    manifest : Manifest
    features : list of Feature
    called : dict of str to str
        The user's names of features; random twins are not in it, and get no columns.

    Returns
    -------
    Joining

    Raises
    ------
    JoinedError, StudyError
        The message says what to do.
    """
    if not study.with_:
        return Joining()
    columns = read_joined(manifest.table, study.with_)
    for column in columns.columns:
        if column.word in (known := {"none", *MARKS, *FEATURES, *HEADS}):
            raise JoinedError(
                f"{OPTION} {column.name}: arms would be called by {column.word!r}, which is a part of glomfeat's own "
                f"({', '.join(sorted(known))}): rename the column"
            )
    bases = {}
    for name in (feature.name for feature in features if feature.name in called):
        stem, way = split_way(name)
        bases[tagged(f"{stem}+{columns.word}", way)] = name
    bases[columns.word] = ""
    if taken := sorted(set(bases) & {feature.name for feature in features}):
        raise StudyError(f"--with: a feature is called {taken[0]} already: rename a column")
    return Joining(columns, bases)


def joined_arms(joining, reducers, heads):
    """The arms that read columns: each feature with every reducer and head, then the columns alone, not reduced.

    Parameters
    ----------
    joining : Joining
    reducers, heads : sequence of str

    Returns
    -------
    list of Arm
    """
    kept = [head for head in heads if head != "dummy"]
    beside = [Arm(name, r, h) for name, base in joining.bases.items() if base for r in reducers for h in kept]
    return beside + [Arm(joining.alone, "none", head) for head in kept if joining.alone]


def lines_on_joining(joining, manifest, nets, save_models=False):
    """Lines for the user on joined columns."""
    if joining.columns is None:
        return []
    lines = lines_on_joined(joining.columns, manifest.labels, manifest.cases, manifest.classes)
    features = number_of(len(joining.bases) - 1, "feature is", "features are")
    lines.append(
        f"joined columns: {features} also read with them, and {joining.alone} is what they tell alone; filled, scaled "
        "and made 0 and 1 by the training images of each fit, behind the reducer"
    )
    if nets:
        lines.append(f"joined columns: networks read only images, so none joins {', '.join(nets)}")
    if save_models:
        lines.append(
            "warning: --save-models: arms that read joined columns get no bundle, because a bundle is given only "
            "images or rows of features; --test scores places whose tables have the columns"
        )
    return lines
