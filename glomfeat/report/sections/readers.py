"""The section on readers: how people call the images, and whether arms at their thresholds call them differently."""

import math

NAME, TITLE, ORDER, TEMPLATE = "readers", "Readers", 32, "sections/readers.html"
FIGURES = {
    "kappa": "kappa with the truth",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auroc": "AUROC",
}
APART = {"sensitivity": "sensitivity", "specificity": "specificity"}


def fill(content):
    """Make a row for each reader; then one for each pair of a reader and an arm, and for each pair of readers.

    None if no readers were given.
    """
    table, pairs = content.readers, content.reader_pairs
    if table is None or pairs is None:
        return None
    order = {arm: place for place, arm in enumerate(content.results["arm"])}
    pairs = pairs[(pairs["kind"] == "reader") | pairs["other"].isin(order)]
    place = {reader: place for place, reader in enumerate(table["reader"])}
    pairs = pairs.assign(mine=pairs["reader"].map(place), its=pairs["other"].map(order).fillna(len(order)))
    pairs = pairs.sort_values(["mine", "its"], kind="stable")
    return {
        "rows": table.to_dict("records"),
        "pairs": pairs.to_dict("records"),
        "names": content.names,
        "figures": {name: title for name, title in FIGURES.items() if table[name].notna().any()},
        "percent": table["percent_bias"].notna().any(),
        "apart": APART,
        "known": math.isfinite,
        "threshold": "at its threshold" if len(content.run.manifest.classes) == 2 else "by its largest score",
    }
