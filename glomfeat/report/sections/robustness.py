"""The section on robustness: how well each arm does on images as from another laboratory or scanner."""

from glomfeat.core.arms import FLOOR
from glomfeat.data.images.stain import NONE
from glomfeat.report.chosen import the_threshold
from glomfeat.results.robustness import arms_to_show, worst_rows
from glomfeat.results.words import is_known

NAME, TITLE, ORDER, TEMPLATE = "robustness", "Other stains and scanners", 25, "sections/robustness.html"
CHANCE = 0.5
SAME = 1e-6  # AUROC of unchanged images that differ by less are the same figure
CALLED = {
    "stain": "another balance of the stains",
    "blur": "blur",
    "jpeg": "JPEG compression",
    "noise": "noise",
    "brightness": "another brightness and contrast",
    "scale": "a lower resolution",
}


def fill(content):
    """Write a sentence for each perturbation, and make a row for each arm and perturbation.

    None if images were not changed.
    """
    table = content.robustness
    if table is None:
        return None
    kinds = [name for name in table["perturbation"].drop_duplicates() if name in CALLED]
    order = content.results["arm"].tolist()
    arms, known = arms_to_show(table, order), set(table["arm"])
    done = content.results.loc[content.results["status"] == "done", "arm"]
    rows = worst_rows(table, arms, kinds)
    own, low = (content.results.set_index("arm")[name] for name in ("auroc", "auroc_lo"))
    told = [row for row in rows if low[row["arm"]] > CHANCE]
    untold = dict.fromkeys(row["arm"] for row in rows if not low[row["arm"]] > CHANCE)
    before = (table["auroc"] - table["auroc_change"]).groupby(table["arm"]).mean()
    apart = (before - own.reindex(before.index)).abs() > SAME
    normalises = content.loaded.identity.get("stain", NONE) not in (NONE, [NONE])
    return {
        "sentences": [said for kind in kinds if (said := sentence(kind, told, content.names))],
        "untold": [content.names.get(arm, arm) for arm in untold],
        "rows": rows,
        "names": content.names,
        "called": CALLED,
        "known": is_known,
        "at": the_threshold(content.loaded, "the threshold that was chosen on unchanged images"),
        "sensitivity": bool(table["sensitivity_t"].notna().any()),
        "without": [content.names.get(arm, arm) for arm in done if arm != FLOOR and arm not in known],
        "normalised": [content.names.get(arm, arm) for arm in before.index[apart] if normalises],
        "partly": [content.names.get(arm, arm) for arm in table.loc[table["status"] != "done", "arm"].unique()],
    }


def sentence(kind, rows, names):
    """Summarise the rows of a perturbation in a sentence; empty if there are none.

    Examples
    --------
    >>> row = {"kind": "blur", "arm": "a", "auroc": 0.8, "auroc_change": -0.1, "in_words": "sigma 2 %", "flipped": 0.25}
    >>> sentence("blur", [row], {})
    'Under blur, the AUROC of a falls from 0.900 to 0.800 at the worst (sigma 2 %), where 25 % of its calls change.'
    """
    mine = sorted((row for row in rows if row["kind"] == kind), key=lambda row: -row["auroc_change"])
    if not mine:
        return ""
    if len(mine) == 1:
        return f"Under {CALLED[kind]}, {_told(mine[0], names)}."
    most, least = (_told(row, names) for row in (mine[0], mine[-1]))
    return f"Under {CALLED[kind]}, {most}: the smallest change of these {len(mine)} arms. The largest: {least}."


def _told(row, names):
    before, after = row["auroc"] - row["auroc_change"], row["auroc"]
    way = "falls" if after < before else "goes"
    calls = f"where {100 * row['flipped']:.0f} % of its calls change"
    arm = names.get(row["arm"], row["arm"])
    return f"the AUROC of {arm} {way} from {before:.3f} to {after:.3f} at the worst ({row['in_words']}), {calls}"
