"""Features that were computed elsewhere: a table joined to the images by name."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from glomfeat.features.base import FeatureError
from glomfeat.tabular import NAME_COLUMNS, find_column, read_frame, value_columns


@dataclass(frozen=True)
class Table:
    """The numeric columns of a CSV, parquet or npy, by the name of the image.

    Attributes
    ----------
    path : str
    but : tuple of str
        Columns that do not describe, such as the one that names the case.

    Raises
    ------
    FeatureError
        When read: no column of names or of numbers, images without a row, or values that are not finite.
    """

    path: str
    but: tuple = ()

    weights = ""
    standardise = True

    @cached_property
    def sha256(self):
        """SHA-256 of the file's bytes."""
        with Path(self.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def name(self):
        """The file's stem and the beginning of its digest."""
        return f"{Path(self.path).stem}.{self.sha256[:8]}"

    @property
    def key(self):
        """What the numbers depend on besides the names."""
        return {"feature": "table.v1", "sha256": self.sha256, "but": list(self.but)}

    def rows(self, names):
        """Look up images.

        Parameters
        ----------
        names : sequence of str
            With or without folder and suffix, as in the table.

        Returns
        -------
        ndarray of float32, shape (n, columns)
        """
        frame = read_frame(self.path)
        column = find_column(frame, NAME_COLUMNS)
        values = value_columns(frame, self.but)
        if column is None or not values:
            raise FeatureError(f"{self.path}: needs a column {' or '.join(NAME_COLUMNS)} and numeric columns")
        frame = frame.set_index(frame[column].astype(str).str.strip())[values]
        if frame.index.has_duplicates:
            twice = frame.index[frame.index.duplicated()].unique()
            raise FeatureError(f"{self.path}: {len(twice)} names have several rows: {', '.join(twice[:5])}")
        for form in (str, lambda name: Path(name).name, lambda name: Path(name).stem):
            wanted = [form(name) for name in names]
            missing = sorted(set(wanted) - set(frame.index))
            if not missing and len(set(wanted)) == len(set(names)):
                break
        else:
            if not missing:
                raise FeatureError(f"{self.path}: images of one name in several folders need their folder in the table")
            shown = ", ".join(missing[:5])
            raise FeatureError(f"{self.path}: {len(missing)} of {len(names)} images have no row: {shown}")
        matrix = frame.loc[wanted].to_numpy(np.float32)
        broken = [values[k] for k in np.flatnonzero(~np.isfinite(matrix).all(axis=0))]
        if broken:
            raise FeatureError(f"{self.path}: NaN or infinity in {', '.join(map(str, broken[:5]))}: fill or drop them")
        return matrix
