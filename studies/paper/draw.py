"""The figures of the paper."""

from glomfeat.report.arm_names import plain_arms
from glomfeat.report.drawing import MUTED, PALETTE, Picture, make_figure
from glomfeat.report.figures.leak_price import draw_prices
from glomfeat.results.words import signed
from studies.coverage.run import ALARMS, COVERAGE

MARKS = "oDsv^"


def draw_leaks(table):
    """Draw AUROC on folds of images next to AUROC on folds by case, for each arm and data set.

    Parameters
    ----------
    table : pandas.DataFrame
        As `studies.paper.write.leaks` returns it.
    """
    rows = table[table["auroc_price"].notna()].reset_index(drop=True)
    groups = list(dict.fromkeys(rows["data"]))
    places = [k + groups.index(data) for k, data in enumerate(rows["data"])]  # leaves a line between two data sets

    names = [f"{row.data}: {plain_arms([row.arm])[row.arm]}" for row in rows.itertuples()]

    def make(axis):
        draw_prices(axis, rows, places, names)

    return Picture(
        "leak",
        "What a split by image claims",
        "AUROC on folds of images and on folds by case; on the right the difference with 95 % limits over cases.",
        "; ".join(f"{row.data}, {row.arm}: {signed(row.auroc_price)}" for row in rows.itertuples()),
        make_figure(8.6, 1.1 + 0.24 * (len(rows) + len(groups)), make),
    )


def draw_coverage(table):
    """Draw how often limits hold the truth, and how often equal arms are called different, by scenario.

    Parameters
    ----------
    table : pandas.DataFrame
        As `studies.paper.write.rates` returns it.
    """
    asked = {COVERAGE: ("95 % limits that hold the truth, %", 95), ALARMS: ("equal arms called different, %", 5)}
    scenarios = list(dict.fromkeys(table["scenario"]))

    def make(axes):
        for axis, (question, (said, aim)) in zip(axes, asked.items(), strict=True):
            rows = table[table["question"] == question]
            for k, (method, found) in enumerate(rows.groupby("method", sort=False)):
                rate = 100 * found.set_index("scenario")["rate"][scenarios]
                look = {"color": PALETTE[k], "linewidth": 1.0, "markersize": 5}
                axis.plot(rate, range(len(scenarios)), MARKS[k], linestyle="-", label=method, **look)
            axis.axvline(aim, color=MUTED, linewidth=1, linestyle=":")
            axis.set(title=said, xlim=(-3, 103), ylim=(len(scenarios) - 0.6, -0.4))
            axis.set_yticks(range(len(scenarios)), scenarios)
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)

    return Picture(
        "coverage",
        "Whether limits hold and tests are honest",
        "Scores drawn for uneven cases, images of which are alike by more or less; dotted: what is promised.",
        "; ".join(f"{row.method}, {row.scenario}: {100 * row.rate:.0f} %" for row in table.itertuples()),
        make_figure(9.4, 3.9, make, columns=2),
    )
