"""The figure on values that were left out: how well the shown arms rank and decide at each."""

import numpy as np

from glomfeat.report.chosen import the_threshold
from glomfeat.report.drawing import Picture, look, make_figure
from glomfeat.results.sites import shown_values
from glomfeat.results.words import between

NAME, SECTION, ORDER = "sites", "sites", 10
DRAWN = {"auroc": "AUROC", "sensitivity_t": "sensitivity", "specificity_t": "specificity"}
APART = 0.2  # distance between two arms at one value


def draw(content):
    """Draw AUROC, sensitivity and specificity of the shown arms at each value that was left out, with limits.

    With more than two classes it shows only the AUROC.
    """
    if content.sites is None:
        return None
    rows = content.sites[content.sites["arm"].isin(content.shown) & content.sites["auroc"].notna()]
    if rows.empty:
        return None
    shown = shown_values(content.sites, content.show_names)
    values = list(shown)
    drawn = {metric: title for metric, title in DRAWN.items() if metric in rows and rows[metric].notna().any()}

    def make(axes):
        for axis, (metric, title) in zip(axes[0], drawn.items(), strict=True):
            for position, arm in enumerate(content.shown):
                own = rows[rows["arm"] == arm]
                colour, _, marker = look(position)
                at = np.array([values.index(value) for value in own["left_out"]])
                at = at + APART * (position - (len(content.shown) - 1) / 2)
                axis.hlines(at, own[f"{metric}_lo"], own[f"{metric}_hi"], color=colour, linewidth=1.6)
                axis.plot(own[metric], at, marker, color=colour, markersize=6, label=content.names.get(arm, arm))
            lowest = rows[[metric, f"{metric}_lo"]].min(axis=None)  # a figure without limits may be the lowest
            axis.set(xlabel=title, xlim=(min(0.48, lowest - 0.02), 1.02))
            axis.set(ylim=(len(values) - 0.5, -0.5))
            axis.set_yticks(range(len(values)), map(str, shown.values()))
            axis.tick_params(labelleft=True)
            axis.grid(axis="y", visible=False)
        axes[0, 0].figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)

    said = "; ".join(
        f"{content.names.get(row.arm, row.arm)} at {shown[row.left_out]}: {row.auroc:.3f} "
        f"({between(row.auroc_lo, row.auroc_hi)})"
        for row in rows.itertuples()
    )
    return Picture(
        NAME,
        "How arms do at each value that was left out",
        f"Each mark is what models of all other values give, the bar its 95 % limits.{_called(content.loaded)}",
        f"AUROC at each value that was left out. {said}.",
        make_figure(3.2 * len(drawn) + 0.6, 1.3 + 0.55 * len(values), make, 1, len(drawn), squeeze=False, sharey=True),
    )


def _called(loaded):
    """Say at which threshold images are called; empty with more than two classes."""
    at = the_threshold(loaded, "the threshold that was chosen at the other values")
    return at and (
        f" Sensitivity and specificity are at {at}: an arm may rank images of a new place well, and yet call too many "
        "or too few of them."
    )
