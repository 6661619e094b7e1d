"""The figure of ranking: ROC and precision-recall curves."""

import numpy as np

from glomfeat.report.drawing import MUTED, Picture, look, make_figure
from glomfeat.results.curves import GRID, precision_recall, roc, with_band
from glomfeat.results.words import plain_class

NAME, SECTION, ORDER = "ranking", "figures", 20
BANDS = "The bands hold 95 % of what other samples of such {unit} would give (bootstrap over {unit})."


def draw(content):
    """ROC and precision-recall curves of the shown arms, with their bands.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    Picture or None
    """
    if not content.shown:
        return None
    run, parts, names = content.run, content.scored, content.names
    table, positive = content.results.set_index("arm"), plain_class(run.manifest.classes[-1])
    unit = "cases" if run.manifest.by_case else "images"
    prevalence = np.mean(run.manifest.labels[run.ever_tested] == len(run.manifest.classes) - 1)

    def make(axes):
        for position, (arm, mine) in enumerate(parts.items()):
            colour, line, _ = look(position)
            for axis, curve, metric in ((axes[0], roc, "auroc"), (axes[1], precision_recall, "average_precision")):
                mean, low, high = with_band(run, mine, curve)
                axis.fill_between(GRID, low, high, color=colour, alpha=0.13, linewidth=0)
                label = f"{names[arm]}  {table.loc[arm, metric]:.3f}"
                axis.plot(GRID, mean, color=colour, linestyle=line, label=label)
        axes[0].plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        axes[1].axhline(prevalence, color=MUTED, linewidth=0.8)
        axes[0].set(xlabel="false alarms (1 − specificity)", ylabel="found (sensitivity)", title="ROC curve, AUROC")
        axes[1].set(xlabel="found (recall)", ylabel="calls that are right (precision)")
        axes[1].set_title("precision and recall, average precision")
        for axis, place in zip(axes, ("lower right", "lower left"), strict=True):
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axis.legend(loc=place)

    said = "; ".join(f"{names[arm]}: AUROC {table.loc[arm, 'auroc']:.3f}" for arm in parts)
    return Picture(
        NAME,
        "How well scores rank images",
        f"Left: for every share of false alarms, the share of {positive} that is found; a curve nearer the upper left "
        f"corner is better, and the diagonal is chance. Right: of the images called positive, the share that is; the "
        f"grey line is what guessing gives. Curves are averaged over folds. {BANDS.format(unit=unit)}",
        f"ROC and precision-recall curves with bands. {said}.",
        make_figure(9.2, 4.6, make, 1, 2),
    )
