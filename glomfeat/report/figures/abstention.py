"""The figure on abstaining: how many wrong calls are left when the least sure images are handed over."""

from glomfeat.report.drawing import Picture, look, make_figure, put_legend_below
from glomfeat.results.words import count

NAME, SECTION, ORDER = "abstention", "use", 20


def draw(content):
    """Draw wrong calls of the shown arms against the share handed over, with a panel for images and one for cases.

    None if images of a case may lie on both sides of the split.
    """
    if not content.shown or not content.run.manifest.is_split_by_case:
        return None
    table, names = content.tables.abstention, content.names
    table = table[table["arm"].isin(content.shown)]
    kinds = list(dict.fromkeys(table["by"]))

    def make(axes):
        for axis, by in zip(axes.flat, kinds, strict=True):
            for position, arm in enumerate(content.shown):
                mine, (colour, line, _) = table[(table["arm"] == arm) & (table["by"] == by)], look(position)
                share = 100 * mine["handed_over"]
                if position == 0:
                    low, high = 100 * mine["risk_lo"], 100 * mine["risk_hi"]
                    axis.fill_between(share, low, high, color=colour, alpha=0.15, linewidth=0)
                axis.plot(share, 100 * mine["risk"], color=colour, linestyle=line, label=names[arm])
            axis.tick_params(labelleft=True)
            axis.set(
                xlim=(0, 95),
                xlabel=f"least sure {by}s handed over, %",
                title=f"by {by}",
                ylabel="wrong calls among the rest, %",
            )
        top = 100 * max(table["risk"].max(), 0.01)
        axes.flat[0].set(ylim=(0, 1.05 * top))
        put_legend_below(axes.flat[-1])

    several = len(content.run.manifest.classes) > 2
    sure = "largest score is high" if several else "score is far from the threshold"
    first = table[(table["arm"] == content.shown[0]) & (table["by"] == kinds[0])].set_index("handed_over")["risk"]
    return Picture(
        NAME,
        "Which errors are left when the least sure are handed over",
        f"An arm is sure of an image if its {sure}, and of a case if it is sure of its images on average. To the "
        "right, more is handed to the pathologist. A line that falls fast says that the arm knows where it may be "
        "wrong. The band holds the 95 % limits of the best arm, over cases.",
        f"Risk and coverage of {count(len(content.shown), 'arm')}. {names[content.shown[0]]}: {100 * first[0]:.1f} % "
        f"wrong of all images, {100 * first[0.2]:.1f} % when a fifth is handed over.",
        make_figure(
            0.6 + 4.1 * len(kinds), 3.4 + 0.16 * len(content.shown), make, 1, len(kinds), squeeze=False, sharey=True
        ),
    )
