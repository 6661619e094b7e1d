"""The price of leaking: what each arm seems to gain from a careless split."""

from glomfeat.report.drawing import MUTED, PALETTE, Picture, fold, make_figure
from glomfeat.report.paper import points
from glomfeat.results.leak_price import SAID
from glomfeat.results.tables import with_figure

NAME, SECTION, ORDER = "leak-price", "figures", 90
MOST = 40  # arms


def draw(content):
    """What each arm seems to gain where images of one case lie on both sides of the split.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    Picture or None
    """
    if content.leak_price is None:
        return None
    table, names = content.leak_price, content.names
    rows = with_figure(table, "auroc_price").head(MOST).reset_index(drop=True)
    if rows.empty:
        return None

    def make(axis):
        for place, row in rows.iterrows():
            axis.plot([row["auroc_by_case"], row["auroc_by_image"]], [place] * 2, color=MUTED, linewidth=1.2)
            price = f"{row['auroc_price']:+z.3f} ({row['auroc_price_lo']:+z.3f} to {row['auroc_price_hi']:+z.3f})"
            axis.text(1.02, place, price, transform=axis.get_yaxis_transform(), va="center", fontsize=points(8))
        filled = {"markersize": 7, "linestyle": "none"}
        axis.plot(rows["auroc_by_case"], rows.index, "o", color=PALETTE[0], label="split by case", **filled)
        hollow = {"markerfacecolor": "none", "markeredgewidth": 1.6, **filled}
        axis.plot(rows["auroc_by_image"], rows.index, "D", color=PALETTE[1], label="split by image", **hollow)
        axis.set_yticks(range(len(rows)), [fold(names.get(arm, arm)) for arm in rows["arm"]])
        axis.set(xlabel="AUROC", ylim=(len(rows) - 0.4, -0.6))
        axis.grid(axis="y", visible=False)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)

    dear = rows.iloc[0]
    return Picture(
        NAME,
        "What a careless split would have claimed",
        " ".join(SAID),
        f"AUROC by case and by image. The largest difference is {dear['auroc_price']:+z.3f}, of "
        f"{names.get(dear['arm'], dear['arm'])}.",
        make_figure(5.4, 1.1 + 0.34 * len(rows), make),
    )
