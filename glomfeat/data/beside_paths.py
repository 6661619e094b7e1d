"""Tables that name images by their path, and the images that lie beside those that they name."""

import contextlib
import os
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from glomfeat.core.words import number_of
from glomfeat.data.files import index_of, is_hidden, is_there, split
from glomfeat.data.labels.classes import labelled
from glomfeat.data.sources import is_image

MOST_FILES = 200_000
FEW = 5


def lines_on_unnamed(paths, where):
    """Count the images that a table does not name in the folders and archives of those that it names by path.

    Folders below these are not looked into, so that a few images of a large store take no search of all of it.

    Parameters
    ----------
    paths : sequence of str
        Of the images that the table names.
    where : str
        The table, for the line.

    Returns
    -------
    list of str
        At most one line.
    """
    named = {_alike(path) for path in paths}
    beside = islice(_images_in({os.path.dirname(os.path.abspath(path)) for path in paths}), MOST_FILES)  # noqa: PTH100, PTH120
    count = sum(_alike(path) not in named for path in beside)
    are = "is" if count == 1 else "are"
    said = f"{number_of(count, 'image')} beside those that {where} names {are} not in it, and {are} left out"
    return [said] if count else []


def _alike(path):
    """A path as it may be written on systems that ignore capitals and the form of letters."""
    return normalize("NFC", os.path.abspath(path)).casefold()  # noqa: PTH100 (a Path each is slow)


def _images_in(folders):
    """Yield the paths of the images that lie right in some folders, on the disk or in archives."""
    packed = {folder: split(folder)[0] for folder in sorted(folders)}
    for folder in (folder for folder, archive in packed.items() if archive is None):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if is_image(entry.name) and not is_hidden(entry.name))
    for archive in sorted({*filter(None, packed.values())}):
        for path in (f"{archive}/{name}" for name in index_of(archive).names if is_image(name)):
            if path.rpartition("/")[0] in packed and not is_hidden(path.rpartition("/")[2]):
                yield path


def names_elsewhere(labels, asked):
    """Say that a table names images elsewhere, in a column that is not read as paths; empty if it does not.

    Parameters
    ----------
    labels : path-like or None
        The table.
    asked : glomfeat.data.tables.columns.Asked
    """
    if labels is None or not is_there(labels):
        return ""
    table = Path(labels)
    frame = labelled(table, asked)
    if not any(is_there(table.parent / name) for name in frame["name"].head(FEW)):
        return ""
    column = " and ".join(map(repr, frame.attrs["named by"]))
    return f"; {table.name} names images that lie elsewhere: rename its column {column} to 'path'"
