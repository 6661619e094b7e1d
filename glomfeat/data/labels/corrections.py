"""Labels that people changed after seeing results: tables of changes to the labels that DATA has by itself."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from glomfeat.core.words import number_of, unguarded
from glomfeat.data.labels.classes import clean_label, spelling
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.read import SHEETS, TableError, listed, read_frame

DIGEST, BEFORE, AFTER, BASE = "name_sha256", "label_before", "label", "labels_of"
COLUMNS = (DIGEST, AFTER, BEFORE, BASE)
DECISION = "decision"
CHANGED = "changed after results had been seen"
DIGITS = 32


def digest_of_name(name):
    """What stands for an image's name in a table that does not reveal names.

    Examples
    --------
    >>> digest_of_name("a.png")
    '7f071235805fbf58a2524f77bff76e13'
    """
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]


@dataclass(frozen=True)
class Corrections:
    """Changes of labels.

    Attributes
    ----------
    tables : tuple of (str, pandas.DataFrame)
        The name of each file and its rows, oldest file first.
    base : str or None
        The labels that the first table changes; None if those are DATA's own.
    """

    tables: tuple
    base: str | None

    @property
    def names(self):
        """The names of the files."""
        return [where for where, _ in self.tables]

    @property
    def digests(self):
        """The digests of the names of all images in them."""
        return {digest for _, table in self.tables for digest in table[DIGEST]}

    def without_base(self, error):
        """What is wrong with the labels of DATA, and what to do if they should be its own."""
        if self.base:
            return error
        where = self.names[0]
        return ManifestError(
            f"{error}; {where} changes labels that DATA has by itself, for its column {BASE!r} is empty: where a table "
            "holds them, write its path there"
        )

    def apply(self, frame, problems, notes, classes=()):
        """Change labels, and say how many were changed.

        Parameters
        ----------
        frame : pandas.DataFrame
            ``name`` and ``raw``, the class of each image so far.
        problems, notes : list
            More are added.
        classes : sequence of str
            Classes that may be given besides those that images have.

        Returns
        -------
        pandas.DataFrame
        """
        rows = {digest_of_name(name): row for row, name in enumerate(frame["name"])}
        classes = {spelling(name): name for name in (*classes, *frame["raw"])}
        first = frame["raw"].tolist()
        found = list(first)
        for where, table in self.tables:
            lost, other, unknown = [], [], []
            table, again = _once(table)
            if again:
                stand = number_of(again, "row appears there again and is", "rows appear there again and are")
                notes.append(f"{where}: {stand} left out")
            several = dict.fromkeys(table[DIGEST][table[DIGEST].duplicated()])
            table = table[~table[DIGEST].isin(several)]
            for digest, after, before in zip(*(table[column] for column in COLUMNS[:3]), strict=True):
                row = rows.get(digest)
                if row is None:
                    lost.append(digest)
                elif spelling(before) != spelling(found[row]):
                    other.append(frame["name"].iloc[row])
                elif spelling(after) not in classes:
                    unknown.append(after)
                else:
                    found[row] = classes[spelling(after)]
            twice = [frame["name"].iloc[rows[one]] if one in rows else one for one in several]
            problems += [
                (what, names)
                for what, names in (
                    (f"images in {where}, by the digest of the name, without such a name in DATA", lost),
                    (f"labels in {where} under another {BEFORE} than DATA has now", other),
                    (f"labels in {where} without such a class in DATA", sorted(set(unknown))),
                    (f"images in {where} with several labels, of which one must be kept", twice),
                )
                if names
            ]
        files = ", ".join(self.names)
        changed = sum(one != another for one, another in zip(first, found, strict=True))
        were = number_of(changed, f"of {len(found)} labels was", f"of {len(found)} labels were")
        notes.append(f"warning: {were} {CHANGED} ({files})" if changed else f"{files} changes no label")
        return frame.assign(raw=pd.Series(found, index=frame.index, dtype=frame["raw"].dtype))


def _once(table):
    """A table of changes without repeated rows, and how many were repeated."""
    plain = table[list(COLUMNS[:3])].assign(**{one: table[one].map(spelling) for one in (AFTER, BEFORE)})
    again = plain.duplicated()
    return table[~again], int(again.sum())


def changes_beside(folder, given=None):
    """Describe tables of changes in a folder that are not given as labels, one line each.

    Parameters
    ----------
    folder : pathlib.Path
    given : Corrections, optional
        The corrections that are given.

    Returns
    -------
    list of str
    """
    if not folder.is_dir():
        return []
    used = given.names if given else ()
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SHEETS and path.name not in used)
    return [
        f"{path.name} holds changes of labels and is ignored: --labels {path} makes them"
        for path in paths
        if not path.name.startswith((".", "~$")) and path.is_file() and _are_changes(path)
    ]


def hold_changes(columns):
    """Whether columns are those of a table of changes, even if some are missing.

    Examples
    --------
    >>> hold_changes(["name_sha256", "label"]), hold_changes(["name", "label", "label_before"])
    (True, False)
    """
    return DIGEST in columns or {BEFORE, BASE} <= {*columns}


def _are_changes(path):
    try:
        return hold_changes(read_frame(path, rows=1).columns)
    except TableError:
        return False


def read_corrections(labels):
    """Read a table of changes, together with the earlier ones that it continues.

    Parameters
    ----------
    labels : path-like or None
        What the user gives as labels.

    Returns
    -------
    Corrections or None
        None if it is not such a table.

    Raises
    ------
    ManifestError
        The labels that it changes are missing, a column is missing, or a cell that must not be empty is.
    """
    tables, seen, at = [], set(), labels
    while (found := _read(at)) is not None:
        where = Path(at)
        if where.resolve() in seen:
            raise ManifestError(f"{where}: its column {BASE!r} leads back to itself: write there what it changes")
        seen.add(where.resolve())
        tables.insert(0, (where.name, found))
        bases = [text for text in dict.fromkeys(found[BASE]) if text]
        if len(bases) > 1:
            raise ManifestError(
                f"{where}: its column {BASE!r} names several tables ({listed(bases, 3)}): changes in one file are "
                "of one table; write those of others in files of their own"
            )
        base = bases[0] if bases else ""
        places = [Path(base).expanduser(), where.parent / base] if base else []
        at = next((place for place in places if place.is_file()), None)
        if base and at is None:
            raise ManifestError(
                f"{where} changes the labels of {base}, which is not there: run the command in the folder that it was "
                f"run in before, or write in the column {BASE!r} where it is"
            )
    return Corrections(tuple(tables), None if at is None else str(at)) if tables else None


def _read(path):
    """The rows of a table of changes; None for any other table, which its own reader judges."""
    if path is None or Path(path).suffix.lower() not in SHEETS or not Path(path).is_file():
        return None
    if not _are_changes(path):
        return None
    try:
        frame = read_frame(path, text=COLUMNS)
    except TableError as error:
        raise ManifestError(str(error)) from error
    if lacking := [column for column in COLUMNS if column not in frame]:
        columns = "no column " + " and no column ".join(map(repr, lacking))
        raise ManifestError(
            f"{path} holds changes of labels and has {columns}: a table of changes has {', '.join(COLUMNS)}, as the "
            f"download of errors.html, and {BASE} may be empty where DATA has its labels by itself; a table of all "
            f"labels has neither {DIGEST} nor {BASE}"
        )
    frame = frame.assign(**{column: frame[column].map(_text) for column in COLUMNS})
    frame = frame[(frame[list(COLUMNS)] != "").any(axis=1)].assign(**{DIGEST: lambda rows: rows[DIGEST].str.lower()})
    _refuse_empty(frame, path)
    _refuse_undecided(frame, path)
    return frame


def _refuse_empty(frame, path):
    """Refuse rows that do not say what is changed, from what, or to what."""
    remedies = {
        AFTER: f"write its class there, or that of {BEFORE} where nothing is to change",
        BEFORE: "write the class that DATA gives the image, or take the row away",
        DIGEST: "write what errors.html did, or take the row away",
    }
    for column, remedy in remedies.items():
        if bare := int((frame[column] == "").sum()):
            rows = number_of(bare, "row has", "rows have")
            raise ManifestError(f"{path}: {rows} an empty {column!r}: {remedy}")


def _refuse_undecided(frame, path):
    """Refuse rows whose label was changed although it was accepted or skipped."""
    if DECISION not in frame:
        return
    changed = frame[AFTER].map(spelling) != frame[BEFORE].map(spelling)
    kept = frame[DECISION].map(clean_label).isin(("accept", "skip"))
    if both := int((changed & kept).sum()):
        rows = number_of(both, "row has", "rows have")
        raise ManifestError(
            f"{path}: {rows} another {AFTER} than {BEFORE}, and accept or skip as {DECISION}: write change there, or "
            f"the label of {BEFORE}"
        )


def _text(value):
    """A cell as text, without the apostrophe that keeps spreadsheets from reading it as a formula."""
    return unguarded(clean_label(value))
