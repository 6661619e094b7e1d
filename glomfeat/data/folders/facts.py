"""What folders say about images beyond file names and tables of labels: case, slide, site and part of a split."""

import numpy as np
import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.cases import BELOW, BY_FOLDER, JOINED, cases_in_names, connected
from glomfeat.data.files import split
from glomfeat.data.folders.layout import MAYBE
from glomfeat.data.folders.names import part_in, patient_in, split_of
from glomfeat.data.tables.read import CASE_COLUMNS, SLIDE_COLUMNS, find_column, listed

FACTS = ("slide", "site", "split")
BY_NAMES = "--groups REGEX takes those of names"
ENOUGH = 0.75  # if fewer cases are left, names are numbers within each folder and tell no patients
SHOWN = 3
CORRECTED = "; --layout corrects this"
KNOWN = {"slide": SLIDE_COLUMNS, "site": ("site",), "split": ("split",)}


def add_facts(frame, folders, tree, notes, labels=""):
    """Give images the facts that only their folders tell: ``slide``, ``site``, ``split`` and `BY_FOLDER`.

    Columns of the user's in `frame` take precedence. `folders` has the folder of each row, `tree` is a
    `glomfeat.data.folders.layout.Tree`, and `labels` the table that gives the classes, empty if folders do. A line is
    added to `notes`.
    """
    shown = tree
    if {"case", MAYBE} & {*tree.levels} and (tree.by_hand or find_column(frame, CASE_COLUMNS) is None):
        shown, frame = _with_cases(frame, folders, tree)
    elif "case" in tree.levels and BELOW not in frame:
        frame = frame.assign(**{BELOW: _patients(_column(tree, "case", folders))})
    elif MAYBE in tree.levels:
        shown = tree.taken(MAYBE, "site")
    if BY_FOLDER not in frame and (place := _unused(shown)) is not None:
        at = len(tree.above) + place
        frame = frame.assign(**{BELOW: ["/".join(folder.split("/")[at : at + 1]) for folder in folders]})
    for kind in FACTS:
        if kind in shown.levels and find_column(frame, KNOWN[kind]) is None:
            frame = frame.assign(**{kind: _column(shown, kind, folders)})
            frame.attrs["by folder"] = (*frame.attrs.get("by folder", ()), kind)
    if shown.levels:
        looked = f"{'/'.join(shown.above)} looked through, then " if shown.above else ""
        told = f"; {labels} gives the classes" if labels else ""
        notes.insert(0, f"folders: {looked}{shown}{told}{'' if tree.by_hand else CORRECTED}")
    return frame


def split_by_archive(places, paths):
    """The part of a split that the archive of each image is named for, by path.

    Parameters
    ----------
    places : list of pathlib.Path
        From `glomfeat.data.sources.places_of`.
    paths : list of str
        Of images, from `glomfeat.data.sources.files_of`.

    Returns
    -------
    dict of str to str
        Empty unless all archives are named for a part, and not all for the same.
    """
    parts = {archive: part_in(archive.stem) for place in places if (archive := split(place)[0])}
    if "" in parts.values() or len({*parts.values()}) < 2:
        return {}
    return {path: parts[split(path)[0]] for path in paths}


def _unused(tree):
    """The first level below the classes that means nothing known and yet distinguishes images, or None."""
    if "class" not in tree.levels or tree.by_hand:
        return None
    levels = enumerate(zip(tree.levels, tree.names, strict=True))
    found = [k for k, (kind, names) in levels if kind == "ignore" and len(names) > 1 and k > tree.levels.index("class")]
    return found[0] if found else None


def _column(tree, kind, folders):
    found = [tree.of(kind, folder) or None for folder in folders]
    return [split_of(name or "") or part_in(name or "") or name for name in found] if kind == "split" else found


def _with_cases(frame, folders, tree):
    """Choose between cases by folder and by name: names win if the cases are the same or join several folders."""
    kind = "case" if "case" in tree.levels else MAYBE
    own = _column(tree, kind, folders)
    by_folder = own if tree.by_hand else _patients(own)
    shown = tree.taken(kind, "case" if by_folder == own or "slide" in tree.levels else "slide")
    told = None if tree.by_hand else cases_in_names(frame["name"])
    if told is None:
        return shown, frame.assign(**{BY_FOLDER: by_folder})
    both = pd.DataFrame({"folder": by_folder, "name": np.asarray(told["case"], object)})
    pairs, count = len(both.drop_duplicates()), both.nunique()
    if count["folder"] == pairs or kind == MAYBE:  # by name, each folder holds one case
        nested = "ignore" if len({*own} - {None}) == count["name"] else "slide" if kind == "case" else "site"
        return tree.taken(
            kind, "case" if nested == "ignore" else nested if nested not in tree.levels else "ignore"
        ), frame
    give = f"cases: folders give {count['folder']} and the names of files {count['name']}"
    said, across, then = give, [], f"those of folders are taken, {BY_NAMES}"
    if count["name"] < pairs:
        said = f"warning: {give}, and neither fits into the other"
        if both["folder"].notna().all() and (cases := _joined(both)).nunique() >= ENOUGH * count.min():
            by_folder, across = cases.tolist(), frame["name"][_across(both)].tolist()
            lie = number_of(len(across), "image lies", "images lie")
            said = f"warning: {give}, but {lie} in a folder of another case"
            then = f"cases that such images connect are joined, {cases.nunique()} are left; move them, or {BY_NAMES}"
    frame = frame.assign(**{BY_FOLDER: by_folder})
    frame.attrs[BY_FOLDER] = (said, across, then)
    return shown, frame


def _patients(folders):
    """The patient of each folder if several folders, such as those of biopsies, are of one; else the folders."""
    found = [folder and patient_in(folder) for folder in folders]
    return found if len({*found}) < len({*folders}) else folders


def _sides(both):
    """The coarser and the finer of two ways to tell cases."""
    return sorted(both.columns, key=both.nunique().get)


def _joined(both):
    """The case of each image if folders and names that share an image are of one patient, called as by the coarser."""
    groups = connected(both["folder"], both["name"])
    return both[_sides(both)[0]].groupby(groups).transform(lambda cases: JOINED.join(sorted(set(cases))))


def _across(both):
    """Which images lie elsewhere than most of their folder, or, if folders are coarser, than most of their name."""
    coarse, fine = _sides(both)
    usual = both.groupby(fine)[coarse].agg(lambda cases: cases.mode()[0])
    return (both[coarse] != both[fine].map(usual)).to_numpy()


def lines_on_folders(frame, show_names):
    """Lines on how cases by folder agree with those in the names of files.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `add_facts`.
    show_names : bool
        Whether names of images that lie in a folder of another case are shown.

    Returns
    -------
    list of str
        One line, or none.
    """
    said, across, then = frame.attrs.get(BY_FOLDER, ("", [], ""))
    if not across:
        return [f"{said}; {then}"] if said else []
    return [f"{said} ({listed(across, SHOWN)}): {then}" if show_names else f"{said}: {then}; --show-names names them"]
