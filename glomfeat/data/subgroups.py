"""Groups of images by the user's columns: sites, scanners, ages, grades."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from glomfeat.core.errors import UserError
from glomfeat.core.words import number_of
from glomfeat.data.lone_values import are_mostly_lone
from glomfeat.data.tables.own import OF_USER, OURS, as_named
from glomfeat.data.tables.read import find_column, named_by_user, read_values
from glomfeat.data.tables.read import listed as shown
from glomfeat.data.tables.unclear import refuse_unclear
from glomfeat.data.twins import twins_in_words

OWN = ("case", "slide", "split")  # columns of every manifest that group as well; texts, even if they look like numbers
MISSING = "(missing)"
MOST = 50
QUARTILES = (0.25, 0.5, 0.75)
MOST_ALONE = len(QUARTILES) + 1  # so many different numbers are taken as they are
DIGITS = 10  # of the numbers in names of groups


class SubgroupError(UserError, ValueError):
    """A column makes no groups; the message says why."""


@dataclass(frozen=True)
class Groups:
    """The images of a data set by the values of a column.

    Attributes
    ----------
    column : str
    names : tuple of str
        Names of the groups, in order; `MISSING` is the last one, if any image has no value.
    codes : ndarray of int64, shape (n,)
        The group of each image.
    said : str
        How the groups were made, for the user to read.
    """

    column: str
    names: tuple
    codes: np.ndarray
    said: str

    @property
    def known(self):
        """The groups that have a value."""
        return [code for code, name in enumerate(self.names) if name != MISSING]


def split_asked(asked, columns):
    """Split what is asked for into a column and the numbers at which it is cut.

    Parameters
    ----------
    asked : str
        ``COLUMN``, or ``COLUMN:10,20``.
    columns : collection of str

    Returns
    -------
    column : str
        As the user writes it.
    edges : list of float or None
        Ascending; None if none are given.

    Raises
    ------
    SubgroupError
        What follows the colon is not a list of ascending numbers.

    Examples
    --------
    >>> split_asked("age:10,20", ["age"]), split_asked("stain:PAS", ["stain:PAS"])
    (('age', [10.0, 20.0]), ('stain:PAS', None))
    """
    column, colon, text = str(asked).rpartition(":")
    if not colon or str(asked) in map(str, columns):
        return str(asked), None
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError:
        edges = []
    if not edges or not np.isfinite(edges).all() or sorted(set(edges)) != edges:
        raise SubgroupError(
            f"--subgroups {asked!r}: after the colon, write the numbers at which {column!r} is cut, ascending and with "
            f"commas between them, such as {column}:10,20"
        )
    return column, edges


def keep_columns(table, frame, asked, where):
    """Add the columns that subgroups are made from to a manifest's table.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, in the rows of `frame`.
    frame : pandas.DataFrame
        With the user's columns.
    asked : sequence of str
        As for `split_asked`.
    where : object
        What the frame was read from.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    TableError, SubgroupError
        There is no such column, one is asked for twice, or it is not clear whether one that is cut holds thousands.
    """
    found, frame = {}, as_named(frame)
    for one in asked:
        name, edges = split_asked(one, [*frame.columns, *OWN])
        own = name in OWN and name in table and find_column(frame, (name,)) is None
        others = [one for one in OWN if one in table and (one == "case" or not table[one].equals(table["case"]))]
        column = name if own else named_by_user(frame, name, "--subgroups", where, OURS, others)
        if column in found:
            raise SubgroupError(f"--subgroups {' '.join(map(str, asked))}: give the column {column!r} once")
        found[column] = None if own else frame[column].to_numpy(object)
        if not own and _is_cut(found[column], column, edges):
            refuse_unclear(frame, [column], ", or leave the column out of --subgroups")
    return table.assign(**{OF_USER + str(name): values for name, values in found.items() if values is not None})


def kept_columns(table):
    """The columns that `keep_columns` added to a manifest's table, by the user's names.

    Returns
    -------
    dict of str to str
        The name in the table.
    """
    return {name.removeprefix(OF_USER): name for name in table if str(name).startswith(OF_USER)}


def make_groups(table, asked):
    """Make the groups of a column.

    Texts are taken as they are. Numbers are cut at the quartiles of the images, or at the given numbers: a number that
    equals an edge belongs to the group above it. Up to four different numbers are taken as they are. A quartile that is
    the number of one case is named by a number just below it, which cuts alike; where `are_mostly_lone`, all are.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, with the column; see `keep_columns`.
    asked : str
        As for `split_asked`.

    Returns
    -------
    Groups

    Raises
    ------
    SubgroupError
        The manifest lacks the column; it has too many values; or it should be cut and does not hold numbers.

    Examples
    --------
    >>> table = pd.DataFrame({"of user: age": [4, 8, 15, 16, 23, None]})
    >>> groups = make_groups(table, "age:10,20")
    >>> groups.names, groups.codes.tolist()
    (('below 10', '10 to below 20', '20 or more', '(missing)'), [0, 0, 1, 1, 2, 3])
    """
    kept, own = kept_columns(table), {name: name for name in OWN if name in table}
    column, edges = split_asked(asked, own | kept)
    known = own if find_kept(kept, column) is None else kept
    found = find_kept(known, column)
    if found is None:
        raise SubgroupError(
            f"--subgroups {column!r}: the data do not hold this column any more, for they were read without it; give "
            f"it to read_manifest as subgroups=[{str(asked)!r}]"
        )
    values = pd.Series(table[known[found]].to_numpy(object), dtype=object)
    texts = read_values(values)
    numbers, bare, numeric = _read_numbers(values, texts, found)
    if edges is not None and not numeric:
        wrong = int((~np.isfinite(numbers[~bare])).sum())
        raise SubgroupError(
            f"--subgroups {asked}: {column!r} cannot be cut, for {wrong or 'all'} of its {len(values)} values are no "
            f"numbers; leave out what follows the colon to take its values as they are"
        )
    how, names, codes = _cut(numbers, bare, edges, found, table) if numeric else _as_they_are(texts.to_numpy(str), bare)
    if len(names) > MOST:
        raise SubgroupError(
            f"--subgroups {asked}: {column!r} has {len(names)} values, and at most {MOST} can be compared; "
            "name a coarser column"
        )
    said = f"subgroups: {found}: {number_of(len(names), 'group')}, {how}"
    if bare.any():
        codes[bare] = len(names)
        names = [*names, MISSING]
        have, are, their = ("has", "is", "its") if bare.sum() == 1 else ("have", "are", "their")
        said += f"; {bare.sum()} of {len(bare)} images {have} no value and {are} a group of {their} own, {MISSING}"
    if len(names) - bare.any() < 2:
        said += "; all images that have a value have the same one, so there is nothing to compare it with"
    return Groups(found, tuple(names), codes, said)


def lines_on_subgroups(table, asked, features=(), show_names=False):
    """Describe how groups are made, which seem to be one, and which columns also describe images, for the user.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest.
    asked : sequence of str
        As for `make_groups`, whose errors are raised.
    features : sequence of glomfeat.features.base.Feature
        With ``name`` and ``columns``.
    show_names : bool
        Whether to show values of a single case as they are.

    Returns
    -------
    list of str
    """
    lines = []
    for groups in (make_groups(table, one) for one in asked):
        lines.append(groups.said)
        held = table["case"].groupby(groups.codes).nunique()
        if twins := twins_in_words(groups.names, [held.get(code, 0) for code in range(len(groups.names))], show_names):
            lines.append(f"warning: subgroups: {groups.column}: {twins}: if they are one group, write it in one way")
        of = [feature.name for feature in features if groups.column in feature.columns]
        if of:
            lines.append(
                f"subgroups: {groups.column} also describes the images, in {shown(of)}; --drop {groups.column} takes "
                "it out of the features, which is another study"
            )
    return lines


def find_kept(columns, name):
    """The column of this name, however it is spelt; None if there is none."""
    columns = {str(column): column for column in columns}
    return columns[name] if name in columns else find_column(pd.DataFrame(columns=list(columns)), (name,))


def _read_numbers(values, texts, column):
    """The numbers of a column, which of its rows are bare, and whether all others hold numbers."""
    bare = texts.isin(["", MISSING]).to_numpy()
    numbers = pd.to_numeric(values.where(~bare), errors="coerce").to_numpy(float)
    numeric = column not in OWN and not values.map(lambda value: isinstance(value, bool | np.bool_)).any()
    return numbers, bare, numeric and not bare.all() and np.isfinite(numbers[~bare]).all()


def _is_cut(values, column, edges):
    """Whether groups depend on how large numbers are."""
    values = pd.Series(values, dtype=object)
    numbers, bare, numeric = _read_numbers(values, read_values(values), column)
    return numeric and (edges is not None or len(np.unique(numbers[~bare])) > MOST_ALONE)


def _as_they_are(texts, bare):
    names = sorted(set(texts[~bare]))
    return "a value each", names, np.searchsorted(names, texts) if names else np.zeros(len(texts), np.int64)


def _cut(numbers, bare, edges, column, table):
    """Groups of numbers: how they were made, their names, and the group of each row."""
    there = numbers[~bare]
    different = np.unique(there)
    if edges is None and len(different) <= MOST_ALONE:
        return "a number each", [f"{one:.10g}" for one in different], np.searchsorted(different, numbers)
    how, own = f"cut at {'its quartiles' if edges is None else 'the numbers that were given'}", edges is None
    edges = np.unique(np.quantile(there, QUARTILES)) if own else np.array(edges)
    edges = _hidden(edges, there, table["case"][~bare]) if own and "case" in table else edges
    written = [f"{edge:.{DIGITS}g}" for edge in edges]
    between = (f"{low} to below {high}" for low, high in pairwise(written))
    names = [f"below {written[0]}", *between, f"{written[-1]} or more"]
    codes = np.searchsorted(edges, np.where(bare, edges[0], numbers), side="right")
    held, left = np.unique(codes[~bare]), len(names) - len(np.unique(codes[~bare]))
    again = f"; {column}:{','.join(written)} would write them so" if own else ""
    how += f" ({shown(written, MOST)}{again})"
    how += f"; {left} of {len(names)} parts hold no image and are left out" if left else ""
    return how, [names[code] for code in held], np.searchsorted(held, codes)


def _hidden(edges, numbers, cases):
    """Edges that cut the numbers alike, without being a number that tells which case it is of."""
    values, of = np.unique(numbers, return_inverse=True)
    held = cases.groupby(of).nunique().to_numpy()
    tells = values[(held <= 1) | are_mostly_lone(held)]
    below = values[0] - np.ptp(values)
    return np.unique([_between(values[values < e].max(initial=below), e) if e in tells else e for e in edges])


def _between(low, high):
    """The number with the fewest digits between two numbers, near their middle; the higher if there is none."""
    middle = (low + high) / 2
    texts = (f"{middle:.{digits}g}" for digits in range(1, DIGITS + 1))
    return next((float(text) for text in texts if low < float(text) < high), high)
