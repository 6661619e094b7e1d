"""The figure on how much an arm relies on each group of a feature's columns."""

import numpy as np

from glomfeat.report.drawing import INK, MUTED, PALETTE, Picture, make_figure
from glomfeat.report.paper import points
from glomfeat.results.words import count

NAME, SECTION, ORDER = "importance", "figures", 60
FEATURES, GROUPS = 3, 15  # at most


def draw(content):
    """Draw how far the AUROC of each feature's best arm falls when a group of columns is shuffled.

    None if no columns were shuffled.
    """
    table, results, names = content.importance, content.results, content.names
    if table is None:
        return None
    known = results[results["arm"].isin(table["arm"])]
    arms = known.loc[~known["feature"].duplicated(), "arm"].tolist()[:FEATURES]
    if not arms:
        return None
    shown = {arm: table[table["arm"] == arm].head(GROUPS).reset_index(drop=True) for arm in arms}

    def make(axes):
        for axis, (arm, rows) in zip(np.atleast_1d(axes), shown.items(), strict=True):
            axis.barh(rows.index, rows["drop"], height=0.62, color=PALETTE[0], alpha=0.75)
            for place, row in rows.iterrows():
                axis.plot([row["drop_lo"], row["drop_hi"]], [place, place], color=INK, linewidth=1)
                text = f"{row['drop']:+z.3f}"
                axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=points(8))
            axis.axvline(0, color=MUTED, linewidth=0.8)
            axis.set_yticks(rows.index, [_label(row) for row in rows.itertuples()])
            axis.set(ylim=(len(rows) - 0.4, -0.6), title=f"{names[arm]}, AUROC {rows['auroc'].iloc[0]:.3f}")
            axis.grid(axis="y", visible=False)
        np.atleast_1d(axes)[-1].set_xlabel("fall of AUROC")

    left = sum(len(table[table["arm"] == arm]) - len(rows) for arm, rows in shown.items())
    more = f" Not drawn: {count(left, 'group')} with smaller falls." if left else ""
    heights = [len(rows) + 2 for rows in shown.values()]
    return Picture(
        NAME,
        "Which columns an arm relies on",
        "By how much AUROC falls when the values of a group of columns are shuffled among the tested images, so that "
        "they say nothing any more (Breiman 2001; for groups, Gregorutti et al. 2015). Bars are means, thin lines the "
        "smallest and the largest fall, over the folds of the first repeat with up to five shuffles each. Groups that "
        "say the same share the fall: a small one does not mean that a group is useless, but that the arm can do "
        f"without it.{more}",
        "Permutation importance. "
        + "; ".join(
            f"{names[arm]}: " + ", ".join(f"{row.group} {row.drop:+z.3f}" for row in rows.head(5).itertuples())
            for arm, rows in shown.items()
        )
        + ".",
        make_figure(5.4, 0.6 + 0.27 * sum(heights), make, len(arms), 1, sharex=True, height_ratios=heights),
    )


def _label(row):
    return row.group if row.columns == 1 else f"{row.group} ({row.columns} columns)"
