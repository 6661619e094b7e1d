"""Which columns of a table describe the images, and why the others do not."""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from glomfeat.data.tables.delimited import refuse_repeated
from glomfeat.data.tables.levels import MOST_LEVELS, level_names, why_no_levels, without_texts
from glomfeat.data.tables.own import header_of
from glomfeat.data.tables.read import (
    FOLD_COLUMNS,
    LABEL_COLUMNS,
    SCANNER_COLUMNS,
    SITE_COLUMNS,
    TableError,
    find_column,
    find_names,
    known_kind,
    listed,
    named_by_user,
    plain,
)
from glomfeat.data.tables.unclear import refuse_unclear

ROW_NUMBERS = re.compile(r"unnamed\d+|(?:index)?level\d|index|row|rowno|rownumber|rownames|number|nr|no")
SPLITS = {*map(plain, FOLD_COLUMNS), "folds", "splits", "set", "subset"}
SPLITS |= {"partition", "train", "test", "istrain", "istest"}
SITES = {*map(plain, (*SITE_COLUMNS, *SCANNER_COLUMNS))}
PLACES = {"centroid", "coord", "coords", "coordinate", "coordinates", "location", "bbox", "center"}
AXES, NUMBERED = {"x", "y", "z"}, {"0", "1", "2", "3"}
SIDES = {"min", "max"}
BOXES = {"box", "bounds", "bound", "bb", "corner", "pos", "position", "extent", "start", "row", "col"}
CELLPROFILER = ("ExecutionTime_", "ModuleError_", "Group_", "Parent_", "Number_", "Scaling_", "Series_", "Frame_")
IDS_OF_PERSONS = ("subjid", "usubjid", "ptid", "pid", "eid", "rid", "pseudonym")  # in trials, registers and biobanks
IDS = {"id", "ids", "uuid", "uid", "mrn", *IDS_OF_PERSONS}
ASK = "--columns takes columns that are left out by their full names"
PLACE = "a place"
MOST_SHOWN = 20
NO_COLUMNS = ("auto", "none")  # values of --groups


@dataclass(frozen=True)
class Asked:
    """What the user says about the columns of a table.

    Attributes
    ----------
    name, label : str
        The columns that name the rows and that hold the classes; found if empty.
    keep : tuple of str
        Columns that describe, by name or pattern; if empty, all that do. A full name takes any column; a column of
        texts becomes a column of 0 and 1 for each text.
    drop : tuple of str
        Columns that do not describe, by name or pattern.
    but : tuple of str
        Columns that do not describe because options name them for something else, such as the split.
    uses : tuple of (str, str)
        Columns that options name, whether in `but` or not, and what they are used for.
    groups : str
        Where the case comes from, as for `glomfeat.data.cases.find_cases`; empty if nothing is said. A column that it
        names does not describe.
    missing : str
        What to do with cells of numeric columns that hold none: ``refuse`` them, or ``impute`` them in each fold.
    learnt : glomfeat.data.embeddings.learnt.Learnt or None
        Columns that a model reads; these are then the ones that describe.
    joined : tuple of str
        Those of `but` that join features: they are read as texts, and may be used as numbers.
    others : bool
        Whether tables other than those of DATA are read too, so that `name` and `label` may be columns of these alone.

    Examples
    --------
    >>> Asked(keep=("f*",), drop=("f9",)).key
    {'columns': ['f*'], 'drop': ['f9']}
    """

    name: str = ""
    label: str = ""
    keep: tuple = ()
    drop: tuple = ()
    but: tuple = ()
    missing: str = "refuse"
    uses: tuple = ()
    groups: str = ""
    learnt: Any = None
    joined: tuple = ()
    others: bool = False

    @property
    def named(self):
        """The columns that options name for something else than to describe; ``auto`` and ``none`` name no case."""
        return (*([self.groups] if self.groups not in ("", *NO_COLUMNS) else []), *self.but)

    @property
    def key(self):
        """The parts of it that change which numbers are read, as plain data; empty if nothing is asked for."""
        found = {"columns": list(self.keep), "drop": list(self.drop)}
        found |= {"name": self.name, "label": self.label}
        return {key: value for key, value in found.items() if value}


USUAL = Asked()


@dataclass(frozen=True)
class Sorted:
    """The columns of a table, sorted into those that describe and others.

    Attributes
    ----------
    used : tuple of str
        Columns that describe, in the order of the table.
    left : dict of str to str
        Why each of the others does not.
    spoilt : dict of str to list of int
        For columns of numbers, the rows whose cell holds none.
    levels : dict of str to list of str
        For columns of texts that describe, their texts.
    """

    used: tuple
    left: dict
    spoilt: dict = field(default_factory=dict)
    levels: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of the numbers of a row."""
        parts = (level_names(c, self.levels[c]) if c in self.levels else [c] for c in self.used)
        return [name for part in parts for name in part]

    def lines(self, what):
        """Say what is used and what is not, for the user."""
        several = "columns are" if len(self.names) != 1 else "column is"
        used = f"{what}: {len(self.names)} {several} used: {listed(without_texts(self.names, self.levels))}"
        by_reason = {}
        for column, reason in self.left.items():
            by_reason.setdefault(reason, []).append(column)
        left = [f"{listed(columns, MOST_SHOWN)} ({reason})" for reason, columns in by_reason.items()]
        return [used, *([f"{what}: left out: {'; '.join(left)}"] if left else [])]


def sort_columns(frame, asked, where="the table", texts=None):
    """Tell the columns that describe from the others.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, or its columns without rows.
    asked : Asked
    where : str
        The table, for messages.
    texts : pandas.DataFrame, optional
        The columns of texts with their rows, if `frame` has none.

    Returns
    -------
    Sorted

    Raises
    ------
    TableError
        A pattern fits no column, a column that was asked for cannot describe, columns share a name, or it is not clear
        whether a column that describes holds thousands.

    Examples
    --------
    >>> frame = pd.DataFrame({"name": ["a"], "Unnamed: 0": [0], "x": [7], "y": [9], "area": [2.0]})
    >>> found = sort_columns(frame, Asked())
    >>> found.used, found.left
    (('area',), {'Unnamed: 0': 'numbers the rows', 'x': 'a place', 'y': 'a place'})
    """
    if asked.learnt:
        found = asked.learnt.sort(frame, asked, where)
        refuse_unclear(frame, found.used)
        return found
    refuse_repeated(frame.columns, where)
    told = set(find_names(frame, where, asked.name)) | {label_column(frame, where, asked.label)}
    words, but, uses = {*map(plain, frame.columns)}, {*map(plain, asked.named)} - {""}, _uses(asked)
    dropped, named = matching(frame.columns, asked.drop, "--drop"), {c for c in asked.keep if c in frame.columns}
    if named & told:
        raise TableError(f"--columns: {listed(named & told)} names the rows or their classes and cannot describe them")
    used, left, spoilt, levels = [], {}, {}, {}
    bare = frame.isna().all().to_numpy() if len(frame) else np.zeros(frame.shape[1], bool)
    for column, kind, empty in zip(frame.columns, frame.dtypes, bare, strict=True):
        if column in told or plain(column) in but:
            continue
        reason = "by --drop" if column in dropped else "" if column in named else _why_not(column, words)
        if not reason:
            if pd.api.types.is_bool_dtype(kind) or (pd.api.types.is_numeric_dtype(kind) and kind.kind != "c"):
                reason, rows, values = "it is empty" if empty else "", [], []
            else:
                values = frame[column] if texts is None or column not in texts else texts[column]
                reason, rows, values = _why_not_texts(values, kind, column in named)
            spoilt |= {column: rows} if rows else {}
            levels |= {column: values} if values else {}
        if reason:
            left[column] = reason
        else:
            used.append(column)
    if not used:  # without other columns, x and y cannot be places of anything
        used = [column for column, reason in left.items() if reason == PLACE and plain(column) in ("x", "y", "z")]
        left = {column: reason for column, reason in left.items() if column not in used}
    if asked.keep:
        used, left = _kept(frame, used, left, asked.keep, named, uses)
    kept = set(used)
    refuse_unclear(frame, used, ", or leave the column out with --drop {!r}")
    left = {c: "; ".join(filter(None, (why, *uses.get(plain(c), ())))) for c, why in left.items()}
    of_options = {c: "; ".join(uses[plain(c)]) for c in frame.columns if c not in told and plain(c) in {*uses} & but}
    left = of_options | left
    spoilt, levels = ({c: found[c] for c in found if c in kept} for found in (spoilt, levels))
    return Sorted(tuple(used), left, spoilt, levels)


def _uses(asked):
    """What options use columns for, by the column's plain name."""
    found = {}
    groups = [(column, "the case, by --groups") for column in asked.named if column == asked.groups]
    for column, use in (*groups, *asked.uses):
        if plain(column):
            found.setdefault(plain(column), []).append(use)
    return found


def label_column(frame, where, asked=""):
    """The column that holds the classes, or None."""
    return named_by_user(frame, asked, "--label-column", where) if asked else find_column(frame, LABEL_COLUMNS)


def fact_of(column):
    """What a column says of rows by its header: ``case``, ``slide``, ``site``, ``split``, or nothing.

    Examples
    --------
    >>> fact_of("Patient No."), fact_of("Scanner"), fact_of("set"), fact_of("area"), fact_of("label")
    ('case', 'site', 'split', '', '')
    """
    kind, word = known_kind(column), plain(column)
    if kind in ("case", "slide"):
        return kind
    return "site" if word in SITES else "split" if word in SPLITS else ""


def words_of_options(asked):
    """The columns that options name, such as ``--groups`` and ``--scheme``, as `glomfeat.data.tables.read.plain` words.

    Examples
    --------
    >>> sorted(words_of_options(Asked(but=("Part",), uses=(("Grade", "--subgroups groups by it"),))))
    ['grade', 'part']
    """
    return {*map(plain, asked.named), *(plain(column) for column, _ in asked.uses)} - {""}


def used_columns(frame, asked, ours=()):
    """The columns that say which case, slide or site a row is of, and those that options name, but for some of ours.

    Examples
    --------
    >>> used_columns(pd.DataFrame(columns=["Patient No.", "age", "area"]), Asked(but=("age",)))
    ['Patient No.', 'age']
    """
    options = words_of_options(asked)
    return [
        column
        for column in frame.columns
        if fact_of(column) in ("case", "slide", "site") or (column not in ours and plain(header_of(column)) in options)
    ]


def matching(columns, patterns, option):
    """The columns that fit any of some names or patterns.

    Raises
    ------
    TableError
        One of them fits no column.
    """
    found = set()
    for pattern in patterns:
        fit = [column for column in columns if column == pattern or fnmatchcase(str(column), pattern)]
        if not fit:
            raise TableError(f"{option} {pattern!r} fits no column: there are {listed(columns, MOST_SHOWN)}")
        found.update(fit)
    return found


def _kept(frame, used, left, patterns, named, uses):
    for pattern in patterns:
        fit = [c for c in used if c == pattern or fnmatchcase(str(c), pattern)]
        if not fit:
            if pattern in named:
                why = left.get(pattern) or "; ".join(uses.get(plain(pattern), ["another option uses it"]))
                raise TableError(f"--columns {pattern!r} cannot be taken: {why}")
            others = {c: why for c, why in left.items() if fnmatchcase(str(c), pattern)}
            if others:
                shown = listed((f"{c} ({why})" for c, why in others.items()), MOST_SHOWN)
                raise TableError(f"--columns {pattern!r} fits only columns that are left out, {shown}: {ASK}")
            matching(frame.columns, [pattern], "--columns")
            raise TableError(f"--columns {pattern!r} fits only columns that name rows, classes or cases")
    kept = {c for c in used if any(c == p or fnmatchcase(str(c), p) for p in patterns)} | named
    left = left | {c: "not in --columns" for c in used if c not in kept}
    return [c for c in used if c in kept], left


def _why_not(column, words):
    """Why a column does not describe, judging by its header and the words in the other headers."""
    word, text = plain(column), str(column)
    kinds = {"label": "a second column of classes", "case": "a case", "slide": "a slide", "name": "a second name"}
    if kind := known_kind(column):
        return kinds[kind]
    if not word or ROW_NUMBERS.fullmatch(word):
        return "numbers the rows"
    if word in SPLITS:
        return "a split"
    if word in SITES:
        return "a site"
    if text.startswith("diagnostics_"):
        return "PyRadiomics' notes on its run"
    if text.startswith("Metadata_") or ("imagenumber" in words and text.startswith(CELLPROFILER)):
        return "CellProfiler's notes on its run"
    parts = [part.lower() for part in re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|\d+", text)]
    if (parts and parts[-1] in IDS) or word in ("imagenumber", "objectnumber"):
        return "an id"
    if (word in AXES and {"x", "y"} <= words) or word == "xy" or _is_place({*parts}):
        return PLACE
    return ""


def _is_place(parts):
    """Whether the words of a header say where something is; ``max`` and ``min`` are often an intensity's instead."""
    if parts & SIDES and (parts & AXES or (parts & NUMBERED and parts <= SIDES | NUMBERED | BOXES)):
        return True
    return bool(parts & (AXES | NUMBERED) and (parts & PLACES or {"bounding", "box"} <= parts))


def _why_not_texts(values, kind, named):
    """Why a column of texts does not describe, going by its content; the rows without a number; its texts, if named."""
    if isinstance(kind, pd.CategoricalDtype):
        values = values.astype(object)
    elif not (pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind)):
        return f"{kind}, no numbers", [], []
    cells = values.dropna()
    if cells.empty:
        return "it is empty" if len(values) else "texts", [], []
    if cells.map(pd.api.types.is_list_like).any():
        return "lists: save each number as a column", [], []
    numbers = pd.to_numeric(cells, errors="coerce").notna()
    if numbers.mean() >= 0.5:
        return "", np.flatnonzero(values.index.isin(cells.index[~numbers])).tolist(), []
    texts = sorted(map(str, cells.unique())) if cells.map(type).nunique() == 1 else []
    few = 0 < len(texts) <= MOST_LEVELS and len(texts) < len(cells)
    if named:
        why = why_no_levels(texts, len(cells), len(values))
        return why, [], [] if why else texts
    what = f"texts, {len(texts)} different: --columns '*' '{values.name}' takes each as a column of 0 and 1"
    return what if few and len(texts) > 1 else "texts", [], []
