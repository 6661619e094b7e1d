"""The figure on cohorts: the ROC curve of each shown arm in each place."""

import math

import numpy as np

from glomfeat.report.drawing import MUTED, Picture, look, make_figure
from glomfeat.report.paper import points
from glomfeat.results.curves import GRID, roc
from glomfeat.results.parts import Part, rank
from glomfeat.results.words import plain_class

NAME, SECTION, ORDER = "elsewhere", "elsewhere", 10
ACROSS = 2


def draw(content):
    """Draw ROC curves of the shown arms for each cohort that holds positive and other images."""
    found = content.external_predictions
    if content.external is None or found is None:
        return None
    known = content.external[content.external["auroc"].notna() & content.external["arm"].isin(content.shown)]
    cohorts = list(dict.fromkeys(known["cohort"]))
    if not cohorts:
        return None
    *others, positive = map(plain_class, content.run.manifest.classes)
    against, columns = f"{positive} against the rest", min(ACROSS, len(cohorts))
    own, drawn = found.groupby(["cohort", "arm"]), known[["cohort", "arm"]].itertuples(index=False, name=None)
    parts = {key: _part(own.get_group(key), len(others)) for key in drawn}
    areas = {key: float(rank([part])[0]) for key, part in parts.items()}  # the table's are means over classes

    def make(axes):
        for axis, cohort in zip(axes.flat, cohorts, strict=False):
            axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
            for position, arm in enumerate(content.shown):
                if (cohort, arm) in areas:
                    colour, line, _ = look(position)
                    label = f"{content.names.get(arm, arm)}  {areas[cohort, arm]:.3f}"
                    curve = roc([parts[cohort, arm]], np.ones((1, 1)))[0]
                    axis.plot(GRID, curve, color=colour, linestyle=line, label=label)
            axis.set(title=cohort, xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axis.legend(
                loc="lower right",
                title=f"AUROC, {against}" if others[1:] else "AUROC",
                alignment="left",
                fontsize=points(7),
            )
        for axis in axes.flat[len(cohorts) :]:
            axis.set_visible(False)

    rows = math.ceil(len(cohorts) / columns)
    best = {cohort: max(areas[key] for key in areas if key[0] == cohort) for cohort in cohorts}
    of = "; ".join(f"{cohort}: {area:.3f} at best" for cohort, area in best.items())
    mean = " Figures are those of the curves; their means over classes are in the table." if others[1:] else ""
    return Picture(
        NAME,
        "ROC curves elsewhere",
        f"Each arm was fitted on all images of the study. Curves are of all images of a cohort, {against}; cohorts "
        f"that lack a class have none.{mean}",
        f"ROC curves of each cohort, {against}. AUROC of {of}.",
        make_figure(4.3 * columns, 4.4 * rows, make, rows, columns, squeeze=False),
    )


def _part(rows, positive):
    y, score = rows["label"].to_numpy() == positive, rows["score"].to_numpy(float)
    return Part(0, y, np.zeros(len(y), np.int64), score, math.nan)
