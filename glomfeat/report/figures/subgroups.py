"""The forest plot of subgroups: AUROC of the best arm in each group, with one panel for each column."""

import numpy as np

from glomfeat.metrics.many import ALPHA
from glomfeat.report.drawing import MUTED, PALETTE, Picture, make_figure
from glomfeat.report.paper import points
from glomfeat.results.subgroup_words import best_in, shown_values
from glomfeat.results.words import count, figure

NAME, SECTION, ORDER = "subgroups", "subgroups", 10
MOST = 60  # groups


def draw(content):
    """Draw the AUROC of the best arm in each group of images, with its limits."""
    if content.subgroups is None:
        return None
    mine = best_in(content.subgroups, content.results)
    mine = mine.assign(shown=shown_values(mine, content.show_names))
    rows = mine[mine["auroc"].notna()].head(MOST)
    if rows.empty:
        return None
    arm, columns = rows["arm"].iloc[0], rows["column"].unique()
    overall = content.results.set_index("arm").loc[arm, "auroc"]
    heights = [len(rows[rows["column"] == column]) + 1.6 for column in columns]

    def make(axes):
        for axis, column in zip(axes[:, 0], columns, strict=True):
            _panel(axis, rows[rows["column"] == column], column)
            axis.axvline(overall, color=MUTED, linewidth=0.8, linestyle=":")
        axes[-1, 0].set(xlabel="AUROC")

    unit = "cases" if content.run.manifest.by_case else "images"
    left = len(mine) - len(rows)
    more = f" Not drawn: {count(left, 'group')} without an AUROC or further down the table." if left else ""
    size = 5.4, 0.6 + 0.28 * sum(heights)
    return Picture(
        NAME,
        "The best arm in each group",
        f"{content.names.get(arm, arm)}: each line is a group of images, the mark its AUROC, the bar its 95 % limits, "
        f"which count {unit}. Without a bar there are too few. Hollow marks differ from the rest beyond chance. The "
        f"dotted line is the AUROC of all images.{more}",
        "Forest plot of groups. " + "; ".join(f"{r.column} {r.shown} {r.auroc:.3f}" for r in rows.itertuples()) + ".",
        make_figure(*size, make, len(columns), squeeze=False, sharex=True, height_ratios=heights),
    )


def _panel(axis, rows, column):
    """Draw the groups of one column."""
    for place, row in enumerate(rows.itertuples()):
        apart, limited = row.auroc_p_holm < ALPHA, np.isfinite(row.auroc_lo)
        colour = PALETTE[1] if apart else PALETTE[0]
        if limited:
            axis.plot([row.auroc_lo, row.auroc_hi], [place, place], color=colour, linewidth=2)
        face = "none" if apart else colour
        axis.plot(row.auroc, place, "o", markersize=7, markeredgecolor=colour, markerfacecolor=face)
        text = f"{row.auroc:.3f}" + (f" ({figure(row.auroc_lo)}–{figure(row.auroc_hi)})" if limited else "")
        text += f"; {row.cases:.0f} {'case' if row.cases == 1 else 'cases'}"
        axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=points(8))
    axis.set_yticks(range(len(rows)), rows["shown"])
    axis.set(title=column, ylim=(len(rows) - 0.4, -0.6))
    axis.grid(axis="y", visible=False)
