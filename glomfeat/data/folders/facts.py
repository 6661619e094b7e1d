"""What folders say about images beyond file names and tables of labels: case, slide, site and part of a split."""

import numpy as np
import pandas as pd

from glomfeat.data.cases import BELOW, BY_FOLDER, cases_in_names
from glomfeat.data.folders.layout import MAYBE
from glomfeat.data.folders.names import split_of
from glomfeat.data.tables.read import CASE_COLUMNS, SLIDE_COLUMNS, find_column

FACTS = ("slide", "site", "split")
KNOWN = {"slide": SLIDE_COLUMNS, "site": ("site",), "split": ("split",)}


def add_facts(frame, folders, tree, notes, labels=""):
    """Give images the facts that only their folders tell.

    Parameters
    ----------
    frame : pandas.DataFrame
        With ``name``, and perhaps columns of the user's, which take precedence.
    folders : list of str
        The folder of each row, from `glomfeat.data.folders.layout.folder_of`.
    tree : glomfeat.data.folders.layout.Tree
    notes : list of str
        Lines for the user; more are added.
    labels : str
        The table that gives the classes; empty if folders do.

    Returns
    -------
    pandas.DataFrame
        With ``slide``, ``site``, ``split`` and `BY_FOLDER` if the tree has them.
    """
    shown = tree
    if {"case", MAYBE} & {*tree.levels} and (tree.by_hand or find_column(frame, CASE_COLUMNS) is None):
        shown, frame = _with_cases(frame, folders, tree, notes)
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
        by_hand = "" if tree.by_hand else "; --layout corrects this"
        notes.insert(0, f"folders: {looked}{shown}{told}{by_hand}")
    return frame


def _unused(tree):
    """The first level below the classes that means nothing known and yet distinguishes images, or None."""
    if "class" not in tree.levels or tree.by_hand:
        return None
    levels = enumerate(zip(tree.levels, tree.names, strict=True))
    found = [k for k, (kind, names) in levels if kind == "ignore" and len(names) > 1 and k > tree.levels.index("class")]
    return found[0] if found else None


def _column(tree, kind, folders):
    found = [tree.of(kind, folder) or None for folder in folders]
    return [split_of(name or "") or name for name in found] if kind == "split" else found


def _with_cases(frame, folders, tree, notes):
    """Choose between cases by folder and by name: names win if the cases are the same or join several folders."""
    kind = "case" if "case" in tree.levels else MAYBE
    by_folder = _column(tree, kind, folders)
    told = None if tree.by_hand else cases_in_names(frame["name"])
    if told is None:
        return tree.taken(MAYBE, "case"), frame.assign(**{BY_FOLDER: by_folder})
    pairs = pd.DataFrame({"folder": by_folder, "name": np.asarray(told["case"], object)}).drop_duplicates()
    count = pairs.nunique()
    if count["folder"] == len(pairs) or kind == MAYBE:  # by name, each folder holds one case
        nested = "ignore" if count["folder"] == count["name"] else "slide" if kind == "case" else "site"
        return tree.taken(
            kind, "case" if nested == "ignore" else nested if nested not in tree.levels else "ignore"
        ), frame
    notes.append(
        f"cases: folders give {count['folder']} and the names of files {count['name']}; those of folders are taken, "
        "--groups REGEX takes those of names"
    )
    return tree, frame.assign(**{BY_FOLDER: by_folder})
