"""Tables that people bring: what their columns are called, and how to read them."""

import re
import unicodedata
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import pandas as pd

from glomfeat.core.errors import LOOK
from glomfeat.core.words import number_of, printable
from glomfeat.data.tables.delimited import TableError, look_at, read_text
from glomfeat.data.tables.workbooks import has_title, read_workbook

__all__ = ["TableError", "find_column", "read_frame"]

PATH_COLUMNS = ("path", "image path", "file path")
NAME_COLUMNS = (
    *("path", "name", "file", "filename", "image"),
    *("image path", "file path", "image file", "image name", "image id", "id", "object id"),
)
LABEL_COLUMNS = (
    *("label", "ground truth", "ground_truth", "class"),
    *("labels", "class name", "classification", "diagnosis", "target", "category"),
)
NUMBER = ("number", "no", "nr", "num")
WHAT = ("", "id", *NUMBER, "name", "code", "key")
CASE_COLUMNS = (
    *("case", "case_id", "patient", "patient_id", "subject", "subject_id"),
    *(
        f"{who} {what}".strip()
        for what in WHAT
        for who in ("patient", "subject", "case", "participant", "donor", "person", "pat")
    ),
)
SLIDE_COLUMNS = ("slide", "slide_id", "slide name", "slide file", "wsi")
FOLD_COLUMNS = ("fold", "split", "repeat")
SITE_WORDS = ("site", "center", "centre", "hospital", "institution")
SITE_COLUMNS = tuple(
    f"{of}{site} {what}"
    for what in WHAT
    for of in ("", "study ")
    for site in SITE_WORDS
    if site != "hospital" or what not in NUMBER  # in many places a patient has a hospital number
)
SCANNER_COLUMNS = tuple(f"scanner {what}" for what in (*WHAT, "model"))
OF_PERSONS = frozenset(  # what a column says of any patient
    ("age", "sex", "gender", "geschlecht", "sexe", "sexo", "male", "female", "race", "ethnicity", "laterality")
)
TEXTS = (".csv", ".tsv", ".txt")
SHEETS = (*TEXTS, ".xlsx")
TABLES = (*SHEETS, ".parquet")
HDF5 = (".h5", ".hdf5")
SUFFIXES = (*TABLES, ".npy", *HDF5)
PER_IMAGE = (*HDF5, ".pt")
HEAD_ROWS = 100
HEADERS = "the first row must hold the headers: delete what is above them"
OTHERWISE = {
    ".npz": "; images in it must be called train_images and their classes train_labels; save numbers as .npy",
    ".pt": "; save it as .npy with a .txt of names beside it, or one .pt for each image in a folder",
}


def plain(name):
    r"""A header without case, blanks and punctuation, for comparing headers.

    Examples
    --------
    >>> plain("\ufeff Patient-ID "), plain("ground_truth")
    ('patientid', 'groundtruth')
    """
    return _plain(str(name))


@lru_cache(maxsize=2**18)  # each header of a wide table is asked for many times
def _plain(name):
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


KINDS = {
    kind: frozenset(map(plain, words))
    for kind, words in (
        ("name", NAME_COLUMNS),
        ("label", LABEL_COLUMNS),
        ("case", CASE_COLUMNS),
        ("slide", SLIDE_COLUMNS),
    )
}
OF_TEXT = frozenset().union(*KINDS.values())


def find_columns(frame, known):
    """All columns of a table whose name is one of some words, in the order of the words.

    Examples
    --------
    >>> import pandas as pd
    >>> find_columns(pd.DataFrame(columns=["Target", " LABEL", "Metadata_Class"]), LABEL_COLUMNS)
    [' LABEL', 'Metadata_Class', 'Target']
    """
    present = {}
    for column in frame.columns:
        present.setdefault(plain(column), column)
    for word, column in list(present.items()):  # CellProfiler's prefix for what it did not measure
        present.setdefault(word.removeprefix("metadata"), column)
    return list(dict.fromkeys(present[word] for word in map(plain, known) if word in present))


def find_column(frame, known):
    """The first of the `known` column names that a table has, whatever its case, blanks and punctuation, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> find_column(pd.DataFrame(columns=["Name", "Ground Truth"]), LABEL_COLUMNS)
    'Ground Truth'
    """
    return next(iter(find_columns(frame, known)), None)


def as_spelt(frame, asked):
    """The column that the user names, as a table spells it; empty if none is named or the table has none.

    Examples
    --------
    >>> import pandas as pd
    >>> as_spelt(pd.DataFrame(columns=["Name", "Grade"]), "grade")
    'Grade'
    """
    if not asked or asked in frame.columns:
        return asked
    return find_column(frame, (asked,)) or ""


def named_by_user(frame, asked, option, where, ours=(), others=()):
    """Find the column that the user names with an option.

    Parameters
    ----------
    frame : pandas.DataFrame
    asked, option : str
    where : object
        What the frame was read from.
    ours : collection of str
        Columns of the frame that the user did not give, and that are not suggested.
    others : sequence of str
        What else may be named.

    Raises
    ------
    TableError
        There is no such column; all are listed, the closest name first.
    """
    if asked in frame.columns:
        return asked
    found = find_column(frame, (asked,))
    if found is None:
        known = list(dict.fromkeys([*(column for column in frame.columns if column not in ours), *others]))
        columns = {plain(column): column for column in known}
        near = [columns[word] for word in get_close_matches(plain(asked), columns, n=max(1, len(columns)))]
        there = f"allowed are {listed([*near, *(one for one in known if one not in near)], 20)}"
        title = f" ({HEADERS})" if has_title(frame) else ""
        raise TableError(f"{option} {asked!r} is no column of {where}: {there if known else 'it has none'}{title}")
    return found


def listed(names, most=10):
    """List the first few names on a line, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    names = list(map(printable, names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def columns_in_words(frame):
    """The columns of a table and, if these do not look like a header, what to do; for messages."""
    cells = re.split(r"[,;|\t\n]", frame.head().to_csv(header=False))
    told = ["delete the rows above the header"] if {"name", "label"} & {*map(known_kind, cells)} else []
    told = told or ([HEADERS] if has_title(frame) else [])
    if (said := frame.attrs.get("said", "")).startswith("sheet "):
        told.append(f"{said} is read: put the sheet of labels first")
    return " ".join([f"the columns {listed(frame.columns, 8)}", *(f"({remedy})" for remedy in told)])


def read_values(values):
    """The values of a column as texts without surrounding blanks; numbers as people write them.

    Parameters
    ----------
    values : sequence

    Returns
    -------
    pandas.Series of str
        Empty where there is no value.

    Examples
    --------
    >>> read_values([" Oslo", None, 2019.0, 2020, ""]).tolist()
    ['Oslo', '', '2019', '2020', '']
    """
    return pd.Series(values, dtype=object).map(_as_text)


def _as_text(value):
    if value is None or value is pd.NA or value != value:
        return ""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()


def without_value(texts, column):
    """What to do about images for which a required column has no value; empty if there are none."""
    bare = int((texts == "").sum())
    them = "it" if bare == 1 else "them"
    what = f"column {column!r} has no value for {number_of(bare, 'image')}: write one, or leave {them} out of DATA"
    return what if bare else ""


def read_frame(path, text=(), rows=None, numbers=()):
    """Read a table with all its columns; names, labels and cases as text.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.tsv``, ``.txt``, ``.xlsx`` or ``.parquet``.
    text : collection of str
        Further columns to read as text.
    rows : int, optional
        Read only this many.
    numbers : collection of str
        Those of `text` that may be used as numbers: whether these may be thousands is asked all the same.

    Returns
    -------
    pandas.DataFrame
        ``attrs["said"]`` says how it is written, if that is unusual; ``attrs["unclear"]`` is that of
        `glomfeat.data.tables.delimited.read_text`.

    Raises
    ------
    TableError
        The format is unknown, or the file is missing or broken.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        remedy = OTHERWISE.get(suffix, "; save it as .xlsx or .csv")
        raise TableError(f"{path.name}: tables are {', '.join(TABLES)}, not {suffix or 'without a suffix'!r}{remedy}")
    text = {*map(plain, text)} | OF_TEXT
    if suffix == ".parquet":
        with open_parquet_file(path) as file:
            return file.read().to_pandas(ignore_metadata=True)
    if suffix == ".xlsx":
        return _texts(read_workbook(path, rows), text)
    try:
        form = look_at(path, OF_TEXT)
    except OSError as error:
        raise TableError(f"{path.name} cannot be read: {error.strerror or error}; {LOOK}") from error
    columns, numbers = [column for column in form.header if _is_text(column, text)], {*map(plain, numbers)} - OF_TEXT
    frame = read_text(path, form, columns, rows, numbers=[column for column in columns if _is_text(column, numbers)])
    if len(frame) and frame.iloc[-1].isna().all():  # Excel writes commas alone where cells have been emptied
        frame = frame.iloc[: frame.notna().any(axis=1).to_numpy().nonzero()[0].max(initial=-1) + 1].copy()
    labels = [column for column in find_columns(frame, LABEL_COLUMNS) if column in form.header]
    # a class may be called None or NA, which pandas takes for a missing value
    if labels and frame[labels].isna().to_numpy().any():
        frame[labels] = read_text(path, form, rows=rows, only=labels)[labels]
    said = ", ".join(part for part in (form.said, frame.attrs.pop("decimal", "")) if part)
    frame.attrs |= {"said": said} if said else {}
    return frame


def _is_text(column, text):
    word = plain(column)
    return word in text or word.removeprefix("metadata") in text


def _texts(frame, text):
    for column in frame.columns:
        if _is_text(column, text):
            values = frame[column].astype(object)
            frame[column] = values.where(values.isna(), values.map(str)).where(values.notna(), None)
    return frame


@contextmanager
def open_parquet_file(path):
    """Open a parquet file; damage found only when its rows are read is reported in the same words."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, ValueError, OSError) as error:
        raise TableError(
            f"{Path(path).name} cannot be read: it is not a parquet file, or is damaged; copy or save it again"
        ) from error


def read_head(path):
    """Read the first rows of a table.

    Raises
    ------
    TableError
        The file is broken.
    """
    return read_frame(path, rows=HEAD_ROWS)


def find_names(frame, where, asked=""):
    """Find the columns that name the rows of a table.

    Parameters
    ----------
    frame : pandas.DataFrame
    where : str
        The table, for messages.
    asked : str
        The column that the user names.

    Returns
    -------
    list of str
        One column, or several whose texts are joined, as CellProfiler and QuPath identify objects; or none.
    """
    if asked:
        return [named_by_user(frame, asked, "--name-column", where)]
    columns = {plain(column): column for column in frame.columns}
    known = find_column(frame, NAME_COLUMNS)
    files = [column for column in frame.columns if str(column).startswith("FileName_")]
    if {"imagenumber", "objectnumber"} <= set(columns) and (known is None or not frame[known].is_unique):
        return [files[0] if files else columns["imagenumber"], columns["objectnumber"]]
    place = [columns[word] for start in ("centroidx", "centroidy") for word in columns if word.startswith(start)]
    if "image" in columns and "objectid" in columns:  # from QuPath, whose images hold many objects
        return [columns["objectid"]]
    if "image" in columns and len(place) == 2:  # from QuPath before it numbered objects
        return [columns["image"], *place]
    column = known or (files[0] if len(files) == 1 else None) or find_column(frame, SLIDE_COLUMNS)
    return [] if column is None else [column]


def row_names(frame, where, asked=""):
    """The names of a table's rows, or None if it does not give them; parameters as for `find_names`.

    Returns
    -------
    pandas.Series of str or None
        Empty for rows without a name.

    Examples
    --------
    >>> import pandas as pd
    >>> row_names(pd.DataFrame({"ImageNumber": [1], "ObjectNumber": [7], "FileName_DNA": ["a.tif"]}), "t.csv").tolist()
    ['a_7']
    """
    columns = find_names(frame, where, asked)
    if not columns:
        return None
    first, *more = (_as_names(frame[column]) for column in columns)
    if more:
        first = first.str.replace(r"\.\w+$", "", regex=True)
    for part in more:
        first = first + "_" + part
    return first


def _as_names(values):
    return values.astype(object).where(values.notna(), "").map(lambda value: str(value).strip())


def word_of(column):
    """A header as `plain` compares it, without the number that pandas appends to repeated headers.

    Examples
    --------
    >>> word_of("Label.1"), word_of("T1.5")
    ('label', 't1')
    """
    return plain(re.sub(r"\.\d+$", "", str(column)))


def known_kind(column):
    """What a column is by its header: ``name``, ``label``, ``case``, ``slide``, or nothing.

    Examples
    --------
    >>> known_kind("Patient No."), known_kind("area")
    ('case', '')
    """
    word = word_of(column)
    return next((kind for kind, words in KINDS.items() if {word, word.removeprefix("metadata")} & words), "")
