"""The figure on the price of leaks: what each arm seems to gain from a careless split."""

from glomfeat.report.drawing import MUTED, PALETTE, Picture, fold, make_figure
from glomfeat.report.paper import points
from glomfeat.results.leak_price import SAID, price_in_words
from glomfeat.results.tables import with_figure
from glomfeat.results.words import signed

NAME, SECTION, ORDER = "leak-price", "figures", 90
MOST = 40  # arms


def draw(content):
    """Draw what each arm seems to gain if images of one case are on both sides of the split."""
    if content.leak_price is None:
        return None
    table, names = content.leak_price, content.names
    rows = with_figure(table, "auroc_price").head(MOST).reset_index(drop=True)
    if rows.empty:
        return None

    def make(axis):
        draw_prices(axis, rows, range(len(rows)), [fold(names.get(arm, arm)) for arm in rows["arm"]])

    dear = rows.iloc[0]
    return Picture(
        NAME,
        "What a careless split would have claimed",
        " ".join(SAID),
        f"AUROC by case and by image. The largest difference is {signed(dear['auroc_price'])}, of "
        f"{names.get(dear['arm'], dear['arm'])}.",
        make_figure(5.4, 1.1 + 0.34 * len(rows), make),
    )


def draw_prices(axis, rows, places, labels):
    """Draw the AUROC of each row by case and by image, and write the difference next to it.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    rows : pandas.DataFrame
        Rows of leak_price.csv.
    places : sequence of int
        Positions of the rows, from the top.
    labels : list of str
    """
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        axis.plot([row["auroc_by_case"], row["auroc_by_image"]], [place] * 2, color=MUTED, linewidth=1.2)
        where = {"transform": axis.get_yaxis_transform(), "va": "center"}
        axis.text(1.02, place, price_in_words(row), fontsize=points(8), **where)
    filled = {"markersize": 7, "linestyle": "none"}
    axis.plot(rows["auroc_by_case"], places, "o", color=PALETTE[0], label="split by case", **filled)
    hollow = {"markerfacecolor": "none", "markeredgewidth": 1.6, **filled}
    axis.plot(rows["auroc_by_image"], places, "D", color=PALETTE[1], label="split by image", **hollow)
    axis.set_yticks(places, labels)
    axis.set(xlabel="AUROC", ylim=(max(places, default=0) + 0.6, -0.6))
    axis.grid(axis="y", visible=False)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
