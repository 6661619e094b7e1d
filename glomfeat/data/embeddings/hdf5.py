"""HDF5 files of rows, as TRIDENT, CLAM, STAMP and `glomfeat.features.export` write them.

TRIDENT (``trident/IO.py``, ``save_h5``) and CLAM (``extract_features_fp.py``) write ``features`` (n, d) and ``coords``
(n, 2); STAMP (``stamp/preprocessing``) writes ``feats`` (n, d) as float16 and ``coords`` (n, 2) in micrometres; each
writes one file per slide. Slide encoders write ``features`` or ``feats`` of shape (d,).
"""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from glomfeat.data.embeddings.named import Named, mean_rows, number_columns, refuse_twice
from glomfeat.data.tables.read import CASE_COLUMNS, LABEL_COLUMNS, NAME_COLUMNS, SLIDE_COLUMNS, TableError

MATRICES = ("features", "feats", "embeddings", "patch_embeddings")
NAMES = (*(f"{name}{s}" for s in ("s", "") for name in NAME_COLUMNS), "ids", "id")
FACTS = (*LABEL_COLUMNS, *CASE_COLUMNS, *SLIDE_COLUMNS)
READ_BYTES = 2**22


@dataclass(frozen=True)
class Layout:
    """Where things are in a file.

    Attributes
    ----------
    matrix : str
        The dataset of rows.
    shape : tuple of int
        Rows and columns.
    names, coords, columns : str or None
        Datasets of the rows' names, their places on the slide, and the columns' names.
    facts : dict of str to str
        Datasets of further facts about each row, by the column they become.
    """

    matrix: str
    shape: tuple
    names: str | None
    coords: str | None
    columns: str | None
    facts: dict


@contextmanager
def opened(path):
    """Open an HDF5 file for reading.

    Raises
    ------
    TableError
        It is not HDF5, is damaged, or needs a filter that is not installed.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise TableError(
            f"{Path(path).name} cannot be read: it is not an HDF5 file, is cut off, or needs a filter that is missing; "
            "copy it again, or write it with gzip or without compression"
        ) from error


def look(file):
    """Find the rows of an open file, and what gives them names.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    Layout

    Raises
    ------
    TableError
        There is no matrix of numbers, or more than one that could be meant, as in a file with a group for each split or
        network; all datasets are listed.
    """
    import h5py

    found, name = {}, Path(file.filename).name
    file.visititems(lambda key, item: found.update({key: item}) if isinstance(item, h5py.Dataset) else None)
    numbers = {key: item for key, item in found.items() if item.dtype.kind in "fiu" and _is_matrix(item)}
    known = [key for key in numbers if _last(key) in MATRICES]
    floats = [key for key, item in numbers.items() if item.dtype.kind == "f" and not key.lower().endswith("coords")]
    matrices = known or floats
    if len(matrices) != 1:
        listed = ", ".join(f"{key} {item.shape} {item.dtype}" for key, item in found.items()) or "no dataset"
        several = f"several ({', '.join(matrices)}): write each to a file of its own"
        what = several if matrices else "no matrix of numbers"
        raise TableError(
            f"{name} holds {listed}: rows are a dataset {' or '.join(MATRICES)} of shape (n, d), and here is {what}"
        )
    item = found[matrices[0]]
    shape = item.shape[-2:] if item.ndim > 1 else (1, *item.shape)
    own = _group_of(matrices[0])
    own_rows = [key for key in found if _rows_of(found[key]).shape[:1] == shape[:1]]
    of_others = {_group_of(key) for key in floats if key in own_rows and found[key].ndim > 1}
    above = sorted((key for key in found if own.is_relative_to(_group_of(key))), key=lambda key: key.count("/"))
    texts = [key for key in own_rows if _is_text(found[key]) and not _is_of_others(key, own, of_others)]
    groups = {_group_of(key) for key in texts if _last(key) in NAMES}
    if len(groups) == 1 and groups.isdisjoint(map(_group_of, above)):  # the only names are in a group of their own
        above = [*(key for key in own_rows if _group_of(key) in groups), *above]
    short = {_last(key): key for key in above}  # what lies nearest to the matrix is taken

    def one_a_row(key):
        return key in short and short[key] in own_rows

    texts = [key for key in texts if key in above or _group_of(key).is_relative_to(own)]  # not of a group beside
    named = [short[key] for key in NAMES if one_a_row(key) and short[key] in texts]
    facts = {key: short[form] for key in FACTS for form in (f"{key}s", key) if one_a_row(form)}
    others = [key for key in texts if key not in (*facts.values(), short.get("columns"))]
    names = named[0] if named else others[0] if len(others) == 1 else None
    coords = short["coords"] if one_a_row("coords") and _rows_of(found[short["coords"]]).ndim == 2 else None
    columns = short.get("columns")
    has_columns = columns and _is_text(found[columns]) and found[columns].shape == shape[1:]
    return Layout(matrices[0], shape, names, coords, columns if has_columns else None, facts)


def _group_of(key):
    return PurePosixPath("/", key).parent


def _last(key):
    return PurePosixPath(key).name.lower()


def _is_of_others(key, own, of_others):
    """Whether a dataset lies with another matrix, in a group that does not hold the one in the group `own`."""
    group = _group_of(key)
    return not own.is_relative_to(group) and any(
        group.is_relative_to(other) or other.is_relative_to(group)
        for other in of_others
        if not own.is_relative_to(other)
    )


def _is_matrix(dataset):
    """Whether a dataset is a row, a matrix, or one slide's matrix as some slide encoders batch it, (1, n, d)."""
    return dataset.ndim in (1, 2) or (dataset.ndim == 3 and dataset.shape[0] == 1)


class _First:
    """The matrix in a dataset of shape (1, n, d), with the interface of a matrix."""

    def __init__(self, dataset):
        self.dataset, self.shape, self.dtype, self.ndim = dataset, dataset.shape[1:], dataset.dtype, dataset.ndim - 1

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return self.dataset[0, *rows] if isinstance(rows, tuple) else self.dataset[0, rows]


def _rows_of(dataset):
    return _First(dataset) if dataset.ndim == 3 and dataset.shape[0] == 1 else dataset


def _is_text(dataset):
    import h5py

    return h5py.check_string_dtype(dataset.dtype) is not None and dataset.ndim == 1


def _texts(dataset):
    return [str(text) for text in (dataset.asstr() if _is_text(dataset) else dataset)[:]]


def _coordinate(value):
    return np.format_float_positional(value, trim="-") if isinstance(value, np.floating) else str(value)


def names_in(file, layout):
    """The name of each row: as the file says, or ``<slide>_<x>_<y>`` from the file's stem and the row's coordinates.

    Returns
    -------
    list of str

    Raises
    ------
    TableError
        There are neither names nor coordinates, or rows share a name.
    """
    path = Path(file.filename)
    if layout.names:
        names = [text.strip() for text in _texts(file[layout.names])]
    elif layout.coords:
        names = [f"{path.stem}_{_coordinate(x)}_{_coordinate(y)}" for x, y in _rows_of(file[layout.coords])[:, :2]]
    else:
        raise TableError(
            f"{path.name} holds {layout.matrix} {layout.shape} and does not say what its rows are: add a dataset names "
            "of texts, or give a folder with one file for each image"
        )
    refuse_twice(names, path.name)
    return names


def facts_in(file, layout):
    """Further facts about each row, such as its label and case.

    Returns
    -------
    dict of str to list of str
    """
    return {key: _texts(file[place]) for key, place in layout.facts.items() if file[place].ndim == 1}


def open_hdf5(path):
    """Open the rows of one file; raises what `look` and `names_in` raise.

    Examples
    --------
    >>> import tempfile; import h5py
    >>> path = Path(tempfile.mkdtemp(), "slide7.h5")
    >>> with h5py.File(path, "w") as file:
    ...     file["features"], file["coords"] = np.eye(2), [[0, 0], [256, 512]]
    >>> rows = open_hdf5(path)
    >>> rows.names, rows.read(np.array([1])).tolist()
    (['slide7_0_0', 'slide7_256_512'], [[0.0, 1.0]])
    """
    with opened(path) as file:
        layout = look(file)
        names = names_in(file, layout)
        columns = _texts(file[layout.columns]) if layout.columns else number_columns(layout.shape[1])

    return Named(names, columns, lambda places: read_rows(path, places))


def read_rows(path, places):
    """Read the rows at some places of a file, in its own type: whole runs where they lie densely, else one by one."""
    with opened(path) as file:
        dataset = _rows_of(file[look(file).matrix])
        return _some(dataset, places) if dataset.ndim == 2 else np.repeat(dataset[:][None], len(places), axis=0)


def _some(dataset, places):
    order = np.argsort(places, kind="stable")
    found = np.empty((len(places), dataset.shape[1]), dataset.dtype)
    step = max(1, READ_BYTES // max(1, dataset.dtype.itemsize * dataset.shape[1]))
    wanted, start = places[order], 0
    while start < len(wanted):
        stop = int(np.searchsorted(wanted, wanted[start] + step))
        here, first = wanted[start:stop], int(wanted[start])
        run = dataset[first : int(here[-1]) + 1] if here[-1] - first < 8 * len(here) else None
        found[order[start:stop]] = run[here - first] if run is not None else [dataset[place] for place in here]
        start = stop
    return found


def shape_of(path):
    """The number of rows and columns in a file of one image."""
    with opened(path) as file:
        return look(file).shape


def mean_of(path):
    """The mean of the rows of a file, float32, shape (d,)."""
    with opened(path) as file:
        dataset = _rows_of(file[look(file).matrix])
        return mean_rows(dataset if dataset.ndim == 2 else dataset[:][None])
