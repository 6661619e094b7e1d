"""What an evaluation reads: files of images, or rows of a table; each has a name, and they go in order of name."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sklearn.utils import gen_batches

from glomfeat.bundle.against_labels import labels_within
from glomfeat.bundle.model import BATCH
from glomfeat.bundle.of_table import asked_of, digests_of, open_table, read_matrix
from glomfeat.bundle.seen import digest_of_decoded
from glomfeat.core.memory import Need, format_bytes, held_bytes
from glomfeat.core.progress import track
from glomfeat.data.embeddings import digest_files, files_of, names_of
from glomfeat.data.embeddings.files import stem_of
from glomfeat.data.embeddings.parquet import largest_group
from glomfeat.data.embeddings.read import header_of
from glomfeat.data.files import sha256_of, stamp_of
from glomfeat.data.images.decode import ImageError
from glomfeat.data.locate import path_of
from glomfeat.data.tables.columns import Asked, Sorted
from glomfeat.data.tables.delimited import SEPARATORS
from glomfeat.data.tables.own import OURS, set_apart
from glomfeat.data.tables.read import SHEETS, find_names, row_names

MOST_ROWS = 16_384
# What reading a whole table takes: its text, and for each cell its position and numbers of eight, four and eight bytes;
# for a workbook, whose degree of compression is unknown, a multiple of its file.
CELL, WORKBOOK, SAMPLE_BYTES = 28, 40, 2**16
NOTHING = 1  # in place of the digest of an image that shows nothing
IN_WORK = 48  # bytes for each number of a row while it is scored


@dataclass(frozen=True)
class Files:
    """Files of images.

    Attributes
    ----------
    place : path-like
        The folder, archive or list that they belong to.
    names : list of str
        Sorted.
    paths : list of path-like
    """

    place: Any
    names: list
    paths: list
    unit = "files"

    def decode(self, bundle, part, threads):
        """Read some files for a bundle: what it takes as input, or why they cannot be read."""
        found = bundle.decode_all(self.paths[part], threads)
        self.pixels[part] = [_digest(bundle, one) for one in found]
        return found

    @cached_property
    def digests(self):
        """The first eight bytes of the SHA-256 of each file, uint64; zero if it cannot be read."""
        return np.fromiter(map(_digest_of_file, self.paths), np.uint64, len(self.paths))

    @cached_property
    def pixels(self):
        """Digests of the pixels of those files that `decode` has read, uint64; zero for the others."""
        return np.zeros(len(self.names), np.uint64)

    def identity(self):
        """Plain data that is equal only for the same input; it includes the files' sizes and times."""
        digest = hashlib.sha256()
        for name, path in zip(self.names, self.paths, strict=True):
            try:
                size, changed_ns = stamp_of(path)
                digest.update(os.fsencode(f"{name}\n{size} {changed_ns}\n"))
            except (OSError, ImageError):
                digest.update(os.fsencode(f"{name}\n\n"))
        return {"folder": str(Path(self.place).resolve()), "files": len(self.names), "listing": digest.hexdigest()}

    def count_seen(self, bundle):
        """Count the files that are images that a model was trained on, byte for byte or pixel for pixel.

        Parameters
        ----------
        bundle : Bundle
        """
        known = np.isin(self.digests, bundle.seen.files)
        if bundle.seen.pixels is not None:
            left = np.flatnonzero(~known & (self.digests > 0) & (self.pixels == 0))  # an earlier run has decoded them
            for row in track(left, "images compared with those that were learnt", len(left)):
                self.decode(bundle, slice(row, row + 1), 1)
            known |= np.isin(self.pixels, bundle.seen.pixels)
        return int(known.sum())


@dataclass(frozen=True)
class Rows:
    """Rows of a table, with the columns that a bundle reads.

    Attributes
    ----------
    path : str
    opened : glomfeat.data.embeddings.named.Named
    order : ndarray of int64
        Places of the rows in order of their names.
    asked : Asked
        The columns that name rows and hold classes.
    batch : int
        The number of rows that the memory budget has room for.
    """

    path: str
    opened: Any
    order: np.ndarray
    asked: Asked
    batch: int
    unit = "rows"

    @property
    def names(self):
        """Names of the rows, sorted."""
        return [str(self.opened.names[place]) for place in self.order]

    @cached_property
    def told(self):
        """What the table says about its rows, from `glomfeat.data.embeddings.names_of`."""
        return names_of(self.path, self.asked)

    def decode(self, bundle, part, threads):
        """Like that of `Files`; threads make no difference."""
        return bundle.decode_rows(self.opened, self.order[part])

    def identity(self):
        """Like that of `Files`; includes the digest of the table."""
        path = Path(self.path)
        about = {"table": str(path.resolve()), "rows": len(self.order), "listing": digest_files(path, files_of(path))}
        return about | {"name_column": self.asked.name}

    def count_seen(self, bundle):
        """Like that of `Files`, for rows with the same numbers as training rows."""
        known = set(bundle.seen.files.tolist())
        parts = gen_batches(len(self.order), self.batch)
        return sum(
            digest in known for part in parts for digest in digests_of(read_matrix(self.opened, self.order[part]))
        )


def _digest_of_file(path):
    try:
        return int(sha256_of(path)[:16], 16)
    except (OSError, ImageError):
        return 0


def _digest(bundle, decoded):
    """The digest of a decoded image's pixels; one that equals no other if it shows nothing or cannot be read."""
    return NOTHING if isinstance(decoded, str) else digest_of_decoded(*bundle.square(decoded)) or NOTHING


def open_rows(columns, path, asked, budget, notes):
    """Open the rows of a table within a memory budget.

    Parameters
    ----------
    columns : glomfeat.bundle.columns.Columns
    path : str
    asked : Asked
        The columns that the user names; otherwise those named in the study, if the table has them.
    budget : int
        Bytes.
    notes : list of str
        Lines are added on columns that are left out, and on other differences from the table that was learnt.

    Returns
    -------
    Rows

    Raises
    ------
    BudgetError
        The budget is too small; the message gives the numbers.
    BundleError, FeatureError, TableError
        As from `glomfeat.bundle.of_table.open_table`.
    """
    path = str(path_of(path))
    asked = asked_of(columns, asked, header_of(path))
    whole = _need(path, len(columns.columns))
    whole.check(f"reading {Path(path).name}", budget - held_bytes(psutil.Process()), "save it as .parquet or .npy")
    opened = open_table(columns, path, asked)
    row = IN_WORK * columns.width
    free = budget - held_bytes(psutil.Process()) - (whole.bytes if Path(path).suffix.lower() == ".parquet" else 0)
    Need(BATCH * row, f"{BATCH} rows of {columns.width} numbers").check("scoring", free, "choose fewer columns")
    notes += _told(columns, path, opened)
    order = np.array(sorted(range(len(opened.names)), key=lambda place: str(opened.names[place])), np.int64)
    return Rows(path, opened, order, asked, int(min(MOST_ROWS, free // row)))


def _told(columns, path, opened):
    """Lines on columns that are not read, and on embeddings that have another name than those learnt."""
    lines = Sorted((), opened.left).lines(Path(path).name)[1:]
    if columns.learnt.is_numbered and stem_of(path) != columns.learnt.what:
        lines.append(
            f"warning: {Path(path).name}: the model learnt rows called {columns.learnt.what}, and nothing in rows "
            "without names of columns says what made them: scores mean something only if it was the same network"
        )
    return lines


def _need(path, width):
    """The memory for reading a table, in addition to the rows that are scored."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SHEETS and path.is_file():
        size = path.stat().st_size
        need = size * WORKBOOK if suffix == ".xlsx" else size + CELL * _cells(path)
        return Need(need, f"for its {format_bytes(size)}, because it is read as a whole")
    if suffix == ".parquet" and path.is_file():
        rows = largest_group(path)
        return Need(4 * rows * width, f"the largest row group, {rows} rows of {width} numbers")
    return Need(0, "")


def _cells(path):
    """An estimate of the number of cells in a text table, from its beginning."""
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
    found = max(start.count(separator.encode()) for separator in SEPARATORS) + start.count(b"\n")
    return int(found * path.stat().st_size / max(1, len(start)))


def with_names(table, path, asked):
    """A user's table with the names of its rows in ``name``, and columns of its own called like ours set apart.

    Parameters
    ----------
    table : pandas.DataFrame
    path : path-like
        Where it lies, for messages.
    asked : glomfeat.data.tables.columns.Asked

    Returns
    -------
    pandas.DataFrame
        The table as it is if it does not name its rows.
    """
    where = Path(path).name, asked.name
    called = row_names(table, *where)
    if called is None:
        return table
    return set_apart(table, {*OURS} - {*find_names(table, *where)}).assign(name=called.astype(str))


def labels_of(rows, classes, notes):
    """The classes that a table gives to its own rows.

    Parameters
    ----------
    rows : Rows
    classes : list of str
        The bundle's classes.
    notes : list of str
        More are added.

    Returns
    -------
    pandas.DataFrame or None
        As from `glomfeat.bundle.against_labels.read_labels`; None if the table has no column of classes.
    """
    return labels_within(rows.told, rows.path, rows.names, rows.asked, classes, notes)


def compare_seen(bundle, given, judged):
    """Count what a model was trained on among what it is judged by.

    Parameters
    ----------
    bundle : Bundle
    given : Files or Rows
    judged : glomfeat.bundle.against_labels.Judged

    Returns
    -------
    images, cases : int
        How many images or rows it was trained on, and how many cases are named like cases that it was.
    said : str
        What the bundle cannot tell, because it is of an older version or knows no cases; empty if it can.
    """
    seen, images = bundle.seen, given.count_seen(bundle)
    cases = seen.count_cases(judged.run.manifest.table["case"]) if judged.by_case else 0
    if judged.by_case and seen.cases and not any(map(len, seen.cases.values())):
        return images, cases, "the model was trained without cases: whether these are among those cannot be told"
    if seen.cases and not seen.older:
        return images, cases, ""
    which = "network started from a bundle" if seen.cases else "bundle is"
    resaved = "which images were saved again, nor " if bundle.table is None else ""
    said = f"it does not say {resaved}which cases are named like those that it was trained on"
    return images, cases, f"the {which} of an older version: {said}"
