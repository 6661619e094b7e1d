"""Given splits: a column, or folders, that say train, val and test, or number the folds."""

import numpy as np
import pandas as pd

from glomfeat.core.errors import UserError
from glomfeat.core.words import number_of
from glomfeat.data.cases import IMAGE_LEVEL, NAMED_BY, shown_as
from glomfeat.data.folders.names import SPLITS, split_of, words_of
from glomfeat.data.tables.read import listed, read_values, without_value

PARTS = {"train": "train", "val": "inner-valid", "test": "outer-test"}
WORDS = "write train and test"
ALLOWED = "call its parts train, val (if there is one) and test, or number the folds"


class GivenError(UserError, ValueError):
    """A column does not give a split; the message says why, with the values."""


def read_parts(values, column):
    """Read the fold of each row, in the naming of `glomfeat.data.splits.make_folds`.

    Parameters
    ----------
    values : sequence
        Of the column, one for each row.
    column : str

    Returns
    -------
    ndarray, shape (n,)
        Numbers of folds from 0 in the order of the column's numbers, or ``train``, ``inner-valid`` and ``outer-test``.

    Raises
    ------
    GivenError
        A value is missing, or is neither a part nor a number.

    Examples
    --------
    >>> read_parts(["Training", "test", "train"], "set").tolist(), read_parts(["fold 3", "fold 1"], "fold").tolist()
    (['train', 'outer-test', 'train'], [1, 0])
    """
    values = pd.Series(values, dtype=object)
    if problem := without_value(read_values(values), column):
        raise GivenError(problem)
    names = [split_of(str(value)) for value in values]
    if {"train", "test"} <= {*names} <= {*PARTS}:
        return np.array([PARTS[name] for name in names])
    pairs = zip(names, values, strict=True)
    texts = [name.removeprefix("fold") if name.startswith("fold") else value for name, value in pairs]
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(float)
    if values.map(lambda value: isinstance(value, bool)).any() or not (numbers == np.round(numbers)).all():
        raise GivenError(f"column {column!r} holds {listed(sorted({str(value) for value in values}), 6)}: {ALLOWED}")
    if below := listed(sorted({str(value) for value in values[numbers < 0]}), 6):
        raise GivenError(
            f"column {column!r} holds {below}, and every fold is tested, also one with a negative number: give these "
            "images to other folds, or leave them out of DATA"
        )
    there, found = np.unique(numbers, return_inverse=True)
    if not found.any():
        raise GivenError(f"column {column!r} holds {values.iloc[0]} alone: {ALLOWED}")
    if len(there) == 2 and not any(names) and _is_called_after_a_part(column):
        raise GivenError(
            f"column {column!r} holds the numbers {there[0]:.0f} and {there[1]:.0f}, and its name says that one of "
            f"them is a part: {WORDS}, or rename the column if these are two folds"
        )
    return found


def _is_called_after_a_part(column):
    """Whether a column says which images one part holds, as ``is_test`` does, rather than number the folds."""
    parts = {split_of(word) for word in (str(column), *words_of(str(column)))}
    return bool(parts & {*PARTS}) and not _names_folds(column)


def _names_folds(column):
    return any(word.removesuffix("s") in SPLITS["fold"] for word in words_of(str(column)))


def lines_on_folds(values, column):
    """Say that two numbers are two folds, unless the column or its values call them so: they may be meant as parts.

    Nothing is said of a column that gives no split.

    Examples
    --------
    >>> lines_on_folds([0, 1, 1], "part")
    ["column 'part' holds 0 (1 image) and 1 (2 images): two folds, each tested once; for parts, write train and test"]
    >>> lines_on_folds([0, 1, 1], "fold"), lines_on_folds(["fold0", "fold1"], "part"), lines_on_folds([0, 1, 2], "part")
    ([], [], [])
    """
    try:
        parts = read_parts(values, column)
    except GivenError:
        return []
    texts = read_values(values)
    if count_folds(parts) != 2 or _names_folds(column) or texts.map(split_of).any():
        return []
    held = [texts[parts == part] for part in range(2)]
    one, other = (f"{rows.iloc[0]} ({number_of(len(rows), 'image')})" for rows in held)
    return [f"column {column!r} holds {one} and {other}: two folds, each tested once; for parts, {WORDS}"]


def count_folds(parts):
    """Count the folds that are tested in turn; 1 if there is a test part.

    Examples
    --------
    >>> count_folds(np.array([0, 2, 1, 0])), count_folds(np.array(["train", "outer-test"]))
    (3, 1)
    """
    return len(np.unique(parts)) if parts.dtype.kind in "iu" else 1


def torn_cases(table, column):
    """The cases that lie in several parts of a column, in order of name.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, with ``given``.
    column : str

    Returns
    -------
    list of str
    """
    return _torn(pd.Series(read_parts(table["given"], column), table.index), table["case"])


def _torn(parts, cases):
    sides = parts.groupby(cases).nunique()
    return sides.index[sides > 1].tolist()


def given_problems(table, classes, column, split_cases=False, show_names=False):
    """What is wrong with a given split, for `complain`: its values, cases on two sides, parts that lack a class.

    `split_cases` says whether a case may lie in several parts.
    """
    try:
        parts = pd.Series(read_parts(table["given"], column), table.index)
    except GivenError as error:
        return [(str(error), [])]
    problems = []
    if not split_cases and (torn := _torn(parts, table["case"])):
        what = (
            f"cases are in several parts of column {column!r}: put each on one side, leave out --scheme, or take the "
            f"split with --allow-split-cases, which marks tables and report {IMAGE_LEVEL!r}"
        )
        named = shown_as(table["case"], show_names)
        problems.append((what + ("" if show_names else NAMED_BY), [named[case] for case in torn]))
    shown = table["given"].astype(str).groupby(parts).first()
    for part, rows in table.groupby(parts):
        lacking = [name for label, name in enumerate(classes) if not (rows["label"] == label).any()]
        if lacking:
            what = f"part {shown[part]} of column {column!r} holds no image of {', '.join(lacking)}"
            problems.append((f"{what}: each part needs every class", []))
    return problems
