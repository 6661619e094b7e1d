"""Figures of arms: forest plot, cost, critical difference, price of leaking, training and learning curves."""

import numpy as np

from glomfeat.report.drawing import INK, MUTED, PALETTE, Picture, draw, look
from glomfeat.report.ranks import average_ranks, cliques, critical_difference
from glomfeat.report.words import between, count, figure, seconds
from glomfeat.study import FLOOR

MOST = 40
RANKED = 20


def forest(run, results, names):
    """AUROC of all arms with its limits.

    Parameters
    ----------
    run : glomfeat.report.tables.Run
    results : pandas.DataFrame
        Of `glomfeat.report.tables.results_table`.
    names : dict of str to str

    Returns
    -------
    Picture
    """
    rows = results[results["auroc"].notna()].head(MOST)
    unit = "cases" if run.manifest.by_case else "images"
    height = 0.8 + 0.28 * len(rows)

    def make(axis):
        for place, row in enumerate(rows.itertuples()):
            tied = row.tied_with_best is True
            colour = MUTED if row.arm == FLOOR else PALETTE[0] if tied else PALETTE[1]
            axis.plot([row.auroc_lo, row.auroc_hi], [place, place], color=colour, linewidth=2)
            face = colour if tied else "none"
            marker = ("s" if place == 0 else "o") if tied else "o"
            axis.plot(row.auroc, place, marker, markersize=7, markeredgecolor=colour, markerfacecolor=face)
            text = f"{row.auroc:.3f} ({row.auroc_lo:.3f}–{row.auroc_hi:.3f})"
            axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
        axis.axvline(0.5, color=MUTED, linewidth=0.8)
        axis.axvline(rows["auroc"].iloc[0], color=PALETTE[0], linewidth=0.7, linestyle=":")
        axis.set_yticks(range(len(rows)), [names[arm] for arm in rows["arm"]])
        axis.set(xlabel="AUROC", ylim=(len(rows) - 0.4, -0.6))
        axis.grid(axis="y", visible=False)

    left = len(results) - len(rows)
    more = f" Not drawn: {count(left, 'arm')} without a figure or further down the table." if left else ""
    return Picture(
        "forest",
        "All arms beside each other",
        "Each line is an arm: the mark is its AUROC, the bar its 95 % limits. Filled marks cannot be told from the "
        f"best (the square); hollow ones are worse. Limits count {unit}.{more}",
        "Forest plot. "
        + "; ".join(f"{names[r.arm]} {r.auroc:.3f} ({between(r.auroc_lo, r.auroc_hi)})" for r in rows.itertuples())
        + ".",
        draw(8.6, height, make),
    )


def costs(results, names):
    """AUROC against seconds and memory, with the arms that nothing cheaper beats joined.

    Parameters
    ----------
    results : pandas.DataFrame
    names : dict of str to str

    Returns
    -------
    Picture or None
        None where nothing was measured.
    """
    rows = results[results["auroc"].notna() & (results["arm"] != FLOOR)].reset_index(drop=True)
    rows = rows[(rows["fit_s"] > 0) & (rows["peak_rss_mb"] > 0)]
    if rows.empty:
        return None
    panels = (("fit_s", "seconds to train one fold"), ("peak_rss_mb", "memory of the process, MB"))
    best = {column: frontier(rows[column].to_numpy(), rows["auroc"].to_numpy()) for column, _ in panels}

    def make(axes):
        for axis, (column, label) in zip(axes, panels, strict=True):
            cost, area, front = rows[column].to_numpy(), rows["auroc"].to_numpy(), best[column]
            axis.step(cost[front], area[front], where="post", color=PALETTE[0], linewidth=1.2)
            for k, (x, y) in enumerate(zip(cost, area, strict=True)):
                face = PALETTE[0] if k in front else "none"
                axis.plot(
                    x, y, "o", markersize=8, markeredgecolor=PALETTE[0], markerfacecolor=face, markeredgewidth=1.3
                )
            axis.set_xlabel(label)
            axis.margins(0.14)
            _scale(axis, cost)
        axes[0].set_ylabel("AUROC")
        for axis, (column, _) in zip(axes, panels, strict=True):
            _number(axis, rows[column].to_numpy(), rows["auroc"].to_numpy(), rows.index + 1)

    ranks = "; ".join(f"{k + 1} {names[arm]}" for k, arm in zip(rows.index, rows["arm"], strict=True))
    told = "; ".join(
        f"{names[r.arm]} {r.auroc:.3f} in {seconds(r.fit_s)}" for r in rows.iloc[best["fit_s"]].itertuples()
    )
    return Picture(
        "cost",
        "What the AUROC costs",
        "Numbers are places in the table. Filled marks are the arms that no cheaper arm beats; the line joins them. "
        "Seconds are of reducer and head, or of training the network, on one fold; extracting features is not in them, "
        f"because it is done once for all arms. {ranks}.",
        f"AUROC against training time and against memory. No cheaper arm beats: {told}.",
        draw(9.2, 3.9, make, 1, 2, sharey=True),
    )


def frontier(cost, value):
    """Positions of the points that are better than all cheaper ones, cheapest first.

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
    """Write each point's number beside it, on the side that is farthest from other points and numbers: above left, "
    "where all is equal."""
    axis.figure.canvas.draw()  # places are known once the limits are
    points = axis.transData.transform(np.column_stack([x, y])) * 72 / axis.figure.dpi
    sides = [(11 * np.cos(turn), 11 * np.sin(turn)) for turn in np.linspace(0.75, 2.75, 8, endpoint=False) * np.pi]
    taken = list(points)
    for k in np.argsort(-y):
        room = [min(np.hypot(*(points[k] + side - other)) for other in taken) for side in sides]
        side = sides[int(np.argmax(np.round(room, 3)))]
        taken.append(points[k] + side)
        placed = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 8}
        axis.annotate(str(numbers[k]), (x[k], y[k]), side, **placed)


def _scale(axis, values):
    """A logarithmic axis with a few plain numbers where values differ much, else a linear one."""
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


def critical(run, trials, results, names):
    """Critical-difference diagram over folds, of arms all of whose trials are done.

    Parameters
    ----------
    run : glomfeat.report.tables.Run
    trials : pandas.DataFrame
        Of `glomfeat.report.tables.trials_table`.
    results : pandas.DataFrame
    names : dict of str to str

    Returns
    -------
    Picture or None
        None of fewer than two arms or folds.
    """
    arms = results.loc[results["status"] == "done", "arm"].head(RANKED).tolist()
    table = trials[trials["arm"].isin(arms)].pivot_table(index=["repeat", "fold"], columns="arm", values="auroc")
    if len(arms) < 2 or len(table) < 2 or table.isna().any(axis=None):
        return None
    ranks = average_ranks(table[arms].to_numpy())
    order = np.argsort(ranks, kind="stable")
    arms, ranks = [arms[k] for k in order], ranks[order]
    difference = critical_difference(len(arms), len(table))
    bars = cliques(ranks, difference)
    half = (len(arms) + 1) // 2
    height = 1.5 + 0.3 * half + 0.16 * len(bars)

    def make(axis):
        axis.set_axis_off()
        top, k = 0.0, len(arms)
        axis.plot([1, k], [top, top], color=INK, linewidth=1.2)
        for tick in range(1, k + 1):
            axis.plot([tick, tick], [top, top + 0.14], color=INK, linewidth=1)
            axis.text(tick, top + 0.2, str(tick), ha="center", va="bottom", fontsize=8)
        width = min(difference, k - 1)
        axis.plot([1, 1 + width], [top + 0.95] * 2, color=INK, linewidth=2)
        axis.text(
            1 + width / 2, top + 1.02, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=8
        )
        for step, (first, last) in enumerate(bars):
            depth = top - 0.2 - 0.2 * step
            axis.plot([ranks[first] - 0.05, ranks[last] + 0.05], [depth] * 2, color=PALETTE[0], linewidth=4)
        start = top - 0.35 - 0.2 * len(bars)
        span = max(k - 1, 1)
        for place, (arm, rank) in enumerate(zip(arms, ranks, strict=True)):
            left = place < half
            line = place if left else len(arms) - 1 - place
            depth = start - 0.36 * (line + 0.5)
            edge = 1 - 0.08 * span if left else k + 0.08 * span
            axis.plot([rank, rank, edge], [top, depth, depth], color=MUTED, linewidth=0.9)
            text = f"{names[arm]}  {rank:.1f}" if left else f"{rank:.1f}  {names[arm]}"
            axis.text(edge, depth, text, ha="right" if left else "left", va="center", fontsize=8)
        axis.set(ylim=(start - 0.36 * half - 0.3, top + 1.4), xlim=(1 - 0.75 * span, k + 0.75 * span))

    return Picture(
        "critical-difference",
        "Ranks over folds",
        f"Arms in order of their average rank over {count(len(table), 'fold')} (1 is best). Arms under one thick bar "
        "are not told apart by Nemenyi's test at 5 % (Demšar 2006). Folds share training cases, so the test is only a "
        "rough guide: the intervals and ties of the table, which count cases, are the evidence.",
        f"Critical-difference diagram; critical difference {difference:.2f}. "
        + "; ".join(f"{names[arm]} {rank:.1f}" for arm, rank in zip(arms, ranks, strict=True))
        + ".",
        draw(9.2, height, make),
    )


def leak_price(table, names):
    """What each arm seems to gain where images of one case lie on both sides of the split.

    Parameters
    ----------
    table : pandas.DataFrame
        Of leak_price.csv: ``arm, auroc_by_case, auroc_by_image, auroc_price, auroc_price_lo, auroc_price_hi``.
    names : dict of str to str

    Returns
    -------
    Picture or None
    """
    rows = table[table["auroc_price"].notna()].head(MOST).reset_index(drop=True)
    if rows.empty:
        return None

    def make(axis):
        for place, row in rows.iterrows():
            axis.plot([row["auroc_by_case"], row["auroc_by_image"]], [place] * 2, color=MUTED, linewidth=1.2)
            price = f"{row['auroc_price']:+.3f} ({row['auroc_price_lo']:+.3f} to {row['auroc_price_hi']:+.3f})"
            axis.text(1.02, place, price, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
        filled = {"markersize": 7, "linestyle": "none"}
        axis.plot(rows["auroc_by_case"], rows.index, "o", color=PALETTE[0], label="split by case", **filled)
        hollow = {"markerfacecolor": "none", "markeredgewidth": 1.6, **filled}
        axis.plot(rows["auroc_by_image"], rows.index, "D", color=PALETTE[1], label="split by image", **hollow)
        axis.set_yticks(range(len(rows)), [names.get(arm, arm) for arm in rows["arm"]])
        axis.set(xlabel="AUROC", ylim=(len(rows) - 0.4, -0.6))
        axis.grid(axis="y", visible=False)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)

    dear = rows.iloc[0]
    return Picture(
        "leak-price",
        "What a careless split would have claimed",
        "Every arm was run once more on folds of the same sizes that tear cases apart, so that a classifier is paid "
        "for knowing a case again. The distance between the marks is no gain: with a new case, only the filled mark "
        "can be expected.",
        f"AUROC by case and by image. The largest difference is {dear['auroc_price']:+.3f}, of "
        f"{names.get(dear['arm'], dear['arm'])}.",
        draw(8.6, 1.1 + 0.3 * len(rows), make),
    )


def training(curves, names):
    """Loss and inner-valid AUROC of each network by epoch, every fold thin and their mean bold.

    Parameters
    ----------
    curves : pandas.DataFrame
        Of `glomfeat.report.tables.curves_table`.
    names : dict of str to str

    Returns
    -------
    Picture or None
        None where no network was trained.
    """
    if curves.empty:
        return None
    arms = curves["arm"].drop_duplicates().tolist()[:6]
    shown = (("train_loss", "-", 0), ("inner_valid_loss", "--", 1))

    def make(axes):
        axes = np.reshape(axes, (len(arms), 2))
        for (left, right), arm in zip(axes, arms, strict=True):
            mine = curves[curves["arm"] == arm]
            for column, line, k in shown:
                _folds(
                    left, mine, column, PALETTE[k], line, column.replace("_", " ").replace("inner valid", "inner-valid")
                )
            _folds(right, mine, "inner_valid_auroc", PALETTE[2], "-", "inner-valid AUROC")
            left.set(ylabel="loss", title=names[arm])
            right.set(ylabel="AUROC")
            left.legend()
            for axis in (left, right):
                axis.xaxis.get_major_locator().set_params(integer=True)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")

    last = curves.groupby("arm")["epoch"].max()
    return Picture(
        "training",
        "How networks learned",
        "Thin lines are folds, the bold line is their mean. Inner-valid cases are training cases that were held back "
        "to choose the epoch; the outer test cases play no part here. Where the dashed loss rises while the solid one "
        "falls, the network learns its training cases by heart.",
        "Training curves. "
        + "; ".join(f"{names[arm]}: {count(int(last[arm]), 'epoch')} at most" for arm in arms)
        + ".",
        draw(9.2, 0.6 + 2.3 * len(arms), make, len(arms), 2),
    )


def _folds(axis, frame, column, colour, line, label):
    for _, fold in frame.groupby(["repeat", "fold"], sort=False):
        axis.plot(fold["epoch"], fold[column], color=colour, linestyle=line, linewidth=0.6, alpha=0.45)
    mean = frame.groupby("epoch")[column].mean()
    axis.plot(mean.index, mean, color=colour, linestyle=line, linewidth=2, label=label)
    if len(mean) == 1:
        axis.plot(mean.index, mean, "o", color=colour)


def learning(table, names):
    """AUROC against the number of training cases.

    Parameters
    ----------
    table : pandas.DataFrame
        Of learning_curve.csv: ``arm, n_cases, auroc, auroc_lo, auroc_hi``.
    names : dict of str to str

    Returns
    -------
    Picture or None
    """
    arms = table["arm"].drop_duplicates().tolist()[:6]
    if not arms:
        return None

    def make(axis):
        for place, arm in enumerate(arms):
            mine, (colour, line, marker) = table[table["arm"] == arm].sort_values("n_cases"), look(place)
            axis.fill_between(
                mine["n_cases"], mine["auroc_lo"], mine["auroc_hi"], color=colour, alpha=0.13, linewidth=0
            )
            label = names.get(arm, arm)
            axis.plot(mine["n_cases"], mine["auroc"], color=colour, linestyle=line, marker=marker, label=label)
        axis.set(xlabel="training cases", ylabel="AUROC")
        axis.legend(loc="lower right")

    ends = table.sort_values("n_cases").groupby("arm")["auroc"].last()
    return Picture(
        "learning",
        "What more cases would bring",
        "AUROC on the same test cases after training on fewer cases. A curve that still rises at its right end says "
        "that more cases would help.",
        "Learning curves. " + "; ".join(f"{names.get(arm, arm)} ends at {figure(ends[arm])}" for arm in arms) + ".",
        draw(7.2, 4.0, make),
    )
