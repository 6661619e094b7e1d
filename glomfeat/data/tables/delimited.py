"""Text tables as spreadsheets and programs write them: their encoding, separator and decimal sign."""

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from glomfeat.core.csvs import EXACT
from glomfeat.core.errors import UserError
from glomfeat.data.files import open_bytes
from glomfeat.data.tables.decimals import decide_decimals

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "upright bars"}
SAMPLE_BYTES, SAMPLE_LINES, BLOCK_BYTES = 2**18, 100, 2**20
MOST_COLUMNS = 50_000  # more take over half a minute to read as text
WIDE, MOST_SAID = 1000, 3
EMPTY = "it is empty; save it again, with a header that names the columns"
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ENCODINGS = {
    "utf-8-sig": "",
    "utf-8": "",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "latin-1 (Windows-1252)",
    "latin-1": "latin-1",
}
FIELDS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
STRANGE = re.compile(r"[\x00-\x08\x0e-\x1f]")  # in no text, unlike the five kinds of blanks between


class TableError(UserError, ValueError):
    """A table cannot be read or lacks a column; the message says what it should look like."""


def refuse_repeated(columns, where):
    """Refuse a table in which several columns have the same name.

    Raises
    ------
    TableError
        Names them.
    """
    if twice := [name for name, times in Counter(map(str, columns)).items() if times > 1]:
        raise TableError(f"{where} has several columns called {', '.join(twice[:10])}: give each column its own name")


@dataclass(frozen=True)
class Form:
    """How the text of a table is written.

    Attributes
    ----------
    encoding, separator : str
    skipped : int
        Lines before the header.
    header : tuple of str
    columns : tuple of str
        The header, and a name for an extra field in every row: names of rows as R writes them, or nothing.
    padded : tuple of str
        Columns that hold numbers with leading zeros in the first rows.
    """

    encoding: str
    separator: str
    skipped: int
    header: tuple
    columns: tuple
    padded: tuple

    @property
    def said(self):
        """What differs from most tables, in words; empty for commas and UTF-8."""
        between = "" if self.separator == "," else f"{SEPARATORS[self.separator]} between columns"
        return ", ".join(part for part in (between, ENCODINGS[self.encoding]) if part)


def look_at(path, words=()):
    r"""Find out how the text of a table is written.

    Parameters
    ----------
    path : path-like
        Also of a member of an archive.
    words : container of str
        Known headers, in lower case: if two separators are possible, the one that gives more of them is taken.

    Returns
    -------
    Form

    Raises
    ------
    TableError
        The file is not text, or has too many columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "t.csv")
    >>> _ = path.write_bytes("name;Größe\na;0,5\n".encode("latin-1"))
    >>> look_at(path).separator, look_at(path).said
    (';', 'semicolons between columns, latin-1 (Windows-1252)')
    """
    name = Path(path).name
    with open_bytes(path) as file:
        start = file.read(SAMPLE_BYTES)
        while start.count(b"\n") < 2 and (more := file.read(BLOCK_BYTES)):  # a header of many columns is long
            start += more
        encoding = _encoding(start, file)
    text = start.decode(encoding, errors="ignore")
    if not text.strip():
        raise TableError(f"{name} cannot be read: {EMPTY}")
    if _is_binary(text, encoding):
        what = "it is a workbook or an archive" if start.startswith(b"PK\x03\x04") else "it is not text"
        raise TableError(f"{name} cannot be read: {what}; save it as CSV, UTF-8, with a header that names the columns")
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(start) >= SAMPLE_BYTES and len(lines) > 1 else lines  # the last one may be cut off
    skipped = int(bool(re.fullmatch(r"sep=.\s*", lines[0])))  # which Excel writes and reads
    cut = lines[skipped : skipped + SAMPLE_LINES]
    widest = max(cut[0].count(separator) for separator in SEPARATORS)
    if widest >= MOST_COLUMNS:
        raise TableError(
            f"{name} has {widest + 1} columns, and text is read up to {MOST_COLUMNS}: save its numbers as .npy or .h5, "
            "which are read some rows at a time"
        )
    separator, rows = _separator(cut, words)
    header, body = rows[0] if rows else [], rows[1:]
    padded = [
        column
        for k, column in enumerate(header)
        if any(re.match(r"\s*0\d+\s*$", row[k]) for row in body if k < len(row))
    ]
    return Form(encoding, separator, skipped, tuple(header), _columns(header, body), tuple(padded))


def _columns(header, body):
    if not body or {len(row) for row in body} != {len(header) + 1}:
        return tuple(header)
    return (*header, "") if not any(row[-1] for row in body) else ("row names", *header)


def _encoding(start, file):
    """The encoding of an open file, given its first bytes."""
    known = next((encoding for bom, encoding in BOMS.items() if start.startswith(bom)), None)
    if known:
        return known
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) > len(start) / 8:
        return "utf-16-le" if odd > even else "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _is_binary(text, encoding):
    first = text.splitlines()[0]
    return bool(STRANGE.search(text, 0, 10_000)) or (encoding.startswith("utf-16") and not re.search(r"[ -~]", first))


def _separator(lines, words):
    """The separator of some lines, and their fields."""
    best = None
    for separator in SEPARATORS:
        try:
            rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
        except csv.Error:  # a cell of more than 131,072 letters
            rows = [line.rstrip("\r\n").split(separator) for line in lines]
        rows = [row for row in rows if row]
        width = len(rows[0]) if rows else 0
        same = sum(len(row) == width for row in rows[1:]) / max(1, len(rows) - 1)
        known = sum("".join(filter(str.isalnum, field.casefold())) in words for field in (rows[0] if rows else []))
        rank = width > 1, known, round(same, 1), width
        if best is None or rank > best[0]:
            best = rank, separator, rows
    return best[1:]


def read_text(path, form, text=(), rows=None, only=None, numbers=()):
    """Read a table of text.

    Parameters
    ----------
    path : path-like
    form : Form
        From `look_at`.
    text : collection of str
        Columns to read as text, whatever they hold.
    rows : int, optional
        Read only this many.
    only : sequence of str or of int, optional
        Read only these columns, by name or by position, as texts without missing values.
    numbers : collection of str
        Those of `text` that may be used as numbers.

    Returns
    -------
    pandas.DataFrame
        Numbers with decimal commas are converted. ``attrs["decimal"]`` says so; ``attrs["unclear"]`` holds the columns
        that may hold thousands, with the name of the table and what `glomfeat.data.tables.decimals.decide_decimals`
        says.

    Raises
    ------
    TableError
        Rows do not fit the header.
    """
    options = {"sep": form.separator, "encoding": form.encoding, "skiprows": form.skipped, "nrows": rows}
    if form.columns != form.header:
        options |= {"names": form.columns, "header": 0}
    if only is not None:
        options |= {"usecols": list(only), "dtype": str, "keep_default_na": False}
    else:
        options |= {"dtype": dict.fromkeys([*form.padded, *(name for name in form.header if name in set(text))], str)}
    try:
        with open_bytes(path) as file:
            frame = pd.read_csv(file, skipinitialspace=True, low_memory=False, **EXACT, **options)
    except pd.errors.EmptyDataError as error:
        raise TableError(f"{Path(path).name} cannot be read: {EMPTY}") from error
    except (ValueError, OSError) as error:
        raise TableError(f"{Path(path).name} cannot be read: {_in_words(error, form)}") from error
    if "" in frame.columns:
        frame = frame.drop(columns=[""])
    if frame.shape[1] > WIDE:  # a block for each column makes all that follows slow
        frame = frame.copy()
    if form.separator == "," or only is not None:
        return frame
    return _decide_decimals(path, form, frame, text, rows, numbers)


def _in_words(error, form):
    """Say what a parser found wrong with the rows, and what to do."""
    between = SEPARATORS[form.separator]
    if found := FIELDS.search(str(error)):
        header, line, saw = found.groups()
        return (
            f"line {line} has {saw} fields and the lines before it have {header} ({between} between them): put a cell "
            f"that holds {between} into quotation marks"
        )
    if "EOF inside string" in str(error):
        return "a quotation mark is opened and never closed: close it, or take quotation marks out of the cells"
    return (
        f"its rows do not fit its header ({between} between columns): save it as CSV, UTF-8, with one row on each line"
    )


def _decide_decimals(path, form, frame, text, rows, numbers):
    """Convert decimal commas; `attrs` say so, and which columns may hold thousands."""

    def texts_of(places):
        found = read_text(path, form, rows=rows, only=places)
        return [found.iloc[:, k] for k in range(len(places))]

    converted, unclear = decide_decimals(frame, text, form.separator, texts_of, numbers)
    said = [f"{cell!r} in {column} as {cell.replace(',', '.')}" for column, (cell, *_) in unclear.items()]
    if converted or unclear:
        frame.attrs["decimal"] = ", ".join(["decimal commas"] * converted + said[:MOST_SAID])
    if unclear and rows is None:  # the first rows alone may lack what makes it clear
        frame.attrs["unclear"] = {column: (Path(path).name, *why) for column, why in unclear.items()}
    return frame
