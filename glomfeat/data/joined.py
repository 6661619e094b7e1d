"""Columns of the user's table that join features, such as age and sex: read as they are, nothing is learnt here."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from glomfeat.core.cache import digest_of
from glomfeat.core.errors import UserError
from glomfeat.core.words import number_of
from glomfeat.data.labels.classes import spelling
from glomfeat.data.lone_values import are_mostly_lone
from glomfeat.data.subgroups import find_kept, kept_columns
from glomfeat.data.tables.columns import label_column
from glomfeat.data.tables.decimals import SHAPE
from glomfeat.data.tables.own import OF_USER, OURS, as_named, header_of
from glomfeat.data.tables.read import find_column, known_kind, listed, named_by_user, plain, read_values
from glomfeat.data.tables.unclear import refuse_unclear
from glomfeat.data.twins import twins_in_words

MISSING = "missing"
OPTION = "--with"
TOLD = {"label": "the classes", "case": "the case", "slide": "the slide", "name": "the name of the image"}
MOSTLY = 0.5  # from this share of numbers on, the other values are taken for slips


class JoinedError(UserError, ValueError):
    """A column cannot join a feature; the message says why."""


@dataclass(frozen=True)
class Column:
    """A column of the user's table, one value per image.

    Attributes
    ----------
    name : str
        As in the user's table.
    values : ndarray, shape (n,)
        float64 for numbers, NaN where there is none; str for texts, `MISSING` where there is none.
    """

    name: str
    values: np.ndarray

    @property
    def is_number(self):
        """Whether it holds numbers rather than texts."""
        return self.values.dtype.kind == "f"

    @property
    def missing(self):
        """Which images have no value; bool, shape (n,)."""
        return np.isnan(self.values) if self.is_number else self.values == MISSING

    @property
    def word(self):
        """The name in arms: only letters, digits, dashes and underscores.

        Examples
        --------
        >>> Column("age (years)", np.ones(2)).word
        'age-years'
        """
        return re.sub(r"\W+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Joined:
    """Columns that join features.

    Attributes
    ----------
    columns : tuple of Column
    """

    columns: tuple

    def __len__(self):
        return len(self.columns[0].values)

    @property
    def word(self):
        """The name of all of them in arms."""
        return "+".join(column.word for column in self.columns)

    @property
    def names(self):
        """The names in the user's table."""
        return tuple(column.name for column in self.columns)

    @property
    def digest(self):
        """A digest of names and values."""
        return digest_of([text for column in self.columns for text in (column.name, *map(str, column.values.tolist()))])

    @property
    def most_columns(self):
        """The most numbers that they can become."""
        of = (1 + int(one.missing.any()) if one.is_number else len(np.unique(one.values)) for one in self.columns)
        return sum(of)

    def take(self, rows):
        """The values of some rows."""
        return Joined(tuple(replace(column, values=column.values[rows]) for column in self.columns))


def keep_joined(table, frame, asked, where, known=()):
    """Add the columns that join features to a manifest's table.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, in the rows of `frame`.
    frame : pandas.DataFrame
        With the user's columns, and ``raw``, the class in words.
    asked : sequence of str
        Names of the columns.
    where : object
        What the frame was read from.
    known : sequence of str
        Columns that options name for other uses: those of names, classes and cases.

    Returns
    -------
    pandas.DataFrame
        With columns that are named `glomfeat.data.tables.own.OF_USER` and the user's name.

    Raises
    ------
    TableError, JoinedError
        There is no such column, it is what names, classes or groups the images, or it is not clear whether its numbers
        are thousands.
    """
    ours = {*OURS} - {header_of(column) for column in frame.columns if column not in OURS}
    classes, frame = frame.get("raw"), as_named(frame)
    for one in asked:
        if set(frame.columns) <= ours:
            raise JoinedError(
                f"{OPTION} {one!r}: {where} has no table with columns: give one that has it, with --labels"
            )
        parts = [part.strip() for part in one.split(",") if part.strip()]
        if one not in frame.columns and len(parts) > 1 and all(find_column(frame, (part,)) for part in parts):
            raise JoinedError(f"{OPTION} {one}: write blanks between names, not commas: {OPTION} {' '.join(parts)}")
        column = named_by_user(frame, one, OPTION, where, OURS)
        said = TOLD["name"] if column in ours else _is_known(table, frame, classes, column, where, known)
        if said:
            raise JoinedError(
                f"{OPTION} {one}: the column {str(column)!r} holds {said}, and a model that reads it knows what it is "
                "asked, or on what it is tested: leave it out"
            )
        refuse_unclear(frame, [column], f", or leave the column out of {OPTION}")
        table = table.assign(**{OF_USER + str(column): frame[column].to_numpy(object)})
    return table


def _is_known(table, frame, classes, column, where, known):
    """What a column that names, classes or groups the images holds, in words; empty for any other column."""
    kind, texts = known_kind(column), read_values(frame[column].to_numpy(object))
    if kind == "label" and column != label_column(frame, str(where)):
        kind = ""
    if kind:
        return TOLD[kind]
    if (texts.map(spelling) == classes.map(spelling).to_numpy()).all():
        return TOLD["label"]
    for name in ("case", "slide", "name"):
        if (texts.to_numpy() == table[name].astype(str).to_numpy()).all():
            return TOLD[name]
    return "what images are named, classed or grouped by" if plain(column) in {*map(plain, known)} - {""} else ""


def read_joined(table, asked, like=None):
    """Read the columns that join features from a manifest's table.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, with the columns; see `keep_joined`.
    asked : sequence of str
    like : Joined, optional
        From another data set, whose columns say which of them hold numbers.

    Returns
    -------
    Joined

    Raises
    ------
    JoinedError
        The manifest lacks a column; a column has no value, or numbers mixed with other texts; two share a word.

    Examples
    --------
    >>> table = pd.DataFrame({"of user: age": ["61", "", 50], "of user: sex": ["F", "M", None]})
    >>> found = read_joined(table, ["age", "sex"])
    >>> found.word, [column.values.tolist() for column in found.columns]
    ('age+sex', [[61.0, nan, 50.0], ['F', 'M', 'missing']])
    """
    held, columns = kept_columns(table), []
    for place, one in enumerate(asked):
        name = find_kept(held, one)
        if name is None:
            raise JoinedError(
                f"{OPTION} {one!r}: the data do not hold this column, for they were read without it; give it to "
                f"read_manifest as joined=[{one!r}]"
            )
        if name in [column.name for column in columns]:
            raise JoinedError(f"{OPTION} {' '.join(map(str, asked))}: give the column {name!r} once")
        numbers = None if like is None else like.columns[place].is_number
        column = Column(name, _values_of(table[held[name]], name, numbers))
        if not column.word:
            raise JoinedError(f"{OPTION} {name!r}: arms cannot be named after it: rename it with letters or digits")
        if other := next((one for one in columns if one.word == column.word), None):
            raise JoinedError(f"{OPTION}: arms would call {other.name!r} and {name!r} alike: rename one of them")
        columns.append(column)
    return Joined(tuple(columns))


def _values_of(cells, name, numbers):
    """The values of a column; if it is not known whether it holds numbers, that is found out."""
    texts = read_values(cells.to_numpy(object))
    bare = (texts == "").to_numpy()
    if bare.all() and numbers is None:
        raise JoinedError(f"{OPTION} {name}: no image has a value: leave it out")
    found = pd.to_numeric(texts.where(~bare), errors="coerce").to_numpy(float)
    wrong = ~bare & ~np.isfinite(found)
    truths = cells.map(lambda value: isinstance(value, bool | np.bool_)).any()
    if commas := [text for text in texts[wrong] if "," in text and SHAPE.fullmatch(text)]:
        raise JoinedError(
            f"{OPTION} {name}: {listed(dict.fromkeys(commas), 3)} would be read as texts: write numbers with a decimal "
            "point, and thousands without a sign"
        )
    if numbers is None:
        numbers = not truths and (~wrong & ~bare).sum() > MOSTLY * (~bare).sum()
    if numbers and wrong.any():
        of = f"of its {(~bare).sum()} values"
        none = number_of(int(wrong.sum()), f"{of} is no number", f"{of} are no numbers")
        raise JoinedError(
            f"{OPTION} {name}: {none} ({listed(dict.fromkeys(texts[wrong]), 3)}) and the others are: correct these "
            "cells, or leave them empty"
        )
    return found if numbers else texts.where(~bare, MISSING).to_numpy(str)


def lines_on_joined(joined, labels, cases, classes, show_names=False):
    """Describe joined columns to the user, and warn about each that seems to know too much or too little.

    Parameters
    ----------
    joined : Joined
    labels, cases : ndarray of int64, shape (n,)
    classes : sequence of str
    show_names : bool
        Whether to show values of a single case as they are.

    Returns
    -------
    list of str

    Examples
    --------
    >>> joined = Joined((Column("sex", np.array(["F", "M", "F"])),))
    >>> lines_on_joined(joined, np.array([0, 1, 1]), np.array([0, 1, 2]), ["a", "b"])
    ['joined column sex: 2 values (F 2, M 1), of each a column of 0 and 1']
    """
    lines = []
    for column in joined.columns:
        called = f" (arms call it {column.word})" if column.word != column.name else ""
        lines.append(f"joined column {column.name}{called}: {_held(column, cases)}")
        doubts = [*_doubts(column, labels, cases, classes), *_twins(column, cases, show_names)]
        lines += [f"warning: joined column {column.name}: {one}" for one in doubts]
    return lines


def _held(column, cases):
    there, missing = column.values[~column.missing], int(column.missing.sum())
    if column.is_number:
        said = f"a number, {there.min():.6g} to {there.max():.6g}, brought to mean 0 and variance 1"
        how = "the median of the training images stands for it, and a column of 0 and 1 says where"
    else:
        texts = texts_in_words(column, cases, ~column.missing)
        shown = f" ({texts})" if texts else ", most of one case each"
        said, how = (
            f"{number_of(len(np.unique(there)), 'value')}{shown}, of each a column of 0 and 1",
            f"that is a value, {MISSING!r}",
        )
    have = f"{missing} of {len(column.values)} images {'has' if missing == 1 else 'have'} none"
    return said + (f"; {have}: {how}" if missing else "")


def texts_in_words(column, cases, rows):
    """The texts of some rows with their counts, the most frequent first; empty if they may tell who the patient is.

    Parameters
    ----------
    column : Column
    cases : ndarray, shape (n,)
    rows : ndarray of bool, shape (n,)

    Examples
    --------
    >>> texts_in_words(Column("sex", np.array(["M", "F", "F"])), np.array([0, 0, 1]), np.ones(3, bool))
    'F 2, M 1'
    """
    if mostly_of_one_case(column, cases):
        return ""
    values, counts = np.unique(column.values[rows], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return listed((f"{values[k]} {counts[k]}" for k in order), 6)


def mostly_of_one_case(column, cases):
    """Whether most texts of a column belong to one case alone, as ids do, and surnames that two patients may share.

    Parameters
    ----------
    column : Column
    cases : ndarray, shape (n,)
    """
    there = ~column.missing
    held = pd.Series(cases[there]).groupby(column.values[there]).nunique()
    return len(held) > 1 and are_mostly_lone(held)


def _doubts(column, labels, cases, classes):
    """Why what a column tells may not be a finding."""
    there = ~column.missing
    held = pd.Series(labels[there]).groupby(column.values[there])
    apart, most = held.ngroups, held.size().max()
    if apart == 1 and there.all():
        yield "all images have the same value, which tells nothing"
        return
    gone = np.array([np.mean(~there[labels == k]) for k in range(len(classes)) if (labels == k).any()])
    if not there.all() and set(gone) <= {0.0, 1.0}:
        yield "whether a value is missing tells the class exactly: ask how it came to be missing before it is joined"
    n, units = there.sum(), len(np.unique(cases[there]))
    if not column.is_number and apart >= min(n, units) and apart > len(classes) and mostly_of_one_case(column, cases):
        of = "image" if most == 1 else "case"
        yield f"it has a value for every {of}, as an id has: folds test values that none has learnt, which tell nothing"
    elif _tells(column, labels, there, held):
        yield "it tells the class exactly: if it was known only with the class, its arms are no finding; leave it out"


def _twins(column, cases, show_names):
    """Texts that seem to be one, of which each has a column of its own."""
    if not column.is_number:
        held = pd.Series(cases).groupby(column.values).nunique()
        if twins := twins_in_words(held.index, held, show_names):
            yield f"{twins}: if they are one value, write it in one way"


def _tells(column, labels, there, held):
    """Whether the value alone gives the class: each value, or each side of a threshold, has one class."""
    if len(set(labels[there])) < 2:
        return False
    if not column.is_number or held.ngroups <= max(2, there.sum() // 4):
        return bool((held.nunique() == 1).all())
    ordered = labels[there][np.argsort(column.values[there], kind="stable")]
    return bool((held.nunique() == 1).all() and (np.diff(ordered) != 0).sum() == len(set(ordered)) - 1)
