"""What is known about a metric: how it is calculated, what it means, and how tables show it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from glomfeat.metrics.own_cases import MadeOf

MORE_THAN_ALL = 9  # a place after all metrics that are placed by their own number


@dataclass(frozen=True)
class Shown:
    """How a table shows a metric.

    Attributes
    ----------
    title : str
        The heading; the metric's own if empty.
    place : int
        Columns are in order of place, and in the order of `METRICS` for equal places.
    digits : int
    more : bool
        Whether it is shown only on demand, or if there is room.
    """

    title: str = ""
    place: int = MORE_THAN_ALL
    digits: int = 3
    more: bool = False


@dataclass(frozen=True)
class Metric:
    """What is measured for an arm.

    Attributes
    ----------
    name : str
        The column in results.csv and trials.csv.
    function : callable
        ``(y, score) -> float``; for a metric with a decision, ``(counts) -> values``, from confusion matrices of shape
        (..., classes, classes) with the truth in rows.
    title : str
    meaning : str
        A sentence for readers.
    meaning_of_more : str
        The same for more than two classes, if more differs than that there is no cut-off.
    by_case : callable or None
        Like `function`, for each row of case weights: ``(y, score, cases, weights) -> values``; metrics of confusion
        matrices, and those without limits, need none.
    by_fold : bool
        Whether it is taken within each fold and averaged over folds, rather than over a repeat's folds together.
    at : {"", "0.5", "threshold"}
        The decision that it measures: none, the natural one, or the threshold that each fold chose, which only two
        classes have.
    low, high : float
        Its bounds.
    high_of_more : float or None
        The upper bound for more than two classes, if it is another.
    made_of : {"all", "each", "positive", "other", "called"}
        The images of its denominator, whose cases say how sure it is: `glomfeat.metrics.own_cases.own_cases`.
    better : {"higher", "lower"}
    errors_of : int or None
        For a number of errors, the class whose images it counts (for more than two classes: all images); its upper
        bound is how many were tested.
    limits : int or None
        The block of columns that holds its limits: 0 is beside the metric, other blocks follow all other columns, in
        order; None if it has no limits.
    page, page_of_more : Shown or None
        Its column in the report, and the one for more than two classes if that differs.
    terminal, terminal_of_more : Shown or None
        Its column on the terminal and in Markdown, and the one for more than two classes if that differs.
    card : Shown or None
        Its row on the card of a model.
    """

    name: str
    function: Callable[..., Any]
    title: str
    meaning: str
    meaning_of_more: str = ""
    by_case: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    by_fold: bool = False
    at: Literal["", "0.5", "threshold"] = ""
    low: float = 0.0
    high: float = 1.0
    high_of_more: float | None = None
    made_of: MadeOf = "each"
    better: Literal["higher", "lower"] = "higher"
    errors_of: int | None = None
    limits: int | None = 4
    page: Shown | None = Shown(more=True)
    page_of_more: Shown | None = None
    terminal: Shown | None = None
    terminal_of_more: Shown | None = None
    card: Shown | None = None

    def on_page(self, classes: int) -> Shown | None:
        """How the report shows it, or None."""
        if classes == 2:
            return self.page
        return None if self.at == "threshold" else self.page_of_more or self.page

    def on_terminal(self, largest: bool) -> Shown | None:
        """How the terminal shows it, or None; the largest score decides with more than two classes."""
        if not largest:
            return self.terminal
        return None if self.at == "threshold" else self.terminal_of_more or self.terminal

    def said(self, classes: int) -> str:
        """What it says, for readers."""
        return self.meaning if classes == 2 else self.meaning_of_more or self.meaning.replace(", at 0.5", "")

    def bounds(self, classes: int) -> tuple[float, float]:
        """Its bounds; those of errors are as shares of the images that they count."""
        return self.low, self.high_of_more if classes > 2 and self.high_of_more else self.high
