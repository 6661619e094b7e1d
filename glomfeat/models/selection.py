"""Choosing inside the training cases: setting, calibration, threshold, then one fit, without the outer test fold."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from glomfeat.core.notes import NO_INNER, NOT_APPLIED
from glomfeat.core.part_errors import MisfitError
from glomfeat.metrics.scores import auroc, two_class
from glomfeat.metrics.thresholds import choose_threshold, threshold_unchosen
from glomfeat.models.calibration import Calibration, fit_calibration
from glomfeat.models.heads.scoring import fit_clone
from glomfeat.models.setting_values import as_plain, find_setting

NO_ROWS = np.array([], np.int64)
COMPONENTS = "components"  # the part of a setting that says how many columns are read


@dataclass(frozen=True)
class Chosen:
    """A fitted head, and the choices that led to it.

    Attributes
    ----------
    estimator : classifier
        Fitted on the training rows.
    params : dict
        The setting that was chosen from the grid, made plain by `as_plain`; empty if the grid is.
    threshold : float
        Chosen by the rule on inner out-of-fold scores, which are calibrated if the study calibrates; without any, that
        of `threshold_unchosen`; NaN with more than two classes.
    inner_auroc : float
        AUROC of the chosen setting before calibration, the mean over inner splits, as that of a study is over outer
        folds. It has been used for a choice, so it is no result. NaN if there are no inner splits.
    notes : tuple of str
        Warnings of the fits, each once; what the estimator says about its fit (its attribute ``note_``, or that of the
        last step of a pipeline); and why scores are not calibrated.
    calibration : Calibration
        Fitted on the inner out-of-fold scores of the chosen setting.
    inner_scores : ndarray of float64, shape (n,) of two classes, else (n, classes)
        These scores before calibration, for the inner-valid rows of one inner split after the other.
    """

    estimator: Any
    params: dict
    threshold: float
    inner_auroc: float
    notes: tuple
    calibration: Calibration
    inner_scores: np.ndarray


@contextmanager
def noting():
    """Collect warnings as notes: the list holds each of them once when the block has ended."""
    notes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    notes += sorted({f"{one.category.__name__}: {str(one.message).splitlines()[0]}" for one in caught})


def settings_of(head, prefixes=()):
    """The settings that a head chooses from, the simplest first.

    Parameters
    ----------
    head : Head
    prefixes : sequence of int
        How many of the first columns may be read; all if left out.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> from glomfeat.models.heads.built_in import make_head
    >>> settings_of(make_head("xgboost", 0), [8, 16])[1:3]
    [{'components': 8, 'max_depth': 4}, {'components': 16, 'max_depth': 2}]
    """
    from sklearn.model_selection import ParameterGrid

    settings = list(ParameterGrid(dict(head.grid)))
    return [{COMPONENTS: k, **setting} for k in prefixes for setting in settings] if prefixes else settings


def read_columns(X, params, ahead=0):
    """The columns that a head with a setting reads: all, or the joined ones and the first components after them.

    Parameters
    ----------
    X : ndarray, shape (n, width)
    params : dict
        As `settings_of` returns it.
    ahead : int
        How many of the first columns are joined, and are no components.

    Examples
    --------
    >>> read_columns(np.arange(5)[None], {"components": 2}, ahead=1).tolist()
    [[0, 1, 2]]
    """
    k = params.get(COMPONENTS)
    return X if k is None else X[:, : ahead + k]


def score_settings(head, settings, X, y, held, classes, ahead=0):
    """Score rows with each setting, each fitted on other rows.

    Parameters
    ----------
    head : Head
    settings : list of dict
        As `settings_of` returns them.
    X : ndarray, shape (n, width)
    y : ndarray of int, shape (n,)
    held : ndarray, shape (m, width)
    classes : int
    ahead : int
        As in `read_columns`.

    Returns
    -------
    ndarray of float64, shape (settings, m) of two classes, else (settings, m, classes)

    Raises
    ------
    MisfitError
        The head's path leaves out a setting or rows.
    """
    found, widths = [], dict.fromkeys(setting.get(COMPONENTS) for setting in settings)
    for k in widths:
        own = [without_components(setting) for setting in settings if setting.get(COMPONENTS) == k]
        mine, held_mine = (read_columns(rows, {} if k is None else {COMPONENTS: k}, ahead) for rows in (X, held))
        scores = head.path(head.estimator, own, mine, y, held_mine, classes)
        shape = (len(held),) if classes == 2 else (len(held), classes)
        if not isinstance(scores, list) or [np.shape(part) for part in scores] != [shape] * len(own):
            said = f"its path gave no scores of shape {shape} of each of {len(own)} settings: return a list of them"
            raise MisfitError(said, head.path)
        found += scores
    return np.stack(found)


def without_components(params):
    """The part of a setting that the estimator knows."""
    return {name: value for name, value in params.items() if name != COMPONENTS}


def fit_setting(head, params, X, y, ahead=0):
    """Fit a head with the setting that was chosen; it reads the `read_columns` of that setting.

    Parameters
    ----------
    head : Head
    params : dict
        As in `Chosen`.
    X : ndarray, shape (n, width)
    y : ndarray of int, shape (n,)
    ahead : int
        As in `read_columns`.

    Returns
    -------
    classifier
    """
    setting = find_setting(head.grid, without_components(params))
    return fit_clone(head.estimator, setting, read_columns(X, params, ahead), y)


def fit_chosen(head, X, y, train, inner, classes, rule, calibration="none", prefixes=(), scored=None, ahead=0):
    """Choose a head's setting, calibration and threshold on inner splits, then fit it on the training rows.

    Parameters
    ----------
    head : Head
    X : ndarray, shape (n, width)
        All rows; only those in `train` and `inner` are read.
    y : ndarray of int, shape (n,)
    train : ndarray of int64
    inner : list of (fit, inner_valid)
        Row numbers, see `glomfeat.data.splits.inner_splits`.
    classes : int
    rule : str or callable
        See `glomfeat.metrics.thresholds.parse_threshold`.
    calibration : str
        One of `glomfeat.models.calibration.CALIBRATIONS`.
    prefixes : sequence of int
        As in `settings_of`.
    scored : list of ndarray, optional
        For each inner split, the scores of its inner-valid rows with each setting, as `score_settings` returns them. If
        left out, they are computed here; then X must have been made without looking at inner-valid rows.
    ahead : int
        As in `read_columns`.

    Returns
    -------
    Chosen

    Examples
    --------
    >>> from glomfeat.models.heads.built_in import make_head
    >>> X, y = np.arange(12.0)[:, None], np.array([0, 1] * 6)
    >>> inner = [(np.arange(6), np.arange(6, 12)), (np.arange(6, 12), np.arange(6))]
    >>> fit_chosen(make_head("dummy", 0), X, y, np.arange(12), inner, 2, "balanced").threshold
    0.5
    """
    settings, valid = settings_of(head, prefixes), [rows for _, rows in inner]
    with noting() as notes:
        if scored is None:
            scored = [score_settings(head, settings, X[fit], y[fit], X[rows], classes, ahead) for fit, rows in inner]
        deals = count_deals(valid)
        place, inner_auroc = choose_setting([y[rows] for rows in valid], scored, default_of(head, settings), deals)
        params = as_plain(head.grid, settings[place])
        estimator = fit_setting(head, params, X[train], y[train], ahead)
    from sklearn.pipeline import Pipeline

    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    notes += [getattr(last, "note_", "")]
    if inner:
        scores = np.concatenate([part[place] for part in scored])
        calibrated, threshold = fit_decision(y[np.concatenate(valid)], scores, rule, calibration)
    else:
        scores, threshold = np.empty(0), threshold_unchosen(rule, classes)
        calibrated = Calibration(note=_without_choice(threshold, calibration))
    notes = tuple(filter(None, [*notes, calibrated.note]))
    return Chosen(estimator, params, threshold, inner_auroc, notes, calibrated, scores)


def _without_choice(threshold, calibration):
    which, decides = ("all", "") if np.isnan(threshold) else ("both", f" and decides at {threshold:g}")
    asked = "" if calibration == "none" else f"; {calibration}: {NOT_APPLIED}"
    return f"{NO_INNER} {which} classes: the head has its default setting{decides}{asked}"


def default_of(head, settings):
    """The position of the setting that a head takes unless the inner splits speak against it.

    Parameters
    ----------
    head : Head
    settings : list of dict
        As `settings_of` returns them.

    Returns
    -------
    int
        The last one that equals the estimator's own setting, so that all components are read; else the first one.

    Examples
    --------
    >>> from glomfeat.models.heads.built_in import make_head
    >>> head = make_head("logreg", 0)
    >>> settings_of(head)[default_of(head, settings_of(head))]
    {'logisticregression__C': 1.0}
    """
    own = head.estimator.get_params()
    same = [
        all(np.array_equal(own[name], value) for name, value in without_components(one).items()) for one in settings
    ]
    return max((place for place, fits in enumerate(same) if fits), default=0)


def choose_setting(truth, scored, default=0, deals=1):
    """Choose the setting that the inner splits favour.

    The setting with the best mean AUROC is taken if it beats the default by more than one standard error of their
    difference over inner splits; otherwise the default is taken, because with few cases the best of several is merely
    the luckiest. Deals of the same rows count as one in the standard error (for related rules: Breiman et al. 1984,
    section 3.4.3).

    Parameters
    ----------
    truth : list of ndarray of int
        Labels of the inner-valid rows of each inner split.
    scored : list of ndarray, shape (settings, n) or (settings, n, classes)
        Their scores.
    default : int
    deals : int
        How often the rows were dealt.

    Returns
    -------
    place : int
        Position of the setting.
    inner_auroc : float
        Its mean AUROC over the inner splits whose inner-valid rows hold all classes; NaN if there are none.

    Raises
    ------
    MisfitError
        No setting has finite scores.

    Examples
    --------
    >>> y, good, bad = np.array([0, 1, 0, 1]), [0.1, 0.9, 0.2, 0.8], [0.4, 0.5, 0.6, 0.5]
    >>> choose_setting([y, y], [np.array([bad, good])] * 2)
    (1, 1.0)
    >>> choose_setting([y, y], [np.array([bad, good]), np.array([good, bad])])
    (0, 0.75)
    """
    if not scored:
        return default, float("nan")
    by_setting = list(zip(*scored, strict=True))
    finite = np.array([all(np.isfinite(part).all() for part in parts) for parts in by_setting])
    if not finite.any():
        raise MisfitError("its scores of the inner splits are not finite: give a number for every row")
    areas = np.full((len(by_setting), len(truth)), -np.inf)
    for place in np.flatnonzero(finite):
        areas[place] = [auroc(y, score) for y, score in zip(truth, by_setting[place], strict=True)]
    areas = areas[:, ~np.isnan(areas[finite]).any(axis=0)]
    if not areas.size:
        return (default if finite[default] else int(finite.argmax())), float("nan")
    means = areas.mean(axis=1)
    best = int(means.argmax())
    if finite[default] and areas.shape[1] > 1:
        gain = areas[best] - areas[default]
        if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain) / deals):
            best = default
    return best, float(means[best])


def count_deals(valid):
    """How often inner splits deal the same rows.

    Examples
    --------
    >>> count_deals([np.array([0, 1]), np.array([2]), np.array([0, 2]), np.array([1])])
    2
    """
    return round(sum(map(len, valid)) / len(np.unique(np.concatenate(valid)))) if valid else 1


def mean_by_row(inner, scores):
    """Inner out-of-fold scores, averaged for each row over the deals of inner splits.

    Parameters
    ----------
    inner : list of (fit, inner_valid)
    scores : ndarray of float
        Scores of the inner-valid rows of one split after the other.

    Returns
    -------
    rows : ndarray of int64
        Ascending.
    scores : ndarray of float64

    Examples
    --------
    >>> inner = [([], np.array([4, 2])), ([], np.array([2]))]
    >>> [found.tolist() for found in mean_by_row(inner, np.array([0.5, 0.25, 0.75]))]
    [[2, 4], [0.5, 0.5]]
    """
    rows = scored_rows(inner)
    place = np.searchsorted(rows, np.concatenate([NO_ROWS, *(valid for _, valid in inner)]))
    total = np.zeros((len(rows), *scores.shape[1:]))
    np.add.at(total, place, scores)
    return rows, total / np.bincount(place).reshape(-1, *[1] * (scores.ndim - 1))


def scored_rows(inner):
    """The rows that inner splits score, ascending, each once.

    Examples
    --------
    >>> scored_rows([([], np.array([4, 2])), ([], np.array([2]))]).tolist(), scored_rows([]).tolist()
    ([2, 4], [])
    """
    return np.unique(np.concatenate([NO_ROWS, *(valid for _, valid in inner)]))


def fit_decision(y, score, rule, calibration):
    """Fit the calibration, then choose the threshold on the calibrated scores.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
    score : ndarray of float, shape (n,) of two classes, else (n, classes)
        Scores of inner-valid rows, by models that have not learnt from them.
    rule, calibration
        As in `fit_chosen`.

    Returns
    -------
    calibration : Calibration
    threshold : float
        NaN with more than two classes.

    Examples
    --------
    >>> fit_decision(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]), "youden", "isotonic")[1]
    0.25
    """
    fitted = fit_calibration(calibration, y, score)
    threshold = choose_threshold(y, fitted.apply(score), rule) if two_class(score) else float("nan")
    return fitted, threshold
