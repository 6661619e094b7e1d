"""The rows of a data set, each with its label: images below a folder or in archives, or the rows of a feature table."""

from pathlib import Path

import pandas as pd

from glomfeat import dicom
from glomfeat.embeddings import find_rows, names_of
from glomfeat.files import is_there
from glomfeat.folders import add_facts, split_note
from glomfeat.images import READ
from glomfeat.labels import clean_label, find_labels, join_labels, labelled, one_label_each
from glomfeat.layout import folder_of, read_tree
from glomfeat.problems import ManifestError
from glomfeat.sources import files_of, find_archives, places_of, sample_labels
from glomfeat.tabular import LABEL_COLUMNS, NAME_COLUMNS, TABLES, find_column, read_frame
from glomfeat.unread import counted, is_left_out, is_picture, note_on, rows_of, vanished


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


def from_files(source, labels, problems, notes, unread, layout=None):
    if source.is_dir() or find_archives(source):
        return _from_folder(source, labels, problems, notes, unread, layout)
    frame, column = labelled(source)
    if str(column).strip().lower() != "path":
        return _from_folder(source.parent, source, problems, notes, unread, layout)
    frame = one_label_each(frame, problems)
    frame = frame.assign(path=[str(source.parent / name) for name in frame["name"]])
    there = frame["path"].map(is_there).astype(bool)
    if not there.all():
        problems.append(("labels without a file", frame["name"][~there].tolist()))
    return frame[there]


def _from_folder(folder, labels, problems, notes, unread, layout):
    """All images below a folder or in archives; the class is in the CSV of labels, beside the image in a WebDataset,
    else in the tree of folders, which tells more than that."""
    places = places_of(folder)
    relative, paths, others = files_of(places)
    others = list(filter(is_left_out, others))
    if not relative:
        raise ManifestError(
            f"{folder} holds no image ({READ})"
            + (f"; {note_on(rows_of(others, [''] * len(others)))}" if others else "")
        )
    order = sorted(range(len(relative)), key=lambda row: relative[row].split("/"))
    relative, paths = [relative[row] for row in order], [paths[row] for row in order]
    _check_dicom(relative, problems)
    labels = labels or find_labels(folder, places)
    if labels is None and (samples := sample_labels(relative, paths)) is not None:
        notes += [split_note(samples["split"])] if "split" in samples else []
        return samples.assign(raw=samples["raw"].map(clean_label), name=_shown(samples["name"].tolist()))
    seen = relative if layout else [*relative, *filter(is_picture, others)]
    tree = read_tree(seen, layout, labels is not None)
    unread += rows_of(others, [tree.of("class", folder_of(name)) for name in others])
    if unread:
        notes.append(note_on(unread))
    folders = [folder_of(name) for name in relative]
    files = pd.DataFrame({"name": _shown(relative), "path": _column(paths), "in": folders})
    if labels is None:
        if "class" not in tree.levels:
            raise ManifestError(_no_classes(folder, tree))
        start = len("/".join([*tree.above, ""]))  # so that an image is called the same in whatever folder all lies
        frame = files.assign(
            name=_shown([name[start:] for name in relative]),
            raw=[tree.of("class", one) for one in folders],
        )
        problems += vanished(unread, set(frame["raw"]))
    else:
        if not is_there(labels):
            raise ManifestError(f"there is no {labels}: --labels must be a CSV such as name,ground truth")
        first = next((kind for kind in tree.levels if kind not in ("split", "case")), "")
        files["folder"] = [tree.of(first, one) for one in folders]
        frame = join_labels(files, labels, relative, problems)
        _tell_unread(problems, unread)
    return add_facts(frame.drop(columns="in"), frame["in"].tolist(), tree, notes)


def _column(paths):
    """Paths as a column; those that are no UTF-8 as objects, which pandas' texts cannot hold."""
    if all(map(str.isascii, paths)):
        return paths
    return pd.Series(paths, dtype=object)


def _tell_unread(problems, unread):
    """Say of labels without an image where there is a file of a format that is not read."""
    known = {name: row for row in unread for name in (row["name"], row["name"].rpartition("/")[2])}
    for k, (what, names) in enumerate(problems):
        there = [known[name] for name in names if name in known]
        if there and what.endswith("without a file"):
            rest = [name for name in names if name not in known]
            problems[k : k + 1] = [(what, rest)] if rest else []
            which = (
                f"{what.removesuffix(' without a file')} whose files are not read ({counted(there)}): save them as PNG"
            )
            problems.append((which, [row["name"] for row in there]))


def _check_dicom(names, problems):
    there = [name.rpartition("/")[2] for name in names if name.lower().endswith(dicom.SUFFIXES)]
    if there and not dicom.is_installed():
        problems.append((f"files are DICOM, {dicom.INSTALL.replace('DICOM needs', 'which needs')}", there))


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
