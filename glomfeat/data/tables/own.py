"""Columns that the frame of a data set has of its own, and those of the user's table that have the same header."""

from glomfeat.data.tables.read import plain

BELOW = "subfolder"  # the column of folders below the classes' folders that mean nothing known
BY_FOLDER = "case by folder"  # the column made from the folders, if they give cases better than anything else
CLASS = "raw"
OURS = ("name", CLASS, "path", "folder", "in", BELOW, BY_FOLDER)  # columns that no table of the user's gives
OF_USER = "of user: "  # put before the headers of the user's columns where they would clash with columns of ours


def set_apart(frame, ours=OURS):
    """A user's table in which columns that are called like some of ours are renamed, so that ours can join it.

    Examples
    --------
    >>> import pandas as pd
    >>> set_apart(pd.DataFrame(columns=["image", "name", "age"])).columns.tolist()
    ['image', 'of user: name', 'age']
    """
    return frame.rename(columns={column: OF_USER + column for column in frame.columns if column in {*ours}})


def header_of(column):
    """The header that a column of a frame has in the user's table.

    Examples
    --------
    >>> header_of("of user: name"), header_of("age")
    ('name', 'age')
    """
    return column.removeprefix(OF_USER) if isinstance(column, str) else column


def as_named(frame):
    """The columns of a frame that options may name: the user's by their headers, and those of ours with other headers.

    The class is not among ours: the user's table gives it in a column with a header.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"name": ["a.png"], "raw": ["sick"], "folder": ["x"], "of user: name": ["P1"]})
    >>> as_named(frame).to_dict("list")
    {'folder': ['x'], 'name': ['P1']}
    """
    words = {plain(header_of(column)) for column in frame.columns if column not in OURS}
    hidden = [column for column in OURS if column in frame.columns and (column == CLASS or plain(column) in words)]
    return frame.drop(columns=hidden).rename(columns=header_of)
