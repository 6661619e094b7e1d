"""Features that were computed elsewhere, joined to the images by name."""

import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from glomfeat.core.errors import ChangedError
from glomfeat.core.installed import need_networks
from glomfeat.core.words import printable
from glomfeat.data.embeddings import column_naming, digest_files, files_of, find_rows, open_rows, stamps_of
from glomfeat.data.embeddings.files import stem_of
from glomfeat.data.embeddings.folders import is_by_row, open_folder, shapes_of
from glomfeat.data.embeddings.named import Named, chosen
from glomfeat.data.lone_values import hide_lone
from glomfeat.data.tables.columns import USUAL, Asked, Sorted
from glomfeat.data.tables.levels import columns_behind, level_names, without_texts
from glomfeat.data.tables.read import HDF5, TABLES, TableError, listed
from glomfeat.features.base import Defaults, FeatureError
from glomfeat.features.gaps import count_gaps, gaps_in_words, with_indicators

CALLED = "; rows have names such as "  # before one of them


@contextmanager
def _as_feature_errors():
    try:
        yield
    except TableError as error:
        raise FeatureError(str(error)) from None
    except FileNotFoundError as error:
        raise ChangedError(f"{error.filename} is not there any more: start again, or put it back as it was") from None


@dataclass(frozen=True)
class Table(Defaults):
    """Numeric columns of a CSV or parquet, or rows of an npy, an HDF5 file or a folder, found by the image's name.

    Attributes
    ----------
    path : str
    asked : glomfeat.data.tables.columns.Asked
        The columns that the user chose, if any.
    images : tuple of str
        Names that will be looked up. They show whether the files in a folder are images or the rows within them are.

    Raises
    ------
    FeatureError
        When opened: there is no such file, it has no names or no numbers, or its rows have several widths. When read:
        images have no row, or values are not finite (NaN is allowed if the user asks for it).
    ChangedError
        When opened or read: a file has changed since its digest was taken.
    """

    path: str
    asked: Asked = USUAL
    images: tuple = field(default=(), repr=False)

    weights = ""
    standardise = True

    @cached_property
    def files(self):
        """The files that hold the rows."""
        with _as_feature_errors():
            return files_of(self._path)

    @cached_property
    def _path(self):
        return Path(self.path).expanduser().absolute()  # also found once the program works in another folder

    @property
    def _reader(self):
        """The reader of ``.pt`` files; torch is imported only for these."""
        if self.files[0].suffix.lower() != ".pt":
            return None
        need_networks(self.files[0].name)
        from glomfeat.data.embeddings import tensors

        return tensors

    @cached_property
    def sha256(self):
        """SHA-256 of the file's bytes; for several files, of their names and digests."""
        self._sound.add(stamps_of(self._path, self.files))  # before the bytes are read, so that no change is missed
        return digest_files(self._path, self.files)

    @cached_property
    def _sound(self):
        """What `stamps_of` returned when the files were first looked at, and whenever they had the digest `sha256`."""
        return {stamps_of(self._path, self.files)}

    def _refuse_changed(self):
        """Refuse files that have changed since they were first looked at, hashing them only if their stamps differ."""
        with _as_feature_errors():
            stamps = stamps_of(self._path, self.files)
            same = stamps in self._sound or digest_files(self._path, self.files) == self.sha256
        if not same:
            raise ChangedError(
                f"{self.path} has changed since it was first read: start again, or put back the table as it was"
            )
        self._sound.add(stamps)

    @cached_property
    def _shapes(self):
        with _as_feature_errors():
            return shapes_of(self.files, self._reader)

    @cached_property
    def kind(self):
        """``mean`` or ``rows`` if the files of a folder hold several rows (averaged or one each), else empty."""
        if not self._path.is_dir():
            return ""
        with _as_feature_errors():
            if is_by_row(self._path, self.files, self.images):
                return "rows"
        return "mean" if (self._shapes[:, 0] > 1).any() else ""

    @property
    def rows_in_files(self):
        """For a folder, how many rows each file holds, int64."""
        return self._shapes[:, 0]

    @property
    def stem(self):
        """The name of the folder, or of the file without its ending."""
        return stem_of(self._path)

    @property
    def name(self):
        """The stem, the kind if there is one, and the first digits of the digest."""
        return ".".join([self.stem, *([self.kind] if self.kind else []), self.sha256[:8]])

    @property
    def key(self):
        """What the numbers depend on besides the names."""
        kind = {"kind": self.kind} if self.kind else {}
        # a table without missing values has the same key however missing values are treated
        kind |= {"missing": self.asked.missing} if self.imputes else {}
        but = [*filter(None, [self.asked.groups]), *self.asked.but]
        return {"feature": "table.v5", "sha256": self.sha256, "but": but} | self.asked.key | kind

    @property
    def columns(self):
        """Names of the columns."""
        return self.open().columns

    def lines(self):
        """Lines for the user: which columns are used, and why others are not."""
        opened = self.open()
        used = tuple(columns_behind(opened.columns, opened.levels))
        return Sorted(used, opened.left, levels=opened.levels).lines(self.name)

    @cached_property
    def gaps(self):
        """Cells without a number in each column, over all rows."""
        with _as_feature_errors():
            return count_gaps(self._open())

    @property
    def imputes(self):
        """Whether rows hold NaN for missing values, which each fold fills."""
        return self.asked.missing == "impute" and bool(self.gaps.counts.any())

    @property
    def described(self):
        """For each number of a row the column it describes; for an indicator, the column with missing values."""
        columns = list(map(str, self.columns))
        own = columns[: len(self.gaps.kept)] if self.imputes else columns
        return own + ([own[k] for k in self.gaps.places] if self.imputes else [])

    def lines_on_gaps(self):
        """Lines for the user on what is missing and how it is filled; empty if nothing is."""
        return gaps_in_words(self._open(), self.gaps, self.name) if self.imputes else []

    def shown_texts(self, names, cases, show_names=False):
        """How to show the texts of columns that become 0 and 1: by number where one may tell who a case is.

        Parameters
        ----------
        names : sequence of str
            Of the images.
        cases : ndarray of int64, shape (n,)
        show_names : bool
            Whether to show all as they are.

        Returns
        -------
        dict of str to list of str
            For each column of which any text is shown by number.
        """
        opened = self.open() if self.asked.keep and not show_names else None
        if opened is None or not opened.levels:
            return {}
        rows, found = np.asarray(opened.read(self.places(opened, names))), {}
        for column, texts in opened.levels.items():
            places = [opened.columns.index(name) for name in level_names(column, texts)]
            shown = hide_lone(texts, [len(np.unique(cases[rows[:, place] == 1])) for place in places])
            found |= {column: shown} if shown != texts else {}
        return found

    def shown_columns(self, names, cases, show_names=False):
        """How to show the names of columns that `shown_texts` tells of, by these names."""
        opened, shown = self.open(), self.shown_texts(names, cases, show_names)
        pairs = (zip(*(level_names(c, of[c]) for of in (opened.levels, shown)), strict=True) for c in shown)
        return {name: text for pair in pairs for name, text in pair}

    def open(self):
        """Open the rows.

        Returns
        -------
        glomfeat.data.embeddings.named.Named
            If missing values are imputed, empty columns are left out and indicators follow the other columns.
        """
        opened = self._open()
        if self.imputes:
            opened = with_indicators(opened, self.gaps)
        if not opened.columns:
            raise FeatureError(f"{self.path}: its rows hold no numbers")
        return opened

    def _open(self):
        with _as_feature_errors():
            if self._path.is_dir():
                opened = open_folder(self._path, self.files, self._shapes, self.kind == "rows", self._reader)
            else:
                opened = open_rows(self._path, self.asked)
        if self._path.is_dir() or self._path.suffix.lower() in (".npy", *HDF5):
            with _as_feature_errors():
                opened = chosen(opened, self.asked, self.path)
        self._refuse_changed()
        return opened

    def places(self, opened, names):
        """The positions of images among the opened rows.

        Parameters
        ----------
        opened : glomfeat.data.embeddings.named.Named
        names : sequence of str
            With or without folder and suffix, as in the table.

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        places, missing = find_rows(names, opened.names)
        if missing:
            shown = ", ".join(missing[:5])
            more = self._other_names(opened, names) if len(missing) == len({*names}) else ""
            raise FeatureError(f"{self.path}: {len(missing)} of {len(names)} images have no row: {shown}{more}")
        if places is None:
            raise FeatureError(f"{self.path}: images of one name in several folders need their folder in the table")
        return places

    def _other_names(self, opened, names):
        """How rows are called of which none is of an image, and which column names the images, if one does."""
        with _as_feature_errors():
            column = "" if self.asked.name else column_naming(self._path, names, self.asked)
        if column:
            return f"; column {column!r} names them: say --name-column {shlex.quote(column)}"
        other = ": --name-column chooses another column" if self._path.suffix.lower() in TABLES else ""
        return f"{CALLED}{printable(opened.names[0])!r}{other}"

    def read(self, opened, places):
        """Read some rows.

        Parameters
        ----------
        opened : glomfeat.data.embeddings.named.Named
        places : ndarray of int64, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n, columns)
            NaN for missing values, if the user asks to impute them.
        """
        with _as_feature_errors(), np.errstate(over="ignore"):  # too large for float32: infinite, refused below
            matrix = np.asarray(opened.read(places)).astype(np.float32, copy=False)
        self._refuse_changed()
        imputes = self.asked.missing == "impute"
        bad = np.isinf(matrix) if imputes else ~np.isfinite(matrix)
        broken = np.flatnonzero(bad.any(axis=0))
        if len(broken):
            k = int(broken[0])
            row = printable(opened.names[places[np.flatnonzero(bad[:, k])[0]]])
            columns = listed((opened.columns[k] for k in broken), 5)
            missing, beyond = bool(not imputes and np.isnan(matrix).any()), bool(np.isinf(matrix).any())
            what = " or ".join(["NaN"] * missing + ["infinity, or numbers beyond 3.4e38,"] * beyond)
            remedy = ", take NaN as missing with --missing impute" if missing else ""
            raise FeatureError(
                f"{self.path}: {what} in {columns}, first in the row of {row}: fill such cells{remedy}, or leave the "
                "columns out with --drop"
            )
        return matrix

    def rows(self, names):
        """Look up images.

        Parameters
        ----------
        names : sequence of str
            See `places`.

        Returns
        -------
        ndarray of float32, shape (n, columns)
        """
        opened = self.open()
        return self.read(opened, self.places(opened, names))


@dataclass(frozen=True)
class Alike(Table):
    """Another table, with its columns in the order of the table that models have learnt from.

    Attributes
    ----------
    like : Table
        The table that was learnt from. Its gaps decide which columns are used, and in which ones values may be missing.

    Raises
    ------
    FeatureError
        When opened: the columns differ.
    """

    like: Table = None

    @property
    def key(self):
        return super().key | {"like": self.like.key}

    @property
    def gaps(self):
        return self.like.gaps

    @property
    def imputes(self):
        return self.like.imputes

    def _open(self):
        opened = super()._open()
        if self.kind != self.like.kind:
            kinds = [kind or "a row a file" for kind in (self.kind, self.like.kind)]
            raise FeatureError(f"{self.path}: its files are read as {kinds[0]}, those of DATA as {kinds[1]}")
        like = self.like._open()
        ours, theirs = ([*map(str, named.columns)] for named in (like, opened))
        texts = {name for column in opened.levels for name in level_names(column, like.levels.get(column, ()))}
        known = {*theirs} | texts  # a text may be absent from a column that is there
        lacks, more = ([c for c in one if c not in other] for one, other in ((ours, known), (theirs, {*ours})))
        if lacks or more:
            parts = {"lacks": (lacks, like), "has besides": (more, opened)}.items()
            several = {what: without_texts(columns, of.levels) for what, (columns, of) in parts}
            said = " and ".join(f"{what} {listed(columns, 5)}" for what, columns in several.items() if columns)
            raise FeatureError(
                f"{self.path}: its columns are not those of {self.like.path}: it {said}; use the same names of "
                "columns in both, or choose those that both have with --columns and --drop"
            )
        if ours == theirs:
            return opened
        order = [theirs.index(column) if column in theirs else len(theirs) for column in ours]

        def read(places):
            return np.pad(np.asarray(opened.read(places)), ((0, 0), (0, 1)))[:, order]  # absent texts are 0

        return Named(opened.names, ours, read, opened.left)

    def read(self, opened, places):
        matrix = super().read(opened, places)
        own = len(self.like.gaps.kept) if self.imputes else matrix.shape[1]  # indicators come last
        whole = np.setdiff1d(np.arange(own), self.like.gaps.places if self.imputes else [])
        lacking = [opened.columns[k] for k in whole if np.isnan(matrix[:, k]).any()]
        if lacking:
            raise FeatureError(
                f"{self.path}: values are missing in {listed(lacking, 5)}, and none are in {self.like.path}: what was "
                "learnt there says nothing of such rows; fill the cells, or leave the columns out with --drop"
            )
        return matrix
