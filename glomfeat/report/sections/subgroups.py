"""The section on subgroups: whether the best arm does as well in each group of images as in the rest."""

import math

from glomfeat.results.subgroup_words import best_in, shown_values, subgroups_in_words

NAME, TITLE, ORDER, TEMPLATE = "subgroups", "Subgroups", 35, "sections/subgroups.html"
SHOWN = {"auroc": "AUROC", "sensitivity_t": "sens.", "specificity_t": "spec."}


def fill(content):
    """Collect the results of the best arm in each group, and a sentence on them.

    None if no subgroups were asked for.
    """
    table = content.subgroups
    if table is None:
        return None
    mine, metrics = best_in(table, content.results), SHOWN
    if len(content.run.manifest.classes) > 2:  # without a threshold
        metrics = {name.removesuffix("_t"): title for name, title in SHOWN.items()}
    values = shown_values(mine, content.show_names)
    return {
        "said": subgroups_in_words(table, content.results, content.names, content.show_names),
        "rows": [row | {"shown": value} for row, value in zip(mine.to_dict("records"), values, strict=True)],
        "metrics": metrics,
        "known": math.isfinite,
        "hidden": values != mine["value"].tolist(),
        "arms": table["arm"].nunique(),
    }
