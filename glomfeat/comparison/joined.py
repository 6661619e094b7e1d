"""Columns that are joined to the features of a study: which arms read them, and notes on them for the user."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glomfeat.core.arms import MARKS, Arm, StudyError, split_way, tagged
from glomfeat.core.words import number_of
from glomfeat.data.joined import OPTION, JoinedError, lines_on_joined, read_joined, texts_in_words
from glomfeat.data.lone_values import hide_lone
from glomfeat.data.splits import fold_rows
from glomfeat.data.tables.read import listed
from glomfeat.features.make import FEATURES
from glomfeat.models.heads.built_in import HEADS

NOTHING = "0 in all of the column's numbers"
ALIKE = "write values that mean the same alike"


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


def lines_on_cohort(joining, manifest, cohort):
    """Read the joined columns of a cohort, and say which of its texts no image of DATA has.

    Parameters
    ----------
    joining : Joining
    manifest, cohort : Manifest
        Of DATA and of the cohort.

    Returns
    -------
    list of str

    Raises
    ------
    JoinedError
        A column cannot be read, or says nothing in the cohort, because it holds no value or only unknown texts.
    """
    if joining.columns is None:
        return []
    lines, both = [], zip(joining.columns.columns, joining.of(joining.alone, cohort).columns, strict=True)
    for own, column in both:
        there, unseen = ~column.missing, _unseen(column, own.values)
        if not there.any():
            raise JoinedError(f"{OPTION} {column.name}: no image has a value: fill the column in, or leave it out")
        ours, theirs = texts_in_words(own, manifest.cases, ~own.missing), texts_in_words(column, cohort.cases, unseen)
        if unseen[there].all():
            raise JoinedError(
                f"{OPTION} {column.name}: none of its values{_in_brackets(theirs)} is one of DATA{_in_brackets(ours)}: "
                f"{ALIKE}, or leave the column out"
            )
        if unseen.any():
            have = number_of(int(unseen.sum()), f"of {len(unseen)} images has", f"of {len(unseen)} images have")
            lines.append(
                f"joined column {column.name}: {have} a value{_in_brackets(theirs)} that no image of DATA "
                f"has{_in_brackets(ours)}: {NOTHING}; {ALIKE}"
            )
    return lines


def _unseen(column, known):
    """Which images have a text that is none of those known; none has in a column of numbers."""
    return np.zeros(len(column.values), bool) if column.is_number else ~np.isin(column.values, known)


def _in_brackets(text):
    return f" ({text})" if text else ""


def _lines_on_parts(joining, manifest, scheme, show_names):
    """Warn of texts in a part that is tested which no image that its models learn from has, if a column gives parts."""
    if not scheme.column:
        return []
    folds = pd.DataFrame({"repeat": 0, "fold": scheme.deal(manifest, 1, 0)[0]})
    held = manifest.table.groupby("given")["case"].nunique()
    shown = dict(zip(held.index, hide_lone(held.index, held, show_names), strict=True))
    given, lines = manifest.table["given"].map(shown).to_numpy(object), []
    for column in joining.columns.columns:
        parts = []
        for fold in scheme.tested:
            train, test, _ = fold_rows(folds, 0, fold)
            unseen = np.zeros(len(manifest), bool)
            unseen[test] = _unseen(column, column.values[train])[test]
            if unseen.any():
                which = _in_brackets(texts_in_words(column, manifest.cases, unseen))
                where = f"where {scheme.column} is {given[test[0]]}"
                parts.append(f"{unseen.sum()} of {number_of(len(test), 'image')}{which} {where}")
        if parts:
            which = listed(parts, 3)
            lines.append(
                f"warning: joined column {column.name}: values that no training image has: {which}: {NOTHING}; {ALIKE}"
            )
    return lines


def lines_on_joining(joining, manifest, study):
    """Lines for the user on joined columns."""
    if joining.columns is None:
        return []
    lines = lines_on_joined(joining.columns, manifest.labels, manifest.cases, manifest.classes, study.show_names)
    lines += _lines_on_parts(joining, manifest, study.split, study.show_names)
    features = number_of(len(joining.bases) - 1, "feature is", "features are")
    lines.append(
        f"joined columns: {features} also read with them, and {joining.alone} is what they tell alone; filled, scaled "
        "and made 0 and 1 by the training images of each fit, behind the reducer"
    )
    if study.nets:
        lines.append(f"joined columns: networks read only images, so none joins {', '.join(study.nets)}")
    if study.save_models:
        lines.append(
            "warning: --save-models: arms that read joined columns get no bundle, because a bundle is given only "
            "images or rows of features; --test scores places whose tables have the columns"
        )
    return lines
