"""The figure on calibration: whether scores can be read as probabilities."""

import numpy as np

from glomfeat.report.drawing import INK, MUTED, Picture, look, make_figure, put_legend_below
from glomfeat.results.words import figure, plain_class

NAME, SECTION, ORDER = "reliability", "figures", 40
LEAST = 100  # images; a curve of fewer follows chance


def draw(content):
    """Draw reliability curves of the shown arms."""
    if not content.shown:
        return None
    run, arms, names, curves = content.run, content.shown, content.names, content.reliability
    table = content.results.set_index("arm")
    unit = run.manifest.unit
    two, positive = len(run.manifest.classes) == 2, plain_class(run.manifest.classes[-1])
    shown = {arm: curves[(curves["arm"] == arm) & curves["mean_score"].notna()] for arm in arms}
    many = max(mine["n_images"].sum() for mine in shown.values()) >= LEAST
    smooth = dict(list(content.tables.calibration_curve.groupby("arm"))) if many else {}

    def make(axis):
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for position, (arm, mine) in enumerate(shown.items()):
            colour, line, marker = look(position)
            score, share = mine["mean_score"].to_numpy(), mine["frequency"].to_numpy()
            if position == 0:
                gaps = np.nan_to_num(np.maximum([share - mine["lo"], mine["hi"] - share], 0))
                axis.errorbar(score, share, gaps, fmt="none", ecolor=colour, elinewidth=1, alpha=0.7)
            label, marks = f"{names[arm]}  {table.loc[arm, 'ece']:.3f}", {"color": colour, "marker": marker}
            if arm in smooth:
                score_of, height, low, high = (smooth[arm][of] for of in ("score", "frequency", "lo", "hi"))
                axis.plot(score_of, height, color=colour, linestyle=line, linewidth=1.2, label=label)
                if position == 0:
                    axis.fill_between(score_of, low, high, color=colour, alpha=0.15, linewidth=0)
            else:
                axis.plot([], [], linestyle="none", label=label, **marks)
            size = 12 + 90 * (mine["n_images"] / mine["n_images"].sum()).to_numpy()
            axis.scatter(score, share, s=size, **marks, edgecolor=INK, linewidth=0.4, zorder=3)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set(
            xlabel="score" if two else "largest score", ylabel="share that is positive" if two else "share called right"
        )
        put_legend_below(axis, title="ECE", alignment="left")

    said = "; ".join(f"{names[arm]}: ECE {figure(table.loc[arm, 'ece'])}" for arm in arms)
    lines = "lines, where one fits, are the same, smoothed (restricted cubic splines). Bars and band are"
    if not many:
        lines = f"with fewer than {LEAST} images no smooth line is drawn. Bars are"
    seventy = f"are {positive}" if two else "are called right"
    return Picture(
        NAME,
        "Whether a score can be read as a probability",
        "Images with similar scores are grouped; on the diagonal, 70 of 100 images with a score of 0.7 "
        f"{seventy}. Above it scores are too low, below it too high. Larger marks stand for more images; {lines} "
        f"95 % limits{' of the best arm' if len(arms) > 1 else ''}, from leaving out each {unit}. ECE, the expected "
        "calibration error, is 0 at best.",
        f"Reliability diagram. {said}.",
        make_figure(5.4, 4.6 + 0.19 * len(arms), make),
    )
