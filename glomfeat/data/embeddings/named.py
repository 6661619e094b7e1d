"""Named rows of numbers that are read on demand, and how to find them by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np

from glomfeat.core.words import number_of
from glomfeat.data.tables.columns import matching
from glomfeat.data.tables.joining import as_parts, find_names_among, last_part, suffixes_off
from glomfeat.data.tables.read import NAME_COLUMNS, TableError, listed

AT_ONCE = 1024
FORMS = (
    str,
    lambda name: name.removesuffix(PurePath(name).suffix),
    last_part,
    lambda name: PurePath(last_part(name)).stem,
)


@dataclass(frozen=True)
class Named:
    """Rows of numbers, each with a name.

    Attributes
    ----------
    names : list of str
    columns : list of str
        Names of the numbers of a row.
    read : callable
        ``read(places)``, with `places` of int64 and shape (k,), returns those rows: an array of numbers of any type,
        shape (k, columns).
    left : dict of str to str
        Why further columns are not part of the rows.
    spoilt : dict of str to str
        For columns of numbers, the first cells that hold none; these are read as NaN.
    levels : dict of str to list of str
        For columns of texts, their texts, each of which is a number of the row.
    coarse : list of str
        Columns whose numbers float32 can hardly tell apart.

    Examples
    --------
    >>> matrix = np.arange(6.0).reshape(3, 2)
    >>> Named(["a", "b", "c"], ["x0", "x1"], lambda places: matrix[places]).read(np.array([2, 0])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    names: list
    columns: list
    read: Callable
    left: dict = field(default_factory=dict)
    spoilt: dict = field(default_factory=dict)
    levels: dict = field(default_factory=dict)
    coarse: list = field(default_factory=list)


def number_columns(width):
    """Make names for columns that have none.

    Examples
    --------
    >>> number_columns(2)
    ['x0', 'x1']
    """
    return [f"x{k}" for k in range(width)]


def chosen(named, asked, where="the table"):
    """The rows with only the columns that the user asks for; all columns hold numbers.

    Raises
    ------
    TableError
        A pattern fits no column, or a column that a model reads is missing.

    Examples
    --------
    >>> from glomfeat.data.tables.columns import Asked
    >>> rows = Named(["a"], number_columns(3), lambda places: np.arange(3.0)[None])
    >>> chosen(rows, Asked(keep=("x*",), drop=("x1",))).columns
    ['x0', 'x2']
    """
    if asked.learnt:
        kept, left = asked.learnt.choose(named, where)
        return named if kept == [*range(len(named.columns))] else _columns_of(named, kept, left)
    if not asked.keep and not asked.drop:
        return named
    taken, dropped = matching(named.columns, asked.keep, "--columns"), matching(named.columns, asked.drop, "--drop")
    kept = [k for k, c in enumerate(named.columns) if (not asked.keep or c in taken) and c not in dropped]
    left = {c: "by --drop" if c in dropped else "not in --columns" for c in named.columns} if kept else {}
    columns = {named.columns[k] for k in kept}
    return _columns_of(named, kept, {column: why for column, why in left.items() if column not in columns})


def _columns_of(named, kept, left):
    columns = [named.columns[k] for k in kept]
    return Named(named.names, columns, lambda places: np.asarray(named.read(places))[:, kept], named.left | left)


def find_rows(wanted, known):
    """Find names among others, with or without folder and suffix.

    Parameters
    ----------
    wanted, known : sequence of str
        `known` holds no name twice.

    Returns
    -------
    places : ndarray of int64, shape (len(wanted),), or None
        The place of each name in `known`; None if one is missing, or two would share a row.
    missing : list of str
        Those of `wanted` that were not found.

    Examples
    --------
    >>> find_rows(["sick/b.png", "well/a.png"], ["a", "b"])
    (array([1, 0]), [])
    >>> find_rows(["a.png", "c.png"], ["a", "b"])
    (None, ['c.png'])
    >>> find_rows(["sick/a.png", "well/a.png"], ["a", "b"])
    (None, [])
    """
    place = {name: row for row, name in enumerate(known)}
    if place.keys() >= {*wanted}:
        return np.array([place[name] for name in wanted], np.int64), []
    if (plain := _found_plainly(wanted, place)) is not None:
        return np.array(plain, np.int64), []
    found, unclear = find_names_among(wanted, known)
    if len(found) == len(set(wanted)):
        return np.array([found[name] for name in wanted], np.int64), []
    return None, sorted({*wanted} - {*found, *unclear})


def _found_plainly(wanted, place):
    """What `find_names_among` finds, in a fraction of its time; None unless each name has a row and no two are alike.

    That is so if rows have no folders, or if names without suffix are rows and no name with it could be one.
    """
    ends = [as_parts(name) for name in place]
    if not all(map(str.isascii, place)) or len({*map(tuple, ends)}) < len(place):
        return None
    whole, lasts = {end[-1]: row for row, end in enumerate(ends)}, [as_parts(name)[-1] for name in wanted]
    ours, theirs = suffixes_off(lasts, [*whole])
    if all(len(end) == 1 for end in ends):
        short = {theirs(last): row for last, row in whole.items()}
        if len(short) < len(place):
            return None
        forms = (whole, str), (whole, ours), (short, str), (short, ours)
        found = [next((rows[form(last)] for rows, form in forms if form(last) in rows), None) for last in lasts]
    elif whole.keys().isdisjoint(lasts):
        found = [place.get(ours(name)) for name in wanted]
    else:
        return None
    return found if None not in found and len({*found}) == len({*wanted}) else None


def any_found(wanted, known):
    r"""Whether any of some names is among others, with or without folder and suffix.

    Examples
    --------
    >>> any_found([r"sick\b.png"], ["a", "b"]), any_found(["c"], ["a", "b"])
    (True, False)
    """
    known = set(known)
    return any(form(name) in known for form in FORMS for name in wanted)


def refuse_twice(names, what):
    """Refuse names that several rows share, and rows without a name.

    Raises
    ------
    TableError
        Says how many names there are, and the first five; or the first rows without one.
    """
    if bare := [row + 1 for row, name in enumerate(names) if not name]:
        raise TableError(
            f"{what}: {number_of(len(bare), 'row has', 'rows have')} no name (row {listed(bare, 5)}): write a name, or "
            "delete such rows"
        )
    if len(set(names)) < len(names):
        seen = set()
        twice = sorted({name for name in names if name in seen or seen.add(name)})
        raise TableError(
            f"{what}: {number_of(len(twice), 'name has', 'names have')} several rows: {', '.join(twice[:5])}"
        )


def no_rows(path, frame, found):
    """The error for a table that does not name its rows, or has no numbers."""
    if found.used:
        have, names = listed(frame.columns), ", ".join(NAME_COLUMNS[:5])
        return TableError(
            f"{path}: needs a column that names its rows ({names}, ...) and has {have}: say which with --name-column"
        )
    why = "; ".join(f"{column} ({reason})" for column, reason in list(found.left.items())[:10])
    return TableError(
        f"{path}: needs a column of numbers{f', and {why} are left out: name them with --columns' if why else ''}"
    )


def mean_rows(rows):
    """The mean of rows that are read a few at a time, summed as float64; float32, shape (d,).

    `rows` is an array of shape (n, d), or an object that has a length and can be sliced.

    Examples
    --------
    >>> mean_rows(np.array([[1, 2], [3, 6]], np.float16))
    array([2., 4.], dtype=float32)
    """
    from sklearn.utils import gen_batches

    total = sum(np.asarray(rows[part]).sum(axis=0, dtype=np.float64) for part in gen_batches(len(rows), AT_ONCE))
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused by the caller
        return (total / len(rows)).astype(np.float32)
