"""A feature table: which columns describe, are left out, lack values or know too much, and which rows are copies."""

from dataclasses import replace

from glomfeat.checks.data.findings import Finding
from glomfeat.core.words import number_of
from glomfeat.data.tables.levels import without_texts
from glomfeat.data.tables.read import listed
from glomfeat.features.base import FeatureError
from glomfeat.features.copies import KEEP_ONE, copied_rows
from glomfeat.features.table import Table
from glomfeat.features.telling import telling_columns


def check_columns(manifest, asked, show_names=False):
    """Check the columns of a feature table that is the data set.

    Parameters
    ----------
    manifest : Manifest
    asked : glomfeat.data.tables.columns.Asked
    show_names : bool
        As for `glomfeat.features.telling.telling_columns`.

    Returns
    -------
    list of Finding
    """
    table, broken = Table(manifest.source, asked, tuple(manifest.table["name"])), []
    for missing in ("refuse", "impute"):
        table = replace(table, asked=replace(asked, missing=missing))
        try:
            opened = table.open()
            places = table.places(opened, manifest.table["name"].tolist())
            told, _ = telling_columns(table, manifest, opened, show_names, places)
            copies = copied_rows(table, opened, places, manifest)
        except FeatureError as error:
            broken = broken or [_broken(error)]
            continue
        lacking = table.lines_on_gaps()
        found = [*broken, _used(opened), *([_missing(lacking)] if lacking else []), *([_telling(told)] if told else [])]
        return [*found, *_copies(copies, manifest, show_names)]
    return broken


def _broken(error):
    text, why = str(error), "studies.compare refuses such a table"
    return Finding("columns.broken", "severe", text, "read", why, "correct the table, or leave the column out")


def _missing(lines):
    text, how = "; ".join(lines), "cells that hold no number were counted"
    why = "where values are missing may tell the class or the site"
    remedy = "correct the cells; --missing impute of studies.compare fills them as said here"
    return Finding("columns.missing", "warning", text, how, why, remedy)


def _used(opened):
    used = listed(without_texts(opened.columns, opened.levels))
    left = f"; left out: {listed((f'{c} ({why})' for c, why in opened.left.items()), 20)}" if opened.left else ""
    return Finding(
        "columns.used",
        "info",
        f"{number_of(len(opened.columns), 'column describes', 'columns describe')}: {used}{left}",
        "by their headers and by what they hold",
        "a number that nobody measured, such as a place, a site or a second label, can tell the class",
        "--columns and --drop choose otherwise",
        tuple({"column": str(column), "left out": why} for column, why in opened.left.items()),
        (("columns", len(opened.columns)),),
    )


def _telling(told):
    shown = listed((f"{one.column!r} {one.why}" for one in told), 10)
    return Finding(
        "columns.telling",
        "warning",
        f"{number_of(len(told), 'column knows', 'columns know')} too much: {shown}",
        "AUROC of each column alone, over images and over the means of each class in each case; whether each of its "
        "values is of one class; rank correlation with the number of the row",
        "what tells the classes alone is often an id, a count or a second label, and rows are often sorted by class",
        "look at what it is; leave it out with --drop if nobody measured it",
        tuple({"column": one.column, "auroc": one.auroc, "growth": one.growth} for one in told),
        (("columns", len(told)),),
    )


def _copies(copies, manifest, show_names):
    return [
        Finding(
            "duplicates.rows",
            "severe" if copies.twice else "warning",
            text,
            "rows whose numbers are all equal, unless many rows hold them or few columns tell rows apart",
            "if separated, one is learnt by heart and the other is tested; no split by case helps",
            KEEP_ONE,
            tuple(
                {"name": manifest.table["name"].iloc[row], "copy": int(copies.group[row])}
                for row in copies.rows.nonzero()[0]
            ),
            (("rows", int(copies.rows.sum())), ("cases", copies.twice)),
        )
        for text in copies.lines(manifest, show_names)
    ]
