"""A table of labels and the images it names: where the table is, and which image each row belongs to."""

import contextlib
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pandas as pd

from glomfeat.data.embeddings.read import read_asked
from glomfeat.data.files import names_below, split
from glomfeat.data.folders.layout import read_tree
from glomfeat.data.folders.names import are_classes, are_sites
from glomfeat.data.labels.classes import labelled, one_row_each
from glomfeat.data.labels.corrections import hold_changes
from glomfeat.data.labels.two_tables import MOST_CLASSES, clinical_table
from glomfeat.data.problems import Gap, ManifestError
from glomfeat.data.tables.columns import label_column
from glomfeat.data.tables.joining import find_names_among, lines_on_folders
from glomfeat.data.tables.own import header_of
from glomfeat.data.tables.read import (
    SHEETS,
    TableError,
    as_spelt,
    columns_in_words,
    find_column,
    known_kind,
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
SHOWN = 6
OLD_NAMES = ("path", "name", "file", "filename", "image")


def join_labels(files, labels, relative, problems, asked, notes, table=None):
    """Give images the labels of a table, together with its other columns.

    Parameters
    ----------
    files : pandas.DataFrame
        ``name``, ``path`` and ``folder`` of each image, and whatever else folders tell; columns of the table replace
        those of the same name.
    labels : path-like
    relative : list of str
        The name of each image, including its folders.
    problems, notes : list
        More are added.
    asked : glomfeat.data.tables.columns.Asked
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
    notes += lines_on_folders(((name, relative[row]) for name, row in found.items()), where)
    left_out = {shown[found[name]] for name in left_out if name in found}
    frame = frame.assign(name=[shown[found[name]] if name in found else name for name in frame["name"]])
    frame = one_row_each(frame, problems if found else [], asked, notes, where)
    gone = frame["name"][~frame["name"].isin(files["name"])]
    several = gone.isin(unclear)
    if several.any():
        problems.append(
            (f"names in {where} that fit several files: write them with their folders", gone[several].tolist())
        )
    if not several.all():
        problems.append((Gap(f"labels of {where} without a file"), gone[~several].tolist()))
    own = {plain(column) for column in frame.columns} - {"name"}
    ours = ["path", "folder", "in"]  # in the table only as the column of the names
    kept = [column for column in files.columns if column in ("name", *ours) or plain(column) not in own]
    merged = files[kept].merge(frame.drop(columns=ours, errors="ignore"), on="name", how="left")
    take_unclear(merged, frame, [*map(header_of, frame.columns)])
    bare = merged["name"][merged["raw"].isna() & ~merged["name"].isin(left_out)].tolist()
    if bare:
        problems.append((Gap(f"files without a {'label' if table is None else 'row'} in {where}"), bare))
    return _agree(merged[merged["raw"].notna()].copy(), problems)


def _refuse_other_names(frame, where, relative):
    """Refuse a table that names no image if another of its columns does."""
    for column in frame.columns.difference(["name", "raw", *frame.attrs["named by"]], sort=False):
        texts, column = {*read_values(frame[column].array)} - {""}, header_of(column)
        if 2 * len(find_names_among(texts, relative)[0]) > len(texts):
            called = " and ".join(map(repr, frame.attrs["named by"]))
            raise ManifestError(
                f"{called} of {where} names no image, and {column!r} does: say --name-column {column!r}"
            )


def heads_in(folder, places):
    """The first rows of the tables in a folder, and at the top of archives and data sets in it, that may hold labels.

    An unreadable file is passed over, unless its name ends in CSV.
    """
    packed = [place for place in places if place != folder or split(place)[0]]
    inside = [place / name for place in packed for name in names_below(place) if "/" not in name]
    beside = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    heads = {}
    for path in sorted([*beside, *inside]):
        if path.suffix.lower() in SHEETS and not path.name.startswith((".", "~$")) and path.name != "quarantine.csv":
            try:
                heads[path] = read_head(path)
            except TableError:
                if path.suffix.lower() == ".csv":
                    raise
    return heads


def tables_of_labels(heads, relative, asked):
    """All tables of labels among those of `heads_in`; the parameters are those of `find_labels`."""
    return [path for path, head in heads.items() if _holds_labels(path, head, relative, asked)]


def find_labels(folder, heads, relative, asked, notes, layout=None, by_folder=True):
    """The only table of labels in a folder, or None.

    Parameters
    ----------
    folder : pathlib.Path
    heads : dict of pathlib.Path to pandas.DataFrame
        From `heads_in`.
    relative : sequence of str
        Images; a table must name some of them, unless its columns have the usual names for labels.
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str
        A line is added if further tables say the same, or if folders give classes and two tables seem to.
    layout : str, optional
        What the user says folders mean.
    by_folder : bool
        Whether folders may give the classes.

    Raises
    ------
    ManifestError
        There are several that differ, or it is not clear whether folders or one of two tables give the classes.
    """
    found = tables_of_labels(heads, relative, asked)
    found.sort(key=lambda path: SHEETS.index(path.suffix.lower()))
    if len(found) > 1:
        if not _say_the_same(found):
            names = ", ".join(path.name for path in found)
            raise ManifestError(
                f"{folder} holds several tables of labels ({names}): say with --labels which one is right"
            )
        others, say = " and ".join(path.name for path in found[1:]), "says" if len(found) == 2 else "say"
        notes.append(f"{others} {say} the same as {found[0].name}, which is read")
    if found:
        return found[0]
    # tables of studies.evaluate give cases and not classes
    table = clinical_table({p: head for p, head in heads.items() if _ends(head) != PERCENTAGES})
    if table is None or not by_folder or label_column(heads[table], table.name, asked.label):
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
    if found:
        notes.append(
            f"warning: {table} is not used, because folders give the classes: to use it, add a column 'label' to the "
            "table of its patients' files, or name the column of classes with --label-column"
        )
    return bool(found)


def _say_the_same(paths):
    """Whether tables hold the same cells, in any order of rows and columns."""
    try:
        frames = [read_frame(path) for path in paths]
    except TableError:
        return False
    cells = [{plain(column): read_values(frame[column].to_numpy(object)) for column in frame} for frame in frames]
    rows = [sorted(zip(*(held[word] for word in sorted(held)), strict=True)) for held in cells]
    return all({*held} == {*cells[0]} and row == rows[0] for held, row in zip(cells, rows, strict=True))


def tables_beside(folder, heads):
    """Describe the tables in a folder that are not taken as labels; empty if there are none."""
    lines = _tables_in(folder, heads)
    more = ", and --name-column and --label-column say which names images and which holds classes" if lines else ""
    return "; ".join([""] + lines) + more


def refuse_unused(folder, heads, asked, notes):
    """Refuse columns of names or labels that the user names although no table of labels has been found.

    If tables other than those of DATA are read too, the columns may be for these alone, and a line says so.
    """
    options = ("--label-column", asked.label), ("--name-column", asked.name)
    named = " with ".join(f"{option} {column!r}" for option, column in options if column)
    if not named:
        return
    if asked.others:
        notes.append(f"no table of labels in {folder} fits {named}, which is used for other tables alone")
        return
    there = "; ".join(_tables_in(folder, heads)) or "there is none"
    raise ManifestError(
        f"no table of labels in {folder} fits {named}: {there}; correct the name, give the table with --labels, or "
        "leave the option out"
    )


def _tables_in(folder, heads):
    """Describe the first few tables in a folder that may hold labels, a text each."""
    lines = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path in heads:
            lines.append(f"{path.name} has {columns_in_words(heads[path])}")
        elif path.suffix.lower() in (".xls", ".ods", ".numbers") and not path.name.startswith((".", "~$")):
            lines.append(f"{path.name} is no table that is read, save it as .xlsx or .csv")
    return lines[:3]


def _ends(head):
    """The last columns of a table, as many as studies.evaluate writes in those of cases and slides."""
    return tuple(head.columns)[-len(PERCENTAGES) :]


def _holds_labels(path, head, relative, asked):
    """Whether a table names images and their classes."""
    if _is_ours(head) or any(one and not as_spelt(head, one) for one in (asked.name, asked.label)):
        return False
    usual = find_column(head, OLD_LABELS) is not None and find_column(head, OLD_NAMES) is not None
    if usual and path.suffix.lower() == ".csv":
        return True
    return label_column(head, path.name, asked.label) is not None and _names_images(head, path, relative, asked)


def _is_ours(head):
    """Whether a table is one from studies.evaluate, or holds changes from a study, which only --labels applies."""
    calls = tuple(head.columns)[: len(EVALUATION)] == EVALUATION  # what it calls a label is a model's prediction
    return calls or hold_changes(head.columns)


def _names_images(head, path, relative, asked):
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
    if frame.empty:
        return frame
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


def with_columns(files, folder, heads, relative, problems, asked, notes):
    """Join the table beside class folders that has the column of ``--groups``, and tell of those that may give classes.

    The parameters are those of `find_labels` and `join_labels`; images have the class of their folder in ``raw``.
    """
    found = []
    for path, head in _that_name_images(heads, relative, asked):
        groups = as_spelt(head, asked.groups)
        found += [path] if groups else []
        if columns := [column for column in head if column != groups and _may_tell(head[column])]:
            notes.append(
                f"folders give the classes, although {path.name} names images: if one of its columns "
                f"({listed(columns, SHOWN)}) holds classes, name it with --label-column, if cases with --groups"
            )
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise ManifestError(f"{names} have the column {asked.groups!r} of --groups: leave one of them in {folder}")
    if not found:
        return files
    frame = read_asked(found[0], asked)
    names = row_names(frame, found[0].name, asked.name).tolist()
    rows, _ = find_names_among(names, relative)
    frame = frame.assign(label=[files["raw"].iloc[rows[name]] if name in rows else "" for name in names])
    files, asked = files.assign(folder=files["raw"]), replace(asked, label="")
    return join_labels(files, found[0], relative, problems, asked, notes, frame)


def holds_groups(heads, relative, asked):
    """Whether a table that names the images has the column of ``--groups``; parameters as for `find_labels`."""
    return any(as_spelt(head, asked.groups) for _, head in _that_name_images(heads, relative, asked))


def _that_name_images(heads, relative, asked):
    """The tables that name images but no classes, and their first rows."""
    for path, head in heads.items():
        with contextlib.suppress(TableError):  # there is no column of the name that the user gives
            if not _is_ours(head) and _names_images(head, path, relative, asked):
                yield path, head


def _may_tell(values):
    """Whether a column may hold classes or cases: by its header, or by its few different values."""
    kind = known_kind(values.name)
    return kind == "case" or (not kind and 0 < values.nunique() <= MOST_CLASSES)
