"""Tables beside class folders that name the images but give no classes."""

import contextlib
from dataclasses import replace

from glomfeat.data.embeddings.read import read_asked
from glomfeat.data.labels.find import is_ours, join_labels, names_images, sheets_in
from glomfeat.data.labels.two_tables import MOST_CLASSES
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.joining import find_names_among
from glomfeat.data.tables.read import TableError, as_spelt, known_kind, listed, read_head, row_names

SHOWN = 6


def with_columns(files, folder, places, relative, problems, asked, notes):
    """Join the table beside class folders that has the column of ``--groups``, and tell of those that may give classes.

    The parameters are those of `glomfeat.data.labels.find.find_labels` and `glomfeat.data.labels.find.join_labels`; the
    images have the class of their folder in ``raw``.
    """
    found = []
    for path, head, groups in _that_name_images(folder, places, relative, asked):
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


def holds_groups(folder, places, relative, asked):
    """Whether a table that names the images has the column of ``--groups``; parameters as for `with_columns`."""
    return any(groups for _, _, groups in _that_name_images(folder, places, relative, asked))


def _that_name_images(folder, places, relative, asked):
    """The tables that name images, their first rows, and their column of ``--groups``; empty if they have none."""
    for path in sheets_in(folder, places):
        with contextlib.suppress(TableError):
            head = read_head(path)
            if not is_ours(head) and names_images(head, path, relative, asked):
                yield path, head, as_spelt(head, asked.groups)


def _may_tell(values):
    """Whether a column may hold classes or cases: by its header, or by its few different values."""
    kind = known_kind(values.name)
    return kind == "case" or (not kind and 0 < values.nunique() <= MOST_CLASSES)
