"""Which class each image is of, by a table of labels or by the folder that it lies in."""

from pathlib import Path

import pandas as pd

from glomfeat.files import names_below, split
from glomfeat.folder_names import are_sites
from glomfeat.problems import ManifestError
from glomfeat.tabular import LABEL_COLUMNS, NAME_COLUMNS, find_column, read_frame, read_head

AGREE = 0.8  # of the images, whose folders then stand for classes


def clean_label(value):
    """A label as text; 1, 1.0 and ' 1 ' are one class."""
    text = "" if pd.isna(value) else str(value).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def labelled(path, frame=None):
    """Read a CSV or table that must name images and label them: its frame with ``name`` and ``raw``."""
    frame = read_frame(path) if frame is None else frame
    name, label = find_column(frame, NAME_COLUMNS), find_column(frame, LABEL_COLUMNS)
    if name is None or label is None:
        have = ", ".join(map(str, frame.columns[:8]))
        raise ManifestError(
            f"{path} has the columns {have}: one of {', '.join(NAME_COLUMNS)} must name the image "
            f"and one of {', '.join(LABEL_COLUMNS)} its class"
        )
    return frame.assign(name=frame[name].fillna("").astype(str).str.strip(), raw=frame[label].map(clean_label)), name


def one_label_each(frame, problems):
    """Drop repeated rows; report names with two labels."""
    frame = frame.drop_duplicates(["name", "raw"])
    twice = frame["name"].duplicated(keep=False)
    if twice.any():
        problems.append(("rows of images under two labels", sorted(set(frame["name"][twice]))))
    return frame.drop_duplicates("name")


def join_labels(files, labels, relative, problems):
    """Give images the labels of a table, whose other columns come along.

    Parameters
    ----------
    files : pandas.DataFrame
        ``name``, ``path`` and ``folder`` of each image.
    labels : path-like
    relative : list of str
        The name of each image with its folders.
    problems : list
        Is added to.

    Returns
    -------
    pandas.DataFrame
        The images that have a label, with ``raw``.
    """
    frame, _ = labelled(labels)
    shown = dict(zip(relative, files["name"], strict=True))
    frame = one_label_each(frame.assign(name=frame["name"].map(lambda name: shown.get(name, name))), problems)
    gone = frame["name"][~frame["name"].isin(files["name"])].tolist()
    if gone:
        problems.append((f"labels of {Path(labels).name} without a file", gone))
    merged = files.merge(frame.drop(columns=["path", "folder"], errors="ignore"), on="name", how="left")
    bare = merged["name"][merged["raw"].isna()].tolist()
    if bare:
        problems.append((f"files without a label in {Path(labels).name}", bare))
    return _agree(merged[merged["raw"].notna()].copy(), problems)


def find_labels(folder, places):
    """The only CSV with labels in a folder, or None."""
    packed = [place for place in places if place != folder or split(place)[0]]
    inside = (place / name for place in packed for name in names_below(place) if "/" not in name)
    found = [
        path
        for path in sorted([*folder.glob("*.csv"), *(path for path in inside if path.suffix == ".csv")])
        if find_column(head := read_head(path), LABEL_COLUMNS) is not None
        and find_column(head, NAME_COLUMNS) is not None
    ]
    if len(found) > 1:
        raise ManifestError(f"{folder} holds several CSVs of labels ({', '.join(p.name for p in found)}): use --labels")
    return found[0] if found else None


def _agree(frame, problems):
    """Where folders stand one to one for the CSV's classes, both must agree, and the folders name the classes.

    Folders stand for classes if they are called so, or if nearly all images say so: sites with more images of one class
    than of the other do not.
    """
    counts = pd.crosstab(frame["folder"], frame["raw"])
    usual = counts.idxmax(axis=1)
    if "" in counts.index or counts.shape[0] != counts.shape[1] or usual.nunique() != len(usual) or len(usual) < 2:
        return frame
    called = {name.lower() for name in counts.index} == {name.lower() for name in counts.columns}
    if not called and (are_sites(counts.index) or counts.max(axis=1).sum() < AGREE * len(frame)):
        return frame
    other = frame["raw"] != frame["folder"].map(usual)
    if other.any():
        what = "images under two labels, one in the CSV and one by their folder"
        problems.append((what, frame["name"][other].tolist()))
    return frame.assign(raw=frame["folder"])


def order_classes(names, positive, problems):
    """Sort classes, numbers by value, and put the positive one last."""
    ordered = sorted(names, key=lambda name: (0, int(name), "") if name.lstrip("-").isdigit() else (1, 0, name))
    if len(ordered) < 2:
        problems.append((f"one class only ({ordered[0]}): there is nothing to tell apart", []))
    if positive is None:
        known = [name for name in ordered if name.lower().startswith("globally_sclerotic")]
        positive = known[0] if known else "1" if "1" in ordered and len(ordered) == 2 else ordered[-1]
    elif positive not in ordered:
        problems.append((f"--positive {positive!r} is no class: there are {', '.join(ordered)}", []))
        return tuple(ordered)
    return (*(name for name in ordered if name != positive), positive)
