"""The figure on cohorts: the ROC curve of each shown arm in each place."""

import math

import numpy as np

from glomfeat.report.drawing import MUTED, Picture, look, make_figure
from glomfeat.report.paper import points
from glomfeat.results.curves import GRID, roc
from glomfeat.results.parts import Part

NAME, SECTION, ORDER = "elsewhere", "elsewhere", 10
ACROSS = 2


def draw(content):
    """Draw ROC curves of the shown arms for each cohort that holds positive and other images.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    Picture or None
    """
    found = content.external_predictions
    if content.external is None or found is None:
        return None
    known = content.external[content.external["auroc"].notna() & content.external["arm"].isin(content.shown)]
    cohorts = list(dict.fromkeys(known["cohort"]))
    if not cohorts:
        return None
    positive, areas = len(content.run.manifest.classes) - 1, known.set_index(["cohort", "arm"])["auroc"]
    own, columns = found[found["arm"].isin(content.shown)], min(ACROSS, len(cohorts))
    curves = {(cohort, arm): _curve(rows, positive) for (cohort, arm), rows in own.groupby(["cohort", "arm"])}

    def make(axes):
        for axis, cohort in zip(axes.flat, cohorts, strict=False):
            axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
            for position, arm in enumerate(content.shown):
                if (cohort, arm) in areas.index:
                    colour, line, _ = look(position)
                    label = f"{content.names.get(arm, arm)}  {areas[cohort, arm]:.3f}"
                    axis.plot(GRID, curves[cohort, arm], color=colour, linestyle=line, label=label)
            axis.set(title=cohort, xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axis.legend(loc="lower right", title="AUROC", alignment="left", fontsize=points(7))
        for axis in axes.flat[len(cohorts) :]:
            axis.set_visible(False)

    rows = math.ceil(len(cohorts) / columns)
    of = "; ".join(f"{cohort}: {areas[cohort].max():.3f} at best" for cohort in cohorts)
    return Picture(
        NAME,
        "ROC curves elsewhere",
        "Each arm was fitted on all images of the study. Curves are of all images of a cohort, the positive class "
        "against all others; cohorts that lack a class have none.",
        f"ROC curves of each cohort. AUROC of {of}.",
        make_figure(4.3 * columns, 4.4 * rows, make, rows, columns, squeeze=False),
    )


def _curve(rows, positive):
    y, score = rows["label"].to_numpy() == positive, rows["score"].to_numpy(float)
    return roc([Part(0, y, np.zeros(len(y), np.int64), score, math.nan)], np.ones((1, 1)))[0]
