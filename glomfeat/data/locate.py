"""The rows of a data set with their labels: images below a folder or in archives, or rows of a feature table."""

import os
from pathlib import Path

import pandas as pd

from glomfeat.data.archives import ArchiveError
from glomfeat.data.beside_paths import lines_on_unnamed, names_elsewhere
from glomfeat.data.embeddings.read import read_asked
from glomfeat.data.files import OUTPUT, FolderError, is_there, split, walk_files
from glomfeat.data.folders.facts import add_facts, split_by_archive
from glomfeat.data.folders.layout import (
    KINDS,
    folder_of,
    lines_on_doubles,
    lines_on_drawings,
    read_tree,
    refuse_outlines,
    refuse_versions,
)
from glomfeat.data.images import dicom
from glomfeat.data.images.decode import READ
from glomfeat.data.images.decode import SUFFIXES as OF_IMAGES
from glomfeat.data.labels.classes import labelled, one_row_each, refuse_no_rows
from glomfeat.data.labels.find import (
    find_labels,
    heads_in,
    holds_groups,
    join_labels,
    refuse_unused,
    tables_beside,
    with_columns,
)
from glomfeat.data.labels.samples import sample_labels
from glomfeat.data.problems import Gap, ManifestError
from glomfeat.data.sources import (
    archive_problems,
    containers_beside,
    files_of,
    find_archives,
    folders_at,
    images_of,
    is_image,
    places_of,
)
from glomfeat.data.tables.columns import USUAL, Asked, sort_columns
from glomfeat.data.tables.joining import as_parts, find_names_among, last_parts, without_suffix
from glomfeat.data.tables.read import (
    HEAD_ROWS,
    PATH_COLUMNS,
    PER_IMAGE,
    SHEETS,
    SUFFIXES,
    as_spelt,
    listed,
    plain,
    row_names,
)
from glomfeat.data.unread import is_left_out, is_picture, note_on, outputs_among, rows_of, tell_unread, vanished

MOST_FILES, MOST_UNSURE = 200_000, 20_000
FORCED = "file:"
GIVE = "give a folder of images, a zip or tar, a CSV or a feature table"


class NoClassesError(ManifestError):
    """Neither folders nor a table give classes; the message gives the remedy."""


def from_files(source, labels, problems, notes, unread, layout=None, asked=USUAL):
    """The images below a folder, in archives, or that a table names."""
    _refuse_columns(source, asked, notes)
    if source.is_dir() or find_archives(source):
        return _from_folder(source, labels, problems, notes, unread, layout, asked)
    said = []
    frame = labelled(source, asked, said)
    if not {*map(plain, frame.attrs["named by"])} & {*map(plain, PATH_COLUMNS)}:
        return _from_folder(source.parent, source, problems, notes, unread, layout, asked)
    notes += said
    frame = frame.assign(path=[str(source.parent / name) for name in frame["name"]])
    same = frame["path"].map(os.path.abspath)  # one file may be named in several ways
    frame = one_row_each(frame, problems, asked, notes, source.name, same)
    there = frame["path"].map(is_there).astype(bool)
    if not there.all():
        frame, there = found_below(source.parent, frame, there)
        problems += [(Gap("labels without a file"), frame["name"][~there].tolist())] if not there.all() else []
    notes += lines_on_unnamed(frame["path"][there].tolist(), source.name)
    return frame[there]


def _refuse_columns(source, asked, notes):
    """Refuse a choice of columns, and say that missing values are none, if no table of numbers is read."""
    if asked.others:
        return
    chosen = [
        f"--{name} {' '.join(map(str, words))}"
        for name, words in (("columns", asked.keep), ("drop", asked.drop))
        if words
    ]
    if chosen:
        raise ManifestError(
            f"{source} holds images, and {' and '.join(chosen)} is for tables of numbers: leave it out, or give such a "
            "table with --features file:PATH"
        )
    if asked.missing != "refuse":
        notes.append(f"--missing {asked.missing} changes nothing: it is for tables of numbers, and there is none")


def found_below(folder, frame, there):
    """Redirect rows whose path leads nowhere to the image below a folder whose path ends alike.

    Parameters
    ----------
    folder : pathlib.Path
    frame : pandas.DataFrame
        ``name``, ``path``.
    there : pandas.Series of bool
        Whether each path leads to a file.

    Returns
    -------
    frame, there
        Both, updated.
    """
    relative, paths = images_of(places_of(folder))
    found, _ = find_names_among(frame["name"].tolist(), relative)  # all, for rows that are there tell what folders mean
    moved = frame["name"].map(lambda name: paths[found[name]] if name in found else "")
    taken = frame["path"][there].map(os.path.abspath)
    use = ~there & (moved != "") & ~moved.map(os.path.abspath).isin(taken)
    told = {name: relative[found[name]] for name in frame["name"][use] if "\\" in name}  # elsewhere it names no case
    names = frame["name"].map(lambda name: told.get(name, name))
    return frame.assign(name=names, path=frame["path"].where(~use, moved)), there | use


def _from_folder(folder, labels, problems, notes, unread, layout, asked):
    """List all images below a folder or in archives.

    The class is in the CSV of labels, beside the image in a WebDataset, or in the tree of folders, which tells more
    than the class.
    """
    places = places_of(folder)
    relative, paths, others, packed = files_of(places)
    tables = [name for name in others if name.lower().endswith(SUFFIXES)]
    notes += (outputs := outputs_among(folder, relative, others))
    holders = {*containers_beside(places, relative, others)}
    others = [name for name in others if (is_left_out(name) or name in holders) and not name.endswith(OUTPUT)]
    if not relative:
        elsewhere = names_elsewhere(labels, asked)
        raise ManifestError(_no_images(folder, others, [] if elsewhere else tables) + "; ".join([elsewhere, *outputs]))
    order = sorted(range(len(relative)), key=lambda row: relative[row].split("/"))
    relative, paths = [relative[row] for row in order], [paths[row] for row in order]
    _check_dicom(relative, problems)
    heads = heads_in(folder, places) if labels is None else {}
    given, labels = labels, labels or find_labels(folder, heads, relative, asked, notes, layout)
    parts = split_by_archive(places, paths)
    samples = sample_labels(folder, relative, paths, asked, notes, parts) if labels is None else None
    is_used = samples is not None and as_spelt(samples, asked.label)
    if labels is None and ((asked.label and not is_used) or (asked.name and not holds_groups(heads, relative, asked))):
        refuse_unused(folder, heads, asked, notes)
    if samples is not None:
        return samples
    notes += lines_on_drawings(relative)
    if not layout:
        refuse_outlines(relative, "say what the folders mean with --layout, such as class/image", labels is not None)
        if labels is None:
            refuse_versions(relative)
            notes += lines_on_doubles(relative)
    seen = relative if layout else [*relative, *filter(is_picture, others)]
    tree = read_tree(seen, layout, labels is not None, packed)
    unread += rows_of(others, [tree.of("class", folder_of(name)) for name in others])
    if unread:
        notes.append(note_on(unread))
    folders = [folder_of(name) for name in relative]
    files = pd.DataFrame({"name": last_parts(relative), "path": _column(paths), "in": folders})
    files = files.assign(split=list(map(parts.get, paths))) if parts else files
    if labels is None:
        if "class" not in tree.levels:
            raise NoClassesError(_no_classes(folder, tree, tables, places) + tables_beside(folder, heads))
        start = len("/".join([*tree.above, ""]))  # so that an image has the same name whatever folder holds them all
        frame = files.assign(
            name=last_parts([name[start:] for name in relative]),
            raw=[tree.of("class", one) for one in folders],
        )
        frame = with_columns(frame, folder, heads, relative, problems, asked, notes)
        problems += vanished(unread, set(frame["raw"]))
        _tell_empty(places, tree, set(frame["raw"]), unread, tables, problems, notes)
    else:
        if not is_there(labels):
            raise ManifestError(
                f"there is no {labels}: --labels must be a table (CSV, Excel or parquet) of names and classes"
            )
        first = next((kind for kind in tree.levels if kind not in ("split", "case")), "")
        files["folder"] = [tree.of(first, one) for one in folders]
        frame = join_labels(files, labels, relative, problems, asked, notes)
        notes += [f"{Path(labels).name} gives the classes"] if given is None and not tree.levels else []
        tell_unread(problems, unread)
    by = "" if labels is None else Path(labels).name
    return add_facts(frame.drop(columns="in"), frame["in"].tolist(), tree, notes, by)


def _no_images(folder, others, tables):
    """What to say of a folder without an image, with what it holds otherwise."""
    unread = f"; {note_on(rows_of(others, [''] * len(others)))}" if others else ""
    mean = f"; if you mean a table of features, name the table itself: it holds {listed(sorted(tables), 3)}"
    return f"{folder} holds no image ({READ})" + unread + (mean if tables else "")


def _tell_empty(places, tree, classes, unread, tables, problems, notes):
    """Report folders beside those of classes that hold no image; it is a problem if only one class is left."""
    kinds, above = tree.levels.index("class"), len(tree.above)
    beside = [name for name in folders_at(places, above + kinds + 1) if tuple(name.split("/")[:above]) == tree.above]
    bare = {tree.of("class", name) for name in beside} - classes - {row["class"] for row in unread}
    if bare and len(classes) < 2:
        inside = [name for name in tables if {*name.split("/")[:-1]} & bare and name.lower().endswith(SHEETS)]
        give = f"{' or '.join(inside[:3])}, below DATA, with --labels" if inside else "--labels"
        lacking = Gap(f"folders beside those of classes hold no image: fill them, or give {give}")
        problems.append((lacking, sorted(bare)))
    elif bare:
        notes.append(f"folders without an image, which are no classes: {listed(sorted(bare))}")


def _column(paths):
    """Paths as a column; those that are not UTF-8 as objects, because pandas' texts cannot hold them."""
    if all(map(str.isascii, paths)):
        return paths
    return pd.Series(paths, dtype=object)


def _check_dicom(names, problems):
    there = [name.rpartition("/")[2] for name in names if name.lower().endswith(dicom.SUFFIXES)]
    if there and not dicom.is_installed():
        problems.append((Gap(f"files are DICOM, {dicom.INSTALL.replace('DICOM needs', 'which needs')}"), there))


def _no_classes(folder, tree, tables, places):
    """Say why folders give no classes, and what to do."""
    said = f"{folder} has neither class folders nor a table of labels"
    below = [name for name in tables if "/" in name and name.lower().endswith(SHEETS)]
    more = f"; tables lie in its folders ({listed(below, 3)}): give one that names all images" if below else ""
    if len(places) > 1 and split(places[0])[0]:
        more += "; if archives are named for classes, unpack those of each class below a folder that is named for it"
    told = [f"{', '.join(names[:6])}{', ...' if len(names) > 6 else ''} are taken for the level {kind}"
            for kind, names in zip(tree.levels, tree.names, strict=True)]  # fmt: skip
    if not told:
        return f"{said}: give --labels FILE{more}"
    at = tree.levels.index("ignore") if "ignore" in tree.levels else 0
    such = ["class" if k == at else kind if kind in KINDS else "ignore" for k, kind in enumerate(tree.levels)]
    return (
        f"{said}: its folders {'; '.join(told)}; give --labels FILE, or say what the folders are, such as --layout "
        f"{'/'.join([*such, 'image'])}{more}"
    )


def is_feature_table(path, asked=USUAL, notes=None, forced=False):
    """Whether a file or folder holds features, rather than images or a list of them.

    A table does if it has numeric columns of its own and does not name images below its folder; a folder does if there
    are HDF5 or ``.pt`` files below it and no image.

    Parameters
    ----------
    path : path-like
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str, optional
        A line is added if it could be taken for the other.
    forced : bool
        Whether a table that names images counts as features all the same.
    """
    path = Path(path)
    if path.is_dir():
        return _holds_rows(path)
    if path.suffix.lower() not in SHEETS or not path.is_file():
        return path.suffix.lower() in SUFFIXES
    head = read_asked(path, asked, HEAD_ROWS)
    refuse_no_rows(path, head)
    asked = Asked(as_spelt(head, asked.name), as_spelt(head, asked.label), but=asked.but, groups=asked.groups)
    if not sort_columns(head, asked, path.name).used:
        return False
    names = row_names(head, path.name, asked.name)
    images = not forced and names is not None and _names_images(path.parent, names.tolist())
    if images and notes is not None:
        notes.append(
            f"{path.name} names images below its folder and is read as their labels; file:{path} reads its numbers"
        )
    if not images and not forced and notes is not None and names is not None:
        first = next(filter(is_image, names), "")
        if folder := next((one for one in path.absolute().parents[1:] if first and is_there(one / first)), None):
            notes.append(
                f"warning: {path.name} names images below {folder} and is read as a table of features: if it holds "
                f"labels, give {folder} as DATA, with --labels {path}; file:{path} says that it holds features"
            )
    return not images


def _names_images(folder, names):
    """Whether most of some names belong to images below a folder, whose suffix they may lack.

    A search among very many files stops early, sooner if nothing but a search can tell that names may be images.
    """
    names = {*names} - {""}
    paths = {name for name in names if is_image(name)}
    sure = 0 < len(names) <= 2 * len(paths)
    if sure and 2 * sum(is_there(folder / path) for path in paths) >= len(paths):
        return True
    wanted, found, seen = {as_parts(name)[-1] for name in (paths if sure else names)}, set(), 0
    try:
        for _, files in walk_files(folder):
            images = {*filter(is_image, files)}
            found |= wanted & (images | {*map(without_suffix, images)})
            seen += len(files)
            if 2 * len(found) >= len(wanted) or seen > (MOST_FILES if sure else MOST_UNSURE):
                break
    except FolderError:  # nothing says that a table has to do with the folders beside it
        if sure:
            raise
    return 2 * len(found) >= len(wanted) > 0


def _holds_rows(folder):
    rows = False
    for _, files in walk_files(folder, hidden=True):
        suffixes = {os.path.splitext(name)[1].lower() for name in files}  # noqa: PTH122 (a Path each is slow)
        if suffixes & OF_IMAGES:
            return False
        rows |= bool(suffixes & set(PER_IMAGE))
    return rows


def source_of(data):
    """The path of a data set, its archives and their problems; anything else is refused.

    Returns
    -------
    source : Path
    archives : list
        From `glomfeat.data.sources.find_archives`.
    problems : list of (str, list of str)

    Raises
    ------
    ManifestError
        The message says what to give instead.
    """
    source = path_of(data)
    try:
        archives = find_archives(source)
        problems = archive_problems(archives)
    except (ArchiveError, FolderError) as error:
        raise ManifestError(str(error)) from error
    if "://" in str(data):
        raise ManifestError(f"{data} is an address: download what is there, and {GIVE}")
    if source.is_file() and is_image(source.name):
        raise ManifestError(f"{source} is a single image: give the folder that holds those of all classes")
    if not archives and not source.exists():
        raise ManifestError(f"there is no {source}: {GIVE}")
    if not archives and not (source.is_dir() or source.is_file()):
        raise ManifestError(f"{source} is neither a file nor a folder: {GIVE}")
    return source, archives, problems


def path_of(data):
    """The path of a data set, without the prefix that marks a table of features.

    Examples
    --------
    >>> str(path_of("file:rows.csv"))
    'rows.csv'
    """
    return Path(str(data).removeprefix(FORCED)).expanduser()


def is_forced(data):
    """Whether the user says that a data set is a table of features."""
    return str(data).startswith(FORCED)


def holds_features(data, asked=USUAL):
    """Whether a data set is a table of features, rather than images.

    Parameters
    ----------
    data : path-like or str
        As for `glomfeat.data.manifest.read_manifest`.
    asked : Asked

    Returns
    -------
    bool

    Raises
    ------
    ManifestError, FolderError
        There is no such place, or it cannot be searched.
    """
    source, archives, _ = source_of(data)
    return not archives and is_feature_table(source, asked, forced=is_forced(data))
