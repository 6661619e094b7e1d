"""Excel workbooks: the first sheet that holds a table, and titles above its header."""

import io
import re
from itertools import count
from pathlib import Path

import pandas as pd

from glomfeat.data.files import open_bytes
from glomfeat.data.tables.delimited import TableError

UNNAMED = "Unnamed: "  # before the number of a column without a name, as pandas calls it


def read_workbook(path, rows=None):
    """Read the first sheet of a workbook that is not empty.

    Parameters
    ----------
    path : path-like
    rows : int, optional
        Read only this many.

    Returns
    -------
    pandas.DataFrame
        The first row that is not empty names the columns; repeated names are numbered, as pandas does for CSVs. Whole
        numbers that are shown with leading zeros are texts.

    Raises
    ------
    TableError
        The file is not a workbook, or is empty.
    """
    import openpyxl  # so that only a workbook pays for loading it

    name = Path(path).name
    try:
        with open_bytes(path) as file:
            book = openpyxl.load_workbook(io.BytesIO(file.read()), read_only=True, data_only=True)
    except Exception as error:  # errors of zip, XML and whatever openpyxl makes of them
        raise TableError(
            f"{name} cannot be read: it is not an Excel workbook (.xlsx); save it again, or as CSV"
        ) from error
    for sheet in book.worksheets:
        found = []
        for cells in sheet.iter_rows():
            values = [_value(cell) for cell in cells]
            if any(value is not None for value in values):
                found.append(values)
            if rows is not None and len(found) > rows:
                break
        if len(found) > 1:
            return _frame(found, f"sheet {sheet.title!r}" if len(book.worksheets) > 1 else "")
    raise TableError(f"{name} cannot be read: it holds no row below a header")


def _value(cell):
    """What a cell shows, as far as it distinguishes cells."""
    value = cell.value
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and value.is_integer() and cell.number_format == "General":
        return int(value)
    padded = re.fullmatch(r"0{2,}", str(cell.number_format or ""))
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return f"{int(value):0{len(padded[0])}d}" if padded and is_whole else value


def _numbered(names):
    """Add a number to each name that was there before, as pandas does."""
    given, found = {*names}, {}
    for name in names:
        more = (f"{name}.{k}" for k in count(1))
        found[name if name not in found else next(one for one in more if one not in given and one not in found)] = None
    return list(found)


def has_title(frame):
    """Whether the first row of a table looks like a title above the header: most columns have no name.

    Examples
    --------
    >>> has_title(pd.DataFrame(columns=["Biopsies of 2023", "Unnamed: 1"]))
    True
    >>> has_title(pd.DataFrame({"Biopsies of 2023": ["file,class", "a.png,GS"]}))
    True
    >>> has_title(pd.DataFrame(columns=["Unnamed: 0", "file", "class"]))
    False
    """
    bare = sum(str(column).startswith(UNNAMED) for column in frame.columns)
    alone = frame.shape[1] == 1 and frame.iloc[:5, 0].astype(str).str.contains(r"[,;|\t]").all() and len(frame) > 0
    return bool(alone or (bare and 2 * bare >= frame.shape[1]))


def _frame(found, said):
    header, *body = found
    last = max(k for k, value in enumerate(header) if value is not None) + 1
    names = [f"{UNNAMED}{k}" if value is None else str(value) for k, value in enumerate(header[:last])]
    width = len(names)
    columns = list(zip(*[(row + [None] * width)[:width] for row in body], strict=True))
    frame = pd.DataFrame({k: pd.Series(list(values)).infer_objects() for k, values in enumerate(columns)})
    frame.columns = _numbered(names)
    if said:
        frame.attrs["said"] = said
    return frame
