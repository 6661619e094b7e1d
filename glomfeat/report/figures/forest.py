"""The forest plot: the AUROC of all arms."""

from glomfeat.core.arms import FLOOR
from glomfeat.report.drawing import MUTED, PALETTE, Picture, fold, make_figure
from glomfeat.report.paper import points
from glomfeat.results.tables import finished_first, with_figure
from glomfeat.results.words import between, count

NAME, SECTION, ORDER = "forest", "figures", 10
MOST = 40  # arms


def draw(content):
    """Draw the AUROC of all arms with its limits."""
    study = with_figure(finished_first(content.tables.results))
    if not content.shown or study.empty:
        return None
    run, results, names = content.run, content.results, content.names
    rows, best = results[results["auroc"].notna()].head(MOST), study.iloc[0]
    mark = "the square" if best["arm"] in set(rows["arm"]) else f"{names[best['arm']]}, the dotted line"
    unit = "cases" if run.manifest.by_case else "images"
    labels = [fold(names[arm]) for arm in rows["arm"]]
    lines = 1 + max(label.count("\n") for label in labels)
    height = 0.8 + max(0.28, 0.06 + 0.14 * lines) * len(rows)

    def make(axis):
        for place, row in enumerate(rows.itertuples()):
            tied = row.tied_with_best is True
            colour = MUTED if row.arm == FLOOR else PALETTE[0] if tied else PALETTE[1]
            axis.plot([row.auroc_lo, row.auroc_hi], [place, place], color=colour, linewidth=2)
            face = colour if tied else "none"
            marker = ("s" if row.arm == best["arm"] else "o") if tied else "o"
            axis.plot(row.auroc, place, marker, markersize=7, markeredgecolor=colour, markerfacecolor=face)
            text = f"{row.auroc:.3f} ({between(row.auroc_lo, row.auroc_hi, to='–')})"
            axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=points(8))
        axis.axvline(0.5, color=MUTED, linewidth=0.8)
        axis.axvline(best["auroc"], color=PALETTE[0], linewidth=0.7, linestyle=":")
        axis.set_yticks(range(len(rows)), labels)
        axis.set(xlabel="AUROC", ylim=(len(rows) - 0.4, -0.6))
        axis.grid(axis="y", visible=False)

    worse = "hollow ones are worse" + (" or not finished" if (rows["status"] != "done").any() else "")
    left = len(results) - len(rows)
    more = f" Not drawn: {count(left, 'arm')} without a figure or further down the table." if left else ""
    return Picture(
        NAME,
        "All arms beside each other",
        "Each line is an arm: the mark is its AUROC, the bar its 95 % limits. Filled marks do not differ "
        f"beyond chance from the best ({mark}); {worse}. Limits count {unit}.{more}",
        "Forest plot. "
        + "; ".join(f"{names[r.arm]} {r.auroc:.3f} ({between(r.auroc_lo, r.auroc_hi)})" for r in rows.itertuples())
        + ".",
        make_figure(5.4, height, make),
    )
