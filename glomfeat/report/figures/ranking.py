"""The figure on ranking: ROC and precision-recall curves."""

import numpy as np

from glomfeat.report.drawing import INK, LINES, MUTED, PALETTE, Picture, look, make_figure, put_legend_below
from glomfeat.results.curves import GRID, precision_recall, roc, scored, with_band
from glomfeat.results.parts import rank
from glomfeat.results.words import plain_class

NAME, SECTION, ORDER = "ranking", "figures", 20
BANDS = "The bands hold 95 % of what other samples of such {unit} would give (bootstrap over {unit})."
FEW, TOO_FEW = 12, " With so few {unit} they hold less (in a simulation of six cases, 76 to 85 %)."
NO_WIDTH = " The band of a curve without errors has no width, since no draw has any; the limits of its AUROC are wider."
NO_BAND = " A curve has no band if one of the {unit} holds a whole side, or if most draws of {unit} lack a side."
MOST = 2  # arms, if each has a curve for every class
CURVES = ((roc, "auroc"), (precision_recall, "average_precision"))


def draw(content):
    """Draw ROC and precision-recall curves with bands: of the shown arms, or of each class against the rest."""
    if not content.shown:
        return None
    return _of_arms(content) if len(content.run.manifest.classes) == 2 else _of_classes(content)


def _of_arms(content):
    """Draw, for two classes, a curve for each arm and a mark for each reader."""
    run, parts, names = content.run, content.scored, content.names
    bands = {(arm, metric): with_band(run, mine, curve) for arm, mine in parts.items() for curve, metric in CURVES}
    table, positive = content.results.set_index("arm"), plain_class(run.manifest.classes[-1])
    prevalence = np.mean(run.manifest.labels[run.ever_tested] == 1)
    readers = [] if content.readers is None else content.readers.dropna(subset=["sensitivity", "specificity"])

    def make(axes):
        for position, arm in enumerate(parts):
            colour, line, _ = look(position)
            for axis, (_, metric) in zip(axes, CURVES, strict=True):
                _curve(axis, bands[arm, metric], colour, line, f"{names[arm]}  {table.loc[arm, metric]:.3f}")
        if len(readers):
            places = 1 - readers["specificity"], readers["sensitivity"]
            axes[0].scatter(*places, color=INK, marker="X", label="readers", zorder=4)
        axes[1].axhline(prevalence, color=MUTED, linewidth=0.8)
        _frame(axes, "ROC curve, AUROC", "precision and recall, average precision")
        for axis, place in zip(axes, ("lower right", "lower left"), strict=True):
            axis.legend(loc=place)

    said = "; ".join(f"{names[arm]}: AUROC {table.loc[arm, 'auroc']:.3f}" for arm in parts)
    marks = " Each cross is a reader, on the images that he or she called." if len(readers) else ""
    return Picture(
        NAME,
        "How well scores rank images",
        f"ROC curve: for every share of false alarms, the share of {positive} that is found; a curve nearer the upper "
        "left corner is better, and the diagonal is chance. Precision and recall: of the images called positive, the "
        f"share that is; the grey line is what guessing gives. {_averaged(parts)}{_bands(run, bands.values())}{marks}",
        f"ROC and precision-recall curves with bands. {said}.",
        make_figure(9.2, 4.6, make, 1, 2),
    )


def _of_classes(content):
    """Draw, for more classes, a curve for each class against the rest, with one row for each arm."""
    run, names, arms = content.run, content.names, content.first(MOST)
    classes = [plain_class(name) for name in run.manifest.classes]
    parts = {arm: [scored(run, arm, label) for label in range(len(classes))] for arm in arms}
    figures = {
        arm: {metric: [float(rank(mine, metric=metric)[0]) for mine in of] for _, metric in CURVES}
        for arm, of in parts.items()
    }
    shares = np.bincount(run.manifest.labels[run.ever_tested], minlength=len(classes)) / run.ever_tested.sum()
    bands = {
        (arm, label, metric): with_band(run, mine, curve)
        for arm, of in parts.items()
        for label, mine in enumerate(of)
        for curve, metric in CURVES
    }

    def make(axes):
        for row, arm in zip(np.reshape(axes, (len(arms), 2)), arms, strict=True):
            for label, name in enumerate(classes):
                colour, line = PALETTE[label % len(PALETTE)], LINES[(label + label // len(PALETTE)) % len(LINES)]
                for axis, (_, metric) in zip(row, CURVES, strict=True):
                    band, value = bands[arm, label, metric], figures[arm][metric][label]
                    _curve(axis, band, colour, line, f"{name}  {value:.3f}")
                row[1].axhline(shares[label], color=colour, linewidth=0.8, alpha=0.6)
            _frame(row, f"{names[arm]}\nROC curves, AUROC", "precision and recall, average precision")
            for axis in row:
                put_legend_below(axis, ncols=1 if len(classes) < 6 else 2)

    said = "; ".join(
        f"{names[arm]}: " + ", ".join(f"{name} {value:.3f}" for name, value in zip(classes, of["auroc"], strict=True))
        for arm, of in figures.items()
    )
    height = 5.2 + 0.2 * (len(classes) if len(classes) < 6 else len(classes) / 2)
    return Picture(
        NAME,
        "How well scores rank images: each class against the rest",
        f"A curve for each of {', '.join(classes)}, by the score of this class, with all other images as the rest. "
        "ROC curves: for every share of false alarms among the rest, the share of the class that is found; the "
        "diagonal is chance. Precision and recall: of the images called so, the share that is; the thin lines are what "
        "guessing gives. Figures are those of the curve beside them; their mean over classes is in the table of "
        "results. "
        f"{_averaged({arm: of[0] for arm, of in parts.items()})}{_bands(run, bands.values())}",
        f"ROC and precision-recall curves with bands, one for each class against the rest. AUROC of {said}.",
        make_figure(9.2, height * len(arms), make, len(arms), 2),
    )


def _averaged(parts):
    """Say that curves are averaged over folds; empty if everything was tested at once."""
    return "Curves are averaged over folds. " if any(len(mine) > 1 for mine in parts.values()) else ""


def _bands(run, bands):
    bands = [*bands]
    lacking = any(np.isnan(low).any() for _, low, _ in bands)
    flat = any(np.array_equal(low, high) for _, low, high in bands)
    few = len(np.unique(run.manifest.cases[run.ever_tested])) < FEW
    return (BANDS + few * TOO_FEW + flat * NO_WIDTH + lacking * NO_BAND).format(unit=f"{run.manifest.unit}s")


def _curve(axis, band, colour, line, label):
    mean, low, high = band
    axis.fill_between(GRID, low, high, color=colour, alpha=0.13, linewidth=0)
    axis.plot(GRID, mean, color=colour, linestyle=line, label=label)


def _frame(axes, left, right):
    """Set the axes, the titles and the diagonal of chance of a row."""
    axes[0].plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
    axes[0].set(xlabel="false alarms (1 − specificity)", ylabel="found (sensitivity)", title=left)
    axes[1].set(xlabel="found (recall)", ylabel="calls that are right (precision)", title=right)
    for axis in axes:
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
