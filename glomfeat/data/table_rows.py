"""The rows of a feature table with their labels, which it holds itself or a table of labels gives."""

from pathlib import Path

import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.embeddings import find_rows, names_of
from glomfeat.data.embeddings.parquet import sorted_parquet
from glomfeat.data.labels.classes import clean_label, differing, labelled, lines_on_emptied, one_row_each
from glomfeat.data.labels.find import find_labels, heads_in
from glomfeat.data.problems import ManifestError
from glomfeat.data.tables.columns import fact_of, label_column, sort_columns, words_of_options
from glomfeat.data.tables.joining import lines_on_folders
from glomfeat.data.tables.numbers import spoilt_in_words
from glomfeat.data.tables.own import OURS, header_of, set_apart
from glomfeat.data.tables.read import (
    CASE_COLUMNS,
    NAME_COLUMNS,
    SHEETS,
    TABLES,
    as_spelt,
    find_column,
    find_names,
    listed,
    plain,
    read_values,
    row_names,
)
from glomfeat.data.tables.unclear import take_unclear


class OfColumns(str):
    """A line for the user on which columns of DATA describe: untrue if features come from other tables alone."""


def from_table(path, labels, asked, problems, notes):
    """The rows of a feature table, or of a feature table and a table of labels."""
    if labels is None and path.is_dir():
        names = names_of(path, asked)["name"].tolist()
        labels = find_labels(path, heads_in(path, []), names, asked, notes, by_folder=False)
        notes += [f"{labels.name} gives the classes"] if labels else []
    if labels is not None:
        return _join_rows(path, labels, asked, problems, notes)
    frame = names_of(path, asked)
    suffix = path.suffix.lower()
    if label_column(frame, path.name, asked.label) is None and suffix not in TABLES:
        raise ManifestError(
            f"{path} holds {number_of(len(frame), 'row')} and does not say which class each has: give --labels FILE"
        )
    _say_columns(path, frame, asked, problems, notes)
    frame = labelled(path, asked, notes, frame)
    repeated = frame["name"][frame["name"].duplicated()].unique().tolist()
    if repeated:
        problems.append(("names with several rows in the feature table", repeated))
    return frame.drop_duplicates("name").assign(path="")


def _say_columns(path, frame, asked, problems, notes):
    """Say which columns of a table describe; report cells that hold no number as a problem."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        found, _, frame = sorted_parquet(path, asked)
    elif suffix in SHEETS:
        found = sort_columns(frame, asked, path.name)
    else:
        return
    notes += map(OfColumns, found.lines(path.name))
    if found.spoilt and asked.missing == "refuse":
        names = row_names(frame, path.name, asked.name)
        problems += [(line, []) for line in spoilt_in_words(frame, found, [*(frame.index if names is None else names)])]


def _join_rows(path, labels, asked, problems, notes):
    """The rows of a CSV of labels that have a row of features under the same name."""
    if not Path(labels).is_file():
        raise ManifestError(
            f"there is no {labels}: --labels must be a table (CSV, Excel or parquet) of names and classes"
        )
    frame = one_row_each(labelled(labels, asked, notes), problems, asked, notes, Path(labels).name)
    told = names_of(path, asked, frame["name"].tolist())
    _say_columns(path, told, asked, problems, notes)
    known = row_names(told, path.name, as_spelt(told, asked.name))
    if known is None:
        called = ", ".join(NAME_COLUMNS[:5])
        raise ManifestError(
            f"{path} does not name its rows: it needs a column {called}, or say which with --name-column"
        )
    known = known.tolist()
    places, missing = find_rows(frame["name"].tolist(), known)
    if missing:
        problems.append((f"labels of {Path(labels).name} without a row of features", missing))
        frame = frame[~frame["name"].isin(missing)]
        places = find_rows(frame["name"].tolist(), known)[0]
    elif places is None:
        problems.append(("images of one name in several folders, which need their folder in the features too", []))
    if len(known) > len(frame):
        lack = len(known) - len(frame)
        notes.append(
            f"{lack} of {len(known)} rows {'has' if lack == 1 else 'have'} no label in {Path(labels).name}: left out"
        )
    if places is not None:
        met = zip(frame["name"], (known[place] for place in places), strict=True)
        notes += lines_on_folders(met, Path(labels).name)
        told = told.iloc[places].set_axis(frame.index)
        frame = _with_facts(frame, told, path, Path(labels).name, asked, notes)
    return frame.assign(path="")


def _with_facts(frame, told, path, labels, asked, notes):
    """Add what only the features' own table says of its rows: cases, slides, sites, splits and what options name."""
    where = path.name
    options, kinds = words_of_options(asked), {*map(fact_of, frame.columns)}
    own = {plain(header_of(column)) for column in frame.columns if column not in OURS}
    names = *find_names(told, where, as_spelt(told, asked.name)), *frame.attrs["named by"]
    own |= {*map(plain, OURS)} & {*map(plain, names)}  # the name of an image stands for these
    more = [
        column
        for column in told.columns
        if plain(column) not in own and (plain(column) in options or fact_of(column) not in {*kinds, ""})
    ]
    if more:
        notes.append(f"{where} gives {listed(more)}, which {labels} does not have")
        notes += lines_on_emptied(path, told[more], asked)
    _say_own_classes(frame, told.drop(columns=more), where, labels, asked, notes)
    _warn_of_cases(frame, told, where, labels, asked, notes)
    apart = set_apart(told[more])
    found = frame.assign(**{str(column): apart[column] for column in apart})
    take_unclear(found, told, more)
    return found


def _say_own_classes(frame, told, where, labels, asked, notes):
    """Say that the features' own column of classes is not used; warn if it disagrees with the table of labels."""
    column = label_column(told, where, as_spelt(told, asked.label))
    if column is None:
        return
    notes.append(f"{where}: left out: {column} ({labels} gives the classes)")
    rows = differing(frame["raw"], told[column].map(clean_label))
    if rows is not None and len(rows):
        notes.append(
            f"warning: {labels} gives other classes than column {column!r} of {where} in {len(rows)} of "
            f"{number_of(len(frame), 'row')}: the former are used"
        )


def _warn_of_cases(frame, told, where, labels, asked, notes):
    """Warn if the cases of a table of labels, which are taken, tear those that the features' own table gives."""
    ours, theirs = (find_column(table, CASE_COLUMNS) for table in (frame, told))
    if ours is None or theirs is None or asked.groups != "auto":
        return
    pairs = pd.DataFrame({"ours": read_values(frame[ours].to_numpy()), "theirs": read_values(told[theirs].to_numpy())})
    if torn := int((pairs[pairs["theirs"] != ""].groupby("theirs")["ours"].nunique() > 1).sum()):
        of = number_of(torn, f"case of column {theirs!r} of {where} is", f"cases of column {theirs!r} of {where} are")
        notes.append(
            f"warning: {of} several cases of column {ours!r} of {labels}, which is taken: if {theirs!r} tells patients "
            f"apart, take {ours!r} out of {labels}"
        )
