"""Which images there are, and the class, case and slide of each; all problems are reported at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from glomfeat.data.case_notes import notes_on_cases, unused_columns
from glomfeat.data.cases import BY_CASE, IMAGE_LEVEL, TORN, find_cases
from glomfeat.data.files import FolderError, sha256_of
from glomfeat.data.folders.layout import LayoutError
from glomfeat.data.given import lines_on_folds
from glomfeat.data.images.decode import ImageError
from glomfeat.data.joined import keep_joined
from glomfeat.data.labels.classes import one_spelling, order_classes
from glomfeat.data.labels.corrections import changes_beside, read_corrections
from glomfeat.data.locate import from_files, is_feature_table, is_forced, source_of
from glomfeat.data.problems import ManifestError, complain, duplicate_problems
from glomfeat.data.schemes import Given, find_scheme
from glomfeat.data.subgroups import keep_columns, kept_columns
from glomfeat.data.table_rows import from_table
from glomfeat.data.tables.columns import USUAL, Asked
from glomfeat.data.tables.own import OURS, as_named
from glomfeat.data.tables.read import named_by_user, plain

AT_ONCE = 1024
LEAST_FOLDS = 2  # that a scheme in words is checked for


@dataclass(frozen=True)
class Manifest:
    """The images of a study.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per image: ``name`` (unique), ``path`` (empty for a feature table), ``label`` (index into `classes`),
        ``case``, ``slide``, ``digest`` (SHA-256 of the file's bytes; of the name for a feature table); ``split`` if
        folders or a table give the part of a split; and columns for subgroups, see
        `glomfeat.data.subgroups.keep_columns`. Sorted by name.
    classes : tuple of str
        Names of the classes; the last one is the positive class.
    by_case : bool
        Whether cases are known. If not, every image is a case of its own.
    said : tuple of str
        What was found and decided, for the user to read; on the columns of a feature table as `OfColumns`.
    source : str
        Path of the feature table, empty for images.
    examples : tuple of str
        Some images with their class, case and slide, for the user to check how these were found.
    unread : tuple of dict
        ``name``, ``class``, ``suffix`` and ``reason`` of files among the images whose format is not read.
    torn : bool
        Whether a given split puts a case on several sides, which the user has allowed.
    asked : glomfeat.data.tables.columns.Asked
        What the user said about the columns when it was read.
    split_by : str
        The column of the scheme that it was read for, as it was asked for; empty if that has none.
    """

    table: pd.DataFrame
    classes: tuple
    by_case: bool
    said: tuple = ()
    source: str = ""
    examples: tuple = ()
    unread: tuple = ()
    torn: bool = False
    asked: Asked = USUAL
    split_by: str = ""

    def __len__(self):
        return len(self.table)

    @property
    def lines(self):
        """What was found and decided, with examples behind the second line, which says how cases were found."""
        return (*self.said[:2], *self.examples, *self.said[2:])

    @cached_property
    def labels(self):
        """Class index of each row, int64."""
        return self.table["label"].to_numpy(np.int64)

    @cached_property
    def cases(self):
        """Case of each row as an integer code in the order of case names, int64."""
        return np.unique(self.table["case"].to_numpy(str), return_inverse=True)[1]

    @property
    def digests(self):
        """The first eight bytes of the digest of each row, uint64."""
        return np.array([int(digest[:16], 16) for digest in self.table["digest"]], np.uint64)

    @property
    def counted(self):
        """How many images, cases and images of each class there are, in words."""
        cases = f" of {self.table['case'].nunique()} cases" if self.by_case else ""
        counts = np.bincount(self.table["label"], minlength=len(self.classes))
        classes = ", ".join(f"{count} {name}" for name, count in zip(self.classes, counts, strict=True))
        return f"{len(self)} images{cases}: {classes}"

    @property
    def split(self):
        """How tables must describe the split of this data set."""
        return IMAGE_LEVEL if not self.by_case else TORN if self.torn else BY_CASE

    @property
    def is_split_by_case(self):
        """Whether all images of a case lie on one side of every split."""
        return self.split == BY_CASE

    @property
    def unit(self):
        """What folds deal and limits count, in a word: ``case``, or ``image`` if cases are not known."""
        return "case" if self.by_case else "image"

    @cached_property
    def digest(self):
        """SHA-256 over names, contents, labels and cases, which tells whether two runs see the same data."""
        found = hashlib.sha256("\n".join(self.classes).encode())
        for row in zip(*(self.table[column] for column in ("name", "digest", "label", "case")), strict=True):
            found.update(("\n" + "\t".join(map(str, row))).encode())
        return found.hexdigest()

    def keep(self, rows):
        """The manifest restricted to some rows, which are those that its first line counts.

        Parameters
        ----------
        rows : ndarray of bool, shape (n,)
        """
        kept = replace(self, table=self.table[rows].reset_index(drop=True))
        said = tuple(line.replace(self.counted, kept.counted) for line in self.said[:1])
        return replace(kept, said=(*said, *self.said[1:]))

    def warned(self, lines):
        """The manifest with those of some lines that are warnings, so that whatever is made of it repeats them."""
        return replace(self, said=(*self.said, *(line for line in lines if line.startswith("warning: "))))


def read_manifest(
    data,
    labels=None,
    positive=None,
    groups="auto",
    scheme=None,
    show_names=False,
    layout=None,
    asked=USUAL,
    subgroups=(),
    known=None,
    joined=(),
):
    """Read a data set: a folder or archive of class folders, a folder with a CSV of labels, a CSV, or a feature table.

    Parameters
    ----------
    data : path-like or str
        A folder, a zip or tar, the shards of a WebDataset (see `glomfeat.data.sources.find_archives`), a CSV
        (``name,ground truth`` or ``path,label[,case,slide]``), or features (``file:PATH``, or a CSV with further
        numeric columns, parquet, npy, HDF5, or a folder of HDF5 or ``.pt`` files).
    labels : path-like, optional
        A CSV of labels, or of changes to labels (see `glomfeat.data.labels.corrections`); by default the only CSV with
        labels in the folder.
    positive : str, optional
        Name of the positive class; by default that of `glomfeat.data.labels.positive.usual_positive`, such as ``GS`` of
        ``GS, nonGS``, ``lesion`` of ``lesion, normal``, ``1`` of ``0, 1`` and ``2`` of ``0, 1, 2``.
    groups : str
        Where the case comes from: ``auto``, ``none``, a column of the CSV, or a regular expression with a named group
        ``case`` (and perhaps ``slide``), which is searched for in each name.
    scheme : glomfeat.data.schemes.Scheme or str, optional
        How cases will be split, such as ``"given:fold"``; it is checked that they can be. A column that the scheme
        reads becomes ``given`` of the table.
    show_names : bool
        Whether messages show the real names of cases.
    layout : str, optional
        What the folders above images mean, such as ``class/case/image``, if their names are not to decide; see
        `glomfeat.data.folders.layout.parse_layout`.
    asked : glomfeat.data.tables.columns.Asked
        Which columns of tables name images, hold classes and describe.
    subgroups : sequence of str
        Columns to keep for `glomfeat.data.subgroups.make_groups`; they do not enter the manifest's digest.
    known : glomfeat.data.labels.classes.Known, optional
        The classes of another data set, to use here in the same order, even if this one holds only one of them.
    joined : sequence of str
        Columns to keep for `glomfeat.data.joined.read_joined`; they do not enter the manifest's digest.

    Returns
    -------
    Manifest

    Raises
    ------
    ManifestError
        Gives all problems at once, each with its count and the first few rows.

    Examples
    --------
    >>> import tempfile; from glomfeat.data.images.decode import encode_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> for k, kind in enumerate(["sick", "well"] * 2):
    ...     (folder / kind).mkdir(exist_ok=True)
    ...     image = np.full((2, 2, 3), k, np.uint8)
    ...     _ = (folder / kind / f"case{k // 2}_{k}.png").write_bytes(encode_png(image))
    >>> manifest = read_manifest(folder)
    >>> manifest.classes, manifest.table["case"].tolist()
    (('sick', 'well'), ['case0', 'case0', 'case1', 'case1'])
    """
    how = groups, scheme, show_names, layout, asked, subgroups, known, joined
    inspected = inspect_manifest(data, labels, positive, *how)
    complain(inspected.data, inspected.problems, "all names: python -m studies.audit with --show-names")
    manifest = inspected.manifest
    del inspected
    pa.default_memory_pool().release_unused()  # half of what a large manifest takes: columns on the way to the table
    return manifest


def check_split(manifest, scheme, show_names=False):
    """Refuse a manifest whose cases cannot be split by a scheme.

    Parameters
    ----------
    manifest : Manifest
    scheme : glomfeat.data.schemes.Scheme
    show_names : bool
        Whether messages show the real names of cases.

    Raises
    ------
    ManifestError
        Gives all problems.
    """
    if scheme.column and plain(scheme.column) != plain(manifest.split_by):
        ours = f"with column {manifest.split_by!r} to split by, not" if manifest.split_by else "without the column"
        again = scheme.written.replace("COLUMN", scheme.column)
        read = f"it was read {ours} {scheme.column!r}: read it again with read_manifest(..., scheme={again!r})"
        complain("manifest", [(read, [])])
    complain("manifest", scheme.problems(manifest.table, manifest.classes, manifest.by_case, show_names))


@dataclass(frozen=True)
class Inspected:
    """A data set as it is, and what is wrong with it.

    Attributes
    ----------
    manifest : Manifest
        The images that have a label. If there are problems, cases and slides may be None, digests empty (files that
        cannot be opened), and classes fewer than two.
    problems : list of (str, list of str)
        What is wrong, and the affected rows.
    frame : pandas.DataFrame
        The rows of the manifest, with whatever columns the user's table has.
    data : pathlib.Path
    """

    manifest: Manifest
    problems: list
    frame: pd.DataFrame
    data: Path


def inspect_manifest(
    data,
    labels=None,
    positive=None,
    groups="auto",
    scheme=None,
    show_names=False,
    layout=None,
    asked=USUAL,
    subgroups=(),
    known=None,
    joined=(),
):
    """Read a data set as `read_manifest` does, but return its problems instead of raising them.

    Returns
    -------
    Inspected

    Raises
    ------
    ManifestError
        There is nothing to inspect: no such file, no image, no labels.
    """
    source, archives, problems = source_of(data)
    scheme = find_scheme(scheme, LEAST_FOLDS) if isinstance(scheme, str) else scheme
    asked = replace(asked, groups=groups)
    notes, unread = [], []
    corrections = read_corrections(labels)
    labels = corrections.base if corrections else labels
    try:
        tabular = not archives and is_feature_table(source, asked, notes, is_forced(data))
        if not tabular and is_forced(data):
            needs = "HDF5 or .pt files and no image" if source.is_dir() else "numeric columns beside name and label"
            raise ManifestError(f"{source} is no feature table: it needs {needs}")
        frame = (
            from_table(source, labels, asked, problems, notes)
            if tabular
            else from_files(source, labels, problems, notes, unread, layout, asked)
        )
        notes += changes_beside(Path(source), corrections)
    except (FolderError, LayoutError) as error:
        raise ManifestError(f"{source}: {error}") from error
    except ManifestError as error:
        raise (corrections.without_base(error) if corrections else error) from None
    frame = _labelled_rows(frame, source, problems)
    if known is None:
        frame["raw"] = one_spelling(frame["raw"], notes)
    else:
        frame = _of_classes(frame, source, known, problems, notes)
    frame = corrections.apply(frame, problems, notes) if corrections else frame
    found = find_cases(frame, groups)
    problems += found.problems
    classes = order_classes(set(frame["raw"]), positive, problems) if known is None else known.classes
    table = frame[["name", "path"]].assign(
        label=frame["raw"].map({name: index for index, name in enumerate(classes)}),
        case=found.cases["case"].to_numpy(),
        slide=found.cases["slide"].to_numpy(),
        digest=_digests(frame, problems),
    )
    if "split" in frame and not tabular:
        table["split"] = frame["split"]
    if scheme and scheme.column:
        named = as_named(frame)
        column = named_by_user(named, scheme.column, f"--scheme {scheme.written}", source, OURS)
        table["given"] = named[column].to_numpy(object)
        notes += lines_on_folds(table["given"], column) if isinstance(scheme, Given) else []
    table = keep_columns(table, frame, subgroups, source)
    known_by = asked.name, asked.label, groups, getattr(scheme, "column", "")
    table = keep_joined(table, frame, joined, source, known_by)
    if not found.by_case:  # even then, copies of one image must not lie on both sides of a split
        table["case"] = table.groupby("digest")["case"].transform("first")
    if not tabular:
        problems += duplicate_problems(table, classes, found.by_case)
    if scheme and table["case"].notna().all():
        problems += scheme.problems(table, classes, found.by_case, show_names)
    told, examples = notes_on_cases(frame, table, classes, groups, found, show_names)
    used = replace(asked, but=(*asked.but, *kept_columns(table)))
    told += unused_columns(frame, used, found.column) if not tabular else []
    facts = (f"cases: {found.how}", *told, *notes, f"positive class: {classes[-1]}")
    of = str(source) if tabular else ""
    more = {"examples": tuple(examples), "unread": tuple(unread), "split_by": getattr(scheme, "column", "")}
    manifest = Manifest(table, classes, found.by_case, source=of, asked=asked, **more)
    return Inspected(replace(manifest, said=(manifest.counted, *facts)), problems, as_named(frame), source)


def _labelled_rows(frame, source, problems):
    """The rows that have a label, in order of name; the others become a problem."""
    unlabelled = frame["raw"] == ""
    if unlabelled.any():
        problems.append(("images without a label", frame["name"][unlabelled].tolist()))
    frame = frame[~unlabelled].sort_values("name", kind="stable").reset_index(drop=True)
    if frame.empty:
        complain(source, [*problems, ("no image with a label was found", [])])
    return frame


def _of_classes(frame, source, known, problems, notes):
    """The rows of known classes, under the known names; others become a problem."""
    frame["raw"] = known.find(frame["raw"], problems, notes)
    frame = frame[frame["raw"] != ""].reset_index(drop=True)
    if frame.empty:
        complain(source, problems)
    return frame


def _digests(frame, problems):
    """SHA-256 of each file's bytes, or of the name if there is no file or its bytes cannot be read."""
    from sklearn.utils import gen_batches

    def digest(path, name):
        try:
            return sha256_of(path) if path else hashlib.sha256(name.encode()).hexdigest()
        except OSError:
            return ""
        except ImageError as error:  # a member that will be set aside when decoded, for this reason
            return hashlib.sha256(f"{error}: {path}".encode(errors="surrogateescape")).hexdigest()

    found = []
    with ThreadPoolExecutor() as pool:
        for part in gen_batches(len(frame), AT_ONCE):  # each waiting call takes a kilobyte
            found += pool.map(digest, frame["path"].iloc[part], frame["name"].iloc[part])
    if unreadable := [name for name, value in zip(frame["name"], found, strict=True) if not value]:
        problems.append(("files that cannot be opened", unreadable))
    return found
