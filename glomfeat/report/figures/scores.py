"""Figures of scores: ROC and precision-recall, confusion, reliability, distributions."""

import numpy as np

from glomfeat.report.drawing import GRID as LINE
from glomfeat.report.drawing import INK, MUTED, PALETTE, Picture, draw, look
from glomfeat.results.curves import GRID, precision_recall, roc, scored, with_band
from glomfeat.results.parts import confusions, trial_parts
from glomfeat.results.words import figure, plain_class

BANDS = "The bands hold 95 % of what other samples of such {unit} would give (bootstrap over {unit})."


def figures_of_scores(run, results, curves, arms, names):
    """Figures of the arms that are shown in full.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    curves : pandas.DataFrame
        Of `glomfeat.results.reliability.reliability_table`.
    arms : list of str
        The shown arms, best first.
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.

    Returns
    -------
    list of Picture
    """
    parts = {arm: scored(run, arm) for arm in arms}
    table = results.set_index("arm")
    positive = plain_class(run.manifest.classes[-1])
    return [
        _ranking(run, table, parts, names, positive),
        _confusions(run, arms[:3], names),
        _reliability(run, table, curves, arms, names),
        _distributions(run, parts, names, positive),
    ]


def _ranking(run, table, parts, names, positive):
    unit = "cases" if run.manifest.by_case else "images"
    prevalence = np.mean(run.manifest.labels[run.ever_tested] == len(run.manifest.classes) - 1)

    def make(axes):
        for position, (arm, mine) in enumerate(parts.items()):
            colour, line, _ = look(position)
            for axis, curve, metric in ((axes[0], roc, "auroc"), (axes[1], precision_recall, "average_precision")):
                mean, low, high = with_band(run, mine, curve)
                axis.fill_between(GRID, low, high, color=colour, alpha=0.13, linewidth=0)
                label = f"{names[arm]}  {table.loc[arm, metric]:.3f}"
                axis.plot(GRID, mean, color=colour, linestyle=line, label=label)
        axes[0].plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        axes[1].axhline(prevalence, color=MUTED, linewidth=0.8)
        axes[0].set(xlabel="false alarms (1 − specificity)", ylabel="found (sensitivity)", title="ROC curve, AUROC")
        axes[1].set(xlabel="found (recall)", ylabel="calls that are right (precision)")
        axes[1].set_title("precision and recall, average precision")
        for axis, place in zip(axes, ("lower right", "lower left"), strict=True):
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
            axis.legend(loc=place)

    said = "; ".join(f"{names[arm]}: AUROC {table.loc[arm, 'auroc']:.3f}" for arm in parts)
    return Picture(
        "ranking",
        "How well scores rank images",
        f"Left: for every share of false alarms, the share of {positive} that is found; a curve nearer the upper left "
        f"corner is better, and the diagonal is chance. Right: of the images called positive, the share that is; the "
        f"grey line is what guessing gives. Curves are averaged over folds. {BANDS.format(unit=unit)}",
        f"ROC and precision-recall curves with bands. {said}.",
        draw(9.2, 4.6, make, 1, 2),
    )


def _confusions(run, arms, names):
    classes = [plain_class(name) for name in run.manifest.classes]
    two = len(classes) == 2
    columns = ("decision at 0.5", "decision at the chosen threshold") if two else ("the largest score decides",)
    tables = {arm: _counts(run, arm) for arm in arms}

    def make(axes):
        grid = np.reshape(axes, (len(arms), len(columns)))
        for row, (arm, both) in enumerate(tables.items()):
            for column, (counts, what) in enumerate(zip(both, columns, strict=True)):
                _matrix(grid[row, column], counts, two)
                grid[row, column].set_title(f"{names[arm]}\n{what}", fontsize=9)

    said = "; ".join(
        f"{names[arm]} at 0.5 misses {both[0][-1].sum() - both[0][-1, -1]:.0f} and falsely calls "
        f"{both[0][:-1, -1].sum():.0f}"
        + (f", at the threshold {both[1][1, 0]:.0f} and {both[1][0, 1]:.0f}" if two else "")
        for arm, both in tables.items()
    )
    threshold = (
        " Left: a score of 0.5 or more is called positive. Right: the threshold was chosen on training cases only, "
        "so that these counts are honest."
        if two
        else ""
    )
    return Picture(
        "confusion",
        "Which errors are made",
        f"Rows are the truth, columns what was called; images per repeat, and the share of the row. Bottom left of "
        f"each square: {classes[-1]} that were missed; top right: false alarms.{threshold}",
        f"Confusion matrices. {said}.",
        draw(3.3 * len(columns) + 0.8, 2.9 * len(arms), make, len(arms), len(columns)),
    )


def _counts(run, arm):
    """Confusion matrices per repeat: at the natural decision and, of two classes, at the threshold."""
    parts = trial_parts(run, [trial for trial in run.trials if str(trial.arm) == arm])
    classes = len(run.manifest.classes)
    found = confusions(parts, classes)
    return found if classes == 2 else found[:1]


def _matrix(axis, counts, two):
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    k = len(counts)
    for row in range(k):
        for column in range(k):
            right = row == column
            colour = PALETTE[0] if right else PALETTE[1]
            axis.add_patch(_box(column, row, colour, 0.12 + 0.55 * share[row, column], hatch="" if right else "////"))
            amount = counts[row, column]
            number = f"{amount:,.0f}" if amount == round(amount) else f"{amount:,.1f}"
            axis.text(column, row - 0.07, number, ha="center", va="center", fontsize=12, fontweight="bold")
            axis.text(column, row + 0.22, f"{share[row, column]:.0%}", ha="center", va="center", fontsize=8)
    short = ("negative", "positive") if two else [str(number) for number in range(k)]
    axis.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal", xlabel="called", ylabel="truth")
    axis.set_xticks(range(k), short)
    axis.set_yticks(range(k), short, rotation=90, va="center")
    axis.grid(False)
    axis.tick_params(length=0)


def _box(column, row, colour, alpha, hatch):
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    face = to_rgba(colour, alpha)
    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=face, edgecolor=LINE, hatch=hatch, linewidth=0)


def _reliability(run, table, curves, arms, names):
    unit = "case" if run.manifest.by_case else "image"
    two, positive = len(run.manifest.classes) == 2, plain_class(run.manifest.classes[-1])
    shown = {arm: curves[(curves["arm"] == arm) & curves["mean_score"].notna()] for arm in arms}

    def make(axis):
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
        for position, (arm, mine) in enumerate(shown.items()):
            colour, line, marker = look(position)
            score, share = mine["mean_score"].to_numpy(), mine["frequency"].to_numpy()
            if position == 0:
                gaps = np.nan_to_num(np.maximum([share - mine["lo"], mine["hi"] - share], 0))
                axis.errorbar(score, share, gaps, fmt="none", ecolor=colour, elinewidth=1, alpha=0.7)
            label = f"{names[arm]}  {table.loc[arm, 'ece']:.3f}"
            axis.plot(score, share, color=colour, linestyle=line, linewidth=1, label=label)
            size = 12 + 90 * (mine["n_images"] / mine["n_images"].sum()).to_numpy()
            axis.scatter(score, share, s=size, color=colour, marker=marker, edgecolor=INK, linewidth=0.4, zorder=3)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set(
            xlabel="score" if two else "largest score", ylabel="share that is positive" if two else "share called right"
        )
        axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, title="ECE", alignment="left")

    said = "; ".join(f"{names[arm]}: ECE {figure(table.loc[arm, 'ece'])}" for arm in arms)
    seventy = f"are {positive}" if two else "are called right"
    return Picture(
        "reliability",
        "Whether a score can be read as a probability",
        "Images with scores alike are taken together; on the diagonal, of images with score 0.7 seventy in a hundred "
        f"{seventy}. Above it scores are too low, below it too high. Larger marks stand for more images; bars are 95 % "
        f"limits from leaving out each {unit}, of the best arm. ECE, the expected calibration error, is 0 at best.",
        f"Reliability diagram. {said}.",
        draw(8.2, 4.4, make),
    )


def _distributions(run, parts, names, positive):
    edges = np.linspace(0, 1, 26)
    two = len(run.manifest.classes) == 2

    def make(axes):
        axes = np.atleast_1d(axes)
        for axis, (arm, mine) in zip(axes, parts.items(), strict=True):
            y, score = (np.concatenate([getattr(part, name) for part in mine]) for name in ("y", "score"))
            for is_positive, colour, line, label in (
                (False, PALETTE[0], "-", "others"),
                (True, PALETTE[1], "--", positive),
            ):
                heights = np.histogram(score[y == is_positive], edges)[0] / max(1, (y == is_positive).sum())
                axis.stairs(heights, edges, fill=True, color=colour, alpha=0.22)
                axis.stairs(heights, edges, color=colour, linestyle=line, linewidth=1.4, label=label)
            if two:
                axis.axvline(
                    np.mean([part.threshold for part in mine]), color=INK, linewidth=1, label="threshold (mean)"
                )
            axis.set(xlim=(0, 1), ylabel="share")
            axis.set_title(names[arm], fontsize=9)
        axes[-1].set_xlabel("score")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

    medians = {arm: [figure(_median(mine, side), 2) for side in (True, False)] for arm, mine in parts.items()}
    means = "; ".join(
        f"{names[arm]}: median {ones} of positives, {rest} of others" for arm, (ones, rest) in medians.items()
    )
    return Picture(
        "scores",
        "How far apart the classes are",
        f"How scores are spread among {positive} (dashed, orange) and all others (solid, blue), each adding up to 1. "
        + ("What lies on the wrong side of the upright line is an error at the chosen threshold." if two else ""),
        f"Histograms of scores by class. {means}.",
        draw(7.6, 0.7 + 1.35 * len(parts), make, len(parts), 1, sharex=True),
    )


def _median(parts, positive):
    return float(np.median(np.concatenate([part.score[part.y == positive] for part in parts])))
