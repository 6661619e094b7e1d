"""How predictions for a folder compare with its labels: figures with limits, by case if cases can be found."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.bundle.in_cases import told_of, why_no_cases
from glomfeat.core.arms import Arm, Trial
from glomfeat.core.errors import UserError
from glomfeat.core.plugins import did_you_mean
from glomfeat.core.words import number_of
from glomfeat.data.cases import IMAGE_LEVEL, find_cases
from glomfeat.data.labels.classes import WHOLE, class_numbers, labelled
from glomfeat.data.labels.corrections import BASE, digest_of_name
from glomfeat.data.manifest import Manifest
from glomfeat.data.problems import ManifestError, complain
from glomfeat.data.tables.columns import USUAL, label_column
from glomfeat.data.tables.joining import find_names_among, lines_on_folders
from glomfeat.data.tables.read import TableError, listed
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.mean_recall import is_mean_recall, mean_recall_limits
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights, resampling_units
from glomfeat.metrics.scores import confusion
from glomfeat.metrics.table import METRICS, limits_of, rates
from glomfeat.results.external import OF_BOTH, Cohort, cohort_run, external_tables
from glomfeat.results.run import Run

OF_SCORES = ("auroc", "average_precision", "brier")


class LabelsError(UserError, ValueError):
    """Labels do not fit the files or the classes; the message gives the remedy."""


@dataclass(frozen=True)
class Judged:
    """What labels say about predictions.

    Attributes
    ----------
    figures : pandas.DataFrame
        ``figure, value, low, high``; decisions are those of the bundle.
    confusion : ndarray of int, shape (classes, classes)
        How often each class (row) was called each class (column).
    images, cases : int
    by_case : bool
        Whether limits come from leaving out each case, rather than each image.
    notes : list of str
    run : glomfeat.results.run.Run
        A run of the bundle's arm, in one trial that tests all labelled images.
    beside : dict
        A row of `glomfeat.results.external.external_tables`: figures here, with those of the bundle's study.
    """

    figures: pd.DataFrame
    confusion: np.ndarray
    images: int
    cases: int
    by_case: bool
    notes: list = field(default_factory=list)
    run: Run | None = None
    beside: dict = field(default_factory=dict)


def read_labels(path, names, classes, asked=USUAL, notes=None, show_names=False):
    """Read the class of each file.

    Parameters
    ----------
    path : path-like
        A table of labels in the form that a study reads, see `glomfeat.data.labels.classes.labelled`; names are found
        with or without folders and suffix.
    names : list of str
        Names of the files.
    classes : list of str
        The bundle's classes. Labels are their names or, if no class is a number, their indices.
    asked : glomfeat.data.tables.columns.Asked
        Which columns name files and hold classes.
    notes : list of str, optional
        Lines are added on how the table is written, if that is unusual, and on labels that belong to none of the files.
    show_names : bool
        Whether to say which these are.

    Returns
    -------
    pandas.DataFrame
        The CSV's columns for each file that has a label, with ``name`` and ``label`` (class index).

    Raises
    ------
    LabelsError
        A column is missing, a class is unknown, a name fits several files, or a file has two labels.
    """
    try:
        frame = labelled(path, asked, notes)
    except (ManifestError, TableError) as error:
        raise LabelsError(str(error)) from error
    found, unclear = find_names_among(frame["name"], names, again=True)
    if unclear:
        raise LabelsError(
            f"{path}: {number_of(len(unclear), 'name fits', 'names fit')} several files, or one file with others: "
            f"write {'it with its folder' if len(unclear) == 1 else 'them with their folders'} ({listed(unclear, 3)})"
        )
    if notes is not None:
        notes += lines_on_folders(((name, names[place]) for name, place in found.items()), Path(path).name)
    frame = frame[frame["raw"] != ""]
    lost = [name for name in dict.fromkeys(frame["name"]) if name not in found]
    if lost and notes is not None:
        which = f": {listed(lost, 3)}" if show_names else "; --show-names says which"
        fits = number_of(len(lost), "name fits none of DATA and is", "names fit none of DATA and are")
        notes.append(f"labels: of {frame['name'].nunique()} names in {Path(path).name}, {fits} not counted{which}")
    return by_class(frame, {name: names[place] for name, place in found.items()}, classes, path, notes)


def corrected(corrections, labels, classes, notes):
    """Apply the changes that people made to the labels of files.

    Parameters
    ----------
    corrections : glomfeat.data.labels.corrections.Corrections
    labels : pandas.DataFrame or None
        The labels to change, from `read_labels`.
    classes : list of str
        The bundle's classes.
    notes : list of str
        A line is added on how many labels were changed.

    Returns
    -------
    pandas.DataFrame
        As from `read_labels`.

    Raises
    ------
    LabelsError
        There are no labels to change, or the changes do not fit them.
    """
    where = ", ".join(corrections.names)
    if labels is None:
        raise LabelsError(
            f"{where} changes labels, but these data have none of their own: give the table that it changes as "
            f"--labels, or write its path in the column {BASE!r}"
        )
    called = labels["name"].map(lambda name: _called(name, corrections.digests))
    several = labels["name"][called.duplicated(keep=False)].tolist()
    what = "files of which several fit one name in it: give the data that it was made for as DATA"
    problems = [(what, several)] if several else []
    frame = labels.assign(raw=[classes[k] for k in labels["label"]], name=called)
    found = corrections.apply(frame, problems, notes, classes)
    try:
        complain(where, problems)
    except ManifestError as error:
        raise LabelsError(str(error)) from None
    return labels.assign(label=[classes.index(raw) for raw in found["raw"]])


def _called(name, digests):
    """The name under which a table of changes knows a file: with or without the folders above it."""
    parts = name.split("/")
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if digest_of_name(tail) in digests), name)


def labels_within(frame, place, names, asked, classes, notes):
    """Read the classes that a table gives to the rows or files that it names itself.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    place : path-like
        Where the table is.
    names : list of str
        The names in it.
    asked : glomfeat.data.tables.columns.Asked
        Which columns hold names and classes, if the user says it.
    classes : list of str
        The bundle's classes.
    notes : list of str
        More are added.

    Returns
    -------
    pandas.DataFrame or None
        As from `read_labels`; None if the table has no column of classes.
    """
    if label_column(frame, Path(place).name, asked.label) is None:
        return None
    frame = labelled(place, asked, notes, frame)
    frame = of_known_classes(frame[frame["raw"] != ""], classes, notes)
    return by_class(frame, {name: name for name in names}, classes, place, notes)


def of_known_classes(frame, classes, notes):
    """Leave out labels of classes that the bundle does not have, with a line, unless there are no others.

    Numbers stay, for `by_class` to refuse, if a class has no label: they may count from 1 where the bundle's classes
    count from 0.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `glomfeat.data.labels.classes.labelled`, without rows that have no label.
    classes : list of str
    notes : list of str
        A line is added on how many labels are left out.

    Returns
    -------
    pandas.DataFrame
    """
    numbers = class_numbers(frame["raw"], classes)
    other = numbers.isna()
    shifted = numbers.nunique() < len(classes) and any(map(WHOLE.fullmatch, frame["raw"][other]))
    if not other.any() or other.all() or shifted:
        return frame
    left, which = number_of(int(other.sum()), "is", "are"), listed(sorted(set(frame["raw"][other])), 3)
    notes.append(f"labels: {left} left out of the report, because the model has no such class: {which}")
    return frame[~other]


def by_class(frame, files, classes, where, notes=None):
    """Give rows of labels the file that each belongs to and the number of its class.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `glomfeat.data.labels.classes.labelled`, without rows that have no label.
    files : dict of str to str
        The file that each name in the table stands for.
    classes : list of str
    where : path-like
        For messages.
    notes : list of str, optional
        A line is added if classes are given as numbers.

    Returns
    -------
    pandas.DataFrame
        As from `read_labels`.

    Raises
    ------
    LabelsError
        A class is unknown, or a file has two labels.
    """
    frame = frame.assign(name=frame["name"].map(files))
    frame = frame[frame["name"].notna()]
    frame = frame.assign(label=class_numbers(frame["raw"], classes, notes))
    unknown = frame["raw"][frame["label"].isna()]
    if len(unknown):
        raise LabelsError(f"{where}: no class is called {unknown.iloc[0]!r}: {did_you_mean(unknown.iloc[0], classes)}")
    frame = frame.drop_duplicates(["name", "label"])
    if frame["name"].duplicated().any():
        twice = frame["name"][frame["name"].duplicated()].iloc[0]
        raise LabelsError(f"{where} gives {twice} two labels: keep one")
    return frame.astype({"label": np.int64}).reset_index(drop=True)


def judge(predicted, labels, groups, about, seed=0, unit="files", facts=None):
    """Compare predictions with labels.

    Parameters
    ----------
    predicted : pandas.DataFrame
        From an evaluation: ``name, prediction, score, status``, with more than two classes also ``score_<class>``.
    labels : pandas.DataFrame
        From `read_labels`.
    groups : str
    about : dict
        The bundle's.
    seed : int
        For dealing cases to groups, if there are very many of them.
    unit : str
        ``files`` of images, or ``rows`` of a table.
    facts : pandas.DataFrame, optional
        What the data themselves say about their images, as for `glomfeat.bundle.in_cases.in_cases`.

    Returns
    -------
    Judged

    Raises
    ------
    LabelsError
        No file has both a prediction and a label.
    """
    classes = about["classes"]
    each = [f"score_{name}" for name in classes] if len(classes) > 2 else ["score"]
    both = labels.merge(predicted[["name", "prediction", *each, "status"]], on="name", suffixes=("_", ""))
    both = both[both["prediction"].notna()].sort_values("name", ignore_index=True)
    lost = len(labels) - len(both)
    if both.empty:
        raise LabelsError(
            f"no {unit[:-1]} has both a prediction and a label: names of labels must be those of the {unit}"
        )
    both, cases, notes = _in_cases(both, told_of(both["name"], (facts, labels), groups), groups, unit)
    y, called = both["label"].to_numpy(np.int64), both["prediction"].to_numpy(np.int64)
    codes = np.arange(len(both)) if cases is None else np.unique(cases["case"].to_numpy(str), return_inverse=True)[1]
    units = resampling_units(codes, seed=seed)[codes]
    number = len(classes)
    score = both[each].to_numpy(float)
    score = score[:, 0] if number == 2 else score
    whole = _figures(y, called, score, number, units)
    without = _figures(y, called, score, number, units, leave_out_weights(units.max() + 1))
    rows, blank = [], OF_BOTH if len(np.unique(y)) < number else ()
    for name, (value,) in whole.items():
        value = np.nan if name in blank else value
        own, holders = own_cases(METRICS[name].made_of, y, units, units.max() + 1, number, called == 1)
        ends = jackknife_limits(float(value), without[name][own], *METRICS[name].bounds(number), holders)
        if is_mean_recall(name, number):
            ends = mean_recall_limits(ends, value, y, called, units, number)
        rows.append((name, value, *ends))
    without = int((predicted["prediction"].notna() & ~predicted["name"].isin(labels["name"])).sum())
    if without:
        one, more = f"{unit[:-1]} has no label and is not counted", f"{unit} have no label and are not counted"
        notes.append(number_of(without, one, more))
    if lost:
        notes.append(f"{lost} labelled {unit} have no prediction and are not counted")
    figures = pd.DataFrame(rows, columns=["figure", "value", "low", "high"])
    counts = confusion(y, called, number).astype(int)
    found = _as_run(both, score, cases, codes, about)
    return Judged(figures, counts, len(both), len(np.unique(codes)), cases is not None, notes, *found)


def _in_cases(both, told, groups, unit):
    """The rows of a known case, their cases, and notes on them; all rows and None if cases are of no use."""
    found = find_cases(told, groups)
    known, notes = found.cases["case"].notna(), [f"cases: {found.how}"]
    if why := why_no_cases(found, known, groups):
        return both, None, [f"limits are of single images, because {why}: {IMAGE_LEVEL.split(': ')[1]}"]
    if lost := int((~known).sum()):
        one, more = f"{unit[:-1]} of no known case is", f"{unit} of no known case are"
        notes.append(f"{number_of(lost, one, more)} not counted: --groups none counts all, without cases")
    return both[known].reset_index(drop=True), found.cases[known].reset_index(drop=True), notes


def _as_run(both, score, cases, codes, about):
    """The bundle's arm on labelled images, as a run, and its figures beside those of its study."""
    classes, slides, by_case = tuple(about["classes"]), both["name"], cases is not None
    names = [f"{code:09d}" for code in codes]  # sorts in the order of the codes
    if by_case:
        names, slides = cases["case"].astype(str), cases["slide"]
    told = {"path": "", "label": both["label"], "case": list(names), "slide": list(slides), "digest": ""}
    manifest = Manifest(pd.DataFrame({"name": both["name"], **told}), classes, by_case)
    arm, threshold = Arm.parse(about["arm"]), about["threshold"]["value"]
    record = {"status": "done", "reason": "", "scores": score.tolist()}
    record["threshold"] = np.nan if threshold is None else threshold
    home = Run(manifest, None, [Trial(arm, 0, 0)], {}, {}, 0)
    cohort = Cohort("here", manifest, [], {str(arm): record})
    expected = about.get("expected", {})
    known = {
        name: np.nan if (value := expected.get(name)) is None else value for name in ("auroc", *limits_of("auroc"))
    }
    internal = pd.DataFrame([{"arm": str(arm), **known}])
    return cohort_run(home, cohort), external_tables(home, internal, [cohort]).results.iloc[0].to_dict()


def _figures(y, called, score, classes, units, weights=None):
    """The value of each figure, or one value for each row of the units' weights."""

    def summed(values):
        return values.sum(axis=0)[None] if weights is None else weights @ case_sums(values, units, weights.shape[1])

    cells = np.eye(classes * classes)[y * classes + called]
    decided = rates(summed(cells).reshape(-1, classes, classes))
    found = {name: values for name, values in decided.items() if METRICS[name].errors_of is None}
    ranked = {}
    for name in OF_SCORES:
        metric = METRICS[name]
        ranked[name] = [metric.function(y, score)] if weights is None else metric.by_case(y, score, units, weights)
    return {name: ranked[name] for name in OF_SCORES[:2]} | found | {"brier": ranked["brier"]}
