"""The figure with learning curves: AUROC by the number of training cases."""

from glomfeat.report.drawing import Picture, look, make_figure
from glomfeat.results.tables import with_figure
from glomfeat.results.words import figure

NAME, SECTION, ORDER = "learning", "figures", 80
MOST = 6  # arms


def draw(content):
    """Draw AUROC against the number of training cases; None if it was not asked for."""
    table, names = content.learning_curve, content.names
    if table is None:
        return None
    table, unit = with_figure(table), content.run.manifest.unit
    best = table.sort_values(["share", "auroc"], ascending=False)["arm"]
    arms = best.drop_duplicates().tolist()[:MOST]
    if not arms:
        return None

    def make(axis):
        for place, arm in enumerate(arms):
            mine, (colour, line, marker) = table[table["arm"] == arm].sort_values("share"), look(place)
            band = mine["cases"], mine["auroc_lo"], mine["auroc_hi"]
            axis.fill_between(*band, color=colour, alpha=0.13, linewidth=0)
            axis.plot(
                mine["cases"], mine["auroc"], color=colour, linestyle=line, marker=marker, label=names.get(arm, arm)
            )
        axis.set(xlabel=f"training {unit}s", ylabel="AUROC")
        axis.legend(loc="lower right")

    ends = table.sort_values("share").groupby("arm")["auroc"].last()
    return Picture(
        NAME,
        f"What more {unit}s would bring",
        f"AUROC on the same test {unit}s after training on a share of the training {unit}s, with 95 % limits. A curve "
        f"that still rises at its right end suggests that more {unit}s would help, unless the rise is small beside the "
        "limits.",
        "Learning curves. " + "; ".join(f"{names.get(arm, arm)} ends at {figure(ends[arm])}" for arm in arms) + ".",
        make_figure(5.4, 4.0, make),
    )
