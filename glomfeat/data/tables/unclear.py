"""Columns whose numbers may be thousands go with the rows from table to table, and are refused where numbers count."""

import re

from glomfeat.data.tables.read import TableError, listed

HELD = "unclear"  # in a frame's attrs, as `glomfeat.data.tables.delimited.read_text` leaves it


def take_unclear(frame, other, columns):
    """Tell a frame which columns that it has from another one may hold thousands.

    Parameters
    ----------
    frame, other : pandas.DataFrame
    columns : collection of str
        The columns that are from `other`.
    """
    found = {column: why for column, why in other.attrs.get(HELD, {}).items() if column in {*columns}}
    frame.attrs[HELD] = frame.attrs.get(HELD, {}) | found


def refuse_unclear(frame, used, otherwise=""):
    """Refuse columns that are used as numbers and may hold thousands; see `glomfeat.data.tables.decimals`.

    Parameters
    ----------
    frame : pandas.DataFrame
    used : collection of str
    otherwise : str
        What else the user can do, with ``{!r}`` for the column.

    Raises
    ------
    TableError
        Names the first such column with one of its cells, the reason and the remedy.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [1.234, 987]})
    >>> frame.attrs["unclear"] = {"age": ("t.csv", "1.234", "'987' has no decimals", "write 1234 or 987.0")}
    >>> refuse_unclear(frame, ["age"])
    Traceback (most recent call last):
        ...
    glomfeat.data.tables.delimited.TableError: t.csv: '1.234' in column 'age' may be 1.234 or 1234, for '987' has no ...
    """
    wrong = {column: why for column, why in frame.attrs.get(HELD, {}).items() if column in {*used}}
    if not wrong:
        return
    column, (where, cell, why, remedy) = next(iter(wrong.items()))
    more = f" ({listed([*wrong][1:])} likewise)" if len(wrong) > 1 else ""
    either = f"{cell.replace(',', '.')} or {re.sub('[,.]', '', cell)}"
    raise TableError(
        f"{where}: {cell!r} in column {column!r}{more} may be {either}, for {why}: {remedy}{otherwise.format(column)}"
    )
