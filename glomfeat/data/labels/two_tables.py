"""Labels in two tables, as STAMP keeps them: the files of each patient, and what is known of each patient."""

from itertools import product

from glomfeat.core.words import number_of
from glomfeat.data.cases import written_loosely
from glomfeat.data.folders.names import words_of
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.columns import fact_of, label_column, used_columns
from glomfeat.data.tables.read import (
    CASE_COLUMNS,
    OF_PERSONS,
    SHEETS,
    SITE_WORDS,
    TableError,
    find_column,
    find_columns,
    find_names,
    known_kind,
    plain,
    read_frame,
    read_values,
)
from glomfeat.data.tables.unclear import take_unclear

MOST_CLASSES = 10
NO_CLASSES = {*OF_PERSONS, *SITE_WORDS, "scanner", "clinic", "klinik", "country", "year", "cohort", "batch", "stain"}
PERSONS = ("patient", "subject", "donor", "participant", "person")


def read_two(path, frame, asked, notes):
    """The rows of a table of files with their patients' class, taken from the other table in the folder, and its name.

    `frame` is the content of `path`, which may be either table. Files of patients without a class are among the rows.
    None if there are no such two tables.
    """
    if find_column(frame, CASE_COLUMNS) is None:
        return None
    here = bool(find_names(frame, path.name))
    others = {}
    for other in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        if other != path and other.suffix.lower() in SHEETS and not other.name.startswith((".", "~$")):
            try:
                found = read_frame(other)
            except TableError:
                continue
            if find_column(found, CASE_COLUMNS) is not None and bool(find_names(found, other.name)) != here:
                others[other] = found
    if len(others) != 1:
        return None
    ((other, found),) = others.items()
    (files, of_files), (patients, of_patients) = (
        ((frame, path), (found, other)) if here else ((found, other), (frame, path))
    )
    label = _class_of_patients(patients, of_patients.name, asked)
    keys = _keys(files, patients)
    key, called = (read_values(table[column].array) for table, column in zip((files, patients), keys, strict=True))
    patients = patients.assign(**{keys[1]: called.array})[(called != "").to_numpy(bool)]
    files = files.drop(columns=label, errors="ignore").assign(**{keys[0]: key.array})
    others = patients.columns.difference([*files.columns, keys[1]], sort=False)
    used = [label, *used_columns(patients[others], asked)]
    known = _one_row_each(patients, keys[1], dict.fromkeys(used), key, of_patients.name)
    more = known[others]
    _refuse_spellings(key, called, of_files.name, of_patients.name)
    merged = files.join(more.set_index(known[keys[1]]), on=keys[0])
    take_unclear(merged, patients, more.columns)
    lost, bare = merged[label].isna(), len({*known[keys[1]]} - {*key})
    if lost.all():
        raise ManifestError(
            f"no file of {of_files.name} is of a patient whose {label!r} {of_patients.name} tells: write patients in "
            f"one way in {keys[0]!r} of the former and {keys[1]!r} of the latter"
        )
    without = number_of(lost.sum(), "file of patients without it is", "files of patients without it are")
    notes.append(
        f"{of_files.name} names files and {of_patients.name} tells {label!r} of {len(known)} patients: joined by "
        f"{keys[0]!r}"
        + (f"; {without} left out" if lost.any() else "")
        + (f"; {number_of(bare, 'patient has', 'patients have')} no file in {of_files.name}" if bare else "")
    )
    if again := len(patients) - len(known):
        repeats = "row repeats a patient: it is" if again == 1 else "rows repeat a patient: they are"
        notes.append(f"{of_patients.name}: {again} {repeats} left out")
    return merged, label


def _keys(files, patients):
    """The columns of cases that join two tables: those of persons, of the same header, then those that join most."""
    ours, theirs = ({c: read_values(t[c].array) for c in find_columns(t, CASE_COLUMNS)} for t in (files, patients))

    def fit(pair):
        persons = all(plain(column).startswith(PERSONS) for column in pair)
        return persons, plain(pair[0]) == plain(pair[1]), ours[pair[0]].isin(theirs[pair[1]]).sum()

    return max(product(ours, theirs), key=fit)


def _one_row_each(patients, key, columns, with_files, where):
    """The first row of each patient, with what only later ones tell in columns that are used.

    Patients with files are refused if their rows differ there: nobody knows which row is that of a file.
    """
    known = patients.drop_duplicates(key).set_index(key, drop=False)
    for column in columns:
        texts = read_values(patients[column].array).set_axis(patients.index)
        told = patients[texts != ""]
        several = texts[told.index].groupby(told[key]).nunique() > 1
        if several[several.index.isin(with_files)].any():
            raise ManifestError(f"{where}: patients have several rows with different {column!r}: keep one of each")
        first = told.drop_duplicates(key).set_index(key)[column]
        known[column] = known[column].where(~known.index.isin(first.index), first.reindex(known.index))
    return known.reset_index(drop=True)


def _refuse_spellings(key, called, files, patients):
    """Refuse patients that two tables write in two ways; rows are named, which do not say who they are."""
    rows = {written_loosely(patient): row for row, patient in reversed([*enumerate(called, 1)])}
    alone = key[~key.isin(called)].drop_duplicates()
    if twice := [(row + 1, rows[text]) for row, text in alone.map(written_loosely).items() if text in rows]:
        written = number_of(len(twice), "patient is", "patients are")
        ours, theirs = twice[0]
        raise ManifestError(
            f"{written} written in {patients} with other capitals, blanks, separators, zeros or forms of letters than "
            f"in {files}, such as in row {theirs} of the former and row {ours} of the latter: write each patient in "
            "one way"
        )


def clinical_table(heads):
    """Which of some tables, by their first rows, is the one of patients, if another names their files; or None."""
    heads = {path: head for path, head in heads.items() if find_column(head, CASE_COLUMNS) is not None}
    files = [path for path, head in heads.items() if find_names(head, path.name)]
    patients = [path for path in heads if path not in files]
    return patients[0] if len(files) == len(patients) == 1 else None


def _class_of_patients(frame, where, asked):
    """The column of classes in a table of patients; it may have any name if there is only one."""
    if label := label_column(frame, where, asked.label):
        return label
    counts = {column: frame[column].nunique() for column in frame.columns if not known_kind(column)}
    classes = [column for column, count in counts.items() if 2 <= count <= MOST_CLASSES]
    if len(classes) == 1 and not fact_of(classes[0]) and not NO_CLASSES & {*words_of(classes[0])}:
        return classes[0]
    shown = ", ".join(f"{column} ({counts[column]} values)" for column in classes) or "none with 2 to 10 values"
    raise ManifestError(f"{where} does not say which column holds the classes ({shown}): say it with --label-column")
