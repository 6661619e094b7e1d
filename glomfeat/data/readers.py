"""Readers' calls: which class pathologists gave the images of a data set, one column per reader or one row per call."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from glomfeat.core.errors import LOOK, UserError
from glomfeat.core.plugins import did_you_mean
from glomfeat.core.words import number_of, printable
from glomfeat.data.labels.classes import class_numbers, clean_label
from glomfeat.data.tables.delimited import look_at, read_text
from glomfeat.data.tables.joining import find_names_among, lines_on_folders
from glomfeat.data.tables.read import OF_TEXT, TEXTS, TableError, find_names, known_kind, plain, read_frame, row_names
from glomfeat.data.tables.unclear import refuse_unclear

FORMS = "a column that names the images and one for each reader, or the columns name, reader, call and perhaps score"


class ReadersError(UserError, ValueError):
    """A file of readers' calls does not fit the data; the message gives the remedy."""


@dataclass(frozen=True)
class Reader:
    """The calls of one reader.

    Attributes
    ----------
    name : str
    calls : dict of str to int
        The class that the reader gave each image, by the image's name.
    scores : dict of str to float
        How sure the reader is of the positive class, on a scale of their own; empty if none was given.
    """

    name: str
    calls: dict
    scores: dict = field(default_factory=dict)


def read_readers(path, names, classes):
    """Read the calls of readers.

    Parameters
    ----------
    path : path-like
        A table in any form that labels may have: with a column that names the images and one for each reader, or with
        the columns ``name, reader, call[, score]`` and a row for each call. An empty cell means that the image was not
        called.
    names : sequence of str
        Names of the images; they are found with or without folders and suffix.
    classes : sequence of str
        Calls are their names, ignoring case and blanks, or their numbers from 0 if no class is a number.

    Returns
    -------
    readers : tuple of Reader
        In the order of the file.
    said : list of str
        What the user should know about them.

    Raises
    ------
    ReadersError
        The file cannot be read, a call is not a class, no image is known, or an image has two calls by one reader.
    """
    path = Path(path).expanduser()
    table, left_out = _as_rows(_texts(path), path)
    found, unclear = find_names_among(table["name"].unique(), list(names), again=True)
    if unclear:
        raise ReadersError(
            f"--readers {path}: {len(unclear)} names fit several images, or one image with others: write them with "
            "their folders"
        )
    table = table[table["call"] != ""]
    known = table["name"].isin(found)
    if not known.any():
        raise ReadersError(
            f"--readers {path}: none of its {table['name'].nunique()} names belongs to an image of DATA: "
            "write them as the labels do"
        )
    said = lines_on_folders(((text, names[row]) for text, row in found.items()), path.name)
    if strange := table["name"][~known].nunique():
        said.append(f"readers: {number_of(strange, 'name is', 'names are')} of no image of DATA, and left out")
    table = table[known].assign(name=lambda rows: rows["name"].map({text: names[row] for text, row in found.items()}))
    table = table.assign(call=_codes(table["call"], classes, path, said))
    readers = tuple(_reader(*one, path) for one in table.groupby("reader", sort=False))
    said += [
        f"readers: column {printable(column)!r} does not belong to a reader, and is left out" for column in left_out
    ]
    counts = ", ".join(f"{printable(reader.name)} {len(reader.calls)}" for reader in readers)
    said.append(f"readers: of {len(names)} images {counts} called; each is compared on these images alone")
    return readers, said


def _texts(path):
    """The table as texts without missing values: a class may be called None or NA."""
    try:
        if path.suffix.lower() not in TEXTS:
            frame = read_frame(path).astype(object)
            return frame.where(frame.notna(), "")
        form = look_at(path, OF_TEXT)
        names = [column for column in form.columns if column]
        columns = {plain(column): column for column in names}
        if {"reader", "call", "score"} <= {*columns}:
            numbers = [columns["score"]]
            refuse_unclear(read_text(path, form, names, numbers=numbers), numbers)
        return read_text(path, form, only=names)
    except TableError as error:
        raise ReadersError(f"--readers: {error}") from error
    except OSError as error:
        raise ReadersError(f"--readers {path} cannot be read: {error.strerror or error}; {LOOK}") from error


def _as_rows(frame, path):
    """The table with one row per call, ``name, reader, call, score``, and the columns that belong to no reader."""
    columns = {plain(column): column for column in frame.columns}
    named = find_names(frame, path.name)
    if not named:
        raise ReadersError(f"--readers {path}: no column names the images: it needs {FORMS}")
    names = row_names(frame, path.name)
    if {"reader", "call"} <= set(columns):
        texts = [frame[columns[one]].map(clean_label) for one in ("reader", "call")]
        score = frame[columns["score"]].map(clean_label) if "score" in columns else ""
        table, others = pd.DataFrame({"name": names, "reader": texts[0], "call": texts[1], "score": score}), []
        if nobody := int(((table["reader"] == "") & (table["call"] != "")).sum()):
            calls = number_of(nobody, "call has", "calls have")
            raise ReadersError(f"--readers {path}: {calls} no reader: fill the column {columns['reader']!r}")
    else:
        rest = [column for column in frame.columns if column not in named]
        others = [column for column in rest if known_kind(column)]
        mine = [column for column in rest if column not in others]
        parts = [
            pd.DataFrame({"name": names, "reader": str(c).strip(), "call": frame[c].map(clean_label)}) for c in mine
        ]
        if not parts:
            raise ReadersError(f"--readers {path}: it has no column of a reader: it needs {FORMS}")
        table = pd.concat(parts, ignore_index=True).assign(score="")
    if (table["call"] == "").all():
        raise ReadersError(f"--readers {path}: no image is called: it needs {FORMS}, with a class in each cell")
    return table[table["name"] != ""], others


def _codes(calls, classes, path, said):
    """The class of each call; a line is added if calls are numbers of classes."""
    codes = class_numbers(calls, classes, said)
    if codes.isna().any():
        text = calls[codes.isna()].iloc[0]
        raise ReadersError(
            f"--readers {path}: {printable(text)!r} is a call, but not a class: {did_you_mean(text, classes)}; an "
            "empty cell is an image that was not called"
        )
    return codes.astype(int)


def _reader(name, rows, path):
    rows = rows.drop_duplicates(["name", "call", "score"])
    if twice := int(rows["name"].duplicated().sum()):
        of = number_of(twice, "image")
        raise ReadersError(f"--readers {path}: {printable(name)} has two calls of {of}: keep one of each")
    scored = rows[rows["score"] != ""]
    scores = pd.to_numeric(scored["score"], errors="coerce")
    if not (scores.abs() < float("inf")).all():
        raise ReadersError(
            f"--readers {path}: a score of {printable(name)} is not a number: give numbers, or leave it out"
        )
    if 0 < len(scored) < len(rows):
        raise ReadersError(
            f"--readers {path}: {printable(name)} has scores of {len(scored)} of {len(rows)} calls: give all, or none"
        )
    calls, scores = (
        dict(zip(of["name"], values, strict=True)) for of, values in ((rows, rows["call"]), (scored, scores))
    )
    return Reader(name, calls, scores)
