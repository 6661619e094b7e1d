"""Labels that people changed when they had seen results: a table of changes to the labels that DATA has by itself."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from glomfeat.core.words import FORMULA, number_of
from glomfeat.data.labels.classes import clean_label, spelling
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.read import SHEETS, TableError, listed, read_frame

DIGEST, BEFORE, AFTER, BASE = "name_sha256", "label_before", "label", "labels_of"
COLUMNS = (DIGEST, AFTER, BEFORE, BASE)
DECISION = "decision"
CHANGED = "changed after results had been seen"
DIGITS = 32


def digest_of_name(name):
    """What stands for the name of an image in a table that does not tell names.

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
        The name of each file and its rows, the file that was written first first.
    base : str or None
        The labels that the first one changes; None where DATA has them by itself.
    """

    tables: tuple
    base: str | None

    def apply(self, frame, problems, notes):
        """Change labels, and say how many.

        Parameters
        ----------
        frame : pandas.DataFrame
            ``name`` and ``raw``, the class of each image as it was.
        problems, notes : list
            Are added to.

        Returns
        -------
        pandas.DataFrame
        """
        rows = {digest_of_name(name): row for row, name in enumerate(frame["name"])}
        classes = {spelling(name): name for name in frame["raw"]}
        first = frame["raw"].tolist()
        found = list(first)
        for where, table in self.tables:
            lost, other, unknown = [], [], []
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
            problems += [
                (what, names)
                for what, names in (
                    (f"images in {where}, by the digest of the name, without such a name in DATA", lost),
                    (f"labels in {where} under another {BEFORE} than DATA has now", other),
                    (f"labels in {where} without such a class in DATA", sorted(set(unknown))),
                )
                if names
            ]
        files = ", ".join(where for where, _ in self.tables)
        changed = sum(one != another for one, another in zip(first, found, strict=True))
        were = number_of(changed, f"of {len(found)} labels was", f"of {len(found)} labels were")
        notes.append(f"warning: {were} {CHANGED} ({files})" if changed else f"{files} changes no label")
        return frame.assign(raw=pd.Series(found, index=frame.index, dtype=frame["raw"].dtype))


def read_corrections(labels):
    """Read a table of changes, with those before it that it goes on from.

    Parameters
    ----------
    labels : path-like or None
        What the user gives as labels.

    Returns
    -------
    Corrections or None
        None where it is no such table.

    Raises
    ------
    ManifestError
        What it changes is not there.
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
    """The rows of a table of changes; None of what is none, which its own reader judges."""
    if path is None or Path(path).suffix.lower() not in SHEETS or not Path(path).is_file():
        return None
    try:
        if not set(COLUMNS) <= set(read_frame(path, rows=1).columns):
            return None
        frame = read_frame(path, text=COLUMNS)
    except TableError:
        return None
    frame = frame.assign(**{column: frame[column].map(_text) for column in COLUMNS})
    _refuse_undecided(frame, path)
    return frame


def _refuse_undecided(frame, path):
    """Refuse rows whose label was changed though it was accepted or skipped."""
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
    """A cell as text, without the apostrophe that keeps spreadsheets from taking it for a formula."""
    text = clean_label(value)
    return text[1:] if text[:1] == "'" and FORMULA.match(text[1:]) else text
