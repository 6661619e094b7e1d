"""The cases behind a figure: those that hold images of its denominator."""

from typing import Literal

import numpy as np

MadeOf = Literal["all", "each", "positive", "other", "called"]


def own_cases(
    made_of: MadeOf, y: np.ndarray, cases: np.ndarray, n_cases: int, classes: int = 2, called: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Which cases change a figure when they are left out, and how many count for how sure it is.

    Sensitivity is a mean over the positive images, whatever other images there are: how sure it is depends on the
    number of cases with positive images. A figure that compares each class with the others, as AUROC does, depends on
    all cases, but is no surer than the class that the fewest cases hold.

    Parameters
    ----------
    made_of : {"all", "each", "positive", "other", "called"}
        The images of the denominator: all, those of each class, the positive ones, the others, or those that are called
        positive. With more than two classes, for which such figures are means over the classes, the last three mean the
        same as ``each``.
    y : ndarray of int, shape (n,)
    cases : ndarray of int, shape (n,)
        Codes 0 .. n_cases - 1.
    n_cases : int
    classes : int
    called : ndarray of bool, shape (n,), optional
        Whether an image is called positive.

    Returns
    -------
    own : ndarray of bool, shape (n_cases,)
    number : int

    Examples
    --------
    >>> y, cases = np.array([0, 0, 1, 0]), np.array([0, 1, 1, 2])
    >>> own_cases("positive", y, cases, 3)
    (array([False,  True, False]), 1)
    >>> own_cases("each", y, cases, 3)
    (array([ True,  True,  True]), 1)
    """
    if made_of in ("all", "each") or classes > 2:
        own = _hold(cases, n_cases)
        if made_of == "all":
            return own, int(own.sum())
        return own, min(int(_hold(cases[y == label], n_cases).sum()) for label in np.unique(y))
    rows = called if made_of == "called" else y == 1 if made_of == "positive" else y != 1
    own = _hold(cases[rows], n_cases)
    return own, int(own.sum())


def _hold(cases: np.ndarray, n_cases: int) -> np.ndarray:
    return np.bincount(cases, minlength=n_cases) > 0
