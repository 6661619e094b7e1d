"""The section on joined columns: what they add to images, what images add to them, and their values in each class."""

import math

from glomfeat.core.words import capital
from glomfeat.results.joined import NO_VALUE, NUMBER, added_in_words, columns_in_words
from glomfeat.results.words import p_value, plain_class

NAME, TITLE, ORDER, TEMPLATE = "joined", "Columns beside images", 14, "sections/joined.html"
MOST = 8  # values of a column that are shown, the most frequent first


def fill(content):
    """Collect the differences between arms with and without columns, and describe the columns by class.

    None if no columns were joined.
    """
    table, pairs = content.joined, content.joined_pairs
    if table is None:
        return None
    manifest = content.run.manifest
    return {
        "named": columns_in_words(table),
        "said": [f"{capital(one)}." for one in added_in_words(pairs, content.names)],
        "rows": [_row(row, content.names) for row in pairs.to_dict("records")],
        "classes": [plain_class(name) for name in manifest.classes],
        "columns": [
            _column(name, part, manifest.classes, content.show_names)
            for name, part in table.groupby("column", sort=False)
        ],
    }


def _row(row, names):
    limits = f"{row['lo']:+.3f} to {row['hi']:+.3f}; {p_value(row['p_holm'])}" if math.isfinite(row["p_holm"]) else ""
    shown = {"arm": names.get(row["arm"], row["arm"]), "other": names.get(row["other"], row["other"])}
    difference = f"{round(row['difference'], 3) + 0.0:+.3f}" if math.isfinite(row["difference"]) else "–"
    difference, limits = (text.replace("-", "−") for text in (difference, limits))
    return shown | {"adds": row["adds"], "difference": difference, "limits": limits}


def _column(name, part, classes, show_names):
    """Make a column's cells: its values in each class."""
    kind = part["kind"].iloc[0]
    if kind == NUMBER:
        return {"name": name, "kind": "median (quartiles)", "cells": [_numbers(part, one) for one in classes]}
    if part["one_case"].any() and not show_names:
        own = (part[(part["class"] == one) & (part["images"] > 0) & (part["value"] != NO_VALUE)] for one in classes)
        return {"name": name, "kind": "values, most of one case each", "cells": [str(len(held)) for held in own]}
    counts = part[part["value"] != NO_VALUE].groupby("value")["images"].sum().sort_values(ascending=False)
    shown, several = counts.index[:MOST], len(counts) > MOST
    kind = f"images, of the {MOST} commonest of {len(counts)} values" if several else "images"
    return {"name": name, "kind": kind, "cells": [_texts(part, one, shown) for one in classes]}


def _numbers(part, name):
    own = part[part["class"] == name]
    there, gone = own[own["value"] != NO_VALUE].iloc[0], own[own["value"] == NO_VALUE]["images"].sum()
    said = f"{there['median']:.4g} ({there['q1']:.4g} to {there['q3']:.4g})" if there["images"] else "–"
    return said + (f"; {gone} of {there['of']} missing" if gone else "")


def _texts(part, name, shown):
    own = part[part["class"] == name].set_index("value")
    parts = [f"{value} {own['images'].get(value, 0)} ({own['images'].get(value, 0) / own['of'].iloc[0]:.0%})"
             for value in shown]  # fmt: skip
    gone = own["images"].get(NO_VALUE, 0)
    return "; ".join(parts) + (f"; {gone} of {own['of'].iloc[0]} missing" if gone else "")
