"""The section on results: a sortable table, with intervals drawn in the cells, and every column explained."""

import json
import math
import re
from dataclasses import dataclass, replace
from itertools import zip_longest

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.table import METRICS, THRESHOLD
from glomfeat.results.case_level import OF_WEIGHTED, WEIGHTED
from glomfeat.results.doubts import on_components
from glomfeat.results.next_study import next_study_in_words
from glomfeat.results.procedure import COLUMNS as OF_PROCEDURE
from glomfeat.results.procedure import procedure_in_words
from glomfeat.results.tables import finished_first, own_columns, with_figure
from glomfeat.results.words import between, figure, is_known, p_value, said_of, signed

NAME, TITLE, ORDER, TEMPLATE = "results", "Results", 10, "sections/table.html"
NUMBER = re.compile(r"(?<![\w.,-])\d+(?![\w.]|,\d)")  # whole, not part of a name or of a longer number


@dataclass(frozen=True)
class Column:
    """A column of the page's table.

    Attributes
    ----------
    key : str
        Name of the column in results.csv.
    title : str
    means : str
        Explanation, shown when the pointer or the keyboard focus is on the heading.
    digits : int
    more : bool
        Whether the column is shown only on demand.
    place : int
        Position in the order of the columns; for metrics it comes from `glomfeat.metrics.table.Shown`.
    """

    key: str
    title: str
    means: str
    digits: int = 3
    more: bool = False
    place: int = 0


OTHERS = (
    Column("arm", "arm", "What was compared: a feature, how it was reduced, and the classifier on it; or a network."),
    Column(
        WEIGHTED,
        OF_WEIGHTED,
        "AUROC in which every case has the same weight, shared by its images: a patient with 400 images and one with "
        "two then count alike.",
        place=1,
    ),
    Column(
        "tied_with_best",
        "against the best",
        "The difference in AUROC to the best arm, and whether it is more than chance: p counts cases and is adjusted "
        "for the choice of the best among all arms. Tied arms must not be ranked.",
        place=2,
    ),
    Column(
        "weights", "weights", "What the feature's network had learned before. Random: it had learned nothing.", place=7
    ),
    Column("fit_s", "train, s", "Seconds to train on one fold, without extracting features.", 2, place=7),
    Column("predict_ms", "ms/image", "Milliseconds to score an image, without extracting features.", 2, True, 7),
    Column(
        "auroc_sd", "SD", "Standard deviation of the AUROC over folds. It says little about new cases.", 3, True, 10
    ),
    Column(
        OF_PROCEDURE[0],
        "trained again",
        "95 % limits of the AUROC when the same procedure is trained again on other cases. The limits next to the "
        "AUROC are those of the models that were fitted.",
        3,
        True,
        10,
    ),
    Column(
        "inner_auroc",
        "inner AUROC",
        "Mean AUROC of inner folds, on which choices are made: no result.",
        3,
        True,
        10,
    ),
    Column(
        "threshold", "threshold", "Mean over folds of the score from which an image is called positive.", 3, True, 10
    ),
    Column("peak_vram_mb", "GPU MB", "Peak memory on the GPU.", 0, True, 10),
    Column("parameters", "parameters", "How many numbers a network learns.", 0, True, 10),
)
OWN = "The authors' own metric, of the pooled out-of-fold scores of each repeat; mean over repeats."


def columns(classes, own=()):
    """List the columns of the table.

    Parameters
    ----------
    classes : int
        Number of classes; with more than two there is no threshold.
    own : sequence of str
        Names of the user's own metrics.

    Returns
    -------
    list of Column
    """
    shown = {metric: found for metric in METRICS.values() if (found := metric.on_page(classes))}
    of_metrics = (
        Column(metric.name, at.title or metric.title, metric.said(classes), at.digits, at.more, at.place)
        for metric, at in shown.items()
    )
    mine = (Column(name, name, OWN, place=5) for name in own)
    others = [column for column in OTHERS if column.key != THRESHOLD or classes == 2]
    return sorted([*of_metrics, *mine, *others], key=lambda column: column.place)


def fill(content):
    """Collect the table with its buttons; each heading says what its column means."""
    results, manifest = content.results, content.run.manifest
    known, unit = columns(len(manifest.classes), own_columns(results)), manifest.unit
    if not manifest.by_case:  # the plain AUROC already counts each image once
        known = [column for column in known if column.key != WEIGHTED]
    known = [replace(column, means=said_of(column.means, unit)) for column in known]
    shown = [column for column in known if _has_something(results[column.key])]
    low = results.loc[results["arm"] != FLOOR, "auroc_lo"].min()
    low = 0.0 if not math.isfinite(low) else math.floor(min(low, 0.98) * 20) / 20
    apart = {row["arm"]: row for row in content.comparisons.to_dict("records")}
    rows = [row | {"apart": apart.get(row["arm"])} for row in results.to_dict("records")]
    return {
        "unit": f"{unit}s",
        "low": low,
        "columns": shown,
        "rows": [
            {"kind": _kind(row), "cells": [_cell(row, column, content.names, low) for column in shown]} for row in rows
        ],
        "notes": _notes(content),
    }


def _notes(content):
    """Say what the limits refer to, what the next study needs, and where components are many."""
    unit, known = content.run.manifest.unit, with_figure(finished_first(content.results))
    if known.empty:
        return []
    which = procedure_in_words(known.iloc[0].to_dict(), unit)
    worth = next_study_in_words(content.next_study, content.names, unit)
    return [*filter(None, [which, worth]), *on_components(content.results)]


def as_json(results):
    """Write all columns and rows as JSON for a script element, such that no text can end the element."""
    return for_script({"columns": results.columns.tolist(), "rows": json.loads(results.to_json(orient="values"))})


def for_script(data):
    """Write plain data as JSON for a script element, such that no text can end the element."""
    return json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")


def _has_something(values):
    return bool(values.notna().any() and (values != "").any())


def _kind(row):
    return "floor" if row["arm"] == FLOOR else "tied" if row["tied_with_best"] is True else ""


def _cell(row, column, names, low):
    """Make what the template shows of a cell: its kind, a value to sort by, and a text."""
    value, cell = row[column.key], {"kind": "number", "more": column.more}
    if column.key == "arm":
        return cell | _arm_cell(row, names)
    if column.key == "tied_with_best":
        return cell | _standing(row)
    if column.key == "weights":
        text = str(value).split(" sha256:")[0].removeprefix("none, ") or "–"
        return cell | {"kind": "weights", "sort": text, "text": text}
    if not is_known(value):
        return cell | {"sort": "", "text": "–"}
    if column.key == "auroc":
        limits = between(row["auroc_lo"], row["auroc_hi"], to="–")
        bar = interval_bar(row["auroc"], row["auroc_lo"], row["auroc_hi"], low)
        return cell | {"kind": "auroc", "sort": f"{value:.9g}", "text": figure(value), "limits": limits, "bar": bar}
    if column.key == OF_PROCEDURE[0]:
        return cell | {"sort": f"{value:.9g}", "text": f"{figure(value)}–{figure(row[OF_PROCEDURE[1]])}"}
    digits = 0 if column.digits == 1 and value == round(value) else column.digits
    return cell | {"sort": f"{value:.9g}", "text": figure(value, digits)}


def _arm_cell(row, names):
    """Make the cell of an arm's name, with its code if that differs, and how it ended."""
    arm, reason = row["arm"], " ".join(str(row["reason"]).split())
    cell = {"kind": "arm", "sort": arm, "text": names[arm], "status": "", "note": ""}
    cell["code"] = arm.split("/") if arm != names[arm] else []
    if row["status"] != "done":
        why = reason or "not run yet"
        cell["status"] = f"{row['status']}: {why if len(why) < 160 else why[:157] + '...'}"
    elif row["reason"]:
        cell["note"] = of_all_folds(reason)
    return cell


def of_all_folds(reason):
    """Join notes of folds that differ in numbers only: each is said once, with the range of each number.

    Examples
    --------
    >>> of_all_folds("pca99 lowered to 37: no more rows; pca99 by gram; pca99 lowered to 36: no more rows")
    'pca99 lowered to 36–37: no more rows; pca99 by gram'
    >>> of_all_folds("kept 12,090 of 20,000 draws; kept 12,084 of 20,000 draws; C 1e-05; id 007")
    'kept 12,090 of 20,000 draws; kept 12,084 of 20,000 draws; C 1e-05; id 007'
    """
    found = {}
    for note in reason.split("; "):
        found.setdefault(tuple(NUMBER.split(note)), []).append(NUMBER.findall(note))
    said = []
    for words, folds in found.items():
        ends = [(min(of, key=int), max(of, key=int)) for of in zip(*folds, strict=True)]
        ranges = [low if int(low) == int(high) else f"{low}–{high}" for low, high in ends]
        said.append("".join(part for pair in zip_longest(words, ranges, fillvalue="") for part in pair))
    return "; ".join(said)


def _standing(row):
    """Compare an arm with the best one: a number to sort by, a word, the difference, and its adjusted p.

    Limits are not shown here: they are not adjusted, so that they may exclude 0 for an arm that is tied.
    """
    p, apart = row["p_vs_best"], row["apart"]
    if row["arm"] == FLOOR:
        return {"kind": "standing", "sort": 3, "word": "chance", "gap": ""}
    if apart is None or not is_known(apart["difference"]):
        best = row["tied_with_best"] is True
        return {"kind": "standing", "sort": 0 if best else 4, "word": "best" if best else "–", "gap": ""}
    tied = row["tied_with_best"] is True
    found = {"kind": "standing", "sort": 1 if tied else 2, "word": "tied" if tied else "worse"}
    return found | {"gap": signed(apart["difference"]).replace("-", "−"), "p": p_value(p) if is_known(p) else "no p"}


def interval_bar(value, low, high, start):
    """Find the places of an interval and its middle on an axis from `start` to 1 that is drawn from 4 to 96.

    Examples
    --------
    >>> interval_bar(0.75, 0.5, 1.0, 0.5)
    {'low': 4.0, 'high': 96.0, 'middle': 50.0}
    """
    if not all(map(is_known, (value, low, high))):
        return None
    low, high, middle = (4 + 92 * min(max((x - start) / (1 - start), 0), 1) for x in (low, high, value))
    return {"low": low, "high": high, "middle": middle}
