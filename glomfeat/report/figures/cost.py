"""The figure on what arms cost: AUROC against seconds and memory, and the arms that no cheaper arm beats."""

import numpy as np

from glomfeat.report.drawing import PALETTE, Picture, make_figure
from glomfeat.report.paper import points
from glomfeat.results.tables import ranked
from glomfeat.results.words import figure, seconds

NAME, SECTION, ORDER = "cost", "cost", 10
DIFFERS = 1.1  # times the least memory: a smaller difference is due to the libraries that every process loads


def draw(content):
    """Draw AUROC against seconds, and against memory if it differs; a line joins the arms that no cheaper arm beats.

    None if fewer than two arms were measured.
    """
    results, names = content.results, content.names
    rows = ranked(results.reset_index(drop=True))
    rows = rows[(rows["fit_s"] > 0) & (rows["peak_rss_mb"] > 0)]
    if len(rows) < 2:
        return None
    panels, alike = [("fit_s", "seconds to train one fold")], ""
    low, high = rows["peak_rss_mb"].min(), rows["peak_rss_mb"].max()
    if high > DIFFERS * low:
        panels.append(("peak_rss_mb", "memory of the process, MB"))
    else:
        alike = f" Memory is not drawn: the process held about as much with every arm, {figure(high, 0)} MB."
    best = {column: frontier(rows[column].to_numpy(), rows["auroc"].to_numpy()) for column, _ in panels}

    def make(axes):
        axes = axes.ravel()
        for axis, (column, label) in zip(axes, panels, strict=True):
            cost, area, front = rows[column].to_numpy(), rows["auroc"].to_numpy(), best[column]
            axis.step(cost[front], area[front], where="post", color=PALETTE[0], linewidth=1.2)
            for k, (x, y) in enumerate(zip(cost, area, strict=True)):
                face = PALETTE[0] if k in front else "none"
                axis.plot(
                    x, y, "o", markersize=8, markeredgecolor=PALETTE[0], markerfacecolor=face, markeredgewidth=1.3
                )
            axis.set(xlabel=label, ylabel="AUROC")
            axis.tick_params(labelleft=True)
            axis.margins(0.14)
            _scale(axis, cost)
        for axis, (column, _) in zip(axes, panels, strict=True):
            axis.get_xlim(), axis.get_ylim()  # this fixes the limits, and with them the positions of the points
            _number(axis, rows[column].to_numpy(), rows["auroc"].to_numpy(), rows.index + 1)

    ranks = "; ".join(f"{k + 1} {names[arm]}" for k, arm in zip(rows.index, rows["arm"], strict=True))
    told = "; ".join(
        f"{names[r.arm]} {r.auroc:.3f} in {seconds(r.fit_s)}" for r in rows.iloc[best["fit_s"]].itertuples()
    )
    return Picture(
        NAME,
        "What the AUROC costs",
        "Numbers are places in the table. Filled marks are the arms that no cheaper arm beats; the line joins them. "
        "Seconds are for reduction and classifier, or for training the network, on one fold; extracting features is "
        f"not included, because it is done once for all arms.{alike} {ranks}.",
        f"AUROC against training time{'' if alike else ' and against memory'}. No cheaper arm beats: {told}.",
        make_figure(4.6 * len(panels), 3.9, make, 1, len(panels), sharey=True, squeeze=False),
    )


def frontier(cost, value):
    """Find the positions of the points that are better than all cheaper ones, cheapest first.

    Examples
    --------
    >>> frontier(np.array([3, 1, 2, 5]), np.array([0.9, 0.7, 0.6, 0.8]))
    [1, 0]
    """
    found, best = [], -np.inf
    for k in np.lexsort((-np.asarray(value), np.asarray(cost))):
        if value[k] > best:
            found.append(int(k))
            best = value[k]
    return found


def _number(axis, x, y, numbers):
    """Write each point's number next to it, on the side that is farthest from other points and numbers.

    If all sides are equal, the number is above left.
    """
    marks = axis.transData.transform(np.column_stack([x, y])) * 72 / axis.figure.dpi
    sides = [(11 * np.cos(turn), 11 * np.sin(turn)) for turn in np.linspace(0.75, 2.75, 8, endpoint=False) * np.pi]
    taken = list(marks)
    for k in np.argsort(-y):
        room = [min(np.hypot(*(marks[k] + side - other)) for other in taken) for side in sides]
        side = sides[int(np.argmax(np.round(room, 3)))]
        taken.append(marks[k] + side)
        placed = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": points(8)}
        axis.annotate(str(numbers[k]), (x[k], y[k]), side, **placed)


def _scale(axis, values):
    """Make the axis logarithmic with a few plain numbers if the values differ much; else leave it linear."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if values.max() < 4 * values.min():
        return
    axis.set_xscale("log")
    low, high = np.log10(values.min()), np.log10(values.max())
    digits = (1,) if high - low > 1.5 else (1, 2, 5)
    steps = [n * 10.0**e for e in range(int(np.floor(low)) - 1, int(np.ceil(high)) + 2) for n in digits]
    axis.xaxis.set_major_locator(FixedLocator(steps))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
