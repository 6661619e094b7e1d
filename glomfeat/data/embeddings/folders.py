"""Folders with one file per image: HDF5, or ``.pt`` as kidney-hfm-eval and eva write them.

eva (``eva/core/callbacks/writers/embeddings``) writes ``manifest.csv`` beside them, with the columns ``origin`` (the
image's file), ``embeddings`` (the ``.pt``), ``target`` and ``split``.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.embeddings import hdf5
from glomfeat.data.embeddings.files import MANIFEST
from glomfeat.data.embeddings.named import Named, any_found, number_columns, refuse_twice
from glomfeat.data.tables.joining import last_parts
from glomfeat.data.tables.read import HDF5, TableError, read_frame


def names_of_folder(folder, files):
    """The images of a folder, with what else eva's manifest says about them.

    Without a manifest an image is named after its file, without the suffix; with its folder only if files in several
    folders share a name.

    Parameters
    ----------
    folder : pathlib.Path
    files : list of pathlib.Path
        From `glomfeat.data.embeddings.files.files_of`.

    Returns
    -------
    pandas.DataFrame
        ``name`` in the order of `files`; with a manifest also ``label`` and its further columns.

    Raises
    ------
    TableError
        The manifest and the files do not fit, or two files belong to one image.
    """
    relative = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    manifest = _manifest(folder)
    if manifest is None:
        names = last_parts(relative)
        refuse_twice(names, folder)
        return pd.DataFrame({"name": names})
    named = [str(text).removesuffix(".pt") for text in manifest["embeddings"]]
    refuse_twice(named, f"{folder}/{MANIFEST}")
    rows = {name: row for row, name in enumerate(named)}
    lost = sorted(set(rows) - set(relative))
    if lost:
        those = number_of(len(lost), "file that is", "files that are")
        raise TableError(f"{folder}/{MANIFEST} names {those} not there: {', '.join(lost[:5])}")
    unknown = sorted(set(relative) - set(rows))
    if unknown:
        raise TableError(f"{folder}/{MANIFEST} does not name {len(unknown)} of the files: {', '.join(unknown[:5])}")
    frame = manifest.iloc[[rows[name] for name in relative]].reset_index(drop=True)
    frame = frame.rename(columns={"origin": "name", "target": "label"}).drop(columns="embeddings")
    frame["name"] = frame["name"].astype(str)
    refuse_twice(frame["name"].tolist(), f"{folder}/{MANIFEST}")
    return frame


def _manifest(folder):
    path = folder / MANIFEST
    if not path.is_file():
        return None
    frame = read_frame(path)
    return frame if {"origin", "embeddings"} <= set(frame.columns) else None


def is_by_row(folder, files, wanted):
    """Whether images are the rows of a folder's files, rather than the files.

    They are if none of them is named like a file, and one is named ``<file>_<x>_<y>`` after the coordinates in it.

    Parameters
    ----------
    folder, files
        See `names_of_folder`.
    wanted : sequence of str
        Names of images.
    """
    if not len(wanted) or files[0].suffix.lower() not in HDF5:
        return False
    if any_found(wanted, names_of_folder(folder, files)["name"]):
        return False
    with hdf5.opened(files[0]) as file:
        if not hdf5.look(file).coords:
            return False
    return any_found(wanted, names_of_rows(files))


def names_of_rows(files):
    """The names of all rows of all HDF5 files.

    Raises
    ------
    TableError
        Rows have neither names nor coordinates, or share a name.
    """
    names = []
    for path in files:
        with hdf5.opened(path) as file:
            names += hdf5.names_in(file, hdf5.look(file))
    refuse_twice(names, files[0].parent)
    return names


def shapes_of(files, reader=None):
    """The number of rows and columns of each file.

    Parameters
    ----------
    files : list of pathlib.Path
    reader : module or object
        Has ``shape_of(file)`` for ``.pt`` files.

    Returns
    -------
    ndarray of int64, shape (n, 2)

    Raises
    ------
    TableError
        A file has no row, or is not as wide as most.
    """
    read = hdf5 if files[0].suffix.lower() in HDF5 else reader
    shapes = np.array([read.shape_of(path) for path in files], np.int64)
    widths, counts = np.unique(shapes[:, 1], return_counts=True)
    usual = widths[counts.argmax()]
    for wrong, what in ((shapes[:, 0] == 0, "hold no row"), (shapes[:, 1] != usual, f"are not of width {usual}")):
        if wrong.any():
            shown = ", ".join(f"{files[k].name} {tuple(shapes[k].tolist())}" for k in np.flatnonzero(wrong)[:5])
            raise TableError(f"{files[0].parent}: {wrong.sum()} of {len(files)} files {what}: {shown}")
    return shapes


def open_folder(folder, files, shapes, by_row, reader=None):
    """Open the rows of a folder: one per file, the mean of those in it, or each row of each file.

    Parameters
    ----------
    folder, files
        See `names_of_folder`.
    shapes : ndarray of int64, shape (n, 2)
        From `shapes_of`.
    by_row : bool
        See `is_by_row`.
    reader : module or object
        Has ``mean_of(file)`` for ``.pt`` files, which need a library that is not imported here.

    Returns
    -------
    Named

    Raises
    ------
    TableError
        See `names_of_folder` and `names_of_rows`.
    """
    read = hdf5 if files[0].suffix.lower() in HDF5 else reader
    width = int(shapes[0, 1])
    columns = number_columns(width)
    if not by_row:
        names = names_of_folder(Path(folder), files)["name"].tolist()
        return Named(names, columns, lambda places: np.stack([read.mean_of(files[place]) for place in places]))
    names, starts = names_of_rows(files), np.cumsum([0, *shapes[:, 0]])

    def read_rows(places):
        of, found = np.searchsorted(starts, places, side="right") - 1, np.empty((len(places), width), np.float32)
        for k in np.unique(of):
            found[of == k] = hdf5.read_rows(files[k], places[of == k] - starts[k])
        return found

    return Named(names, columns, read_rows)
