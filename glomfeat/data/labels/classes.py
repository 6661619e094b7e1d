"""Which class each image belongs to, by a table of labels or by its folder."""

import re
import shlex
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.plugins import did_you_mean
from glomfeat.core.words import as_seen, joined, number_of
from glomfeat.data.embeddings.read import read_asked
from glomfeat.data.labels.positive import usual_positive
from glomfeat.data.labels.two_tables import read_two
from glomfeat.data.problems import SHOWN, ManifestError
from glomfeat.data.tables.columns import USUAL, label_column, used_columns, words_of_options
from glomfeat.data.tables.delimited import look_at, read_text
from glomfeat.data.tables.own import OURS, header_of, set_apart
from glomfeat.data.tables.read import (
    LABEL_COLUMNS,
    NAME_COLUMNS,
    OF_TEXT,
    TEXTS,
    TableError,
    columns_in_words,
    find_names,
    known_kind,
    plain,
    read_values,
    row_names,
    word_of,
)
from glomfeat.data.tables.unclear import HELD

WHOLE = re.compile(r"-?\d+")
SURE = {"label", "groundtruth", "class"}
# texts that programs write where there is no value; some are classes too, and people write "none" for no lesion
NO_LABEL = {"nan", "-nan", "<na>", "#n/a", "#na", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "#null!"}
DOUBTED = {"na", "n/a", "none", "null"}
MARKS = "?.-–—"  # a class may be called -, beside one that is called +


def clean_label(value):
    """A label as text; 1, 1.00 and ' 1 ' are one class, and NaN and #N/A are none."""
    text = "" if pd.isna(value) else str(value).strip()
    if text.casefold() in NO_LABEL:
        return ""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def refuse_no_rows(path, frame):
    """Refuse a table that has only a header: it says nothing about what it should hold."""
    if frame.empty:
        raise ManifestError(f"{path} holds a header but no rows: save it again with its rows")


def labelled(path, asked=USUAL, notes=None, frame=None):
    """Read a table that must name images and label them.

    Parameters
    ----------
    path : path-like
    asked : glomfeat.data.tables.columns.Asked
        Which columns do so, if the user says it.
    notes : list of str, optional
        Lines for the user; more are added.
    frame : pandas.DataFrame, optional
        The table, if it has been read already.

    Returns
    -------
    pandas.DataFrame
        The table with ``name`` and ``raw``, the label as text; other columns of it that are called like one of ours
        are `glomfeat.data.tables.own.set_apart`; ``attrs["named by"]`` holds the columns of the names,
        ``attrs["left out"]`` the files of patients whose class a second table does not give, ``attrs["unclear"]`` the
        columns that may hold thousands.

    Raises
    ------
    ManifestError
        A column is missing, or two columns of labels disagree.
    """
    notes = [] if notes is None else notes
    where = Path(path).name
    frame = read_asked(path, asked) if frame is None else frame
    refuse_no_rows(path, frame)
    if said := frame.attrs.get("said"):
        notes.append(f"{where}: read with {said}")
    notes += lines_on_emptied(path, frame, asked)
    frame = _without_bare(frame)
    names = label = wrong = None
    left_out = []
    try:
        names, label = row_names(frame, where, asked.name), label_column(frame, where, asked.label)
    except TableError as error:
        wrong = error
    if names is None or label is None:
        both = read_two(Path(path), frame, asked, notes)
        if both is None and wrong is not None:
            raise wrong
        if both is None:
            have, called = columns_in_words(frame), ", ".join(NAME_COLUMNS[:5])
            alone = "" if names is None else "; from a table beside class folders, --groups alone takes the cases"
            raise ManifestError(
                f"{path} has {have}: one of {called}, ... must name the image and one of "
                f"{', '.join(LABEL_COLUMNS[:4])}, ... its class, or say which with --name-column and --label-column"
                f"{alone}"
            )
        frame, label = both
        names, known = row_names(frame, where, asked.name), frame[label].notna()
        left_out = names[~known].tolist()
        frame, names = (part[known].reset_index(drop=True) for part in (frame, names))
    _check_second(frame, where, label, asked, notes)
    called = find_names(frame, where, asked.name)
    raw = [*map(clean_label, frame[label])]
    if not asked.label and known_kind(label) != "label":  # only the class: no option names it, no header says so
        frame = frame.drop(columns=label)
    frame = set_apart(frame, {*OURS} - {*called}).assign(name=names, raw=raw)
    notes += _lines_on_doubted(frame["raw"], where)
    frame.attrs = {"named by": called, "left out": left_out, HELD: frame.attrs.get(HELD, {})}
    return frame


def _lines_on_doubted(labels, where):
    """Warn of texts that are taken for classes and may mean that there is no label, such as NA and ?."""
    counts = labels[labels != ""].value_counts()
    marks = "?" if any("+" in text for text in counts.index) else MARKS
    return [
        f"warning: {text!r} in {number_of(rows, 'row')} of {where} is taken for a class: if it means no label, empty "
        "the cells"
        for text, rows in counts.items()
        if (text.casefold() in DOUBTED and text != "none") or not text.strip(marks)
    ]


def _without_bare(frame):
    """A table without rows that hold nothing; hardly any is left to be looked at behind the first columns."""
    bare = np.arange(len(frame))
    for place in range(frame.shape[1]):
        cells = frame.iloc[bare, place]
        bare = bare[(cells.isna() | (cells.astype(str) == "")).to_numpy()]  # cells may be lists
    return frame.iloc[np.delete(np.arange(len(frame)), bare)].reset_index(drop=True) if len(bare) else frame


def lines_on_emptied(path, frame, asked):
    """Name texts such as NA that count as no value in columns of texts that options name, though they may be values.

    In other files than texts such values are what they are. `frame` is the table as it was read.
    """
    path, words = Path(path), words_of_options(asked)
    lacking = [column for column in frame.columns if plain(column) in words and frame[column].isna().any()]
    lacking = [c for c in lacking if pd.to_numeric(frame[c].dropna(), errors="coerce").isna().any()]
    if not lacking or path.suffix.lower() not in TEXTS:
        return []
    form, lines = look_at(path, OF_TEXT), []
    written = read_text(path, form, only=[column for column in lacking if column in form.header])
    for column in written:
        texts = written[column].iloc[: len(frame)].str.strip()[frame[column].isna().to_numpy()]
        for text, rows in texts[texts.str.casefold().isin(DOUBTED)].value_counts().items():
            of = f"{text!r} in {number_of(rows, 'row')} of column {column!r}"
            lines.append(f"{path.name}: {of} counts as no value: if it is a value, write another text")
    return lines


def _check_second(frame, where, label, asked, notes):
    """Refuse a second column of classes that contradicts the first."""
    first = frame[label].map(clean_label)
    for other in [] if asked.label else [column for column in frame.columns if known_kind(column) == "label"]:
        if other == label:
            continue
        rows = differing(first, frame[other].map(clean_label), {word_of(label), word_of(other)} <= SURE)
        if rows is None:
            notes.append(f"column {other!r} of {where} tells something else than {label!r}, which is used as the class")
            continue
        if rows.empty:
            continue
        shown = "; ".join(f"row {row + 1}: {one} and {two}" for row, one, two in rows.head(SHOWN).itertuples())
        raise ManifestError(
            f"{where}: columns {label!r} and {other!r} are both classes and disagree in {number_of(len(rows), 'row')} "
            f"({shown}); say with --label-column which one is right, or take the other out"
        )


def differing(first, second, sure=False):
    """The rows in which two columns of classes disagree, whatever each calls a class.

    Parameters
    ----------
    first, second : pandas.Series of str
        From `clean_label`, with the same index.
    sure : bool
        Whether the headers say that both tell the same.

    Returns
    -------
    pandas.DataFrame or None
        ``first``, ``second``; None if the columns tell different things, as a class and its subtype do.

    Examples
    --------
    >>> differing(pd.Series(["1", "0", "1", "0"]), pd.Series(["ill", "well", "ill", "ill"])).to_numpy().tolist()
    [['0', 'ill']]
    """
    pairs = pd.DataFrame({"first": first, "second": second})[(first != "") & (second != "")]
    spelt, distinct, count = pairs.map(spelling), pairs.drop_duplicates(), pairs.nunique()
    if {*spelt["first"]} == {*spelt["second"]}:  # one set of classes, so that each row can be compared by itself
        return pairs[spelt["first"] != spelt["second"]]
    if len(distinct) <= max(count):  # one can be told from the other
        return pairs[:0]
    if count["first"] != count["second"] and not sure:
        return None
    usual = pairs.groupby("second")["first"].agg(lambda texts: texts.mode()[0])
    return pairs[pairs["first"] != pairs["second"].map(usual)]


def one_row_each(frame, problems, asked, notes, where, same=None):
    """Keep the first row of each image; report images whose rows differ in their label or in a column that is used.

    These are the columns that options name, and those of cases, slides and sites. `where` is the table, for messages,
    and `same` what rows of one image share, by default its name. More is added to `problems` and `notes`.
    """
    same = frame["name"] if same is None else same
    twice = same.duplicated(keep=False)
    if not twice.any():
        return frame
    rows, of = frame[twice], same[twice]
    found = len(problems)
    for column in ("raw", *used_columns(frame, asked, OURS)):
        texts = rows["raw"].map(spelling) if column == "raw" else read_values(rows[column].to_numpy(object))
        differ = texts.set_axis(rows.index).groupby(of).transform("nunique") > 1
        what = "rows of images under two labels"
        if column != "raw":
            what = (
                f"images with several rows in {where} that differ in column {header_of(column)!r}: keep one row of each"
            )
        if differ.any():
            problems.append((what, sorted(set(rows["name"][differ]))))
    again = int(same.duplicated().sum())
    if len(problems) == found:
        notes.append(
            f"{number_of(again, 'row', 'rows')} of {where} {'repeats' if again == 1 else 'repeat'} an image: left out"
        )
    return frame[~same.duplicated()]


def spelling(label):
    """A label without case and blanks, for comparing labels; accents are one letter, however they are stored.

    Examples
    --------
    >>> spelling("Non GS") == spelling("nonGS ")
    True
    """
    return unicodedata.normalize("NFC", "".join(as_seen(label).casefold().split()))


def one_spelling(labels, notes):
    """Merge labels that differ only in case, blanks or the form of letters into one class, in the commonest spelling.

    Examples
    --------
    >>> notes = []
    >>> one_spelling(pd.Series(["GS", "gs", "GS"]), notes).tolist()
    ['GS', 'GS', 'GS']
    >>> print(*notes)
    warning: 'GS' (2) and 'gs' (1) differ by case, blanks or the form of letters and are one class, 'GS'
    """
    counts, spelt = labels.value_counts(), {}
    for text in sorted(counts.index, key=lambda text: (-counts[text], text)):
        spelt.setdefault(spelling(text), []).append(text)
    for texts in spelt.values():
        if len(texts) > 1:
            shown = " and ".join(f"{text!r} ({counts[text]})" for text in texts)
            notes.append(
                f"warning: {shown} differ by case, blanks or the form of letters and are one class, {texts[0]!r}"
            )
    usual = {text: texts[0] for texts in spelt.values() for text in texts}
    return labels.map(usual)


def class_numbers(labels, classes, notes=None):
    """The number of each label's class: by name without case and blanks or, if no class is a number, by number.

    Parameters
    ----------
    labels : pandas.Series of str
    classes : sequence of str
    notes : list of str, optional
        A line is added on what numbers are taken for, if there are any.

    Returns
    -------
    pandas.Series of float
        NaN for what is no class.

    Examples
    --------
    >>> class_numbers(pd.Series(["gs", "0", "ill"]), ["Non GS", "GS"], notes := []).tolist()
    [1.0, 0.0, nan]
    >>> notes[0].rpartition(": ")[2]
    '0 is taken for Non GS and 1 for GS; write names, if they mean something else'
    >>> class_numbers(pd.Series(["2", "1"]), ["1", "2"]).tolist()
    [1.0, 0.0]
    """
    spelt, known = labels.map(spelling), {spelling(name): number for number, name in enumerate(classes)}
    numbers = {} if any(map(WHOLE.fullmatch, classes)) else {str(k): k for k in range(len(classes))}
    if notes is not None and spelt.isin(numbers).any():
        first, *others = classes
        meant = joined([f"0 is taken for {first}", *(f"{k} for {name}" for k, name in enumerate(others, 1))])
        notes.append(f"warning: classes are given as numbers: {meant}; write names, if they mean something else")
    return spelt.map(known | numbers).astype(float)


def order_classes(names, positive, problems):
    """Sort classes, numbers by value, and put the positive one last."""
    ordered = sorted(names, key=lambda name: (0, int(name), name) if WHOLE.fullmatch(name) else (1, 0, name))
    if len(ordered) < 2:
        problems.append((f"one class only ({ordered[0]}): there is nothing to tell apart", []))
    if positive is None:
        positive = usual_positive(ordered)
    elif positive not in ordered and spelling(positive) in map(spelling, ordered):
        positive = next(name for name in ordered if spelling(name) == spelling(positive))
    elif positive not in ordered:
        problems.append((f"--positive {positive!r} is not a class: there are {', '.join(ordered)}", []))
        return tuple(ordered)
    return (*(name for name in ordered if name != positive), positive)


@dataclass(frozen=True)
class Known:
    """The classes of a data set, whose names another data set must use.

    Attributes
    ----------
    classes : tuple of str
        In their order.
    called : dict of str to str
        Classes that the other one names differently: from its name to the name here.
    """

    classes: tuple
    called: dict = field(default_factory=dict)

    def find(self, labels, problems, notes):
        """The class of each label, by its name without case and blanks; empty if there is no such class.

        Parameters
        ----------
        labels : pandas.Series of str
        problems, notes : list
            Unknown classes are added to the former, classes with another name to the latter.

        Returns
        -------
        pandas.Series of str

        Examples
        --------
        >>> problems, notes = [], []
        >>> known = Known(("normal", "sclerotic"), {"GS": "sclerotic"})
        >>> known.find(pd.Series(["gs", "Normal", "other"]), problems, notes).tolist(), notes
        (['sclerotic', 'normal', ''], ["class 'gs' is taken for sclerotic (1 image)"])
        >>> print(problems[0][0].partition(": ")[0])
        no class of DATA is called 'other' (1 image)
        """
        ours, counts = {spelling(name): name for name in self.classes}, labels.value_counts(sort=False)
        theirs = {spelling(name): own for name, own in self.called.items()}
        found = {}
        for text, images in counts.items():
            found[text] = theirs.get(spelling(text)) or ours.get(spelling(text), "")
            many = f"{images} image{'s' if images > 1 else ''}"
            if not found[text]:
                problems.append(
                    (
                        f"no class of DATA is called {text!r} ({many}): {did_you_mean(text, self.classes)}; say which "
                        f"it is with --map {shlex.quote(f'{text}=CLASS')}, or take it out of the cohort",
                        [],
                    )
                )
            elif spelling(found[text]) != spelling(text):
                notes.append(f"class {text!r} is taken for {found[text]} ({many})")
        return labels.map(found)
