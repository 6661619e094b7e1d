"""The figure on errors: confusion matrices."""

from textwrap import wrap

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from glomfeat.report.chosen import number_that_decides, the_threshold
from glomfeat.report.drawing import GRID, PALETTE, Picture, fold, make_figure
from glomfeat.report.paper import points
from glomfeat.results.calls import confusions
from glomfeat.results.parts import trial_parts
from glomfeat.results.words import plain_class

NAME, SECTION, ORDER = "confusion", "figures", 30
MOST = 3  # arms
WIDTH, TITLE = 14, 33  # characters in a line of a class's name, and of an arm's name


def draw(content):
    """Draw confusion matrices of the best of the shown arms, at 0.5 and at the threshold of the run."""
    if not content.shown:
        return None
    run, names, arms, manifest = content.run, content.names, content.first(MOST), content.run.manifest
    order = [manifest.classes.index(name) for name in content.loaded.study.get("ordinal") or manifest.classes]
    classes = [plain_class(manifest.classes[code]) for code in order]
    two = len(classes) == 2
    number = number_that_decides(content.loaded)
    places = ["0.5", the_threshold(content.loaded)][: 1 if number == 0.5 else 2] if two else []
    columns = [f"decision at {place}" for place in places] or ["the largest score decides"]
    trials = {arm: [trial for trial in run.trials if str(trial.arm) == arm] for arm in arms}
    tables = {arm: confusions(trial_parts(run, own), len(classes))[: len(columns)] for arm, own in trials.items()}
    repeats = len({trial.repeat for of in trials.values() for trial in of})
    side = max(2.9, 0.95 * len(classes) + 1.0)

    def make(axes):
        grid = np.reshape(axes, (len(arms), len(columns)))
        for row, (arm, both) in enumerate(tables.items()):
            for column, (counts, what) in enumerate(zip(both, columns, strict=True)):
                _matrix(grid[row, column], counts[np.ix_(order, order)], classes)
                grid[row, column].set_title(f"{fold(names[arm], TITLE)}\n{what}", fontsize=points(8))
                grid[row, column].set_anchor("W")  # leaves room for the title
                if column:  # the matrix to its left has the same labels of the truth
                    grid[row, column].set_ylabel("")
                    grid[row, column].tick_params(labelleft=False)

    if two:
        said = "; ".join(f"{names[arm]} {_wrong(places, both)}" for arm, both in tables.items())
        how = (
            f" Bottom left of each square: {classes[-1]} that were missed; top right: false alarms. "
            f"{_called(number, manifest.unit)}"
        )
    else:
        said = "; ".join(
            f"{names[arm]}: {_right(counts[np.ix_(order, order)], classes)}" for arm, (counts,) in tables.items()
        )
        how = " Calls on the diagonal are right."
    return Picture(
        NAME,
        "Which errors are made",
        f"Rows are the truth, columns the calls. Each square has the number of images"
        f"{' per repeat' if repeats > 1 else ''} and their share of the row.{how}",
        f"Confusion matrices. {said}.",
        make_figure(5.4 if two else side + 1.2, side * len(arms), make, len(arms), len(columns)),
    )


def _called(number, unit):
    """Say from which score images are called positive."""
    if number == 0.5:
        return "A score of 0.5 or more is called positive."
    right = f"the threshold was chosen on training {unit}s only, so that these counts are honest"
    right = right if number is None else f"a score of {number:g} or more"
    return f"Left: a score of 0.5 or more is called positive. Right: {right}."


def _wrong(places, tables):
    """Say how many images are called wrong at each threshold."""
    return ", ".join(
        f"at {place} misses {counts[1, 0]:.0f} and falsely calls {counts[0, 1]:.0f}"
        for place, counts in zip(places, tables, strict=True)
    )


def _right(counts, classes):
    """Say how many images of each class are called right."""
    return ", ".join(f"{counts[k, k]:.0f} of {counts[k].sum():.0f} {name} right" for k, name in enumerate(classes))


def _matrix(axis, counts, classes):
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    k = len(counts)
    for row in range(k):
        for column in range(k):
            right = row == column
            colour = PALETTE[0] if right else PALETTE[1]
            axis.add_patch(_box(column, row, to_rgba(colour, 0.12 + 0.55 * share[row, column])))
            if not right:  # a box of its own, because printers ignore how faint a hatched face is
                axis.add_patch(_box(column, row, "none", hatch="////"))
            amount = counts[row, column]
            number = f"{amount:,.0f}" if amount == round(amount) else f"{amount:,.1f}"
            axis.text(column, row - 0.07, number, ha="center", va="center", fontsize=points(12), fontweight="bold")
            axis.text(column, row + 0.22, f"{share[row, column]:.0%}", ha="center", va="center", fontsize=points(8))
    short = ["\n".join(wrap(name, WIDTH)) for name in classes]
    axis.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal", xlabel="called", ylabel="truth")
    axis.set_xticks(range(k), short, fontsize=points(8))
    axis.set_yticks(range(k), short, fontsize=points(8))
    axis.grid(False)
    axis.tick_params(length=0)


def _box(column, row, face, hatch=""):
    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=face, edgecolor=GRID, hatch=hatch, linewidth=0)
