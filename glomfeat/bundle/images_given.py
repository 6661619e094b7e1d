"""Which images an evaluation reads, and what their folders or a table beside them say about their classes."""

import os
from pathlib import Path

import pandas as pd

from glomfeat.bundle.against_labels import LabelsError, by_class, of_known_classes
from glomfeat.bundle.evaluate import list_files
from glomfeat.bundle.in_cases import told_of
from glomfeat.bundle.inputs import Files
from glomfeat.bundle.model import as_text
from glomfeat.core.words import joined, number_of
from glomfeat.data.cases import BY_FOLDER
from glomfeat.data.containers import is_container
from glomfeat.data.embeddings.read import read_asked
from glomfeat.data.files import is_there, split
from glomfeat.data.folders.facts import CORRECTED, add_facts, lines_on_folders
from glomfeat.data.folders.layout import IMAGE, LayoutError, OutlinesError, folder_of, read_tree, refuse_outlines
from glomfeat.data.labels.classes import class_numbers
from glomfeat.data.labels.corrections import changes_beside
from glomfeat.data.labels.find import heads_in, tables_of_labels
from glomfeat.data.locate import NoClassesError, found_below, from_files
from glomfeat.data.problems import Gap, ManifestError, count_of, duplicate_problems
from glomfeat.data.sources import files_of, is_image, places_of
from glomfeat.data.tables.columns import USUAL
from glomfeat.data.tables.joining import last_part
from glomfeat.data.tables.read import listed, row_names
from glomfeat.data.unread import counted, is_document, rows_of

SHOWN = 5


def files_in(data, recursive, but, notes, asked=USUAL):
    """The files of a folder or archive but tables and documents; those of sub-folders, too, if it has no own image.

    Parameters
    ----------
    data : path-like
        As for `glomfeat.data.sources.places_of`.
    recursive : bool
        Whether to include the files of sub-folders in any case.
    but : sequence of path-like
        Files to leave out.
    notes : list of str
        Lines are added on what was done about sub-folders, and on tables of labels and documents.
    asked : glomfeat.data.tables.columns.Asked
        Says which tables hold labels.

    Returns
    -------
    Files
    """
    folder, *more = places_of(data)
    files = _of_several([folder, *more], data, notes) if more else _of_one(folder, recursive, but, notes, asked)
    try:
        refuse_outlines([name for name in files.names if is_image(name)], "give the folder of the images alone")
    except LayoutError as error:
        raise ManifestError(f"{data}: {error}") from None
    return files


def _of_one(folder, recursive, but, notes, asked):
    """The files in a folder or archive."""
    names = list_files(folder, but, notes)
    heads = heads_in(folder, [folder])  # options may name columns of another table
    tables = {path.name for one in {asked, USUAL} for path in tables_of_labels(heads, names, one)} & {*names}
    if tables:
        kind = "a table of labels" if len(tables) == 1 else "tables of labels"
        notes.append(f"left out: {listed(sorted(tables), SHOWN)}, {kind}")
        names = [name for name in names if name not in tables]
    if documents := [] if is_container(folder) else list(filter(is_document, names)):
        notes.append(f"left out: {counted(rows_of(documents, [''] * len(documents)))}: no images")
        names = sorted({*names} - {*documents})
    if not recursive and not is_container(folder):
        names = _with_deeper(folder, names, notes)
    return Files(folder, names, [Path(folder) / name for name in names])


def _of_several(places, data, notes):
    """The images in several archives."""
    names, paths, others, _ = files_of(places)
    if others:
        notes.append(f"{len(others)} files in the archives are left out, because they are not images")
    order = sorted(range(len(names)), key=names.__getitem__)
    return Files(data, [names[k] for k in order], [paths[k] for k in order])


def _with_deeper(folder, names, notes):
    """The files of the folder itself, or all of them if it holds no image."""
    own = [name for name in names if "/" not in name]
    deeper = len(names) - len(own)
    if not deeper:
        return names
    if any(map(is_image, own)) or not any(map(is_image, names)):
        notes.append(f"{deeper} files in sub-folders are left out: --recursive takes them")
        return own
    notes.append(f"{deeper} files of sub-folders are taken: {folder} holds no image of its own")
    return names


def files_listed(path, asked):
    """The images that a table names, and the table.

    Parameters
    ----------
    path : pathlib.Path
        Names in it are paths from its folder, or ends of paths below that.
    asked : glomfeat.data.tables.columns.Asked

    Returns
    -------
    files : Files
    frame : pandas.DataFrame

    Raises
    ------
    ManifestError
        The table names no images, or one image in several ways.
    """
    frame = read_asked(path, asked)
    names = row_names(frame, path.name, asked.name)
    names = [] if names is None else sorted(set(names) - {""})
    if not names:
        raise ManifestError(f"{path} names no images: it needs a column path or name, or say which with --name-column")
    table = pd.DataFrame({"name": names, "path": [str(path.parent / name) for name in names]})
    there = table["path"].map(is_there).astype(bool)
    if not there.all():
        table, there = found_below(path.parent, table, there)
    of_image = table.groupby(table["path"].map(os.path.abspath))["name"]
    if several := [" = ".join(same) for _, same in of_image if len(same) > 1]:
        images = number_of(len(several), "image")
        raise ManifestError(f"{path} names {images} in several ways ({listed(several, SHOWN)}): keep one row of each")
    return Files(path, names, [Path(one) for one in table["path"]]), frame


def labels_beside(files, asked, classes, notes, said=(), show_names=False):
    """Find the classes of images as a study does: by a table that lies among them, or by their folders.

    Parameters
    ----------
    files : Files
    asked : glomfeat.data.tables.columns.Asked
    classes : list of str
        The bundle's classes.
    notes : list of str
        Lines are added on what was found.
    said : sequence of str
        Lines that are known already.
    show_names : bool
        Whether to name images whose classes contradict each other.

    Returns
    -------
    pandas.DataFrame or None
        As from `glomfeat.bundle.against_labels.read_labels`; None if nothing gives a class of the bundle.

    Raises
    ------
    LabelsError
        Classes contradict each other, or the table does not fit what the user asks for.
    """
    place, problems, lines = split(files.place)[0] or Path(files.place), [], []
    try:
        frame = from_files(place, None, problems, lines, [], _layout(files.names, classes), asked)
    except OutlinesError as error:
        notes.append(f"labels: none are looked for in {place}, because {error}")
        return None
    except NoClassesError:
        if any("/" in name for name in files.names):
            notes.append("labels: neither folders nor a table gives any: if there are some, give --labels FILE")
        return None
    except LayoutError as error:
        raise LabelsError(f"{place}: {str(error).rpartition(': ')[0]}: give --labels") from None
    names = {str(path): as_text(name) for path, name in zip(files.paths, files.names, strict=True)}
    frame = frame.assign(name=[names.get(path) for path in frame["path"]])  # pandas' own texts hold no odd bytes
    frame = frame[frame["name"].notna() & (frame["raw"] != "")]
    if (held := sorted(set(frame["raw"]))) and class_numbers(pd.Series(held), classes).isna().all():
        lacks = f"no class called {listed(held)}" if len(held) <= SHOWN else f"none of the {len(held)} classes found"
        notes.append(
            f"labels: none are taken, because the model has {joined(classes)} and {lacks}: rename what means the same, "
            "or give --labels FILE"
        )
        return None
    notes += [line.removesuffix(CORRECTED) for line in lines if line not in said]
    _refuse_contradictions(place, problems, show_names)
    held = {*map(last_part, files.names)}
    gaps = [(what, [row for row in rows if last_part(row) not in held]) for what, rows in problems]
    notes += [f"labels: {count_of(what, rows)}" for what, rows in gaps if rows]
    found = of_known_classes(frame, classes, left := [])
    found = by_class(found, {name: name for name in names.values()}, classes, files.place, notes)
    notes.append(f"labels: {len(found)} of {len(files.names)} files have one, by their folders or a table beside them")
    notes += changes_beside(place) + left
    return found


def facts_of_folders(files, labels, classes, groups, notes, show_names=False):
    """Collect what folders say about cases, slides and sites, wherever the labels of the images are.

    Parameters
    ----------
    files : Files
    labels : pandas.DataFrame or None
        From `labels_beside` or `glomfeat.bundle.against_labels.read_labels`; columns of theirs take precedence.
    classes : list of str
        The bundle's classes.
    groups : str
        As ``--groups`` of a study.
    notes : list of str
        Lines are added if folders give cases and no line says so.
    show_names : bool
        Whether to name images that lie in a folder of another case.

    Returns
    -------
    pandas.DataFrame or None
        ``name`` and the columns that `glomfeat.bundle.in_cases.told_of` finds and `add_facts` gives; None if folders
        cannot be understood.
    """
    if len(places_of(files.place)) > 1:  # levels of folders may mean something else in each archive
        return None
    names, lines = [*map(as_text, files.names)], []
    facts, folders = told_of(pd.Series(names, dtype=object), (labels,), groups), [*map(folder_of, names)]
    try:
        tree = read_tree(names, _layout(names, classes))
        if class_numbers(pd.Series([tree.of("class", one) for one in folders], dtype=object), classes).isna().all():
            tree = read_tree(names, labelled=True)
            first = next((kind for kind in tree.levels if kind not in ("split", "case")), "")
            facts = facts.assign(folder=[tree.of(first, one) for one in folders])
    except LayoutError:
        return None
    facts = add_facts(facts, folders, tree, lines)
    if BY_FOLDER in facts and not any(note.startswith("folders: ") for note in notes):
        notes += [line.removesuffix(CORRECTED) for line in lines] + lines_on_folders(facts, show_names)
    return facts


def _layout(names, classes):
    """What folders mean if they are called like the model's classes, and nothing else says that they are classes."""
    tree = read_tree(names)
    if "class" in tree.levels or len({name.count("/") for name in names}) > 1:
        return None
    kinds = ["class" if class_numbers(pd.Series(level), classes).notna().all() else "ignore" for level in tree.names]
    return "/".join([*kinds, IMAGE]) if kinds.count("class") == 1 else None


def refuse_copies(files, judged, show_names):
    """Refuse byte-identical images of several classes or cases, as a study does.

    Parameters
    ----------
    files : Files
    judged : glomfeat.bundle.against_labels.Judged
    show_names : bool
        Whether to name these images.

    Raises
    ------
    LabelsError
    """
    manifest = judged.run.manifest
    digests = {as_text(name): str(digest) for name, digest in zip(files.names, files.digests, strict=True) if digest}
    table = manifest.table.assign(digest=[digests.get(name, "") for name in manifest.table["name"]])
    _refuse(files.place, duplicate_problems(table, manifest.classes, judged.by_case), "", show_names)


def _refuse_contradictions(place, problems, show_names):
    """Refuse labels for which a study would not be sure which one is right."""
    wrong = [(what, rows) for what, rows in problems if not isinstance(what, Gap)]
    _refuse(place, wrong, ": correct this, or give --labels", show_names)


def _refuse(place, wrong, remedy, show_names):
    if not wrong:
        return
    what = "; ".join(count_of(*one) + (f" ({listed(one[1], SHOWN)})" if show_names else "") for one in wrong)
    raise LabelsError(f"{place}: {what}{remedy}{'' if show_names else '; --show-names says which'}")
