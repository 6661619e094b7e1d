"""Figures of learning: by epoch, and by the number of training cases."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.report.drawing import PALETTE, Picture, draw, look
from glomfeat.results.words import count, figure

MOST = 6


def training(curves, names):
    """Loss and inner-valid AUROC of each network by epoch, every fold thin and their mean bold.

    Parameters
    ----------
    curves : pandas.DataFrame
        Of `glomfeat.results.tables.curves_table`.
    names : dict of str to str

    Returns
    -------
    Picture or None
        None where no network was trained.
    """
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

    last = curves.groupby("arm")["epoch"].max()
    return Picture(
        "training",
        "How networks learned",
        "Thin lines are folds, the bold line is their mean. Inner-valid cases are training cases that were held back "
        "for threshold and calibration; where their lines end they are learnt too. They chose no epoch, and the outer "
        "test cases play no part here. Where the dashed loss rises while the solid one falls, the network learns its "
        "training cases by heart.",
        "Training curves. " + "; ".join(f"{names[arm]}: {count(int(last[arm]), 'epoch')}" for arm in arms) + ".",
        draw(9.2, 0.6 + 2.3 * len(arms), make, len(arms), 2),
    )


def _folds(axis, frame, column, colour, line, label):
    for _, fold in frame.groupby(["repeat", "fold"], sort=False):
        axis.plot(fold["epoch"], fold[column], color=colour, linestyle=line, linewidth=0.6, alpha=0.45)
    mean = frame.groupby("epoch")[column].mean().dropna()
    axis.plot(mean.index, mean, color=colour, linestyle=line, linewidth=2, label=label)
    if len(mean) == 1:
        axis.plot(mean.index, mean, "o", color=colour)


def learning(table, names):
    """AUROC against the number of training cases.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `glomfeat.results.learning_curve.learning_table`.
    names : dict of str to str

    Returns
    -------
    Picture or None
    """
    table = table[table["auroc"].notna() & (table["arm"] != FLOOR)]
    best = table.sort_values(["share", "auroc"], ascending=False)["arm"]
    arms = best.drop_duplicates().tolist()[:MOST]
    if not arms:
        return None

    def make(axis):
        for place, arm in enumerate(arms):
            mine, (colour, line, marker) = table[table["arm"] == arm].sort_values("share"), look(place)
            band = mine["cases"], mine["auroc_lo"], mine["auroc_hi"]
            axis.fill_between(*band, color=colour, alpha=0.13, linewidth=0)
            axis.plot(
                mine["cases"], mine["auroc"], color=colour, linestyle=line, marker=marker, label=names.get(arm, arm)
            )
        axis.set(xlabel="training cases", ylabel="AUROC")
        axis.legend(loc="lower right")

    ends = table.sort_values("share").groupby("arm")["auroc"].last()
    return Picture(
        "learning",
        "What more cases would bring",
        "AUROC on the same test cases after training on a share of the training cases, with 95 % limits. A curve that "
        "still rises at its right end says that more cases would help.",
        "Learning curves. " + "; ".join(f"{names.get(arm, arm)} ends at {figure(ends[arm])}" for arm in arms) + ".",
        draw(7.2, 4.0, make),
    )
