"""Named rows of numbers, read on demand, and how names find them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.tabular import TableError

AT_ONCE = 1024
FORMS = (
    str,
    lambda name: name.removesuffix(PurePath(name).suffix),
    lambda name: PurePath(name).name,
    lambda name: PurePath(name).stem,
)


@dataclass(frozen=True)
class Named:
    """Rows of numbers, each with a name.

    Attributes
    ----------
    names : list of str
    columns : list of str
        What each number of a row is called.
    read : callable
        ``read(places)`` with `places` of int64, shape (k,), gives those rows: an array of numbers of any type, shape
        (k, columns).

    Examples
    --------
    >>> matrix = np.arange(6.0).reshape(3, 2)
    >>> Named(["a", "b", "c"], ["x0", "x1"], lambda places: matrix[places]).read(np.array([2, 0])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    names: list
    columns: list
    read: Callable


def number_columns(width):
    """Names of columns that have none.

    Examples
    --------
    >>> number_columns(2)
    ['x0', 'x1']
    """
    return [f"x{k}" for k in range(width)]


def find_rows(wanted, known):
    """Find names among others, which all have or all lack a folder and a suffix.

    Parameters
    ----------
    wanted, known : sequence of str
        `known` holds no name twice.

    Returns
    -------
    places : ndarray of int64, shape (len(wanted),), or None
        Where each name is among `known`; None where one is missing, or two of them would share a row.
    missing : list of str
        Those of `wanted` that are not there.

    Examples
    --------
    >>> find_rows(["sick/b.png", "well/a.png"], ["a", "b"])
    (array([1, 0]), [])
    >>> find_rows(["a.png", "c.png"], ["a", "b"])
    (None, ['c.png'])
    >>> find_rows(["sick/a.png", "well/a.png"], ["a", "b"])
    (None, [])
    """
    place, fewest = {name: row for row, name in enumerate(known)}, None
    for form in FORMS:
        found = [place.get(form(name)) for name in wanted]
        missing = [name for name, row in zip(wanted, found, strict=True) if row is None]
        if not missing and len(set(found)) == len(set(wanted)):
            return np.array(found, np.int64), []
        if fewest is None or len(missing) < len(fewest):
            fewest = missing
    return None, sorted(set(fewest))


def any_found(wanted, known):
    """Whether one of some names is among others, with or without folder and suffix.

    Examples
    --------
    >>> any_found(["sick/b.png"], ["a", "b"]), any_found(["c"], ["a", "b"])
    (True, False)
    """
    known = set(known)
    return any(form(name) in known for form in FORMS for name in wanted)


def refuse_twice(names, what):
    """Refuse names that several rows have.

    Raises
    ------
    TableError
        How many there are, and the first five.
    """
    if len(set(names)) < len(names):
        seen = set()
        twice = sorted({name for name in names if name in seen or seen.add(name)})
        raise TableError(f"{what}: {len(twice)} names have several rows: {', '.join(twice[:5])}")


def mean_rows(rows):
    """The mean of rows that are read some at a time.

    Parameters
    ----------
    rows : array of numbers, shape (n, d)
        Or what has its length and gives slices of it.

    Returns
    -------
    ndarray of float32, shape (d,)
        Summed as float64; of one row, that row.

    Examples
    --------
    >>> mean_rows(np.array([[1, 2], [3, 6]], np.float16))
    array([2., 4.], dtype=float32)
    """
    total = sum(np.asarray(rows[part]).sum(axis=0, dtype=np.float64) for part in gen_batches(len(rows), AT_ONCE))
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused by whoever asked
        return (total / len(rows)).astype(np.float32)
