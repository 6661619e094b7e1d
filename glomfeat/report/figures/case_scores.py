"""The figure on cases that are of one class each: the mean score of every case."""

import numpy as np

from glomfeat.report.drawing import INK, Picture, look, make_figure
from glomfeat.report.paper import points
from glomfeat.results.case_level import one_class_each
from glomfeat.results.words import count, plain_class

NAME, SECTION, ORDER = "case-scores", "case-level", 10
MOST = 3  # arms


def draw(content):
    """Draw the mean score of each case for the positive class, by the case's class, with one panel for each arm.

    None if cases hold several classes.
    """
    run, cases = content.run, content.cases
    shown = {arm: mine for arm in content.first(MOST) if len(mine := cases[cases["arm"] == arm])}
    if not shown or not one_class_each(run.manifest):
        return None
    classes, names = run.manifest.classes, content.names
    largest = max(cases["n_images"].max(), 60)

    def make(axes):
        for axis, (arm, mine) in zip(np.atleast_1d(axes), shown.items(), strict=True):
            for place, name in enumerate(classes):
                of = mine[mine["label"] == name]
                colour, _, marker = look(place)
                # spread out in their order, so that equal scores are side by side
                x = place + np.linspace(-0.3, 0.3, len(of)) if len(of) > 1 else [place] * len(of)
                dots = {"s": 14 + 150 * of["n_images"] / largest, "color": colour, "marker": marker}
                axis.scatter(x, of["mean_score"], alpha=0.65, edgecolor=INK, linewidth=0.4, **dots)
            if len(classes) == 2:
                threshold = np.mean([part.threshold for part in content.scored[arm]])
                axis.axhline(threshold, color=INK, linewidth=1, linestyle="--")
            axis.set(ylim=(-0.03, 1.03), xlim=(-0.5, len(classes) - 0.5), ylabel="mean score")
            axis.set_xticks(range(len(classes)), [plain_class(name) for name in classes])
            axis.set_title(names[arm], fontsize=points(9))

    positive, n = plain_class(classes[-1]), max(map(len, shown.values()))
    line = " The dashed line is the mean threshold of images." if len(classes) == 2 else ""
    said = "; ".join(
        f"{names[arm]}: median "
        + ", ".join(
            f"{mine.loc[mine['label'] == name, 'mean_score'].median():.2f} of {plain_class(name)}" for name in classes
        )
        for arm, mine in shown.items()
    )
    return Picture(
        NAME,
        f"The mean score of each case for {positive}",
        f"Each mark is one of {count(n, 'case')}; larger marks hold more images.{line}",
        f"Mean scores of cases by their class. {said}.",
        make_figure(max(3.6, 1.3 * len(classes) + 1) * len(shown), 3.4, make, 1, len(shown)),
    )
