"""A table of labels and the images it names: where the table is, and which image each row belongs to."""

import contextlib
from pathlib import Path
from unicodedata import normalize

import pandas as pd

from glomfeat.data.files import names_below, split
from glomfeat.data.folders.layout import read_tree
from glomfeat.data.folders.names import are_classes, are_sites
from glomfeat.data.labels.classes import labelled, one_row_each
from glomfeat.data.labels.corrections import hold_changes
from glomfeat.data.labels.two_tables import MOST_CLASSES, clinical_table
from glomfeat.data.problems import Gap, ManifestError
from glomfeat.data.tables.columns import USUAL, label_column
from glomfeat.data.tables.joining import find_names_among, lines_on_folders
from glomfeat.data.tables.read import (
    SHEETS,
    TableError,
    as_spelt,
    columns_in_words,
    find_column,
    listed,
    plain,
    read_frame,
    read_head,
    read_values,
    row_names,
)
from glomfeat.data.tables.unclear import take_unclear

AGREE = 0.8  # the share of images whose folder fits their class, from which on folders stand for classes
OLD_LABELS = ("label", "ground truth", "class")
EVALUATION = ("name", "prediction", "label", "score", "threshold", "status")  # columns of studies.evaluate's output
PERCENTAGES = (  # columns of its tables of cases and slides, after those of what they describe
    *("pseudonym", "of_class", "images", "called", "percent", "percent_lo", "percent_hi"),
    *("labelled", "true_percent", "without_prediction"),
)
OLD_NAMES = ("path", "name", "file", "filename", "image")


def join_labels(files, labels, relative, problems, asked=USUAL, notes=None, table=None):
    """Give images the labels of a table, together with its other columns.

    Parameters
    ----------
    files : pandas.DataFrame
        ``name``, ``path`` and ``folder`` of each image, and whatever else folders tell; columns of the table replace
        those of the same name.
    labels : path-like
    relative : list of str
        The name of each image, including its folders.
    problems : list
        More are added.
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str, optional
        More are added.
    table : pandas.DataFrame, optional
        The content of `labels` with the classes, if these are not from there.

    Returns
    -------
    pandas.DataFrame
        The images that have a label, with ``raw``.
    """
    frame = labelled(labels, asked, notes, table)
    where, left_out, shown = Path(labels).name, frame.attrs["left out"], files["name"].tolist()
    found, unclear = find_names_among([*frame["name"], *left_out], relative)
    if not found and not unclear:
        _refuse_other_names(frame, where, relative)
    if notes is not None:
        notes += lines_on_folders(((name, relative[row]) for name, row in found.items()), where)
    left_out = {shown[found[name]] for name in left_out if name in found}
    frame = frame.assign(name=[shown[found[name]] if name in found else name for name in frame["name"]])
    frame = one_row_each(frame, problems if found else [], asked, [] if notes is None else notes, where)
    gone = frame["name"][~frame["name"].isin(files["name"])]
    several = gone.isin(unclear)
    if several.any():
        problems.append(
            (f"names in {where} that fit several files: write them with their folders", gone[several].tolist())
        )
    if not several.all():
        problems.append((Gap(f"labels of {where} without a file"), gone[~several].tolist()))
    own = {plain(column) for column in frame.columns} - {"name"}
    kept = [column for column in files.columns if column in ("name", "path", "folder") or plain(column) not in own]
    merged = files[kept].merge(frame.drop(columns=["path", "folder"], errors="ignore"), on="name", how="left")
    take_unclear(merged, frame, frame.columns)
    bare = merged["name"][merged["raw"].isna() & ~merged["name"].isin(left_out)].tolist()
    if bare:
        problems.append((Gap(f"files without a {'label' if table is None else 'row'} in {where}"), bare))
    return _agree(merged[merged["raw"].notna()].copy(), problems)


def _refuse_other_names(frame, where, relative):
    """Refuse a table that names no image if another of its columns does."""
    for column in frame.columns.difference(["name", "raw", *frame.attrs["named by"]], sort=False):
        texts = {*read_values(frame[column].array)} - {""}
        if 2 * len(find_names_among(texts, relative)[0]) > len(texts):
            called = " and ".join(map(repr, frame.attrs["named by"]))
            raise ManifestError(
                f"{called} of {where} names no image, and {column!r} does: say --name-column {column!r}"
            )


def tables_of_labels(folder, places, relative=(), asked=USUAL):
    """All tables of labels in a folder; the parameters are those of `find_labels`."""
    return _that_hold_labels(sheets_in(folder, places), relative, asked)


def _that_hold_labels(sheets, relative, asked):
    return [path for path in sheets if _holds_labels(path, relative, asked)]


def sheets_in(folder, places):
    """The tables in a folder, and at the top of archives and data sets in it, that may hold labels."""
    packed = [place for place in places if place != folder or split(place)[0]]
    inside = [place / name for place in packed for name in names_below(place) if "/" not in name]
    beside = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    return [path for path in sorted([*beside, *inside]) if _may_be_labels(path)]


def find_labels(folder, places, relative=(), asked=USUAL, notes=None, layout=None):
    """The only table of labels in a folder, or None.

    Parameters
    ----------
    folder : pathlib.Path
    places : list of pathlib.Path
        From `glomfeat.data.sources.places_of`.
    relative : sequence of str
        Images; a table must name some of them, unless its columns have the usual names for labels.
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str, optional
        A line is added if further tables say the same, or if folders give classes and two tables seem to.
    layout : str, optional
        What the user says folders mean.

    Raises
    ------
    ManifestError
        There are several that differ, or it is not clear whether folders or one of two tables give the classes.
    """
    sheets = sheets_in(folder, places)
    found = _that_hold_labels(sheets, relative, asked)
    found.sort(key=lambda path: SHEETS.index(path.suffix.lower()))
    if len(found) > 1:
        if len({path.suffix.lower() for path in found}) < len(found) or not _say_the_same(found):
            names = ", ".join(path.name for path in found)
            raise ManifestError(
                f"{folder} holds several tables of labels ({names}): say with --labels which one is right"
            )
        if notes is not None:
            others = " and ".join(path.name for path in found[1:])
            say = "says" if len(found) == 2 else "say"
            notes.append(f"{others} {say} the same as {found[0].name}, which is read")
    if found:
        return found[0]
    table = clinical_table([path for path in sheets if not _holds_percentages(path)])
    if table is None or not places or label_column(read_head(table), table.name, asked.label):
        return table
    return None if _are_by_folder(table.name, relative, layout, notes) else table


def _are_by_folder(table, relative, layout, notes):
    """Whether folders give the classes, and not a column of a table whose header does not say so."""
    tree = read_tree(relative, layout, labelled=True)
    kind, most = ("class", len(relative)) if layout else ("ignore", MOST_CLASSES)
    levels = zip(tree.levels, tree.names, strict=True)
    found = [names for one, names in levels if one == kind and 1 < len(names) <= most]
    if found and not layout and not any(are_classes(one) and not all(map(str.isdecimal, one)) for one in found):
        raise ManifestError(
            f"the folders {listed(found[0])} and a column of {table} may both be the classes: say which column it is "
            "with --label-column, or what the folders mean with --layout, such as class/image"
        )
    if found and notes is not None:
        notes.append(
            f"warning: {table} is not used, because folders give the classes: to use it, add a column 'label' to the "
            "table of its patients' files, or name the column of classes with --label-column"
        )
    return bool(found)


def _say_the_same(paths):
    """Whether tables of several formats hold the same cells, in any order of rows and columns."""
    try:
        frames = [read_frame(path) for path in paths]
    except TableError:
        return False
    cells = [{plain(column): read_values(frame[column].to_numpy(object)) for column in frame} for frame in frames]
    rows = [sorted(zip(*(held[word] for word in sorted(held)), strict=True)) for held in cells]
    return all({*held} == {*cells[0]} and row == rows[0] for held, row in zip(cells, rows, strict=True))


def tables_beside(folder):
    """Describe the tables in a folder that are not taken as labels; empty if there are none.

    Parameters
    ----------
    folder : pathlib.Path
    """
    lines = _tables_in(folder)
    more = ", and --name-column and --label-column say which names images and which holds classes" if lines else ""
    return "; ".join([""] + lines) + more


def refuse_unused(folder, asked, notes):
    """Refuse columns of names or labels that the user names although no table of labels has been found.

    If tables other than those of DATA are read too, the columns may be for these alone, and a line says so.

    Parameters
    ----------
    folder : pathlib.Path
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str
        More are added.

    Raises
    ------
    ManifestError
        Names the tables that are there, and their columns.
    """
    options = ("--label-column", asked.label), ("--name-column", asked.name)
    named = " with ".join(f"{option} {column!r}" for option, column in options if column)
    if not named:
        return
    if asked.others:
        notes.append(f"no table of labels in {folder} fits {named}, which is used for other tables alone")
        return
    there = "; ".join(_tables_in(folder)) or "there is none"
    raise ManifestError(
        f"no table of labels in {folder} fits {named}: {there}; correct the name, give the table with --labels, or "
        "leave the option out"
    )


def _tables_in(folder):
    """Describe the first few tables in a folder that may hold labels, a text each."""
    lines = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_file() or path.name.startswith((".", "~$")):
            continue
        if path.suffix.lower() in (".xls", ".ods", ".numbers"):
            lines.append(f"{path.name} is no table that is read, save it as .xlsx or .csv")
        elif _may_be_labels(path):
            with contextlib.suppress(TableError):
                lines.append(f"{path.name} has {columns_in_words(read_head(path))}")
    return lines[:3]


def _may_be_labels(path):
    return path.suffix.lower() in SHEETS and not path.name.startswith((".", "~$")) and path.name != "quarantine.csv"


def _holds_percentages(path):
    """Whether a table is one from studies.evaluate that gives cases and not classes."""
    try:
        return tuple(read_head(path).columns)[-len(PERCENTAGES) :] == PERCENTAGES
    except TableError:
        return False


def _holds_labels(path, relative, asked):
    """Whether a table names images and their classes; an unreadable file counts only if its name ends in CSV."""
    try:
        head = read_head(path)
    except TableError:
        if path.suffix.lower() == ".csv":
            raise
        return False
    if is_ours(head):
        return False
    if any(one and not as_spelt(head, one) for one in (asked.name, asked.label)):
        return False
    usual = find_column(head, OLD_LABELS) is not None and find_column(head, OLD_NAMES) is not None
    if usual and path.suffix.lower() == ".csv":
        return True
    return label_column(head, path.name, asked.label) is not None and names_images(head, path, relative, asked)


def is_ours(head):
    """Whether a table is one from studies.evaluate, or holds changes from a study, which only --labels applies."""
    calls = tuple(head.columns)[: len(EVALUATION)] == EVALUATION  # what it calls a label is a model's prediction
    return calls or hold_changes(head.columns)


def names_images(head, path, relative, asked):
    """Whether at least half of the names in a table are those of images."""
    names = row_names(head, path.name, asked.name)
    if names is None:
        return False
    found, _ = find_names_among(names.tolist(), relative)
    return 2 * len(found) >= len(set(names))


def _agree(frame, problems):
    """If folders and the CSV's classes correspond one to one, both must agree, and the folders name the classes.

    Folders correspond to classes if they have the same names, or if nearly all images fit: sites that just have more
    images of one class do not.
    """
    counts = pd.crosstab(frame["folder"], frame["raw"])
    usual = counts.idxmax(axis=1)
    if "" in counts.index or counts.shape[0] != counts.shape[1] or usual.nunique() != len(usual) or len(usual) < 2:
        return frame
    folders, classes = ({normalize("NFC", name.lower()) for name in names} for names in (counts.index, counts.columns))
    called = folders == classes
    if not called and (are_sites(counts.index) or counts.max(axis=1).sum() < AGREE * len(frame)):
        return frame
    other = frame["raw"] != frame["folder"].map(usual)
    if other.any():
        what = "images under two labels, one in the CSV and one by their folder"
        problems.append((what, frame["name"][other].tolist()))
    return frame.assign(raw=frame["folder"])
