"""Rules that choose a threshold from labels and scores."""

import re

import numpy as np

from glomfeat.core.errors import InputError
from glomfeat.core.part_errors import PartError, defined
from glomfeat.core.plugins import name_of, resolve
from glomfeat.metrics.scores import _ranked
from glomfeat.metrics.user import number_of

THRESHOLDS = (
    "balanced, youden, 'sensitivity>=0.95' (a shell needs the quotes), a number in 0..1, or your own module:function"
)


def parse_threshold(rule):
    """Split a threshold rule into its name and its number or function.

    Parameters
    ----------
    rule : str or callable
        ``balanced``, ``youden``, ``sensitivity>=0.95``, a number in 0..1, or ``module:function`` or the function
        itself: ``(y_true, score) -> number``.

    Returns
    -------
    name : str
        ``balanced``, ``youden``, ``sensitivity``, ``fixed`` or ``own``.
    value : float or callable or None

    Raises
    ------
    InputError
        Anything else.
    PluginError
        The function cannot be found.

    Examples
    --------
    >>> parse_threshold("sensitivity>=0.95")
    ('sensitivity', 0.95)
    """
    if rule in ("balanced", "youden"):
        return rule, None
    if callable(rule) or ":" in str(rule):
        return "own", rule if callable(rule) else resolve(rule, {}, "threshold rule")
    match = re.fullmatch(r"(sensitivity>=)?(\d*\.?\d+(?:[eE][-+]?\d+)?)", str(rule))
    if match and 0 <= float(match[2]) <= 1:
        return "sensitivity" if match[1] else "fixed", float(match[2])
    raise InputError(f"threshold is {rule!r}: allowed are {THRESHOLDS}")


def choose_threshold(y, score, rule="balanced"):
    """Choose a decision threshold from labels and scores of two classes.

    A score at the threshold or above is positive. ``balanced`` minimises the difference between sensitivity and
    specificity, ``youden`` maximises their sum (Youden 1950), and ``sensitivity>=x`` takes the highest threshold that
    reaches x. Among thresholds that do equally well, the one nearest to 0.5 is taken; a threshold lies midway between
    two scores.

    Parameters
    ----------
    y : array of int, shape (n,)
    score : array of float, shape (n,)
    rule : str or callable
        See `parse_threshold`.

    Returns
    -------
    float

    Raises
    ------
    PartError
        A user's own rule raised, or returned anything but one number in 0..1.

    Examples
    --------
    >>> choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9])
    0.3
    """
    name, value = parse_threshold(rule)
    if name == "fixed":
        return value
    if name == "own":
        found = number_of(value, y, score, f"threshold rule {name_of(rule)}")
        if not 0 <= found <= 1:
            said = f"threshold rule {name_of(rule)} returned {found:g}: return one number in 0..1"
            raise PartError(f"{said}{defined(value)}")
        return found
    ones, zeros = (part[0] for part in _ranked(np.asarray(y) == 1, np.asarray(score, float), np.ones((1, len(y)))))
    distinct = np.unique(np.asarray(score, float))
    # for calling positive from the k-th distinct score on
    sensitivity = np.cumsum(ones[::-1])[::-1] / ones.sum()
    specificity = (np.cumsum(zeros) - zeros) / zeros.sum()
    middles = np.r_[distinct[0], (distinct[1:] + distinct[:-1]) / 2]
    # rounded if that separates the same scores; neighbouring floats have no middle
    below, short = np.r_[-np.inf, distinct[:-1]], np.round(middles, 12)
    middles = np.where((below < short) & (short <= distinct), short, middles)
    middles = np.where(below < middles, middles, distinct)
    if name == "sensitivity":
        return float(middles[np.flatnonzero(sensitivity >= value - 1e-12)[-1]])
    loss = np.abs(sensitivity - specificity) if name == "balanced" else -(sensitivity + specificity)
    best = np.flatnonzero(loss <= loss.min() + 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def fixed_at(rule):
    """The number that a threshold rule is; None if the rule chooses one.

    Parameters
    ----------
    rule : str or callable
        See `parse_threshold`; a function is not looked up.

    Returns
    -------
    float or None

    Examples
    --------
    >>> fixed_at("0.2"), fixed_at("youden"), fixed_at("mylab:rule")
    (0.2, None, None)
    """
    if callable(rule) or ":" in str(rule):
        return None
    name, value = parse_threshold(rule)
    return value if name == "fixed" else None


def threshold_unchosen(rule, classes):
    """The threshold where there are no scores to choose one by.

    Parameters
    ----------
    rule : str or callable
        See `parse_threshold`.
    classes : int

    Returns
    -------
    float
        The number that the rule is, else 0.5; NaN with more than two classes.

    Examples
    --------
    >>> threshold_unchosen("0.2", 2), threshold_unchosen("balanced", 2), threshold_unchosen("0.2", 3)
    (0.2, 0.5, nan)
    """
    fixed = fixed_at(rule)
    return float("nan") if classes > 2 else 0.5 if fixed is None else fixed
