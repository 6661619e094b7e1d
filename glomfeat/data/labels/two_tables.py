"""Labels in two tables, as STAMP keeps them: the files of each patient, and what is known of each patient."""

from glomfeat.core.words import number_of
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.columns import label_column
from glomfeat.data.tables.read import CASE_COLUMNS, SHEETS, TableError, find_column, find_names, known_kind, read_frame
from glomfeat.data.tables.unclear import take_unclear

MOST_CLASSES = 10


def read_two(path, frame, asked, notes):
    """The rows of a table of files with their patients' class, taken from the other table in the folder.

    Parameters
    ----------
    path : pathlib.Path
        Path of either table.
    frame : pandas.DataFrame
        The content of that table.
    asked : glomfeat.data.tables.columns.Asked
    notes : list of str
        More are added.

    Returns
    -------
    frame : pandas.DataFrame
        Includes the files of patients without a class.
    label : str
        Its column of classes.
        A single None is returned instead of both if there are no such two tables.
    """
    if find_column(frame, CASE_COLUMNS) is None:
        return None
    here = _names_files(frame, path.name)
    others = {}
    for other in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        if other != path and other.suffix.lower() in SHEETS and not other.name.startswith((".", "~$")):
            try:
                found = read_frame(other)
            except TableError:
                continue
            if find_column(found, CASE_COLUMNS) is not None and _names_files(found, other.name) != here:
                others[other] = found
    if len(others) != 1:
        return None
    ((other, found),) = others.items()
    (files, of_files), (patients, of_patients) = (
        ((frame, path), (found, other)) if here else ((found, other), (frame, path))
    )
    label = _class_of_patients(patients, of_patients.name, asked)
    keys = [find_column(table, CASE_COLUMNS) for table in (files, patients)]
    known = patients.drop_duplicates(keys[1])
    if len(known) < len(patients.drop_duplicates([keys[1], label])):
        raise ManifestError(
            f"{of_patients.name}: patients have several rows with different {label!r}: keep one of each"
        )
    key = files[keys[0]].astype(str).str.strip()
    files = files.drop(columns=[label, keys[0]], errors="ignore").assign(case=key)
    more = known[[column for column in known.columns if column not in (*files.columns, keys[1])]]
    merged = files.join(more.set_index(known[keys[1]].astype(str).str.strip()), on="case")
    take_unclear(merged, patients, more.columns)
    lost = merged[label].isna()
    without = number_of(lost.sum(), "file of patients without it is", "files of patients without it are")
    notes.append(
        f"{of_files.name} names files and {of_patients.name} tells {label!r} of {len(known)} patients: joined by "
        f"{keys[0]!r}" + (f"; {without} left out" if lost.any() else "")
    )
    return merged, label


def clinical_table(paths, asked):
    """Which of some tables is the one of patients, if another one names their files; or None."""
    heads = {}
    for path in paths:
        try:
            head = read_frame(path, rows=100)
        except TableError:
            continue
        if find_column(head, CASE_COLUMNS) is not None:
            heads[path] = head
    files = [path for path, head in heads.items() if _names_files(head, path.name)]
    patients = [path for path in heads if path not in files]
    return patients[0] if len(files) == len(patients) == 1 else None


def _names_files(frame, where):
    return bool(find_names(frame, where))


def _class_of_patients(frame, where, asked):
    """The column of classes in a table of patients; it may have any name if there is only one."""
    if label := label_column(frame, where, asked.label):
        return label
    counts = {column: frame[column].nunique() for column in frame.columns if not known_kind(column)}
    classes = [column for column, count in counts.items() if 2 <= count <= MOST_CLASSES]
    if len(classes) == 1:
        return classes[0]
    shown = ", ".join(f"{column} ({counts[column]} values)" for column in classes) or "none with 2 to 10 values"
    raise ManifestError(f"{where} does not say which column holds the classes ({shown}): say it with --label-column")
