"""The section on comparisons: every arm against the reference or the best one, in ranking and in decisions."""

import math

from glomfeat.core.arms import FLOOR
from glomfeat.report.chosen import the_threshold
from glomfeat.results.best_of_many import chosen_in_words, is_corrected
from glomfeat.results.pairs import DECISIONS, pairs_of
from glomfeat.results.words import figure, p_value, signed

NAME, TITLE, ORDER, TEMPLATE = "comparisons", "Which arm is better", 12, "sections/comparisons.html"
TITLES = dict(zip(DECISIONS, ("sens.", "spec.", "bal. acc.", "Brier"), strict=True))


def fill(content):
    """Collect the differences of all other arms from the reference or the best arm, and what they mean.

    None if there are no two arms with a figure.
    """
    reference, against, base = content.reference, content.comparisons, None
    if reference is not None and not content.against_reference.empty:
        against, base = content.against_reference, reference.arm
    elif not content.comparisons.empty:
        base = content.comparisons["best"].iloc[0]
    rows = pairs_of(content.pairs, base)
    rows = rows[rows["arm"] != FLOOR]
    if rows.empty:
        return None
    against, names = {row["arm"]: row for row in against.to_dict("records")}, content.names
    unit, at = content.run.manifest.unit, the_threshold(content.loaded, "its own threshold")
    return {
        "corrected": is_corrected(content.best_of_many),
        "said": chosen_in_words(content.best_of_many, names, unit),
        "base": names[base],
        "is_reference": reference is not None and base == reference.arm,
        "margin": reference.margin if reference else None,
        "titles": TITLES | ({"balanced_accuracy": "bal. acc. at threshold"} if at else {}),
        "at": at,
        "unit": unit,
        "rows": [_row(row, against[row["arm"]], names) for row in rows.to_dict("records")],
    }


def _row(row, against, names):
    """Make the cells of an arm."""
    cells = [_cell(against, "difference", "", "p_adjusted")]
    cells += [_cell(row, f"{name}_difference", f"{name}_", f"{name}_p") for name in DECISIONS]
    wrong = [figure(row[f"only_{which}_wrong"], 1).removesuffix(".0") for which in ("arm", "other")]
    found = {"arm": names[row["arm"]], "verdict": against.get("verdict", ""), "cells": cells, "wrong": wrong}
    found["noninferior"], found["equivalent"] = (
        p_value(against.get(f"{name}_adjusted", math.nan)) for name in ("p_noninferior", "p_equivalent")
    )
    return found | {"mcnemar": p_value(row["p_mcnemar"])}


def _cell(row, value, start, p):
    """Write a difference, and its limits with p."""
    if not math.isfinite(row[value]):
        return "–", ""
    low, high = (signed(row[start + end]) for end in ("lo", "hi"))
    limits = f"{low} to {high}; {p_value(row[p])}" if math.isfinite(row[p]) else ""
    return signed(row[value]).replace("-", "−"), limits.replace("-", "−")
