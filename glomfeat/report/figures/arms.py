"""Figures of all arms: the forest plot, and the price of leaking."""

from glomfeat.core.arms import FLOOR
from glomfeat.report.drawing import MUTED, PALETTE, Picture, draw
from glomfeat.results.leak_price import SAID
from glomfeat.results.words import between, count

MOST = 40


def forest(run, results, names):
    """AUROC of all arms with its limits.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
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


def leak_price(table, names):
    """What each arm seems to gain where images of one case lie on both sides of the split.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `glomfeat.results.leak_price.leak_price_table`.
    names : dict of str to str

    Returns
    -------
    Picture or None
    """
    rows = table[table["auroc_price"].notna() & (table["arm"] != FLOOR)].head(MOST).reset_index(drop=True)
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
        " ".join(SAID),
        f"AUROC by case and by image. The largest difference is {dear['auroc_price']:+.3f}, of "
        f"{names.get(dear['arm'], dear['arm'])}.",
        draw(8.6, 1.1 + 0.3 * len(rows), make),
    )
