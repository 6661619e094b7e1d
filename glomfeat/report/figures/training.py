"""The figure on training: how networks learned, epoch by epoch."""

import numpy as np

from glomfeat.core.words import joined
from glomfeat.report.chosen import chooses_threshold
from glomfeat.report.drawing import PALETTE, Picture, make_figure
from glomfeat.results.words import count

NAME, SECTION, ORDER = "training", "figures", 70
MOST = 6  # networks


def draw(content):
    """Draw loss and inner-valid AUROC of each network by epoch; thin lines are folds, a bold one is their mean.

    None if no network was trained.
    """
    curves, names = content.curves, content.names
    if curves.empty:
        return None
    arms = curves["arm"].drop_duplicates().tolist()[:MOST]
    shown = (("train_loss", "-", 0), ("inner_valid_loss", "--", 1))

    def make(axes):
        axes = np.reshape(axes, (len(arms), 2))
        for (left, right), arm in zip(axes, arms, strict=True):
            mine = curves[curves["arm"] == arm]
            for column, line, k in shown:
                _folds(
                    left, mine, column, PALETTE[k], line, column.replace("_", " ").replace("inner valid", "inner-valid")
                )
            _folds(right, mine, "inner_valid_auroc", PALETTE[2], "-", "inner-valid AUROC")
            left.set(ylabel="loss", title=names[arm])
            right.set(ylabel="AUROC")
            left.legend()
            for axis in (left, right):
                axis.xaxis.get_major_locator().set_params(integer=True)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")

    unit = content.run.manifest.unit
    then = "; after the end of their lines they are learnt, too" if (curves["learns"] == "all").any() else ""
    last = curves.groupby("arm")["epoch"].max()
    return Picture(
        NAME,
        "How networks learned",
        f"Thin lines are folds, the bold line is their mean. Inner-valid {unit}s are training {unit}s that were held "
        f"back{_serving(content.loaded)}{then}. No epoch was chosen by these lines, and the outer test {unit}s play no "
        f"part here. Where the dashed loss rises while the solid one falls, the network learns its training {unit}s by "
        "heart.",
        "Training curves. " + "; ".join(f"{names[arm]}: {count(int(last[arm]), 'epoch')}" for arm in arms) + ".",
        make_figure(9.2, 0.6 + 2.3 * len(arms), make, len(arms), 2),
    )


def _serving(loaded):
    """Say what inner-valid cases are held back for; empty if nothing is chosen on them."""
    serves = ["settings"] if loaded.identity.get("tune") else []
    serves += ["the threshold"] if chooses_threshold(loaded) else []
    serves += ["calibration"] if loaded.identity.get("calibration", "none") != "none" else []
    return f" for {joined(serves)}" if serves else ""


def _folds(axis, frame, column, colour, line, label):
    for _, fold in frame.groupby(["repeat", "fold"], sort=False):
        axis.plot(fold["epoch"], fold[column], color=colour, linestyle=line, linewidth=0.6, alpha=0.45)
    mean = frame.groupby("epoch")[column].mean().dropna()
    axis.plot(mean.index, mean, color=colour, linestyle=line, linewidth=2, label=label)
    if len(mean) == 1:
        axis.plot(mean.index, mean, "o", color=colour)
