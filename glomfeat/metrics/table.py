"""The metrics of every table: one row per metric, from which columns, limits, help and cards follow."""

from typing import Literal

import numpy as np

from glomfeat.metrics import by_case, scores
from glomfeat.metrics.metric import Metric, Shown

_ROWS = (
    Metric(
        "auroc",
        scores.auroc,
        "AUROC",
        "The chance that a positive image scores above another one: 1 is perfect, 0.5 is a coin. The bar holds the "
        "95 % limits, which count cases.",
        "The chance that an image of a class has a higher score for it than another one, the mean over classes: 1 is "
        "perfect, 0.5 is a coin. The bar holds the 95 % limits, which count cases.",
        by_case=by_case.auroc_by_case,
        by_fold=True,
        limits=0,
        page=Shown("AUROC, 95 % limits", 1),
        terminal=Shown("AUROC (95 % limits)", 1),
        card=Shown(place=1),
    ),
    Metric(
        "average_precision",
        scores.average_precision,
        "average precision",
        "Average precision: area under the precision-recall curve.",
        "Average precision: area under the precision-recall curve, the mean over classes of one against the rest.",
        by_case=by_case.average_precision_by_case,
        by_fold=True,
        limits=0,
        page=Shown("AP", 3),
        terminal=Shown("AP", 1, more=True),
        card=Shown(place=1),
    ),
    Metric(
        "accuracy",
        scores.accuracy,
        "accuracy",
        "Share of all images that are called right, at 0.5.",
        at="0.5",
        made_of="all",
        limits=1,
    ),
    Metric(
        "balanced_accuracy",
        scores.balanced_accuracy,
        "balanced accuracy at 0.5",
        "Mean of sensitivity and specificity, at 0.5.",
        "Mean over classes of the share that is called right: the same as sensitivity.",
        at="0.5",
        limits=1,
        page=Shown("bal. acc.", more=True),
        card=Shown(place=3),
    ),
    Metric(
        "sensitivity",
        scores.sensitivity,
        "sensitivity at 0.5",
        "Sensitivity where a score of 0.5 or more is called positive.",
        "Sensitivity, the mean over classes of one against the rest.",
        at="0.5",
        made_of="positive",
        limits=1,
        page=Shown("sens. at 0.5", 8, more=True),
        page_of_more=Shown("sens.", 4),
        terminal_of_more=Shown("sens.", 2, more=True),
    ),
    Metric(
        "specificity",
        scores.specificity,
        "specificity at 0.5",
        "Specificity where a score of 0.5 or more is called positive.",
        "Specificity, the mean over classes of one against the rest.",
        at="0.5",
        made_of="other",
        limits=1,
        page=Shown("spec. at 0.5", 8, more=True),
        page_of_more=Shown("spec.", 4),
        terminal_of_more=Shown("spec.", 2, more=True),
    ),
    Metric(
        "precision",
        scores.precision,
        "precision at 0.5",
        "Of the images that are called positive, the share that is, at 0.5.",
        "Of the images that are called a class, the share that is of it, the mean over classes.",
        at="0.5",
        made_of="called",
        limits=1,
        page=None,
    ),
    Metric(
        "f1",
        scores.f1,
        "F1",
        "Harmonic mean of precision and sensitivity, at 0.5.",
        "Harmonic mean of precision and sensitivity, the mean over classes of one against the rest.",
        at="0.5",
        limits=1,
    ),
    Metric(
        "mcc",
        scores.mcc,
        "MCC",
        "Matthews' correlation of truth and call, at 0.5: 1 is perfect, 0 is chance.",
        at="0.5",
        low=-1.0,
        limits=1,
    ),
    Metric(
        "brier",
        scores.brier,
        "Brier score",
        "Mean squared distance of score and truth: 0 is best.",
        "Mean squared distance of scores and truth, summed over classes: 0 is best, 2 is worst.",
        by_case=by_case.brier_by_case,
        high_of_more=2.0,
        made_of="all",
        better="lower",
        limits=1,
        page=Shown("Brier", 6),
        terminal=Shown("Brier", 4, more=True),
        card=Shown(place=4),
    ),
    Metric(
        "ece",
        scores.ece,
        "ECE",
        "Expected calibration error: mean gap between a score and how often it is right. Chance makes it larger.",
        "Expected calibration error: mean gap between the largest score and how often it is right. Chance makes it "
        "larger.",
        made_of="all",
        better="lower",
        limits=None,  # chance gaps of bins add up, so it is too large, and leaving out cases does not show by how much
    ),
    Metric(
        "sensitivity_t",
        scores.sensitivity,
        "sensitivity at the threshold",
        "Sensitivity: of the positive images, the share that is found, at the threshold.",
        at="threshold",
        made_of="positive",
        limits=1,
        page=Shown("sens.", 4),
        terminal=Shown("sens.", 3),
        card=Shown(place=2),
    ),
    Metric(
        "specificity_t",
        scores.specificity,
        "specificity at the threshold",
        "Specificity: of the other images, the share left alone, at the threshold.",
        at="threshold",
        made_of="other",
        limits=1,
        page=Shown("spec.", 4),
        terminal=Shown("spec.", 3),
        card=Shown(place=2),
    ),
    Metric(
        "fn_t",
        scores.missed,
        "missed",
        "Positive images that were missed at the threshold, per repeat.",
        at="threshold",
        made_of="positive",
        better="lower",
        errors_of=1,
        limits=3,
        page=Shown("missed", 4, digits=1),
        terminal=Shown("missed", 3, digits=1, more=True),
    ),
    Metric(
        "fp_t",
        scores.false_alarms,
        "false alarms",
        "Other images that were called positive at the threshold, per repeat.",
        at="threshold",
        made_of="other",
        better="lower",
        errors_of=0,
        limits=3,
        page=Shown("false alarms", 4, digits=1),
        terminal=Shown("false alarms", 3, digits=1, more=True),
    ),
    Metric(
        "fn",
        scores.missed,
        "missed at 0.5",
        "Positive images that were missed at 0.5, per repeat.",
        "Images that were called the wrong class, per repeat.",
        at="0.5",
        made_of="positive",
        better="lower",
        errors_of=1,
        limits=2,
        page=None,
        page_of_more=Shown("wrong", 4, digits=1),
    ),
    Metric(
        "fp",
        scores.false_alarms,
        "false alarms at 0.5",
        "Other images that were called positive at 0.5, per repeat.",
        at="0.5",
        made_of="other",
        better="lower",
        errors_of=0,
        limits=2,
        page=None,
    ),
)
METRICS = {metric.name: metric for metric in _ROWS}
THRESHOLD = "threshold"  # the column of the threshold itself, before the first metric at it


def rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """What confusion matrices say: the metrics at 0.5.

    For more than two classes, rates are means over classes of one against the rest, ``mcc`` is Gorodkin's (2004), and
    false negatives and positives are both the number of wrong calls.

    Parameters
    ----------
    counts : ndarray of float, shape (..., classes, classes)

    Returns
    -------
    dict of str to ndarray, shape (...)
        A rate without a denominator is NaN, precision and F1 without a positive call are 0.

    Examples
    --------
    >>> import numpy as np
    >>> found = rates(np.array([[465.0, 6.0], [8.0, 98.0]]))
    >>> round(float(found["sensitivity"]), 4), round(float(found["mcc"]), 4)
    (0.9245, 0.9186)
    """
    return {name: metric.function(counts) for name, metric in METRICS.items() if metric.at == "0.5"}


def metric_columns(limits: bool = True) -> list[str]:
    """The columns of the metrics in tables, and of the threshold.

    Parameters
    ----------
    limits : bool
        Whether to include the limits that stand beside their metric.

    Returns
    -------
    list of str

    Examples
    --------
    >>> metric_columns()[:4]
    ['auroc', 'auroc_lo', 'auroc_hi', 'average_precision']
    """
    found: list[str] = []
    for name, metric in METRICS.items():
        if metric.at == "threshold" and THRESHOLD not in found:
            found.append(THRESHOLD)
        found += [name, *(limits_of(name) if limits and metric.limits == 0 else ())]
    return found


def limit_columns() -> list[str]:
    """The columns of limits that follow all others, block after block.

    Returns
    -------
    list of str

    Examples
    --------
    >>> limit_columns()[:2], limit_columns()[-2:]
    (['accuracy_lo', 'accuracy_hi'], ['fp_t_lo', 'fp_t_hi'])
    """
    behind = sorted((metric for metric in METRICS.values() if metric.limits), key=lambda metric: metric.limits or 0)
    return [column for metric in behind for column in limits_of(metric.name)]


def limits_of(name: str) -> tuple[str, str]:
    """The columns of a metric's limits."""
    return f"{name}_lo", f"{name}_hi"


def shown_in(where: Literal["terminal", "card"], largest: bool = False) -> dict[str, Shown]:
    """The metrics that a table shows, in order of place.

    Parameters
    ----------
    where : {"terminal", "card"}
    largest : bool
        Whether the largest score decides, as with more than two classes; the card leaves that to its rows.

    Returns
    -------
    dict of str to Shown

    Examples
    --------
    >>> list(shown_in("card"))[:3]
    ['auroc', 'average_precision', 'sensitivity_t']
    """
    at = {name: metric.card if where == "card" else metric.on_terminal(largest) for name, metric in METRICS.items()}
    found = {name: shown for name, shown in at.items() if shown}
    return dict(sorted(found.items(), key=lambda item: item[1].place))
