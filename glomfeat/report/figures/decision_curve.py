"""The figure on net benefit: whether acting on scores does more good than acting on all images or on none."""

import math

from glomfeat.report.drawing import INK, MUTED, Picture, look, make_figure, put_legend_below
from glomfeat.report.paper import points
from glomfeat.report.sections.use import doubt_of_scores, useful
from glomfeat.results.words import figure, plain_class

NAME, SECTION, ORDER = "decision-curve", "use", 10
ACROSS = 2


def draw(content):
    """Draw the net benefit of the shown arms over thresholds, with one panel for each class in the table.

    None if images of a case may lie on both sides of the split.
    """
    if not content.shown or not content.run.manifest.is_split_by_case:
        return None
    table, names = content.tables.decision_curve, content.names
    labels = list(dict.fromkeys(table["class"]))
    columns = min(ACROSS, len(labels))
    rows = math.ceil(len(labels) / columns)

    def make(axes):
        for place, axis in enumerate(axes.flat):
            if place < len(labels):
                _panel(axis, table[table["class"] == labels[place]], content.shown, names)
                axis.set_title(plain_class(labels[place]) if len(labels) > 1 else "")
            else:
                axis.set_visible(False)
        if columns == 1:
            put_legend_below(axes.flat[0], ncols=2)
        else:
            axes.flat[0].legend(loc="upper right", fontsize=points(7))

    size = (5.4, 3.6 + 0.1 * len(content.shown)) if columns == 1 else (4.3 * columns, 3.9 * rows)
    best = content.shown[0]
    said = "; ".join(f"{plain_class(label)}: {useful(table, best, label)}" for label in labels)
    heights = table[(table["arm"] == best) & (table["threshold"] == 0.5)]["net_benefit"]
    return Picture(
        NAME,
        "Whether acting on a score does good",
        "Whoever acts from a probability of 0.2 on accepts four false alarms for one find. Net benefit is the number "
        "of finds minus false alarms at that price, per image; the highest line at the probability from which you "
        "would act is the best choice. The grey line acts on every image, the black one on none. The band holds the "
        f"95 % limits of the best arm. Scores are taken as probabilities.{doubt_of_scores(content, content.shown)}",
        f"Decision curves. {names[best]}: {said}; net benefit at 0.5: {', '.join(map(figure, heights))}.",
        make_figure(*size, make, rows, columns, squeeze=False),
    )


def _panel(axis, table, arms, names):
    of = {arm: rows for arm, rows in table.groupby("arm") if arm in arms}
    highest = 0.02
    for position, arm in enumerate(arms):
        mine, (colour, line, _) = of[arm], look(position)
        if position == 0:
            axis.plot(mine["threshold"], mine["treat_all"], color=MUTED, linewidth=1, label="acts on all")
            axis.axhline(0, color=INK, linewidth=0.8, label="acts on none")
            axis.fill_between(
                mine["threshold"], mine["net_benefit_lo"], mine["net_benefit_hi"], color=colour, alpha=0.15, linewidth=0
            )
        axis.plot(mine["threshold"], mine["net_benefit"], color=colour, linestyle=line, label=names[arm])
        highest = max(highest, mine["net_benefit"].max(), mine["treat_all"].max())
    axis.set(xlim=(0, 1), ylim=(-0.25 * highest, 1.15 * highest))
    axis.set(xlabel="probability from which one acts", ylabel="net benefit for each image")
