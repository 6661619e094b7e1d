"""The rows of a data set, each with its label: images below a folder or in archives, or the rows of a feature table."""

from pathlib import Path

import pandas as pd

from glomfeat.embeddings import find_rows, names_of
from glomfeat.files import is_there
from glomfeat.folders import add_facts
from glomfeat.images import SUFFIXES
from glomfeat.labels import clean_label, find_labels, join_labels, labelled, one_label_each
from glomfeat.layout import folder_of, read_tree
from glomfeat.problems import ManifestError
from glomfeat.sources import find_archives, images_of, places_of, sample_labels
from glomfeat.tabular import LABEL_COLUMNS, NAME_COLUMNS, TABLES, find_column, read_frame


def from_table(path, labels, groups, problems, notes):
    labels = labels or (find_labels(path, []) if path.is_dir() else None)
    if labels is not None:
        return _join_rows(path, labels, groups, problems, notes)
    frame = names_of(path, (groups,))
    if find_column(frame, LABEL_COLUMNS) is None and path.suffix.lower() not in TABLES:
        raise ManifestError(f"{path} holds {len(frame)} rows and does not say of which class: give --labels FILE")
    frame, _ = labelled(path, frame)
    repeated = frame["name"][frame["name"].duplicated()].unique().tolist()
    if repeated:
        problems.append(("names with several rows in the feature table", repeated))
    return frame.drop_duplicates("name").assign(path="")


def _join_rows(path, labels, groups, problems, notes):
    """The rows of a CSV of labels that have a row of features, called as in the CSV."""
    if not Path(labels).is_file():
        raise ManifestError(f"there is no {labels}: --labels must be a CSV such as name,ground truth")
    frame = read_frame(labels)
    if find_column(frame, NAME_COLUMNS) is None:  # kidney-hfm-eval calls the image so
        frame = frame.rename(columns={"ID": "name"})
    frame = one_label_each(labelled(labels, frame)[0], problems)
    known = names_of(path, (groups,), frame["name"].tolist())
    column = find_column(known, NAME_COLUMNS)
    if column is None:
        raise ManifestError(f"{path} does not name its rows: it needs a column {' or '.join(NAME_COLUMNS)}")
    known = known[column].astype(str).str.strip().tolist()
    places, missing = find_rows(frame["name"].tolist(), known)
    if missing:
        problems.append((f"labels of {Path(labels).name} without a row of features", missing))
        frame = frame[~frame["name"].isin(missing)]
    elif places is None:
        problems.append(("images of one name in several folders, which need their folder in the features too", []))
    if len(known) > len(frame):
        notes.append(f"{len(known) - len(frame)} of {len(known)} rows have no label in {Path(labels).name}: left out")
    return frame.assign(path="")


def from_files(source, labels, problems, notes, layout=None):
    if source.is_dir() or find_archives(source):
        return _from_folder(source, labels, problems, notes, layout)
    frame, column = labelled(source)
    if str(column).strip().lower() != "path":
        return _from_folder(source.parent, source, problems, notes, layout)
    frame = one_label_each(frame, problems)
    frame = frame.assign(path=[str(source.parent / name) for name in frame["name"]])
    there = frame["path"].map(is_there).astype(bool)
    if not there.all():
        problems.append(("labels without a file", frame["name"][~there].tolist()))
    return frame[there]


def _from_folder(folder, labels, problems, notes, layout):
    """All images below a folder or in archives; the class is in the CSV of labels, beside the image in a WebDataset,
    else in the tree of folders, which tells more than that."""
    places = places_of(folder)
    relative, paths = images_of(places)
    if not relative:
        raise ManifestError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    order = sorted(range(len(relative)), key=lambda row: relative[row].split("/"))
    relative, paths = [relative[row] for row in order], [paths[row] for row in order]
    labels = labels or find_labels(folder, places)
    if labels is None and (samples := sample_labels(relative, paths)) is not None:
        return samples.assign(raw=samples["raw"].map(clean_label), name=_shown(samples["name"].tolist()))
    tree = read_tree(relative, layout, labels is not None)
    folders = [folder_of(name) for name in relative]
    files = pd.DataFrame({"name": _shown(relative), "path": paths, "in": folders})
    if labels is None:
        if "class" not in tree.levels:
            raise ManifestError(_no_classes(folder, tree))
        start = len("/".join([*tree.above, ""]))  # so that an image is called the same in whatever folder all lies
        frame = files.assign(
            name=_shown([name[start:] for name in relative]),
            raw=[tree.of("class", one) for one in folders],
        )
    else:
        if not is_there(labels):
            raise ManifestError(f"there is no {labels}: --labels must be a CSV such as name,ground truth")
        first = next((kind for kind in tree.levels if kind not in ("split", "case")), "")
        files["folder"] = [tree.of(first, one) for one in folders]
        frame = join_labels(files, labels, relative, problems)
    return add_facts(frame.drop(columns="in"), frame["in"].tolist(), tree, notes)


def _no_classes(folder, tree):
    """Why folders tell no classes, and what to do."""
    told = [f"{', '.join(names[:6])}{', ...' if len(names) > 6 else ''} are taken for the level {kind}"
            for kind, names in zip(tree.levels, tree.names, strict=True)]  # fmt: skip
    if not told:
        return f"{folder} has neither class folders nor a CSV of labels: give --labels FILE"
    return (
        f"{folder} has neither class folders nor a CSV of labels: its folders {'; '.join(told)}; give --labels FILE, "
        f"or say what the folders are, such as --layout {'/'.join(['class', *['ignore'] * (len(told) - 1), 'image'])}"
    )


def _shown(relative):
    """Names without their folders, where these are unique."""
    short = [name.rpartition("/")[2] for name in relative]
    return short if len(set(short)) == len(short) else relative
