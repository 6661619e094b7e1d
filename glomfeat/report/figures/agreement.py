"""The figure on cases: predicted against true percentages, and their agreement."""

import numpy as np

from glomfeat.core.words import joined
from glomfeat.metrics.agreement import bland_altman
from glomfeat.report.chosen import the_threshold
from glomfeat.report.drawing import INK, MUTED, Picture, look, make_figure
from glomfeat.report.paper import points
from glomfeat.results.case_level import one_class_each
from glomfeat.results.words import between, count, plain_class

NAME, SECTION, ORDER = "agreement", "cases", 10
MOST = 2  # arms


def draw(content):
    """Draw a scatter and a Bland-Altman plot of the percentage of the positive class, with one row for each arm.

    None if there are fewer than three cases, if every image is its own case, or if each case is of one class.
    """
    run, cases, names = content.run, content.cases, content.names
    positive = plain_class(run.manifest.classes[-1])
    shown = {arm: mine for arm in content.first(MOST) if len(mine := cases[cases["arm"] == arm]) > 2}
    if not shown or not run.manifest.by_case or one_class_each(run.manifest):
        return None
    at = the_threshold(content.loaded)
    limits = {arm: bland_altman(mine["true_percent"], mine["predicted_percent"]) for arm, mine in shown.items()}

    def make(axes):
        axes = np.reshape(axes, (len(shown), 2))
        for row, (arm, mine) in enumerate(shown.items()):
            (colour, _, marker), (scatter, plot) = look(row), axes[row]
            size = 14 + 150 * mine["n_images"] / max(cases["n_images"].max(), 60)
            dots = {"s": size, "color": colour, "marker": marker, "alpha": 0.65, "edgecolor": INK, "linewidth": 0.4}
            scatter.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8)
            scatter.scatter(mine["true_percent"], mine["predicted_percent"], **dots)
            scatter.set(xlim=(-4, 104), ylim=(-4, 104), ylabel="predicted %", title=names[arm])
            plot.scatter((mine["true_percent"] + mine["predicted_percent"]) / 2, mine["error"], **dots)
            for value, line in zip(limits[arm], ("-", "--", "--"), strict=True):
                plot.axhline(value, color=INK, linewidth=1, linestyle=line)
                text = {"x": 1.01, "transform": plot.get_yaxis_transform(), "fontsize": points(8), "va": "center"}
                plot.text(y=value, s=f"{value:+z.1f}", **text)
            plot.axhline(0, color=MUTED, linewidth=0.8)
            most = 1.1 * max(mine["error"].abs().max(), abs(limits[arm][1]), abs(limits[arm][2]), 5)
            plot.set(xlim=(-4, 104), ylim=(-most, most), ylabel="predicted − true, points")
        axes[-1, 0].set_xlabel("true %")
        axes[-1, 1].set_xlabel("mean of true and predicted %")

    said = "; ".join(
        f"{names[arm]}: bias {b:+z.1f}, limits {between(lo, hi, 1)}" for arm, (b, lo, hi) in limits.items()
    )
    return Picture(
        NAME,
        f"The percentage of {positive} in each case",
        f"Each mark is one of {count(max(map(len, shown.values())), 'case')}; larger marks hold more images. "
        "Predicted against true: on the grey line the percentage is right. Error against size (Bland & Altman 1986): "
        f"the solid line is the bias, the dashed ones are bias ± 1.96 SD; {_between(shown, limits, names)}. Calls are "
        f"{f'at {at}' if at else 'those of the largest score'}.",
        f"Scatter and Bland-Altman plots per case, in percentage points. {said}.",
        make_figure(9.2, 0.5 + 3.1 * len(shown), make, len(shown), 2),
    )


def _between(shown, limits, names):
    """Count the cases between the dashed lines of each arm."""
    said = []
    for arm, mine in shown.items():
        _, low, high = limits[arm]
        lie = "" if said else " lie between"
        whose = f" for {names[arm]}" if len(shown) > 1 else ""
        said.append(f"{mine['error'].between(low, high).sum():,} of {len(mine):,} cases{lie}{whose}")
    return joined(said)
