"""The figure on scores: how they are distributed in each class."""

import numpy as np

from glomfeat.report.chosen import the_threshold
from glomfeat.report.drawing import INK, PALETTE, Picture, make_figure
from glomfeat.report.paper import points
from glomfeat.results.parts import pooled
from glomfeat.results.words import figure, plain_class

NAME, SECTION, ORDER = "scores", "figures", 50


def draw(content):
    """Draw histograms of the scores of the shown arms by class."""
    if not content.shown:
        return None
    run, parts, names = content.run, content.scored, content.names
    positive = plain_class(run.manifest.classes[-1])
    edges = np.linspace(0, 1, 26)
    two = len(run.manifest.classes) == 2

    def make(axes):
        axes = np.atleast_1d(axes)
        for axis, (arm, mine) in zip(axes, parts.items(), strict=True):
            y, score = pooled(mine, "y", "score")
            for is_positive, colour, line, label in (
                (False, PALETTE[0], "-", "others"),
                (True, PALETTE[1], "--", positive),
            ):
                heights = np.histogram(score[y == is_positive], edges)[0] / max(1, (y == is_positive).sum())
                axis.stairs(heights, edges, fill=True, color=colour, alpha=0.22)
                axis.stairs(heights, edges, color=colour, linestyle=line, linewidth=1.4, label=label)
            if two:
                at = [part.threshold for part in mine]
                label = "threshold (mean)" if _are_several(parts) else "threshold"
                axis.axvline(np.mean(at), color=INK, linewidth=1, label=label)
            axis.set(xlim=(0, 1), ylabel="share")
            axis.set_title(names[arm], fontsize=points(9))
        axes[-1].set_xlabel("score")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

    medians = {arm: [figure(_median(mine, side), 2) for side in (True, False)] for arm, mine in parts.items()}
    means = "; ".join(
        f"{names[arm]}: median {ones} of positives, {rest} of others" for arm, (ones, rest) in medians.items()
    )
    return Picture(
        NAME,
        "How far apart the classes are",
        f"How scores are distributed in {positive} (dashed, orange) and all others (solid, blue); each adds up to 1."
        + (f" {_line(content.loaded, parts)}" if two else ""),
        f"Histograms of scores by class. {means}.",
        make_figure(5.4, 0.7 + 1.35 * len(parts), make, len(parts), 1, sharex=True),
    )


def _line(loaded, parts):
    """Say what the vertical line is: a threshold, or the mean of several."""
    if _are_several(parts):
        return "The vertical line is the mean of the chosen thresholds, each of which decides in its own fold."
    return f"Images on the wrong side of the vertical line, {the_threshold(loaded)}, are errors."


def _are_several(parts):
    return any(len({part.threshold for part in mine}) > 1 for mine in parts.values())


def _median(parts, positive):
    return float(np.median(np.concatenate([part.score[part.y == positive] for part in parts])))
